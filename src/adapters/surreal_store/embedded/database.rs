//! The embedded database that the store uses. It replaces its engine after a failed write.
//!
//! - **Owns** the engine, the high-water record, and one task that writes the record after changes
//!   and opens a new engine after a failure.
//! - **States**: `open` -> a write fails with an I/O error -> `failed` (every call fails
//!   immediately) -> the engine is closed, the disk is probed, a new engine is opened and compared
//!   with the record -> `open`. If the database is behind the record, the state is `lost`, and the
//!   process ends. `closed` is final.
//! - **Never** uses an engine after a failed write, and never a database that lacks an acknowledged
//!   commit.

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
use super::opening::{BeforeChange, Opening, blocking, open_engine, read_all};
use super::{RefusedBatch, convert, failure, marks, withdraw};
use crate::adapters::surreal_store::error::{CallError, OpenError};
use crate::adapters::surreal_store::executor::Executor;
use crate::adapters::surreal_store::migrate::{ExpectedDatabase, Purpose};
use crate::error_chain::chain;

/// The longest delay between a commit and the record that covers it, not counting the time of the
/// disk.
const MARK_AFTER: Duration = Duration::from_millis(250);

/// How often the folder is checked, because an engine continues to write to deleted files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The shortest and the longest pause between attempts to open a new engine after a failure.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The size of the disk probe, in bytes. It must succeed before a new engine is opened, because
/// recovery flushes memory tables.
const PROBE_BYTES: usize = 1 << 20;

/// The embedded database; see the module docs. Clones share one engine.
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
    /// Notified after each commit since the last mark.
    changed: Notify,
    /// The identity of the folder in which the engine was opened, from [`folder::identity`].
    identity: AtomicU64,
    /// True while a refused batch is not yet withdrawn.
    is_unsettled: AtomicBool,
    record: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    file: Arc<std::sync::Mutex<HighWaterFile>>,
    now: HighWater,
    /// False until a restore is complete. Before that there is nothing to record, and afterwards
    /// the record starts again.
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
    /// Opens the database in the data folder `data`; the caller holds the folder's lock. Converts
    /// the database of an earlier version, checks for damage and loss, and migrates the schema.
    /// Runs `before` before the schema of an existing database changes.
    pub(in super::super) async fn open(
        data: &Path,
        opening: Opening,
        before: Option<&BeforeChange<'_>>,
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
        let checked = check(&*engine, record.as_ref(), recorded == Recorded::Damaged, opening.accept_loss).await;
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

    /// Returns the result of each statement.
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

    /// Returns an error if no call is possible.
    pub(in super::super) fn check(&self) -> Result<(), CallError> {
        self.engine().map(drop)
    }

    /// Returns an error if no submission is possible. While a refused submission may still be
    /// committed, no other one is sent, because it would overwrite the row that shows the outcome
    /// of the first.
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

    /// Makes sure that a batch whose caller got an error is not committed: records it on disk, and
    /// withdraws it as soon as an engine is open.
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
        match record.settle(&*engine).await {
            Ok(()) => self.shared.is_unsettled.store(false, Ordering::Release),
            Err(error) => self.shared.fail(&engine, &chain(&error)),
        }
    }

    /// Starts to record the database, because a restore is complete.
    pub(in super::super) async fn restored(&self) {
        self.shared.record.lock().await.is_kept = true;
        self.shared.changed.notify_one();
    }

    /// Reads all keys and values, which verifies the checksum of each block. Returns the number of
    /// keys.
    pub(in super::super) async fn read_every_key(&self) -> Result<u64, OpenError> {
        let failed = |source: CallError| OpenError::Database {
            doing: "read every key of the database",
            source: Box::new(source),
        };
        read_all(&*self.engine().map_err(failed)?).await
    }

    /// Waits until the database turns out to have lost acknowledged commits.
    pub(in super::super) async fn lost(&self) -> String {
        let mut state = self.shared.state.subscribe();
        let lost = state.wait_for(|state| matches!(state, State::Lost(_))).await.map(|state| state.clone());
        match lost {
            Ok(State::Lost(why)) => why.to_string(),
            _ => std::future::pending().await,
        }
    }

    /// Closes the database permanently: running calls finish, the record is written, and the engine
    /// releases its files.
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
    /// Withdraws refused batches, writes the first mark, and admits calls.
    async fn begin(&self, engine: Arc<Engine>) -> Result<(), OpenError> {
        let mut record = self.record.lock().await;
        let failed = |doing| move |source: CallError| OpenError::Database { doing, source: Box::new(source) };
        let begun = async {
            record.settle(&*engine).await.map_err(failed("withdraw refused submissions"))?;
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

    /// Writes the record, if `engine` is still in use.
    async fn mark(&self, engine: &Arc<Engine>) {
        let mut record = self.record.lock().await;
        if !matches!(&*self.state.borrow(), State::Open(open) if Arc::ptr_eq(open, engine)) {
            return;
        }
        if let Err(error) = record.mark(engine, false).await {
            self.fail(engine, &chain(&error));
        }
    }

    /// Takes `engine` out of use, because a write failed.
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
    /// Increments the mark in the database, and then writes the record.
    async fn mark(&mut self, engine: &Arc<Engine>, closed: bool) -> Result<(), CallError> {
        if !self.is_kept {
            return Ok(());
        }
        let Found { installation, last_scan, scans, .. } = marks::mark(&**engine, self.now.mark + 1).await?;
        let mark = self.now.mark + 1;
        let refused = std::mem::take(&mut self.now.refused);
        self.now = HighWater { installation, mark, last_scan, scans, written_at: SystemClock.now(), closed, refused };
        self.write().await.map_err(|error| CallError::Unreachable(error.to_string()))
    }

    /// Withdraws all refused batches. The next write of the record removes them.
    async fn settle(&mut self, db: &dyn Executor) -> Result<(), CallError> {
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

/// Opens a new engine as soon as the disk accepts writes, and compares the database with the
/// record.
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
        // A missing disk may come back. A damaged or outdated database does not recover.
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
        // An error only means that the probe file was not created.
        let _ = std::fs::remove_file(&probe);
        written
    });
    tried.await.map_err(|source| OpenError::Folder { folder: shared.data.clone(), source })?;
    let record = shared.record.lock().await.now.clone();
    // `must_exist` is true: if the database folder is missing, the engine would otherwise create an
    // empty database.
    let engine =
        open_engine(&shared.data, shared.opening, ExpectedDatabase::Known(&record.installation), true, None).await?;
    let checked = check(&*engine, Some(&record), false, false).await;
    if let Err(error) = checked {
        Engine::close(engine).await;
        return Err(error);
    }
    shared.begin(engine).await
}

/// Compares the database with its record.
async fn check(
    db: &dyn Executor,
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
    use kastrel_actors::ports::StoreError;
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::adapters::surreal_store::SurrealStore;
    use crate::adapters::surreal_store::database::Database;

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

    /// Each store has one batch in flight. Its row in `submitter` describes its last batch.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_batch_that_was_refused_is_withdrawn_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let (database, store) = opened(folder.path()).await;
        let kept = store.submit(fixtures::new_scan("kept.test")).await.unwrap().into_record().id;
        let mut refused = Vec::new();
        for number in 0..24 {
            let other = SurrealStore::from_database(Database::Embedded(database.clone()), None);
            other.submit(fixtures::new_scan(&format!("refused-{number}.test"))).await.unwrap();
            let sent = other.submissions.submitter().await;
            refused.push(RefusedBatch { submitter: sent.0, batch: sent.1, amount: 1 });
        }
        // All of them lose their response while the engine has failed.
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
