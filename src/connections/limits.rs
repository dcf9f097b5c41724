//! How many connections there may be, how long each of them may wait, and which one makes room:
//! pure.

use std::time::Duration;

use tokio::time::Instant;

/// Connections beyond the cap that only health checks may use.
pub const RESERVED: usize = 16;
/// Of these, the ones that only a liveness check may use: other health checks wait for the
/// database.
pub const RESERVED_FOR_LIVENESS: usize = 4;
/// Descriptors of a connection: its socket, and the file that it may be downloading.
const DESCRIPTORS_OF_A_CONNECTION: u64 = 2;
/// So many connections are served whatever the descriptors, or nobody could see what is wrong.
const LEAST: usize = 16;
/// Descriptors that the process needs without connections and scans: the database, logs, the queue,
/// the watch on folders.
const BASE_DESCRIPTORS: u64 = 256;
/// Descriptors that a running scan needs: pipes, its log, its files while they are read, its
/// process.
const DESCRIPTORS_OF_A_SCAN: u64 = 32;

/// The descriptors that a process needs beside its connections.
#[must_use]
pub fn own_descriptors(concurrency: usize) -> u64 {
    BASE_DESCRIPTORS + DESCRIPTORS_OF_A_SCAN.saturating_mul(concurrency as u64)
}

/// How many connections fit beside the scans, where each of them downloads a file. `descriptors`:
/// the limit of open files, `None` without one.
#[must_use]
pub fn connections_within(descriptors: Option<u64>, concurrency: usize, wanted: usize) -> usize {
    let Some(descriptors) = descriptors else { return wanted };
    let left = descriptors.saturating_sub(own_descriptors(concurrency)).saturating_sub(RESERVED as u64);
    wanted.min(usize::try_from(left / DESCRIPTORS_OF_A_CONNECTION).unwrap_or(usize::MAX)).max(LEAST)
}

/// What connections may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// How many there may be, besides the [`RESERVED`] ones.
    pub connections: usize,
    /// How long the head of a request may take, from its first byte; and how long a new connection
    /// may send nothing.
    pub head: Duration,
    /// How long a connection may wait for its next request.
    pub idle: Duration,
    /// How long a client may take nothing of an answer that is there.
    pub stall: Duration,
}

impl ConnectionLimits {
    /// How often a connection is looked at.
    pub(super) fn look_every(&self) -> Duration {
        self.head.min(self.idle).min(self.stall) / 4
    }
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing of its first request has arrived.
    Fresh {
        /// Since when.
        since: Instant,
    },
    /// It waits for its next request.
    Idle {
        /// Since when.
        since: Instant,
    },
    /// A part of a request's head has arrived.
    Head {
        /// Since when.
        since: Instant,
    },
    /// The body of a request arrives. How long it may take is for the request to say.
    Arriving {
        /// Since when.
        since: Instant,
    },
    /// A request is being answered.
    Busy,
    /// The client takes nothing of an answer.
    Stalled {
        /// Since when.
        since: Instant,
    },
}

impl Phase {
    /// When a connection in this phase is cut.
    pub(super) fn ends(self, limits: &ConnectionLimits) -> Option<Instant> {
        match self {
            Self::Fresh { since } | Self::Head { since } => Some(since + limits.head),
            Self::Idle { since } => Some(since + limits.idle),
            Self::Stalled { since } => Some(since + limits.stall),
            Self::Arriving { .. } | Self::Busy => None,
        }
    }

    /// Since when nothing would be lost with it. A part of a request counts: nothing of it has been
    /// done.
    pub(super) const fn idle_since(self) -> Option<Instant> {
        match self {
            Self::Fresh { since } | Self::Idle { since } | Self::Head { since } | Self::Arriving { since } => {
                Some(since)
            }
            Self::Busy | Self::Stalled { .. } => None,
        }
    }

    /// Since when it may make room for another one: it is idle, or its client takes nothing of its
    /// answer.
    const fn replaceable_since(self) -> Option<Instant> {
        match self {
            Self::Stalled { since } => Some(since),
            Self::Fresh { .. } | Self::Idle { .. } | Self::Head { .. } | Self::Arriving { .. } | Self::Busy => {
                self.idle_since()
            }
        }
    }
}

/// What a path may use of the connections beyond the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservedUse {
    /// All of them: a liveness check, which waits for nothing.
    Liveness,
    /// All but the ones for liveness checks: another health check.
    Health,
    /// None of them.
    Nothing,
}

/// Where a new connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Among all others.
    General,
    /// Among all others, where this one makes room.
    InsteadOf(u64),
    /// Only for health checks.
    Reserved,
    /// Only for health checks, where this one makes room.
    ReservedInsteadOf(u64),
    /// Nowhere.
    Refused,
}

/// An open connection, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) id: u64,
    pub(super) reserved: bool,
    pub(super) phase: Phase,
}

/// Decides where a new connection goes. The connection makes room that has been idle, or whose
/// client has taken nothing of its answer, for longest. A client that takes its answer keeps its
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
            // Those beyond the cap do not count against it.
            (full_of(Phase::Busy).collect(), 2, Place::General),
        ] {
            assert_eq!(place(open.iter().copied(), cap), expected, "{open:?}");
        }
    }
}
