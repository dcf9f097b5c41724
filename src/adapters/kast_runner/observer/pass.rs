//! One pass over an attempt's folder, and the state between two passes.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use jiff::Timestamp;
use kastrel_actors::model::PluginResult;

use crate::adapters::kast_runner::catalogue::Catalogue;
use crate::adapters::kast_runner::plugin_name;
use crate::adapters::kast_runner::progress::{self, Expected, FileRole, Seen};
use crate::adapters::kast_runner::result_file::{self, Entry, ReadProblem};
use crate::adapters::kast_runner::verdict::info::{MOST_BEYOND, MOST_PLUGINS};
use crate::adapters::kast_runner::verdict::{self, Own, Sureness};
use crate::ports::LOG_NAME;

/// The maximum size of a result file in bytes. Files are read as streams, whatever their size. No
/// scanner writes a larger file, and to read one would block a thread for minutes.
pub(in crate::adapters::kast_runner) const MOST_BYTES: u64 = 8 << 30;

/// The result of one pass over the folder.
#[derive(Debug)]
pub(in crate::adapters::kast_runner) struct FolderDiff {
    /// True if any file changed since the last pass, which is a sign of life.
    pub(in crate::adapters::kast_runner) changed: bool,
    /// The plugins, if the state of any changed.
    pub(in crate::adapters::kast_runner) plugins: Option<Vec<PluginResult>>,
}

/// The state between two passes. Its methods block; call them on a blocking thread.
#[derive(Debug)]
pub(in crate::adapters::kast_runner) struct Observer {
    pub(super) dir: OwnedFd,
    pub(super) catalogue: Option<Arc<Catalogue>>,
    known: BTreeSet<String>,
    /// The keys of the plugins that may appear in the scanner's log; empty if no plugin is known.
    logged: BTreeSet<String>,
    pub(super) expected: Expected,
    entries: BTreeMap<String, Entry>,
    pub(super) seen: Seen,
    /// The names of plugins whose result is not readable yet, because it may be incomplete.
    pub(super) unreadable: BTreeSet<String>,
    /// The keys of plugins that have a result beyond the limit of plugins, so it is not kept.
    pub(super) beyond: BTreeSet<String>,
    pub(super) last: Vec<PluginResult>,
}

impl Observer {
    /// Creates an observer of the folder `dir`. `expected` are the plugins that will run.
    pub(in crate::adapters::kast_runner) fn new(
        dir: OwnedFd,
        catalogue: Option<Arc<Catalogue>>,
        expected: Expected,
    ) -> Self {
        let known = catalogue.as_deref().map(Catalogue::keys).unwrap_or_default();
        let logged = expected.names.iter().map(|name| plugin_name::key(name)).chain(known.iter().cloned()).collect();
        let (entries, seen, unreadable, beyond, last) = Default::default();
        Self { dir, catalogue, known, logged, expected, entries, seen, unreadable, beyond, last }
    }

    /// Makes one pass over the folder.
    pub(in crate::adapters::kast_runner) fn look(&mut self) -> FolderDiff {
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

    pub(super) fn read_processed(&self, name: &str) -> Result<Own, ReadProblem> {
        let opened = result_file::open(&self.dir, &progress::processed_file(name), MOST_BYTES)?;
        let own = verdict::processed::read(&plugin_name::shown(name), opened.bytes, self.catalogue.as_deref());
        Ok(Own { written: opened.modified, ..own })
    }

    pub(super) fn add(&mut self, own: Own) {
        let key = plugin_name::key(&own.result.name);
        if self.seen.ended.len() < MOST_PLUGINS || self.seen.ended.contains_key(&key) {
            self.seen.ended.insert(key, own);
        } else if self.beyond.len() < MOST_BEYOND {
            self.beyond.insert(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use kastrel_actors::model::{InfoFile, PluginStatus};

    use super::super::testing::{Staged, spoilt};
    use super::*;

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
}
