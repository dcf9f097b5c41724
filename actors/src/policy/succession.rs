//! Decides which snapshot follows another one, when a row or a snapshot of another process arrives.
//! They may arrive in any order.

use crate::model::{PluginResult, PluginStatus, ScanRecord, ScanSnapshot, ScanStatus, total_count};

/// Returns the snapshot that follows `current` when its row becomes `record`.
#[must_use]
pub fn after_row(current: &ScanSnapshot, record: ScanRecord) -> ScanSnapshot {
    let sequence = current.sequence + 1;
    if is_same_attempt(&current.record, &record) {
        let plugins = further(record.plugins.clone(), current.plugins.clone());
        ScanSnapshot { record, sequence, plugins, ..current.clone() }
    } else {
        ScanSnapshot { sequence, ..ScanSnapshot::of(record) }
    }
}

/// Returns the snapshot that follows `current` after a snapshot from another process; `None` if
/// that contains nothing new.
///
/// Data of the current attempt counts even if it arrives with an older row: the plugins of an
/// attempt only ever move forward.
#[must_use]
pub fn after_message(current: &ScanSnapshot, other: ScanSnapshot) -> Option<ScanSnapshot> {
    if !is_same_attempt(&current.record, &other.record) {
        return None;
    }
    let next = ScanSnapshot {
        record: current.record.clone(),
        sequence: current.sequence,
        phase: other.phase.or(current.phase),
        pid: other.pid.or(current.pid),
        plugins: further(current.plugins.clone(), other.plugins),
        last_progress_at: other.last_progress_at.max(current.last_progress_at),
    };
    (next != *current).then(|| ScanSnapshot { sequence: current.sequence + 1, ..next })
}

fn is_same_attempt(one: &ScanRecord, other: &ScanRecord) -> bool {
    one.status() == ScanStatus::Running && other.status() == ScanStatus::Running && one.token == other.token
}

/// Of two states of one attempt's plugins, returns the one that is further ahead; the second one if
/// they are equal.
fn further(one: Vec<PluginResult>, other: Vec<PluginResult>) -> Vec<PluginResult> {
    let way = |plugins: &[PluginResult]| {
        let count = |state: fn(PluginStatus) -> bool| plugins.iter().filter(|plugin| state(plugin.status)).count();
        let findings = total_count(plugins.iter().map(|plugin| plugin.findings_count));
        (count(PluginStatus::is_final), count(|status| status != PluginStatus::INITIAL), findings, plugins.len())
    };
    if way(&one) > way(&other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{AttemptPhase, Command};
    use crate::policy::transition::{Transition, transition};
    use crate::testing::fixtures;

    fn running(plugins: &[PluginStatus]) -> ScanSnapshot {
        let command = Command::Lease { node: "a".parse().unwrap() };
        let Transition::Changed(record) =
            transition(&fixtures::record(1, Timestamp::UNIX_EPOCH), &command, Timestamp::UNIX_EPOCH)
        else {
            panic!("the lease was refused");
        };
        let plugins = plugins.iter().zip('a'..).map(|(status, name)| PluginResult::new(name.to_string(), *status));
        ScanSnapshot { plugins: plugins.collect(), ..ScanSnapshot::of(*record) }
    }

    #[test]
    fn plugins_of_an_attempt_only_move_forward() {
        use PluginStatus::{Completed, InProgress, Pending};
        for (current, arrives, stays) in [
            (vec![], vec![Pending], false),
            (vec![Pending], vec![InProgress], false),
            (vec![InProgress], vec![Pending], true),
            (vec![Completed, Pending], vec![InProgress, InProgress], true),
            (vec![Completed, Pending], vec![Completed, InProgress], false),
            (vec![Completed], vec![], true),
        ] {
            let (current, other) = (running(&current), running(&arrives));
            let expected = if stays { &current } else { &other }.plugins.clone();
            let next = after_message(&current, other.clone());
            assert_eq!(next.map_or_else(|| current.plugins.clone(), |next| next.plugins), expected, "a message");
            let row = ScanRecord { plugins: other.plugins.clone(), ..current.record.clone() };
            assert_eq!(after_row(&current, row).plugins, expected, "a row");
        }
    }

    #[test]
    fn message_of_another_attempt_or_without_news_changes_nothing() {
        let current = running(&[PluginStatus::InProgress]);
        assert_eq!(after_message(&current, current.clone()), None);
        let mut other = ScanSnapshot { pid: Some(7), ..current.clone() };
        let next = after_message(&current, other.clone()).unwrap();
        assert_eq!((next.pid, next.sequence, next.phase), (Some(7), current.sequence + 1, None));
        other.record.token = other.record.token.next();
        assert_eq!(after_message(&current, other), None);
    }

    #[test]
    fn end_of_an_attempt_drops_what_only_the_attempt_knew() {
        let mut current = running(&[PluginStatus::InProgress]);
        (current.pid, current.phase) = (Some(7), Some(AttemptPhase::Running));
        let ended = fixtures::record(1, Timestamp::UNIX_EPOCH);
        let next = after_row(&current, ended);
        assert_eq!((next.pid, next.phase, next.plugins.len(), next.sequence), (None, None, 0, current.sequence + 1));
    }
}
