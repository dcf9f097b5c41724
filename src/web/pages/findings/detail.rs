//! One finding: what it is, where it was seen, the proof, since when, and what people decided.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use kastrel_actors::model::{FieldError, FindingRecord, Operation};
use kastrel_actors::policy::access::decide;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{Decision, Proof, State as LifeState, scans_to_fix};

use super::curl::curl_command;
use super::form::{Field, Typed};
use super::history::{HistoryLine, history};
use super::marks::{
    DueView, FINDINGS, ScanMark, UncheckedView, chip, due, finding_url, status_badge, target_url, tokens_url,
};
use super::triage_form::TriageFields;
use crate::api_types::IssueFixBody;
use crate::service::findings::{FindingDetail, FindingFilter};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::pages::badge::{Badge, SeverityChip};
use crate::web::pages::layout::{Here, Layout, Notice};
use crate::web::pages::project_names::ProjectNames;
use crate::web::path::{FindingPath, no_finding};
use crate::web::state::{Web, WebInner};
use crate::web::text::{MomentText, clean, counted};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// How many members the page names.
const MOST_MEMBERS: usize = 100;

/// The page of a finding.
#[derive(Template)]
#[template(path = "findings/detail.html")]
pub(crate) struct FindingDetailPage {
    pub(super) layout: Layout,
    pub(super) notice: Option<Notice>,
    pub(super) list_url: &'static str,
    pub(super) finding: FindingView,
    pub(super) explanation: Vec<String>,
    /// The form for a decision; `None` if the viewer may take none.
    pub(super) triage: Option<TriageFields>,
    pub(super) comment: Field,
    pub(super) can_check: bool,
}

/// What the page shows of the finding.
pub(super) struct FindingView {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) title: String,
    pub(super) severity: SeverityChip,
    pub(super) status: Badge,
    pub(super) is_regressed: bool,
    pub(super) origin: String,
    pub(super) target_url: String,
    pub(super) project: Option<String>,
    pub(super) plugin: String,
    pub(super) issue: String,
    /// The findings of the same issue on all targets.
    pub(super) issue_url: String,
    pub(super) category: String,
    pub(super) description: String,
    pub(super) remediation: String,
    /// How the issue is best fixed: labels and texts.
    pub(super) fix: Vec<(&'static str, String)>,
    pub(super) place: String,
    /// The place as the plugin wrote it, if that differs.
    pub(super) location: String,
    pub(super) members: Vec<String>,
    pub(super) members_note: Option<String>,
    pub(super) curl: Option<String>,
    pub(super) evidence: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) references: Vec<Reference>,
    pub(super) first_seen: ScanMark,
    pub(super) last_seen: ScanMark,
    pub(super) open_since: MomentText,
    pub(super) unchecked: Option<UncheckedView>,
    /// The complete checks that did not see it.
    pub(super) proofs: Vec<ProofView>,
    /// What these checks mean.
    pub(super) proof_note: String,
    pub(super) due: Option<DueView>,
    pub(super) owner: Option<String>,
    pub(super) decision: Option<DecisionView>,
    pub(super) confirmed: Option<(String, MomentText)>,
    pub(super) history: Vec<HistoryLine>,
}

/// A text to read. Only addresses of web pages are links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) text: String,
    pub(super) url: Option<String>,
}

/// A complete check that did not see the finding.
pub(super) struct ProofView {
    pub(super) mark: ScanMark,
    pub(super) version: String,
}

/// A decision of a person.
pub(super) struct DecisionView {
    pub(super) what: &'static str,
    pub(super) reason: String,
    pub(super) by: String,
    pub(super) at: MomentText,
    /// Who answers for an accepted risk, and until when.
    pub(super) accepted: Option<(String, MomentText)>,
}

/// Shows the page.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    FindingPath(id): FindingPath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = Typed::parse(query.unwrap_or_default().as_bytes());
    let shown = read(&web, &viewer, id, "", &[]).await?;
    Ok(page(&FindingDetailPage { notice: notice_of(query.text("notice")), ..shown }))
}

fn notice_of(name: &str) -> Option<Notice> {
    let text = match name {
        "changed" => "The finding was changed.",
        "commented" => "The comment was added.",
        _ => return None,
    };
    Some(Notice::new("done", text))
}

/// Reads the page. `comment` is what was typed into the field of a comment.
pub(super) async fn read(
    web: &WebInner,
    viewer: &Viewer,
    id: FindingId,
    comment: &str,
    errors: &[FieldError],
) -> Result<FindingDetailPage, Problem> {
    let context = &viewer.context;
    let detail = web.findings().get(context, id).await?.ok_or_else(no_finding)?;
    let (explanation, layout, projects) = tokio::join!(
        web.findings().explain(context, id),
        Layout::of(web, viewer, Here::Findings, clean(&detail.row.title)),
        ProjectNames::of(web, viewer)
    );
    let explanation = explanation?.unwrap_or_default();
    let may_scan = decide(&context.grants, Operation::SubmitPassive, Some(&detail.row.project)).is_ok();
    Ok(FindingDetailPage {
        layout,
        notice: None,
        list_url: FINDINGS,
        finding: FindingView::new(&detail, &projects, &web.clock(viewer)),
        explanation: explanation.iter().map(|line| clean(line)).collect(),
        triage: detail.may_triage.then(TriageFields::empty),
        comment: Field::new("text", comment, errors),
        can_check: may_scan,
    })
}

impl FindingView {
    pub(super) fn new(detail: &FindingDetail, projects: &ProjectNames, clock: &WallClock) -> Self {
        let FindingDetail { row, record, .. } = detail;
        let sighting = &record.sighting;
        let of_issue = FindingFilter {
            plugins: [row.plugin.clone()].into(),
            issues: [row.issue.to_string()].into(),
            ..FindingFilter::default()
        };
        let place = clean(&row.place);
        let location = clean(&sighting.location);
        let (proofs, proof_note) = proofs(record, clock);
        Self {
            id: row.id.to_string(),
            url: finding_url(row.id),
            title: clean(&row.title),
            severity: chip(row.severity, 1),
            status: status_badge(row.status),
            is_regressed: row.regressed,
            origin: clean(&row.origin.to_string()),
            target_url: target_url(row.target),
            project: projects.title_of(&row.project),
            plugin: clean(&row.plugin),
            issue: clean(row.issue.as_str()),
            issue_url: tokens_url(&of_issue.to_string()),
            category: row.category.as_deref().map(clean).unwrap_or_default(),
            description: detail.description.as_deref().map(clean).unwrap_or_default(),
            remediation: detail.remediation.as_deref().map(clean).unwrap_or_default(),
            fix: fix_facts(detail),
            location: if location == place { String::new() } else { location },
            place,
            members: record.members.iter().take(MOST_MEMBERS).map(|member| clean(member)).collect(),
            members_note: members_note(record),
            curl: curl_command(&record.place, &sighting.location),
            evidence: clean(&sighting.evidence),
            attributes: sighting.attributes.iter().map(|(name, value)| (clean(name), clean(value))).collect(),
            references: sighting.references.iter().map(|text| Reference::new(text)).collect(),
            first_seen: ScanMark::new(row.first_seen, clock),
            last_seen: ScanMark::new(row.last_seen, clock),
            open_since: clock.moment(row.open_since),
            unchecked: row.not_checked_since.map(|unchecked| UncheckedView::new(unchecked, clock)),
            proofs,
            proof_note,
            due: due(row.sla, clock),
            owner: row.owner.as_ref().map(ToString::to_string),
            decision: record.life.decision.as_ref().map(|decision| DecisionView::new(decision, clock)),
            confirmed: record
                .life
                .confirmed
                .as_ref()
                .map(|confirmed| (clean(&confirmed.by), clock.moment(confirmed.at))),
            history: history(&record.log, clock),
        }
    }
}

/// Returns how the issue is best fixed, as labels and texts. What nobody knows is left out.
fn fix_facts(detail: &FindingDetail) -> Vec<(&'static str, String)> {
    let fix = IssueFixBody::of(detail).unwrap_or_default();
    let facts = fix.facts().into_iter().map(|(label, text)| (label, clean(text)));
    facts.filter(|(_, text)| !text.is_empty()).collect()
}

/// Returns how many of the members are shown, if not all are.
fn members_note(record: &FindingRecord) -> Option<String> {
    let shown = record.members.len().min(MOST_MEMBERS) as u64;
    (record.members_count > 1 && shown < record.members_count)
        .then(|| format!("{shown} of {} shown", record.members_count))
}

/// Returns the complete checks that did not see the finding, and what they mean.
fn proofs(record: &FindingRecord, clock: &WallClock) -> (Vec<ProofView>, String) {
    let view =
        |proof: &Proof| ProofView { mark: ScanMark::new(proof.order, clock), version: clean(&proof.plugin_version) };
    match &record.life.state {
        LifeState::Fixed { proof } => {
            (proof.iter().map(view).collect(), "These complete checks prove that it is fixed.".into())
        }
        LifeState::Open if record.life.absences.is_empty() => (Vec::new(), String::new()),
        LifeState::Open => {
            let needed = scans_to_fix(&record.plugin);
            let note = format!("It counts as fixed after {}.", counted(needed as u64, "such check", "such checks"));
            (record.life.absences.iter().map(view).collect(), note)
        }
    }
}

impl Reference {
    fn new(text: &str) -> Self {
        let is_page = url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        let text = clean(text);
        Self { url: is_page.then(|| text.clone()), text }
    }
}

impl DecisionView {
    fn new(decision: &Decision, clock: &WallClock) -> Self {
        match decision {
            Decision::FalsePositive { reason, by, at } => Self {
                what: "False positive",
                reason: clean(reason),
                by: clean(by),
                at: clock.moment(*at),
                accepted: None,
            },
            Decision::Accepted { reason, owner, until, by, at } => Self {
                what: if *until > clock.now { "Risk accepted" } else { "Risk accepted, expired" },
                reason: clean(reason),
                by: clean(by),
                at: clock.moment(*at),
                accepted: Some((clean(owner), clock.moment(*until))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_web_pages_are_links() {
        for (text, is_link) in [
            ("https://cve.example/CVE-2024-1", true),
            ("http://a.example/", true),
            ("HTTPS://A.example", true),
            ("CVE-2024-1", false),
            ("javascript:alert(1)", false),
            (" javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("//evil.example", false),
            ("", false),
        ] {
            assert_eq!(Reference::new(text).url.is_some(), is_link, "{text}");
        }
    }
}
