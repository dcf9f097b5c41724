//! The embedded database as the store uses it: an engine, or the reason why there is none just now.
//!
//! - **Owns** the engine, the high-water record, and one task that writes the record after changes
//!   and opens a new engine after a failure.
//! - **States**: `open` -> a write fails for an I/O reason -> `failed` (every call fails at
//!   once) -> the engine is closed, the disk is tried, a new engine is opened and compared with the
//!   record -> `open`; or it is behind the record -> `lost`, and the process ends. `closed` is for
//!   good.
//! - **Never** uses an engine after a failed write, and never a database that lacks something that
//!   was acknowledged.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kastrel_actors::ports::{Clock as _, SystemClock};
use surrealdb::types::Value;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use super::engine::Engine;
use super::folder::{self, DATABASE_FOLDER, Damage, HIGH_WATER_FILE};
use super::high_water::{Found, HighWater, HighWaterFile, Loss, Recorded, Verdict, judge};
use super::opening::{Opening, blocking, open_engine, read_all};
use super::{RefusedBatch, convert, failure, marks, withdraw};
use crate::adapters::surreal_store::before_migration::BeforeMigration;
use crate::adapters::surreal_store::calls::Database;
use crate::adapters::surreal_store::error::{CallError, OpenError};
use crate::adapters::surreal_store::migrate::{ExpectedDatabase, Purpose};
use crate::error_chain::chain;

/// The longest between a commit and the record that covers it, but for the time that the disk
/// takes.
const MARK_AFTER: Duration = Duration::from_millis(250);

/// How often the folder is looked for: an engine writes on into files that were deleted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pauses between tries to open a new engine after a failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What must fit on the disk before a new engine is opened: recovery writes memory tables out.
const PROBE_BYTES: usize = 1 << 20;

/// See the module. Clones share one engine.
#[derive(Debug, Clone)]
pub(in super::super) struct EmbeddedDatabase {
    shared: Arc<Shared>,
    _keeper: Arc<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    data: PathBuf,
    opening: Opening,
    state: watch::Sender<State>,
    /// Something was committed since the last mark.
    changed: Notify,
    /// Which folder the engine was opened in, as [`folder::identity`] says.
    identity: AtomicU64,
    /// A batch that was answered with an error is not withdrawn yet.
    is_unsettled: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    file: Arc<std::sync::Mutex<HighWaterFile>>,
    now: HighWater,
    /// After a restore, the record begins anew; before its end there is nothing to record.
    is_kept: bool,
}

#[derive(Debug, Clone)]
enum State {
    Open(Arc<Engine>),
    Failed(Arc<str>),
    Lost(Arc<str>),
    Closed,
}

impl EmbeddedDatabase {
    /// Opens the database in the data folder `data`, whose lock the caller holds: converts one of
    /// an earlier version, looks for damage and loss, and brings the schema up to date. `before` is
    /// run before the schema of an existing database changes.
    pub(in super::super) async fn open(
        data: &Path,
        opening: Opening,
        before: Option<&dyn BeforeMigration>,
    ) -> Result<Self, OpenError> {
        convert::run(data).await.map_err(|source| OpenError::Convert(source.into()))?;
        let path = data.join(HIGH_WATER_FILE);
        let (file, recorded) = blocking(move || HighWaterFile::open(&path))
            .await
            .map_err(|source| OpenError::Folder { folder: data.to_owned(), source })?;
        let is_restore = opening.purpose == Purpose::Restore;
        let record = match &recorded {
            _ if is_restore => None,
            Recorded::Nothing => None,
            Recorded::Record(record) => Some(HighWater::clone(record)),
            Recorded::Damaged if opening.accept_loss => None,
            Recorded::Damaged => return Err(OpenError::Lost(Loss::Unknown)),
        };
        let engine = open_engine(data, opening, ExpectedDatabase::Any, record.is_some(), before).await?;
        let db = Database::Engine(Arc::clone(&engine));
        let checked = check(&db, record.as_ref(), recorded == Recorded::Damaged, opening.accept_loss).await;
        drop(db);
        let found = match checked {
            Ok(found) => found,
            Err(error) => {
                Engine::close(engine).await;
                return Err(error);
            }
        };
        let now = HighWater {
            mark: found.mark.unwrap_or_default(),
            refused: record.map(|record| record.refused).unwrap_or_default(),
            ..HighWater::default()
        };
        let shared = Arc::new(Shared {
            data: data.to_owned(),
            opening,
            state: watch::Sender::new(State::Closed),
            changed: Notify::new(),
            identity: AtomicU64::new(0),
            is_unsettled: AtomicBool::new(true),
            record: Mutex::new(Record { file: Arc::new(std::sync::Mutex::new(file)), now, is_kept: !is_restore }),
        });
        shared.begin(engine).await?;
        let keeper = Arc::new(AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&shared)))));
        Ok(Self { shared, _keeper: keeper })
    }

    /// The result of each statement.
    pub(in super::super) async fn query(
        &self,
        sql: String,
        variables: Value,
    ) -> Result<Vec<surrealdb::Result<Value>>, CallError> {
        let engine = self.engine()?;
        let is_write = !failure::is_read(&sql);
        let answer = engine.query(sql, variables).await;
        let failed = match &answer {
            Ok(results) => results
                .iter()
                .filter_map(|result| result.as_ref().err())
                .find(|error| failure::is_storage_failure(error.message(), is_write)),
            Err(CallError::Failed(error)) => {
                Some(error).filter(|error| failure::is_storage_failure(error.message(), is_write))
            }
            Err(_) => None,
        };
        match failed {
            Some(error) => self.shared.fail(&engine, error.message()),
            None if is_write => self.shared.changed.notify_one(),
            None => {}
        }
        answer
    }

    /// Whether calls can be made at all.
    pub(in super::super) fn check(&self) -> Result<(), CallError> {
        self.engine().map(drop)
    }

    /// Whether submissions can be sent. While one that was answered with an error may still come to
    /// be, no further one is sent: the row that tells what became of it would be overwritten.
    pub(in super::super) fn check_submission(&self) -> Result<(), CallError> {
        self.check()?;
        if self.shared.is_unsettled.load(Ordering::Acquire) {
            return Err(CallError::Unreachable(
                "submissions that were answered with an error are not withdrawn yet".into(),
            ));
        }
        Ok(())
    }

    fn engine(&self) -> Result<Arc<Engine>, CallError> {
        match &*self.shared.state.borrow() {
            State::Open(engine) => Ok(Arc::clone(engine)),
            State::Failed(why) => Err(CallError::Unreachable(format!(
                "the storage failed ({why}); it is opened again when it can be written to"
            ))),
            State::Lost(why) => Err(CallError::Unreachable(why.to_string())),
            State::Closed => Err(CallError::Unreachable("it is closed".into())),
        }
    }

    /// Makes sure that a batch which is answered with an error does not come to be: it is written
    /// down on the disk, and withdrawn as soon as there is an engine.
    pub(in super::super) async fn refuse(&self, batch: RefusedBatch) {
        self.shared.is_unsettled.store(true, Ordering::Release);
        let mut record = self.shared.record.lock().await;
        record.now.refuse(batch);
        if let Err(error) = record.write().await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "could not write down that submissions were refused"
            );
        }
        let State::Open(engine) = self.shared.state.borrow().clone() else { return };
        match record.settle(&Database::Engine(Arc::clone(&engine))).await {
            Ok(()) => self.shared.is_unsettled.store(false, Ordering::Release),
            Err(error) => self.shared.fail(&engine, &chain(&error)),
        }
    }

    /// From now on the record follows the database: a restore has ended.
    pub(in super::super) async fn restored(&self) {
        self.shared.record.lock().await.is_kept = true;
        self.shared.changed.notify_one();
    }

    /// Reads all keys and values, so that the checksum of each block is checked. How many keys
    /// there are.
    pub(in super::super) async fn read_every_key(&self) -> Result<u64, OpenError> {
        let failed = |source: CallError| OpenError::Database {
            doing: "read every key of the database",
            source: Box::new(source),
        };
        read_all(&*self.engine().map_err(failed)?).await
    }

    /// Waits until the database turns out to have lost what was acknowledged.
    pub(in super::super) async fn lost(&self) -> String {
        let mut state = self.shared.state.subscribe();
        let lost = state.wait_for(|state| matches!(state, State::Lost(_))).await.map(|state| state.clone());
        match lost {
            Ok(State::Lost(why)) => why.to_string(),
            _ => std::future::pending().await,
        }
    }

    /// Closes it for good: calls in flight end, the record is written, and the engine lets go of
    /// its files.
    pub(in super::super) async fn close(&self) {
        let State::Open(engine) = self.shared.state.send_replace(State::Closed) else { return };
        let marked = self.shared.record.lock().await.mark(&engine, true).await;
        if let Err(error) = marked {
            tracing::warn!(
                error = chain(&error),
                "could not write the high-water record while the database was closed"
            );
        }
        if !Engine::close(engine).await {
            tracing::warn!("the database did not close in time");
        }
    }
}

impl Shared {
    /// Withdraws what was refused, writes the first mark, and lets calls through.
    async fn begin(&self, engine: Arc<Engine>) -> Result<(), OpenError> {
        let mut record = self.record.lock().await;
        let failed = |doing| move |source: CallError| OpenError::Database { doing, source: Box::new(source) };
        let begun = async {
            record
                .settle(&Database::Engine(Arc::clone(&engine)))
                .await
                .map_err(failed("withdraw refused submissions"))?;
            record.mark(&engine, false).await.map_err(failed("write the high-water record"))
        };
        match begun.await {
            Ok(()) => {
                let database = self.data.join(DATABASE_FOLDER);
                let identity = blocking(move || folder::identity(&database)).await.unwrap_or_default();
                self.identity.store(identity, Ordering::Relaxed);
                self.is_unsettled.store(false, Ordering::Release);
                self.state.send_replace(State::Open(engine));
                Ok(())
            }
            Err(error) => {
                Engine::close(engine).await;
                Err(error)
            }
        }
    }

    /// Writes the record, if `engine` is still the one that is used.
    async fn mark(&self, engine: &Arc<Engine>) {
        let mut record = self.record.lock().await;
        if !matches!(&*self.state.borrow(), State::Open(open) if Arc::ptr_eq(open, engine)) {
            return;
        }
        if let Err(error) = record.mark(engine, false).await {
            self.fail(engine, &chain(&error));
        }
    }

    /// A write through `engine` failed: it is not used again.
    fn fail(&self, engine: &Arc<Engine>, why: &str) {
        let is_first = self.state.send_if_modified(|state| match state {
            State::Open(open) if Arc::ptr_eq(open, engine) => {
                *state = State::Failed(why.into());
                true
            }
            _ => false,
        });
        if is_first {
            tracing::error!(why, "a write to the database failed; nothing is accepted until it can be opened again");
        }
    }
}

impl Record {
    /// Counts up the mark in the database, and then writes the record.
    async fn mark(&mut self, engine: &Arc<Engine>, closed: bool) -> Result<(), CallError> {
        if !self.is_kept {
            return Ok(());
        }
        let Found { installation, last_scan, scans, .. } =
            marks::mark(&Database::Engine(Arc::clone(engine)), self.now.mark + 1).await?;
        let mark = self.now.mark + 1;
        let refused = std::mem::take(&mut self.now.refused);
        self.now = HighWater { installation, mark, last_scan, scans, written_at: SystemClock.now(), closed, refused };
        self.write().await.map_err(|error| CallError::Unreachable(error.to_string()))
    }

    /// Withdraws all batches that were refused. They are forgotten with the next write of the
    /// record.
    async fn settle(&mut self, db: &Database) -> Result<(), CallError> {
        for batch in &self.now.refused {
            let scans = withdraw::withdraw(db, batch).await?;
            if scans > 0 {
                tracing::warn!(scans, "withdrew submissions that were answered with an error");
            }
        }
        self.now.refused.clear();
        Ok(())
    }

    async fn write(&mut self) -> std::io::Result<()> {
        let (file, now) = (Arc::clone(&self.file), self.now.clone());
        blocking(move || file.lock().unwrap_or_else(PoisonError::into_inner).write(&now)).await
    }
}

async fn keep(shared: Arc<Shared>) {
    let mut state = shared.state.subscribe();
    loop {
        let current = state.borrow_and_update().clone();
        match current {
            State::Open(engine) => {
                tokio::select! {
                    () = shared.changed.notified() => {
                        tokio::time::sleep(MARK_AFTER).await;
                        shared.mark(&engine).await;
                    }
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _ = state.changed() => continue,
                }
                let data = shared.data.clone();
                let there = blocking(move || folder::identity(&data.join(DATABASE_FOLDER))).await;
                if there.ok() != Some(shared.identity.load(Ordering::Relaxed)) {
                    shared.fail(&engine, "the folder of the database is gone or another one");
                }
            }
            State::Failed(why) => recover(&shared, &why).await,
            State::Lost(_) | State::Closed => return,
        }
    }
}

/// Opens a new engine as soon as the disk takes writes, and compares what it finds with the record.
async fn recover(shared: &Arc<Shared>, why: &str) {
    let mut pause = SHORTEST_PAUSE;
    let mut last = why.to_owned();
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        if !matches!(&*shared.state.borrow(), State::Failed(_)) {
            return;
        }
        let error = match reopen(shared).await {
            Ok(()) => {
                tracing::info!("the database is open again");
                return;
            }
            Err(error) => error,
        };
        let text = chain(&error);
        // A disk that is missing may come back; what is damaged or behind does not heal.
        let may_come_back = matches!(error, OpenError::Damaged(Damage::Missing));
        if matches!(error, OpenError::Lost(_) | OpenError::Damaged(_) | OpenError::Replaced { .. }) && !may_come_back {
            tracing::error!("{text}");
            shared.state.send_replace(State::Lost(text.into()));
            return;
        }
        if text != last {
            tracing::warn!(error = text, "the database cannot be opened yet");
            shared.state.send_if_modified(|state| match state {
                State::Failed(why) => {
                    *why = text.as_str().into();
                    true
                }
                _ => false,
            });
            last = text;
        }
    }
}

async fn reopen(shared: &Arc<Shared>) -> Result<(), OpenError> {
    let probe = shared.data.join("write-probe");
    let tried = blocking(move || {
        let written =
            std::fs::write(&probe, vec![0; PROBE_BYTES]).and_then(|()| std::fs::File::open(&probe)?.sync_all());
        // Where it was not made, there is nothing to remove.
        let _ = std::fs::remove_file(&probe);
        written
    });
    tried.await.map_err(|source| OpenError::Folder { folder: shared.data.clone(), source })?;
    let record = shared.record.lock().await.now.clone();
    // An engine whose database folder is gone would begin an empty one.
    let engine =
        open_engine(&shared.data, shared.opening, ExpectedDatabase::Known(&record.installation), true, None).await?;
    let checked = check(&Database::Engine(Arc::clone(&engine)), Some(&record), false, false).await;
    if let Err(error) = checked {
        Engine::close(engine).await;
        return Err(error);
    }
    shared.begin(engine).await
}

/// Compares the database with its record.
async fn check(
    db: &Database,
    record: Option<&HighWater>,
    is_damaged: bool,
    accept_loss: bool,
) -> Result<Found, OpenError> {
    let failed = |source: CallError| OpenError::Database {
        doing: "compare the database with its high-water record",
        source: Box::new(source),
    };
    let found = marks::found(db).await.map_err(failed)?;
    let loss = match judge(record, &found) {
        Verdict::Sound if is_damaged => Some(Loss::Unknown),
        Verdict::Sound => None,
        Verdict::Unrecorded => {
            tracing::warn!("the high-water record of the database is missing; it begins anew");
            None
        }
        Verdict::Behind(loss) => Some(loss),
    };
    let Some(loss) = loss else { return Ok(found) };
    if !accept_loss {
        return Err(OpenError::Lost(loss));
    }
    tracing::warn!(%loss, "an operator accepted a loss: the database is used as it is");
    marks::accept(db, record.map_or(0, |record| record.last_scan), loss.to_string()).await.map_err(failed)?;
    marks::found(db).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ListQuery;
    use kastrel_actors::model::ScanId;
    use kastrel_actors::ports::{ScanStore as _, StoreError};
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::adapters::surreal_store::SurrealStore;

    async fn opened(folder: &Path) -> (EmbeddedDatabase, SurrealStore) {
        let opening = Opening { purpose: Purpose::Use, accept_loss: false };
        let database = EmbeddedDatabase::open(folder, opening, None).await.unwrap();
        let store = SurrealStore::from_database(Database::Embedded(database.clone()), None);
        (database, store)
    }

    fn engine(database: &EmbeddedDatabase) -> Arc<Engine> {
        database.engine().unwrap()
    }

    async fn listed(store: &SurrealStore) -> Vec<ScanId> {
        store.list(ListQuery::default()).await.unwrap().scans.iter().map(|scan| scan.id).collect()
    }

    /// Each store has one batch in flight, and its last batch is the one that its row in
    /// `submitter` tells about.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_batch_that_was_refused_is_withdrawn_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let (database, store) = opened(folder.path()).await;
        let kept = store.submit(fixtures::new_scan("kept.test")).await.unwrap().into_record().id;
        let mut refused = Vec::new();
        for number in 0..24 {
            let other = SurrealStore::from_database(Database::Embedded(database.clone()), None);
            other.submit(fixtures::new_scan(&format!("refused-{number}.test"))).await.unwrap();
            let sent = other.submitter().await;
            refused.push(RefusedBatch { submitter: sent.0, batch: sent.1, amount: 1 });
        }
        // All of them turn out to be unanswered while the engine has failed.
        database.shared.fail(&engine(&database), "a test");
        for batch in refused {
            database.refuse(batch).await;
        }
        let mut state = database.shared.state.subscribe();
        drop(state.wait_for(|state| matches!(state, State::Open(_))).await.unwrap());
        assert_eq!(listed(&store).await, [kept]);
        assert!(database.shared.record.lock().await.now.refused.is_empty());
        database.close().await;
        drop((store, database));
        let (database, store) = opened(folder.path()).await;
        assert_eq!(listed(&store).await, [kept], "nor after a restart");
        database.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_submission_is_sent_before_a_refused_one_is_withdrawn() {
        let folder = tempfile::tempdir().unwrap();
        let (database, store) = opened(folder.path()).await;
        database.shared.is_unsettled.store(true, Ordering::Release);
        let answer = store.submit(fixtures::new_scan("a.test")).await;
        assert!(
            matches!(&answer, Err(StoreError::Unavailable(why)) if why.to_string().contains("not withdrawn yet")),
            "{answer:?}"
        );
        let batch = RefusedBatch { submitter: uuid::Uuid::max().to_string(), batch: 1, amount: 1 };
        database.refuse(batch).await;
        assert_eq!(
            store.submit(fixtures::new_scan("b.test")).await.unwrap().into_record().id,
            ScanId(1),
            "the refused one used no number: it was not sent"
        );
        database.close().await;
    }
}
