//! The rows of the tables on a scan's page.

use jiff::Timestamp;
use kastrel_actors::model::{
    AttemptOutcome, AttemptRecord, ConfigOverride, PluginClass, PluginResult, ScanId, ScanMode, ScanRecord, ScanStatus,
    grouped_count,
};
use kastrel_actors::policy::waiting::Waiting;

use crate::web::pages::badge::{Badge, SeverityChip, severities};
use crate::web::pages::coverage::state_of;
use crate::web::pages::form::format_label;
use crate::web::text::{MomentText, clean, duration, plugin_url, sentence, words};
use crate::web::zone::WallClock;

/// An option of the scan.
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
    /// The number of issues; empty if nothing was checked.
    pub(super) issues: String,
    /// The number of other collected items.
    pub(super) items: String,
    pub(super) severities: Vec<SeverityChip>,
    pub(super) message: String,
    pub(super) duration: String,
    /// The earlier attempt whose result the scan keeps.
    pub(super) kept_from: Option<u32>,
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
    /// `until`: when the attempt ended; the durations of its plugins stop there.
    pub(super) fn new(scan: ScanId, plugin: &PluginResult, until: Option<Timestamp>, now: Timestamp) -> Self {
        let took = plugin.started_at.and_then(|start| {
            let end = plugin.ended_at.or((!plugin.status.is_final()).then_some(until.unwrap_or(now)))?;
            Some(end.duration_since(start))
        });
        let counts = plugin.severity_counts();
        let issues = counts.total();
        Self {
            name: clean(&plugin.name),
            url: plugin_url(scan, &plugin.name),
            badge: state_of(plugin, until.is_some()).into(),
            issues: if issues > 0 || plugin.status.class() == PluginClass::Ok {
                grouped_count(issues)
            } else {
                String::new()
            },
            items: if plugin.findings_count > 0 { grouped_count(plugin.findings_count) } else { String::new() },
            severities: severities(counts),
            message: clean(&message_of(plugin)),
            duration: took.map(duration).unwrap_or_default(),
            kept_from: plugin.attempt.map(|number| number.0),
        }
    }
}

/// Returns the plugin's message, or the meaning of its state if it has none: a plugin without a
/// result always shows a reason.
pub(crate) fn message_of(plugin: &PluginResult) -> String {
    match plugin.message.as_deref().filter(|message| !message.is_empty()) {
        // The message about a result is not changed.
        Some(message) if plugin.status.class() == PluginClass::Ok => message.to_owned(),
        Some(message) => sentence(message),
        None => plugin.status.text().no_message.into(),
    }
}

impl AttemptRow {
    /// `completed`: the badge of the scan, for the attempt that completed it.
    pub(super) fn new(attempt: &AttemptRecord, completed: &Badge, clock: &WallClock) -> Self {
        let (badge, end, reason) = match &attempt.end {
            None => (ScanStatus::Running.into(), String::new(), String::new()),
            Some(end) => {
                let kind = end.reason().map(|reason| sentence(&words(reason))).unwrap_or_default();
                let detail = end.detail().map(|detail| sentence(&clean(detail)));
                let (badge, detail) = match end.outcome() {
                    AttemptOutcome::Completed => (completed.clone(), String::new()),
                    AttemptOutcome::Failed => (ScanStatus::Failed.into(), detail.unwrap_or_default()),
                    AttemptOutcome::Interrupted => {
                        let detail = detail.map(|detail| format!("{detail}. ")).unwrap_or_default();
                        let badge = Badge::new("skipped", "skipped", "Interrupted");
                        (badge, format!("{detail}Not counted as an attempt."))
                    }
                    AttemptOutcome::Cancelled => (ScanStatus::Cancelled.into(), String::new()),
                };
                (badge, kind, detail)
            }
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

/// Returns the options of the scan.
pub(super) fn facts(record: &ScanRecord) -> Vec<Fact> {
    let request = &record.request;
    let yes_no = |yes: bool| if yes { "Yes" } else { "No" }.to_owned();
    let all = match request.options.mode {
        ScanMode::Passive => "All passive plugins",
        ScanMode::Active => "All active plugins",
        ScanMode::Both => "All plugins",
    };
    let mut facts = vec![
        Fact { label: "Mode", value: sentence(request.options.mode.as_str()) },
        Fact {
            label: "Plugins",
            value: if request.options.plugins.is_empty() {
                all.into()
            } else {
                clean(&request.options.plugins.join(", "))
            },
        },
        Fact {
            label: "Parallel",
            value: if request.options.parallel { request.options.max_workers.to_string() } else { "Off".into() },
        },
        Fact { label: "Report", value: format_label(request.options.format).into() },
        Fact { label: "Priority", value: sentence(request.options.priority.as_str()) },
        Fact { label: "Verbose log", value: yes_no(request.options.verbose) },
        Fact { label: "Dry run", value: yes_no(request.options.dry_run) },
    ];
    if !request.overrides.is_empty() {
        let overrides: Vec<String> = request.overrides.iter().map(ConfigOverride::shown).collect();
        facts.push(Fact { label: "Settings", value: clean(&overrides.join(", ")) });
    }
    if let Some(id) = record.rerun_of {
        facts.push(Fact { label: "Re-run of", value: format!("Scan {id}") });
    }
    facts
}

/// A reason that keeps a scan from starting, with its end if known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WaitingRow {
    /// The reason's name in the API.
    pub(super) name: &'static str,
    pub(super) text: String,
    /// The next attempt, or the next check of a hold.
    pub(super) next: Option<MomentText>,
    pub(super) next_label: &'static str,
}

impl WaitingRow {
    pub(super) fn new(waiting: &Waiting, max_attempts: u32, clock: &WallClock) -> Self {
        let (next, next_label) = match waiting {
            Waiting::Retry { at, .. } => (Some(*at), "Retrying at"),
            Waiting::HeldBack(held) => (Some(held.until), "Next check at"),
            _ => (None, ""),
        };
        let text = match waiting {
            Waiting::Retry { failure, failures, .. } => {
                format!("Attempt {failures} of {max_attempts} failed: {}.", failure.detail)
            }
            other => other.to_string(),
        };
        Self { name: waiting.name(), text: clean(&text), next: next.map(|at| clock.moment(at)), next_label }
    }
}
