//! The words of a comparison: why a finding is in its class.

use kastrel_actors::model::ScanId;
use kastrel_findings::compare::NotProven;
use kastrel_findings::lifecycle::{Check, Proof};

/// Returns why a finding is new: what the earlier scan says about it.
pub(super) fn why_new(earlier: ScanId, was_checked: bool, is_known: bool) -> String {
    if is_known {
        format!("scan {earlier} did not check it, and an older scan saw it")
    } else if was_checked {
        format!("scan {earlier} checked and did not see it")
    } else {
        format!("scan {earlier} did not check it")
    }
}

/// Returns the plugin with the scanner that ran it, or its version: `testssl (KAST 3.0.40)`.
pub(super) fn checked_by(plugin: &str, version: &str) -> String {
    if version.is_empty() { plugin.to_owned() } else { format!("{plugin} ({version})") }
}

/// Returns the proof of a fix.
pub(super) fn why_fixed(plugin: &str, proof: &Proof) -> String {
    let by = checked_by(plugin, &proof.plugin_version);
    let (scan, at) = (proof.order.scan, proof.order.at.strftime("%Y-%m-%d %H:%M UTC"));
    format!("{by} checked completely in scan {scan} on {at} and did not see it")
}

/// Returns why the absence of a finding proves nothing.
pub(super) fn why_not_checked(plugin: &str, later: ScanId, why: NotProven) -> String {
    match why {
        NotProven::NotChecked(Check::Completed) => format!("{plugin}: scan {later} did not see it"),
        NotProven::NotChecked(check) => format!("{plugin}: {}", check.reason()),
        NotProven::OneOf(needed) => {
            format!("{plugin}: not seen by scan {later}, and {needed} scans without it are needed as proof")
        }
        NotProven::OlderCheck => format!("{plugin}: scan {later} kept a check that is older than the other scan's"),
    }
}

#[cfg(test)]
mod tests {
    use kastrel_findings::lifecycle::ScanOrder;

    use super::*;

    #[test]
    fn reason_of_each_class_is_said_in_words() {
        assert_eq!(why_new(ScanId(3), true, false), "scan 3 checked and did not see it");
        assert_eq!(why_new(ScanId(3), false, false), "scan 3 did not check it");
        assert_eq!(why_new(ScanId(3), false, true), "scan 3 did not check it, and an older scan saw it");
        let order = ScanOrder { at: "2026-11-30T12:30:59Z".parse().unwrap(), scan: 9, token: 2 };
        assert_eq!(
            why_fixed("testssl", &Proof::new(order, "KAST 3.0.40")),
            "testssl (KAST 3.0.40) checked completely in scan 9 on 2026-11-30 12:30 UTC and did not see it"
        );
        assert_eq!(
            why_fixed("testssl", &Proof::new(order, "")),
            "testssl checked completely in scan 9 on 2026-11-30 12:30 UTC and did not see it"
        );
        for (why, text) in [
            (NotProven::OneOf(2), "zap: not seen by scan 9, and 2 scans without it are needed as proof"),
            (NotProven::OlderCheck, "zap: scan 9 kept a check that is older than the other scan's"),
            (NotProven::NotChecked(Check::Failed), "zap: the plugin failed"),
            (NotProven::NotChecked(Check::TimedOut), "zap: the plugin ran out of time"),
            (NotProven::NotChecked(Check::Skipped), "zap: the plugin was left out"),
            (NotProven::NotChecked(Check::Unavailable), "zap: the tool is not installed"),
            (NotProven::NotChecked(Check::Cancelled), "zap: the scan ended before the plugin"),
            (NotProven::NotChecked(Check::DryRun), "zap: it was a dry run"),
            (NotProven::NotChecked(Check::NarrowerScope), "zap: the scan checked less than before"),
            (NotProven::NotChecked(Check::ReadInPart), "zap: the result could not be read completely"),
        ] {
            assert_eq!(why_not_checked("zap", ScanId(9), why), text);
        }
    }
}
