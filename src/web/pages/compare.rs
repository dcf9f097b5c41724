//! The comparison of two scans: its page, and the section of a scan's page with the changes since
//! the last comparable scan.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_actors::model::{Operation, ScanId, ScanRecord, ScanResult};
use kastrel_actors::policy::access::decide;

use super::badge::{Badge, SeverityChip};
use super::layout::{Here, Layout, Notice};
use crate::service::findings::{CompareError, CompareGaps, ComparedFinding, EndedCheck, LastChanges, ScanComparison};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean, counted};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The path of the page.
pub(crate) const PATH: &str = "/compare";
/// The rows of one class in the section of a scan's page.
const MOST_IN_SECTION: usize = 20;
/// The findings of both scans beyond which the section does not compare them.
const MOST_COMPARED: u64 = 1_000;
/// The rows of one class on the page.
const MOST_ON_PAGE: usize = 500;

/// The page of a comparison.
#[derive(Template)]
#[template(path = "compare.html")]
struct ComparePage {
    layout: Layout,
    notice: Option<Notice>,
    /// What is in the form.
    earlier: String,
    later: String,
    changes: Option<Changes>,
}

/// The changes between two scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) earlier: SideView,
    pub(crate) later: SideView,
    /// The numbers of all classes, in one line.
    pub(crate) summary: String,
    /// The address of the page of the comparison.
    pub(crate) url: String,
    /// The plugins whose checks in the later scan were not complete, with the reasons.
    pub(crate) unchecked: Vec<String>,
    /// What is said in place of findings that changed.
    pub(crate) outcome: Option<&'static str>,
    /// The classes that have findings.
    pub(crate) classes: Vec<ChangeClass>,
}

/// One of the two scans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SideView {
    pub(crate) scan: u64,
    pub(crate) ended: MomentText,
    pub(crate) badge: Badge,
    /// `7 findings, 5 of 6 plugins ran to their end`.
    pub(crate) outcome: String,
}

/// The findings of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangeClass {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) count: usize,
    pub(crate) is_open: bool,
    pub(crate) rows: Vec<ChangeRow>,
    /// How many are not shown, in words.
    pub(crate) more: Option<String>,
}

/// A finding that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangeRow {
    /// The page of the finding; `None` if the viewer may not read it.
    pub(crate) url: Option<String>,
    pub(crate) chip: SeverityChip,
    pub(crate) title: String,
    pub(crate) plugin: String,
    pub(crate) place: String,
    pub(crate) why: String,
}

/// Shows the comparison of the scans in the query, or the form for their numbers.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (earlier, later) = read_query(query.as_deref().unwrap_or_default());
    let (changes, notice) = match (earlier.trim(), later.trim()) {
        ("", "") => (None, None),
        (one, other) => match (one.parse(), other.parse()) {
            (Ok(one), Ok(other)) => match web.findings().compare(&viewer.context, ScanId(one), ScanId(other)).await {
                Ok(comparison) => (Some(Changes::page(&web, &viewer, &comparison)), None),
                Err(CompareError::Store(error)) => return Err(error.into()),
                Err(error) => (None, Some(Notice::new("error", crate::web::text::sentence(&error.to_string())))),
            },
            _ => (None, Some(Notice::new("error", "Enter the numbers of two scans."))),
        },
    };
    let title = changes.as_ref().map_or_else(
        || "Compare scans".to_owned(),
        |changes| format!("Scan {} compared with scan {}", changes.later.scan, changes.earlier.scan),
    );
    let layout = Layout::of(&web, &viewer, Here::Scans, title).await;
    Ok(page(&ComparePage { layout, notice, earlier: clean(&earlier), later: clean(&later), changes }))
}

/// Returns the `earlier` and the `later` of a query, at most 20 characters of each.
fn read_query(query: &str) -> (String, String) {
    let value = |name: &str| {
        let found = url::form_urlencoded::parse(query.as_bytes()).find(|(other, _)| other == name);
        found.map(|(_, value)| value.chars().take(20).collect()).unwrap_or_default()
    };
    (value("earlier"), value("later"))
}

impl Changes {
    /// Returns the section of a scan's page: the changes since the last comparable scan. There is
    /// none while the findings of the scan are not stored, without an earlier scan, and while the
    /// store does not respond.
    pub(crate) async fn since_last(web: &WebInner, viewer: &Viewer, record: &ScanRecord) -> Option<Self> {
        if !record.status().is_terminal() {
            return None;
        }
        let changes = web.findings().changes_since_last(&viewer.context, record.id, MOST_COMPARED).await.ok()??;
        let clock = web.clock(viewer);
        Some(match &changes {
            LastChanges::Compared(comparison) => {
                Self::new(comparison, &clock, may_read(viewer, comparison), MOST_IN_SECTION)
            }
            LastChanges::Counted { earlier, later } => Self::counted(earlier, later, &clock),
        })
    }

    /// Returns the section without the findings: they are too many for it.
    fn counted(earlier: &ScanResult, later: &ScanResult, clock: &WallClock) -> Self {
        Self {
            summary: format!("{} new to the target, {} fixed", later.new, later.fixed),
            outcome: Some("Too many findings to list here."),
            ..Self::between(earlier, later, 0, clock)
        }
    }

    /// Returns the changes between two scans without the findings, of which this number is new,
    /// fixed or not checked.
    fn between(earlier: &ScanResult, later: &ScanResult, changed: usize, clock: &WallClock) -> Self {
        let gaps = CompareGaps::of(ends(earlier), ends(later));
        Self {
            summary: String::new(),
            url: format!("{PATH}?earlier={}&later={}", earlier.scan, later.scan),
            earlier: SideView::new(earlier, clock),
            later: SideView::new(later, clock),
            outcome: gaps.outcome(changed),
            unchecked: gaps.unchecked.iter().map(|gap| clean(gap)).collect(),
            classes: Vec::new(),
        }
    }

    fn page(web: &WebInner, viewer: &Viewer, comparison: &ScanComparison) -> Self {
        Self::new(comparison, &web.clock(viewer), may_read(viewer, comparison), MOST_ON_PAGE)
    }

    fn new(comparison: &ScanComparison, clock: &WallClock, has_links: bool, most: usize) -> Self {
        let ScanComparison { earlier, later, new, fixed, unchanged, not_checked } = comparison;
        let class = |name, title, findings: &[ComparedFinding], is_open| ChangeClass {
            name,
            title,
            count: findings.len(),
            is_open,
            rows: findings.iter().take(most).map(|finding| ChangeRow::new(finding, has_links)).collect(),
            more: findings.len().checked_sub(most).filter(|more| *more > 0).map(|more| format!("and {more} more")),
        };
        let on_page = most == MOST_ON_PAGE;
        // The section of a scan's page has only their number.
        let listed: &[ComparedFinding] = if on_page { unchanged } else { &[] };
        let classes = [
            class("new", "New", new, true),
            class("fixed", "Fixed", fixed, true),
            class("not-checked", "Not checked", not_checked, on_page),
            class("unchanged", "Unchanged", listed, false),
        ];
        Self {
            summary: format!(
                "{} new, {} fixed, {} unchanged, {} not checked",
                new.len(),
                fixed.len(),
                unchanged.len(),
                not_checked.len()
            ),
            classes: classes.into_iter().filter(|class| class.count > 0).collect(),
            ..Self::between(earlier, later, new.len() + fixed.len() + not_checked.len(), clock)
        }
    }
}

/// Returns how the plugins of a scan ended.
fn ends(result: &ScanResult) -> impl Iterator<Item = EndedCheck<'_>> {
    result.checks.iter().map(|(plugin, check)| (plugin.as_str(), check.end, check.read_completely))
}

/// Returns true if the viewer may open the pages of the findings. A share opens only the scan.
fn may_read(viewer: &Viewer, comparison: &ScanComparison) -> bool {
    decide(&viewer.context.grants, Operation::ReadFindings, Some(&comparison.later.project)).is_ok()
}

impl SideView {
    fn new(result: &ScanResult, clock: &WallClock) -> Self {
        let ran = result.checks.values().filter(|check| check.end == kastrel_findings::lifecycle::PluginEnd::Completed);
        Self {
            scan: result.scan.0,
            ended: clock.moment(result.order.at),
            badge: result.status.into(),
            outcome: format!(
                "{}, {} of {} ran to the end",
                counted(result.findings, "finding", "findings"),
                ran.count(),
                counted(result.checks.len() as u64, "plugin", "plugins")
            ),
        }
    }
}

impl ChangeRow {
    fn new(finding: &ComparedFinding, has_link: bool) -> Self {
        let severity = finding.severity.name().parse().unwrap_or(kastrel_actors::model::Severity::Unknown);
        Self {
            url: has_link.then(|| format!("/findings/{}", finding.id)),
            chip: SeverityChip::new(severity, 1),
            title: clean(&finding.title),
            plugin: clean(&finding.plugin),
            place: clean(&finding.place),
            why: clean(&finding.why),
        }
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{PluginResult, PluginStatus, Resolution, Verdict};
    use kastrel_findings::lifecycle::PluginEnd;

    use super::*;
    use crate::service::findings::samples::Sample;
    use crate::web::testing::{TestApp, text_of};

    async fn app() -> (TestApp, [ScanId; 3]) {
        let app = TestApp::new();
        let mut scans = Vec::new();
        for _ in 0..3 {
            let running = app.running("shop.example").await;
            let plugin = PluginResult::new("whatweb", PluginStatus::Completed);
            let verdict = Verdict { plugins: vec![plugin], dry_run: false };
            let ended = app.finish(&running, Resolution::Complete(verdict)).await;
            scans.push(ended.id);
        }
        let sample = Sample::new(&app.memory, "default", "shop.example");
        let done = [("testssl", PluginEnd::Completed), ("whatweb", PluginEnd::Completed)];
        let hostile = "<script>alert(1)</script>";
        sample
            .scan(scans[0], 100, &done, &[("testssl", "tls1", "/"), ("whatweb", "gone", "/"), ("whatweb", "old", "/")])
            .await;
        let failed = [("testssl", PluginEnd::TimedOut), ("whatweb", PluginEnd::Completed)];
        sample.scan(scans[1], 200, &failed, &[("whatweb", "old", "/"), ("whatweb", hostile, "/")]).await;
        (app, [scans[0], scans[1], scans[2]])
    }

    #[tokio::test]
    async fn page_of_a_scan_shows_the_changes_since_the_last_comparable_one() {
        let (app, [first, second, third]) = app().await;
        let page = text_of(app.get(&format!("/scans/{second}")).await).await;
        assert!(page.contains("1 new, 1 fixed, 1 unchanged, 1 not checked"), "{page}");
        assert!(page.contains(&format!("/compare?earlier={first}&#38;later={second}\"")), "{page}");
        assert!(page.contains("testssl: the plugin ran out of time"), "{page}");
        assert!(page.contains("alert(1)") && !page.contains("<script>alert(1)"), "{page}");
        for scan in [first, third] {
            let page = text_of(app.get(&format!("/scans/{scan}")).await).await;
            assert!(!page.contains("id=\"changes-panel\""), "nothing to compare scan {scan} with");
        }
    }

    #[tokio::test]
    async fn page_of_a_comparison_has_all_classes_and_names_what_is_wrong() {
        let (app, [first, second, third]) = app().await;
        let compare = async |query: &str| {
            let response = app.get(&format!("/compare{query}")).await;
            assert_eq!(response.status(), 200, "{query}");
            text_of(response).await
        };
        let page = compare(&format!("?earlier={first}&later={second}")).await;
        for class in ["new", "fixed", "unchanged", "not-checked"] {
            assert!(page.contains(&format!("id=\"changes-{class}\"")), "{class}: {page}");
        }
        assert!(page.contains("whatweb (1.2) checked completely in scan"), "{page}");
        assert!(!compare("").await.contains("id=\"notice\""));
        for (query, text) in [
            ("?earlier=x&later=1".to_owned(), "numbers of two scans"),
            (format!("?earlier={first}&later=99"), "There is no scan 99"),
            (format!("?earlier={first}&later={third}"), "has no result yet"),
            (format!("?earlier={first}&later={first}"), "cannot be compared with itself"),
        ] {
            let page = compare(&query).await;
            assert!(page.contains(text), "{query}: {page}");
        }
    }

    #[tokio::test]
    async fn section_shows_a_bounded_number_of_rows() {
        let app = TestApp::new();
        let scans = [app.submitted("shop.example").await, app.submitted("shop.example").await];
        let sample = Sample::new(&app.memory, "default", "shop.example");
        let done = [("whatweb", PluginEnd::Completed)];
        let issues: Vec<String> = (0..30).map(|number| format!("issue-{number}")).collect();
        let seen: Vec<_> = issues.iter().map(|issue| ("whatweb", issue.as_str(), "/")).collect();
        sample.scan(scans[0], 100, &done, &[]).await;
        sample.scan(scans[1], 200, &done, &seen).await;
        let context = kastrel_actors::testing::fixtures::context();
        let comparison = app.web().findings().compare(&context, scans[0], scans[1]).await.unwrap();
        let section = Changes::new(&comparison, &WallClock::sample(), false, MOST_IN_SECTION);
        let [new] = section.classes.as_slice() else { panic!("{section:?}") };
        assert_eq!((new.count, new.rows.len(), new.more.as_deref()), (30, 20, Some("and 10 more")));
        assert!(new.rows.iter().all(|row| row.url.is_none() && row.chip.name == "high"));
        let page = Changes::new(&comparison, &WallClock::sample(), true, MOST_ON_PAGE);
        assert_eq!((page.classes[0].rows.len(), page.classes[0].more.as_deref()), (30, None));
        assert!(page.classes[0].rows.iter().all(|row| row.url.is_some()));
    }

    #[tokio::test]
    async fn scan_that_checked_less_does_not_say_that_nothing_changed() {
        let app = TestApp::new();
        let mut scans = Vec::new();
        for _ in 0..3 {
            scans.push(app.submitted("shop.example").await);
        }
        let sample = Sample::new(&app.memory, "default", "shop.example");
        let done = [("testssl", PluginEnd::Completed), ("whatweb", PluginEnd::Completed)];
        sample.scan(scans[0], 100, &done, &[]).await;
        sample.scan(scans[1], 200, &done, &[]).await;
        sample.scan(scans[2], 300, &[("whatweb", PluginEnd::TimedOut)], &[]).await;
        let compare = async |earlier: ScanId, later: ScanId| {
            text_of(app.get(&format!("/compare?earlier={earlier}&later={later}")).await).await
        };
        let page = compare(scans[0], scans[1]).await;
        assert!(page.contains("Nothing changed.") && !page.contains("id=\"changes-unchecked\""), "{page}");
        let page = compare(scans[1], scans[2]).await;
        assert!(!page.contains("Nothing changed."), "{page}");
        for part in [
            "No change is known: nothing was checked completely.",
            "testssl: the scan did not have it",
            "whatweb: the plugin ran out of time",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }

    #[tokio::test]
    async fn page_of_a_scan_with_many_findings_has_only_their_numbers() {
        let app = TestApp::new();
        let mut scans = Vec::new();
        for _ in 0..2 {
            let running = app.running("shop.example").await;
            let plugin = PluginResult::new("whatweb", PluginStatus::Completed);
            let verdict = Verdict { plugins: vec![plugin], dry_run: false };
            scans.push(app.finish(&running, Resolution::Complete(verdict)).await.id);
        }
        let sample = Sample::new(&app.memory, "default", "shop.example");
        let done = [("whatweb", PluginEnd::Completed)];
        let issues: Vec<String> = (0..1_001).map(|number| format!("issue-{number}")).collect();
        let seen: Vec<_> = issues.iter().map(|issue| ("whatweb", issue.as_str(), "/")).collect();
        sample.scan(scans[0], 100, &done, &seen[1..2]).await;
        sample.scan(scans[1], 200, &done, &seen).await;
        let read = || app.memory.calls().get("observed_findings").copied();
        let before = read();
        let page = text_of(app.get(&format!("/scans/{}", scans[1])).await).await;
        for part in ["1000 new to the target, 0 fixed", "Too many findings to list here.", "id=\"compare\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("id=\"changes-new\"") && read() == before, "{page}");
    }

    #[test]
    fn numbers_of_a_query_are_bounded() {
        assert_eq!(read_query("earlier=1&later=2&x=3"), ("1".into(), "2".into()));
        assert_eq!(read_query(&format!("earlier={}", "9".repeat(30))).0.len(), 20);
    }
}
