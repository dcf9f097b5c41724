//! Writing the end of an attempt, however long the store takes.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::context::Shared;
use crate::model::{AttemptEnd, CancelledBy, Command, Failure, FencingToken, PluginResult, Resolution, ScanId};
use crate::policy::restart::after_failure;
use crate::ports::{Applied, StoreError};
use crate::task::persistence;

/// The longest that one write may take before it is tried again.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How the writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Committed.
    Done,
    /// The row has moved on without us, or this is a repetition of what was committed: nothing changed.
    Stale,
    /// Given up.
    Abandoned,
}

/// What becomes of a scan whose attempt came to `end`.
#[must_use]
pub(crate) fn resolve(shared: &Shared, end: AttemptEnd, failures_before: u32, by: CancelledBy) -> Resolution {
    match end {
        AttemptEnd::Completed(verdict) => Resolution::Complete(verdict),
        AttemptEnd::Interrupted { why } => Resolution::Requeue(why),
        AttemptEnd::Cancelled => Resolution::Cancel(by),
        AttemptEnd::Failed(failure) => retry_or_fail(shared, failure, failures_before),
    }
}

/// What becomes of a scan after `failure`.
#[must_use]
pub(crate) fn retry_or_fail(shared: &Shared, failure: Failure, failures_before: u32) -> Resolution {
    after_failure(shared.config.retry, failure, failures_before, shared.ports.clock.now(), &mut rand::rng())
}

/// One attempt's end, on its way into the store.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) scan: ScanId,
    pub(crate) token: FencingToken,
    pub(crate) resolution: Resolution,
    pub(crate) plugins: Option<Vec<PluginResult>>,
}

impl Record {
    /// Writes until the store has answered. `tries` bounds how often; `None` never gives up.
    pub(crate) async fn write(self, shared: Arc<Shared>, tries: Option<u32>) -> Recorded {
        let mut failed = 0;
        loop {
            let command = Command::Finish { token: self.token, resolution: self.resolution.clone(), plugins: self.plugins.clone() };
            let answer = tokio::time::timeout(WRITE_LIMIT, shared.ports.store.apply(self.scan, command)).await;
            match answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))) {
                Ok(Applied::Committed(record)) => {
                    info!(scan.id = self.scan.0, scan.attempt = record.attempts.len(), status = %record.status(), "recorded the end of an attempt");
                    shared.announce(record).await;
                    return Recorded::Done;
                }
                Ok(Applied::Refused(_, record)) if record.token == self.token => {
                    // Our own write, whose answer was lost, has ended the attempt already.
                    shared.announce(record).await;
                    return Recorded::Stale;
                }
                Ok(Applied::Refused(why, record)) => {
                    warn!(scan.id = self.scan.0, scan.token = self.token.0, row.token = record.token.0, %why, "the end of an attempt changed nothing: its token is stale");
                    shared.announce(record).await;
                    return Recorded::Stale;
                }
                Ok(Applied::Missing) => return Recorded::Stale,
                Err(error) => {
                    failed += 1;
                    warn!(scan.id = self.scan.0, tries = failed, error = &error as &dyn std::error::Error, "could not record the end of an attempt");
                    if tries.is_some_and(|most| failed >= most) {
                        return Recorded::Abandoned;
                    }
                    tokio::time::sleep(persistence(failed)).await;
                }
            }
        }
    }
}
