//! Writes the end of an attempt to the store, with retries for as long as needed.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::context::Shared;
use crate::messages::scan::FinishOutcome;
use crate::model::{
    AttemptEnd, CancelledBy, ClassifiedEnd, Command, Failure, FailureKind, FencingToken, Interruption, PluginResult,
    Resolution, ScanId,
};
use crate::policy::restart::after_failure;
use crate::ports::{Applied, StoreError};
use crate::task::persistence;

/// The timeout of one write; after it the write is retried.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Returns the effect of the attempt's `end` on its scan.
#[must_use]
pub(crate) fn resolve(shared: &Shared, end: ClassifiedEnd, failures_before: u32, by: CancelledBy) -> Resolution {
    match end {
        AttemptEnd::Completed(verdict) => Resolution::Complete(verdict),
        AttemptEnd::Interrupted { why: Interruption::Infrastructure, detail } => {
            Resolution::HoldBack(detail.unwrap_or_default())
        }
        AttemptEnd::Interrupted { why, .. } => Resolution::Requeue(why),
        AttemptEnd::Cancelled => Resolution::Cancel(by),
        AttemptEnd::Failed(failure) => retry_or_fail(shared, failure, failures_before),
    }
}

/// Returns the effect of `failure` on a scan.
#[must_use]
pub(crate) fn retry_or_fail(shared: &Shared, failure: Failure, failures_before: u32) -> Resolution {
    after_failure(shared.config.retry, failure, failures_before, &mut rand::rng())
}

/// The end of one attempt, to be written to the store.
#[derive(Debug, Clone)]
pub(crate) struct AttemptFinisher {
    pub(crate) scan: ScanId,
    pub(crate) token: FencingToken,
    pub(crate) resolution: Resolution,
    pub(crate) plugins: Option<Vec<PluginResult>>,
    shortened: bool,
}

impl AttemptFinisher {
    pub(crate) const fn new(
        scan: ScanId,
        token: FencingToken,
        resolution: Resolution,
        plugins: Option<Vec<PluginResult>>,
    ) -> Self {
        Self { scan, token, resolution, plugins, shortened: false }
    }

    /// Removes the scanner's results, which may be larger than a row can hold.
    fn shorten(self) -> Self {
        let resolution = match self.resolution {
            Resolution::Complete(_) | Resolution::Adopt(_) | Resolution::Fail(_) | Resolution::Retry { .. } => {
                Resolution::Fail(Failure::new(
                    FailureKind::UnreadableResult,
                    "the results are too large to be stored; the scan's files hold them",
                ))
            }
            kept @ (Resolution::Cancel(_) | Resolution::Requeue(_) | Resolution::HoldBack(_)) => kept,
        };
        Self { resolution, plugins: Some(Vec::new()), shortened: true, ..self }
    }

    /// Writes until the store responds. `tries` limits the attempts; with `None` it never gives up.
    pub(crate) async fn write(self, shared: Arc<Shared>, tries: Option<u32>) -> FinishOutcome {
        let mut failed = 0;
        let mut record = self;
        loop {
            let command = Command::Finish {
                token: record.token,
                resolution: record.resolution.clone(),
                plugins: record.plugins.clone(),
            };
            let answer = tokio::time::timeout(WRITE_LIMIT, shared.ports.store.scans.apply(record.scan, command)).await;
            match answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))) {
                Ok(Applied::Committed(row)) => {
                    info!(scan.id = record.scan.0, scan.attempt = row.attempts.len(), status = %row.status(), "recorded the end of an attempt");
                    shared.announce(row).await;
                    return FinishOutcome::Done;
                }
                Ok(Applied::Refused(_, row)) if row.token == record.token => {
                    // An earlier write of this finisher has ended the attempt; its response was
                    // lost.
                    shared.announce(row).await;
                    return FinishOutcome::Superseded;
                }
                Ok(Applied::Refused(why, row)) => {
                    warn!(scan.id = record.scan.0, scan.token = record.token.0, row.token = row.token.0, %why, "the end of an attempt changed nothing: its token is stale");
                    shared.announce(row).await;
                    return FinishOutcome::Superseded;
                }
                Ok(Applied::Missing) => return FinishOutcome::Superseded,
                Err(error @ StoreError::Corrupt(_)) if !record.shortened => {
                    error!(
                        scan.id = record.scan.0,
                        error = &error as &dyn std::error::Error,
                        "the end of an attempt cannot be stored; storing it without its results"
                    );
                    record = record.shorten();
                }
                Err(error @ StoreError::Corrupt(_)) => {
                    error!(
                        scan.id = record.scan.0,
                        error = &error as &dyn std::error::Error,
                        "the row of a scan cannot be changed"
                    );
                    return FinishOutcome::Abandoned;
                }
                Err(error) => {
                    failed += 1;
                    warn!(
                        scan.id = record.scan.0,
                        tries = failed,
                        error = &error as &dyn std::error::Error,
                        "could not record the end of an attempt"
                    );
                    if tries.is_some_and(|most| failed >= most) {
                        return FinishOutcome::Abandoned;
                    }
                    tokio::time::sleep(persistence(failed)).await;
                }
            }
        }
    }
}
