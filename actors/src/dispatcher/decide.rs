//! The decision that follows from the store's response to a lease.

use std::time::Duration;

use crate::model::ScanRecord;
use crate::policy::transition::Refusal;
use crate::ports::Applied;

/// What the dispatcher does with a delivery.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Dispatch {
    /// Run the scan, and acknowledge the signal.
    Launch(Box<ScanRecord>),
    /// The row needs no lease (any more): acknowledge the signal.
    Drop,
    /// The scan is not due yet: release the signal with this wait.
    Later(Duration),
    /// The node may not lease now: release the signal for another node.
    NotNow,
}

pub(crate) fn decide(answer: Applied) -> Dispatch {
    match answer {
        Applied::Committed(record) => Dispatch::Launch(Box::new(record)),
        Applied::Refused(Refusal::NotDue(wait), _) => Dispatch::Later(wait),
        Applied::Refused(Refusal::NodeLeaseEnded | Refusal::NodeDraining | Refusal::QueuePaused, _) => Dispatch::NotNow,
        Applied::Refused(
            Refusal::NotPending(_)
            | Refusal::StaleToken
            | Refusal::AlreadyEnded(_)
            | Refusal::NotEnded(_)
            | Refusal::InOtherProject
            | Refusal::AlreadyDone,
            _,
        )
        | Applied::Missing => Dispatch::Drop,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::ScanStatus;
    use crate::testing::fixtures;

    #[test]
    fn store_response_determines_the_dispatch() {
        let record = || fixtures::record(1, Timestamp::UNIX_EPOCH);
        let wait = Duration::from_secs(9);
        for (answer, expected) in [
            (Applied::Committed(record()), Dispatch::Launch(Box::new(record()))),
            (Applied::Refused(Refusal::NotDue(wait), record()), Dispatch::Later(wait)),
            (Applied::Refused(Refusal::NotPending(ScanStatus::Running), record()), Dispatch::Drop),
            (Applied::Refused(Refusal::NodeLeaseEnded, record()), Dispatch::NotNow),
            (Applied::Refused(Refusal::NodeDraining, record()), Dispatch::NotNow),
            (Applied::Refused(Refusal::QueuePaused, record()), Dispatch::NotNow),
            (Applied::Missing, Dispatch::Drop),
        ] {
            assert_eq!(decide(answer), expected);
        }
    }
}
