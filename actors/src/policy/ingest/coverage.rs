//! What the checks of a scan mean for a finding.

use std::collections::BTreeMap;

use kastrel_findings::IssueKey;
use kastrel_findings::lifecycle::{Check, PluginCheck, PluginEnd, ScanOrder};
use kastrel_findings::scope::CheckScope;

/// The checks of a scan, by plugin key.
pub(super) type Checks = BTreeMap<String, PluginCheck>;

/// Returns true if the scan checked nothing on purpose.
pub(super) fn is_dry_run(checks: &Checks) -> bool {
    !checks.is_empty() && checks.values().all(|check| check.end == PluginEnd::DryRun)
}

/// Returns true if the plugin ran to its end and its result was read completely.
pub(super) fn is_complete(check: &PluginCheck) -> bool {
    check.end == PluginEnd::Completed && check.read_completely
}

/// Returns what the scan means for a finding of a plugin that was seen with the scope `seen_with`.
/// `absent` is what the scan means for a plugin that it does not have.
pub(super) fn check_of(
    (checks, absent): (&Checks, Check),
    plugin: &str,
    issue: &IssueKey,
    seen_with: &CheckScope,
) -> Check {
    match checks.get(plugin) {
        Some(check) => check.check_for(issue, seen_with),
        None if is_dry_run(checks) => Check::DryRun,
        None => absent,
    }
}

/// Returns how the plugin ended, for the coverage of a target.
pub(super) fn end_of(check: &PluginCheck) -> Check {
    match check.end {
        PluginEnd::Completed if !check.read_completely => Check::ReadInPart,
        PluginEnd::Completed => Check::Completed,
        PluginEnd::Failed => Check::Failed,
        PluginEnd::TimedOut => Check::TimedOut,
        PluginEnd::Skipped => Check::Skipped,
        PluginEnd::Unavailable => Check::Unavailable,
        PluginEnd::Cancelled => Check::Cancelled,
        PluginEnd::DryRun => Check::DryRun,
    }
}

/// Returns the place of the plugin's check among all scans of the target. `last` is that of the
/// last attempt of the scan.
pub(super) fn order_of(checks: &Checks, plugin: &str, last: ScanOrder) -> ScanOrder {
    checks.get(plugin).map_or(last, |check| check.order(last))
}

/// Returns the version of the plugin in a scan, for a proof.
pub(super) fn version_of<'a>(checks: &'a Checks, plugin: &str) -> &'a str {
    checks.get(plugin).map_or("", |check| check.version.as_str())
}
