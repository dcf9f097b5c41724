//! Progress as moving lines: one for the scan, and one for each plugin below it.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kastrel_actors::model::{PluginClass, ScanStatus};

use super::changes::{found, waits};
use crate::api_types::PluginBody;
use crate::cli::text::brief;
use crate::cli::view::ScanView;

/// The moving lines. See the module documentation.
#[derive(Debug)]
pub struct Bars {
    all: MultiProgress,
    head: ProgressBar,
    plugins: BTreeMap<String, ProgressBar>,
    attempt: u32,
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Bars {
    /// Creates the lines on standard error.
    #[must_use]
    pub fn new() -> Self {
        let all = MultiProgress::new();
        let head = all.add(ProgressBar::new_spinner());
        head.set_style(style("{spinner:.cyan} {wide_msg:.bold}"));
        head.enable_steady_tick(Duration::from_millis(120));
        Self { all, head, plugins: BTreeMap::new(), attempt: 0 }
    }

    /// Shows the current state of the scan.
    pub fn show(&mut self, scan: &ScanView, now: Timestamp) {
        self.head.set_message(head(scan, now));
        if scan.summary.attempt != self.attempt {
            self.attempt = scan.summary.attempt;
            for (_, bar) in std::mem::take(&mut self.plugins) {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
        }
        for plugin in &scan.results {
            let bar = self.plugins.entry(plugin.plugin_name.clone()).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new_spinner());
                bar.set_style(style("  {prefix:.dim} {wide_msg}"));
                bar
            });
            update(bar, plugin);
        }
    }

    /// Prints a line above the bars.
    pub fn say(&self, text: &str) {
        // The line is lost only if the terminal itself is gone.
        let _ = self.all.println(text);
    }

    /// Removes all lines.
    pub fn end(&self) {
        for bar in self.plugins.values().chain([&self.head]) {
            bar.finish_and_clear();
        }
        let _ = self.all.clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants. A wrong one would be visible at once, and is no reason to stop a
    // scan.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn update(bar: &ProgressBar, plugin: &PluginBody) {
    let text = message(plugin);
    match plugin.status.class() {
        PluginClass::Running => {
            if bar.prefix() != "…" {
                bar.set_style(style("  {spinner:.cyan} {wide_msg} {elapsed}"));
                bar.set_prefix("…");
                bar.reset_elapsed();
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            bar.set_message(text);
        }
        _ => {
            let glyph = plugin.status.glyph();
            if bar.prefix() != glyph {
                bar.disable_steady_tick();
                bar.set_style(style("  {prefix} {wide_msg}"));
                bar.set_prefix(glyph);
            }
            bar.set_message(text);
        }
    }
}

/// Returns a plugin in one line.
fn message(plugin: &PluginBody) -> String {
    let mut text = format!("{:<24} {}", brief(&plugin.plugin_name, 24), plugin.status.text().word);
    if plugin.status.class() == PluginClass::Ok || plugin.findings_count > 0 {
        text.push_str(&format!(", {}", found(plugin)));
    }
    if let Some(message) = plugin.message.as_deref().filter(|_| plugin.status.class() == PluginClass::Problem) {
        text.push_str(&format!(": {}", brief(message, 120)));
    }
    text
}

/// Returns the scan in one line.
fn head(scan: &ScanView, now: Timestamp) -> String {
    let target = brief(&scan.target_label(), 80);
    let scanner =
        scan.progress.scanner.as_ref().map_or_else(String::new, |scanner| format!(", {}", brief(&scanner.label(), 60)));
    let attempt = if scan.summary.attempt > 1 { format!(", attempt {}", scan.summary.attempt) } else { String::new() };
    let state = match scan.summary.status {
        _ if scan.progress.cancel_requested.is_some() && !scan.summary.status.is_terminal() => "cancelling".into(),
        ScanStatus::Pending => waits(scan, now),
        status => status.word().to_owned(),
    };
    format!("scan {}: {target}{scanner}{attempt}: {state}", scan.summary.scan_id)
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{CancelledBy, PluginStatus, ScannerInfo, ScannerKind};

    use super::*;
    use crate::cli::view::tests::{plugin, view};

    #[test]
    fn lines_show_state_counts_and_reason() {
        let mut scan = view(ScanStatus::Running);
        assert_eq!(head(&scan, Timestamp::UNIX_EPOCH), "scan 3: example.com: running");
        scan.progress.scanner =
            Some(ScannerInfo { kind: ScannerKind::Builtin, version: "0.1.0".into(), configuration: None });
        scan.summary.attempt = 2;
        assert_eq!(
            head(&scan, Timestamp::UNIX_EPOCH),
            "scan 3: example.com, built-in scanner 0.1.0, attempt 2: running"
        );
        scan.progress.cancel_requested = Some(CancelledBy::User);
        assert!(head(&scan, Timestamp::UNIX_EPOCH).ends_with("cancelling"));
        let mut failed = plugin("a\u{1b}[2J", PluginStatus::Failed);
        failed.message = Some("why".into());
        assert_eq!(message(&failed), format!("{:<24} failed: why", "a"));
    }

    #[test]
    fn a_new_attempt_begins_with_new_lines() {
        let mut bars = Bars::new();
        let mut scan = view(ScanStatus::Running);
        scan.summary.attempt = 1;
        scan.results = vec![plugin("a", PluginStatus::Completed), plugin("b", PluginStatus::InProgress)];
        bars.show(&scan, Timestamp::UNIX_EPOCH);
        assert_eq!(bars.plugins.keys().collect::<Vec<_>>(), ["a", "b"]);
        scan.summary.attempt = 2;
        scan.results.truncate(1);
        bars.show(&scan, Timestamp::UNIX_EPOCH);
        assert_eq!(bars.plugins.keys().collect::<Vec<_>>(), ["a"]);
        bars.end();
    }
}
