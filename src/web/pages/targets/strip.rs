//! The history of a target as a strip of scans, of which any two can be compared.

use kastrel_actors::model::ScanResult;
use kastrel_findings::lifecycle::Check;

use crate::web::pages::badge::{Badge, SeverityChip};
use crate::web::pages::findings::marks::{ScanMark, chip};
use crate::web::text::counted;
use crate::web::zone::WallClock;

/// A scan of the strip.
pub(super) struct StripScan {
    pub(super) mark: ScanMark,
    pub(super) status: Badge,
    pub(super) severities: Vec<SeverityChip>,
    pub(super) findings: String,
    pub(super) new: u64,
    pub(super) fixed: u64,
    /// The number of plugins whose check was not complete.
    pub(super) gaps: Option<String>,
    /// Whether it is chosen as the earlier scan of a comparison at first.
    pub(super) is_earlier: bool,
    /// Whether it is chosen as the later scan of a comparison at first.
    pub(super) is_later: bool,
}

/// Returns the strip. `scans` are newest first; the two newest are chosen for the comparison.
pub(super) fn strip(scans: &[ScanResult], clock: &WallClock) -> Vec<StripScan> {
    let scan = |(at, result): (usize, &ScanResult)| {
        let complete = result.checks.values().filter(|check| check.is_complete()).count();
        let gaps = result.checks.len() - complete;
        StripScan {
            mark: ScanMark::new(result.order, clock),
            status: result.status.into(),
            severities: result
                .severities
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(severity, count)| chip(*severity, *count))
                .collect(),
            findings: match result.findings {
                0 if result.absent == Check::DryRun => "dry run".to_owned(),
                0 if complete == 0 => "nothing checked".to_owned(),
                count => counted(count, "finding", "findings"),
            },
            new: result.new,
            fixed: result.fixed,
            gaps: (gaps > 0).then(|| counted(gaps as u64, "incomplete check", "incomplete checks")),
            is_earlier: at == 1,
            is_later: at == 0,
        }
    };
    scans.iter().enumerate().map(scan).collect()
}

#[cfg(test)]
mod tests {
    use kastrel_actors::testing::fixtures;
    use kastrel_findings::lifecycle::ScanOrder;

    use super::*;

    #[test]
    fn scan_that_checked_nothing_does_not_look_clean() {
        let target = fixtures::target_record(&kastrel_actors::model::ProjectId::default(), "shop.example");
        let order = ScanOrder { at: jiff::Timestamp::UNIX_EPOCH, scan: 1, token: 1 };
        let clean = fixtures::scan_result(&target, order, 0);
        let empty = ScanResult { checks: [].into(), ..clean.clone() };
        let dry = ScanResult { absent: Check::DryRun, ..empty.clone() };
        let shown = strip(&[clean, empty, dry], &WallClock::sample());
        let texts: Vec<&str> = shown.iter().map(|scan| scan.findings.as_str()).collect();
        assert_eq!(texts, ["0 findings", "nothing checked", "dry run"]);
    }
}
