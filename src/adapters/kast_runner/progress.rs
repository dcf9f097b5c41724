//! From the files in the output folder to the state of each plugin: a pure function.
//!
//! | files present | state |
//! |---|---|
//! | none of the below | pending |
//! | `<name>.json` or `<name>.txt` | in progress |
//! | `<name>_processed.json` | ended; how, is inside |

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use kastrel_actors::model::{PluginResult, PluginStatus};

use super::text::is_plugin_name;

/// The end of the file that a plugin writes last.
const PROCESSED: &str = "_processed.json";
/// Ends of files that a plugin's tools write beside its own.
const NO_STATE: &[&str] = &["_stdout", "_stderr", "_raw", "_tmp", "_processed", "_scan_progress", "_info", "_report", "_config", "_urls", "_targets"];
/// A scanner that makes up plugins makes up no more than these.
pub(super) const MOST_PLUGINS: usize = 200;

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

/// Reads a file's name; `known` are the scanner's plugins, empty where they are not known.
pub(super) fn role<'a>(file: &'a str, known: &BTreeSet<String>) -> FileRole<'a> {
    if let Some(name) = file.strip_suffix(PROCESSED) {
        return if is_plugin_name(name) { FileRole::Processed(name) } else { FileRole::None };
    }
    let Some(name) = file.strip_suffix(".json").or_else(|| file.strip_suffix(".txt")) else { return FileRole::None };
    let is_marker = if known.is_empty() { is_plugin_name(name) && !NO_STATE.iter().any(|end| name.ends_with(end)) } else { known.contains(name) };
    if is_marker { FileRole::Marker(name) } else { FileRole::None }
}

/// The file in which a plugin's results are.
pub(super) fn processed_file(name: &str) -> String {
    format!("{name}{PROCESSED}")
}

/// What was seen in the folder so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// When each start marker was first written.
    pub(super) markers: BTreeMap<String, Option<Timestamp>>,
    /// The plugins that ended, as they say themselves.
    pub(super) ended: BTreeMap<String, PluginResult>,
}

/// The state of every plugin: the `expected` ones in their order, then whatever else turned up.
pub(super) fn plugins(expected: &[String], seen: &Seen) -> Vec<PluginResult> {
    let others = seen.ended.keys().chain(seen.markers.keys()).filter(|name| !expected.contains(name));
    let mut listed = BTreeSet::new();
    let names = expected.iter().chain(others).filter(|name| listed.insert(name.as_str())).take(MOST_PLUGINS);
    let names: Vec<&String> = names.collect();
    names.into_iter().map(|name| plugin(name, seen)).collect()
}

fn plugin(name: &str, seen: &Seen) -> PluginResult {
    let started_at = seen.markers.get(name).copied().flatten();
    if let Some(ended) = seen.ended.get(name) {
        // A marker may be written together with the results: it does not start a plugin after its end.
        let started_at = started_at.filter(|start| ended.ended_at.is_none_or(|end| *start <= end));
        return PluginResult { started_at: ended.started_at.or(started_at), ..ended.clone() };
    }
    let status = if seen.markers.contains_key(name) { PluginStatus::InProgress } else { PluginStatus::Pending };
    PluginResult { started_at, ..PluginResult::new(name, status) }
}

#[cfg(test)]
mod tests {
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
            ("a b_processed.json", FileRole::None, FileRole::None),
        ] {
            assert_eq!((role(file, &known()), role(file, &BTreeSet::new())), (with_list, without), "{file}");
        }
    }

    #[test]
    fn states_follow_the_files_of_a_real_run() {
        let timeline = include_str!("fixtures/timeline.tsv");
        let expected: Vec<String> = ["org_discovery", "wafw00f", "whatweb", "ai_surface_detection"].map(str::to_owned).into();
        let mut seen = Seen::default();
        let mut history = Vec::new();
        for line in timeline.lines().skip(1) {
            let file = line.split('\t').nth(1).unwrap();
            match role(file, &expected.iter().cloned().collect()) {
                FileRole::Marker(name) => drop(seen.markers.insert(name.into(), None)),
                FileRole::Processed(name) if expected.iter().any(|one| one == name) => {
                    seen.ended.insert(name.into(), PluginResult::new(name, PluginStatus::Completed));
                }
                FileRole::Processed(_) | FileRole::None => {}
            }
            let states: String = plugins(&expected, &seen).iter().map(|plugin| plugin.status.as_str().chars().next().unwrap()).collect();
            if history.last() != Some(&states) {
                history.push(states);
            }
        }
        assert_eq!(history, ["pipp", "piip", "ciip", "ccip", "cccp", "cccc"]);
    }

    #[test]
    fn what_nobody_expected_comes_last_and_once() {
        let mut seen = Seen::default();
        seen.markers.insert("new".into(), None);
        seen.ended.insert("new".into(), PluginResult::new("new", PluginStatus::Failed));
        let states: Vec<_> = plugins(&["zap".into(), "zap".into()], &seen).into_iter().map(|plugin| (plugin.name, plugin.status)).collect();
        assert_eq!(states, [("zap".to_owned(), PluginStatus::Pending), ("new".to_owned(), PluginStatus::Failed)]);
    }

    #[test]
    fn a_start_that_is_after_the_end_is_no_start() {
        let at = |second: i64| Some(Timestamp::from_second(second).unwrap());
        for (marker, end, expected) in [(at(5), at(9), at(5)), (at(9), at(5), None), (at(5), None, at(5)), (None, at(5), None)] {
            let mut seen = Seen::default();
            seen.markers.insert("zap".into(), marker);
            seen.ended.insert("zap".into(), PluginResult { ended_at: end, ..PluginResult::new("zap", PluginStatus::Completed) });
            assert_eq!(plugins(&[], &seen)[0].started_at, expected, "{marker:?} {end:?}");
        }
    }
}
