//! One target: its open issues, what the last scan changed, its scans, assets and checks.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_actors::model::{Clearance, ClearanceLevel, FieldError, Operation, ProjectId, Target};
use kastrel_actors::policy::access::decide;
use kastrel_actors::policy::clearance::{deciding, level_at};
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::Status;
use kastrel_findings::place::Origin;

use super::assets::{AssetGroup, assets};
use super::coverage::{CoverageRow, coverage};
use super::list::{SeverityLink, of_target, open};
use super::strip::{StripScan, strip};
use crate::service::access::AccountError;
use crate::service::findings::{FindingFilter, TargetDetail};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::findings::form::{Field, Typed, other_errors};
use crate::web::pages::findings::marks::{ScanMark, TARGETS, filter_url, target_url};
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::project_names::ProjectNames;
use crate::web::path::{TargetPath, no_target};
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// The page of a target.
#[derive(Template)]
#[template(path = "targets/detail.html")]
pub(crate) struct TargetDetailPage {
    pub(super) layout: Layout,
    pub(super) notice: Option<Notice>,
    pub(super) list_url: &'static str,
    pub(super) target: TargetView,
    pub(super) clearance: Option<ClearanceView>,
    pub(super) tags: Field,
    pub(super) notes: Field,
    pub(super) can_edit: bool,
    pub(super) can_check: bool,
}

/// What the page shows of the target.
pub(super) struct TargetView {
    pub(super) url: String,
    pub(super) origin: String,
    pub(super) project: Option<String>,
    pub(super) tags: Vec<String>,
    pub(super) notes: String,
    pub(super) first_scan: MomentText,
    pub(super) last_scan: ScanMark,
    pub(super) open: Vec<SeverityLink>,
    /// The links to the open findings, and to all.
    pub(super) open_url: String,
    pub(super) all_url: String,
    pub(super) new: usize,
    pub(super) new_url: String,
    pub(super) fixed: usize,
    pub(super) fixed_url: String,
    pub(super) unchecked: usize,
    pub(super) is_checked: bool,
    pub(super) scans: Vec<StripScan>,
    pub(super) coverage: Vec<CoverageRow>,
    pub(super) assets: Vec<AssetGroup>,
}

/// What the clearances of the project allow to be done to the host.
pub(super) struct ClearanceView {
    pub(super) level: &'static str,
    /// The pattern of the clearance that decides; `None` if no clearance covers the host.
    pub(super) pattern: Option<String>,
    pub(super) until: Option<MomentText>,
    pub(super) has_ended: bool,
    pub(super) url: String,
}

/// What was typed into the form of tags and notes.
pub(super) struct Edited<'a> {
    pub(super) tags: &'a str,
    pub(super) notes: &'a str,
}

/// Shows the page.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    TargetPath(id): TargetPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Typed::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, id, None, &[]).await?;
    let notice =
        (query.text("notice") == "changed").then(|| Notice::new("done", "The tags and the notes were changed."));
    Ok(page(&TargetDetailPage { notice, ..shown }))
}

/// Reads the page, with the form as it was typed.
pub(super) async fn read(
    web: &WebInner,
    viewer: &Viewer,
    id: TargetId,
    typed: Option<Edited<'_>>,
    errors: &[FieldError],
) -> Result<TargetDetailPage, Problem> {
    let context = &viewer.context;
    let detail = web.targets().get(context, id).await?.ok_or_else(no_target)?;
    let clock = web.clock(viewer);
    let project = &detail.record.project;
    let (clearance, layout, projects) = tokio::join!(
        clearance(web, viewer, project, &detail.record.origin, &clock),
        Layout::of(web, viewer, Here::Targets, clean(&detail.record.origin.to_string())),
        ProjectNames::of(web, viewer)
    );
    let catalogue = web.catalogue();
    let may_scan = decide(&context.grants, Operation::SubmitPassive, Some(project)).is_ok();
    let stored = detail.record.tags.join(", ");
    let (tags, notes) =
        typed.map_or((stored.as_str(), detail.record.notes.as_str()), |typed| (typed.tags, typed.notes));
    let others = other_errors(&["tags", "notes"], errors);
    Ok(TargetDetailPage {
        layout,
        notice: (!others.is_empty()).then(|| Notice::new("error", others.join(" "))),
        list_url: TARGETS,
        clearance: clearance?,
        tags: Field::new("tags", tags, errors),
        notes: Field::new("notes", notes, errors),
        can_edit: detail.may_edit,
        can_check: may_scan && !detail.scans.is_empty(),
        target: TargetView {
            coverage: coverage(&detail.coverage, catalogue.as_deref(), &clock),
            ..TargetView::new(&detail, &projects, &clock)
        },
    })
}

impl TargetView {
    /// Returns the view without the checks, for which the catalogue is needed.
    pub(super) fn new(detail: &TargetDetail, projects: &ProjectNames, clock: &WallClock) -> Self {
        let TargetDetail { row, record, .. } = detail;
        let of_last_scan = FindingFilter { new_since: Some(row.last_scan.at), ..of_target(row.id) };
        let fixed = FindingFilter { statuses: [Status::Fixed].into(), ..of_target(row.id) };
        let any = FindingFilter { statuses: Status::ALL.into(), ..of_target(row.id) };
        Self {
            url: target_url(row.id),
            origin: clean(&record.origin.to_string()),
            project: projects.title_of(&record.project),
            tags: record.tags.iter().map(|tag| clean(tag)).collect(),
            notes: clean(&record.notes),
            first_scan: clock.moment(record.first_scan),
            last_scan: ScanMark::new(record.last_scan, clock),
            open: open(row),
            open_url: filter_url(&of_target(row.id)),
            all_url: filter_url(&any),
            new: row.new,
            new_url: filter_url(&of_last_scan),
            fixed: row.fixed,
            fixed_url: filter_url(&fixed),
            unchecked: row.unchecked,
            is_checked: row.is_checked,
            scans: strip(&detail.scans, clock),
            coverage: Vec::new(),
            assets: assets(&detail.assets, clock),
        }
    }
}

/// Returns what may be done to the host; `None` on a server without accounts, which has no
/// clearances.
async fn clearance(
    web: &WebInner,
    viewer: &Viewer,
    project: &ProjectId,
    origin: &Origin,
    clock: &WallClock,
) -> Result<Option<ClearanceView>, Problem> {
    if !web.has_accounts() {
        return Ok(None);
    }
    match web.access().clearances(&viewer.context, project).await {
        Ok(given) => Ok(Some(clearance_of(&given, project, origin, clock))),
        // The project was deleted, or the rights ended, after the target was read.
        Err(AccountError::Denied(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn clearance_of(given: &[Clearance], project: &ProjectId, origin: &Origin, clock: &WallClock) -> ClearanceView {
    let target = origin.to_string().parse::<Target>().ok();
    let deciding = target.as_ref().and_then(|target| deciding(target.host(), given));
    let level = deciding.map(|clearance| level_at(clearance, clock.now));
    ClearanceView {
        level: level.map_or("passive", ClearanceLevel::as_str),
        pattern: deciding.map(|clearance| clean(&clearance.pattern.to_string())),
        until: deciding.and_then(|clearance| clearance.until).map(|until| clock.moment(until)),
        has_ended: deciding.and_then(|clearance| clearance.until).is_some_and(|until| until <= clock.now),
        url: format!("/projects/{project}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::model::Principal;

    use super::*;

    #[test]
    fn clearance_with_the_longest_pattern_applies() {
        let clearance = |pattern: &str, level, until: Option<i64>| Clearance {
            project: ProjectId::default(),
            pattern: pattern.parse().unwrap(),
            level,
            authorised_by: Principal::System,
            at: Timestamp::UNIX_EPOCH,
            until: until.map(|second| Timestamp::from_second(second).unwrap()),
            text: String::new(),
        };
        let given = [
            clearance("*.a.example", ClearanceLevel::None, None),
            clearance("shop.a.example", ClearanceLevel::Active, Some(-1)),
            clearance("api.a.example", ClearanceLevel::Active, None),
        ];
        for (origin, level, pattern, has_ended) in [
            ("https://shop.a.example:8443", "passive", Some("shop.a.example"), true),
            ("https://api.a.example", "active", Some("api.a.example"), false),
            ("http://other.a.example", "none", Some("*.a.example"), false),
            ("https://a.test", "passive", None, false),
        ] {
            let origin = Origin::parse(origin).unwrap();
            let view = clearance_of(&given, &ProjectId::default(), &origin, &WallClock::sample());
            assert_eq!((view.level, view.pattern.as_deref(), view.has_ended), (level, pattern, has_ended), "{origin}");
        }
    }
}
