//! The operators' directives for a node, as returned by each renewal of its lease.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{NodeActivity, NodeLease};

/// The maximum difference between two readings of one deadline: the transfer time of the response.
const SAME: Duration = Duration::from_secs(2);

/// The directives in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeDirectives {
    /// The deadline for finishing all scans; `Some` while the node must take no new scan.
    pub drain: Option<Instant>,
    /// True while the queue is paused, so that no node starts a scan.
    pub paused: bool,
    /// True once the process is stopping. No renewal revokes that.
    pub stopping: bool,
}

impl NodeDirectives {
    /// Returns the directives after a renewal whose response arrived at `now`. A deadline that is
    /// repeated keeps its first value.
    #[must_use]
    pub fn after(self, lease: &NodeLease, now: Instant) -> Self {
        let drain = lease.drain.map(|left| now + left);
        let drain = match (self.drain, drain) {
            (Some(before), Some(again))
                if before.max(again) - before.min(again) <= SAME || (before <= now && again <= now) =>
            {
                Some(before)
            }
            (_, told) => told,
        };
        Self { drain, paused: lease.paused, ..self }
    }

    /// Returns the activity that a node with this many running scans reports.
    #[must_use]
    pub const fn activity(self, running: usize) -> NodeActivity {
        match (self.stopping, self.drain, running) {
            (true, _, _) => NodeActivity::Stopping,
            (false, None, _) => NodeActivity::Active,
            (false, Some(_), 0) => NodeActivity::Drained,
            (false, Some(_), _) => NodeActivity::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn lease(drain: Option<u64>, paused: bool) -> NodeLease {
        NodeLease {
            expires_at: Timestamp::UNIX_EPOCH,
            cancels: Vec::new(),
            drain: drain.map(Duration::from_secs),
            paused,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lease_renewal_updates_the_directives() {
        let now = Instant::now();
        let in_s = |seconds| Some(now + Duration::from_secs(seconds));
        for (before, told, after) in [
            (None, None, None),
            (None, Some(60), in_s(60)),
            (in_s(60), Some(60), in_s(60)),
            (in_s(60), Some(61), in_s(60)),
            (in_s(60), Some(59), in_s(60)),
            (in_s(60), Some(30), in_s(30)),
            (in_s(60), Some(90), in_s(90)),
            (in_s(60), None, None),
            (Some(now - Duration::from_secs(30)), Some(0), Some(now - Duration::from_secs(30))),
        ] {
            let directives =
                NodeDirectives { drain: before, ..NodeDirectives::default() }.after(&lease(told, true), now);
            assert_eq!(directives, NodeDirectives { drain: after, paused: true, stopping: false }, "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn node_reports_the_activity_that_the_directives_cause() {
        let drain = Some(Instant::now());
        let none = NodeDirectives::default();
        assert_eq!(none.activity(3), NodeActivity::Active);
        assert_eq!(NodeDirectives { drain, ..none }.activity(3), NodeActivity::Draining);
        assert_eq!(NodeDirectives { drain, ..none }.activity(0), NodeActivity::Drained);
        assert_eq!(NodeDirectives { stopping: true, drain, ..none }.activity(1), NodeActivity::Stopping);
        let stopping = NodeDirectives { stopping: true, ..none }.after(&lease(None, false), Instant::now());
        assert!(stopping.stopping, "no renewal takes that back");
    }
}
