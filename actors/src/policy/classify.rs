//! Classifies the end of an attempt. The exit code alone never decides.

use crate::model::{
    AttemptEnd, AttemptReport, ClassifiedEnd, Coverage, ExitKind, Failure, FailureKind, InfoFile, Interruption,
    PluginClass, PluginResult, Verdict,
};

/// The reason why Kastrel requested the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopCause {
    /// The no-progress limit.
    Stalled,
    /// The wall-clock limit.
    TimedOut,
    /// The node has an order to drain, and its time is over.
    Drain,
    /// The node shuts down.
    Shutdown,
    /// A user's cancel.
    Cancel,
    /// The node shuts down, and its time to finish scans is over.
    ShutdownOver,
    /// The lease is no longer valid.
    LeaseLost,
}

/// Classifies the end of an attempt.
///
/// An attempt that reached its end before the stop took effect is completed, unless a user
/// cancelled it. This also holds after a lost lease: the row accepts the end only under the token
/// of this attempt, and the files belong to it.
///
/// An attempt that reached its end without a completed check has failed, whatever the exit code. If
/// Kastrel stopped it, the cause of the stop decides: an interruption, or a failure for a limit.
#[must_use]
pub fn classify(report: &AttemptReport, stop: Option<StopCause>, dry_run: bool) -> ClassifiedEnd {
    match stop {
        Some(StopCause::Cancel) => return AttemptEnd::Cancelled,
        Some(
            StopCause::LeaseLost
            | StopCause::Shutdown
            | StopCause::ShutdownOver
            | StopCause::Drain
            | StopCause::TimedOut
            | StopCause::Stalled,
        )
        | None => {}
    }
    let is_checked = report.plugins.iter().any(|plugin| plugin.status.class() == PluginClass::Ok);
    if report.info == InfoFile::Read && (is_checked || dry_run) {
        return AttemptEnd::Completed(Verdict { plugins: report.plugins.clone(), dry_run });
    }
    match stop {
        Some(StopCause::LeaseLost) => return AttemptEnd::Interrupted { why: Interruption::LeaseLost, detail: None },
        Some(StopCause::Shutdown | StopCause::ShutdownOver) => {
            return AttemptEnd::Interrupted { why: Interruption::Shutdown, detail: None };
        }
        Some(StopCause::Drain) => return AttemptEnd::Interrupted { why: Interruption::Drained, detail: None },
        Some(StopCause::TimedOut) => {
            return failed(FailureKind::TimedOut, report, "ran longer than the wall-clock limit");
        }
        Some(StopCause::Stalled) => {
            return failed(FailureKind::Stalled, report, "showed no activity for longer than the no-progress limit");
        }
        _ => {}
    }
    match (report.exit, &report.info) {
        // The scanner was ended by a signal and may get further in a retry.
        (ExitKind::Signal(signal), _) => {
            failed(FailureKind::KilledBySignal, report, &format!("the scanner was ended by signal {signal}"))
        }
        (_, InfoFile::Read) => {
            AttemptEnd::Failed(Failure::new(FailureKind::NothingChecked, nothing_checked(&report.plugins)))
        }
        (ExitKind::Code(0), InfoFile::Missing) if dry_run => {
            AttemptEnd::Completed(Verdict { plugins: Vec::new(), dry_run })
        }
        (ExitKind::Code(2), _) => {
            failed(FailureKind::UsageError, report, "the scanner refused its arguments (exit code 2)")
        }
        (ExitKind::Code(code), InfoFile::Unreadable(why)) => failed(
            FailureKind::UnreadableResult,
            report,
            &format!("kast_info.json cannot be read: {why} (exit code {code})"),
        ),
        (ExitKind::Unknown, InfoFile::Unreadable(why)) => {
            failed(FailureKind::UnreadableResult, report, &format!("kast_info.json cannot be read: {why}"))
        }
        (ExitKind::Code(0), _) => failed(
            FailureKind::NoResult,
            report,
            "the scanner ended without kast_info.json although its exit code was 0",
        ),
        (ExitKind::Code(code), _) => {
            failed(FailureKind::Crashed, report, &format!("the scanner failed with exit code {code}"))
        }
        (ExitKind::Unknown, _) => {
            failed(FailureKind::NoResult, report, "the scanner ended without kast_info.json and its exit is unknown")
        }
    }
}

fn failed(kind: FailureKind, report: &AttemptReport, what: &str) -> ClassifiedEnd {
    let last_line = report.last_words.lines().rev().find(|line| !line.trim().is_empty());
    AttemptEnd::Failed(Failure::new(
        kind,
        last_line.map_or_else(|| what.to_owned(), |line| format!("{what}: {}", line.trim())),
    ))
}

/// Returns one sentence about why no check completed.
fn nothing_checked(plugins: &[PluginResult]) -> String {
    let total = plugins.len();
    if total == 0 {
        return "Nothing could be checked: the scanner reported no plugin".into();
    }
    let number = |status| plugins.iter().filter(|plugin| plugin.status.when_attempt_ends() == status).count();
    let classes: Vec<(usize, &str)> =
        Coverage::GAPS.iter().map(|gap| (number(*gap), gap.text().ended)).filter(|(count, _)| *count > 0).collect();
    let noun = if total == 1 { "plugin" } else { "plugins" };
    let what = match classes.as_slice() {
        [(count, word)] => format!("{count} of {total} {noun} {word}"),
        several => format!(
            "of {total} {noun}, {}",
            several.iter().map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        ),
    };
    let reason = |status| {
        let said = |plugin: &PluginResult| {
            plugin
                .message
                .as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(|text| format!("{}: {text}", plugin.name))
        };
        plugins.iter().filter(|plugin| plugin.status == status).find_map(said)
    };
    match Coverage::GAPS.into_iter().find_map(reason) {
        Some(reason) => format!("Nothing could be checked: {what}; first reason: {reason}"),
        None => format!("Nothing could be checked: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PluginStatus;

    /// A report in which one of two plugins completed.
    fn report(exit: ExitKind, info: InfoFile) -> AttemptReport {
        AttemptReport {
            exit,
            info,
            plugins: vec![
                PluginResult::new("testssl", PluginStatus::Completed),
                PluginResult::new("whatweb", PluginStatus::InProgress),
            ],
            last_words: "Traceback\nValueError: no\n\n".into(),
            notes: vec![],
        }
    }

    fn kind(end: &ClassifiedEnd) -> String {
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
            assert_eq!(
                kind(&classify(&report(exit, info.clone()), stop, dry_run)),
                expected,
                "{exit:?} {info:?} {stop:?}"
            );
        }
    }

    #[test]
    fn failure_reason_ends_with_the_scanners_last_words() {
        let AttemptEnd::Failed(failure) = classify(&report(ExitKind::Code(1), InfoFile::Missing), None, false) else {
            panic!("failed")
        };
        assert_eq!(failure.detail, "the scanner failed with exit code 1: ValueError: no");
    }

    #[test]
    fn an_end_at_which_no_check_completed_is_a_failure() {
        use ExitKind::{Code, Signal, Unknown};
        use PluginStatus::{Completed, Failed, InProgress, Interrupted, NotRun, Pending, Skipped, Unavailable};
        for (states, exit, stop, dry_run, expected) in [
            (vec![Completed], Code(0), None, false, "completed"),
            (vec![Completed, Failed, Unavailable], Code(1), None, false, "completed"),
            (vec![Failed, Failed], Code(0), None, false, "nothing_checked"),
            (vec![Failed, Failed], Code(1), None, false, "nothing_checked"),
            // The exit status is unknown, because no process observed the end.
            (vec![Failed, Unavailable], Unknown, None, false, "nothing_checked"),
            (vec![Failed], Code(2), None, false, "nothing_checked"),
            (vec![Unavailable, Unavailable], Code(0), None, false, "nothing_checked"),
            (vec![Skipped], Code(0), None, false, "nothing_checked"),
            (vec![InProgress, Pending], Code(0), None, false, "nothing_checked"),
            (vec![Interrupted, NotRun], Code(0), None, false, "nothing_checked"),
            (vec![], Code(0), None, false, "nothing_checked"),
            // An attempt that was ended from outside may get further in a retry.
            (vec![Failed, Interrupted], Signal(9), None, false, "killed_by_signal"),
            (vec![Failed], Code(0), Some(StopCause::Shutdown), false, "shutdown"),
            (vec![Failed], Code(0), Some(StopCause::Drain), false, "drained"),
            (vec![Failed], Code(0), Some(StopCause::LeaseLost), false, "lease_lost"),
            (vec![Failed], Code(0), Some(StopCause::TimedOut), false, "timed_out"),
            (vec![Failed], Code(0), Some(StopCause::Stalled), false, "stalled"),
            (vec![Failed], Code(0), Some(StopCause::Cancel), false, "cancelled"),
            // A dry run never checks anything.
            (vec![], Code(0), None, true, "completed"),
            (vec![Skipped], Code(0), None, true, "completed"),
        ] {
            let plugins = states.iter().map(|status| PluginResult::new("a", *status)).collect();
            let report = AttemptReport { plugins, ..report(exit, InfoFile::Read) };
            assert_eq!(kind(&classify(&report, stop, dry_run)), expected, "{states:?} {exit:?} {stop:?}");
        }
    }

    #[test]
    fn the_reason_of_an_unchecked_scan_is_one_sentence() {
        let plugin = |name: &str, status, message: &str| PluginResult {
            message: Some(message.into()),
            ..PluginResult::new(name, status)
        };
        for (plugins, sentence) in [
            (vec![], "Nothing could be checked: the scanner reported no plugin"),
            (vec![PluginResult::new("a", PluginStatus::Failed)], "Nothing could be checked: 1 of 1 plugin failed"),
            (
                vec![
                    plugin("a", PluginStatus::Failed, ""),
                    plugin("b", PluginStatus::Failed, "the name does not resolve"),
                ],
                "Nothing could be checked: 2 of 2 plugins failed; first reason: b: the name does not resolve",
            ),
            (
                vec![
                    plugin("a", PluginStatus::Unavailable, "no tool"),
                    plugin("b", PluginStatus::Failed, "refused"),
                    plugin("c", PluginStatus::Pending, "x"),
                ],
                "Nothing could be checked: of 3 plugins, 1 failed, 1 not available, 1 not run; first reason: b: refused",
            ),
        ] {
            assert_eq!(nothing_checked(&plugins), sentence);
        }
    }
}
