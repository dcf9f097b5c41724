//! The list of findings over all targets: the filter as tokens, facets, groups by issue, and the
//! form for decisions about several findings. The URL has the complete state of the list.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::ToSpan;
use jiff::civil::Weekday;
use kastrel_actors::model::{SavedFilter, grouped_count};
use kastrel_actors::policy::access::{Group, may};
use url::form_urlencoded;

use super::address::{ListAddress, MOST_TOKENS, SORTS};
use super::facets::{FacetView, facets};
use super::form::Typed;
use super::marks::tokens_url;
use super::rows::{FindingLine, GroupLine};
use super::triage_form::TriageFields;
use crate::service::findings::{FindingFilter, FindingQuery};
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::project_names::ProjectNames;
use crate::web::state::{Web, WebInner};
use crate::web::text::{clean, counted, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The findings, or the issues, of a page.
const PER_PAGE: usize = 100;

/// The page with the list of findings.
#[derive(Template)]
#[template(path = "findings/list.html")]
pub(crate) struct FindingsPage {
    pub(super) layout: Layout,
    pub(super) notice: Option<Notice>,
    /// What is wrong with the address. With a wrong filter, nothing is listed.
    pub(super) wrong: Vec<String>,
    pub(super) most_tokens: usize,
    pub(super) tokens: String,
    pub(super) sorts: Vec<Choice>,
    pub(super) by_issue: bool,
    /// The flat list and the list of issues.
    pub(super) views: Vec<LinkView>,
    /// Questions that are asked often.
    pub(super) quick: Vec<LinkView>,
    pub(super) saved: Vec<SavedView>,
    pub(super) facets: Vec<FacetView>,
    pub(super) rows: Vec<FindingLine>,
    pub(super) groups: Vec<GroupLine>,
    pub(super) summary: String,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) exports: Vec<LinkView>,
    /// The form for decisions; `None` if the viewer may take none, or nothing is listed.
    pub(super) triage: Option<TriageView>,
    /// The link to this list, to which a form returns.
    pub(super) back: String,
    pub(super) is_narrowed: bool,
}

pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
    pub(super) is_chosen: bool,
}

/// A link with its state.
pub(super) struct LinkView {
    pub(super) id: &'static str,
    pub(super) label: String,
    pub(super) url: String,
    pub(super) is_here: bool,
}

pub(super) struct SavedView {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) is_here: bool,
}

/// The form for decisions about the findings of the list.
pub(super) struct TriageView {
    pub(super) fields: TriageFields,
    /// The number of all matches, if the page does not show them all.
    pub(super) all: Option<String>,
}

/// What a page of the list shows.
#[derive(Default)]
struct Shown {
    rows: Vec<FindingLine>,
    groups: Vec<GroupLine>,
    facets: Vec<FacetView>,
    /// The number of all rows.
    total: usize,
    /// What is listed, in words.
    summary: String,
}

/// Shows the list.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let (list, mut wrong) = ListAddress::parse(raw.as_deref());
    let filter = match list.tokens.parse::<FindingFilter>() {
        Ok(filter) => Some(filter),
        Err(error) => {
            wrong.push(format!("q: {error}"));
            None
        }
    };
    let typed = Typed::parse(raw.as_deref().unwrap_or_default().as_bytes());
    let page = read(&web, &viewer, &list, filter.as_ref(), &wrong, notice_of(&typed)).await?;
    Ok(if filter.is_some() { page } else { (StatusCode::BAD_REQUEST, page).into_response() })
}

async fn read(
    web: &WebInner,
    viewer: &Viewer,
    list: &ListAddress,
    filter: Option<&FindingFilter>,
    wrong: &[String],
    notice: Option<Notice>,
) -> Result<Response, Problem> {
    let clock = web.clock(viewer);
    let reading = async {
        match filter {
            Some(filter) => shown(web, viewer, list, filter, &clock).await,
            None => Ok(Shown::default()),
        }
    };
    let saved = async { web.findings().saved_filters(&viewer.context).await.map_err(Problem::from) };
    let (shown, saved, layout) = tokio::join!(reading, saved, Layout::of(web, viewer, Here::Findings, "Findings"));
    let (shown, saved) = (shown?, saved?);
    let count = shown.rows.len() + shown.groups.len();
    let may_triage = may(Some(&*viewer.context.grants), Group::Operator) && !shown.rows.is_empty();
    Ok(page(&FindingsPage {
        layout,
        notice,
        wrong: wrong.iter().map(|text| sentence(&clean(text))).collect(),
        most_tokens: MOST_TOKENS,
        tokens: clean(&list.tokens),
        sorts: sorts(list),
        by_issue: list.by_issue,
        views: views(list),
        quick: quick(list, &clock),
        saved: saved_views(&saved, list),
        summary: summary(list.skip, count, shown.total, &shown.summary),
        previous: (list.skip > 0).then(|| list.at(list.skip.saturating_sub(PER_PAGE)).link()),
        next: (list.skip + count < shown.total && count > 0).then(|| list.at(list.skip + count).link()),
        exports: if filter.is_some() { exports(&list.tokens) } else { Vec::new() },
        triage: may_triage.then(|| TriageView {
            fields: TriageFields::empty(),
            all: (shown.total > count).then(|| grouped_count(shown.total as u64)),
        }),
        facets: shown.facets,
        rows: shown.rows,
        groups: shown.groups,
        back: list.link(),
        is_narrowed: !list.tokens.is_empty(),
    }))
}

async fn shown(
    web: &WebInner,
    viewer: &Viewer,
    list: &ListAddress,
    filter: &FindingFilter,
    clock: &WallClock,
) -> Result<Shown, Problem> {
    if list.by_issue {
        let found = web.findings().groups(&viewer.context, filter, list.skip, PER_PAGE).await?;
        return Ok(Shown {
            groups: found.groups.iter().map(|group| GroupLine::new(group, list, filter)).collect(),
            facets: facets(list, filter, &found.facets),
            total: found.total,
            summary: format!(
                "{}, {}",
                counted(found.total as u64, "issue", "issues"),
                counted(found.findings as u64, "finding", "findings")
            ),
            rows: Vec::new(),
        });
    }
    let query = FindingQuery { filter: filter.clone(), sort: list.sort, skip: list.skip, limit: PER_PAGE };
    let reading = async { web.findings().list(&viewer.context, &query).await.map_err(Problem::from) };
    let (found, projects) = tokio::join!(reading, ProjectNames::of(web, viewer));
    let found = found?;
    Ok(Shown {
        rows: found.rows.iter().map(|row| FindingLine::new(row, &projects, clock)).collect(),
        facets: facets(list, filter, &found.facets),
        total: found.total,
        summary: format!(
            "{} on {}",
            counted(found.total as u64, "finding", "findings"),
            counted(found.targets as u64, "target", "targets")
        ),
        groups: Vec::new(),
    })
}

fn sorts(list: &ListAddress) -> Vec<Choice> {
    SORTS.iter().map(|(sort, value, label)| Choice { value, label, is_chosen: *sort == list.sort }).collect()
}

fn views(list: &ListAddress) -> Vec<LinkView> {
    let view = |id, label: &str, by_issue| LinkView {
        id,
        label: label.into(),
        url: ListAddress { by_issue, ..list.at(0) }.link(),
        is_here: list.by_issue == by_issue,
    };
    vec![view("view-findings", "Findings", false), view("view-issues", "By issue", true)]
}

/// The tokens of the question what got worse in the last week; the overview links to it too.
pub(crate) const NEW_AND_BAD: &str = "severity:critical,high status:any new:7d";

/// Returns the questions that are asked often.
fn quick(list: &ListAddress, clock: &WallClock) -> Vec<LinkView> {
    let monday = format!("severity:critical,high status:any since:{}", last_monday(clock));
    let questions = [
        ("quick-new", "New high or critical, last 7 days", NEW_AND_BAD),
        ("quick-monday", "New high or critical since Monday", monday.as_str()),
        ("quick-regressed", "Came back after a fix", "is:regressed"),
        ("quick-overdue", "Overdue", "is:overdue"),
        ("quick-nobody", "High or critical without an owner", "severity:critical,high owner:none"),
        ("quick-unchecked", "Not checked by the newest scan", "is:unchecked"),
    ];
    let link = |(id, label, tokens): (&'static str, &str, &str)| LinkView {
        id,
        label: label.into(),
        url: tokens_url(tokens),
        is_here: is_same(&list.tokens, tokens),
    };
    questions.into_iter().map(link).collect()
}

/// Returns whether two lines of tokens mean the same.
fn is_same(one: &str, other: &str) -> bool {
    let read = |tokens: &str| tokens.parse::<FindingFilter>().ok();
    read(one).is_some_and(|one| read(other) == Some(one))
}

/// Returns the last Monday up to today in the viewer's zone, as a date.
fn last_monday(clock: &WallClock) -> String {
    let today = clock.now.to_zoned_datetime(clock.zone.zone().clone()).date();
    let days = today.weekday().since(Weekday::Monday);
    today.checked_sub(i64::from(days).days()).unwrap_or(today).to_string()
}

fn saved_views(saved: &[SavedFilter], list: &ListAddress) -> Vec<SavedView> {
    let view = |filter: &SavedFilter| SavedView {
        name: clean(&filter.name),
        url: tokens_url(&filter.filter),
        is_here: is_same(&list.tokens, &filter.filter),
    };
    saved.iter().map(view).collect()
}

fn exports(tokens: &str) -> Vec<LinkView> {
    let link = |(id, label, format): (&'static str, &str, &str)| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("format", format)
            .append_pair("q", tokens)
            .finish();
        LinkView { id, label: label.into(), url: format!("/api/findings/export?{query}"), is_here: false }
    };
    [("export-csv", "CSV", "csv"), ("export-jsonl", "JSON Lines", "jsonl"), ("export-sarif", "SARIF", "sarif")]
        .into_iter()
        .map(link)
        .collect()
}

fn summary(skip: usize, count: usize, total: usize, all: &str) -> String {
    match count {
        0 => String::new(),
        _ if count == total => all.to_owned(),
        _ => format!("{} to {} of {all}", skip + 1, skip + count),
    }
}

/// Returns the notice about what was done. It consists of fixed words and of a number from the
/// address.
fn notice_of(query: &Typed) -> Option<Notice> {
    let text = match query.text("done") {
        "triage" => {
            let count = query.text("n").parse::<u64>().unwrap_or_default();
            format!("{} changed.", counted(count, "finding", "findings"))
        }
        "saved" => "The filter was saved.".into(),
        "deleted" => "The filter was deleted.".into(),
        _ => return None,
    };
    Some(Notice::new("done", text))
}

/// Shows the list with the error of a form on it, such as a filter that cannot be saved.
pub(super) async fn with_error(
    web: &WebInner,
    viewer: &Viewer,
    list: &ListAddress,
    error: String,
) -> Result<Response, Problem> {
    let filter = list.tokens.parse::<FindingFilter>().ok();
    let shown = read(web, viewer, list, filter.as_ref(), &[], Some(Notice::new("error", error))).await?;
    Ok((ProblemKind::InvalidFields.about().0, shown).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_monday_is_a_day_of_the_viewers_zone() {
        let clock = |now: &str, zone: &str| WallClock {
            now: now.parse().unwrap(),
            zone: crate::web::zone::Zone::named(zone).unwrap(),
        };
        for (now, zone, monday) in [
            ("2026-11-23T00:00:00Z", "UTC", "2026-11-23"),
            ("2026-11-29T23:59:59Z", "UTC", "2026-11-23"),
            ("2026-11-29T23:59:59Z", "Pacific/Auckland", "2026-11-30"),
            ("2026-11-23T03:00:00Z", "America/New_York", "2026-11-16"),
        ] {
            assert_eq!(last_monday(&clock(now, zone)), monday, "{now} {zone}");
        }
    }

    #[test]
    fn summary_says_which_part_of_the_matches_is_shown() {
        assert_eq!(summary(0, 0, 0, "0 findings"), "");
        assert_eq!(summary(0, 3, 3, "3 findings on 2 targets"), "3 findings on 2 targets");
        assert_eq!(summary(100, 50, 150, "150 findings on 2 targets"), "101 to 150 of 150 findings on 2 targets");
    }

    #[test]
    fn questions_are_valid_filters() {
        for question in quick(&ListAddress::default(), &WallClock::sample()) {
            let query = question.url.split_once('?').map(|(_, query)| query);
            let (list, wrong) = ListAddress::parse(query);
            assert_eq!(wrong, Vec::<String>::new());
            let filter = list.tokens.parse::<FindingFilter>();
            assert!(filter.is_ok_and(|filter| filter != FindingFilter::default()), "{}", question.url);
        }
    }
}
