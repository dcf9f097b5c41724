//! Finds requested reports that do not exist, for pages, API and command line alike.

use std::collections::BTreeSet;

use crate::model::{AttemptNumber, PluginResult, ReportFiles, ReportFormat, ScanRecord, ScanStatus};

/// Returns the reports that `format` requests and that do not exist.
#[must_use]
pub const fn missing(format: ReportFormat, found: ReportFiles) -> Option<ReportFormat> {
    let wanted = format.files();
    match (wanted.html && !found.html, wanted.pdf && !found.pdf) {
        (false, false) => None,
        (true, false) => Some(ReportFormat::Html),
        (false, true) => Some(ReportFormat::Pdf),
        (true, true) => Some(ReportFormat::Both),
    }
}

/// Returns the sentence about the requested reports of a scan that do not exist. A dry run writes
/// none, and a scan that did not run to its end is not expected to.
#[must_use]
pub fn missing_of(record: &ScanRecord, found: ReportFiles) -> Option<&'static str> {
    if record.status() != ScanStatus::Completed || record.request.options.dry_run {
        return None;
    }
    missing(record.request.options.format, found).map(|missing| match missing {
        ReportFormat::Html => "No HTML report: it was requested, but the scanner wrote none.",
        ReportFormat::Pdf => "No PDF report: it was requested, but the scanner wrote none.",
        ReportFormat::Both => "No HTML or PDF report: both were requested, but the scanner wrote none.",
    })
}

/// Returns a sentence about the plugins whose results the scan keeps from earlier attempts. The
/// scanner's report has only those of the last attempt.
#[must_use]
pub fn kept_note(record: &ScanRecord, plugins: &[PluginResult]) -> Option<String> {
    kept_from(plugins.iter().filter_map(|plugin| plugin.attempt), record.status().is_terminal())
}

/// Returns the sentence about the plugins that these earlier attempts ran, one number for each
/// plugin.
pub fn kept_from(attempts: impl Iterator<Item = AttemptNumber>, has_ended: bool) -> Option<String> {
    let all: Vec<u32> = attempts.map(|number| number.0).collect();
    let numbers: BTreeSet<u32> = all.iter().copied().collect();
    let list = match numbers.iter().map(u32::to_string).collect::<Vec<_>>().as_slice() {
        [] => return None,
        [one] => format!("attempt {one}"),
        [others @ .., last] => format!("attempts {} and {last}", others.join(", ")),
    };
    let (count, noun) = (all.len(), if all.len() == 1 { "plugin" } else { "plugins" });
    let report = if has_ended { " The report has only those of the last attempt." } else { "" };
    Some(format!("The results of {count} {noun} are kept from {list}.{report}"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Command, FencingToken, Resolution, Verdict};
    use crate::policy::transition::{Transition, transition};
    use crate::testing::fixtures;

    #[test]
    fn requested_report_that_does_not_exist_is_missing() {
        use ReportFormat::{Both, Html, Pdf};
        for (format, neither, only_html, only_pdf) in [
            (Html, Some(Html), None, Some(Html)),
            (Pdf, Some(Pdf), Some(Pdf), None),
            (Both, Some(Both), Some(Pdf), Some(Html)),
        ] {
            let found = |html, pdf| missing(format, ReportFiles { html, pdf });
            assert_eq!(
                [found(false, false), found(true, false), found(false, true), found(true, true)],
                [neither, only_html, only_pdf, None],
                "{format}"
            );
        }
    }

    #[test]
    fn kept_results_and_their_attempts_are_named() {
        let said = |attempts: &[u32], has_ended| kept_from(attempts.iter().copied().map(AttemptNumber), has_ended);
        assert_eq!(said(&[], true), None);
        assert_eq!(said(&[1], false).unwrap(), "The results of 1 plugin are kept from attempt 1.");
        assert_eq!(
            said(&[2, 1, 2], true).unwrap(),
            "The results of 3 plugins are kept from attempts 1 and 2. The report has only those of the last attempt."
        );
    }

    #[test]
    fn only_a_scan_that_ran_to_its_end_misses_a_report() {
        let after = |record: &ScanRecord, command: Command| match transition(record, &command, Timestamp::UNIX_EPOCH) {
            Transition::Changed(next) => *next,
            other => panic!("{other:?}"),
        };
        let waiting = fixtures::record(1, Timestamp::UNIX_EPOCH);
        let running = after(&waiting, Command::Lease { node: "a".parse().unwrap() });
        let completed = after(
            &running,
            Command::Finish {
                token: FencingToken(1),
                resolution: Resolution::Complete(Verdict::default()),
                plugins: None,
            },
        );
        let mut dry = completed.clone();
        dry.request.options.dry_run = true;
        for (record, is_said) in [(waiting, false), (running, false), (completed, true), (dry, false)] {
            assert_eq!(missing_of(&record, ReportFiles::default()).is_some(), is_said, "{}", record.status());
            assert_eq!(missing_of(&record, ReportFiles { html: true, pdf: true }), None);
        }
    }
}
