//! The bounds of a check: how many nodes and scans there are, which faults happen, and how long the
//! model runs.

use crate::state::{Faults, Time};

/// The durations of the protocol, in units of 10 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How long a renewal is valid.
    pub ttl: Time,
    /// How long a node relies on a renewal. The 22 s of the code are more than 2 units and less
    /// than 3; an action that is due at a moment happens before the next one, so 2 units end later.
    pub trusted: Time,
    /// The interval of renewals, and the timeout of one.
    pub renew_every: Time,
    /// How long a row of a node may have no owner.
    pub grace: Time,
    /// How long a relay leases an entry of the outbox.
    pub entry_lease: Time,
    /// The wait before a retry.
    pub backoff: Time,
}

/// The durations of the code. `tests/code.rs` compares them.
pub const TIMING: Timing = Timing { ttl: 3, trusted: 2, renew_every: 1, grace: 1, entry_lease: 3, backoff: 1 };

/// The seconds of one unit.
pub const UNIT_SECONDS: u64 = 10;

/// The attempts of a scan that may fail.
pub const MAX_ATTEMPTS: u8 = 3;

/// The bounds of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// The name.
    pub name: &'static str,
    /// The number of nodes. Each has one slot.
    pub nodes: usize,
    /// The number of scans that were submitted before the start.
    pub scans: usize,
    /// The nominal times of a schedule, each of which submits one scan.
    pub nominal_times: &'static [Time],
    /// Whether the ends of scans are delivered from the outbox.
    pub has_outbox: bool,
    /// The faults that may happen.
    pub faults: Faults,
    /// How long a scanner runs at the most.
    pub longest_run: Time,
    /// The last moment at which a fault of a node begins.
    pub last_fault: Time,
    /// How long a freeze or a cut lasts at the most.
    pub longest_fault: Time,
    /// The end of time.
    pub horizon: Time,
}

const NO_FAULTS: Faults = Faults {
    kills: 0,
    freezes: 0,
    freezes_with_watchdog: 0,
    cuts: 0,
    queue_losses: 0,
    lost_answers: 0,
    failures: 0,
    refusals: 0,
};

const BASE: Bounds = Bounds {
    name: "base",
    nodes: 2,
    scans: 1,
    nominal_times: &[],
    has_outbox: false,
    faults: NO_FAULTS,
    longest_run: 1,
    last_fault: 1,
    longest_fault: 0,
    horizon: 4,
};

/// A node is cut off from the database, twice, until others take its scan over.
pub const CUT: Bounds = Bounds {
    name: "cut",
    faults: Faults { cuts: 2, ..NO_FAULTS },
    longest_run: 4,
    last_fault: 2,
    longest_fault: 4,
    horizon: 11,
    ..BASE
};

/// A node is frozen, and its watchdog is not.
pub const FROZEN: Bounds = Bounds {
    name: "frozen",
    faults: Faults { freezes: 1, ..NO_FAULTS },
    longest_run: 4,
    longest_fault: 4,
    horizon: 11,
    ..BASE
};

/// A node is frozen together with its watchdog.
pub const FROZEN_TOGETHER: Bounds = Bounds {
    name: "frozen together",
    faults: Faults { freezes_with_watchdog: 1, ..NO_FAULTS },
    longest_run: 4,
    last_fault: 0,
    longest_fault: 4,
    horizon: 11,
    ..BASE
};

/// A node is killed, and the answer to a lease is lost.
pub const KILLED: Bounds = Bounds {
    name: "killed",
    faults: Faults { kills: 1, lost_answers: 1, ..NO_FAULTS },
    longest_run: 2,
    horizon: 12,
    ..BASE
};

/// The queue loses what it holds, and a scanner fails.
pub const QUEUE: Bounds = Bounds {
    name: "queue",
    scans: 2,
    faults: Faults { queue_losses: 1, failures: 1, ..NO_FAULTS },
    horizon: 6,
    ..BASE
};

/// The end of a scan is delivered, while a relay is killed and a delivery is refused.
pub const OUTBOX: Bounds = Bounds {
    name: "outbox",
    has_outbox: true,
    faults: Faults { kills: 1, refusals: 1, ..NO_FAULTS },
    longest_run: 0,
    horizon: 9,
    ..BASE
};

/// Two nodes fire a schedule with two nominal times, and one of them is killed.
pub const SCHEDULE: Bounds = Bounds {
    name: "schedule",
    scans: 0,
    nominal_times: &[0, 1],
    faults: Faults { kills: 1, ..NO_FAULTS },
    longest_run: 0,
    horizon: 8,
    ..BASE
};

/// All bounds.
pub const ALL: [&Bounds; 7] = [&CUT, &FROZEN, &FROZEN_TOGETHER, &KILLED, &QUEUE, &OUTBOX, &SCHEDULE];
