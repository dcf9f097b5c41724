//! Protocols with one mistake each. The model must find a counterexample for each.

use crate::bounds::{Bounds, CUT, FROZEN, KILLED, OUTBOX, QUEUE, SCHEDULE};
use crate::properties as name;

/// The protocol that is checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Variant {
    /// The protocol that is implemented.
    #[default]
    Implemented,
    /// A node relies on its lease to the end: there is no margin before other nodes take over.
    NoMargin,
    /// The margin counts from the answer of a renewal, not from its request.
    TrustFromAnswer,
    /// No watchdog ends the scanners of a node that cannot.
    NoWatchdog,
    /// The supervisor starts an attempt without a look at the lease.
    LaunchUnchecked,
    /// An end is written without a check of the token.
    NoTokenCheck,
    /// A signal is acknowledged when it is delivered, and not after the lease.
    AcknowledgeBeforeLease,
    /// Nobody repeats the signals of rows that wait.
    NoReminder,
    /// The entry of the outbox is written after the transaction of the end.
    EventAfterCommit,
    /// The consumer counts an entry in one transaction, and marks it in another.
    CountApartFromMark,
    /// A schedule fires without an idempotency key.
    FireWithoutKey,
}

impl Variant {
    /// All variants with a mistake, each with the property that it breaks, and bounds in which it
    /// does.
    pub const WRONG: [(Self, &'static str, &'static Bounds); 10] = [
        (Self::NoMargin, name::ONE_SCANNER, &CUT),
        (Self::TrustFromAnswer, name::ONE_SCANNER, &CUT),
        (Self::NoWatchdog, name::ONE_SCANNER, &FROZEN),
        (Self::LaunchUnchecked, name::ONE_SCANNER, &FROZEN),
        (Self::NoTokenCheck, name::NO_STALE_WRITE, &FROZEN),
        (Self::AcknowledgeBeforeLease, name::SIGNALS_ARE_KEPT, &KILLED),
        (Self::NoReminder, name::SCANS_END, &QUEUE),
        (Self::EventAfterCommit, name::END_HAS_EVENT, &OUTBOX),
        (Self::CountApartFromMark, name::COUNTED_ONCE, &OUTBOX),
        (Self::FireWithoutKey, name::FIRED_ONCE, &SCHEDULE),
    ];
}
