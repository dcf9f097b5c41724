//! Changes a row by compare-and-set. The module `lease` makes the only change that
//! works differently.

use kastrel_actors::model::{Command, ScanId, ScanRecord, ScanState};
use kastrel_actors::policy::events::{event_of, key_of, principal_of};
use kastrel_actors::policy::transition::{Transition, transition};
use kastrel_actors::ports::{Applied, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::calls::{self, Tries};
use super::ended::{Ended, write_ended};
use super::error::{CallError, Failure};
use super::event::{EventRows, write_event};
use super::inner::Inner;
use super::read::Read;
use super::results::{Results, write_results};
use super::row::{self, Columns, set_columns};
use super::store::SurrealStore;

#[derive(Debug, SurrealValue)]
struct WriteArguments {
    key: RecordId,
    expected: i64,
    columns: Columns,
    results: Results,
    ended: Option<Ended>,
    event: Option<EventRows>,
}

#[derive(Debug, SurrealValue)]
struct WriteAnswer {
    written: i64,
}

macro_rules! update {
    () => {
        concat!(
            "LET $written = UPDATE $key SET ",
            set_columns!(),
            ", lease = NONE WHERE version = $expected RETURN VALUE version;
            IF array::len($written) > 0 {",
            write_results!(),
            "};
            RETURN { written: array::len($written) };"
        )
    };
}

const WRITE: &str = concat!("BEGIN;", update!(), "COMMIT;");

/// An update with other rows, which are written if the update will be.
macro_rules! update_with {
    ($($rows:tt)*) => {
        concat!(
            "BEGIN;
            IF (SELECT VALUE version FROM ONLY $key) = $expected {",
            $($rows)*
            "};",
            update!(),
            "COMMIT;"
        )
    };
}

/// The update of a command or of an end of an attempt, with its event.
const WRITE_EVENT: &str = update_with!(write_event!(),);

/// The update that ends a scan, with its event and the scan's `ended` and `found` rows.
const WRITE_END: &str = update_with!(write_ended!(), write_event!(),);

/// The transfer of a scan that has ended, with its event. Its `ended` and `found` rows and its tags
/// go to the other project, and its public links and shares end. The relay moves the count of its
/// day.
const WRITE_TRANSFER: &str = update_with!(
    write_ended!(),
    "UPDATE $key SET project = $ended.project RETURN NONE;
    DELETE public_link WHERE scan = $ended.number RETURN NONE;
    DELETE share WHERE scan = $ended.number RETURN NONE;
    UPDATE scan_tag:[$ended.number]..[$ended.number + 1] SET project = $ended.project RETURN NONE;",
    write_event!(),
);

/// The result of a write.
enum Written {
    Yes,
    /// Another writer changed the row first.
    Lost,
    /// The response was lost, so the outcome is unknown.
    Unknown(CallError),
    /// Nothing was sent, or the database failed.
    Failed(CallError),
}

impl Inner {
    async fn write(
        &self,
        key: RecordId,
        read: &Read,
        next: &ScanRecord,
        command: &Command,
    ) -> Result<Written, StoreError> {
        let event = event_of(&read.record, next)
            .map(|event| EventRows::new(&event, &principal_of(command), Some(key_of(next)), self.offset()))
            .transpose()?;
        let arguments = WriteArguments {
            key,
            expected: row::signed(read.record.version)?,
            columns: Columns::of(next)?,
            results: Results::between(read.stored_plugins(), next)?,
            ended: Ended::of(next)?,
            event,
        };
        let sql = match (&arguments.ended, &arguments.event) {
            (Some(_), _) if matches!(command, Command::Transfer { .. }) => WRITE_TRANSFER,
            (Some(_), _) => WRITE_END,
            (None, Some(_)) => WRITE_EVENT,
            (None, None) => WRITE,
        };
        Ok(match calls::call::<WriteAnswer>(&self.db, sql, arguments).await {
            Ok(WriteAnswer { written: 0 }) => Written::Lost,
            Ok(_) => Written::Yes,
            Err(error) => match error.failure() {
                Failure::Conflict | Failure::Exists => Written::Lost,
                Failure::Lost | Failure::Unknown | Failure::Thrown => Written::Unknown(error),
                Failure::Unsent | Failure::Outdated => Written::Failed(error),
            },
        })
    }
}

impl SurrealStore {
    pub(super) async fn read(&self, id: ScanId) -> Result<Option<Read>, StoreError> {
        self.inner.read(id).await
    }

    pub(super) async fn change(&self, id: ScanId, command: &Command) -> Result<Applied, StoreError> {
        if let Command::Lease { node } = command {
            return self.lease(id, node).await;
        }
        let Some(key) = row::scan_key(id) else { return Ok(Applied::Missing) };
        let mut tries = Tries::default();
        // A write whose response was lost. The database may still commit it until the row has
        // another version. So the loop first checks whether it was committed, and resends the same
        // write while the row is unchanged: whichever copy is committed, the result is the same.
        let mut unanswered: Option<ScanRecord> = None;
        loop {
            let Some(read) = self.read(id).await? else { return Ok(Applied::Missing) };
            if unanswered.as_ref().is_some_and(|wanted| was_made_by(command, wanted, &read.record)) {
                return Ok(Applied::Committed(read.record));
            }
            unanswered = unanswered.filter(|wanted| wanted.version == read.record.version + 1);
            let next = match &unanswered {
                Some(wanted) => wanted.clone(),
                None => match transition(&read.record, command, read.now) {
                    Transition::Changed(next) => *next,
                    Transition::Refused(refusal) => return Ok(Applied::Refused(refusal, read.record)),
                },
            };
            match self.inner.write(key.clone(), &read, &next, command).await? {
                Written::Yes => return Ok(Applied::Committed(next)),
                Written::Lost => tries.after_collision().await?,
                Written::Unknown(error) if error.failure() == Failure::Lost => {
                    tries.after(error).await?;
                    unanswered = Some(next);
                }
                Written::Unknown(error) => return self.read_back(id, command, next, error).await,
                Written::Failed(error) => return Err(error.into()),
            }
        }
    }

    /// Determines the outcome of a write that failed with an ambiguous error by reading the row.
    /// Returns the error if the row does not show the write.
    async fn read_back(
        &self,
        id: ScanId,
        command: &Command,
        wanted: ScanRecord,
        error: CallError,
    ) -> Result<Applied, StoreError> {
        match self.read(id).await {
            Ok(Some(read)) if was_made_by(command, &wanted, &read.record) => Ok(Applied::Committed(read.record)),
            _ => Err(error.into()),
        }
    }
}

/// Like [`was_made`], for the write of a command. Two transfers keep the same end, so of them only
/// the content of the same version says which was made.
fn was_made_by(command: &Command, wanted: &ScanRecord, found: &ScanRecord) -> bool {
    let is_transfer = matches!(command, Command::Transfer { .. });
    (!is_transfer || found.version == wanted.version) && was_made(wanted, found)
}

/// True if the write of `wanted` is part of the history of `found`.
///
/// If the versions are equal, the content decides. After later changes, a write that ended an
/// attempt or the scan is still recognized by the token, the node and the times of that end, which
/// no other write shares.
pub(super) fn was_made(wanted: &ScanRecord, found: &ScanRecord) -> bool {
    if found.version == wanted.version {
        return found == wanted;
    }
    if found.version < wanted.version {
        return false;
    }
    match &wanted.state {
        // It ended an attempt: only that makes a row pending.
        ScanState::Pending { .. } => wanted.attempts.last().is_some_and(|attempt| found.attempts.contains(attempt)),
        // Later progress replaced it.
        ScanState::Running { .. } => false,
        // A finished row changes only by transfers, which keep the end.
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {
            found.state == wanted.state && found.attempts == wanted.attempts
        }
    }
}
