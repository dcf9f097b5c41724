//! The overview page: running scans, recent failures with their reasons, the last two weeks, and
//! the health of the dependencies.

use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use kastrel_actors::model::{
    Grants, ListQuery, NodeActivity, NodeRecord, Operation, ProjectId, ScanOrder, ScanSnapshot, ScanStatus, StoreStats,
};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::admission::QueueLimits;
use kastrel_actors::policy::waiting::StartBlocker;
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::CommandError;

use super::badge::state_word;
use super::charts::{DurationChart, OutcomeChart, days_text, durations, first_day, outcomes};
use super::findings::list::NEW_AND_BAD;
use super::findings::marks::{TARGETS, tokens_url};
use super::layout::{Here, Layout, Live, Notice};
use super::project_names::ProjectNames;
use super::project_switcher::{ProjectSwitcher, chosen_project};
use super::rights::ScanRights;
use super::scan_row::{ScanRow, reason};
use crate::ports::{RedisState, ScannerCatalog};
use crate::web::error::Problem;
use crate::web::estimate;
use crate::web::fragments::shared;
use crate::web::headers::page;
use crate::web::query::ScanListQuery;
use crate::web::state::Web;
use crate::web::text::{MomentText, clean, counted, duration, number_of_scans, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::{WallClock, exact};

const RUNNING: usize = 8;
const FAILED: usize = 5;
const RECENT: usize = 10;
const DAYS: i32 = 14;
const RUNS: usize = 40;
/// How long the page waits for the queue, in case the queue is down.
const QUEUE_PATIENCE: Duration = Duration::from_millis(250);

/// The overview page.
#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct OverviewPage {
    layout: Layout,
    live: Live,
    switcher: Option<ProjectSwitcher>,
    /// Why the project of the address is ignored.
    wrong: Option<String>,
    links: Links,
    /// Why the page shows only the line of health.
    notice: Option<Notice>,
    tiles: Vec<Tile>,
    health: Vec<HealthItem>,
    running: Vec<RunCard>,
    more_running: Option<String>,
    failures: Vec<FailureRow>,
    outcomes: OutcomeChart,
    durations: DurationChart,
    days: String,
    recent: Vec<ScanRow>,
}

/// The links to lists of scans, in the chosen project.
struct Links {
    running: String,
    all: String,
    failed: String,
    /// The question what got worse in the last week.
    new_and_bad: String,
    targets: String,
}

impl Links {
    fn of(project: Option<&ProjectId>) -> Self {
        Self {
            running: list_url(Some(ScanStatus::Running), project),
            all: list_url(None, project),
            failed: list_url(Some(ScanStatus::Failed), project),
            new_and_bad: new_and_bad_url(project),
            targets: project.map_or_else(|| TARGETS.to_owned(), |project| format!("{TARGETS}?project={project}")),
        }
    }
}

/// Returns the link to the list of the scans in a state, of a project.
fn list_url(status: Option<ScanStatus>, project: Option<&ProjectId>) -> String {
    let list =
        ScanListQuery { statuses: status.into_iter().collect(), project: project.cloned(), ..ScanListQuery::default() };
    list.link("/scans")
}

/// Returns the link to the findings that got worse in the last week, of a project.
fn new_and_bad_url(project: Option<&ProjectId>) -> String {
    project.map_or_else(|| tokens_url(NEW_AND_BAD), |project| tokens_url(&format!("{NEW_AND_BAD} project:{project}")))
}

/// A tile with the number of scans in a state.
struct Tile {
    name: &'static str,
    label: &'static str,
    count: String,
    url: String,
}

/// The health of a dependency.
struct HealthItem {
    id: &'static str,
    class: &'static str,
    icon: &'static str,
    state: &'static str,
    text: String,
}

impl HealthItem {
    fn new(id: &'static str, ok: Option<bool>, text: impl Into<String>) -> Self {
        let (class, icon, state) = match ok {
            Some(true) => ("is-ok", "completed", "OK"),
            Some(false) => ("is-bad", "failed", "Problem"),
            None => ("is-unknown", "info", "Unknown"),
        };
        Self { id, class, icon, state, text: clean(&text.into()) }
    }

    /// A dependency that works but starts no scan.
    fn warning(id: &'static str, text: impl Into<String>) -> Self {
        Self { id, class: "is-warned", icon: "pause", state: "Warning", text: clean(&text.into()) }
    }
}

/// A running scan.
struct RunCard {
    id: u64,
    url: String,
    target: String,
    mode: &'static str,
    attempt: Option<String>,
    percent: Option<usize>,
    plugins: String,
    doing: String,
    since: String,
    elapsed: String,
    left: Option<String>,
    is_stopping: bool,
    can_cancel: bool,
}

/// A failed scan, with its reason.
struct FailureRow {
    id: u64,
    url: String,
    target: String,
    reason: String,
    at: MomentText,
    can_rerun: bool,
}

/// Shows the overview.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let address = format!("/?{}", raw.as_deref().unwrap_or_default());
    shared(&web, &viewer, &address, read(&web, &viewer, raw.as_deref())).await
}

async fn read(web: &Web, viewer: &Viewer, raw: Option<&str>) -> Result<Response, Problem> {
    let (scans, reporting, context) = (web.scans(), web.reporting(), &viewer.context);
    let (chosen, wrong) = chosen_project(web, viewer, raw).await;
    let wrong = wrong.map(|error| format!("Ignored invalid project: {error}."));
    let (project, projects) = (chosen.project.as_ref(), chosen.for_store().projects);
    let of = |statuses: &[ScanStatus], limit| {
        let projects = projects.clone();
        scans.list(context, ListQuery { statuses: statuses.to_vec(), projects, limit, ..ListQuery::default() })
    };
    let today = web.now().to_zoned_datetime(TimeZone::UTC).date();
    let first = first_day(today, DAYS);
    let clock = web.clock(viewer);
    let oldest =
        ListQuery { statuses: vec![ScanStatus::Pending], order: ScanOrder::Oldest, limit: 1, ..ListQuery::default() };
    // The state of the server is shown to those who have a role on it.
    let sees_server = decide(&context.grants, Operation::ReadServer, None).is_ok();
    let nodes = async {
        match web.nodes().list(context).await {
            Ok(nodes) => Ok(nodes),
            Err(CommandError::Denied(_) | CommandError::Invalid(_)) => Ok(Vec::new()),
            Err(CommandError::Store(error)) => Err(error),
        }
    };
    let reading = async {
        tokio::try_join!(
            reporting.stats(context),
            reporting.stats_of(context, &projects),
            scans.list(context, oldest),
            of(&[ScanStatus::Running], RUNNING),
            of(&[ScanStatus::Failed], FAILED),
            of(&[], RECENT),
            reporting.outcomes(context, first, &projects),
            reporting.past_runs(context, None, RUNS, &projects),
            nodes,
        )
    };
    let queue = web.queue().signals(QUEUE_PATIENCE);
    // Run these in parallel: each may have to wait for a store that does not respond.
    let layout = Layout::of(web, viewer, Here::Overview, "Overview");
    let (read, queue, layout, names) = tokio::join!(reading, queue, layout, ProjectNames::of(web, viewer));
    let layout = layout.in_project(project);
    let redis = web.state.redis.as_ref().map(|redis| redis_health(redis.address(), &redis.state(), &clock));
    let blockers = web.queue().start_blockers_seen();
    let catalogue = web.catalogue();
    let live = Live::new(web, "/api/events");
    let (all_stats, stats, oldest, running, failed, recent, ends, runs, nodes) = match read {
        Ok(read) => read,
        Err(error @ StoreError::Unavailable(_)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the overview is shown without the database");
            let mut health = health(None, queue.map(|_| None), &blockers, redis, catalogue.as_deref());
            health.retain(|_| sees_server);
            return Ok((
                StatusCode::SERVICE_UNAVAILABLE,
                [(header::RETRY_AFTER, "5")],
                page(&OverviewPage::without_store(layout, live, health)),
            )
                .into_response());
        }
        Err(error) => return Err(error.into()),
    };
    let mut cards = Vec::new();
    for scan in &running.scans {
        let left = estimate::words(reporting.time_left(context, scan).await);
        cards.push(RunCard::new(scan, &context.grants, &clock, left));
    }
    let oldest = oldest.scans.first().map(|scan| clock.now.duration_since(scan.record.created_at));
    Ok(page(&OverviewPage {
        layout,
        live,
        switcher: ProjectSwitcher::new("/", &chosen, &names),
        wrong,
        links: Links::of(project),
        notice: None,
        tiles: tiles(&stats, project),
        health: {
            // The health is that of the server, whatever the project.
            let queue = queue.map(|_| Some((all_stats.pending, oldest)));
            let mut items = health(Some((&nodes, all_stats.running)), queue, &blockers, redis, catalogue.as_deref());
            items.extend(full_queue(all_stats.pending, web.queue().limits()));
            items.retain(|_| sees_server);
            items
        },
        more_running: stats
            .running
            .checked_sub(cards.len() as u64)
            .filter(|more| *more > 0)
            .map(|more| counted(more, "more running scan", "more running scans")),
        running: cards,
        failures: failed.scans.iter().filter_map(|scan| FailureRow::new(scan, &context.grants, &clock)).collect(),
        outcomes: in_project(outcomes(&ends, first, today), project),
        durations: durations(&runs),
        days: days_text(DAYS),
        recent: recent.scans.iter().map(|scan| ScanRow::new(scan, web, &context.grants, &names, &clock)).collect(),
    }))
}

impl OverviewPage {
    /// Returns the page while the database does not respond.
    fn without_store(layout: Layout, live: Live, health: Vec<HealthItem>) -> Self {
        let nothing = jiff::civil::Date::ZERO;
        Self {
            layout,
            live,
            switcher: None,
            wrong: None,
            links: Links::of(None),
            notice: Some(Notice::new(
                "error",
                "Database not responding. Nothing is lost; the scans are shown as soon as it responds.",
            )),
            tiles: Vec::new(),
            health,
            running: Vec::new(),
            more_running: None,
            failures: Vec::new(),
            outcomes: outcomes(&[], nothing, nothing),
            durations: durations(&[]),
            days: String::new(),
            recent: Vec::new(),
        }
    }
}

/// Returns the chart with links to the lists of a project.
fn in_project(mut chart: OutcomeChart, project: Option<&ProjectId>) -> OutcomeChart {
    if let Some(project) = project {
        chart.bars.iter_mut().for_each(|bar| bar.url = format!("{}&project={project}", bar.url));
    }
    chart
}

fn tiles(stats: &StoreStats, project: Option<&ProjectId>) -> Vec<Tile> {
    let order =
        [ScanStatus::Running, ScanStatus::Pending, ScanStatus::Failed, ScanStatus::Completed, ScanStatus::Cancelled];
    order
        .map(|status| Tile {
            name: status.as_str(),
            label: state_word(status),
            count: number_of_scans(stats.of(status), stats.is_floor(status)),
            url: list_url(Some(status), project),
        })
        .into()
}

/// Returns the health of all dependencies, for one line. `database` has the nodes and the number of
/// running scans, or is `None` if the database does not respond. The outer `None` of `queue` means
/// that the queue does not respond; the inner value is the number of queued scans and the age of
/// the oldest one, if known.
///
/// The number of running scans comes from their rows, because the numbers that nodes report are as
/// old as their last lease renewal.
fn health(
    database: Option<(&[NodeRecord], u64)>,
    queue: Option<Option<(u64, Option<SignedDuration>)>>,
    blockers: &[StartBlocker],
    redis: Option<HealthItem>,
    catalogue: Option<&ScannerCatalog>,
) -> Vec<HealthItem> {
    let mut items = match database {
        Some((nodes, running)) => {
            vec![nodes_health(nodes, running), HealthItem::new("database", Some(true), "Database OK")]
        }
        None => vec![
            HealthItem::new("nodes", None, "Nodes unknown"),
            HealthItem::new("database", Some(false), "Database not responding"),
        ],
    };
    items.push(queue_health(queue, blockers));
    items.extend(redis);
    items.push(match catalogue {
        None => HealthItem::new("kast", None, "Detecting scanner…"),
        Some(catalogue) => {
            let available = catalogue.plugins.iter().filter(|plugin| plugin.available).count();
            let text = format!(
                "{} · {available} of {} plugins available",
                sentence(&catalogue.scanner.label()),
                catalogue.plugins.len()
            );
            HealthItem::new("kast", Some(available > 0), text)
        }
    });
    items
}

/// Returns the health of the queue. A queue that responds is healthy only while it starts scans.
fn queue_health(queue: Option<Option<(u64, Option<SignedDuration>)>>, blockers: &[StartBlocker]) -> HealthItem {
    let Some(held) = queue else { return HealthItem::new("queue", Some(false), "Queue not responding") };
    let counts = match held {
        Some((queued, Some(oldest))) if queued > 0 => format!(" · {queued} queued, oldest {}", duration(oldest)),
        Some((queued, _)) => format!(" · {queued} queued"),
        None => String::new(),
    };
    match blockers.first() {
        None => HealthItem::new("queue", Some(true), format!("Queue OK{counts}")),
        Some(StartBlocker::QueueDown { .. }) => {
            HealthItem::new("queue", Some(false), format!("Queue unavailable{counts}"))
        }
        Some(StartBlocker::Paused(_)) => HealthItem::warning("queue", format!("Queue paused{counts}")),
        Some(StartBlocker::NoWorker { .. } | StartBlocker::HeldBack(_)) => {
            HealthItem::warning("queue", format!("No scan starts{counts}"))
        }
    }
}

fn redis_health(address: &str, state: &RedisState, clock: &WallClock) -> HealthItem {
    let ok = match state {
        RedisState::Connecting => None,
        RedisState::Connected { .. } => Some(true),
        RedisState::Refusing { .. } | RedisState::Down { .. } => Some(false),
    };
    let text = state.text(|at| clock.moment(at).shown);
    HealthItem::new("redis", ok, format!("Redis at {address}: {text}"))
}

/// Returns the warning about a full queue, while submissions are refused.
fn full_queue(waiting: u64, limits: QueueLimits) -> Option<HealthItem> {
    let is_full = limits.max_waiting > 0 && waiting >= limits.max_waiting;
    is_full.then(|| {
        HealthItem::new(
            "queue-full",
            Some(false),
            format!("Queue full: {waiting} of {} scans queued, new ones are refused", limits.max_waiting),
        )
    })
}

fn nodes_health(nodes: &[NodeRecord], running: u64) -> HealthItem {
    let (alive, lost): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.is_alive);
    let (taking, others): (Vec<&NodeRecord>, Vec<&NodeRecord>) =
        alive.iter().copied().partition(|node| node.activity() == NodeActivity::Active);
    let slots: u32 = taking.iter().map(|node| node.registration.capacity).fold(0, u32::saturating_add);
    let mut text = format!("{} · {running} of {slots} slots busy", counted(alive.len() as u64, "node", "nodes"));
    for activity in [NodeActivity::Draining, NodeActivity::Drained, NodeActivity::Stopping] {
        let count = others.iter().filter(|node| node.activity() == activity).count();
        if count > 0 {
            text = format!("{text}, {count} {activity}");
        }
    }
    let held = taking.iter().filter(|node| node.registration.hold.node.is_some()).count();
    if held > 0 {
        text = format!("{text}, {held} held back");
    }
    if !lost.is_empty() {
        text = format!("{text}, {} lost", lost.len());
    }
    if alive.is_empty() {
        text = "No worker connected; scans stay queued".into();
    }
    HealthItem::new("nodes", Some(!alive.is_empty() && lost.is_empty() && held == 0), text)
}

impl RunCard {
    fn new(scan: &ScanSnapshot, grants: &Grants, clock: &WallClock, left: Option<String>) -> Self {
        let (record, overview) = (&scan.record, scan.overview());
        let number = record.last_attempt().map_or(0, |attempt| attempt.number.0);
        Self {
            id: record.id.0,
            url: format!("/scans/{}", record.id),
            target: clean(&record.request.target.label()),
            mode: record.request.options.mode.as_str(),
            attempt: (number > 1).then(|| format!("attempt {number}")),
            percent: overview.percent,
            plugins: overview.progress().unwrap_or_else(|| "Starting".into()),
            doing: clean(&overview.running.join(", ")),
            since: exact(overview.attempt_since),
            elapsed: duration(overview.elapsed(clock.now)),
            left,
            is_stopping: record.cancel_requested.is_some(),
            can_cancel: ScanRights::of(grants, record).can_cancel,
        }
    }
}

impl FailureRow {
    fn new(scan: &ScanSnapshot, grants: &Grants, clock: &WallClock) -> Option<Self> {
        let record = &scan.record;
        Some(Self {
            id: record.id.0,
            url: format!("/scans/{}", record.id),
            target: clean(&record.request.target.label()),
            reason: reason(&record.state)?,
            at: clock.moment(record.ended_at()?),
            can_rerun: ScanRights::of(grants, record).can_rerun,
        })
    }
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
