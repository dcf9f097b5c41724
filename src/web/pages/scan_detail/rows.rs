//! The rows of a scan's page.

use jiff::Timestamp;
use kastrel_actors::model::{
    AttemptEnd, AttemptRecord, ConfigOverride, Interruption, PendingReason, PluginResult, PluginStatus, ScanId, ScanMode, ScanRecord, ScanState, ScanStatus,
    SeverityCounts,
};

use crate::web::api::wire::Held;
use crate::web::pages::badge::{Badge, SeverityChip, severities};
use crate::web::pages::form::format_label;
use crate::web::text::{MomentText, clean, duration, in_url, sentence, words};
use crate::web::zone::WallClock;

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
            message: sentence(&clean(&message_of(plugin))),
            duration: took.map(duration).unwrap_or_default(),
        }
    }
}

/// What a plugin says, or what its state means where it says nothing: a plugin without a result always has a reason.
pub(crate) fn message_of(plugin: &PluginResult) -> String {
    match (plugin.message.as_deref().filter(|message| !message.is_empty()), plugin.status) {
        (Some(message), _) => message.to_owned(),
        (None, PluginStatus::Failed) => "Failed without a message. See the log.".into(),
        (None, PluginStatus::Unavailable) => "Tool not installed on the node that ran the scan.".into(),
        (None, PluginStatus::Skipped) => "Skipped by the scanner.".into(),
        (None, PluginStatus::Pending | PluginStatus::InProgress | PluginStatus::Completed) => String::new(),
    }
}

impl AttemptRow {
    pub(super) fn new(attempt: &AttemptRecord, clock: &WallClock) -> Self {
        let (badge, end, reason) = match &attempt.end {
            None => (ScanStatus::Running.into(), String::new(), String::new()),
            Some(AttemptEnd::Completed(_)) => (ScanStatus::Completed.into(), String::new(), String::new()),
            Some(AttemptEnd::Failed(failure)) => (ScanStatus::Failed.into(), sentence(&words(failure.kind.as_str())), sentence(&clean(&failure.detail))),
            Some(AttemptEnd::Interrupted { why, detail }) => {
                let detail = detail.as_deref().map_or_else(String::new, |detail| format!("{}. ", sentence(&clean(detail))));
                (Badge::new("skipped", "skipped", "Interrupted"), sentence(&words(why.as_str())), format!("{detail}Not counted as an attempt."))
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
            started: clock.moment(attempt.started_at),
            duration: duration(attempt.ended_at.unwrap_or(clock.now).duration_since(attempt.started_at)),
        }
    }
}

/// What was asked for.
pub(super) fn facts(record: &ScanRecord) -> Vec<Fact> {
    let request = &record.request;
    let yes_no = |yes: bool| if yes { "Yes" } else { "No" }.to_owned();
    let all = match request.mode {
        ScanMode::Passive => "All passive plugins",
        ScanMode::Active => "All active plugins",
        ScanMode::Both => "All plugins",
    };
    let mut facts = vec![
        Fact { label: "Mode", value: sentence(request.mode.as_str()) },
        Fact { label: "Plugins", value: if request.plugins.is_empty() { all.into() } else { clean(&request.plugins.join(", ")) } },
        Fact { label: "Parallel", value: if request.parallel { request.max_workers.to_string() } else { "Off".into() } },
        Fact { label: "Report", value: format_label(request.format).into() },
        Fact { label: "Priority", value: sentence(request.priority.as_str()) },
        Fact { label: "Verbose log", value: yes_no(request.verbose) },
        Fact { label: "Dry run", value: yes_no(request.dry_run) },
    ];
    if !request.overrides.is_empty() {
        let overrides: Vec<String> = request.overrides.iter().map(ConfigOverride::argument).collect();
        facts.push(Fact { label: "Settings", value: clean(&overrides.join(", ")) });
    }
    if let Some(id) = record.rerun_of {
        facts.push(Fact { label: "Re-run of", value: format!("Scan {id}") });
    }
    facts
}

/// Why a scan waits, and from when on it may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) text: String,
    pub(super) next: Option<MomentText>,
}

/// Why no node starts a scan that is due.
pub(super) fn held_text(held: &Held) -> Waiting {
    Waiting { text: format!("Held back: {}. It loses no attempt and starts automatically.", clean(held.detail())), next: None }
}

/// Why a scan waits.
pub(super) fn waiting_text(state: &ScanState, max_attempts: u32, failures: u32, clock: &WallClock) -> Option<Waiting> {
    let ScanState::Pending { due, reason } = state else { return None };
    let text = match reason {
        PendingReason::Submitted => "Queued. Starts when a slot is free.".into(),
        PendingReason::Retry { failure } => format!("Attempt {failures} of {max_attempts} failed: {}.", clean(&failure.detail)),
        PendingReason::Requeued { why: _, detail: Some(detail) } => {
            format!("The node could not run the attempt: {}. Not counted as an attempt. Restarts automatically.", clean(detail))
        }
        PendingReason::Requeued { why, detail: None } => format!("{} Restarts when a slot is free.", interruption(*why)),
    };
    Some(Waiting { text, next: matches!(reason, PendingReason::Retry { .. }).then(|| clock.moment(*due)) })
}

/// Why an attempt was interrupted, in a sentence.
const fn interruption(why: Interruption) -> &'static str {
    match why {
        Interruption::Shutdown => "Interrupted by a server shutdown.",
        Interruption::Drained => "Interrupted because its node was drained.",
        Interruption::LeaseLost => "Interrupted because its node lost its lease.",
        Interruption::Unowned => "Interrupted because its node did not run it.",
        Interruption::NeverStarted => "Interrupted before the scanner started.",
        Interruption::Infrastructure => "Interrupted because its node lacked something that every scan needs.",
    }
}
