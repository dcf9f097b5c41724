//! Looks into an attempt's folder again and again, and reads only what changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kastrel_actors::model::PluginResult;
use kastrel_actors::ports::InfoFile;

use super::catalogue::Catalogue;
use super::folder::LOG_NAME;
use super::plugin_name;
use super::progress::{self, Expected, FileRole, Seen};
use super::result_file::{self, Entry, ReadProblem};
use super::verdict::info::MOST_PLUGINS;
use super::verdict::{self, Info, Merged, Own, Sureness};

const INFO_FILE: &str = "kast_info.json";
/// Files are read as streams, whatever their size. No scanner writes a larger one, and reading it would keep a thread for minutes.
const MOST_BYTES: u64 = 8 << 30;

/// What a look found.
#[derive(Debug)]
pub(super) struct Look {
    /// Whether any file changed since the last look: a sign of life.
    pub(super) changed: bool,
    /// The plugins, if their state changed.
    pub(super) plugins: Option<Vec<PluginResult>>,
}

/// What is known of an attempt that has ended.
#[derive(Debug)]
pub(super) struct Conclusion {
    /// What became of the scanner's result file.
    pub(super) info: InfoFile,
    /// The plugins' last state.
    pub(super) plugins: Vec<PluginResult>,
    /// How many plugins have a result that cannot be read.
    pub(super) spoilt: usize,
    /// What a user should know.
    pub(super) notes: Vec<String>,
}

/// The state between two looks. Its methods block and belong on a thread that may.
#[derive(Debug)]
pub(super) struct Observer {
    dir: OwnedFd,
    catalogue: Option<Arc<Catalogue>>,
    known: BTreeSet<String>,
    expected: Expected,
    entries: BTreeMap<String, Entry>,
    seen: Seen,
    /// Names of plugins whose result cannot be read yet: it may be half written.
    unreadable: BTreeSet<String>,
    last: Vec<PluginResult>,
}

impl Observer {
    /// Of the folder `dir`, in which the plugins `expected` will show up.
    pub(super) fn new(dir: OwnedFd, catalogue: Option<Arc<Catalogue>>, expected: Expected) -> Self {
        let known = catalogue.as_deref().map(Catalogue::keys).unwrap_or_default();
        let (entries, seen, unreadable, last) = Default::default();
        Self { dir, catalogue, known, expected, entries, seen, unreadable, last }
    }

    /// Looks once.
    pub(super) fn look(&mut self) -> Look {
        let Ok(entries) = result_file::list(&self.dir) else { return Look { changed: false, plugins: None } };
        // Our own log is the output, which counts on its own.
        let entries: BTreeMap<String, Entry> = entries.into_iter().filter(|entry| entry.name != LOG_NAME).map(|entry| (entry.name.clone(), entry)).collect();
        let changed = entries != self.entries;
        let before = std::mem::replace(&mut self.entries, entries);
        if changed {
            self.read_changes(&before);
        }
        let plugins = progress::plugins(&self.expected, &self.seen);
        if plugins == self.last {
            return Look { changed, plugins: None };
        }
        self.last.clone_from(&plugins);
        Look { changed, plugins: Some(plugins) }
    }

    fn read_changes(&mut self, before: &BTreeMap<String, Entry>) {
        let mut written = Vec::new();
        for entry in self.entries.values().filter(|entry| before.get(&entry.name) != Some(*entry)) {
            match progress::role(&entry.name, &self.known) {
                FileRole::Marker(name) if entry.is_file => {
                    let started = Timestamp::new(entry.modified.0, i32::try_from(entry.modified.1).unwrap_or(0)).ok();
                    let shown = plugin_name::shown(name);
                    self.seen.markers.entry(plugin_name::key(&shown)).or_insert((shown, started));
                }
                FileRole::Processed(name) => written.push(name.to_owned()),
                FileRole::Marker(_) | FileRole::None => {}
            }
        }
        for name in written {
            // Before the end, one that cannot be read may be half written: its plugin runs until then.
            match self.read_processed(&name) {
                Ok(own) if own.sureness != Sureness::Unreadable => self.add(own),
                Ok(_) | Err(_) => drop(self.unreadable.insert(name)),
            }
        }
    }

    fn read_processed(&self, name: &str) -> Result<Own, ReadProblem> {
        let opened = result_file::open(&self.dir, &progress::processed_file(name), MOST_BYTES)?;
        Ok(verdict::processed::read(&plugin_name::shown(name), opened.bytes, self.catalogue.as_deref()))
    }

    fn add(&mut self, own: Own) {
        let key = plugin_name::key(&own.result.name);
        if self.seen.ended.len() < MOST_PLUGINS || self.seen.ended.contains_key(&key) {
            self.seen.ended.insert(key, own);
        }
    }

    /// Reads, for the last time, what could not be read before, and what a long list did not show.
    fn read_rest(&mut self, info: &Info) {
        let listed = info.plugins.iter().map(|listed| &listed.raw_name).filter(|name| !name.is_empty());
        let names: BTreeSet<String> = std::mem::take(&mut self.unreadable).into_iter().chain(listed.cloned()).collect();
        for name in names {
            let key = plugin_name::key(&plugin_name::shown(&name));
            if self.seen.ended.get(&key).is_some_and(|own| own.sureness != Sureness::Unreadable) {
                continue;
            }
            match self.read_processed(&name) {
                Ok(own) => self.add(own),
                Err(ReadProblem::Missing) => {}
                Err(problem) => self.add(Own::unreadable(&plugin_name::shown(&name), format_args!("the file {problem}"))),
            }
        }
    }

    /// The last look: the plugins' final state, and what became of the scanner's result file.
    pub(super) fn conclude(mut self, zone: &TimeZone) -> Conclusion {
        self.look();
        let (info, written, problem) = match result_file::open(&self.dir, INFO_FILE, MOST_BYTES) {
            Ok(opened) => {
                let info = Info::read(opened.bytes);
                let problem = info.broken.as_ref().map(ToString::to_string);
                (info, opened.modified, problem.map(InfoFile::Unreadable))
            }
            Err(ReadProblem::Missing) => (Info::default(), None, Some(InfoFile::Missing)),
            Err(problem) => (Info::default(), None, Some(InfoFile::Unreadable(format!("the file {problem}")))),
        };
        self.read_rest(&info);
        let seen = progress::plugins(&self.expected, &self.seen);
        let Merged { plugins, mut notes } = verdict::merge(&info, &seen, &self.seen.ended, written, zone);
        notes.extend(self.registry_note(&plugins));
        notes.append(&mut self.expected.notes);
        let spoilt = self.seen.ended.values().filter(|own| own.sureness == Sureness::Unreadable).count();
        Conclusion { info: problem.unwrap_or(InfoFile::Read), plugins, spoilt, notes }
    }

    /// Issues without severities look harmless: why they have none is said.
    fn registry_note(&self, plugins: &[PluginResult]) -> Option<String> {
        if plugins.iter().all(|plugin| plugin.issues_count() == 0) {
            return None;
        }
        let why = match self.catalogue.as_deref() {
            None => "the scanner has not listed its plugins and issues",
            Some(catalogue) => catalogue.registry_problem.as_deref()?,
        };
        Some(format!("The severities of the issues are unknown: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::PluginStatus;

    use super::*;

    #[test]
    fn only_changes_are_told() {
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let mut observer = Observer::new(dir, None, Expected { names: vec!["whatweb".into()], ..Expected::default() });
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let states = |look: Look| (look.changed, look.plugins.map(|plugins| plugins.iter().map(|plugin| plugin.status).collect::<Vec<_>>()));

        assert_eq!(states(observer.look()), (false, Some(vec![PluginStatus::Pending])));
        assert_eq!(states(observer.look()), (false, None));
        write("kast.log", "output");
        assert_eq!(states(observer.look()), (false, None));
        write("zap_scan_progress.json", "{}");
        assert_eq!(states(observer.look()), (true, None));
        write("whatweb.json", "[");
        assert_eq!(states(observer.look()), (true, Some(vec![PluginStatus::InProgress])));
        write("whatweb.json", "[1]");
        assert_eq!(states(observer.look()), (true, None));
        write("whatweb_processed.json", r#"{"findings_count":3}"#);
        assert_eq!(states(observer.look()), (true, Some(vec![PluginStatus::Completed])));
        assert_eq!(observer.conclude(&TimeZone::UTC).info, InfoFile::Missing);
    }

    #[test]
    fn a_result_that_is_half_written_fails_only_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let observer = || Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default());
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let mut live = observer();
        write("whatweb.json", "[]");
        write("whatweb_processed.json", r#"{"findings_count":3,"issues":["#);
        assert_eq!(live.look().plugins.unwrap()[0].status, PluginStatus::InProgress);
        write("kast_info.json", r#"{"plugins":[{"plugin_name":"whatweb","status":"success"}]}"#);
        let ended = observer().conclude(&TimeZone::UTC);
        assert_eq!((ended.info, ended.plugins[0].status, ended.spoilt), (InfoFile::Read, PluginStatus::Failed, 1));
        write("whatweb_processed.json", r#"{"findings_count":3,"issues":["a"]}"#);
        assert_eq!(live.look().plugins.unwrap()[0].status, PluginStatus::Completed);
        assert_eq!(live.conclude(&TimeZone::UTC).plugins[0].findings_count, 3);
    }

    #[test]
    fn files_of_plugins_with_any_name_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(root.path().join(name), r#"{"findings_count":3,"disposition":"success"}"#).unwrap();
        std::fs::create_dir(root.path().join("my plugin")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("etc")).unwrap();
        let names = ["nmap.vuln", "my plugin/1", "näme", "WhatWeb"];
        names.iter().for_each(|name| write(&format!("{name}_processed.json")));
        let listed: Vec<_> = names.iter().chain(&["../up", "etc/passwd"]).map(|name| serde_json::json!({ "plugin_name": name, "status": "success" })).collect();
        std::fs::write(root.path().join("kast_info.json"), serde_json::json!({ "plugins": listed }).to_string()).unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let ended = Observer::new(dir, None, Expected { names: vec!["whatweb".into()], ..Expected::default() }).conclude(&TimeZone::UTC);
        let shown: Vec<_> = ended.plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.findings_count)).collect();
        assert_eq!(shown, [("nmap.vuln", 3), ("my plugin/1", 3), ("näme", 3), ("whatweb", 3), ("../up", 0), ("etc/passwd", 0)]);
        assert!(ended.plugins[4..].iter().all(|plugin| plugin.status == PluginStatus::Failed), "nothing outside the folder is read");
    }

    #[test]
    fn issues_without_a_registry_are_explained() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a_processed.json"), r#"{"issues":["X"]}"#).unwrap();
        let notes = |catalogue: Option<Catalogue>| {
            let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
            Observer::new(dir, catalogue.map(Arc::new), Expected::default()).conclude(&TimeZone::UTC).notes
        };
        assert!(notes(None)[0].starts_with("The severities of the issues are unknown"));
        let broken = Catalogue { registry_problem: Some("the registry is truncated".into()), ..Catalogue::default() };
        assert!(notes(Some(broken))[0].ends_with("the registry is truncated"));
        assert!(notes(Some(Catalogue::default())).is_empty());
    }
}
