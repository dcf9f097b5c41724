//! The check of both keys before an attempt starts: the right of the submitter and the clearance of
//! the target.

use std::time::Duration;

use tracing::{error, warn};

use crate::context::Shared;
use crate::model::{AttemptEnd, ClassifiedEnd, Failure, FailureKind, Interruption, Principal, ScanRecord};
use crate::policy::clearance::{self, ClearanceRule};
use crate::policy::start_keys::{self, MissingKey};
use crate::ports::StoreError;
use crate::task::persistence;

/// The timeout of one check.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// How often the check is tried while the store does not respond.
const TRIES: u32 = 3;

/// Checks that both keys are there. An attempt of which that is not known does not start. A scan of
/// an account is checked on every node: its server has accounts, whatever the node is configured.
///
/// # Errors
/// The end of the attempt. A missing key fails the scan. A store that does not respond interrupts
/// the attempt at no cost.
pub(super) async fn check(shared: &Shared, record: &ScanRecord) -> Result<(), ClassifiedEnd> {
    let submitter = start_keys::submitter(record);
    if shared.config.clearance == ClearanceRule::NotRequired && matches!(submitter, Ok(None)) {
        return Ok(());
    }
    let refused = |why: String| Err(AttemptEnd::Failed(Failure::new(FailureKind::NotPermitted, why)));
    let mut failed = 0;
    loop {
        let checked = tokio::time::timeout(CHECK_LIMIT, check_once(shared, record, &submitter)).await;
        match checked.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(missing)) => return refused(missing.to_string()),
            Err(error @ StoreError::Corrupt(_)) => {
                error!(
                    scan.id = record.id.0,
                    error = &error as &dyn std::error::Error,
                    "the account or the clearance of a scan cannot be read; the scan does not start"
                );
                return refused("the account of the submitter or the clearance of the target cannot be read".into());
            }
            Err(error) => {
                failed += 1;
                warn!(
                    scan.id = record.id.0,
                    tries = failed,
                    error = &error as &dyn std::error::Error,
                    "could not check whether a scan may start"
                );
                if failed >= TRIES {
                    return Err(AttemptEnd::Interrupted { why: Interruption::NeverStarted, detail: None });
                }
                tokio::time::sleep(persistence(failed)).await;
            }
        }
    }
}

async fn check_once(
    shared: &Shared,
    record: &ScanRecord,
    submitter: &Result<Option<Principal>, MissingKey>,
) -> Result<Result<(), MissingKey>, StoreError> {
    let store = &shared.ports.store;
    let submitter = match submitter {
        Ok(submitter) => submitter,
        Err(missing) => return Ok(Err(missing.clone())),
    };
    if let Some(submitter) = submitter
        && let Some(name) = submitter.account()
    {
        let account = store.access.account(name).await?;
        if let Err(missing) = start_keys::check_submitter(submitter, account.as_ref(), record) {
            return Ok(Err(missing));
        }
    }
    let host = record.request.target.host();
    let given = store.clearances.clearances_for(&record.project, host).await?;
    let decision = clearance::decide(host, record.request.options.mode, &given, shared.ports.clock.now());
    Ok(decision.map_err(MissingKey::Clearance))
}
