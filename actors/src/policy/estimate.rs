//! Estimates the remaining time of a running scan: from earlier scans of the same target and mode,
//! otherwise from the scan's own progress, otherwise unknown.

use std::time::Duration;

/// The data about a running scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Running<'a> {
    /// How long the current attempt has run.
    pub elapsed: Duration,
    /// How many plugins have ended.
    pub ended: usize,
    /// How many plugins there are.
    pub plugins: usize,
    /// The durations of earlier scans of the same target and mode, in any order.
    pub before: &'a [Duration],
}

/// The estimated remaining time of a running scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLeft {
    /// There is no data for an estimate.
    Unknown,
    /// About this long.
    About(Duration),
    /// The scan takes longer than earlier scans of the same kind.
    Overdue,
}

/// The number of ended plugins that an estimate needs. One plugin is too little data.
const ENOUGH_ENDED: usize = 2;
/// A scan is overdue when it takes longer than the longest earlier scan times this factor.
const SLACK: f64 = 1.2;

/// Estimates the remaining time.
#[must_use]
pub fn time_left(running: &Running<'_>) -> TimeLeft {
    if running.plugins > 0 && running.ended >= running.plugins {
        // Only the reports are missing; their duration is unknown.
        return TimeLeft::Unknown;
    }
    if let Some(usual) = median(running.before) {
        let longest = running.before.iter().max().copied().unwrap_or(usual);
        return match usual.checked_sub(running.elapsed) {
            Some(left) if !left.is_zero() => TimeLeft::About(left),
            _ if running.elapsed > longest.mul_f64(SLACK) => TimeLeft::Overdue,
            _ => TimeLeft::Unknown,
        };
    }
    if running.ended < ENOUGH_ENDED {
        return TimeLeft::Unknown;
    }
    let each = running.elapsed / u32::try_from(running.ended).unwrap_or(u32::MAX);
    TimeLeft::About(each * u32::try_from(running.plugins - running.ended).unwrap_or(u32::MAX))
}

fn median(durations: &[Duration]) -> Option<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimate_uses_only_known_data() {
        let seconds = Duration::from_secs;
        let about = |n| TimeLeft::About(seconds(n));
        for (elapsed, ended, plugins, before, expected) in [
            (10, 0, 0, vec![], TimeLeft::Unknown),
            (10, 0, 12, vec![], TimeLeft::Unknown),
            (10, 1, 12, vec![], TimeLeft::Unknown),
            (60, 4, 12, vec![], about(120)),
            (60, 12, 12, vec![], TimeLeft::Unknown),
            (60, 0, 12, vec![200], about(140)),
            (60, 11, 12, vec![100, 400, 200], about(140)),
            (200, 5, 12, vec![200], TimeLeft::Unknown),
            (230, 5, 12, vec![200], TimeLeft::Unknown),
            (250, 5, 12, vec![200], TimeLeft::Overdue),
        ] {
            let before: Vec<Duration> = before.into_iter().map(seconds).collect();
            let running = Running { elapsed: seconds(elapsed), ended, plugins, before: &before };
            assert_eq!(time_left(&running), expected, "{running:?}");
        }
    }
}
