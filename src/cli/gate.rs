//! The gate of `kastrel scan`: whether a scan passes, as a pure function of its view.
//!
//! - `--fail-on S` does not pass where an issue of severity S or worse was found. An issue whose
//!   severity nobody knows may be of any, so it counts.
//! - `--require-coverage` does not pass where checks did not run. With `--fail-on` it is `any`
//!   unless another one is given: an unchecked target never passes.
//! - A scan in which nothing was checked passes no gate at all, whatever is required.

use kastrel_actors::model::{Severity, SeverityCounts};

use super::exit::Exit;
use super::text::{brief, count};
use super::view::{PluginView, ScanView};

/// How many issues are listed.
const LISTED: usize = 20;

/// How much of a scan must have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// Every check ran to its end.
    All,
    /// At least one check ran to its end, and so did all that `--allow-failed` does not list.
    Any,
    /// At least one check ran to its end, where there is a gate at all.
    None,
}

impl Require {
    /// All, as they are written.
    pub const ALL: &'static [Self] = &[Self::All, Self::Any, Self::None];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Any => "any",
            Self::None => "none",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == text)
    }
}

/// What is asked of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// The severity that does not pass.
    pub fail_on: Option<Severity>,
    /// How much must have been checked, where that was said.
    pub require: Option<Require>,
    /// Checks that need not run to their end.
    pub allowed: Vec<String>,
}

/// What the gate says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    /// How many issues do not pass.
    pub found: u64,
    /// Those of them that are listed: severity, title and plugin.
    pub issues: Vec<String>,
    /// Why the coverage does not pass.
    pub uncovered: Vec<String>,
}

impl Gate {
    /// Whether anything is asked.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.fail_on.is_some() || self.require.is_some()
    }

    /// What is required, as it is or by default.
    fn required(&self) -> Option<Require> {
        self.require.or(if self.fail_on.is_some() { Some(Require::Any) } else { None })
    }

    /// Judges a scan that completed or failed.
    pub fn judge(&self, scan: &ScanView) -> Judgement {
        let (mut found, mut issues) = (0, Vec::new());
        if let Some(least) = self.fail_on {
            found = at_least(&scan.severities, least).max(
                scan.results.iter().map(|plugin| at_least(&plugin.severities, least)).fold(0, u64::saturating_add),
            );
            issues = listed(&scan.results, least);
        }
        Judgement {
            found,
            issues,
            uncovered: self.required().map(|require| uncovered(scan, require, &self.allowed)).unwrap_or_default(),
        }
    }
}

impl Judgement {
    /// What the gate makes of the exit. Of two reasons not to pass the issues are the weightier
    /// one; [`lines`](Self::lines) says both.
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

    /// Why the scan does not pass, for people.
    #[must_use]
    pub fn lines(&self, fail_on: Option<Severity>) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(least) = fail_on.filter(|_| self.found > 0) {
            lines.push(format!("Not passed: {} at or above {least} (exit code 10)", count(self.found, "issue")));
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

/// How many issues are of this severity or worse, or of none that is known.
fn at_least(counts: &SeverityCounts, least: Severity) -> u64 {
    Severity::ALL
        .iter()
        .filter(|severity| severity.is_at_least(least) || **severity == Severity::Unknown)
        .map(|severity| counts.number(*severity))
        .fold(0, u64::saturating_add)
}

/// The issues that do not pass, the worst first.
fn listed(plugins: &[PluginView], least: Severity) -> Vec<String> {
    let mut issues: Vec<(Severity, String)> = Vec::new();
    for plugin in plugins {
        let counting = plugin
            .issues
            .iter()
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

/// Why a scan's coverage does not pass; empty: it does.
fn uncovered(scan: &ScanView, require: Require, allowed: &[String]) -> Vec<String> {
    if scan.dry_run {
        return vec!["Dry run: nothing was checked".into()];
    }
    let coverage = scan.coverage_or_results();
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
