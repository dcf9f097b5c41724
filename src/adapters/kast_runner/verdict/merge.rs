//! Merges KAST's list and the plugins' own files into the final result of each plugin.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kastrel_actors::model::{PluginResult, PluginStatus};

use super::super::kast_log::Logged;
use super::super::plugin_name;
use super::super::text::clean;
use super::end_word::EndWord;
use super::info::{Info, Listed, MOST_PLUGINS};
use super::message::said;
use super::own::{Own, Sureness};
use super::times::{Clock, Times};

/// The message of a plugin that failed without a reason.
const FAILED_SILENTLY: &str = "Failed without a message. See the log.";
const UNAVAILABLE: &str = "Tool not installed on this node";
const SKIPPED: &str = "Skipped by the scanner";

/// Merges the results: first the plugins of KAST's list, in its order, then the others, up to the
/// limit of a row.
///
/// - `seen` are the plugins observed so far, ended or not. `own` are the results of ended plugins,
///   by [`plugin_name::key`].
/// - `written` is the time at which `kast_info.json` was written, `zone` the time zone of this
///   machine. Both help to interpret KAST's times, which have no zone.
pub(in crate::adapters::kast_runner) fn merge(
    info: &Info,
    seen: &[PluginResult],
    own: &BTreeMap<String, Own>,
    written: Option<Timestamp>,
    zone: &TimeZone,
) -> Vec<PluginResult> {
    let own_end = |listed: &Listed| own.get(&plugin_name::key(&listed.name)).and_then(|own| own.result.ended_at);
    let clock = Clock::new(
        zone,
        info.end.as_deref(),
        written,
        info.plugins.iter().map(|listed| (listed.start.as_deref(), listed.end.as_deref(), own_end(listed))),
    );
    let mut plugins: Vec<PluginResult> = Vec::new();
    for listed in &info.plugins {
        let key = plugin_name::key(&listed.name);
        let before = seen.iter().find(|one| plugin_name::key(&one.name) == key);
        plugins.push(last_word(listed, before, own.get(&key), &clock));
    }
    let listed: BTreeSet<String> = info.plugins.iter().map(|listed| plugin_name::key(&listed.name)).collect();
    // For plugins that KAST lists beyond the limit, KAST's word is unknown, so their own results do
    // not count.
    let is_other = |plugin: &&PluginResult| {
        let key = plugin_name::key(&plugin.name);
        !listed.contains(&key) && !info.beyond.contains(&key)
    };
    let room = MOST_PLUGINS.saturating_sub(plugins.len());
    plugins.extend(seen.iter().filter(is_other).take(room).cloned().map(with_reason));
    plugins
}

fn last_word(listed: &Listed, seen: Option<&PluginResult>, own: Option<&Own>, clock: &Clock<'_>) -> PluginResult {
    let (status, reason) = state(word(listed), &listed.name, own);
    let base = own.map(|own| &own.result).or(seen);
    // The spelling in the scanner's own list of plugins has priority.
    let name = seen.or(base).map_or_else(|| listed.name.clone(), |plugin| plugin.name.clone());
    let own_error = own.and_then(|own| own.error.clone());
    // A summary is a reason only if the plugin itself states that it failed.
    let own_message = base
        .filter(|base| status != PluginStatus::Failed || base.status == status)
        .and_then(|base| base.message.clone());
    let is_unreadable = own.is_some_and(|own| own.sureness == Sureness::Unreadable);
    let error = listed.error.clone().filter(|_| !(is_unreadable && word(listed) == EndWord::Good));
    // The scanner's log may have a reason that no file has.
    let logged = seen
        .filter(|seen| seen.status == PluginStatus::Failed && status == PluginStatus::Failed)
        .and_then(|seen| seen.message.clone());
    let message = match status {
        // The most reliable reason first: KAST's, then the plugin's, then the others.
        PluginStatus::Completed => own_error.or(own_message).or(error).or(reason),
        _ => error.or(own_error).or(reason).or(logged).or(own_message),
    };
    let Times { started_at, ended_at } =
        clock.times(listed.start.as_deref(), listed.end.as_deref(), own.and_then(|own| own.result.ended_at));
    let started_at =
        started_at.or_else(|| base.and_then(|base| base.started_at)).or_else(|| seen.and_then(|seen| seen.started_at));
    let ended_at = ended_at.or_else(|| base.and_then(|base| base.ended_at));
    // If the start is after the end, the start is wrong: the end comes from the plugin's own file.
    let started_at = started_at.filter(|start| ended_at.is_none_or(|end| *start <= end));
    let base = base.cloned().unwrap_or_else(|| PluginResult::new(&name, status));
    with_reason(PluginResult { name, status, message, started_at, ended_at, ..base })
}

/// The final status of a plugin, and a message for the case that there is no reason.
fn state(word: EndWord, name: &str, own: Option<&Own>) -> (PluginStatus, Option<String>) {
    if let Some(own) = own.filter(|own| own.sureness == Sureness::Unreadable) {
        return (PluginStatus::Failed, own.error.clone());
    }
    let own_says = own.filter(|own| own.sureness == Sureness::Stated).map(|own| own.result.status);
    match (word, own_says, own) {
        // The plugin itself states that it failed; KAST's good word does not override that.
        (EndWord::Good, Some(status), _) => (status, None),
        (EndWord::Good, None, Some(_)) => (PluginStatus::Completed, None),
        (EndWord::Good, None, None) => (
            PluginStatus::Failed,
            Some(format!(
                "The scanner reports success, but the result file {}_processed.json is missing",
                clean(name, 100)
            )),
        ),
        (EndWord::Failed, ..) => (PluginStatus::Failed, None),
        (EndWord::Unavailable, ..) => (PluginStatus::Unavailable, Some(UNAVAILABLE.into())),
        (EndWord::Skipped, ..) => (PluginStatus::Skipped, Some(SKIPPED.into())),
        (EndWord::Silent | EndWord::Unknown, Some(status), _) => (status, None),
        // Neither KAST nor the result states how the plugin ended, so it is not a success.
        (EndWord::Silent | EndWord::Unknown, None, _) => {
            (PluginStatus::Failed, Some("The scanner does not say how it ended".into()))
        }
        // The meaning of the word is unknown, so it is not a success, whatever the plugin states.
        (EndWord::Other(word), says, _) => {
            let status = says.filter(|status| *status != PluginStatus::Completed).unwrap_or(PluginStatus::Failed);
            (status, said(&format!("The scanner ended it as \"{word}\"")))
        }
    }
}

/// The status and message of a plugin with a result, before the scanner's list exists.
pub(in crate::adapters::kast_runner) fn so_far(own: &Own, logged: Option<&Logged>) -> (PluginStatus, Option<String>) {
    let own_says = || (own.result.status, own.result.message.clone());
    if own.result.status != PluginStatus::Completed {
        return own_says();
    }
    match logged {
        Some(Logged { failure: Some(reason), .. }) => {
            (PluginStatus::Failed, said(reason).or_else(|| Some(FAILED_SILENTLY.into())))
        }
        Some(Logged { word: Some(word), is_processed: true, .. }) => {
            match state(EndWord::read(word), &own.result.name, Some(own)) {
                (PluginStatus::Completed, _) => own_says(),
                (status, reason) => {
                    (status, reason.or_else(|| own.error.clone()).or_else(|| Some(FAILED_SILENTLY.into())))
                }
            }
        }
        // The plugin is still writing its result.
        Some(Logged { has_started: true, .. }) => (PluginStatus::InProgress, None),
        _ if own.sureness == Sureness::Guessed => (PluginStatus::InProgress, None),
        _ => own_says(),
    }
}

/// The keys of the running plugins.
pub(in crate::adapters::kast_runner) fn running(plugins: &[PluginResult]) -> BTreeSet<String> {
    plugins
        .iter()
        .filter(|plugin| plugin.status == PluginStatus::InProgress)
        .map(|plugin| plugin_name::key(&plugin.name))
        .collect()
}

/// Marks plugins as interrupted after a stop request: plugins that were running at the request and
/// failed afterwards. Their messages come from interrupted tools and are removed. `at_stop` are the
/// keys of the plugins that ran at the request.
pub(in crate::adapters::kast_runner) fn broken_off(plugins: &mut [PluginResult], at_stop: &BTreeSet<String>) {
    for plugin in plugins.iter_mut().filter(|plugin| plugin.status == PluginStatus::Failed) {
        if at_stop.contains(&plugin_name::key(&plugin.name)) {
            (plugin.status, plugin.message) = (PluginStatus::Interrupted, None);
        }
    }
}

fn word(listed: &Listed) -> EndWord {
    listed.status.as_deref().map_or(EndWord::Silent, EndWord::read)
}

/// A result that stands for the plugins beyond the limit, so that the gap is visible.
pub(in crate::adapters::kast_runner) fn not_read(number: usize) -> PluginResult {
    let name = format!("({number} more {})", if number == 1 { "plugin" } else { "plugins" });
    let message = Some(format!("Not read: a scan has results of at most {MOST_PLUGINS} plugins"));
    PluginResult { message, ..PluginResult::new(name, PluginStatus::Failed) }
}

/// Adds a default reason to a plugin that did not succeed.
fn with_reason(mut plugin: PluginResult) -> PluginResult {
    let reason = match plugin.status {
        PluginStatus::Failed => FAILED_SILENTLY,
        PluginStatus::Unavailable => UNAVAILABLE,
        PluginStatus::Skipped => SKIPPED,
        _ => return plugin,
    };
    plugin.message.get_or_insert_with(|| reason.into());
    plugin
}
