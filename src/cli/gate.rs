//! The gate of `kastrel scan`: decides whether a scan passes, as a pure function of its view.
//!
//! - `--fail-on S` fails if the scan found an issue of severity S or worse. An issue of unknown
//!   severity may have any severity, so it counts.
//! - `--require-coverage` fails if checks did not run. With `--fail-on`, the default is `any`: an
//!   unchecked target never passes.
//! - A scan in which no check ran passes no gate, whatever the options are.
//! - With `--only-new` and `--baseline`, findings are counted in place of issues (`gate_findings`).

use kastrel_actors::model::{ScanStatus, Severity, SeverityCounts};

use super::exit::Exit;
use super::text::{brief, count};
use super::view::ScanView;
use crate::api_types::PluginBody;

/// How many issues are listed.
const LISTED: usize = 20;

/// The required coverage of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Every check completed.
    All,
    /// At least one check completed, and so did all that `--allow-failed` does not list.
    Any,
    /// At least one check completed, if there is a gate.
    None,
}

impl Require {
    /// All values, in the order of the help text.
    pub const ALL: &'static [Self] = &[Self::All, Self::Any, Self::None];

    /// Returns the value as it is written on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::None => "none",
        }
    }

    /// Parses a value of the command line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }
}

/// The requirements on a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// The minimum severity of an issue that fails the gate.
    pub fail_on: Option<Severity>,
    /// The required coverage, if given.
    pub require: Option<Require>,
    /// The checks that may fail.
    pub allowed: Vec<String>,
}

/// The result of the gate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    /// How many issues fail the gate.
    pub found: u64,
    /// The listed issues: severity, title and plugin.
    pub issues: Vec<String>,
    /// Why the coverage fails the gate.
    pub uncovered: Vec<String>,
    /// True if findings were counted, and not issues.
    pub of_findings: bool,
    /// With which scan `--only-new` compared, in words.
    pub compared: Option<String>,
}

impl Gate {
    /// Returns whether the gate has any requirement.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.fail_on.is_some() || self.require.is_some()
    }

    /// Returns the required coverage, given or by default.
    fn required(&self) -> Option<Require> {
        self.require.or(if self.fail_on.is_some() { Some(Require::Any) } else { None })
    }

    /// Applies the gate to a scan that completed or failed.
    pub fn judge(&self, scan: &ScanView) -> Judgement {
        let (mut found, mut issues) = (0, Vec::new());
        if let Some(least) = self.fail_on {
            found = at_least(&scan.summary.severities, least).max(
                scan.results.iter().map(|plugin| at_least(&plugin.severities, least)).fold(0, u64::saturating_add),
            );
            issues = listed(&scan.results, least);
        }
        Judgement {
            found,
            issues,
            uncovered: self.required().map(|require| uncovered(scan, require, &self.allowed)).unwrap_or_default(),
            of_findings: false,
            compared: None,
        }
    }
}

impl Judgement {
    /// Returns the exit of the gate. If both issues and coverage fail, issues take precedence;
    /// [`lines`](Self::lines) shows both.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        if self.found > 0 {
            Exit::Found
        } else if !self.uncovered.is_empty() {
            Exit::Uncovered
        } else {
            Exit::Done
        }
    }

    /// Returns the exit of a command that waited for the end of the scan. A failed scan never
    /// passes, but the gate has the more specific code. A cancelled scan has its own code.
    #[must_use]
    pub const fn exit_of_scan(&self, status: ScanStatus, interrupted: bool) -> Exit {
        match status {
            ScanStatus::Completed => self.exit(),
            ScanStatus::Cancelled if interrupted => Exit::Interrupted,
            ScanStatus::Cancelled => Exit::Cancelled,
            ScanStatus::Failed => match self.exit() {
                Exit::Done => Exit::Failed,
                refused => refused,
            },
            // Unfinished scans have no exit; if called with one, it did not complete.
            ScanStatus::Pending | ScanStatus::Running => Exit::Failed,
        }
    }

    /// Returns why the scan fails the gate, for people.
    #[must_use]
    pub fn lines(&self, fail_on: Option<Severity>) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(least) = fail_on.filter(|_| self.found > 0) {
            let noun = if self.of_findings { "finding" } else { "issue" };
            lines.push(format!("Not passed: {} at or above {least} (exit code 10)", count(self.found, noun)));
            lines.extend(self.issues.iter().map(|issue| format!("  {issue}")));
            let more = self.found.saturating_sub(self.issues.len() as u64);
            if more > 0 {
                lines.push(format!("  and {more} more"));
            }
        }
        if !self.uncovered.is_empty() {
            let code = if self.found > 0 { "" } else { " (exit code 11)" };
            lines.push(format!("Not passed: coverage incomplete{code}"));
            lines.extend(self.uncovered.iter().map(|why| format!("  {why}")));
        }
        lines
    }
}

/// Returns how many issues have this severity, a worse one or an unknown one.
fn at_least(counts: &SeverityCounts, least: Severity) -> u64 {
    Severity::ALL
        .iter()
        .filter(|severity| severity.is_at_least(least) || **severity == Severity::Unknown)
        .map(|severity| counts.number(*severity))
        .fold(0, u64::saturating_add)
}

/// Returns the issues that fail the gate, worst first.
fn listed(plugins: &[PluginBody], least: Severity) -> Vec<String> {
    let mut issues: Vec<(Severity, String)> = Vec::new();
    for plugin in plugins {
        let counting = plugin
            .issues
            .iter()
            .flatten()
            .filter(|issue| issue.severity.is_at_least(least) || issue.severity == Severity::Unknown);
        issues.extend(counting.map(|issue| {
            let name = brief(&issue.title, 120);
            let id = if issue.title == issue.id { String::new() } else { format!(" [{}]", brief(&issue.id, 80)) };
            (issue.severity, format!("{}: {name}{id} ({})", issue.severity, brief(&plugin.plugin_name, 60)))
        }));
    }
    issues.sort_by_key(|(severity, _)| *severity);
    issues.into_iter().map(|(_, text)| text).take(LISTED).collect()
}

/// Returns why the coverage of a scan fails the gate; empty if it passes.
fn uncovered(scan: &ScanView, require: Require, allowed: &[String]) -> Vec<String> {
    if scan.summary.dry_run {
        return vec!["Dry run: nothing was checked".into()];
    }
    let coverage = scan.coverage();
    let mut why = Vec::new();
    if coverage.nothing_checked || coverage.ran == 0 {
        why.push("No check completed".into());
    }
    if require == Require::None {
        return why;
    }
    let is_allowed =
        |name: &String| require == Require::Any && allowed.iter().any(|one| one.eq_ignore_ascii_case(name));
    for (cause, names) in coverage.causes() {
        let names: Vec<&String> = names.iter().filter(|name| !is_allowed(name)).collect();
        if !names.is_empty() {
            let names = names.iter().map(|name| brief(name, 60)).collect::<Vec<_>>().join(", ");
            why.push(format!("{cause}: {names}"));
        }
    }
    if coverage.unfinished > 0 {
        why.push(format!("Not finished: {}", count(coverage.unfinished as u64, "check")));
    }
    if let Some(missing) = &scan.missing_report {
        why.push(missing.clone());
    }
    why
}

#[cfg(test)]
mod tests;
