//! Computes the state of each plugin from the files in the output folder: a pure function.
//!
//! | files present | state |
//! |---|---|
//! | none of the below | pending |
//! | `<name>.json` or `<name>.txt`, or KAST's log says that it runs | in progress |
//! | `<name>_processed.json` | ended, if the file or KAST's log states the end; otherwise in progress |
//!
//! A plugin that does not state its end may have failed. KAST writes the end into `kast_info.json`
//! when the run ends, and usually into its log before that.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kastrel_actors::model::{PluginResult, PluginStatus};

use super::kast_log::{KastLog, Logged};
use super::plugin_name::{self, is_selectable};
use super::verdict::info::MOST_PLUGINS;
use super::verdict::{self, Own};

/// The suffix of the file that a plugin writes last.
const PROCESSED: &str = "_processed.json";
/// The suffixes of files that a plugin's tools write in addition to the plugin's own.
const NO_STATE: &[&str] = &[
    "_stdout",
    "_stderr",
    "_raw",
    "_tmp",
    "_processed",
    "_scan_progress",
    "_info",
    "_report",
    "_config",
    "_urls",
    "_targets",
];

/// The meaning of a file name for a plugin's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileRole<'a> {
    /// The plugin has started.
    Marker(&'a str),
    /// The plugin has ended.
    Processed(&'a str),
    /// The file has no meaning.
    None,
}

/// Parses a file name. `known` are the keys of the scanner's plugins; empty if they are not known.
pub(super) fn role<'a>(file: &'a str, known: &BTreeSet<String>) -> FileRole<'a> {
    if let Some(name) = file.strip_suffix(PROCESSED) {
        return if name.is_empty() || name.starts_with('.') { FileRole::None } else { FileRole::Processed(name) };
    }
    let Some(name) = file.strip_suffix(".json").or_else(|| file.strip_suffix(".txt")) else { return FileRole::None };
    let is_marker = if known.is_empty() {
        is_selectable(name) && !NO_STATE.iter().any(|end| name.ends_with(end))
    } else {
        known.contains(&plugin_name::key(name))
    };
    if is_marker { FileRole::Marker(name) } else { FileRole::None }
}

/// The name of a plugin's result file.
pub(super) fn processed_file(name: &str) -> String {
    format!("{name}{PROCESSED}")
}

/// The plugins that are expected to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// The names, in the scanner's order.
    pub(super) names: Vec<String>,
    /// The keys of the plugins whose tool is not installed.
    pub(super) unavailable: BTreeSet<String>,
    /// Notes about the scan for the user, independent of its result.
    pub(super) notes: Vec<String>,
}

/// The observations in the folder so far, by the keys of the plugins.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// The names of the plugins that have started, and the time at which each start marker was
    /// first written.
    pub(super) markers: BTreeMap<String, (String, Option<Timestamp>)>,
    /// The plugins' own results.
    pub(super) ended: BTreeMap<String, Own>,
    /// The states in the scanner's log.
    pub(super) log: KastLog,
}

impl Seen {
    /// Records that the plugin `name` has started; the first start counts.
    pub(super) fn mark(&mut self, name: &str, started: Option<Timestamp>) {
        let shown = plugin_name::shown(name);
        let (_, at) = self.markers.entry(plugin_name::key(&shown)).or_insert((shown, started));
        *at = at.or(started);
    }
}

/// The state of every plugin: first the `expected` ones in their order, then the others. The number
/// is limited to that of a row; see [`names`].
pub(super) fn plugins(expected: &Expected, seen: &Seen) -> Vec<PluginResult> {
    names(expected, seen).take(MOST_PLUGINS).map(|name| plugin(name, expected, seen)).collect()
}

/// The same for a running attempt: plugins that depend on the results of others stay undecided.
pub(super) fn live(expected: &Expected, seen: &Seen) -> Vec<PluginResult> {
    let mut plugins = plugins(expected, seen);
    verdict::judge(&mut plugins, &seen.ended, verdict::Moment::Running);
    plugins
}

/// The names of all plugins that are expected or were observed, each once.
pub(super) fn names<'a>(expected: &'a Expected, seen: &'a Seen) -> impl Iterator<Item = &'a str> {
    let ended = seen.ended.values().map(|own| own.result.name.as_str());
    let others = ended
        .chain(seen.markers.values().map(|(name, _)| name.as_str()))
        .chain(seen.log.plugins().map(|logged| logged.name.as_str()));
    let mut listed = BTreeSet::new();
    expected.names.iter().map(String::as_str).chain(others).filter(move |name| listed.insert(plugin_name::key(name)))
}

fn plugin(name: &str, expected: &Expected, seen: &Seen) -> PluginResult {
    let key = plugin_name::key(name);
    let logged = seen.log.of(&key);
    // Some plugins write their start marker at the end.
    let marked_at = seen.markers.get(&key).and_then(|(_, at)| *at);
    let started_at = [marked_at, logged.and_then(|logged| logged.started_at)].into_iter().flatten().min();
    if let Some(own) = seen.ended.get(&key) {
        return ended(name, own, logged, started_at);
    }
    let has_started = seen.markers.contains_key(&key) || logged.is_some_and(|logged| logged.has_started);
    if let Some(reason) = logged.and_then(|logged| logged.failure.as_ref()) {
        let message = Some(reason.clone()).filter(|reason| !reason.is_empty());
        return PluginResult { started_at, message, ..PluginResult::new(name, PluginStatus::Failed) };
    }
    let is_unavailable = expected.unavailable.contains(&key) || logged.is_some_and(|logged| logged.is_unavailable);
    let status = match (has_started, is_unavailable) {
        (true, _) => PluginStatus::InProgress,
        (false, true) => PluginStatus::Unavailable,
        (false, false) => PluginStatus::Pending,
    };
    PluginResult { started_at, ..PluginResult::new(name, status) }
}

/// The state of a plugin that has a result.
fn ended(name: &str, own: &Own, logged: Option<&Logged>, started_at: Option<Timestamp>) -> PluginResult {
    let (status, message) = verdict::so_far(own, logged);
    let result = PluginResult { name: name.to_owned(), status, message, ..own.result.clone() };
    // For some plugins, the time in the file is that of their start.
    let ended_at = own.written.or(result.ended_at).filter(|_| status.is_final());
    // A plugin may write its start marker together with its results, so a start after the end is
    // ignored.
    let started_at = started_at.filter(|start| ended_at.is_none_or(|end| *start <= end));
    PluginResult { started_at: result.started_at.or(started_at), ended_at, ..result }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Sureness;
    use super::*;

    fn known() -> BTreeSet<String> {
        ["whatweb", "wafw00f", "org_discovery", "zap"].map(str::to_owned).into()
    }

    #[test]
    fn file_names_give_the_role_of_a_file() {
        for (file, with_list, without) in [
            ("whatweb.json", FileRole::Marker("whatweb"), FileRole::Marker("whatweb")),
            ("testssl.txt", FileRole::None, FileRole::Marker("testssl")),
            ("whatweb_processed.json", FileRole::Processed("whatweb"), FileRole::Processed("whatweb")),
            ("new_processed.json", FileRole::Processed("new"), FileRole::Processed("new")),
            ("wafw00f_stdout.txt", FileRole::None, FileRole::None),
            ("zap_raw.json", FileRole::None, FileRole::None),
            ("subfinder_tmp.json", FileRole::None, FileRole::None),
            ("zap_scan_progress.json", FileRole::None, FileRole::None),
            ("kast_info.json", FileRole::None, FileRole::None),
            ("kast_report.html", FileRole::None, FileRole::None),
            ("whatweb.json.tmp", FileRole::None, FileRole::None),
            ("_processed.json", FileRole::None, FileRole::None),
            ("a b_processed.json", FileRole::Processed("a b"), FileRole::Processed("a b")),
            ("nmap.vuln_processed.json", FileRole::Processed("nmap.vuln"), FileRole::Processed("nmap.vuln")),
            ("WhatWeb.json", FileRole::Marker("WhatWeb"), FileRole::Marker("WhatWeb")),
            (".hidden_processed.json", FileRole::None, FileRole::None),
        ] {
            assert_eq!((role(file, &known()), role(file, &BTreeSet::new())), (with_list, without), "{file}");
        }
    }

    fn expected(names: &[&str]) -> Expected {
        Expected { names: names.iter().map(|&name| name.to_owned()).collect(), ..Expected::default() }
    }

    fn own(name: &str, status: PluginStatus) -> Own {
        Own::new(PluginResult::new(name, status), Sureness::Stated, None)
    }

    #[test]
    fn plugin_states_follow_the_files_of_a_real_run() {
        let timeline = include_str!("fixtures/timeline.tsv");
        let expected = expected(&["org_discovery", "wafw00f", "whatweb", "ai_surface_detection"]);
        let mut seen = Seen::default();
        let mut history = Vec::new();
        for line in timeline.lines().skip(1) {
            let file = line.split('\t').nth(1).unwrap();
            match role(file, &expected.names.iter().cloned().collect()) {
                FileRole::Marker(name) => drop(seen.markers.insert(name.into(), (name.into(), None))),
                FileRole::Processed(name) if expected.names.iter().any(|one| one == name) => {
                    seen.ended.insert(name.into(), own(name, PluginStatus::Completed));
                }
                FileRole::Processed(_) | FileRole::None => {}
            }
            let states: String =
                plugins(&expected, &seen).iter().map(|plugin| plugin.status.as_str().chars().next().unwrap()).collect();
            if history.last() != Some(&states) {
                history.push(states);
            }
        }
        assert_eq!(history, ["pipp", "piip", "ciip", "ccip", "cccp", "cccc"]);
    }

    #[test]
    fn unexpected_plugins_are_last_and_listed_once() {
        let mut seen = Seen::default();
        seen.markers.insert("new".into(), ("new".into(), None));
        seen.ended.insert("new".into(), own("new", PluginStatus::Failed));
        let states: Vec<_> =
            plugins(&expected(&["zap", "zap"]), &seen).into_iter().map(|plugin| (plugin.name, plugin.status)).collect();
        assert_eq!(states, [("zap".to_owned(), PluginStatus::Pending), ("new".to_owned(), PluginStatus::Failed)]);
    }

    #[test]
    fn names_in_another_case_are_the_same_plugin() {
        let mut seen = Seen::default();
        seen.markers.insert("whatweb".into(), ("WhatWeb".into(), None));
        seen.ended.insert("whatweb".into(), own("WHATWEB", PluginStatus::Completed));
        let named =
            |expected: &Expected| plugins(expected, &seen).into_iter().map(|plugin| plugin.name).collect::<Vec<_>>();
        assert_eq!(
            (named(&expected(&["whatweb"])), named(&Expected::default())),
            (vec!["whatweb".to_owned()], vec!["WHATWEB".to_owned()])
        );
    }

    #[test]
    fn missing_tool_makes_a_plugin_unavailable_unless_it_runs() {
        let expected = Expected {
            unavailable: ["katana".to_owned(), "ftap".to_owned()].into(),
            ..expected(&["katana", "ftap", "zap"])
        };
        let mut seen = Seen::default();
        seen.markers.insert("ftap".into(), ("ftap".into(), None));
        let states: Vec<_> = plugins(&expected, &seen).into_iter().map(|plugin| plugin.status).collect();
        assert_eq!(states, [PluginStatus::Unavailable, PluginStatus::InProgress, PluginStatus::Pending]);
    }

    #[test]
    fn start_after_the_end_is_ignored() {
        let at = |second: i64| Some(Timestamp::from_second(second).unwrap());
        for (marker, end, expected) in
            [(at(5), at(9), at(5)), (at(9), at(5), None), (at(5), None, at(5)), (None, at(5), None)]
        {
            let mut seen = Seen::default();
            seen.markers.insert("zap".into(), ("zap".into(), marker));
            let mut zap = own("zap", PluginStatus::Completed);
            zap.result.ended_at = end;
            seen.ended.insert("zap".into(), zap);
            assert_eq!(plugins(&Expected::default(), &seen)[0].started_at, expected, "{marker:?} {end:?}");
        }
    }
}
