//! A scan in a table: where it stands, why, and what can be done about it now.

use kastrel_actors::model::{PendingReason, PluginStatus, ScanSnapshot, ScanState, SeverityCounts};

use super::badge::{Badge, SeverityChip, severities};
use crate::web::api::wire::{count_of, findings_of, plugins_of};
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, counted, duration, sentence, words};
use crate::web::zone::{WallClock, exact};

/// A scan in a table.
#[derive(Debug, Clone)]
pub(crate) struct ScanRow {
    pub(crate) id: u64,
    pub(crate) url: String,
    pub(crate) badge: Badge,
    pub(crate) target: String,
    pub(crate) mode: &'static str,
    pub(crate) is_dry_run: bool,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// Why it waits, where that is more than for its turn.
    pub(crate) waiting: Option<String>,
    /// How far a running scan is.
    pub(crate) percent: Option<usize>,
    pub(crate) plugins: String,
    pub(crate) failed: Option<String>,
    /// Plugins whose tool is not there.
    pub(crate) missing: Option<String>,
    pub(crate) findings: String,
    pub(crate) severities: Vec<SeverityChip>,
    pub(crate) created: MomentText,
    pub(crate) duration: String,
    /// Since when it runs, for a duration that goes on.
    pub(crate) since: Option<String>,
    pub(crate) can_cancel: bool,
    pub(crate) can_rerun: bool,
}

impl ScanRow {
    pub(crate) fn new(scan: &ScanSnapshot, web: &WebInner, clock: &WallClock) -> Self {
        let (record, plugins) = (&scan.record, plugins_of(scan));
        let status = record.status();
        let failed = count_of(plugins, PluginStatus::Failed);
        let missing = count_of(plugins, PluginStatus::Unavailable);
        let ended = plugins.iter().filter(|plugin| plugin.status.is_final()).count();
        let is_running = matches!(record.state, ScanState::Running { .. });
        let until = record.ended_at().unwrap_or(clock.now);
        Self {
            id: record.id.0,
            url: format!("/scans/{}", record.id),
            badge: status.into(),
            target: clean(&record.request.target.to_string()),
            mode: record.request.mode.as_str(),
            is_dry_run: record.request.dry_run,
            reason: reason(&record.state),
            waiting: web.desk().waiting_seen(record).map(|waiting| clean(&waiting.to_string())),
            percent: (is_running && !plugins.is_empty()).then(|| ended * 100 / plugins.len()),
            plugins: match plugins.len() {
                0 => String::new(),
                all if is_running => format!("{ended} of {all}"),
                all => counted(all as u64, "plugin", "plugins"),
            },
            failed: (failed > 0).then(|| format!("{failed} failed")),
            missing: (missing > 0).then(|| format!("{missing} unavailable")),
            findings: if plugins.is_empty() { String::new() } else { counted(findings_of(plugins), "finding", "findings") },
            severities: severities(SeverityCounts::of(plugins)),
            created: clock.moment(record.created_at),
            duration: record.started_at.map(|started| duration(until.duration_since(started))).unwrap_or_default(),
            since: record.started_at.filter(|_| is_running).map(exact),
            can_cancel: !status.is_terminal() && record.cancel_requested.is_none(),
            can_rerun: status.is_terminal(),
        }
    }

    #[cfg(test)]
    pub(crate) fn sample(id: u64, status: kastrel_actors::model::ScanStatus) -> Self {
        use kastrel_actors::model::ScanStatus;

        use super::layout::HOSTILE;

        Self {
            id,
            url: format!("/scans/{id}"),
            badge: status.into(),
            target: clean(HOSTILE),
            mode: "passive",
            is_dry_run: status == ScanStatus::Cancelled,
            reason: (status == ScanStatus::Failed).then(|| clean(HOSTILE)),
            waiting: (status == ScanStatus::Pending).then(|| clean(HOSTILE)),
            percent: (status == ScanStatus::Running).then_some(41),
            plugins: "10 plugins".into(),
            failed: (status == ScanStatus::Completed).then(|| "2 failed".into()),
            missing: (status == ScanStatus::Completed).then(|| "1 unavailable".into()),
            findings: "31 findings".into(),
            severities: severities(SeverityCounts { critical: 1, low: 3, ..SeverityCounts::default() }),
            created: WallClock::sample().moment(jiff::Timestamp::UNIX_EPOCH),
            duration: "3 min 5 s".into(),
            since: (status == ScanStatus::Running).then(|| "1970-01-01T00:00:00Z".into()),
            can_cancel: !status.is_terminal(),
            can_rerun: status.is_terminal(),
        }
    }
}

/// Why a scan failed, in a line.
pub(crate) fn reason(state: &ScanState) -> Option<String> {
    match state {
        ScanState::Failed { failure, .. } => Some(clean(&format!("{}: {}", sentence(&words(failure.kind.as_str())), failure.detail))),
        ScanState::Pending { .. } | ScanState::Running { .. } | ScanState::Completed { .. } | ScanState::Cancelled { .. } => None,
    }
}
