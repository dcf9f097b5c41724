//! Reads `kast_info.json`: the order, states, reasons and times of the plugins, from KAST's point
//! of view.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::super::json::{Fault, JsonReader};
use super::super::plugin_name;
use super::end_word::EndWord;
use super::processed::message;

/// The maximum number of plugins that are kept; more are only counted.
pub(in crate::adapters::kast_runner) const MOST_PLUGINS: usize = 500;
/// The maximum number of further plugins that are known by key, so that each is counted once.
pub(in crate::adapters::kast_runner) const MOST_BEYOND: usize = 20_000;
const MOST_NAME_BYTES: usize = 4 << 10;
const MOST_WORD_BYTES: usize = 256;
const MOST_REASON_BYTES: usize = 16 << 10;

/// KAST's entry of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) struct Listed {
    /// The name, safe to show.
    pub(in crate::adapters::kast_runner) name: String,
    /// The original name, for file names.
    pub(in crate::adapters::kast_runner) raw_name: String,
    /// KAST's word for its end.
    pub(super) status: Option<String>,
    /// The reason of its failure.
    pub(super) error: Option<String>,
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
}

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) struct Info {
    /// The plugins, each once.
    pub(in crate::adapters::kast_runner) plugins: Vec<Listed>,
    /// The end of the run, in KAST's local time.
    pub(super) end: Option<String>,
    /// The keys of the plugins beyond the limit.
    pub(in crate::adapters::kast_runner) beyond: BTreeSet<String>,
    /// The index of each plugin in the list, by key.
    places: BTreeMap<String, usize>,
    /// The reason why the rest of the file could not be read. The part before it is kept.
    pub(in crate::adapters::kast_runner) broken: Option<Fault>,
}

impl Info {
    /// Reads the file as far as possible.
    pub(in crate::adapters::kast_runner) fn read(source: impl Read) -> Self {
        let mut info = Self::default();
        info.broken = info.fill(source).err();
        info
    }

    fn fill(&mut self, source: impl Read) -> Result<(), Fault> {
        JsonReader::open(source)?.object(|reader, key| match key {
            "plugins" => {
                // The last of repeated keys counts.
                self.plugins.clear();
                self.places.clear();
                self.beyond.clear();
                let mut unnamed = 0;
                reader.list(|reader| self.entry(reader, &mut unnamed)).map(drop)
            }
            "end_timestamp" => {
                self.end = reader.value(MOST_WORD_BYTES)?.into_text();
                Ok(())
            }
            _ => reader.skip(),
        })?;
        Ok(())
    }

    /// Reads one entry of the list. An entry that is empty or not an object is ignored.
    fn entry<R: Read>(&mut self, reader: &mut JsonReader<R>, unnamed: &mut usize) -> Result<(), Fault> {
        let mut listed = Listed::default();
        let mut says_anything = false;
        reader.object(|reader, key| {
            says_anything = true;
            match key {
                "plugin_name" => listed.raw_name = reader.value(MOST_NAME_BYTES)?.into_name().unwrap_or_default(),
                "status" => listed.status = reader.value(MOST_WORD_BYTES)?.into_name(),
                "error" => listed.error = message(reader.value(MOST_REASON_BYTES)?),
                "start_timestamp" => listed.start = reader.value(MOST_WORD_BYTES)?.into_text(),
                "end_timestamp" => listed.end = reader.value(MOST_WORD_BYTES)?.into_text(),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        if !says_anything {
            return Ok(());
        }
        listed.name = plugin_name::shown(&listed.raw_name);
        if listed.raw_name.trim().is_empty() {
            // Each unnamed entry is a separate plugin.
            *unnamed += 1;
            if *unnamed > 1 {
                listed.name = format!("{} {unnamed}", listed.name);
            }
        }
        self.add(listed);
        Ok(())
    }

    /// Adds an entry. A plugin that is listed twice is one plugin, and the worse of its ends
    /// counts.
    fn add(&mut self, listed: Listed) {
        let key = plugin_name::key(&listed.name);
        if let Some(before) = self.places.get(&key).and_then(|at| self.plugins.get_mut(*at)) {
            if badness(listed.status.as_deref()) > badness(before.status.as_deref()) {
                *before = Listed { name: std::mem::take(&mut before.name), ..listed };
            }
        } else if self.plugins.len() < MOST_PLUGINS {
            self.places.insert(key, self.plugins.len());
            self.plugins.push(listed);
        } else if self.beyond.len() < MOST_BEYOND {
            self.beyond.insert(key);
        }
    }
}

/// The rank of an end; the worse of two ends is shown.
fn badness(status: Option<&str>) -> u8 {
    status.map_or(EndWord::Silent, EndWord::read).badness()
}
