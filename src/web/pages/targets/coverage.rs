//! Which plugins checked a target, and since when one did not.

use kastrel_actors::model::LastCheck;
use kastrel_findings::lifecycle::Check;

use crate::ports::ScannerCatalog;
use crate::web::pages::badge::Badge;
use crate::web::pages::findings::marks::ScanMark;
use crate::web::text::clean;
use crate::web::zone::WallClock;

/// The checks of a target by one plugin.
pub(super) struct CoverageRow {
    /// The name of the plugin.
    pub(super) plugin: String,
    /// The displayed name; empty if the scanner of this server does not have it.
    pub(super) title: String,
    pub(super) state: Badge,
    /// The newest complete check.
    pub(super) complete: Option<ScanMark>,
    /// The newest check, if it was not complete, and why it was not.
    pub(super) newest: Option<(ScanMark, &'static str)>,
}

/// Returns the rows: those that are not checked first.
pub(super) fn coverage(
    checks: &[(String, LastCheck)],
    catalogue: Option<&ScannerCatalog>,
    clock: &WallClock,
) -> Vec<CoverageRow> {
    let mut rows: Vec<CoverageRow> = checks.iter().map(|(plugin, last)| row(plugin, last, catalogue, clock)).collect();
    rows.sort_by_key(|row| row.newest.is_none());
    rows
}

fn row(plugin: &str, last: &LastCheck, catalogue: Option<&ScannerCatalog>, clock: &WallClock) -> CoverageRow {
    let known = catalogue.and_then(|catalogue| catalogue.plugins.iter().find(|known| known.name == plugin));
    let (order, check) = last.newest;
    let newest = (check != Check::Completed).then(|| (ScanMark::new(order, clock), check.reason()));
    CoverageRow {
        plugin: clean(plugin),
        title: known.map(|known| clean(&known.display_name)).filter(|title| title != plugin).unwrap_or_default(),
        state: match (newest.is_some(), last.complete.is_some()) {
            (false, _) => Badge::new("completed", "completed", "Checked"),
            (true, true) => Badge { class: "warning", ..Badge::new("unchecked", "unavailable", "Not checked") },
            (true, false) => Badge { class: "warning", ..Badge::new("never", "unavailable", "Never checked") },
        },
        complete: last.complete.map(|order| ScanMark::new(order, clock)),
        newest,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_findings::lifecycle::ScanOrder;

    use super::*;

    #[test]
    fn coverage_names_the_last_complete_check_and_why_a_newer_one_was_not() {
        let order = |scan| ScanOrder { at: Timestamp::UNIX_EPOCH, scan, token: 1 };
        let last = |complete, newest| LastCheck { complete, newest };
        let checks = [
            ("whatweb".to_owned(), last(Some(order(3)), (order(3), Check::Completed))),
            ("testssl".to_owned(), last(Some(order(1)), (order(3), Check::TimedOut))),
            ("zap".to_owned(), last(None, (order(2), Check::Skipped))),
        ];
        let rows = coverage(&checks, None, &WallClock::sample());
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                let newest = row.newest.as_ref().map(|(mark, why)| (mark.scan, *why));
                (row.plugin.as_str(), row.state.label.as_str(), row.complete.as_ref().map(|mark| mark.scan), newest)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("testssl", "Not checked", Some(1), Some((3, "the plugin ran out of time"))),
                ("zap", "Never checked", None, Some((2, "the plugin was left out"))),
                ("whatweb", "Checked", Some(3), None),
            ]
        );
    }
}
