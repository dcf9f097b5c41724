//! The limits of connections, as pure functions: how many are open, how long each may wait, and
//! which one is replaced.

use std::time::Duration;

use tokio::time::Instant;

/// The number of connections beyond the cap, which only health checks may use.
pub const RESERVED: usize = 16;
/// The number of reserved connections that only liveness checks may use. Other health checks wait
/// for the database.
pub const RESERVED_FOR_LIVENESS: usize = 4;
/// The file descriptors of a connection: its socket, and the file that it may be downloading.
const DESCRIPTORS_OF_A_CONNECTION: u64 = 2;
/// The minimum number of connections, regardless of the descriptors, so that the problem stays
/// visible.
const LEAST: usize = 16;
/// The descriptors that the process needs without connections and scans: for the database, logs,
/// the queue and the folder watcher.
const BASE_DESCRIPTORS: u64 = 256;
/// The descriptors that a running scan needs: for pipes, its log, the files being read, and its
/// process.
const DESCRIPTORS_OF_A_SCAN: u64 = 32;

/// The descriptors that the process needs in addition to its connections.
#[must_use]
pub fn own_descriptors(concurrency: usize) -> u64 {
    BASE_DESCRIPTORS + DESCRIPTORS_OF_A_SCAN.saturating_mul(concurrency as u64)
}

/// The number of connections that fit beside the scans if each connection downloads a file.
/// `descriptors` is the limit of open files; `None` means unlimited.
#[must_use]
pub fn connections_within(descriptors: Option<u64>, concurrency: usize, wanted: usize) -> usize {
    let Some(descriptors) = descriptors else { return wanted };
    let left = descriptors.saturating_sub(own_descriptors(concurrency)).saturating_sub(RESERVED as u64);
    wanted.min(usize::try_from(left / DESCRIPTORS_OF_A_CONNECTION).unwrap_or(usize::MAX)).max(LEAST)
}

/// The limits of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The maximum number of connections, without the [`RESERVED`] ones.
    pub connections: usize,
    /// The timeout of a request's head, from its first byte; and how long a new connection may send
    /// nothing.
    pub head: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long a client may read nothing of a pending response.
    pub stall: Duration,
}

impl ConnectionLimits {
    /// The interval between two checks of a connection.
    pub(super) fn look_every(&self) -> Duration {
        self.head.min(self.idle).min(self.stall) / 4
    }
}

/// The current phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// New: nothing of the first request has arrived.
    Fresh {
        /// The start of the phase.
        since: Instant,
    },
    /// Waiting for the next request.
    Idle {
        /// The start of the phase.
        since: Instant,
    },
    /// A part of a request's head has arrived.
    Head {
        /// The start of the phase.
        since: Instant,
    },
    /// The body of a request is arriving. The request sets its timeout.
    Arriving {
        /// The start of the phase.
        since: Instant,
    },
    /// A request is being handled.
    Busy,
    /// The client does not read the response.
    Stalled {
        /// The start of the phase.
        since: Instant,
    },
}

impl Phase {
    /// The time at which a connection in this phase is closed.
    pub(super) fn ends(self, limits: &ConnectionLimits) -> Option<Instant> {
        match self {
            Self::Fresh { since } | Self::Head { since } => Some(since + limits.head),
            Self::Idle { since } => Some(since + limits.idle),
            Self::Stalled { since } => Some(since + limits.stall),
            Self::Arriving { .. } | Self::Busy => None,
        }
    }

    /// The start of an idle phase, in which closing the connection loses no work. An incomplete
    /// request counts as idle, because its handling has not started.
    pub(super) const fn idle_since(self) -> Option<Instant> {
        match self {
            Self::Fresh { since } | Self::Idle { since } | Self::Head { since } | Self::Arriving { since } => {
                Some(since)
            }
            Self::Busy | Self::Stalled { .. } => None,
        }
    }

    /// The time since which the connection may be replaced: it is idle, or its client does not read
    /// the response.
    const fn replaceable_since(self) -> Option<Instant> {
        match self {
            Self::Stalled { since } => Some(since),
            Self::Fresh { .. } | Self::Idle { .. } | Self::Head { .. } | Self::Arriving { .. } | Self::Busy => {
                self.idle_since()
            }
        }
    }
}

/// The reserved connections that a path may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservedUse {
    /// All reserved connections: for a liveness check, which waits for nothing.
    Liveness,
    /// All except the connections for liveness checks: for another health check.
    Health,
    /// No reserved connection.
    Nothing,
}

/// The decision about a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A regular connection.
    General,
    /// A regular connection, which replaces this one.
    InsteadOf(u64),
    /// A reserved connection, for health checks only.
    Reserved,
    /// A reserved connection, which replaces this one.
    ReservedInsteadOf(u64),
    /// Refused.
    Refused,
}

/// An open connection, with the data for the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) reserved: bool,
    pub(super) phase: Phase,
}

/// Decides about a new connection. It replaces the connection that has been idle for longest, or
/// whose client has not read its response for longest. A client that reads its response keeps its
/// connection.
pub(super) fn place(open: impl Iterator<Item = Open> + Clone, cap: usize) -> Place {
    let count = |reserved| open.clone().filter(|one| one.reserved == reserved).count();
    let oldest = |reserved| {
        let replaceable = open
            .clone()
            .filter(|one| one.reserved == reserved)
            .filter_map(|one| Some((one.phase.replaceable_since()?, one.id)));
        replaceable.min().map(|(_, id)| id)
    };
    if count(false) < cap {
        return Place::General;
    }
    if let Some(id) = oldest(false) {
        return Place::InsteadOf(id);
    }
    if count(true) < RESERVED { Place::Reserved } else { oldest(true).map_or(Place::Refused, Place::ReservedInsteadOf) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_scans_their_descriptors() {
        for (descriptors, concurrency, wanted, connections) in [
            (None, 4, 4096, 4096),
            (Some(1 << 20), 4, 4096, 4096),
            (Some(1024), 4, 4096, 312),
            (Some(1024), 4, 100, 100),
            (Some(1024), 16, 4096, 120),
            (Some(300), 4, 4096, LEAST),
            (Some(0), 4, 4096, LEAST),
            (Some(1024), 1000, 4096, LEAST),
        ] {
            assert_eq!(
                connections_within(descriptors, concurrency, wanted),
                connections,
                "{descriptors:?} {concurrency} {wanted}"
            );
        }
        let (descriptors, scans) = (1024, 8);
        let connections = connections_within(Some(descriptors), scans, usize::MAX);
        assert!(
            connections as u64 * DESCRIPTORS_OF_A_CONNECTION + RESERVED as u64 + own_descriptors(scans) <= descriptors
        );
    }

    #[test]
    fn each_phase_has_its_own_limit() {
        let limits = ConnectionLimits {
            connections: 1,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stall: Duration::from_secs(60),
        };
        let since = Instant::now();
        for (phase, seconds) in [
            (Phase::Fresh { since }, Some(10)),
            (Phase::Head { since }, Some(10)),
            (Phase::Idle { since }, Some(75)),
            (Phase::Stalled { since }, Some(60)),
            (Phase::Arriving { since }, None),
            (Phase::Busy, None),
        ] {
            assert_eq!(phase.ends(&limits), seconds.map(|seconds| since + Duration::from_secs(seconds)), "{phase:?}");
        }
        assert!(limits.look_every() <= limits.head / 4);
    }

    #[test]
    fn the_longest_idle_connection_makes_room_and_health_checks_have_room_beyond() {
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let (early, late) = (at(1), at(2));
        let general = |id, phase| Open { id, reserved: false, phase };
        let reserved = |id, phase| Open { id, reserved: true, phase };
        let full_of = |phase| (0..RESERVED as u64).map(move |id| reserved(100 + id, phase));
        let busy = [general(1, Phase::Busy), general(2, Phase::Busy)];
        let unread = |id, since| general(id, Phase::Stalled { since });
        for (open, cap, expected) in [
            (vec![], 2, Place::General),
            (vec![general(1, Phase::Busy)], 2, Place::General),
            (
                vec![general(1, Phase::Idle { since: late }), general(2, Phase::Idle { since: early })],
                2,
                Place::InsteadOf(2),
            ),
            (vec![general(1, Phase::Busy), general(2, Phase::Head { since: late })], 2, Place::InsteadOf(2)),
            (vec![general(1, Phase::Busy), general(2, Phase::Arriving { since: late })], 2, Place::InsteadOf(2)),
            (
                vec![general(1, Phase::Fresh { since: early }), general(2, Phase::Idle { since: late })],
                2,
                Place::InsteadOf(1),
            ),
            (vec![unread(1, late), general(2, Phase::Idle { since: early })], 2, Place::InsteadOf(2)),
            (vec![general(1, Phase::Fresh { since: late }), unread(2, early)], 2, Place::InsteadOf(2)),
            (vec![unread(1, late), unread(2, early)], 2, Place::InsteadOf(2)),
            (vec![general(1, Phase::Busy), unread(2, late)], 2, Place::InsteadOf(2)),
            (busy.to_vec(), 2, Place::Reserved),
            (busy.into_iter().chain(full_of(Phase::Fresh { since: late })).collect(), 2, Place::ReservedInsteadOf(100)),
            (
                busy.into_iter().chain(full_of(Phase::Stalled { since: late })).collect(),
                2,
                Place::ReservedInsteadOf(100),
            ),
            (busy.into_iter().chain(full_of(Phase::Busy)).collect(), 2, Place::Refused),
            // Reserved connections do not count against the cap.
            (full_of(Phase::Busy).collect(), 2, Place::General),
        ] {
            assert_eq!(place(open.iter().copied(), cap), expected, "{open:?}");
        }
    }
}
