//! The rows of a scan's page.

use jiff::Timestamp;
use kastrel_actors::model::{AttemptEnd, AttemptRecord, ConfigOverride, PluginResult, PluginStatus, ScanId, ScanRecord, ScanState, ScanStatus, SeverityCounts};
use kastrel_actors::policy::waiting::Waiting as Reason;

use crate::web::pages::badge::{Badge, SeverityChip, severities};
use crate::web::text::{MomentText, clean, duration, in_url, words};

/// Something that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

/// A plugin.
pub(super) struct PluginRow {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) badge: Badge,
    pub(super) findings: u64,
    pub(super) severities: Vec<SeverityChip>,
    pub(super) message: String,
    pub(super) duration: String,
}

/// An attempt.
pub(super) struct AttemptRow {
    pub(super) number: u32,
    pub(super) badge: Badge,
    pub(super) end: String,
    pub(super) reason: String,
    pub(super) node: String,
    pub(super) scanner: String,
    pub(super) started: MomentText,
    pub(super) duration: String,
}

impl PluginRow {
    pub(super) fn new(scan: ScanId, plugin: &PluginResult, now: Timestamp) -> Self {
        let took = plugin.started_at.and_then(|start| {
            let end = plugin.ended_at.or((!plugin.status.is_final()).then_some(now))?;
            Some(end.duration_since(start))
        });
        Self {
            name: clean(&plugin.name),
            url: format!("/scans/{scan}/plugins/{}", in_url(&plugin.name)),
            badge: plugin.status.into(),
            findings: plugin.findings_count,
            severities: severities(SeverityCounts::of(std::slice::from_ref(plugin))),
            message: clean(&message_of(plugin)),
            duration: took.map(duration).unwrap_or_default(),
        }
    }
}

/// What a plugin says, or what its state means where it says nothing: a plugin that did not do its work always tells why.
pub(crate) fn message_of(plugin: &PluginResult) -> String {
    match (plugin.message.as_deref().filter(|message| !message.is_empty()), plugin.status) {
        (Some(message), _) => message.to_owned(),
        (None, PluginStatus::Failed) => "failed without saying why; the log may tell".into(),
        (None, PluginStatus::Unavailable) => "its tool is not installed on the node that ran the scan".into(),
        (None, PluginStatus::Skipped) => "left out by the scanner".into(),
        (None, PluginStatus::Interrupted) => "Still running when the attempt ended".into(),
        (None, PluginStatus::NotRun) => "Not started before the attempt ended".into(),
        (None, PluginStatus::Pending | PluginStatus::InProgress | PluginStatus::Completed) => String::new(),
    }
}

impl AttemptRow {
    pub(super) fn new(attempt: &AttemptRecord, now: Timestamp) -> Self {
        let (badge, end, reason) = match &attempt.end {
            None => (ScanStatus::Running.into(), String::new(), String::new()),
            Some(AttemptEnd::Completed(_)) => (ScanStatus::Completed.into(), String::new(), String::new()),
            Some(AttemptEnd::Failed(failure)) => (ScanStatus::Failed.into(), words(failure.kind.as_str()), clean(&failure.detail)),
            Some(AttemptEnd::Interrupted { why, detail }) => {
                let detail = detail.as_deref().map_or_else(String::new, |detail| format!("{}; ", clean(detail)));
                (Badge::new("skipped", "skipped", "interrupted"), words(why.as_str()), format!("{detail}counts as no attempt"))
            }
            Some(AttemptEnd::Cancelled) => (ScanStatus::Cancelled.into(), String::new(), String::new()),
        };
        Self {
            number: attempt.number.0,
            badge,
            end,
            reason,
            node: clean(attempt.node.as_str()),
            scanner: attempt.scanner.as_ref().map_or_else(|| "–".into(), |scanner| clean(&scanner.label())),
            started: attempt.started_at.into(),
            duration: duration(attempt.ended_at.unwrap_or(now).duration_since(attempt.started_at)),
        }
    }
}

/// What was asked for.
pub(super) fn facts(record: &ScanRecord) -> Vec<Fact> {
    let request = &record.request;
    let yes_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let mut facts = vec![
        Fact { label: "Mode", value: request.mode.to_string() },
        Fact { label: "Plugins", value: if request.plugins.is_empty() { "all of the mode".into() } else { clean(&request.plugins.join(", ")) } },
        Fact { label: "At the same time", value: if request.parallel { format!("up to {}", request.max_workers) } else { "one".into() } },
        Fact { label: "Report", value: request.format.to_string() },
        Fact { label: "Priority", value: request.priority.to_string() },
        Fact { label: "Verbose log", value: yes_no(request.verbose) },
        Fact { label: "Dry run", value: yes_no(request.dry_run) },
    ];
    if !request.overrides.is_empty() {
        let overrides: Vec<String> = request.overrides.iter().map(ConfigOverride::argument).collect();
        facts.push(Fact { label: "Settings", value: clean(&overrides.join(", ")) });
    }
    if let Some(id) = record.rerun_of {
        facts.push(Fact { label: "Repeats", value: format!("scan {id}") });
    }
    facts
}

/// Why a scan waits, and from when on it may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) text: String,
    pub(super) next: Option<MomentText>,
}

/// Everything that keeps a scan from starting; what decides first.
pub(super) fn waiting_text(state: &ScanState, reasons: &[Reason]) -> Option<Waiting> {
    let (ScanState::Pending { due, .. }, Some(first)) = (state, reasons.first()) else { return None };
    let text = reasons.iter().map(|reason| clean(&reason.to_string())).collect::<Vec<_>>().join(" ");
    Some(Waiting { text, next: matches!(first, Reason::Retry { .. } | Reason::HeldBack(_)).then(|| first.next(*due).into()) })
}
