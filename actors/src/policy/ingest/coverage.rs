//! What the checks of a scan mean for a finding.

use std::collections::BTreeMap;

use kastrel_findings::IssueKey;
use kastrel_findings::lifecycle::{Check, PluginCheck, PluginEnd};
use kastrel_findings::scope::CheckScope;

/// The checks of a scan, by plugin key.
pub(super) type Checks = BTreeMap<String, PluginCheck>;

/// Returns true if the scan checked nothing on purpose.
pub(super) fn is_dry_run(checks: &Checks) -> bool {
    !checks.is_empty() && checks.values().all(|check| check.end == PluginEnd::DryRun)
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

/// Returns the version of the plugin in a scan, for a proof.
pub(super) fn version_of<'a>(checks: &'a Checks, plugin: &str) -> &'a str {
    checks.get(plugin).map_or("", |check| check.version.as_str())
}
