//! From the files in the output folder to the state of each plugin: a pure function.
//!
//! | files present | state |
//! |---|---|
//! | none of the below | pending |
//! | `<name>.json` or `<name>.txt`, or KAST's log says that it runs | in progress |
//! | `<name>_processed.json` | ended, if it says how, or KAST's log does; in progress if neither does |
//!
//! A plugin that does not say how it ended may have failed: KAST knows, and writes it into
//! `kast_info.json` at the end of the run and, mostly, into its log before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kastrel_actors::model::{PluginResult, PluginStatus};

use super::kast_log::{KastLog, Logged};
use super::plugin_name::{self, is_selectable};
use super::verdict::info::MOST_PLUGINS;
use super::verdict::{self, Own};

/// The end of the file that a plugin writes last.
const PROCESSED: &str = "_processed.json";
/// Ends of files that a plugin's tools write beside its own.
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

/// What a file's name says about a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileRole<'a> {
    /// The plugin started.
    Marker(&'a str),
    /// The plugin ended.
    Processed(&'a str),
    /// Nothing.
    None,
}

/// Reads a file's name; `known` are the keys of the scanner's plugins, empty where they are not
/// known.
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

/// The file in which a plugin's results are.
pub(super) fn processed_file(name: &str) -> String {
    format!("{name}{PROCESSED}")
}

/// The plugins that will show up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Their names, in the scanner's order.
    pub(super) names: Vec<String>,
    /// The keys of those whose tool is not installed.
    pub(super) unavailable: BTreeSet<String>,
    /// What a user should know of the scan, whatever comes of it.
    pub(super) notes: Vec<String>,
}

/// What was seen in the folder so far, by the keys of the plugins' names.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// The names of those that started, and when each start marker was first written.
    pub(super) markers: BTreeMap<String, (String, Option<Timestamp>)>,
    /// The plugins that ended, as they say themselves.
    pub(super) ended: BTreeMap<String, Own>,
    /// What the scanner's own log says.
    pub(super) log: KastLog,
}

impl Seen {
    /// Notes that the plugin `name` started; the first start counts.
    pub(super) fn mark(&mut self, name: &str, started: Option<Timestamp>) {
        let shown = plugin_name::shown(name);
        let (_, at) = self.markers.entry(plugin_name::key(&shown)).or_insert((shown, started));
        *at = at.or(started);
    }
}

/// The state of every plugin: the `expected` ones in their order, then whatever else turned up. At
/// most so many that a row can hold them: see [`names`].
pub(super) fn plugins(expected: &Expected, seen: &Seen) -> Vec<PluginResult> {
    names(expected, seen).take(MOST_PLUGINS).map(|name| plugin(name, expected, seen)).collect()
}

/// The same of a run that goes on: what others will show is left open.
pub(super) fn live(expected: &Expected, seen: &Seen) -> Vec<PluginResult> {
    let mut plugins = plugins(expected, seen);
    verdict::judge(&mut plugins, &seen.ended, verdict::Moment::Running);
    plugins
}

/// The names of all plugins that will show up or did, each once.
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
    // Some plugins write their marker at the end.
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

/// A plugin that has left a result.
fn ended(name: &str, own: &Own, logged: Option<&Logged>, started_at: Option<Timestamp>) -> PluginResult {
    let (status, message) = verdict::so_far(own, logged);
    let result = PluginResult { name: name.to_owned(), status, message, ..own.result.clone() };
    // The time in the file is for some plugins that of their start.
    let ended_at = own.written.or(result.ended_at).filter(|_| status.is_final());
    // A marker may be written together with the results: it does not start a plugin after its end.
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
    fn names_say_what_a_file_is() {
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
    fn states_follow_the_files_of_a_real_run() {
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
    fn what_nobody_expected_comes_last_and_once() {
        let mut seen = Seen::default();
        seen.markers.insert("new".into(), ("new".into(), None));
        seen.ended.insert("new".into(), own("new", PluginStatus::Failed));
        let states: Vec<_> =
            plugins(&expected(&["zap", "zap"]), &seen).into_iter().map(|plugin| (plugin.name, plugin.status)).collect();
        assert_eq!(states, [("zap".to_owned(), PluginStatus::Pending), ("new".to_owned(), PluginStatus::Failed)]);
    }

    #[test]
    fn letters_of_another_case_are_the_same_plugin() {
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
    fn a_missing_tool_is_known_from_the_start_unless_the_plugin_runs_all_the_same() {
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
    fn a_start_that_is_after_the_end_is_no_start() {
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
