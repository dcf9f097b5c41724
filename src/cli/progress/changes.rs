//! Progress as lines: the differences between two views of a scan.

use jiff::Timestamp;
use kastrel_actors::model::{PluginClass, ScanStatus};

use crate::api_types::{Moment, PluginBody};
use crate::cli::text::{brief, count, uncapitalised};
use crate::cli::view::ScanView;
use crate::human_time::relative;

/// Returns the lines for `now` after `before` was shown. Without a change, there are no lines.
#[must_use]
pub fn lines(before: Option<&ScanView>, now: &ScanView, at: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(line) = headline(before, now, at) {
        lines.push(line);
    }
    // A new attempt starts all plugins again, which needs no lines.
    let known = before.filter(|before| before.summary.attempt == now.summary.attempt);
    for plugin in &now.results {
        let last = known
            .and_then(|before| before.results.iter().find(|last| last.plugin_name == plugin.plugin_name))
            .map(|last| last.status);
        if last != Some(plugin.status) && plugin.status.class() != PluginClass::Waiting {
            lines.push(plugin_line(plugin));
        }
    }
    if now.progress.cancel_requested.is_some()
        && !now.summary.status.is_terminal()
        && before.is_none_or(|before| before.progress.cancel_requested.is_none())
    {
        lines.push("cancelling: stopping the scanner".into());
    }
    lines.into_iter().map(|line| format!("scan {}: {line}", now.summary.scan_id)).collect()
}

fn headline(before: Option<&ScanView>, now: &ScanView, at: Timestamp) -> Option<String> {
    let scanner = |scan: &ScanView| scan.progress.scanner.as_ref().map(|scanner| brief(&scanner.label(), 60));
    let reason =
        |scan: &ScanView| scan.progress.waiting.as_ref().map(|waiting| (waiting.reason.clone(), waiting.position));
    let same_state = before.is_some_and(|before| {
        before.summary.status == now.summary.status
            && before.summary.attempt == now.summary.attempt
            && reason(before) == reason(now)
    });
    if same_state {
        // The scanner is known a moment after the start of the attempt.
        return scanner(now)
            .filter(|_| {
                now.summary.status == ScanStatus::Running && before.is_some_and(|before| scanner(before).is_none())
            })
            .map(|label| format!("scanner {label}"));
    }
    Some(match now.summary.status {
        ScanStatus::Pending => waits(now, at),
        ScanStatus::Running => match scanner(now) {
            Some(label) => format!("attempt {} started, scanner {label}", now.summary.attempt),
            None => format!("attempt {} started", now.summary.attempt),
        },
        ScanStatus::Completed | ScanStatus::Cancelled => now.summary.status.word().to_owned(),
        ScanStatus::Failed => {
            format!("failed: {}", brief(now.summary.error_message.as_deref().unwrap_or("no reason was given"), 300))
        }
    })
}

/// Returns why a scan waits, in words.
pub(super) fn waits(scan: &ScanView, at: Timestamp) -> String {
    let Some(waiting) = &scan.progress.waiting else { return "queued".into() };
    let detail = waiting
        .detail
        .as_deref()
        .or(waiting.kind.as_deref())
        .map_or_else(String::new, |detail| format!(": {}", brief(detail, 300)));
    match (waiting.reason.as_str(), waiting.due.map(Moment::at)) {
        ("retry", Some(due)) if due > at => {
            format!("attempt {} failed{detail}; retrying {}", scan.summary.attempt, relative(due, at))
        }
        ("retry", _) => format!("attempt {} failed{detail}; retrying", scan.summary.attempt),
        _ if waiting.text.is_empty() => format!("queued{detail}"),
        _ => uncapitalised(&brief(&waiting.text, 500)),
    }
}

/// Returns the counts of a plugin: `2 issues, 30 items`.
pub(super) fn found(plugin: &PluginBody) -> String {
    let issues = count(plugin.severities.total(), "issue");
    if plugin.findings_count == 0 { issues } else { format!("{issues}, {}", count(plugin.findings_count, "item")) }
}

fn plugin_line(plugin: &PluginBody) -> String {
    let mut line = format!("{} {}", brief(&plugin.plugin_name, 60), plugin.status.text().word);
    if plugin.status.class() == PluginClass::Ok {
        line.push_str(&format!(", {}", found(plugin)));
    }
    if let Some(message) = plugin.message.as_deref().filter(|_| plugin.status.class() == PluginClass::Problem) {
        line.push_str(&format!(": {}", brief(message, 200)));
    }
    line
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{CancelledBy, PluginStatus, ScannerInfo, ScannerKind};

    use super::*;
    use crate::api_types::WaitingBody;
    use crate::cli::view::tests::{plugin, view};

    #[test]
    fn each_change_is_seen_once() {
        let pending = view(ScanStatus::Pending);
        let mut first = view(ScanStatus::Running);
        first.summary.attempt = 1;
        let mut known = first.clone();
        known.progress.scanner =
            Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into(), configuration: None });
        known.results = vec![plugin("whatweb", PluginStatus::InProgress), plugin("testssl", PluginStatus::Pending)];
        let mut retry = known.clone();
        retry.summary.status = ScanStatus::Pending;
        let due = Some(Moment::of(Timestamp::from_second(2).unwrap()));
        let detail = Some("it \u{1b}[31mbroke".into());
        retry.progress.waiting = Some(WaitingBody {
            reason: "retry".into(),
            kind: Some("crashed".into()),
            detail,
            due,
            ..WaitingBody::default()
        });
        let mut second = known.clone();
        second.summary.attempt = 2;
        second.results[0].status = PluginStatus::Failed;
        second.results[0].message = Some("no\nanswer".into());
        let mut stopping = second.clone();
        stopping.progress.cancel_requested = Some(CancelledBy::Interrupt);
        let mut ended = stopping.clone();
        ended.summary.status = ScanStatus::Cancelled;
        let mut seen = Vec::new();
        let mut last: Option<ScanView> = None;
        for now in
            [pending, first.clone(), first, known.clone(), known, retry, second, stopping.clone(), stopping, ended]
        {
            seen.extend(lines(last.as_ref(), &now, Timestamp::UNIX_EPOCH));
            last = Some(now);
        }
        insta::assert_snapshot!(seen.join("\n"), @r##"
        scan 3: queued
        scan 3: attempt 1 started
        scan 3: scanner KAST 3.0.40
        scan 3: whatweb running
        scan 3: attempt 1 failed: it broke; retrying in 2 s
        scan 3: attempt 2 started, scanner KAST 3.0.40
        scan 3: whatweb failed: no answer
        scan 3: cancelling: stopping the scanner
        scan 3: cancelled
        "##);
    }

    #[test]
    fn each_change_of_the_reason_is_a_line() {
        let waiting = |reason: &str, position, text: &str| {
            let mut scan = view(ScanStatus::Pending);
            scan.progress.waiting =
                Some(WaitingBody { reason: reason.into(), position, text: text.into(), ..WaitingBody::default() });
            scan
        };
        let queued = waiting("queued", Some(2), "Queued, 2nd in line. Starts when a slot is free.");
        let paused = waiting("paused", None, "The queue is paused. Starts when the queue is resumed.");
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(lines(None, &queued, at), ["scan 3: queued, 2nd in line. Starts when a slot is free."]);
        assert_eq!(
            lines(Some(&queued), &paused, at),
            ["scan 3: the queue is paused. Starts when the queue is resumed."]
        );
        assert!(lines(Some(&paused), &paused, at).is_empty());
    }

    #[test]
    fn a_scan_that_has_ended_is_seen_with_its_plugins() {
        let mut scan = view(ScanStatus::Completed);
        scan.summary.attempt = 1;
        scan.results = vec![PluginBody { findings_count: 1, ..plugin("whatweb", PluginStatus::Completed) }];
        assert_eq!(
            lines(None, &scan, Timestamp::UNIX_EPOCH),
            ["scan 3: completed", "scan 3: whatweb completed, 0 issues, 1 item"]
        );
    }
}
