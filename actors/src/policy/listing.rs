//! The filters and sort keys of a list of scans. Pure functions, the same for every store.

use crate::model::{
    Cursor, ListQuery, PluginResult, ScanOrder, ScanRecord, Severity, SeverityCounts, Target, total_count,
};

/// Returns the name of a plugin in the form that lists compare: lower case.
#[must_use]
pub fn plugin_text(name: &str) -> String {
    name.to_lowercase()
}

/// Returns the names of the plugins that have results (collected items or issues), in the form that
/// lists compare, each once. A plugin may report an issue and collect nothing.
#[must_use]
pub fn plugins_with_results(record: &ScanRecord) -> Vec<String> {
    let has_results = |plugin: &&PluginResult| plugin.findings_count > 0 || plugin.issues_count() > 0;
    let mut names: Vec<String> =
        record.plugins.iter().filter(has_results).map(|plugin| plugin_text(&plugin.name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns the number of items that a scan's plugins collected.
#[must_use]
pub fn findings_of(record: &ScanRecord) -> u64 {
    total_count(record.plugins.iter().map(|plugin| plugin.findings_count))
}

/// Returns the severity of a scan's issues as one number: the worst severity first, then how many
/// issues have it, then how many others there are. Less than 2 to the power of 43.
#[must_use]
pub fn severity_rank(counts: &SeverityCounts) -> u64 {
    const COUNT_BITS: u32 = 20;
    const MOST: u64 = (1 << COUNT_BITS) - 1;
    let Some(worst) = counts.worst() else { return 0 };
    let level =
        Severity::ALL.iter().rev().zip(1_u64..).find(|(severity, _)| **severity == worst).map_or(0, |(_, level)| level);
    let of_worst = counts.number(worst);
    let others = counts.total().saturating_sub(of_worst);
    (level << (2 * COUNT_BITS)) | (of_worst.min(MOST) << COUNT_BITS) | others.min(MOST)
}

/// Returns the time from a scan's first start to its end, in milliseconds. `None` for a scan that
/// never started or has not ended.
#[must_use]
pub fn took_ms(record: &ScanRecord) -> Option<u64> {
    let took = record.ended_at()?.duration_since(record.started_at?);
    Some(u64::try_from(took.as_millis()).unwrap_or_default())
}

/// Returns the target in the form that lists compare: lower case.
#[must_use]
pub fn target_text(record: &ScanRecord) -> String {
    record.request.target.to_string().to_lowercase()
}

/// Returns a search text in the form that lists compare. A trailing slash from a browser's address
/// bar is removed, because no target has one.
#[must_use]
pub fn search_text(text: &str) -> String {
    let text = text.trim().to_lowercase();
    let bare = text
        .strip_suffix('/')
        .filter(|bare| !bare.is_empty() && !bare.split_once("://").map_or(*bare, |(_, rest)| rest).contains('/'));
    bare.map_or_else(|| text.clone(), str::to_owned)
}

/// Returns true if a target, in the form that lists compare, contains a text. An internationalised
/// name matches in its Unicode form and in its `xn--` form.
#[must_use]
pub fn target_contains(target: &str, text: &str) -> bool {
    if target.contains(text) {
        return true;
    }
    if !target.contains("xn--") {
        return false;
    }
    let Some(unicode) = target.parse::<Target>().ok().and_then(|target| target.unicode()) else { return false };
    // The same letters can be typed in several ways; the IDNA mapping makes them equal.
    unicode.to_lowercase().contains(&idna::domain_to_unicode(text).0)
}

/// Returns true if a scan passes the filters of a list. The page position is not a filter, and tags
/// are no part of a record: the store compares them.
#[must_use]
pub fn matches(record: &ScanRecord, query: &ListQuery) -> bool {
    query.projects.holds(&record.project)
        && (query.statuses.is_empty() || query.statuses.contains(&record.status()))
        && query.mode.is_none_or(|mode| record.request.options.mode == mode)
        && query.created_from.is_none_or(|from| record.created_at >= from)
        && query.created_until.is_none_or(|until| record.created_at < until)
        && query.target.as_deref().is_none_or(|text| text.is_empty() || target_contains(&target_text(record), text))
        && query.plugin.as_deref().is_none_or(|plugin| plugins_with_results(record).contains(&plugin_text(plugin)))
        && query.min_severity.is_none_or(|least| {
            record.ended_at().is_some() && record.severities().worst().is_some_and(|worst| worst.is_at_least(least))
        })
}

/// Returns the cursor of a scan in an order; `None` if the order does not contain it.
#[must_use]
pub fn cursor(record: &ScanRecord, order: ScanOrder) -> Option<Cursor> {
    let rank = match order {
        ScanOrder::Newest | ScanOrder::Oldest => String::new(),
        ScanOrder::Target => target_text(record),
        ScanOrder::Longest => took_ms(record)?.to_string(),
        ScanOrder::Findings => record.ended_at().map(|_| findings_of(record).to_string())?,
        ScanOrder::Worst => record.ended_at().map(|_| severity_rank(&record.severities()).to_string())?,
    };
    Some(Cursor { rank, id: record.id })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{
        PluginStatus, ProjectFilter, ProjectId, ResultSummary, ScanId, ScanMode, ScanState, ScanStatus,
    };
    use crate::testing::fixtures;

    #[test]
    fn search_text_has_no_slash_that_a_target_drops() {
        for (given, looked_for) in [
            ("bücher.example/", "bücher.example"),
            (" Example.COM/ ", "example.com"),
            ("https://example.com/", "https://example.com"),
            ("example.com:8443/", "example.com:8443"),
            ("https://example.com/app/", "https://example.com/app/"),
            ("example.com/app", "example.com/app"),
            ("/app/", "/app/"),
            ("https://", "https://"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(search_text(given), looked_for);
        }
        assert!(target_contains("http://xn--bcher-kva.example", &search_text("bücher.example/")));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn completed(findings: &[(&str, u64)]) -> ScanRecord {
        let plugins: Vec<_> = findings
            .iter()
            .map(|(name, count)| PluginResult {
                findings_count: *count,
                ..PluginResult::new(*name, PluginStatus::Completed)
            })
            .collect();
        ScanRecord {
            state: ScanState::Completed { at: at(90), summary: ResultSummary::of(&plugins, false) },
            plugins,
            started_at: Some(at(30)),
            ..fixtures::record(7, at(10))
        }
    }

    #[test]
    fn list_filters_match_their_scans() {
        let record = completed(&[("whatweb", 2), ("testssl", 0)]);
        let all = ListQuery::default;
        for (query, expected) in [
            (all(), true),
            (ListQuery { statuses: vec![ScanStatus::Failed], ..all() }, false),
            (ListQuery { statuses: vec![ScanStatus::Failed, ScanStatus::Completed], ..all() }, true),
            (ListQuery { projects: ProjectFilter::of("team".parse().unwrap()), ..all() }, false),
            (ListQuery { projects: ProjectFilter::of(ProjectId::default()), ..all() }, true),
            (ListQuery { mode: Some(ScanMode::Active), ..all() }, false),
            (ListQuery { mode: Some(ScanMode::Passive), ..all() }, true),
            (ListQuery { created_from: Some(at(10)), ..all() }, true),
            (ListQuery { created_from: Some(at(11)), ..all() }, false),
            (ListQuery { created_until: Some(at(10)), ..all() }, false),
            (ListQuery { created_until: Some(at(11)), ..all() }, true),
            (ListQuery { target: Some("ample.c".into()), ..all() }, true),
            (ListQuery { target: Some("other".into()), ..all() }, false),
            (ListQuery { plugin: Some("whatweb".into()), ..all() }, true),
            (ListQuery { plugin: Some("testssl".into()), ..all() }, false),
            (ListQuery { plugin: Some("WhatWeb".into()), ..all() }, true),
        ] {
            assert_eq!(matches(&record, &query), expected, "{query:?}");
        }
    }

    #[test]
    fn a_plugin_has_results_if_it_collected_items_or_named_an_issue() {
        let mut record = completed(&[("wafw00f", 0), ("WhatWeb", 0), ("whatweb", 1), ("testssl", 0)]);
        // As in KAST's own sample: no firewall was detected, and that is the issue.
        record.plugins[0].issues = vec![crate::model::IssueRef {
            id: "No WAF Detected".into(),
            severity: Severity::High,
            title: String::new(),
        }];
        record.plugins[1].severities.unknown = 1;
        assert_eq!(plugins_with_results(&record), ["wafw00f", "whatweb"]);
    }

    #[test]
    fn internationalised_name_is_found_in_both_forms() {
        let target = "https://xn--bcher-kva.example:444/a";
        for text in [
            "bücher",
            "büch",
            "ücher.exa",
            "xn--bcher",
            "bcher-kva",
            "https://bücher.example:444",
            "bu\u{308}cher",
            "example",
        ] {
            assert!(target_contains(target, text), "{text}");
        }
        for text in ["bucher", "öcher", "bücher.com"] {
            assert!(!target_contains(target, text), "{text}");
        }
        assert!(!target_contains("example.com", "ü"));
        // An ASCII text may be contained in the `xn--` form and not in the Unicode form.
        let shop = "xn--broshop-n2a.example";
        assert_eq!(shop.parse::<Target>().unwrap().unicode().as_deref(), Some("büroshop.example"));
        assert!(
            target_contains(shop, "shop.example")
                && target_contains(shop, "roshop")
                && !target_contains(shop, "bueroshop")
        );
    }

    #[test]
    fn worse_issues_rank_higher_and_no_count_overflows() {
        let counts =
            |critical, high, low, unknown| SeverityCounts { critical, high, low, unknown, ..SeverityCounts::default() };
        let rising = [
            counts(0, 0, 0, 0),
            counts(0, 0, 0, 1),
            counts(0, 0, 0, u64::MAX),
            counts(0, 0, 1, 0),
            counts(0, 1, 0, 0),
            counts(0, 1, 900, 0),
            counts(0, 2, 0, 0),
            counts(0, u64::MAX, u64::MAX, u64::MAX),
            counts(1, 0, 0, 0),
            counts(u64::MAX, u64::MAX, u64::MAX, u64::MAX),
        ];
        let ranks: Vec<u64> = rising.iter().map(severity_rank).collect();
        assert!(
            ranks.windows(2).all(|pair| pair[0] < pair[1]) && ranks.iter().all(|rank| *rank < 1 << 43),
            "{ranks:?}"
        );
    }

    #[test]
    fn minimum_severity_matches_only_scans_that_have_ended() {
        let issue = |severity| crate::model::IssueRef { id: "x".into(), severity, title: String::new() };
        let plugin = PluginResult::new("a", PluginStatus::Failed).with_issues([issue(Severity::Medium)]);
        let failure = crate::model::Failure::new(crate::model::FailureKind::Crashed, "x");
        let ended = ScanRecord {
            state: ScanState::Failed { at: at(90), failure },
            plugins: vec![plugin.clone()],
            ..fixtures::record(7, at(10))
        };
        let waits = ScanRecord { plugins: vec![plugin], ..fixtures::record(7, at(10)) };
        for (least, listed) in
            [(Severity::High, false), (Severity::Medium, true), (Severity::Low, true), (Severity::Unknown, true)]
        {
            let query = ListQuery { min_severity: Some(least), ..ListQuery::default() };
            assert_eq!((matches(&ended, &query), matches(&waits, &query)), (listed, false), "{least}");
        }
    }

    #[test]
    fn cursor_exists_for_scans_that_the_order_can_compare() {
        let (done, waiting) = (completed(&[("a", 2), ("b", 3)]), fixtures::record(8, at(10)));
        for (order, of_done, of_waiting) in [
            (ScanOrder::Newest, Some(""), Some("")),
            (ScanOrder::Target, Some("example.com"), Some("example.com")),
            (ScanOrder::Longest, Some("60000"), None),
            (ScanOrder::Findings, Some("5"), None),
            (ScanOrder::Worst, Some("0"), None),
        ] {
            assert_eq!(
                cursor(&done, order),
                of_done.map(|rank| Cursor { rank: rank.into(), id: ScanId(7) }),
                "{order}"
            );
            assert_eq!(
                cursor(&waiting, order),
                of_waiting.map(|rank| Cursor { rank: rank.into(), id: ScanId(8) }),
                "{order}"
            );
        }
    }
}
