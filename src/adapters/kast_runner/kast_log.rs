//! Reads KAST's own log, `logs/kast.log`. Only this log shows that a plugin has started, and why a
//! plugin that is missing in `kast_info.json` did not run.
//!
//! The log may contain text of scanned sites, including lines that look like KAST's own. So a line
//! counts only for a known plugin, and no line makes a result good if the plugin's own file does
//! not.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;

use jiff::Timestamp;

use super::plugin_name;
use super::result_file;
use super::text::clean;
use super::verdict::info::MOST_PLUGINS;

/// The path of the log in the attempt's folder.
const FILE: &str = "logs/kast.log";
/// The maximum number of bytes of one read.
const MOST_AT_ONCE: u64 = 4 << 20;
/// The maximum size of the log that is read; the rest is ignored.
const MOST_BYTES: u64 = 256 << 20;
/// The maximum length of a line in bytes.
const MOST_LINE_BYTES: usize = 16 << 10;
const MOST_REASON_CHARS: usize = 500;

/// The log's information about a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Logged {
    /// The name, safe to show.
    pub(super) name: String,
    /// True if the plugin has started.
    pub(super) has_started: bool,
    /// The time at which the log was last written when the start was read. The start was not later.
    pub(super) started_at: Option<Timestamp>,
    /// The scanner's word for its end.
    pub(super) word: Option<String>,
    /// True if its result was written completely.
    pub(super) is_processed: bool,
    /// True if its tool was missing.
    pub(super) is_unavailable: bool,
    /// The reason of its failure, if it failed.
    pub(super) failure: Option<String>,
}

/// The information read so far, by the keys of the plugins.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct KastLog {
    at: u64,
    rest: Vec<u8>,
    plugins: BTreeMap<String, Logged>,
    /// True if the next lines list plugins that wait for each other.
    in_deadlock: bool,
    /// The key of a plugin with a failure without text: the exception's name follows its traceback.
    nameless: Option<String>,
}

impl KastLog {
    /// The information about a plugin.
    pub(super) fn of(&self, key: &str) -> Option<&Logged> {
        self.plugins.get(key)
    }

    /// The information about all plugins.
    pub(super) fn plugins(&self) -> impl Iterator<Item = &Logged> {
        self.plugins.values()
    }

    /// Reads the lines that were added since the last call. `is_known` returns true for the
    /// scanner's plugins.
    pub(super) fn look(&mut self, dir: &OwnedFd, is_known: impl Fn(&str) -> bool) {
        while self.look_once(dir, &is_known) {}
    }

    /// Reads one block. Returns true if there is more.
    fn look_once(&mut self, dir: &OwnedFd, is_known: &impl Fn(&str) -> bool) -> bool {
        let Ok(opened) = result_file::open(dir, FILE, u64::MAX) else { return false };
        let (size, modified) = (opened.bytes.limit(), opened.modified);
        let from = if size < self.at { 0 } else { self.at };
        let until = size.min(MOST_BYTES);
        if until <= from {
            return false;
        }
        let mut file = opened.bytes.into_inner();
        let mut fresh = Vec::new();
        if file.seek(SeekFrom::Start(from)).is_err()
            || file.take(MOST_AT_ONCE.min(until - from)).read_to_end(&mut fresh).is_err()
            || fresh.is_empty()
        {
            return false;
        }
        if from < self.at {
            self.rest.clear();
        }
        self.at = from + fresh.len() as u64;
        self.add(&fresh, modified, is_known);
        self.at < until
    }

    fn add(&mut self, bytes: &[u8], read_at: Option<Timestamp>, is_known: &impl Fn(&str) -> bool) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = MOST_LINE_BYTES.saturating_sub(self.rest.len());
            self.rest.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.rest);
                self.line(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']), read_at, is_known);
            }
        }
    }

    fn line(&mut self, line: &str, read_at: Option<Timestamp>, is_known: &impl Fn(&str) -> bool) {
        if let Some(key) = self.nameless.take() {
            if line.starts_with("Traceback ") || line.starts_with(' ') || line.is_empty() {
                self.nameless = Some(key);
                return;
            }
            if let Some(plugin) = self.plugins.get_mut(&key) {
                plugin.failure = Some(clean(line, MOST_REASON_CHARS));
            }
            return;
        }
        if line.starts_with("Dependency deadlock detected!") {
            self.in_deadlock = true;
            return;
        }
        if self.in_deadlock {
            if let Some((name, reason)) = line.strip_prefix("  - ").and_then(|rest| rest.split_once(": ")) {
                if let Some(plugin) = self.plugin(name, is_known) {
                    plugin.failure = Some(clean(&format!("Dependency deadlock: {reason}"), MOST_REASON_CHARS));
                }
                return;
            }
            self.in_deadlock = false;
        }
        if let Some(name) = line.strip_prefix("Running plugin: ") {
            if let Some(plugin) = self.plugin(name, is_known)
                && !plugin.has_started
            {
                (plugin.has_started, plugin.started_at) = (true, read_at);
            }
            return;
        }
        let Some(rest) = line.strip_prefix("Plugin ") else { return };
        let part = |middle: &str| rest.split_once(middle);
        if let Some((name, word)) = part(" finished with disposition: ") {
            if let Some(plugin) = self.plugin(name, is_known) {
                plugin.word = Some(clean(word, MOST_REASON_CHARS));
            }
        } else if let Some((name, _)) = part(" post-processed output: ") {
            if let Some(plugin) = self.plugin(name, is_known) {
                plugin.is_processed = true;
            }
        } else if let Some(name) = rest.strip_suffix(" is not available. Skipping.") {
            if let Some(plugin) = self.plugin(name, is_known) {
                plugin.is_unavailable = true;
            }
        } else if let Some((name, reason)) = part(" failed with exception: ").or_else(|| part(" raised an exception: "))
        {
            let reason = clean(reason, MOST_REASON_CHARS);
            let is_nameless = reason.is_empty() && line.contains(" failed with exception: ");
            if let Some(plugin) = self.plugin(name, is_known) {
                plugin.failure = Some(reason);
                if is_nameless {
                    self.nameless = Some(plugin_name::key(&plugin_name::shown(name)));
                }
            }
        }
    }

    fn plugin(&mut self, name: &str, is_known: &impl Fn(&str) -> bool) -> Option<&mut Logged> {
        let shown = plugin_name::shown(name);
        let key = plugin_name::key(&shown);
        let has_room = self.plugins.len() < MOST_PLUGINS || self.plugins.contains_key(&key);
        if !has_room || !is_known(&key) {
            return None;
        }
        Some(self.plugins.entry(key).or_insert_with(|| Logged { name: shown, ..Logged::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> KastLog {
        let mut log = KastLog::default();
        log.add(text.as_bytes(), Timestamp::from_second(7).ok(), &|key| key != "stranger");
        log
    }

    #[test]
    fn each_known_log_line_sets_its_field() {
        let log = read(
            "Checking availability for plugin: a\nRunning plugin: a\nPlugin a finished with disposition: success\nPlugin a post-processed output: /x/a_processed.json\n\
             Running plugin: b\nPlugin b finished with disposition: fail\nRunning plugin: c\nPlugin c failed with exception: no \u{1b}[31mroute\u{1b}[0m\nTraceback (most recent call last):\n  File x\nValueError: no route\n\
             Plugin d is not available. Skipping.\nPlugin e raised an exception: is_available broke\nRunning plugin: f\nPlugin f failed with exception: \nTraceback (most recent call last):\n  File \"x\", line 1\n    g()\nValueError\n\
             Dependency deadlock detected! Some plugins cannot run:\n  - g: Dependent plugin 'h' has not run yet\n  - i: Condition: odd\nScan complete. 5 plugins executed.\n  - a: this is no plugin of the list\n\
             Running plugin: stranger\nPlugin stranger failed with exception: x\nRunning plugin: cut o",
        );
        let of = |key: &str| log.of(key).cloned().unwrap_or_default();
        assert_eq!(
            (of("a").has_started, of("a").started_at, of("a").word.as_deref()),
            (true, Timestamp::from_second(7).ok(), Some("success"))
        );
        assert_eq!((of("a").is_processed, of("a").failure), (true, None));
        assert_eq!((of("b").word.as_deref(), of("b").is_processed), (Some("fail"), false));
        assert_eq!(
            (of("c").failure.as_deref(), of("d").is_unavailable, of("d").has_started),
            (Some("no route"), true, false)
        );
        assert_eq!((of("e").failure.as_deref(), of("e").has_started), (Some("is_available broke"), false));
        assert_eq!(of("f").failure.as_deref(), Some("ValueError"));
        assert_eq!(of("g").failure.as_deref(), Some("Dependency deadlock: Dependent plugin 'h' has not run yet"));
        assert_eq!(of("i").failure.as_deref(), Some("Dependency deadlock: Condition: odd"));
        assert_eq!(log.plugins().count(), 8, "nothing of a stranger, and nothing of a line that is not whole");
    }

    #[test]
    fn log_reading_continues_at_the_last_position() {
        let root = tempfile::tempdir().unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let path = root.path().join("logs/kast.log");
        let mut log = KastLog::default();
        log.look(&dir, |_| true);
        std::fs::create_dir(root.path().join("logs")).unwrap();
        std::fs::write(&path, "Running plugin: a\nRunning pl").unwrap();
        log.look(&dir, |_| true);
        assert_eq!(log.plugins().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), ["a"]);
        std::io::Write::write_all(&mut std::fs::File::options().append(true).open(&path).unwrap(), b"ugin: b\n")
            .unwrap();
        log.look(&dir, |_| true);
        assert_eq!(log.plugins().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        // A log that starts again, a line with the size of a file, and a link.
        std::fs::write(&path, "Running plugin: c\n").unwrap();
        log.look(&dir, |_| true);
        std::fs::write(&path, [vec![b'x'; 9 << 20], b"\nRunning plugin: d\n".to_vec()].concat()).unwrap();
        log.look(&dir, |_| true);
        assert_eq!(log.plugins().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert!(log.rest.len() <= MOST_LINE_BYTES);
        let mut linked = KastLog::default();
        std::fs::rename(&path, root.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(root.path().join("elsewhere"), &path).unwrap();
        linked.look(&dir, |_| true);
        assert_eq!(linked.plugins().count(), 0);
    }

    #[test]
    fn number_of_logged_plugins_is_bounded() {
        let log = read(&(0..600).map(|n| format!("Running plugin: p{n}\n")).collect::<String>());
        assert_eq!(log.plugins().count(), MOST_PLUGINS);
    }
}
