//! The state of the model: the rows of the database, the queue, and the processes on the machines.
//!
//! Times are counted from the start of the model, in units of 10 s (see [`crate::bounds::Timing`]).

/// A moment, in units of 10 s.
pub type Time = u8;

/// A fencing token.
pub type Token = u8;

/// The index of a node in [`State::nodes`].
pub type NodeIndex = usize;

/// The index of a scan in [`State::scans`].
pub type ScanIndex = usize;

/// Everything that exists at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The clock. The model has one; see the crate documentation.
    pub now: Time,
    /// The rows of the scans, with the queue signals of each.
    pub scans: Vec<Scan>,
    /// The nodes, with their rows in the database.
    pub nodes: Vec<Node>,
    /// The scanners that run.
    pub scanners: Vec<Scanner>,
    /// The entries of the outbox.
    pub outbox: Vec<Entry>,
    /// The nominal times whose idempotency key is in the database.
    pub keys: Vec<Time>,
    /// The faults that may still happen.
    pub left: Faults,
}

/// The state of a scan's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// The scan waits, and may start from this moment.
    Pending {
        /// The earliest start.
        due: Time,
    },
    /// An attempt runs on a node.
    Running {
        /// The node.
        node: NodeIndex,
        /// The moment of the lease.
        since: Time,
    },
    /// The scan has completed.
    Completed,
    /// The scan has failed.
    Failed,
}

/// A scan: its row, its queue signals, and what the model observes of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scan {
    /// The state of the row.
    pub row: RowState,
    /// The fencing token of the row.
    pub token: Token,
    /// The number of failed attempts.
    pub failures: u8,
    /// The signal in the delay queue, with the moment from which it may be delivered.
    pub waiting: Option<Time>,
    /// The readers that hold a delivery of the scan which they have not acknowledged.
    pub in_hands: Vec<NodeIndex>,
    /// Observed: the row was committed and its signal was not sent yet, or the queue has lost it.
    pub is_unsignalled: bool,
    /// Observed: how often a writer without the row's token changed it.
    pub stale_writes: u8,
    /// Observed: how often the scan ended.
    pub ends: u8,
    /// How often the consumer of the outbox has counted the end.
    pub counted: u8,
}

impl Scan {
    /// Returns a scan that is due at this moment, with the signal of its submission.
    #[must_use]
    pub const fn submitted(due: Time) -> Self {
        Self {
            row: RowState::Pending { due },
            token: 0,
            failures: 0,
            waiting: Some(due),
            in_hands: Vec::new(),
            is_unsignalled: false,
            stale_writes: 0,
            ends: 0,
            counted: 0,
        }
    }

    /// Returns true if the scan has completed or failed.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.row, RowState::Completed | RowState::Failed)
    }

    /// Adds a signal. A scan waits once, with the earlier of its times.
    pub(crate) fn signal(&mut self, due: Time) {
        self.waiting = Some(self.waiting.map_or(due, |known| known.min(due)));
        self.is_unsignalled = false;
    }
}

/// Whether a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    /// It runs.
    Up,
    /// It is stopped since this moment, and may continue.
    Frozen {
        /// The beginning of the freeze.
        since: Time,
    },
    /// It was killed.
    Gone,
}

/// What the lease actor of a node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lease {
    /// The node requests a lease.
    Acquiring,
    /// The node has a lease.
    Held {
        /// When the request of the last granted renewal was sent.
        sent: Time,
        /// Until when the node relies on it.
        until: Time,
    },
    /// The lease is lost, and attempts are left.
    Clearing,
}

/// A renewal or a registration that is not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// When it was sent.
    pub sent: Time,
    /// True for a registration, which creates the node's row.
    pub registers: bool,
    /// The answer of the database: whether the lease was granted.
    pub answer: Option<bool>,
}

/// What the dispatcher of a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dispatcher {
    /// It waits for a signal.
    Idle,
    /// It has a delivery.
    Delivered {
        /// The scan of the signal.
        scan: ScanIndex,
    },
    /// It has leased the row.
    Leased {
        /// The scan.
        scan: ScanIndex,
        /// The token of the attempt.
        token: Token,
        /// Whether the node has lost its lease since.
        is_outdated: bool,
    },
    /// It has only to acknowledge the delivery.
    Handled {
        /// The scan of the signal.
        scan: ScanIndex,
    },
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The scanner ran to its end.
    Completed,
    /// The attempt failed, and is retried if attempts are left.
    Failed,
    /// The attempt was stopped, or never started; it counts for nothing.
    Interrupted,
}

/// The stage of an attempt in the attempt registry of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The supervisor has taken it; the scanner is about to be started.
    Starting {
        /// Whether the lease was found to be good.
        is_checked: bool,
        /// Whether it is another lease than the one under which the row was leased.
        is_outdated: bool,
    },
    /// The scanner runs.
    Running,
    /// The end is to be written.
    Recording(End),
}

/// An attempt of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The scan.
    pub scan: ScanIndex,
    /// The token of the attempt.
    pub token: Token,
    /// The stage.
    pub stage: Stage,
}

/// A running row that a reconciler has found without a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Orphan {
    /// The scan.
    pub scan: ScanIndex,
    /// The token that the row had.
    pub token: Token,
    /// The node of the row.
    pub node: NodeIndex,
}

/// What the relay of a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relay {
    /// It waits for an entry.
    Idle,
    /// It has leased the entry of a scan.
    Leased {
        /// The scan.
        scan: ScanIndex,
    },
    /// The entry was counted, and is not marked. Only a wrong variant has this step.
    Counted {
        /// The scan.
        scan: ScanIndex,
    },
    /// The consumer has accepted the entry.
    Accepted {
        /// The scan.
        scan: ScanIndex,
    },
}

/// The last order of a node to its watchdog, and the watchdog itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Watchdog {
    /// Whether it runs.
    pub life: Life,
    /// Until when the scanners may live; `None` while nothing runs.
    pub until: Option<Time>,
}

/// A node with its watchdog, and its row in the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    /// Whether the process runs.
    pub life: Life,
    /// Since when the node is cut off from the database.
    pub cut: Option<Time>,
    /// The end of the lease, by the row in the database; `None` if there is no row.
    pub row: Option<Time>,
    /// What the lease actor knows.
    pub lease: Lease,
    /// The renewal in progress.
    pub request: Option<Request>,
    /// What the dispatcher does.
    pub dispatcher: Dispatcher,
    /// The attempt registry.
    pub attempts: Vec<Attempt>,
    /// Scans whose change the node has committed and not signalled yet.
    pub to_announce: Vec<ScanIndex>,
    /// What the reconciler has found and not taken over yet.
    pub orphans: Vec<Orphan>,
    /// What the relay does.
    pub relay: Relay,
    /// The nominal time whose key the node has not found in the database.
    pub to_fire: Option<Time>,
    /// The watchdog.
    pub watchdog: Watchdog,
}

impl Node {
    /// Returns a node that has just started.
    #[must_use]
    pub const fn started(watchdog: Life) -> Self {
        Self {
            life: Life::Up,
            cut: None,
            row: None,
            lease: Lease::Acquiring,
            request: None,
            dispatcher: Dispatcher::Idle,
            attempts: Vec::new(),
            to_announce: Vec::new(),
            orphans: Vec::new(),
            relay: Relay::Idle,
            to_fire: None,
            watchdog: Watchdog { life: watchdog, until: None },
        }
    }

    /// Returns true if the node can take a step.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.life, Life::Up)
    }

    /// Returns true if the node can take a step and reaches the database.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.is_up() && self.cut.is_none()
    }

    /// Returns true if the node relies on its lease at `now`.
    #[must_use]
    pub const fn relies_on_lease(&self, now: Time) -> bool {
        matches!(self.lease, Lease::Held { until, .. } if now < until)
    }
}

/// Why a scanner may live beside another one of its scan. All three are known, and documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The node found its lease to be good, was frozen, and started the scanner when it continued.
    LateLaunch,
    /// The node leased the row, was frozen, lost its lease, got another one, and started the
    /// scanner under that one. Another node may have found the row in between.
    StaleLaunch,
    /// The node and its watchdog were frozen together when the lease ended.
    OutlivedLease,
}

/// A scanner that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scanner {
    /// The scan.
    pub scan: ScanIndex,
    /// The token of its attempt.
    pub token: Token,
    /// The node that started it.
    pub node: NodeIndex,
    /// When it ends at the latest.
    pub ends_by: Time,
    /// The known window in which it lives.
    pub window: Option<Window>,
}

/// An entry of the outbox: the end of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The scan.
    pub scan: ScanIndex,
    /// The relay that has leased the entry.
    pub holder: Option<NodeIndex>,
    /// When it may be leased again.
    pub free_at: Time,
    /// Whether the consumer has accepted it.
    pub is_accepted: bool,
}

/// How often each fault may still happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Kills of a node. Its watchdog is left.
    pub kills: u8,
    /// Freezes of a node without its watchdog.
    pub freezes: u8,
    /// Freezes of a node with its watchdog.
    pub freezes_with_watchdog: u8,
    /// Cuts between a node and the database.
    pub cuts: u8,
    /// Losses of everything that the queue holds.
    pub queue_losses: u8,
    /// Leases of a scan whose answer is lost.
    pub lost_answers: u8,
    /// Scanners that fail.
    pub failures: u8,
    /// Deliveries that the consumer of the outbox refuses.
    pub refusals: u8,
}

impl State {
    /// Returns the scanners of a node.
    pub fn scanners_of(&self, node: NodeIndex) -> impl Iterator<Item = &Scanner> {
        self.scanners.iter().filter(move |scanner| scanner.node == node)
    }

    /// Returns true if the database has no row of the node, or one that has expired.
    #[must_use]
    pub fn lease_is_over(&self, node: NodeIndex) -> bool {
        self.nodes[node].row.is_none_or(|expires_at| expires_at <= self.now)
    }
}
