//! A row of a scan in a table: its state, the reason, and the available actions.

use kastrel_actors::model::{Grants, ScanSnapshot, ScanState, ScanStatus};

use super::badge::{Badge, SeverityChip, severities};
use super::coverage::{CoverageView, Gap, badge, issues_text};
use super::project_names::ProjectNames;
use super::rights::ScanRights;
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, duration, sentence, words};
use crate::web::zone::{WallClock, exact};

/// A row of a scan in a table.
#[derive(Debug, Clone)]
pub(crate) struct ScanRow {
    pub(crate) id: u64,
    pub(crate) url: String,
    pub(crate) status: ScanStatus,
    pub(crate) badge: Badge,
    pub(crate) target: String,
    pub(crate) mode: &'static str,
    pub(crate) is_dry_run: bool,
    /// The title of its project, while the viewer sees several projects.
    pub(crate) project: Option<String>,
    /// Why the scan failed.
    pub(crate) reason: Option<String>,
    /// Why the scan waits, if it waits for more than a free slot.
    pub(crate) waiting: Option<String>,
    /// The progress of a running scan, in percent.
    pub(crate) percent: Option<usize>,
    /// The coverage of the scan.
    pub(crate) checks: String,
    /// The classes of gaps of the scan.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) issues: String,
    pub(crate) severities: Vec<SeverityChip>,
    pub(crate) created: MomentText,
    pub(crate) duration: String,
    /// The start of a running scan, from which the page counts the duration.
    pub(crate) since: Option<String>,
    pub(crate) can_cancel: bool,
    pub(crate) can_rerun: bool,
    pub(crate) can_delete: bool,
}

impl ScanRow {
    /// Returns the row of a scan, with the actions that a viewer with these rights may do.
    pub(crate) fn new(
        scan: &ScanSnapshot,
        web: &WebInner,
        grants: &Grants,
        projects: &ProjectNames,
        clock: &WallClock,
    ) -> Self {
        let record = &scan.record;
        let rights = ScanRights::of(grants, record);
        let status = record.status();
        let is_running = status == ScanStatus::Running;
        let overview = scan.overview();
        let view = CoverageView::of(scan, &overview);
        Self {
            id: record.id.0,
            url: format!("/scans/{}", record.id),
            status,
            badge: badge(status, &overview.coverage),
            target: clean(&record.request.target.label()),
            mode: record.request.options.mode.as_str(),
            is_dry_run: record.request.options.dry_run,
            project: projects.title_of(&record.project),
            reason: reason(&record.state),
            waiting: web.scans().waiting_seen(record).map(|waiting| clean(&waiting.to_string())),
            percent: view.percent,
            checks: view.label,
            gaps: view.gaps,
            issues: issues_text(status, &overview),
            severities: severities(overview.severities),
            created: clock.moment(record.created_at),
            duration: overview.duration(clock.now).map(duration).unwrap_or_default(),
            since: record.started_at.filter(|_| is_running).map(exact),
            can_cancel: rights.can_cancel && !status.is_terminal() && record.cancel_requested.is_none(),
            can_rerun: rights.can_rerun && status.is_terminal(),
            can_delete: rights.can_delete && status.is_terminal(),
        }
    }

    #[cfg(test)]
    pub(crate) fn sample(id: u64, status: ScanStatus) -> Self {
        use super::layout::HOSTILE;

        let gap = |class, count: &str| Gap {
            class,
            is_failure: class == "failed",
            count: count.into(),
            plugins: HOSTILE.into(),
        };
        let gaps = if status == ScanStatus::Completed {
            vec![gap("failed", "2 failed"), gap("warning", "1 not installed")]
        } else {
            Vec::new()
        };
        Self {
            id,
            url: format!("/scans/{id}"),
            status,
            badge: status.into(),
            target: clean(HOSTILE),
            mode: "passive",
            is_dry_run: status == ScanStatus::Cancelled,
            project: None,
            reason: (status == ScanStatus::Failed).then(|| clean(HOSTILE)),
            waiting: (status == ScanStatus::Pending).then(|| clean(HOSTILE)),
            percent: (status == ScanStatus::Running).then_some(41),
            checks: "10 of 12 checks ran".into(),
            gaps,
            issues: "31 issues".into(),
            severities: severities(kastrel_actors::model::SeverityCounts { critical: 1, low: 3, ..Default::default() }),
            created: WallClock::sample().moment(jiff::Timestamp::UNIX_EPOCH),
            duration: "3 min 5 s".into(),
            since: (status == ScanStatus::Running).then(|| "1970-01-01T00:00:00Z".into()),
            can_cancel: !status.is_terminal(),
            can_rerun: status.is_terminal(),
            can_delete: status.is_terminal(),
        }
    }
}

/// Returns why a scan failed, in one line.
pub(crate) fn reason(state: &ScanState) -> Option<String> {
    match state {
        ScanState::Failed { failure, .. } => {
            Some(clean(&format!("{}: {}", sentence(&words(failure.kind.as_str())), failure.detail)))
        }
        ScanState::Pending { .. }
        | ScanState::Running { .. }
        | ScanState::Completed { .. }
        | ScanState::Cancelled { .. } => None,
    }
}
