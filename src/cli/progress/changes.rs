//! What changed between two views of a scan, in lines.

use kastrel_actors::model::{PluginStatus, ScanStatus};

use crate::cli::text::{brief, count};
use crate::cli::view::{PluginView, ScanView};

/// The lines for `now`, after `before` was shown. Nothing changed: no lines.
#[must_use]
pub fn lines(before: Option<&ScanView>, now: &ScanView) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(line) = headline(before, now) {
        lines.push(line);
    }
    // A new attempt begins all plugins anew; that goes without saying.
    let known = before.filter(|before| before.attempt == now.attempt);
    for plugin in &now.results {
        let last = known.and_then(|before| before.results.iter().find(|last| last.plugin_name == plugin.plugin_name)).map(|last| last.status);
        if last != Some(plugin.status) && plugin.status != PluginStatus::Pending {
            lines.push(plugin_line(plugin));
        }
    }
    if now.cancel_requested.is_some() && !now.status.is_terminal() && before.is_none_or(|before| before.cancel_requested.is_none()) {
        lines.push("being cancelled".into());
    }
    lines.into_iter().map(|line| format!("scan {}: {line}", now.scan_id)).collect()
}

fn headline(before: Option<&ScanView>, now: &ScanView) -> Option<String> {
    let scanner = |scan: &ScanView| scan.scanner.as_ref().map(|scanner| brief(&scanner.label(), 60));
    let is_held = |scan: &ScanView| scan.waiting.as_ref().is_some_and(|waiting| waiting.reason == "held_back");
    let same_state = before.is_some_and(|before| before.status == now.status && before.attempt == now.attempt && is_held(before) == is_held(now));
    if same_state {
        // The scanner is known a moment after the attempt.
        return scanner(now)
            .filter(|_| now.status == ScanStatus::Running && before.is_some_and(|before| scanner(before).is_none()))
            .map(|label| format!("uses {label}"));
    }
    Some(match now.status {
        ScanStatus::Pending => waits(now),
        ScanStatus::Running => match scanner(now) {
            Some(label) => format!("attempt {} runs with {label}", now.attempt),
            None => format!("attempt {} runs", now.attempt),
        },
        ScanStatus::Completed | ScanStatus::Cancelled => now.status.to_string(),
        ScanStatus::Failed => format!("failed: {}", brief(now.error_message.as_deref().unwrap_or("no reason was given"), 300)),
    })
}

/// Why a scan waits, in words.
pub(super) fn waits(scan: &ScanView) -> String {
    let Some(waiting) = &scan.waiting else { return "waits".into() };
    let detail = waiting.detail.as_deref().or(waiting.kind.as_deref()).map_or_else(String::new, |detail| format!(" ({})", brief(detail, 300)));
    match waiting.reason.as_str() {
        "retry" => format!("attempt {} failed{detail}; it is tried again", scan.attempt),
        "held_back" => format!("is held back{detail}; it starts by itself, and it costs no attempt"),
        "requeued" => format!("attempt {} was interrupted{detail}; it starts again", scan.attempt),
        _ => format!("{} waits for a free place", brief(&scan.target, 100)),
    }
}

fn plugin_line(plugin: &PluginView) -> String {
    let mut line = format!("{} {}", brief(&plugin.plugin_name, 60), plugin.status);
    if plugin.status == PluginStatus::Completed {
        line.push_str(&format!(", {}", count(plugin.findings_count, "finding")));
    }
    if let Some(message) = plugin.message.as_deref().filter(|_| matches!(plugin.status, PluginStatus::Failed | PluginStatus::Unavailable)) {
        line.push_str(&format!(": {}", brief(message, 200)));
    }
    line
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{CancelledBy, ScannerInfo, ScannerKind};

    use super::*;
    use crate::cli::view::WaitingView;
    use crate::cli::view::tests::{plugin, view};

    #[test]
    fn each_change_is_told_once() {
        let pending = view(ScanStatus::Pending);
        let mut first = view(ScanStatus::Running);
        first.attempt = 1;
        let mut known = first.clone();
        known.scanner = Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into() });
        known.results = vec![plugin("whatweb", PluginStatus::InProgress), plugin("testssl", PluginStatus::Pending)];
        let mut retry = known.clone();
        retry.status = ScanStatus::Pending;
        retry.waiting = Some(WaitingView { reason: "retry".into(), kind: Some("crashed".into()), detail: Some("it \u{1b}[31mbroke".into()), due: None });
        let mut second = known.clone();
        second.attempt = 2;
        second.results[0].status = PluginStatus::Failed;
        second.results[0].message = Some("no\nanswer".into());
        let mut stopping = second.clone();
        stopping.cancel_requested = Some(CancelledBy::Interrupt);
        let mut ended = stopping.clone();
        ended.status = ScanStatus::Cancelled;
        let mut told = Vec::new();
        let mut last: Option<ScanView> = None;
        for now in [pending, first.clone(), first, known.clone(), known, retry, second, stopping.clone(), stopping, ended] {
            told.extend(lines(last.as_ref(), &now));
            last = Some(now);
        }
        insta::assert_snapshot!(told.join("\n"), @r##"
        scan 3: example.com waits for a free place
        scan 3: attempt 1 runs
        scan 3: uses KAST 3.0.40
        scan 3: whatweb in_progress
        scan 3: attempt 1 failed (it broke); it is tried again
        scan 3: attempt 2 runs with KAST 3.0.40
        scan 3: whatweb failed: no answer
        scan 3: being cancelled
        scan 3: cancelled
        "##);
    }

    #[test]
    fn a_scan_that_has_ended_is_told_with_its_plugins() {
        let mut scan = view(ScanStatus::Completed);
        scan.attempt = 1;
        scan.results = vec![PluginView { findings_count: 1, ..plugin("whatweb", PluginStatus::Completed) }];
        assert_eq!(lines(None, &scan), ["scan 3: completed", "scan 3: whatweb completed, 1 finding"]);
    }
}
