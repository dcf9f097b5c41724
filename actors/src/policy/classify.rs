//! From what is known of an ended attempt to how it ended. The exit code alone never decides.

use crate::model::{AttemptEnd, Failure, FailureKind, Interruption, PluginStatus, Verdict};
use crate::ports::{AttemptReport, ExitKind, InfoFile};

/// Why we asked an attempt to end, where we did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopCause {
    /// The no-progress limit.
    Stalled,
    /// The wall-clock limit.
    TimedOut,
    /// The node was told to drain, and its time is over.
    Drain,
    /// The node shuts down.
    Shutdown,
    /// A user's cancel.
    Cancel,
    /// The node shuts down, and the time for that is over.
    ShutdownOver,
    /// The lease could no longer be trusted.
    LeaseLost,
}

/// Reads the end of an attempt.
///
/// An attempt that reached its end before our stop took effect is completed all the same, unless a user cancelled it. That holds for a lost lease as well: the row takes the end only under the token
/// of this attempt, and the files are its own.
#[must_use]
pub fn classify(report: &AttemptReport, stop: Option<StopCause>, dry_run: bool) -> AttemptEnd {
    match stop {
        Some(StopCause::Cancel) => return AttemptEnd::Cancelled,
        Some(StopCause::LeaseLost | StopCause::Shutdown | StopCause::ShutdownOver | StopCause::Drain | StopCause::TimedOut | StopCause::Stalled) | None => {}
    }
    if report.info == InfoFile::Read {
        return AttemptEnd::Completed(Verdict { plugins: report.plugins.iter().cloned().map(settle).collect(), dry_run });
    }
    match stop {
        Some(StopCause::LeaseLost) => return AttemptEnd::Interrupted { why: Interruption::LeaseLost, detail: None },
        Some(StopCause::Shutdown | StopCause::ShutdownOver) => return AttemptEnd::Interrupted { why: Interruption::Shutdown, detail: None },
        Some(StopCause::Drain) => return AttemptEnd::Interrupted { why: Interruption::Drained, detail: None },
        Some(StopCause::TimedOut) => return failed(FailureKind::TimedOut, report, "ran longer than the wall-clock limit"),
        Some(StopCause::Stalled) => return failed(FailureKind::Stalled, report, "showed no sign of life for longer than the no-progress limit"),
        _ => {}
    }
    match (report.exit, &report.info) {
        (ExitKind::Code(0), InfoFile::Missing) if dry_run => AttemptEnd::Completed(Verdict { plugins: Vec::new(), dry_run }),
        (ExitKind::Code(2), _) => failed(FailureKind::UsageError, report, "the scanner refused its arguments (exit code 2)"),
        (ExitKind::Signal(signal), _) => failed(FailureKind::KilledBySignal, report, &format!("the scanner was ended by signal {signal}")),
        (ExitKind::Code(code), InfoFile::Unreadable(why)) => {
            failed(FailureKind::UnreadableResult, report, &format!("kast_info.json cannot be read: {why} (exit code {code})"))
        }
        (ExitKind::Unknown, InfoFile::Unreadable(why)) => failed(FailureKind::UnreadableResult, report, &format!("kast_info.json cannot be read: {why}")),
        (ExitKind::Code(0), _) => failed(FailureKind::NoResult, report, "the scanner ended without kast_info.json although its exit code was 0"),
        (ExitKind::Code(code), _) => failed(FailureKind::Crashed, report, &format!("the scanner failed with exit code {code}")),
        (ExitKind::Unknown, _) => failed(FailureKind::NoResult, report, "the scanner ended without kast_info.json and its exit is unknown"),
    }
}

fn failed(kind: FailureKind, report: &AttemptReport, what: &str) -> AttemptEnd {
    let last_line = report.last_words.lines().rev().find(|line| !line.trim().is_empty());
    AttemptEnd::Failed(Failure::new(kind, last_line.map_or_else(|| what.to_owned(), |line| format!("{what}: {}", line.trim()))))
}

/// In a scan that ran to its end nothing runs any more: what still looks so was never finished.
fn settle(mut plugin: crate::model::PluginResult) -> crate::model::PluginResult {
    match plugin.status {
        PluginStatus::InProgress => {
            plugin.status = PluginStatus::Failed;
            plugin.message.get_or_insert_with(|| "started but never finished".into());
        }
        PluginStatus::Pending => {
            plugin.status = PluginStatus::Skipped;
            plugin.message.get_or_insert_with(|| "never started".into());
        }
        PluginStatus::Completed | PluginStatus::Failed | PluginStatus::Skipped | PluginStatus::Unavailable => {}
    }
    plugin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PluginResult;

    fn report(exit: ExitKind, info: InfoFile) -> AttemptReport {
        AttemptReport {
            exit,
            info,
            plugins: vec![PluginResult::new("whatweb", PluginStatus::InProgress)],
            last_words: "Traceback\nValueError: no\n\n".into(),
            notes: vec![],
        }
    }

    fn kind(end: &AttemptEnd) -> String {
        match end {
            AttemptEnd::Completed(_) => "completed".into(),
            AttemptEnd::Failed(failure) => failure.kind.to_string(),
            AttemptEnd::Interrupted { why, .. } => why.to_string(),
            AttemptEnd::Cancelled => "cancelled".into(),
        }
    }

    #[test]
    fn files_decide_before_exit_codes_and_causes_before_both() {
        use ExitKind::{Code, Signal, Unknown};
        use InfoFile::{Missing, Read};
        let bad = || InfoFile::Unreadable("truncated".into());
        for (exit, info, stop, dry_run, expected) in [
            (Code(0), Read, None, false, "completed"),
            (Code(1), Read, None, false, "completed"),
            (Signal(9), Read, None, false, "completed"),
            (Code(0), Missing, None, false, "no_result"),
            (Code(0), Missing, None, true, "completed"),
            (Code(1), Missing, None, true, "crashed"),
            (Code(1), Missing, None, false, "crashed"),
            (Code(2), Missing, None, false, "usage_error"),
            (Code(0), bad(), None, false, "unreadable_result"),
            (Code(1), bad(), None, false, "unreadable_result"),
            (Signal(11), Missing, None, false, "killed_by_signal"),
            (Unknown, Missing, None, false, "no_result"),
            (Signal(2), Missing, Some(StopCause::Cancel), false, "cancelled"),
            (Code(0), Read, Some(StopCause::Cancel), false, "cancelled"),
            (Signal(9), Missing, Some(StopCause::LeaseLost), false, "lease_lost"),
            (Code(0), Read, Some(StopCause::LeaseLost), false, "completed"),
            (Signal(9), bad(), Some(StopCause::LeaseLost), false, "lease_lost"),
            (Code(0), Missing, Some(StopCause::LeaseLost), true, "lease_lost"),
            (Signal(2), Missing, Some(StopCause::Shutdown), false, "shutdown"),
            (Code(0), Read, Some(StopCause::Shutdown), false, "completed"),
            (Signal(15), Missing, Some(StopCause::TimedOut), false, "timed_out"),
            (Signal(15), Missing, Some(StopCause::Stalled), false, "stalled"),
            (Code(0), Read, Some(StopCause::TimedOut), false, "completed"),
        ] {
            assert_eq!(kind(&classify(&report(exit, info.clone()), stop, dry_run)), expected, "{exit:?} {info:?} {stop:?}");
        }
    }

    #[test]
    fn the_reason_ends_with_the_scanners_last_words() {
        let AttemptEnd::Failed(failure) = classify(&report(ExitKind::Code(1), InfoFile::Missing), None, false) else { panic!("failed") };
        assert_eq!(failure.detail, "the scanner failed with exit code 1: ValueError: no");
    }

    #[test]
    fn nothing_runs_in_a_completed_scan() {
        let AttemptEnd::Completed(verdict) = classify(&report(ExitKind::Code(0), InfoFile::Read), None, false) else { panic!("completed") };
        assert_eq!(verdict.plugins[0].status, PluginStatus::Failed);
    }
}
