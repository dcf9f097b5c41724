//! What follows from the store's answer to a lease.

use std::time::Duration;

use crate::model::ScanRecord;
use crate::policy::transition::Refusal;
use crate::ports::Applied;

/// What a dispatcher does with a delivery.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Dispatch {
    /// Run it, and acknowledge the signal.
    Launch(Box<ScanRecord>),
    /// The row needs no lease (any more): acknowledge the signal.
    Drop,
    /// Too early: give the signal back for so long.
    Later(Duration),
    /// The node may not lease now: give the signal back for another.
    NotNow,
}

pub(crate) fn decide(answer: Applied) -> Dispatch {
    match answer {
        Applied::Committed(record) => Dispatch::Launch(Box::new(record)),
        Applied::Refused(Refusal::NotDue(wait), _) => Dispatch::Later(wait),
        Applied::Refused(Refusal::NodeLeaseEnded | Refusal::NodeDraining | Refusal::QueuePaused, _) => Dispatch::NotNow,
        Applied::Refused(
            Refusal::NotPending(_) | Refusal::StaleToken | Refusal::AlreadyEnded(_) | Refusal::AlreadyDone,
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
    fn each_answer_has_its_consequence() {
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
