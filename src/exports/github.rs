//! Commands of GitHub's runner, which shows them as annotations: what was not checked first, then
//! the worst findings, and one line with the number of the others. The runner shows only the first
//! ten errors and the first ten warnings of a step.
//!
//! Each line is a command, so no text of a scanned site can begin one.

use kastrel_findings::Severity;

use super::finding::{Baseline, ExportedFinding};
use super::head::ExportHead;
use super::writer::{EncodeError, Writer};

/// The number of findings that are written.
const MOST_FINDINGS: usize = 50;

#[derive(Default)]
pub(super) struct GithubWriter {
    /// The worst findings so far; sorted when it is cut.
    worst: Vec<(Severity, String, String)>,
    findings: u64,
    decided: u64,
    fixed: u64,
}

impl Writer for GithubWriter {
    fn begin(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(scan) = head.scan() else { return Ok(()) };
        for (plugin, gap) in scan.gaps() {
            let level = if gap.is_left_out { "notice" } else { "error" };
            command(level, &format!("Not checked: {plugin}"), &format!("{plugin}: {}", gap.reason), out);
        }
        if !scan.is_complete() && scan.gaps().all(|(_, gap)| gap.is_left_out) {
            command("error", "Not checked", &format!("The scan ended as {}, and checked nothing", scan.status), out);
        }
        Ok(())
    }

    fn finding(&mut self, finding: &ExportedFinding, _: &mut Vec<u8>) -> Result<(), EncodeError> {
        if finding.baseline == Some(Baseline::Absent) {
            self.fixed += 1;
        } else if finding.decision().is_some() {
            self.decided += 1;
        } else {
            self.findings += 1;
            let mut text = format!("{} at {}", finding.title, finding.place);
            if !finding.evidence.is_empty() {
                text.push_str(&format!("\n{}", finding.evidence));
            }
            let new = if finding.baseline == Some(Baseline::New) { "new, " } else { "" };
            let title = format!("{new}{}: {} ({})", finding.severity.name(), finding.title, finding.plugin);
            self.worst.push((finding.severity, title, text));
            if self.worst.len() >= 4 * MOST_FINDINGS {
                self.keep_worst();
            }
        }
        Ok(())
    }

    fn end(&mut self, _: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.keep_worst();
        for (severity, title, text) in &self.worst {
            command(level(*severity), title, text, out);
        }
        let more = self.findings.saturating_sub(self.worst.len() as u64);
        if more > 0 {
            command("warning", "More findings", &format!("{more} further findings are not shown here"), out);
        }
        if self.decided > 0 {
            let text = format!("{} with a decision (false positive or accepted) are not shown here", self.decided);
            command("notice", "Decided findings", &text, out);
        }
        if self.fixed > 0 {
            command("notice", "Fixed findings", &format!("{} proven fixed since the last scan", self.fixed), out);
        }
        Ok(())
    }
}

impl GithubWriter {
    fn keep_worst(&mut self) {
        // The sort is stable, so findings of one severity stay in their order.
        self.worst.sort_by_key(|(severity, ..)| rank(*severity));
        self.worst.truncate(MOST_FINDINGS);
    }
}

/// The order of annotations: an unknown severity may be the worst one.
const fn rank(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 0,
        Severity::High => 1,
        Severity::Unknown => 2,
        Severity::Medium => 3,
        Severity::Low => 4,
        Severity::Informational => 5,
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High | Severity::Unknown => "error",
        Severity::Medium | Severity::Low => "warning",
        Severity::Informational => "notice",
    }
}

/// Writes one command with the escapes of the runner.
fn command(level: &str, title: &str, text: &str, out: &mut Vec<u8>) {
    let line = format!("::{level} title={}::{}\n", property(title), data(text));
    out.extend_from_slice(line.as_bytes());
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
