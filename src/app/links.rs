//! What connects this process with the truth and with other processes: the database, and with Redis
//! the queue, the control bus and the live feed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::NodeId;
use kastrel_actors::ports::{
    Clock, ControlBus, JobQueue, LiveFeed, LocalControlBus, LocalJobQueue, NoLiveFeed, ScanStore,
};
use kastrel_actors::service::Consistency;
use tracing::warn;

use super::database::{embedded, folder_error};
use super::{AppError, Role};
use crate::adapters::redis_queue::{CallObserver, RedisConnections, RedisHealth, RedisOptions, prefix_of};
use crate::adapters::surreal_store::{FolderLock, RemoteDatabase, SurrealStore};
use crate::backup::BackupSource;
use crate::config::Config;
use crate::telemetry::Observed;

/// The least that a reader of the queue may hold a signal before it counts as dead: several times
/// as long as it may take to lease a row. Otherwise it is two leases of a node, because a node that
/// has not come back by then is gone.
const RECLAIM_LEAST: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Links {
    pub(super) store: Arc<dyn ScanStore>,
    /// The same, to be watched and closed.
    pub(super) database: SurrealStore,
    pub(super) backup: Arc<dyn BackupSource>,
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) bus: Arc<dyn ControlBus>,
    pub(super) feed: Arc<dyn LiveFeed>,
    pub(super) consistency: Consistency,
    /// How Redis is, where there is one.
    pub(super) redis: Option<RedisHealth>,
    /// Held as long as the process uses its data folder. The embedded database holds its own.
    pub(super) lock: Option<FolderLock>,
    /// Whether other processes hold the database as well.
    pub(super) shared: bool,
}

impl Links {
    /// Opens them for `role`, in a process whose node, if it has one, is `node`. What the bus and
    /// the feed say to Redis is told to `observed`; the other ports are observed from outside.
    ///
    /// # Errors
    /// An address is wrong, or the database does not answer. A Redis that does not answer is no
    /// error.
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
                // Processes of scans are told apart by their data folder, so two nodes must not
                // share one.
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
