//! What follows from the store's answer to a lease.

use jiff::Timestamp;

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
    /// Too early: give the signal back until then.
    Later(Timestamp),
    /// The node may not lease now: give the signal back for another.
    NotNow,
}

pub(crate) fn decide(answer: Applied) -> Dispatch {
    match answer {
        Applied::Committed(record) => Dispatch::Launch(Box::new(record)),
        Applied::Refused(Refusal::NotDue(due), _) => Dispatch::Later(due),
        Applied::Refused(Refusal::NodeLeaseEnded | Refusal::NodeDraining | Refusal::QueuePaused, _) => Dispatch::NotNow,
        Applied::Refused(Refusal::NotPending(_) | Refusal::StaleToken | Refusal::AlreadyEnded(_) | Refusal::AlreadyDone, _) | Applied::Missing => {
            Dispatch::Drop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ScanStatus;
    use crate::testing::fixtures;

    #[test]
    fn each_answer_has_its_consequence() {
        let record = || fixtures::record(1, Timestamp::UNIX_EPOCH);
        let due = Timestamp::from_second(9).unwrap();
        for (answer, expected) in [
            (Applied::Committed(record()), Dispatch::Launch(Box::new(record()))),
            (Applied::Refused(Refusal::NotDue(due), record()), Dispatch::Later(due)),
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
