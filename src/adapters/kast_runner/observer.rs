//! Reads an attempt's folder repeatedly, and in each pass only the files that changed.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kastrel_actors::model::{InfoFile, PluginResult, ScannerKind, SeverityCounts};

use super::catalogue::Catalogue;
use super::plugin_name;
use super::progress::{self, Expected, FileRole, Seen};
use super::result_file::{self, Entry, ReadProblem};
use super::verdict::info::{MOST_BEYOND, MOST_PLUGINS};
use super::verdict::{self, Info, Own, Sureness, Unsure};
use crate::ports::LOG_NAME;

const INFO_FILE: &str = "kast_info.json";
/// The maximum size of a result file in bytes. Files are read as streams, whatever their size. No
/// scanner writes a larger file, and to read one would block a thread for minutes.
const MOST_BYTES: u64 = 8 << 30;

/// The result of one pass over the folder.
#[derive(Debug)]
pub(super) struct FolderDiff {
    /// True if any file changed since the last pass, which is a sign of life.
    pub(super) changed: bool,
    /// The plugins, if the state of any changed.
    pub(super) plugins: Option<Vec<PluginResult>>,
}

/// The results of an attempt that has ended.
#[derive(Debug)]
pub(super) struct Conclusion {
    /// The state of the scanner's result file.
    pub(super) info: InfoFile,
    /// The final state of the plugins.
    pub(super) plugins: Vec<PluginResult>,
    /// Notes for the user.
    pub(super) notes: Vec<String>,
    /// The plugins that count as completed if the target responds.
    pub(super) unsure: Vec<Unsure>,
}

/// The state between two passes. Its methods block; call them on a blocking thread.
#[derive(Debug)]
pub(super) struct Observer {
    dir: OwnedFd,
    catalogue: Option<Arc<Catalogue>>,
    known: BTreeSet<String>,
    /// The keys of the plugins that may appear in the scanner's log; empty if no plugin is known.
    logged: BTreeSet<String>,
    expected: Expected,
    entries: BTreeMap<String, Entry>,
    seen: Seen,
    /// The names of plugins whose result is not readable yet, because it may be incomplete.
    unreadable: BTreeSet<String>,
    /// The keys of plugins that have a result beyond the limit of plugins, so it is not kept.
    beyond: BTreeSet<String>,
    last: Vec<PluginResult>,
}

impl Observer {
    /// Creates an observer of the folder `dir`. `expected` are the plugins that will run.
    pub(super) fn new(dir: OwnedFd, catalogue: Option<Arc<Catalogue>>, expected: Expected) -> Self {
        let known = catalogue.as_deref().map(Catalogue::keys).unwrap_or_default();
        let logged = expected.names.iter().map(|name| plugin_name::key(name)).chain(known.iter().cloned()).collect();
        let (entries, seen, unreadable, beyond, last) = Default::default();
        Self { dir, catalogue, known, logged, expected, entries, seen, unreadable, beyond, last }
    }

    /// Makes one pass over the folder.
    pub(super) fn look(&mut self) -> FolderDiff {
        let Ok(entries) = result_file::list(&self.dir) else { return FolderDiff { changed: false, plugins: None } };
        // The log is Kastrel's own file. Its content is the output, which is a separate sign of
        // life.
        let entries: BTreeMap<String, Entry> = entries
            .into_iter()
            .filter(|entry| entry.name != LOG_NAME)
            .map(|entry| (entry.name.clone(), entry))
            .collect();
        let changed = entries != self.entries;
        let before = std::mem::replace(&mut self.entries, entries);
        if changed {
            self.read_changes(&before);
        }
        self.read_log();
        let plugins = progress::live(&self.expected, &self.seen);
        if plugins == self.last {
            return FolderDiff { changed, plugins: None };
        }
        self.last.clone_from(&plugins);
        FolderDiff { changed, plugins: Some(plugins) }
    }

    /// Reads the states of known plugins from the scanner's log.
    fn read_log(&mut self) {
        let logged = &self.logged;
        self.seen.log.look(&self.dir, |key| {
            if logged.is_empty() { plugin_name::is_selectable(key) } else { logged.contains(key) }
        });
    }

    fn read_changes(&mut self, before: &BTreeMap<String, Entry>) {
        let mut written = Vec::new();
        for entry in self.entries.values().filter(|entry| before.get(&entry.name) != Some(*entry)) {
            match progress::role(&entry.name, &self.known) {
                FileRole::Marker(name) if entry.is_file => {
                    let started = Timestamp::new(entry.modified.0, i32::try_from(entry.modified.1).unwrap_or(0)).ok();
                    self.seen.mark(name, started);
                }
                FileRole::Processed(name) => written.push(name.to_owned()),
                FileRole::Marker(_) | FileRole::None => {}
            }
        }
        // The result of a deleted file is removed.
        let gone = before.keys().filter(|name| !self.entries.contains_key(*name));
        let gone = gone.filter_map(|file| {
            if let FileRole::Processed(name) = progress::role(file, &self.known) { Some(name.to_owned()) } else { None }
        });
        written.extend(gone);
        for name in written {
            match self.read_processed(&name) {
                Ok(own) if own.sureness != Sureness::Unreadable => {
                    self.unreadable.remove(&name);
                    self.add(own);
                }
                // Before the end, an unreadable result may be incomplete: the plugin counts as
                // running until then. The content of an earlier version of the file does not count
                // any more.
                Ok(_) | Err(_) => {
                    self.seen.ended.remove(&plugin_name::key(&plugin_name::shown(&name)));
                    self.seen.mark(&name, None);
                    self.unreadable.insert(name);
                }
            }
        }
    }

    fn read_processed(&self, name: &str) -> Result<Own, ReadProblem> {
        let opened = result_file::open(&self.dir, &progress::processed_file(name), MOST_BYTES)?;
        let own = verdict::processed::read(&plugin_name::shown(name), opened.bytes, self.catalogue.as_deref());
        Ok(Own { written: opened.modified, ..own })
    }

    fn add(&mut self, own: Own) {
        let key = plugin_name::key(&own.result.name);
        if self.seen.ended.len() < MOST_PLUGINS || self.seen.ended.contains_key(&key) {
            self.seen.ended.insert(key, own);
        } else if self.beyond.len() < MOST_BEYOND {
            self.beyond.insert(key);
        }
    }

    /// Reads once more the results that were unreadable before, and the results of plugins that are
    /// in the scanner's result file but were not seen.
    fn read_rest(&mut self, info: &Info) {
        let unreadable = std::mem::take(&mut self.unreadable);
        let listed: BTreeSet<&String> =
            info.plugins.iter().map(|listed| &listed.raw_name).filter(|name| !name.is_empty()).collect();
        let names: BTreeSet<&String> = unreadable.iter().chain(listed.iter().copied()).collect();
        let mut failed = Vec::new();
        for name in names {
            let shown = plugin_name::shown(name);
            if !unreadable.contains(name) && self.seen.ended.contains_key(&plugin_name::key(&shown)) {
                continue;
            }
            let own = match self.read_processed(name) {
                Ok(own) => own,
                Err(ReadProblem::Missing) => continue,
                Err(problem) => Own::unreadable(&shown, format_args!("the file {problem}")),
            };
            if own.sureness == Sureness::Unreadable {
                failed.push(own);
            } else if listed.contains(name) {
                // No limit here, because the list itself is limited.
                self.seen.ended.insert(plugin_name::key(&shown), own);
            } else {
                self.add(own);
            }
        }
        // Last, so that no other file of the same plugin hides an unreadable one.
        for own in failed {
            self.seen.ended.insert(plugin_name::key(&own.result.name), own);
        }
    }

    /// Makes the last pass: returns the plugins' final state and the state of the scanner's result
    /// file. `at_stop` are the keys of the plugins that ran when the first stop request came.
    pub(super) fn conclude(mut self, zone: &TimeZone, at_stop: &BTreeSet<String>) -> Conclusion {
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
        let mut plugins = verdict::merge(&info, &seen, &self.seen.ended, written, zone);
        let is_kast = self.catalogue.as_deref().is_none_or(|known| known.scanner.kind == ScannerKind::Kast);
        let unsure =
            if is_kast { verdict::judge(&mut plugins, &self.seen.ended, verdict::Moment::Over) } else { Vec::new() };
        verdict::broken_off(&mut plugins, at_stop);
        let mut notes: Vec<String> = self.registry_note(&plugins).into_iter().collect();
        notes.append(&mut self.expected.notes);
        plugins.extend(self.not_kept(&plugins, &info));
        Conclusion { info: problem.unwrap_or(InfoFile::Read), plugins, notes, unsure }
    }

    /// One result for all known plugins that are missing in `plugins` because of the limit.
    fn not_kept(&self, plugins: &[PluginResult], info: &Info) -> Option<PluginResult> {
        let kept: BTreeSet<String> = plugins.iter().map(|plugin| plugin_name::key(&plugin.name)).collect();
        let known = progress::names(&self.expected, &self.seen).map(plugin_name::key);
        let beyond: BTreeSet<String> =
            known.chain(self.beyond.iter().chain(&info.beyond).cloned()).filter(|key| !kept.contains(key)).collect();
        (!beyond.is_empty()).then(|| verdict::not_read(beyond.len()))
    }

    /// A note about the reason if issues have no severities, because such issues look harmless.
    fn registry_note(&self, plugins: &[PluginResult]) -> Option<String> {
        let counts = SeverityCounts::of(plugins);
        let Some(catalogue) = self.catalogue.as_deref() else {
            return (!counts.is_empty()).then(|| {
                "The severities of the issues are unknown: the scanner has not listed its plugins and issues".into()
            });
        };
        let why = catalogue.registry_problem.as_deref()?;
        if catalogue.registry.is_empty() {
            return (!counts.is_empty()).then(|| format!("The severities of the issues are unknown: {why}"));
        }
        // Only a part of the registry was read.
        (counts.unknown > 0).then(|| format!("The severities of some issues are unknown: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::PluginStatus;

    use super::*;

    /// The number of plugins with an unreadable result.
    fn spoilt(ended: &Conclusion) -> usize {
        let is_spoilt = |plugin: &&PluginResult| {
            plugin.message.as_deref().is_some_and(|text| text.starts_with("Result file cannot be read"))
        };
        ended.plugins.iter().filter(is_spoilt).count()
    }

    #[test]
    fn observer_reports_only_changes() {
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let mut observer = Observer::new(dir, None, Expected { names: vec!["whatweb".into()], ..Expected::default() });
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let states = |diff: FolderDiff| {
            (diff.changed, diff.plugins.map(|plugins| plugins.iter().map(|plugin| plugin.status).collect::<Vec<_>>()))
        };

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
        write("whatweb_processed.json", r#"{"findings_count":3,"disposition":"success"}"#);
        assert_eq!(states(observer.look()), (true, Some(vec![PluginStatus::Completed])));
        assert_eq!(observer.conclude(&TimeZone::UTC, &BTreeSet::new()).info, InfoFile::Missing);
    }

    #[test]
    fn half_written_result_fails_only_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let observer =
            || Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default());
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let mut live = observer();
        write("whatweb.json", "[]");
        write("whatweb_processed.json", r#"{"findings_count":3,"issues":["#);
        assert_eq!(live.look().plugins.unwrap()[0].status, PluginStatus::InProgress);
        write("kast_info.json", r#"{"plugins":[{"plugin_name":"whatweb","status":"success"}]}"#);
        let ended = observer().conclude(&TimeZone::UTC, &BTreeSet::new());
        assert_eq!((&ended.info, ended.plugins[0].status, spoilt(&ended)), (&InfoFile::Read, PluginStatus::Failed, 1));
        write("whatweb_processed.json", r#"{"findings_count":3,"issues":["a"],"disposition":"success"}"#);
        assert_eq!(live.look().plugins.unwrap()[0].status, PluginStatus::Completed);
        assert_eq!(live.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins[0].findings_count, 3);
    }

    /// A way to damage a plugin's result.
    type Spoil = fn(&std::path::Path);

    /// A plugin writes a good result and then damages it. The verdict follows the last version, as
    /// for an observer that saw only that version.
    #[test]
    fn an_earlier_version_of_a_result_does_not_hide_that_it_cannot_be_read() {
        let good = r#"{"findings_count":3,"disposition":"success","issues":["a"]}"#;
        let info = r#"{"plugins":[{"plugin_name":"whatweb","status":"success"}]}"#;
        let ways: [(&str, Spoil, usize, &str); 6] = [
            ("truncated", |file| std::fs::write(file, r#"{"findings_count":3,"iss"#).unwrap(), 1, "it is truncated"),
            ("empty", |file| std::fs::write(file, "").unwrap(), 1, "it is empty"),
            ("another document", |file| std::fs::write(file, "<html></html>").unwrap(), 1, "no JSON object"),
            (
                "a folder",
                |file| {
                    std::fs::remove_file(file).unwrap();
                    std::fs::create_dir(file).unwrap();
                },
                1,
                "no regular file",
            ),
            (
                "a link",
                |file| {
                    std::fs::remove_file(file).unwrap();
                    std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
                },
                1,
                "no regular file",
            ),
            ("gone", |file| std::fs::remove_file(file).unwrap(), 0, "whatweb_processed.json is missing"),
        ];
        for (what, spoil, unreadable, message) in ways {
            for is_seen_spoilt in [true, false] {
                let root = tempfile::tempdir().unwrap();
                let observer = || {
                    Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default())
                };
                let file = root.path().join("whatweb_processed.json");
                std::fs::write(&file, good).unwrap();
                let mut live = observer();
                assert_eq!(live.look().plugins.unwrap()[0].status, PluginStatus::Completed, "{what}");
                spoil(&file);
                if is_seen_spoilt {
                    assert_eq!(
                        live.look().plugins.unwrap()[0].status,
                        PluginStatus::InProgress,
                        "{what}: it may be half written"
                    );
                }
                std::fs::write(root.path().join("kast_info.json"), info).unwrap();
                for ended in [
                    live.conclude(&TimeZone::UTC, &BTreeSet::new()),
                    observer().conclude(&TimeZone::UTC, &BTreeSet::new()),
                ] {
                    let plugin = &ended.plugins[0];
                    assert_eq!(
                        (ended.plugins.len(), plugin.status, spoilt(&ended)),
                        (1, PluginStatus::Failed, unreadable),
                        "{what}: {plugin:?}"
                    );
                    assert!(plugin.message.as_deref().unwrap().contains(message), "{what}: {plugin:?}");
                    assert_eq!(plugin.issues_count(), 0, "{what}");
                }
            }
        }
    }

    #[test]
    fn rewritten_result_replaces_the_earlier_one() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        let mut live =
            Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default());
        write("whatweb_processed.json", r#"{"findings_count":3,"disposition":"success"}"#);
        live.look();
        write("whatweb_processed.json", r#"{"findings_"#);
        live.look();
        write("whatweb_processed.json", r#"{"findings_count":4,"disposition":"success"}"#);
        assert_eq!(live.look().plugins.unwrap()[0].findings_count, 4);
        let ended = live.conclude(&TimeZone::UTC, &BTreeSet::new());
        assert_eq!(
            (ended.plugins[0].status, ended.plugins[0].findings_count, spoilt(&ended)),
            (PluginStatus::Completed, 4, 0)
        );
    }

    #[test]
    fn unreadable_file_is_not_hidden_by_another_of_the_same_plugin() {
        for (good, torn) in [("WhatWeb", "whatweb"), ("whatweb", "WhatWeb")] {
            let root = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| {
                std::fs::write(root.path().join(format!("{name}_processed.json")), text).unwrap();
            };
            write(good, r#"{"disposition":"success"}"#);
            write(torn, r#"{"disposition":"suc"#);
            let ended =
                Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default())
                    .conclude(&TimeZone::UTC, &BTreeSet::new());
            assert_eq!((ended.plugins.len(), ended.plugins[0].status), (1, PluginStatus::Failed), "{torn}");
        }
    }

    #[test]
    fn plugins_beyond_the_bound_are_a_gap_and_each_counts_once() {
        // The numbers of listed plugins, of plugins with a file, and of plugins beyond the limit.
        for (listed, files, more) in [
            (500_usize, 500, None),
            (501, 501, Some("(1 more plugin)")),
            (600, 600, Some("(100 more plugins)")),
            (0, 600, Some("(100 more plugins)")),
            (600, 0, Some("(100 more plugins)")),
            (400, 600, Some("(100 more plugins)")),
        ] {
            let root = tempfile::tempdir().unwrap();
            for n in 0..files {
                std::fs::write(root.path().join(format!("p{n}_processed.json")), r#"{"disposition":"success"}"#)
                    .unwrap();
            }
            // Some plugins are listed twice.
            let listed_numbers = (0..listed).chain(0..listed.min(3)).chain(listed.saturating_sub(3)..listed);
            let entry = |n: usize| serde_json::json!({ "plugin_name": format!("p{n}"), "status": if n < 500 { "success" } else { "fail" } });
            let text = serde_json::json!({ "plugins": listed_numbers.map(entry).collect::<Vec<_>>() }).to_string();
            std::fs::write(root.path().join("kast_info.json"), text).unwrap();
            let ended =
                Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default())
                    .conclude(&TimeZone::UTC, &BTreeSet::new());
            let last = ended.plugins.last().unwrap();
            assert_eq!(ended.plugins.len(), 500 + usize::from(more.is_some()), "{listed} {files}");
            assert_eq!(
                (more.is_some()).then_some((last.name.as_str(), last.status)),
                more.map(|name| (name, PluginStatus::Failed)),
                "{listed} {files}"
            );
            let others = if files == 0 { PluginStatus::Failed } else { PluginStatus::Completed };
            assert!(
                ended.plugins[..500].iter().all(|plugin| plugin.status == others),
                "{listed} {files}: each of those that are kept has its own file read"
            );
        }
    }

    #[test]
    fn files_of_plugins_with_any_name_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            std::fs::write(root.path().join(name), r#"{"findings_count":3,"disposition":"success"}"#).unwrap();
        };
        std::fs::create_dir(root.path().join("my plugin")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("etc")).unwrap();
        let names = ["nmap.vuln", "my plugin/1", "näme", "WhatWeb"];
        names.iter().for_each(|name| write(&format!("{name}_processed.json")));
        let listed: Vec<_> = names
            .iter()
            .chain(&["../up", "etc/passwd"])
            .map(|name| serde_json::json!({ "plugin_name": name, "status": "success" }))
            .collect();
        std::fs::write(root.path().join("kast_info.json"), serde_json::json!({ "plugins": listed }).to_string())
            .unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let ended = Observer::new(dir, None, Expected { names: vec!["whatweb".into()], ..Expected::default() })
            .conclude(&TimeZone::UTC, &BTreeSet::new());
        let shown: Vec<_> = ended.plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.findings_count)).collect();
        assert_eq!(
            shown,
            [("nmap.vuln", 3), ("my plugin/1", 3), ("näme", 3), ("whatweb", 3), ("../up", 0), ("etc/passwd", 0)]
        );
        assert!(
            ended.plugins[4..].iter().all(|plugin| plugin.status == PluginStatus::Failed),
            "nothing outside the folder is read"
        );
    }

    #[test]
    fn issues_without_a_registry_are_explained() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a_processed.json"), r#"{"issues":["X"]}"#).unwrap();
        let notes = |catalogue: Option<Catalogue>| {
            let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
            Observer::new(dir, catalogue.map(Arc::new), Expected::default())
                .conclude(&TimeZone::UTC, &BTreeSet::new())
                .notes
        };
        assert!(notes(None)[0].starts_with("The severities of the issues are unknown"));
        let broken = Catalogue { registry_problem: Some("the registry is truncated".into()), ..Catalogue::default() };
        assert!(notes(Some(broken))[0].ends_with("the registry is truncated"));
        assert!(notes(Some(Catalogue::default())).is_empty());
        let issue = |title: &str| super::super::catalogue::IssueKind {
            severity: kastrel_actors::model::Severity::Low,
            title: title.into(),
            description: String::new(),
            remediation: String::new(),
            category: String::new(),
        };
        let in_part = |id: &str| Catalogue {
            registry: [(id.to_owned(), issue("known"))].into(),
            registry_problem: Some("it is too long".into()),
            ..Catalogue::default()
        };
        assert_eq!(notes(Some(in_part("Y"))), ["The severities of some issues are unknown: it is too long"]);
        assert!(notes(Some(in_part("X"))).is_empty(), "all issues have a severity");
    }

    /// A simulated run of KAST: its files and its log.
    struct Staged {
        root: tempfile::TempDir,
        observer: Observer,
    }

    impl Staged {
        fn new(names: &[&str]) -> Self {
            let root = tempfile::tempdir().unwrap();
            std::fs::create_dir(root.path().join("logs")).unwrap();
            let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
            let expected =
                Expected { names: names.iter().map(|&name| name.to_owned()).collect(), ..Expected::default() };
            Self { root, observer: Observer::new(dir, None, expected) }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.root.path().join(name), text).unwrap();
        }

        fn log(&self, line: &str) {
            let path = self.root.path().join("logs/kast.log");
            let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
            std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
        }

        fn states(&mut self) -> Vec<PluginStatus> {
            self.observer.look();
            self.observer.last.iter().map(|plugin| plugin.status).collect()
        }
    }

    #[test]
    fn plugin_without_a_file_gets_its_state_from_the_log() {
        use PluginStatus::{Completed, Failed, InProgress, Pending};
        let mut staged = Staged::new(&["org_discovery", "cors_analyzer", "boom"]);
        assert_eq!(staged.states(), [Pending, Pending, Pending]);
        staged.log("Running plugin: cors_analyzer");
        assert_eq!(staged.states(), [Pending, InProgress, Pending]);
        assert!(staged.observer.last[1].started_at.is_some());
        staged.log("Plugin cors_analyzer finished with disposition: success");
        staged.write(
            "cors_analyzer_processed.json",
            r#"{"findings_count":2,"issues":["a","b"],"timestamp":"2026-11-23T18:00:00Z"}"#,
        );
        assert_eq!(
            staged.states(),
            [Pending, InProgress, Pending],
            "it does not say how it ended, and nothing else does yet"
        );
        staged.log("Plugin cors_analyzer post-processed output: /x/cors_analyzer_processed.json");
        assert_eq!(staged.states(), [Pending, Completed, Pending]);
        let plugin = &staged.observer.last[1];
        assert!(
            plugin.ended_at.unwrap() > "2026-11-23T18:00:00Z".parse().unwrap(),
            "the time in the file may be that of the start: {plugin:?}"
        );
        staged.log("Running plugin: org_discovery\nPlugin boom raised an exception: is_available broke");
        assert_eq!(staged.states(), [InProgress, Completed, Failed]);
        // The attempt is interrupted here.
        let ended = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new());
        let mut plugins = ended.plugins;
        assert_eq!(ended.info, InfoFile::Missing);
        kastrel_actors::model::end_with_attempt(&mut plugins, "2099-01-01T00:00:00Z".parse().unwrap());
        let shown: Vec<_> = plugins.iter().map(|plugin| (plugin.status, plugin.message.as_deref())).collect();
        assert_eq!(shown, [(PluginStatus::Interrupted, None), (Completed, None), (Failed, Some("is_available broke"))]);
    }

    #[test]
    fn plugin_without_an_end_is_no_success_unless_the_list_has_one() {
        let written = r#"{"findings_count":3,"issues":["a"],"summary":"fine"}"#;
        for (info, status) in [
            (None, PluginStatus::InProgress),
            (Some(r#"{"plugins":[{"plugin_name":"katana","status":"success"}]}"#), PluginStatus::Completed),
            (Some(r#"{"plugins":[{"plugin_name":"katana","status":"fail"}]}"#), PluginStatus::Failed),
            (Some(r#"{"plugins":[{"plugin_name":"katana","status":"unknown"}]}"#), PluginStatus::Failed),
            (Some(r#"{"plugins":[]}"#), PluginStatus::InProgress),
            (Some(r#"{"plugins":[{"plugin_na"#), PluginStatus::InProgress),
        ] {
            let mut staged = Staged::new(&["katana"]);
            staged.write("katana_processed.json", written);
            assert_eq!(staged.states(), [PluginStatus::InProgress]);
            if let Some(info) = info {
                staged.write("kast_info.json", info);
            }
            let plugin = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins.remove(0);
            assert_eq!((plugin.status, plugin.issues_count()), (status, 1), "{info:?}: what it found is kept");
        }
    }

    #[test]
    fn reason_of_an_unlisted_plugin_comes_from_the_log() {
        let staged = Staged::new(&["a", "b", "c"]);
        staged.log("Running plugin: a\nDependency deadlock detected! Some plugins cannot run:\n  - b: Dependent plugin 'x' has not run yet\nPlugin c failed with exception: ");
        staged
            .log("Traceback (most recent call last):\n  File \"c.py\"\nValueError\nScan complete. 1 plugins executed.");
        staged.write(
            "kast_info.json",
            r#"{"plugins":[{"plugin_name":"a","status":"failed","error":"no route"},{"plugin_name":"c","status":"failed","error":""}]}"#,
        );
        let plugins = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins;
        let shown: Vec<_> = plugins
            .iter()
            .map(|plugin| (plugin.name.as_str(), plugin.status, plugin.message.as_deref().unwrap()))
            .collect();
        let failed = PluginStatus::Failed;
        assert_eq!(
            shown,
            [
                ("a", failed, "no route"),
                ("c", failed, "ValueError"),
                ("b", failed, "Dependency deadlock: Dependent plugin 'x' has not run yet")
            ]
        );
    }

    #[test]
    fn unreachable_target_gives_no_completed_plugin() {
        let mut staged = Staged::new(&["wafw00f", "cors_analyzer", "ai_surface_detection", "whatweb"]);
        staged.write("cors_analyzer_processed.json", r#"{"findings_count":0,"issues":[],"summary":"No issues"}"#);
        staged.log("Running plugin: cors_analyzer\nPlugin cors_analyzer finished with disposition: success\nPlugin cors_analyzer post-processed output: x");
        assert_eq!(staged.states()[1], PluginStatus::InProgress, "it is open whether the target answered");
        staged.write(
            "wafw00f_processed.json",
            r#"{"findings":{"disposition":"success","results":[]},"issues":["No WAF Detected"],"findings_count":0}"#,
        );
        assert_eq!(staged.states()[..2], [PluginStatus::Failed, PluginStatus::Failed]);
        staged.write(
            "whatweb_processed.json",
            r#"{"findings":{"disposition":"fail","results":[]},"findings_count":0,"summary":"No findings were produced by whatweb."}"#,
        );
        staged.write("ai_surface_detection_processed.json", r#"{"findings_count":0,"issues":[],"summary":"None"}"#);
        let names = ["wafw00f", "cors_analyzer", "ai_surface_detection", "whatweb"];
        let listed: Vec<_> =
            names.iter().map(|name| serde_json::json!({ "plugin_name": name, "status": "success" })).collect();
        staged.write("kast_info.json", &serde_json::json!({ "plugins": listed }).to_string());
        let plugins = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins;
        assert!(
            plugins.iter().all(|plugin| plugin.status == PluginStatus::Failed && plugin.issues_count() == 0),
            "{plugins:?}"
        );
    }
}
