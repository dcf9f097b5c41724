//! The connections of this process: the database, and through Redis the queue, the control bus and
//! the live feed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::NodeId;
use kastrel_actors::ports::{
    Clock, ControlBus, JobQueue, LiveFeed, LocalControlBus, LocalJobQueue, NoLiveFeed, ScanStore,
};
use kastrel_actors::service::Consistency;
use tracing::warn;

use super::AppError;
use super::database::{embedded, folder_error};
use crate::adapters::redis_queue::{CallObserver, RedisConnections, RedisOptions, prefix_of};
use crate::adapters::surreal_store::{FolderLock, SurrealStore};
use crate::backup::BackupSource;
use crate::config::{Config, RemoteDatabase, Role};
use crate::ports::RedisHealth;
use crate::telemetry::Observed;

/// The minimum time after which a queue reader that holds a signal counts as dead: several times as
/// long as leasing a row may take. The usual time is twice the lease duration of a node, because a
/// node that does not return by then is lost.
const RECLAIM_LEAST: Duration = Duration::from_secs(15);

/// The connections of a process. See the module documentation.
pub(super) struct Links {
    pub(super) store: Arc<dyn ScanStore>,
    /// The database itself, to watch and to close it.
    pub(super) database: SurrealStore,
    pub(super) backup: Arc<dyn BackupSource>,
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) bus: Arc<dyn ControlBus>,
    pub(super) feed: Arc<dyn LiveFeed>,
    pub(super) consistency: Consistency,
    /// The health of the Redis connection; `None` without Redis.
    pub(super) redis: Option<RedisHealth>,
    /// The lock of the data folder, held for the lifetime of the process. The embedded database
    /// holds its own lock.
    pub(super) lock: Option<FolderLock>,
    /// Whether other processes use the database as well.
    pub(super) shared: bool,
}

impl Links {
    /// Opens the connections for `role`. `node` is the id of the process's node, if it has one.
    /// `observed` measures the Redis calls of the bus and the feed; wrappers observe the other
    /// ports.
    ///
    /// # Errors
    /// An address is invalid, or the database does not respond. A Redis that does not respond is
    /// not an error.
    pub(super) async fn open(
        config: &Config,
        role: Role,
        data_dir: &Path,
        node: &NodeId,
        clock: &Arc<dyn Clock>,
        observed: &Observed,
    ) -> Result<Self, AppError> {
        let shared = config.database.url.is_some();
        let (store, lock) = match &config.database.url {
            None => (embedded(config, data_dir).await?, None),
            Some(url) => {
                // The data folder identifies the processes of scans, so two nodes must not share
                // one.
                let lock = if role.runs_scans(true) {
                    Some(FolderLock::take(data_dir).map_err(|error| folder_error(error, data_dir))?)
                } else {
                    None
                };
                let address: RemoteDatabase = url.expose().parse()?;
                let store = SurrealStore::connect_with(&address, config.database.allow_unsafe_engine)
                    .await
                    .map_err(|source| AppError::RemoteDatabase { url: url.to_string(), source })?;
                (store, lock)
            }
        };
        let consistency = if shared { Consistency::MultiWriter } else { Consistency::SingleWriter };
        let links = Self {
            backup: Arc::new(store.clone()),
            store: Arc::new(store.clone()),
            database: store.clone(),
            queue: Arc::new(LocalJobQueue::new(Arc::clone(clock))),
            bus: Arc::new(LocalControlBus::default()),
            feed: Arc::new(NoLiveFeed::default()),
            consistency,
            redis: None,
            lock,
            shared,
        };
        let Some(url) = config.redis.url.as_ref().filter(|_| shared || role == Role::Serve) else {
            if shared && role == Role::Serve {
                warn!(
                    "database.url is set without redis.url: scans that other processes submit start with a delay of seconds"
                );
            }
            return Ok(links);
        };
        let prefix = prefix_of(&config.redis.prefix.to_string(), &store.installation().await?);
        let reclaim_after = config.node.lease_seconds.saturating_mul(2).max(RECLAIM_LEAST);
        let options = RedisOptions {
            prefix,
            reclaim_after,
            calls: CallObserver::new(observed.redis_calls()),
            ..RedisOptions::default()
        };
        let redis = RedisConnections::open_with(url.expose(), node.clone(), Arc::clone(clock), &options)?;
        Ok(Self {
            queue: Arc::clone(&redis.queue) as _,
            bus: Arc::clone(&redis.bus) as _,
            feed: Arc::clone(&redis.feed) as _,
            redis: Some(redis.health()),
            ..links
        })
    }
}
