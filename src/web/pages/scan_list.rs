//! The list of all scans: filters, order, pages, and the selection for bulk actions.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_actors::model::{FieldError, ListQuery, ScanId, ScanMode, ScanOrder, ScanStatus, Severity, StoreStats};
use kastrel_actors::policy::access::{Group, may};

use super::badge::state_word;
use super::layout::{Here, Layout, Live, Notice};
use super::project_names::ProjectNames;
use super::project_switcher::ProjectSwitcher;
use super::scan_row::ScanRow;
use crate::ports::ScannerCatalog;
use crate::web::error::{MOST_ERRORS, Problem};
use crate::web::fragments::shared;
use crate::web::headers::page;
use crate::web::query::ScanListQuery;
use crate::web::state::{Web, WebInner};
use crate::web::text::{clean, counted, number_of_scans, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::Zone;

const PATH: &str = "/scans";
/// The notice that the filter admits no finished scan, so the requested order is not possible.
const NONE_HAS_ENDED: &str = "Only finished scans can be sorted by duration, items or severity; showing newest first.";
const TOO_MANY_TARGETS: &str = "Too many targets to sort; showing newest first. Filter by a part of the target.";
const HIDES: &str = "finished scans only in this order";
/// Up to this number of scans, the tabs of a filtered list show counts; with more scans, counting
/// would cost more than the page.
const COUNTED: u64 = 500;
/// How many unreadable rows are named.
const NAMED: usize = 10;
const PER_PAGE: &[usize] = &[20, 50, 100];

/// The page with the list of scans.
#[derive(Template)]
#[template(path = "scan_list.html")]
pub(crate) struct ScanListPage {
    layout: Layout,
    live: Live,
    switcher: Option<ProjectSwitcher>,
    notice: Option<Notice>,
    /// Why the list is not in the requested order.
    order_notice: Option<&'static str>,
    tabs: Vec<Tab>,
    filter: FilterView,
    /// The link to the list without filters, in the chosen project.
    clear_url: String,
    wrong: Vec<String>,
    headings: Vec<Heading>,
    rows: Vec<ScanRow>,
    /// A notice about rows that could not be read.
    unreadable: Option<String>,
    summary: String,
    /// The link that continues a search that stopped before the page was full.
    search_on: Option<String>,
    search_on_label: &'static str,
    first: Option<String>,
    newer: Option<String>,
    older: Option<String>,
    csv_url: String,
    json_url: String,
    /// Whether the list has filters.
    is_narrowed: bool,
    /// Whether the page shows a scan that can be cancelled.
    has_open: bool,
    /// Whether the page shows a scan that can be repeated.
    has_ended: bool,
    /// Whether the page shows a scan that can be deleted.
    has_deletable: bool,
    /// Whether the viewer may select scans for actions.
    has_boxes: bool,
    /// The link to this list, to which bulk actions return.
    back: String,
}

/// A tab that filters the list by state.
struct Tab {
    name: &'static str,
    label: &'static str,
    /// How many scans of this state match the filters, if known.
    count: Option<String>,
    url: String,
    is_here: bool,
}

/// The filters of the list.
struct FilterView {
    target: String,
    statuses: Vec<&'static str>,
    plugin: String,
    plugins: Vec<String>,
    tag: String,
    from: String,
    to: String,
    /// The time zone that the form sends.
    zone: String,
    /// The time zone of the filter's days, if it is not the viewer's.
    other_zone: Option<String>,
    modes: Vec<FilterChoice>,
    /// The id of the chosen project, which the form keeps; empty for all.
    project: String,
    severities: Vec<FilterChoice>,
    orders: Vec<FilterChoice>,
    sizes: Vec<FilterChoice>,
}

struct FilterChoice {
    value: String,
    label: String,
    is_chosen: bool,
}

/// A column heading, and the order to which it links.
struct Heading {
    label: &'static str,
    class: &'static str,
    url: Option<String>,
    is_here: bool,
    arrow: &'static str,
}

/// Shows the list.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let address = format!("{PATH}?{}", raw.as_deref().unwrap_or_default());
    shared(&web, &viewer, &address, read(&web, &viewer, raw.as_deref())).await
}

async fn read(web: &Web, viewer: &Viewer, raw: Option<&str>) -> Result<Response, Problem> {
    // A URL with an invalid parameter shows the list for the valid parameters, with a notice about
    // the invalid ones.
    let (mut asked, mut errors) = ScanListQuery::parse(raw);
    errors.extend(asked.take_unknown_project(web.access(), &viewer.context).await?);
    let mut query = asked.clone().in_fitting_order();
    let mut order_notice = (query.order != asked.order).then_some(NONE_HAS_ENDED);
    let mut store = query.for_store();
    store.count = false;
    let of_project = store.projects.clone();
    let reading = async {
        tokio::try_join!(
            web.scans().list(&viewer.context, store),
            web.reporting().stats_of(&viewer.context, &of_project)
        )
    };
    let (read, projects) = tokio::join!(reading, ProjectNames::of(web, viewer));
    let (list, stats) = read?;
    if list.order != query.order {
        query = query.newest_first();
        order_notice = Some(TOO_MANY_TARGETS);
    }
    let start = query.without_place();
    let counts = counts(web, viewer, &start, stats).await?;
    let tab = |status: Option<ScanStatus>| Tab {
        name: status.map_or("all", ScanStatus::as_str),
        label: status.map_or("All", state_word),
        count: counts.map(|counts| match status {
            None => number_of_scans(counts.all(), counts.all_is_floor()),
            Some(status) => number_of_scans(counts.of(status), counts.is_floor(status)),
        }),
        url: ScanListQuery { statuses: status.into_iter().collect(), ..start.clone() }.in_fitting_order().link(PATH),
        is_here: query.statuses == status.into_iter().collect::<Vec<_>>(),
    };
    // Create the layout first: it checks the queue, and the rows use the result for their waiting
    // reasons.
    let layout = Layout::of(web, viewer, Here::Scans, "Scans").await.in_project(query.project.as_ref());
    let clock = web.clock(viewer);
    let rows: Vec<ScanRow> =
        list.scans.iter().map(|scan| ScanRow::new(scan, web, &viewer.context.grants, &projects, &clock)).collect();
    let place = |id| kastrel_actors::model::Cursor { rank: String::new(), id };
    let (first_row, last_row) =
        (list.scans.first().map(|scan| scan.record.id), list.scans.last().map(|scan| scan.record.id));
    let is_back = query.back && query.order.is_by_number();
    // A search that stopped early continues in its own direction, at the position where it stopped.
    let (next, rest) = if list.is_partial { (None, list.next.as_ref()) } else { (list.next.as_ref(), None) };
    let search_on = rest.and_then(|rest| if is_back { query.backward(rest.id) } else { Some(query.next_page(rest)) });
    // On a page that was read backwards, the next page is the one that the viewer came from, and
    // the previous page is the rest that the search found. A page without rows uses the position
    // where it begins.
    let (before, after) = if is_back {
        (
            next.and(first_row).and_then(|id| query.backward(id)),
            last_row.map(|id| query.next_page(&place(id))).or_else(|| query.reversed()),
        )
    } else {
        let is_first = query == start;
        (
            first_row.filter(|_| !is_first).and_then(|id| query.backward(id)).or_else(|| query.reversed()),
            next.map(|next| query.next_page(next)),
        )
    };
    let export = |kind: &str| start.link(&format!("/api/scans/export.{kind}"));
    Ok(page(&ScanListPage {
        layout,
        live: Live::new(web, "/api/events"),
        switcher: ProjectSwitcher::new(PATH, &query, &projects),
        notice: notice_of(raw.unwrap_or_default()),
        order_notice,
        tabs: std::iter::once(None).chain(ScanStatus::ALL.iter().copied().map(Some)).map(tab).collect(),
        filter: FilterView::new(&query, &viewer.zone, web.catalogue().as_deref()),
        clear_url: ScanListQuery { project: query.project.clone(), ..ScanListQuery::default() }.link(PATH),
        wrong: errors.iter().take(MOST_ERRORS).map(wrong).collect(),
        headings: headings(&query),
        unreadable: unreadable(&list.unreadable),
        summary: summary(&query, rows.len()),
        has_open: rows.iter().any(|row| row.can_cancel),
        has_ended: rows.iter().any(|row| row.can_rerun),
        has_deletable: rows.iter().any(|row| row.can_delete),
        has_boxes: may(Some(&*viewer.context.grants), Group::Operator),
        rows,
        search_on: search_on.map(|query| query.link(PATH)),
        search_on_label: match (query.order, is_back) {
            (ScanOrder::Newest, false) | (ScanOrder::Oldest, true) => "Search older scans",
            (ScanOrder::Newest, true) | (ScanOrder::Oldest, false) => "Search newer scans",
            (ScanOrder::Target | ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst, _) => "Search more scans",
        },
        first: (query != start).then(|| start.link(PATH)),
        newer: before.map(|query| query.link(PATH)),
        older: after.map(|query| query.link(PATH)),
        csv_url: export("csv"),
        json_url: export("json"),
        is_narrowed: query.is_narrowed(),
        back: asked.link(PATH),
    }))
}

/// Returns how many scans of each state match the filters except the state filter: other numbers
/// would mislead. `stats` are those of the query's project. Returns `None` if counting is too
/// expensive.
async fn counts(
    web: &WebInner,
    viewer: &Viewer,
    query: &ScanListQuery,
    stats: StoreStats,
) -> Result<Option<StoreStats>, Problem> {
    let all = ScanListQuery { statuses: Vec::new(), ..query.clone() };
    let in_all_projects = ScanListQuery { project: None, ..all.clone() };
    if !in_all_projects.is_narrowed() {
        return Ok(Some(stats));
    }
    if stats.all() > COUNTED {
        return Ok(None);
    }
    let limit = usize::try_from(COUNTED).unwrap_or(usize::MAX);
    let query = ListQuery { limit, count: false, order: ScanOrder::Newest, ..all.newest_first().for_store() };
    let page = web.scans().list(&viewer.context, query).await?;
    let mut counts = StoreStats::default();
    for scan in &page.scans {
        *match scan.status() {
            ScanStatus::Pending => &mut counts.pending,
            ScanStatus::Running => &mut counts.running,
            ScanStatus::Completed => &mut counts.completed,
            ScanStatus::Failed => &mut counts.failed,
            ScanStatus::Cancelled => &mut counts.cancelled,
        } += 1;
    }
    Ok((page.next.is_none() && !page.is_partial).then_some(counts))
}

/// Returns a notice about the rows that the store cannot read, if any. The list leaves these rows
/// out.
fn unreadable(scans: &[ScanId]) -> Option<String> {
    let named: Vec<String> = scans.iter().take(NAMED).map(|id| format!("#{id}")).collect();
    let more = if scans.len() > NAMED { ", …" } else { "" };
    (!scans.is_empty()).then(|| {
        format!(
            "{} could not be read: {}{more}. The server's log says why.",
            counted(scans.len() as u64, "row", "rows"),
            named.join(", ")
        )
    })
}

fn summary(query: &ScanListQuery, rows: usize) -> String {
    let can_hide =
        query.is_of_ended() && (query.statuses.is_empty() || query.statuses.iter().any(|status| !status.is_terminal()));
    let shown = if rows == 0 { String::new() } else { counted(rows as u64, "scan on this page", "scans on this page") };
    match (can_hide, shown.is_empty()) {
        (false, _) => shown,
        (true, true) => HIDES.into(),
        (true, false) => format!("{shown}; {HIDES}"),
    }
}

fn wrong(error: &FieldError) -> String {
    clean(&format!("{}: {}", sentence(&error.field), error.message))
}

impl FilterView {
    fn new(query: &ScanListQuery, zone: &Zone, catalogue: Option<&ScannerCatalog>) -> Self {
        let choice =
            |value: &str, label: &str, is_chosen| FilterChoice { value: value.into(), label: label.into(), is_chosen };
        let has_days = query.from.is_some() || query.to.is_some();
        let mut modes = vec![choice("", "Any", query.mode.is_none())];
        modes.extend(
            ScanMode::ALL.iter().map(|mode| choice(mode.as_str(), &sentence(mode.as_str()), query.mode == Some(*mode))),
        );
        Self {
            target: clean(query.target.as_deref().unwrap_or_default()),
            statuses: query.statuses.iter().map(|status| status.as_str()).collect(),
            plugin: clean(query.plugin.as_deref().unwrap_or_default()),
            plugins: catalogue
                .iter()
                .flat_map(|catalogue| &catalogue.plugins)
                .map(|plugin| clean(&plugin.name))
                .collect(),
            tag: clean(query.tag.as_deref().unwrap_or_default()),
            from: query.from.as_ref().map(|day| clean(&day.text)).unwrap_or_default(),
            to: query.to.as_ref().map(|day| clean(&day.text)).unwrap_or_default(),
            zone: if has_days { query.zone.name() } else { zone.name() }.to_owned(),
            other_zone: (has_days && query.zone != *zone).then(|| query.zone.name().to_owned()),
            modes,
            project: query.project.as_ref().map(ToString::to_string).unwrap_or_default(),
            severities: least_severities(query),
            orders: ScanOrder::ALL
                .iter()
                .filter(|order| fits(query, **order))
                .map(|order| choice(order.as_str(), order_label(*order), query.order == *order))
                .collect(),
            sizes: PER_PAGE
                .iter()
                .map(|size| choice(&size.to_string(), &size.to_string(), query.per_page == *size))
                .collect(),
        }
    }
}

impl FilterView {
    /// Returns the time zone of the days, if it is not the viewer's.
    fn zone_note(&self) -> String {
        self.other_zone.as_ref().map_or_else(String::new, |zone| format!(" ({zone})"))
    }
}

/// Returns the choices of the minimum severity of a scan's worst issue.
fn least_severities(query: &ScanListQuery) -> Vec<FilterChoice> {
    let choice = |value: &str, label: String, is_chosen| FilterChoice { value: value.into(), label, is_chosen };
    let label = |severity: Severity| match severity {
        Severity::Critical => "Critical".into(),
        Severity::Unknown => "Any issue".into(),
        other => format!("{} or worse", sentence(other.as_str())),
    };
    let any = choice("", "Any".into(), query.min_severity.is_none());
    std::iter::once(any)
        .chain(
            Severity::ALL
                .iter()
                .map(|severity| choice(severity.as_str(), label(*severity), query.min_severity == Some(*severity))),
        )
        .collect()
}

/// Returns whether an order can list the scans that the filter admits.
fn fits(query: &ScanListQuery, order: ScanOrder) -> bool {
    let ordered = ScanListQuery { order, ..query.without_place() };
    ordered.admits_ended() || !ordered.is_of_ended()
}

const fn order_label(order: ScanOrder) -> &'static str {
    match order {
        ScanOrder::Newest => "Newest first",
        ScanOrder::Oldest => "Oldest first",
        ScanOrder::Target => "Target, A to Z",
        ScanOrder::Longest => "Longest first (finished)",
        ScanOrder::Findings => "Most items first (finished)",
        ScanOrder::Worst => "Worst first (finished)",
    }
}

fn headings(query: &ScanListQuery) -> Vec<Heading> {
    let to = |order: ScanOrder| Some(ScanListQuery { order, ..query.without_place() }.link(PATH));
    let plain = |label, class| Heading { label, class, url: None, is_here: false, arrow: "" };
    let sorted = |label, class, order: ScanOrder, arrow| {
        if !fits(query, order) {
            return plain(label, class);
        }
        let is_here = query.order == order;
        Heading { label, class, url: to(order), is_here, arrow: if is_here { arrow } else { "" } }
    };
    let submitted = match query.order {
        ScanOrder::Newest => {
            Heading { url: to(ScanOrder::Oldest), ..sorted("Submitted", "", ScanOrder::Newest, "↓") }
        }
        ScanOrder::Oldest => {
            Heading { url: to(ScanOrder::Newest), ..sorted("Submitted", "", ScanOrder::Oldest, "↑") }
        }
        ScanOrder::Target | ScanOrder::Longest | ScanOrder::Findings | ScanOrder::Worst => {
            sorted("Submitted", "", ScanOrder::Newest, "")
        }
    };
    vec![
        sorted("Target", "", ScanOrder::Target, "↑"),
        plain("State", ""),
        plain("Checks", ""),
        sorted("Issues", "", ScanOrder::Worst, "↓"),
        submitted,
        sorted("Duration", "num", ScanOrder::Longest, "↓"),
    ]
}

/// Returns the notice about a bulk action. It consists of fixed words and of numbers from the URL.
fn notice_of(query: &str) -> Option<Notice> {
    let of = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let count = |name: &str| of(name).and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
    let (done, not, left) = (count("n"), count("not"), count("left"));
    let scans = counted(done, "scan", "scans");
    let text = match of("done")?.as_str() {
        "submitted" => format!("{scans} queued. This page updates live."),
        "cancel" => format!("Cancel requested for {scans}."),
        "rerun" => format!("{} queued.", counted(done, "new scan", "new scans")),
        "delete" if left > 0 => {
            format!("{scans} deleted. The files of {left} could not be removed; see the server's log.")
        }
        "delete" => format!("{scans} deleted."),
        _ => return None,
    };
    let uncleared = count("uncleared").min(not);
    let mut rest = String::new();
    if uncleared > 0 {
        let scans = counted(uncleared, "scan was", "scans were");
        rest += &format!(" {scans} skipped: the clearance of the target is missing.");
    }
    if not > uncleared {
        let scans = counted(not - uncleared, "scan was", "scans were");
        rest += &format!(" {scans} skipped: the state had changed, or the scan was refused.");
    }
    let kind = if not > 0 || left > 0 { "warning" } else { "done" };
    Some(Notice::new(kind, text + rest.as_str()))
}

#[cfg(test)]
#[path = "scan_list_tests.rs"]
mod tests;
