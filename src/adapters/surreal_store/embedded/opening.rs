//! Opens the engine of an embedded database: checks its folder, reads its rows, and migrates its
//! schema.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::engine::{Engine, First};
use super::folder::{self, DATABASE_FOLDER, Damage};
use super::verify;
use crate::adapters::surreal_store::calls::CALL_TIMEOUT;
use crate::adapters::surreal_store::error::OpenError;
use crate::adapters::surreal_store::migrate::{self, ExpectedDatabase, Purpose};
use crate::config::AuthLevel;
use crate::error_chain::chain;

const NAMESPACE: &str = "kastrel";
const DATABASE: &str = "kastrel";

/// Up to this size in bytes, all of a database is read before its first use; a larger database is
/// read in the background.
const READ_FIRST_BYTES: u64 = 1 << 30;

/// The options for opening a database.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Opening {
    /// Normal use, or a restore into the database.
    pub(in super::super) purpose: Purpose,
    /// Use the database even if it has lost rows or has unreadable parts.
    pub(in super::super) accept_loss: bool,
}

/// Runs on the engine of an existing database before its schema changes. The second argument is the
/// present schema version.
pub(in super::super) type BeforeChange<'a> =
    dyn Fn(Arc<Engine>, i64) -> BoxFuture<'a, Result<(), OpenError>> + Send + Sync + 'a;

/// Opens the engine in its folder and migrates the schema. `must_exist`: an empty folder is a loss
/// and not a new database.
pub(super) async fn open_engine(
    data: &Path,
    opening: Opening,
    expected: ExpectedDatabase<'_>,
    must_exist: bool,
    before: Option<&BeforeChange<'_>>,
) -> Result<Arc<Engine>, OpenError> {
    let path = data.join(DATABASE_FOLDER);
    let failed = |source| OpenError::Folder { folder: path.clone(), source };
    let looked_into = path.clone();
    let (content, damage) =
        blocking(move || Ok((folder::content(&looked_into)?, folder::check(&looked_into)?))).await.map_err(failed)?;
    match damage {
        Ok(()) if must_exist && content == folder::Content::Nothing => return Err(OpenError::Damaged(Damage::Missing)),
        Ok(()) => {}
        // With `accept_loss` the engine drops everything after the damaged record. Without
        // `CURRENT`, or with files of another kind, the database cannot be opened at all.
        Err(Damage::Log { file, at }) if opening.accept_loss => {
            tracing::warn!(at, "opening a database with a damaged log: {}", file.display());
        }
        Err(damage) => return Err(OpenError::Damaged(damage)),
    }
    let size = folder::size(&path);
    let is_large = size > READ_FIRST_BYTES;
    let first = if is_large || content == folder::Content::Nothing {
        First::Use
    } else {
        First::Read { accept: opening.accept_loss }
    };
    let mut engine = Arc::new(Engine::open(&path, first, Some(CALL_TIMEOUT)).await?);
    if content != folder::Content::Nothing && matches!(expected, ExpectedDatabase::Any) {
        let is_outdated;
        (engine, is_outdated) = used(engine, async |engine: &Arc<Engine>| to_migrate(engine, before).await).await?;
        if is_outdated {
            engine = migrated(engine, &path, migrate::STEPS).await?;
        }
    }
    let (engine, ()) = used(engine, async |engine: &Arc<Engine>| {
        migrate::prepare(&**engine, NAMESPACE, DATABASE, AuthLevel::Root, opening.purpose, expected).await
    })
    .await?;
    if is_large {
        read_in_background(Arc::clone(&engine));
    }
    Ok(engine)
}

/// Runs `what` on an engine, and closes the engine if that fails.
async fn used<T>(
    engine: Arc<Engine>,
    what: impl AsyncFnOnce(&Arc<Engine>) -> Result<T, OpenError>,
) -> Result<(Arc<Engine>, T), OpenError> {
    let done = what(&engine).await;
    match done {
        Ok(value) => Ok((engine, value)),
        Err(error) => {
            Engine::close(engine).await;
            Err(error)
        }
    }
}

/// True if the schema is from an earlier version; `before` has then run.
async fn to_migrate(engine: &Arc<Engine>, before: Option<&BeforeChange<'_>>) -> Result<bool, OpenError> {
    migrate::select_database(&**engine, NAMESPACE, DATABASE, AuthLevel::Root).await?;
    let Some(schema) = migrate::outdated(&**engine).await? else { return Ok(false) };
    if let Some(before) = before {
        before(Arc::clone(engine), schema).await?;
    }
    Ok(true)
}

/// Applies the missing `steps` with an engine that has no statement timeout, because an index over
/// many rows takes long. Then opens the database again with the timeout.
async fn migrated(engine: Arc<Engine>, path: &Path, steps: &[migrate::Step]) -> Result<Arc<Engine>, OpenError> {
    Engine::close(engine).await;
    tracing::info!(
        "bringing the database of an earlier version up to date; that takes some minutes for hundreds of thousands of scans"
    );
    let patient = Arc::new(Engine::open(path, First::Use, None).await?);
    let migrate = async |engine: &Arc<Engine>| {
        migrate::select_database(&**engine, NAMESPACE, DATABASE, AuthLevel::Root).await?;
        migrate::run_steps(&**engine, steps).await
    };
    let (patient, ()) = used(patient, migrate).await?;
    Engine::close(patient).await;
    Ok(Arc::new(Engine::open(path, First::Use, Some(CALL_TIMEOUT)).await?))
}

pub(super) async fn read_all(engine: &Engine) -> Result<u64, OpenError> {
    let Some(datastore) = engine.datastore() else { return Ok(0) };
    verify::read_all(&datastore).await.map_err(OpenError::from)
}

/// Reads a database that is too large to read before use. Damage is logged.
fn read_in_background(engine: Arc<Engine>) {
    let closing = engine.closing();
    tokio::spawn(async move {
        tokio::select! {
            read = read_all(&engine) => if let Err(error) = read {
                tracing::error!(error = chain(&error), "the database cannot be read as a whole: restore a backup");
            },
            () = closing.cancelled() => {}
        }
    });
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::model::ListQuery;
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;

    use super::super::database::EmbeddedDatabase;
    use super::*;
    use crate::adapters::surreal_store::SurrealStore;
    use crate::adapters::surreal_store::database::Database;

    /// An index over 100,000 rows takes longer than the call timeout. Such a migration must
    /// complete, and the timeout applies again afterwards.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_migration_step_has_no_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATABASE_FOLDER);
        let short = Duration::from_millis(50);
        let slow = [migrate::Step { version: 1, sql: "SLEEP 200ms; DEFINE TABLE one;" }];
        let engine = Arc::new(Engine::open(&path, First::Use, Some(short)).await.unwrap());
        migrate::select_database(&*engine, NAMESPACE, DATABASE, AuthLevel::Root).await.unwrap();
        migrate::run_steps(&*engine, &slow).await.unwrap_err();
        let engine = migrated(engine, &path, &slow).await.unwrap();
        assert!(Engine::close(engine).await);
    }

    /// A separate engine without a timeout migrates the folder of an earlier schema; an engine with
    /// a timeout then uses it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_with_an_earlier_schema_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATABASE_FOLDER);
        let first = Arc::new(Engine::open(&path, First::Use, None).await.unwrap());
        let (first, ()) = used(first, async |engine: &Arc<Engine>| {
            migrate::select_database(&**engine, NAMESPACE, DATABASE, AuthLevel::Root).await?;
            migrate::run_steps(&**engine, &migrate::STEPS[..1]).await
        })
        .await
        .unwrap();
        assert!(Engine::close(first).await);
        let opening = Opening { purpose: Purpose::Use, accept_loss: false };
        let database = EmbeddedDatabase::open(folder.path(), opening, None).await.unwrap();
        let store = SurrealStore::from_database(Database::Embedded(database.clone()), None);
        assert_eq!(migrate::outdated(&Database::Embedded(database.clone())).await.unwrap(), None);
        let id = store.submit(fixtures::new_scan("a.test")).await.unwrap().into_record().id;
        assert_eq!(
            store.list(ListQuery::default()).await.unwrap().scans.iter().map(|scan| scan.id).collect::<Vec<_>>(),
            [id]
        );
        database.close().await;
    }
}
