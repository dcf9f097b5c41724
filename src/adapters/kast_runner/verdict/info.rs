//! `kast_info.json`: the order, states, reasons and times of the plugins, as KAST says them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::super::json::{Fault, JsonReader};
use super::super::plugin_name;
use super::end_word::EndWord;
use super::processed::message;

/// So many plugins are kept; more are counted.
pub(in crate::adapters::kast_runner) const MOST_PLUGINS: usize = 500;
/// So many of those that are not kept are known by their names, so that each is counted once.
pub(in crate::adapters::kast_runner) const MOST_BEYOND: usize = 20_000;
const MOST_NAME_BYTES: usize = 4 << 10;
const MOST_WORD_BYTES: usize = 256;
const MOST_REASON_BYTES: usize = 16 << 10;

/// What KAST says of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) struct Listed {
    /// Its name, safe to show.
    pub(in crate::adapters::kast_runner) name: String,
    /// Its name as it is written, for the names of its files.
    pub(in crate::adapters::kast_runner) raw_name: String,
    /// KAST's word for its end.
    pub(super) status: Option<String>,
    /// Why it failed.
    pub(super) error: Option<String>,
    pub(super) start: Option<String>,
    pub(super) end: Option<String>,
}

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::adapters::kast_runner) struct Info {
    /// The plugins, each once.
    pub(in crate::adapters::kast_runner) plugins: Vec<Listed>,
    /// When the run ended, by KAST's local clock.
    pub(super) end: Option<String>,
    /// The keys of those that are left out because there are too many.
    pub(in crate::adapters::kast_runner) beyond: BTreeSet<String>,
    /// Where each plugin stands in the list, by its key.
    places: BTreeMap<String, usize>,
    /// Why the rest of the file could not be read, if so: what came before is here.
    pub(in crate::adapters::kast_runner) broken: Option<Fault>,
}

impl Info {
    /// Reads the file as far as it goes.
    pub(in crate::adapters::kast_runner) fn read(source: impl Read) -> Self {
        let mut info = Self::default();
        info.broken = info.fill(source).err();
        info
    }

    fn fill(&mut self, source: impl Read) -> Result<(), Fault> {
        JsonReader::open(source)?.object(|reader, key| match key {
            "plugins" => {
                // Of a repeated key the last one counts.
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

    /// One entry of the list. One that is no object, or an empty one, says nothing.
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
            // Each of them is another one.
            *unnamed += 1;
            if *unnamed > 1 {
                listed.name = format!("{} {unnamed}", listed.name);
            }
        }
        self.add(listed);
        Ok(())
    }

    /// A plugin that is listed twice is one: the worse of its ends counts.
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

/// The worse of two ends is shown.
fn badness(status: Option<&str>) -> u8 {
    status.map_or(EndWord::Silent, EndWord::read).badness()
}
