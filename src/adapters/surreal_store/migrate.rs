//! The schema migrations: numbered steps that are each applied once.
//!
//! A released step must never be edited, because every database stores its checksum. Change the
//! schema with a new step in `steps`.

use surrealdb::types::SurrealValue;

use super::calls::{self, Nothing, Tries};
use super::error::{CallError, Failure, OpenError};
use super::executor::Executor;
use super::row;
pub(super) use super::steps::{STEPS, Step};
use crate::config::AuthLevel;

/// The purpose of opening a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Normal use.
    Use,
    /// Restoring a backup into it.
    Restore,
}

/// The expected state of a database.
#[derive(Debug, Clone, Copy)]
pub(super) enum ExpectedDatabase<'a> {
    /// Any: missing parts are created.
    Any,
    /// The same database as before. An emptied or replaced database is refused, because continuing
    /// with it would hide the loss.
    Known(&'a str),
}

/// How long the rows of submitting processes are kept, in nanoseconds.
const SUBMITTER_KEPT_NS: i64 = 24 * 3600 * 1_000_000_000;

#[derive(Debug, SurrealValue)]
struct Applied {
    version: i64,
    checksum: String,
}

#[derive(Debug, SurrealValue)]
struct Known {
    applied: Vec<Applied>,
    checksums: Vec<String>,
}

#[derive(Debug, Clone, SurrealValue)]
struct Texts {
    texts: Vec<String>,
}

/// Prepares a connection or an engine for calls: creates and selects the database, and migrates its
/// schema.
pub(super) async fn prepare(
    db: &dyn Executor,
    namespace: &str,
    database: &str,
    level: AuthLevel,
    purpose: Purpose,
    expected: ExpectedDatabase<'_>,
) -> Result<(), OpenError> {
    match expected {
        ExpectedDatabase::Any => select_database(db, namespace, database, level).await?,
        ExpectedDatabase::Known(expected) => {
            db.select(namespace, database).await.map_err(failed("select the database"))?;
            let found = installation(db).await.map_err(failed("ask the database which installation it is"))?;
            if found.as_deref() != Some(expected) {
                return Err(OpenError::Replaced { is_empty: found.is_none() });
            }
        }
    }
    run(db).await?;
    tidy(db).await?;
    match (unfinished_restore(db).await?, purpose) {
        (Some(begun), Purpose::Use) => Err(OpenError::HalfRestored { begun }),
        _ => Ok(()),
    }
}

/// The unique name of this database; `None` if it is new or was emptied.
pub(super) async fn installation(db: &dyn Executor) -> Result<Option<String>, CallError> {
    #[derive(Debug, SurrealValue)]
    struct Installation {
        name: Option<String>,
    }
    let sql = "RETURN { name: SELECT VALUE name FROM ONLY installation:this };";
    match calls::call_again::<Installation>(db, sql, Nothing {}).await {
        Ok(found) => Ok(found.name),
        Err(error) if error.is_missing_ground() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the missing namespace and database, as far as the user's level permits it, and selects
/// the database.
pub(super) async fn select_database(
    db: &dyn Executor,
    namespace: &str,
    database: &str,
    level: AuthLevel,
) -> Result<(), OpenError> {
    let define_namespace = format!("DEFINE NAMESPACE IF NOT EXISTS `{namespace}`; ");
    let define_database = format!("USE NS `{namespace}`; DEFINE DATABASE IF NOT EXISTS `{database}`;");
    let sql = match level {
        AuthLevel::Root => define_namespace + define_database.as_str(),
        AuthLevel::Namespace => define_database,
        AuthLevel::Database => String::new(),
    };
    if !sql.is_empty() {
        calls::execute_again(db, &sql, Nothing {}).await.map_err(failed("make the database"))?;
    }
    db.select(namespace, database).await.map_err(failed("select the database"))
}

/// Deletes the rows of processes that have submitted nothing for long. A live process writes its
/// row again.
pub(super) async fn tidy(db: &dyn Executor) -> Result<(), OpenError> {
    #[derive(Debug, Clone, SurrealValue)]
    struct Kept {
        kept: i64,
    }
    const TIDY: &str = "BEGIN; DELETE submitter WHERE at < time::nano(time::now()) - $kept RETURN NONE; COMMIT;";
    calls::execute_again(db, TIDY, Kept { kept: SUBMITTER_KEPT_NS }).await.map_err(failed("tidy the database"))
}

async fn unfinished_restore(db: &dyn Executor) -> Result<Option<jiff::Timestamp>, OpenError> {
    #[derive(Debug, SurrealValue)]
    struct Restore {
        since: Option<i64>,
    }
    let sql = "RETURN { since: (SELECT VALUE since FROM ONLY restore:running) };";
    let found: Restore =
        calls::call_again(db, sql, Nothing {}).await.map_err(failed("look for an unfinished restore"))?;
    Ok(found.since.map(|since| row::timestamp(since).unwrap_or_default()))
}

/// Applies the missing migrations, each in its own transaction.
pub(super) async fn run(db: &dyn Executor) -> Result<(), OpenError> {
    run_steps(db, STEPS).await
}

pub(super) async fn run_steps(db: &dyn Executor, steps: &[Step]) -> Result<(), OpenError> {
    let (mut tries, mut left) = (Tries::default(), steps.len());
    loop {
        let missing = missing(db, steps).await?;
        let Some(next) = missing.first() else { return Ok(()) };
        // The time limit is that of one step: with many processes, all steps together take longer.
        if missing.len() < left {
            (tries, left) = (Tries::default(), missing.len());
        }
        match apply(db, next).await {
            Ok(()) => {}
            // Another process that started at the same time has applied the step, or is applying
            // it; or the response was lost.
            Err(error) if error.failure() == Failure::Exists => {
                tries.after_collision().await.map_err(failed("migrate the database"))?;
            }
            Err(error) if matches!(error.failure(), Failure::Conflict | Failure::Lost) => {
                tries.after(error).await.map_err(failed("migrate the database"))?;
            }
            Err(error) => return Err(failed("migrate the database")(error)),
        }
    }
}

/// The schema version of a database that lacks migrations of this program; `None` for a new or an
/// up-to-date database.
pub(super) async fn outdated(db: &dyn Executor) -> Result<Option<i64>, OpenError> {
    #[derive(Debug, SurrealValue)]
    struct Versions {
        versions: Vec<i64>,
    }
    let applied = match calls::call_again::<Versions>(
        db,
        "RETURN { versions: (SELECT VALUE version FROM migration) };",
        Nothing {},
    )
    .await
    {
        Ok(found) => found.versions.into_iter().max(),
        Err(error) if error.is_missing_ground() => None,
        Err(error) => return Err(failed("read the migrations")(error)),
    };
    let last = STEPS.last().map(|step| step.version).unwrap_or_default();
    Ok(applied.filter(|version| *version < last))
}

async fn missing<'a>(db: &dyn Executor, steps: &'a [Step]) -> Result<&'a [Step], OpenError> {
    const TABLE: &str = "
        DEFINE TABLE IF NOT EXISTS migration SCHEMAFULL;
        DEFINE FIELD IF NOT EXISTS version    ON migration TYPE int;
        DEFINE FIELD IF NOT EXISTS checksum   ON migration TYPE string;
        DEFINE FIELD IF NOT EXISTS applied_at ON migration TYPE datetime;";
    const READ: &str = "
        RETURN {
            applied: (SELECT version, checksum FROM migration ORDER BY version),
            checksums: $texts.map(|$text: string| crypto::sha256($text)),
        };";
    calls::execute_again(db, TABLE, Nothing {}).await.map_err(failed("prepare the migrations"))?;
    let texts = steps.iter().map(|step| step.sql.to_owned()).collect();
    let known: Known = calls::call_again(db, READ, Texts { texts }).await.map_err(failed("read the migrations"))?;
    let last = steps.last().map(|step| step.version).unwrap_or_default();
    for applied in &known.applied {
        let Some(at) = steps.iter().position(|step| step.version == applied.version) else {
            return Err(OpenError::TooNew { found: applied.version, known: last });
        };
        if known.checksums.get(at) != Some(&applied.checksum) {
            return Err(OpenError::Checksum { version: applied.version });
        }
    }
    Ok(steps.get(known.applied.len()..).unwrap_or_default())
}

/// Applies one migration without a timeout, because an index over many rows takes longer than the
/// call timeout.
async fn apply(db: &dyn Executor, step: &Step) -> Result<(), CallError> {
    #[derive(Debug, SurrealValue)]
    struct Record {
        migration_version: i64,
        migration_text: String,
    }
    let sql = format!(
        "BEGIN;
        CREATE type::record('migration', $migration_version)
            SET version = $migration_version, checksum = crypto::sha256($migration_text), applied_at = time::now() RETURN NONE;
        {}
        COMMIT;",
        step.sql
    );
    calls::execute_to_its_end(db, sql, Record { migration_version: step.version, migration_text: step.sql.to_owned() })
        .await
}

fn failed(doing: &'static str) -> impl Fn(CallError) -> OpenError {
    move |source| OpenError::Database { doing, source: Box::new(source) }
}
