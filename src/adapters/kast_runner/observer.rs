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
use super::progress::{self, FileRole, MOST_PLUGINS, Seen};
use super::result_file::{self, Entry, ReadProblem};
use super::verdict::{self, MOST_INFO_BYTES, MOST_PROCESSED_BYTES};

const INFO_FILE: &str = "kast_info.json";

/// What a look found.
#[derive(Debug)]
pub(super) struct Look {
    /// Whether any file changed since the last look: a sign of life.
    pub(super) changed: bool,
    /// The plugins, if their state changed.
    pub(super) plugins: Option<Vec<PluginResult>>,
}

/// The state between two looks. Its methods block and belong on a thread that may.
#[derive(Debug)]
pub(super) struct Observer {
    dir: OwnedFd,
    catalogue: Option<Arc<Catalogue>>,
    known: BTreeSet<String>,
    expected: Vec<String>,
    entries: BTreeMap<String, Entry>,
    seen: Seen,
    last: Vec<PluginResult>,
}

impl Observer {
    /// Of the folder `dir`, in which the plugins `expected` will show up.
    pub(super) fn new(dir: OwnedFd, catalogue: Option<Arc<Catalogue>>, expected: Vec<String>) -> Self {
        let known = catalogue.as_deref().map(Catalogue::names).unwrap_or_default();
        Self { dir, catalogue, known, expected, entries: BTreeMap::new(), seen: Seen::default(), last: Vec::new() }
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
        for entry in self.entries.values().filter(|entry| before.get(&entry.name) != Some(*entry)) {
            match progress::role(&entry.name, &self.known) {
                FileRole::Marker(name) if entry.is_file => {
                    let started = Timestamp::new(entry.modified.0, i32::try_from(entry.modified.1).unwrap_or(0)).ok();
                    self.seen.markers.entry(name.to_owned()).or_insert(started);
                }
                FileRole::Processed(name) if self.seen.ended.len() < MOST_PLUGINS || self.seen.ended.contains_key(name) => {
                    let json = result_file::read(&self.dir, &progress::processed_file(name), MOST_PROCESSED_BYTES);
                    let json = json.as_deref().map_err(|problem| format!("the file {problem}"));
                    self.seen.ended.insert(name.to_owned(), verdict::processed(name, json, self.catalogue.as_deref()));
                }
                FileRole::Marker(_) | FileRole::Processed(_) | FileRole::None => {}
            }
        }
    }

    /// The last look: the plugins' final state, and what became of the scanner's result file.
    pub(super) fn conclude(mut self, zone: &TimeZone) -> (InfoFile, Vec<PluginResult>) {
        self.look();
        let own = self.last;
        let json = match result_file::read(&self.dir, INFO_FILE, MOST_INFO_BYTES) {
            Ok(json) => json,
            Err(ReadProblem::Missing) => return (InfoFile::Missing, own),
            Err(problem) => return (InfoFile::Unreadable(format!("the file {problem}")), own),
        };
        match verdict::info(&json, &own, zone) {
            Ok(plugins) => (InfoFile::Read, plugins),
            Err(problem) => (InfoFile::Unreadable(problem), own),
        }
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
        let mut observer = Observer::new(dir, None, vec!["whatweb".into()]);
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
        assert_eq!(observer.conclude(&TimeZone::UTC).0, InfoFile::Missing);
    }
}
