//! What the tests of the verdict share.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use kastrel_actors::model::PluginResult;

use crate::adapters::kast_runner::catalogue::Catalogue;
use crate::adapters::kast_runner::verdict::processed::read;
use crate::adapters::kast_runner::verdict::{Info, Own, merge};
use crate::adapters::kast_runner::{catalogue_text, plugin_name};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../fixtures/", $name)).as_slice()
    };
}
pub(super) use fixture;

pub(super) fn case(folder: &str, name: &str) -> Vec<u8> {
    std::fs::read(cases(folder).join(name)).unwrap()
}

fn cases(folder: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/cases", folder].iter().collect()
}

/// Checks that every file of a folder has an expectation.
pub(super) fn assert_all_are_expected<'a>(folder: &str, expected: impl Iterator<Item = &'a str>) {
    let files: BTreeSet<String> = std::fs::read_dir(cases(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, expected.map(str::to_owned).collect());
}

pub(super) fn catalogue() -> Catalogue {
    let registry =
        catalogue_text::registry(&String::from_utf8(case("registry", "after-a-warning.txt")).unwrap()).unwrap().kinds;
    Catalogue { registry, ..Catalogue::default() }
}

pub(super) fn of_text(name: &str, json: &str) -> PluginResult {
    read(name, json.as_bytes(), None).result
}

pub(super) fn own(files: &[(&str, &[u8])]) -> BTreeMap<String, Own> {
    files.iter().map(|(name, json)| (plugin_name::key(name), read(name, *json, None))).collect()
}

/// The results at the end of an attempt in which these plugins wrote a file.
pub(super) fn merged(info: &[u8], files: &[(&str, &[u8])], zone: &TimeZone) -> Vec<PluginResult> {
    let own = own(files);
    let seen: Vec<PluginResult> = files.iter().map(|(name, _)| own[&plugin_name::key(name)].result.clone()).collect();
    merge(&Info::read(info), &seen, &own, None, zone)
}
