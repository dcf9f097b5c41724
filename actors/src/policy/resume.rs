//! Which results a further attempt of a scan keeps, and which plugins it runs.
//!
//! - Only a complete result is kept. A plugin that failed, was interrupted, was not run or whose
//!   tool was missing runs again.
//! - A lease keeps the results of the row provisionally ([`carried`]). The node that runs the
//!   attempt then decides ([`candidates`], [`plan`]): results of another version of the scanner are
//!   not mixed, and their files must be on the node.
//! - A plugin that runs again brings what it depends on: it reads the results of those plugins in
//!   the attempt's own folder, and with parallel plugins KAST refuses one whose dependency is not
//!   selected. So a dependency runs again even if it has a result. The newer complete result
//!   counts.
//! - A result that is older than a day is not kept: the site may have changed.
//! - A complete result is never replaced by an incomplete one ([`merge`]).
//! - A dry run checks nothing, so it keeps nothing.

use jiff::SignedDuration;
use kastrel_findings::lifecycle::PluginEnd;

use super::selection::{expected, with_dependencies};
use crate::model::{
    AttemptEnd, AttemptRecord, Coverage, FailureKind, FencingToken, Interruption, PluginClass, PluginInfo,
    PluginResult, PluginStatus, Remains, ScanRecord, ScanRequest, ScannerInfo,
};

/// The longest time from the end of the attempt that ran a plugin to the start of the one that
/// keeps its result.
const LONGEST_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A complete result of an earlier attempt of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierResult {
    /// The result, with the number of its attempt.
    pub plugin: PluginResult,
    /// The fencing token of that attempt, which marks its folder.
    pub token: FencingToken,
}

/// What an attempt runs, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Plan {
    /// All plugins of the request run; nothing is kept.
    Anew,
    /// Some plugins run.
    Rest {
        /// The plugins to run, in the scanner's order; never empty.
        only: Vec<String>,
        /// The results of earlier attempts; never empty.
        kept: Vec<PluginResult>,
    },
    /// Every plugin has a result: nothing is left to run. Holds the results.
    Done(Vec<PluginResult>),
}

/// Returns the results that the row of a pending scan brings into its next attempt: those that are
/// complete, each with the number of the attempt that ran it.
#[must_use]
pub fn carried(record: &ScanRecord) -> Vec<PluginResult> {
    let Some(last) = record.last_attempt() else { return Vec::new() };
    if record.request.options.dry_run {
        return Vec::new();
    }
    let own = leaves_good_results(last).then_some(last.number);
    let complete = record.plugins.iter().filter(|plugin| is_complete(plugin));
    complete
        .filter_map(|plugin| {
            let attempt = plugin.attempt.or(own)?;
            Some(PluginResult { attempt: Some(attempt), ..plugin.clone() })
        })
        .collect()
}

/// Returns the results in the row of a running scan that an earlier attempt brought.
#[must_use]
pub fn kept(record: &ScanRecord) -> Vec<PluginResult> {
    let last = record.last_attempt().map(|attempt| attempt.number);
    let is_earlier = |plugin: &&PluginResult| plugin.attempt.is_some() && plugin.attempt != last && is_complete(plugin);
    record.plugins.iter().filter(is_earlier).cloned().collect()
}

/// Returns the kept results of a running scan that this scanner, in exactly this version, wrote
/// within the day before the attempt.
#[must_use]
pub fn candidates(record: &ScanRecord, scanner: &ScannerInfo) -> Vec<EarlierResult> {
    let Some(begin) = record.last_attempt().map(|attempt| attempt.started_at) else { return Vec::new() };
    kept(record)
        .into_iter()
        .filter_map(|plugin| {
            let attempt = record.attempt(plugin.attempt?)?;
            let is_of_scanner = attempt.scanner.as_ref().is_some_and(|own| own.is_same_version(scanner));
            let is_recent = attempt.ended_at.is_none_or(|ended| begin.duration_since(ended) <= LONGEST_KEPT);
            (is_of_scanner && is_recent).then_some(EarlierResult { plugin, token: attempt.token })
        })
        .collect()
}

/// Returns the results of earlier attempts that complete the result of the last one: those that its
/// scanner wrote ([`candidates`]). `None` if the row keeps results and does not show which scanner
/// ran the last attempt: nobody knows which of them belong to its result.
#[must_use]
pub fn adopted(record: &ScanRecord) -> Option<Vec<PluginResult>> {
    match record.last_attempt().and_then(|attempt| attempt.scanner.as_ref()) {
        Some(scanner) => Some(candidates(record, scanner).into_iter().map(|one| one.plugin).collect()),
        None => kept(record).is_empty().then(Vec::new),
    }
}

/// Decides which of the `offered` plugins an attempt runs for a request that has the results
/// `kept`. If the scanner's plugins are not known, everything runs.
pub fn plan(request: &ScanRequest, offered: &[PluginInfo], kept: Vec<PluginResult>) -> Plan {
    let wanted = expected(request, offered);
    if kept.is_empty() || wanted.is_empty() || request.options.dry_run {
        return Plan::Anew;
    }
    // A requested plugin that the scanner does not offer runs as well: the scanner reports it.
    let is_offered = |name: &String| offered.iter().any(|plugin| plugin.name == *name);
    let unknown = request.options.plugins.iter().filter(|name| !is_offered(name)).cloned();
    let missing: Vec<String> = wanted.into_iter().chain(unknown).filter(|name| find(&kept, name).is_none()).collect();
    if missing.is_empty() {
        return Plan::Done(kept);
    }
    Plan::Rest { only: with_dependencies(&missing, offered), kept }
}

/// Merges the results of earlier attempts with those of the running or ended one. Of a plugin in
/// both lists the `own` result counts if it is complete, and otherwise the kept one. The order is
/// that of `kept`, and then of `own`, so it does not change while the attempt runs.
#[must_use]
pub fn merge(kept: &[PluginResult], own: Vec<PluginResult>) -> Vec<PluginResult> {
    if kept.is_empty() {
        return own;
    }
    let newest = |earlier: &PluginResult| find(&own, &earlier.name).filter(|plugin| is_complete(plugin));
    let mut merged: Vec<PluginResult> = kept.iter().map(|earlier| newest(earlier).unwrap_or(earlier).clone()).collect();
    merged.extend(own.into_iter().filter(|plugin| find(kept, &plugin.name).is_none()));
    merged
}

/// Returns the plugins of an attempt whose node died, as its files show them, if they have results
/// that the row does not have yet: the last progress was not written. The folder must be that of
/// the attempt, and nothing may write to it any more.
#[must_use]
pub fn salvaged(remains: Option<&Remains>, record: &ScanRecord) -> Option<Vec<PluginResult>> {
    let remains = remains.filter(|remains| remains.is_marked && remains.processes == 0)?;
    if record.request.options.dry_run || record.cancel_requested.is_some() {
        return None;
    }
    let plugins = merge(&kept(record), remains.report.plugins.clone());
    let is_new =
        |plugin: &PluginResult| is_complete(plugin) && !find(&record.plugins, &plugin.name).is_some_and(is_complete);
    plugins.iter().any(is_new).then_some(plugins)
}

/// Returns the checks of an ended scan that another scan should run again: those that failed, were
/// interrupted or not run, and those whose missing tool an `offered` plugin has now. A check that
/// the scanner skipped would be skipped again, and one that no scanner offers any more is left out.
#[must_use]
pub fn without_result(coverage: &Coverage, offered: &[PluginInfo]) -> Vec<String> {
    if coverage.dry_run {
        return Vec::new();
    }
    let is_offered = |name: &str| offered.is_empty() || offered.iter().any(|plugin| plugin.name == name);
    let is_available = |name: &str| offered.iter().any(|plugin| plugin.name == name && plugin.available);
    let again = |status: PluginStatus, name: &str| match status.check_end() {
        PluginEnd::Failed | PluginEnd::TimedOut | PluginEnd::Cancelled => is_offered(name),
        PluginEnd::Unavailable => is_available(name),
        PluginEnd::Completed | PluginEnd::Skipped | PluginEnd::DryRun => false,
    };
    let gaps = Coverage::GAPS.into_iter().flat_map(|status| {
        coverage.names(status).iter().filter(move |name| again(status, name)).cloned().collect::<Vec<_>>()
    });
    gaps.collect()
}

/// Returns true if a check ran to its end. Skipped plugins have no result.
const fn is_complete(plugin: &PluginResult) -> bool {
    matches!(plugin.status.class(), PluginClass::Ok)
}

fn find<'a>(plugins: &'a [PluginResult], name: &str) -> Option<&'a PluginResult> {
    plugins.iter().find(|plugin| plugin.name.eq_ignore_ascii_case(name))
}

/// Returns true if the complete results of an attempt that ended like this can be trusted. They
/// cannot if its node lacked something, such as room on the disk, or if its result file was
/// damaged.
const fn leaves_good_results(attempt: &AttemptRecord) -> bool {
    match &attempt.end {
        // The row is that of a pending scan, whose attempts have ended.
        None | Some(AttemptEnd::Cancelled) => false,
        Some(AttemptEnd::Completed(_)) => true,
        Some(AttemptEnd::Failed(failure)) => match failure.kind {
            FailureKind::Crashed
            | FailureKind::KilledBySignal
            | FailureKind::NoResult
            | FailureKind::Stalled
            | FailureKind::TimedOut
            | FailureKind::ActorCrashed
            | FailureKind::NodeLost => true,
            FailureKind::NotStarted
            | FailureKind::SpawnFailed
            | FailureKind::UsageError
            | FailureKind::OutOfScope
            | FailureKind::UnreadableResult
            | FailureKind::NothingChecked
            | FailureKind::NotPermitted => false,
        },
        Some(AttemptEnd::Interrupted { why, .. }) => match why {
            Interruption::Shutdown
            | Interruption::Drained
            | Interruption::LeaseLost
            | Interruption::Unowned
            | Interruption::NeverStarted => true,
            Interruption::Infrastructure => false,
        },
    }
}

#[cfg(test)]
mod tests;
