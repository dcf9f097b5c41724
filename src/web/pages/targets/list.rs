//! The list of targets: open issues, what the last scan changed, and groups by tag.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_findings::Severity;
use kastrel_findings::identity::TargetId;

use super::address::{ListAddress, MOST_TEXT};
use crate::service::findings::{FindingFilter, TargetRow};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::badge::SeverityChip;
use crate::web::pages::findings::marks::{ScanMark, chip, filter_url, target_url};
use crate::web::pages::layout::{Here, Layout};
use crate::web::pages::project_names::ProjectNames;
use crate::web::state::Web;
use crate::web::text::{clean, counted, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The page with the list of targets.
#[derive(Template)]
#[template(path = "targets/list.html")]
pub(crate) struct TargetsPage {
    pub(super) layout: Layout,
    /// What is wrong with the address.
    pub(super) wrong: Vec<String>,
    pub(super) words: String,
    pub(super) most_text: usize,
    /// The filters that the form keeps: name and value.
    pub(super) kept: Vec<(&'static str, String)>,
    pub(super) projects: Vec<ProjectChoice>,
    pub(super) tags: Vec<TagLink>,
    pub(super) by_tag: bool,
    /// The link to the same list, grouped by tag or not.
    pub(super) group_url: String,
    pub(super) clear_url: String,
    pub(super) groups: Vec<TargetGroup>,
    pub(super) summary: String,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
    pub(super) is_narrowed: bool,
}

pub(super) struct ProjectChoice {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) is_chosen: bool,
}

/// A tag with its number of targets. The link adds it to the filter, or removes it.
pub(super) struct TagLink {
    pub(super) tag: String,
    pub(super) count: usize,
    pub(super) url: String,
    pub(super) is_chosen: bool,
}

/// Targets with one heading; one group without a heading if they are not grouped.
pub(super) struct TargetGroup {
    pub(super) heading: Option<String>,
    pub(super) rows: Vec<TargetLine>,
}

/// A target in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetLine {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) origin: String,
    pub(super) project: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) open: Vec<SeverityLink>,
    pub(super) new: usize,
    pub(super) fixed: usize,
    /// Whether a check was ever complete.
    pub(super) is_checked: bool,
    pub(super) unchecked: Option<String>,
    pub(super) last_scan: ScanMark,
}

/// The open findings of one severity, with the link to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeverityLink {
    pub(super) chip: SeverityChip,
    pub(super) url: String,
}

impl TargetLine {
    pub(super) fn new(row: &TargetRow, projects: &ProjectNames, clock: &WallClock) -> Self {
        Self {
            id: row.id.to_string(),
            url: target_url(row.id),
            origin: clean(&row.origin.to_string()),
            project: projects.title_of(&row.project),
            tags: row.tags.iter().map(|tag| clean(tag)).collect(),
            open: open(row),
            new: row.new,
            fixed: row.fixed,
            is_checked: row.is_checked,
            unchecked: unchecked(row),
            last_scan: ScanMark::new(row.last_scan, clock),
        }
    }
}

/// Returns how many plugins did not check a target completely; `None` if all did.
fn unchecked(row: &TargetRow) -> Option<String> {
    match row.unchecked {
        0 if !row.is_checked => Some("all plugins".to_owned()),
        0 => None,
        count => Some(counted(count as u64, "plugin", "plugins")),
    }
}

/// Returns the open findings of a target by severity, worst first.
pub(super) fn open(row: &TargetRow) -> Vec<SeverityLink> {
    let link = |(severity, count): (&Severity, &usize)| SeverityLink {
        chip: chip(*severity, *count as u64),
        url: filter_url(&FindingFilter { severities: [*severity].into(), ..of_target(row.id) }),
    };
    row.open.iter().filter(|(_, count)| **count > 0).map(link).collect()
}

/// Returns the filter with the findings of one target.
pub(super) fn of_target(id: TargetId) -> FindingFilter {
    FindingFilter { targets: [id.to_string()].into(), ..FindingFilter::default() }
}

/// Shows the list.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let (list, wrong) = ListAddress::parse(raw.as_deref());
    let query = list.query();
    let reading = async { web.targets().list(&viewer.context, &query).await.map_err(Problem::from) };
    let (found, layout, projects) =
        tokio::join!(reading, Layout::of(&web, &viewer, Here::Targets, "Targets"), ProjectNames::of(&web, &viewer));
    let found = found?;
    let clock = web.clock(&viewer);
    let lines: Vec<TargetLine> = found.rows.iter().map(|row| TargetLine::new(row, &projects, &clock)).collect();
    let count = lines.len();
    Ok(page(&TargetsPage {
        layout,
        wrong: wrong.iter().map(|text| sentence(&clean(text))).collect(),
        words: clean(&list.words),
        most_text: MOST_TEXT,
        kept: kept(&list),
        projects: project_choices(&list, &projects),
        tags: tag_links(&list, &found.tags),
        by_tag: list.by_tag,
        group_url: ListAddress { by_tag: !list.by_tag, ..list.at(0) }.link(),
        clear_url: ListAddress { by_tag: list.by_tag, ..ListAddress::default() }.link(),
        groups: if list.by_tag { by_tag(&lines) } else { vec![TargetGroup { heading: None, rows: lines }] },
        summary: summary(list.skip, count, found.total),
        previous: (list.skip > 0).then(|| list.at(list.skip.saturating_sub(list.per_page())).link()),
        next: (count > 0 && list.skip + count < found.total).then(|| list.at(list.skip + count).link()),
        is_narrowed: list.is_narrowed(),
    }))
}

fn kept(list: &ListAddress) -> Vec<(&'static str, String)> {
    let group = list.by_tag.then(|| ("group", "tag".to_owned()));
    list.tags.iter().map(|tag| ("tag", clean(tag))).chain(group).collect()
}

fn project_choices(list: &ListAddress, projects: &ProjectNames) -> Vec<ProjectChoice> {
    let chosen = list.project.as_ref().map(ToString::to_string).unwrap_or_default();
    let choice = |(id, title): (String, String)| ProjectChoice { is_chosen: id == chosen, id, title };
    let choices: Vec<ProjectChoice> = projects.all().map(choice).collect();
    if choices.is_empty() {
        return choices;
    }
    std::iter::once(choice((String::new(), "All projects".into()))).chain(choices).collect()
}

/// Returns the tags of the list, and those of the filter that no target has.
fn tag_links(list: &ListAddress, tags: &[(String, usize)]) -> Vec<TagLink> {
    let link = |tag: &str, count| TagLink {
        tag: clean(tag),
        count,
        url: list.toggled(tag).link(),
        is_chosen: list.tags.contains(tag),
    };
    let unknown = list.tags.iter().filter(|tag| !tags.iter().any(|(known, _)| known == *tag));
    tags.iter().map(|(tag, count)| link(tag, *count)).chain(unknown.map(|tag| link(tag, 0))).collect()
}

/// Groups targets by tag. A target with several tags is in each of their groups; those without a
/// tag are in the last one.
fn by_tag(lines: &[TargetLine]) -> Vec<TargetGroup> {
    let tags: std::collections::BTreeSet<String> = lines.iter().flat_map(|line| line.tags.iter().cloned()).collect();
    let of_tag = |tag: String| TargetGroup {
        rows: lines.iter().filter(|line| line.tags.contains(&tag)).cloned().collect(),
        heading: Some(tag),
    };
    let mut groups: Vec<TargetGroup> = tags.into_iter().map(of_tag).collect();
    let rest: Vec<TargetLine> = lines.iter().filter(|line| line.tags.is_empty()).cloned().collect();
    if !rest.is_empty() {
        groups.push(TargetGroup { heading: Some("No tag".into()), rows: rest });
    }
    groups
}

fn summary(skip: usize, count: usize, total: usize) -> String {
    match count {
        0 => String::new(),
        _ if count == total => counted(total as u64, "target", "targets"),
        _ => format!("{} to {} of {}", skip + 1, skip + count, counted(total as u64, "target", "targets")),
    }
}
