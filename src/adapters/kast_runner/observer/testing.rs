//! A simulated run of KAST, for the tests of this folder.

use std::os::fd::OwnedFd;

use kastrel_actors::model::{PluginResult, PluginStatus};

use super::{Conclusion, Observer};
use crate::adapters::kast_runner::progress::Expected;

/// The number of plugins with an unreadable result.
pub(super) fn spoilt(ended: &Conclusion) -> usize {
    let is_spoilt = |plugin: &&PluginResult| {
        plugin.message.as_deref().is_some_and(|text| text.starts_with("Result file cannot be read"))
    };
    ended.plugins.iter().filter(is_spoilt).count()
}

/// A simulated run of KAST: its files and its log.
pub(super) struct Staged {
    root: tempfile::TempDir,
    pub(super) observer: Observer,
}

impl Staged {
    pub(super) fn new(names: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("logs")).unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let expected = Expected { names: names.iter().map(|&name| name.to_owned()).collect(), ..Expected::default() };
        Self { root, observer: Observer::new(dir, None, expected) }
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.root.path().join(name), text).unwrap();
    }

    pub(super) fn log(&self, line: &str) {
        let path = self.root.path().join("logs/kast.log");
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }

    pub(super) fn states(&mut self) -> Vec<PluginStatus> {
        self.observer.look();
        self.observer.last.iter().map(|plugin| plugin.status).collect()
    }
}
