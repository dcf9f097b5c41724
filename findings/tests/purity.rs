//! Holds what the crate promises: it needs no I/O, no clock and no other crate of Kastrel, and its
//! modules use only modules below them.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules, and the modules that they may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("text", &[]),
    ("limits", &[]),
    ("severity", &[]),
    ("json", &["limits"]),
    ("place", &["limits", "text"]),
    ("notes", &["json", "text"]),
    ("sighting", &["limits", "place", "severity", "text"]),
    ("asset", &["limits", "place", "text"]),
    ("scope", &["place"]),
    ("registry", &["json", "limits", "severity", "sighting", "text"]),
    ("readers", &["asset", "json", "limits", "notes", "place", "severity", "sighting", "text"]),
    ("identity", &["limits", "place", "severity", "sighting"]),
    ("lifecycle", &["identity", "readers", "scope", "severity", "sighting", "text"]),
    ("compare", &["identity", "lifecycle"]),
];

/// The crates that production code may depend on.
const CRATES: [&str; 7] = ["hex", "jiff", "serde", "sha2", "thiserror", "url", "std"];

/// What a pure function does not use.
const BANNED: [&str; 10] = [
    "std::fs",
    "std::net::Tcp",
    "std::io",
    "std::process",
    "std::thread",
    "std::env",
    "std::time",
    "::now()",
    "async fn",
    "unsafe",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The production files with their text.
fn files() -> BTreeMap<PathBuf, String> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root().join("src")]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                open.push(path);
            } else if path.is_file() && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.insert(path.strip_prefix(root().join("src")).unwrap().to_owned(), production);
            }
        }
    }
    found
}

fn room(file: &Path) -> String {
    file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The code of a file without its comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_use_only_modules_below_them() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in files() {
        let own = room(&file);
        if own == "lib" {
            continue;
        }
        for path in code(&text).flat_map(|line| line.split("crate::").skip(1)) {
            let name: String = path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            // The root re-exports some types.
            let name = match name.as_str() {
                "Severity" => "severity".to_owned(),
                "" => panic!("{}: name the module in each `use crate::`", file.display()),
                _ => name,
            };
            if name != own {
                used.entry(own.clone()).or_default().insert(name);
            }
        }
        used.entry(own).or_default();
    }
    let expected: BTreeMap<String, BTreeSet<String>> = ROOMS
        .iter()
        .map(|(name, allowed)| ((*name).to_owned(), allowed.iter().map(|one| (*one).to_owned()).collect()))
        .collect();
    assert_eq!(used, expected);
    for (at, (name, allowed)) in ROOMS.iter().enumerate() {
        let below = |one: &&str| ROOMS[..at].iter().any(|(other, _)| other == one);
        assert!(allowed.iter().all(below), "{name} uses a module above it");
    }
}

#[test]
fn production_code_is_pure() {
    for (file, text) in files() {
        for line in code(&text) {
            for banned in BANNED {
                assert!(!line.contains(banned), "{}: {banned} in: {line}", file.display());
            }
        }
    }
}

#[test]
fn the_crate_needs_only_crates_without_io() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("[dev-dependencies]").next().unwrap();
    let names =
        dependencies.lines().filter_map(|line| line.split(['.', ' ', '=']).next()).filter(|name| !name.is_empty());
    for name in names {
        assert!(CRATES.contains(&name), "{name}");
    }
}

#[test]
fn no_file_is_longer_than_400_lines() {
    for (file, text) in files() {
        assert!(text.lines().count() < 400, "{}", file.display());
    }
}

#[test]
fn files_of_a_module_do_not_use_each_other_in_a_circle() {
    let mut edges: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    let files = files();
    for (file, text) in &files {
        // `mod.rs` only lists and re-exports.
        if file.ends_with("mod.rs") || file.ends_with("lib.rs") {
            continue;
        }
        let folder = file.parent().unwrap();
        for path in code(text).flat_map(|line| line.split("super::").skip(1)) {
            let names = path.trim_start_matches('{').split([',', '}', ';']).map(str::trim);
            for name in names.map(|name| name.split("::").next().unwrap()) {
                let used = folder.join(format!("{name}.rs"));
                if files.contains_key(&used) {
                    edges.entry(file.clone()).or_default().insert(used);
                }
            }
        }
    }
    assert!(edges.len() > 20, "the uses were read: {edges:?}");
    // Removes files that use no other, until nothing is left but circles.
    while let Some(leaf) = edges.iter().find(|(_, used)| used.iter().all(|one| !edges.contains_key(one))) {
        let leaf = leaf.0.clone();
        edges.remove(&leaf);
    }
    assert!(edges.is_empty(), "{edges:#?}");
}

#[test]
fn files_name_the_file_that_they_use() {
    for (file, text) in files() {
        let is_listing = file.ends_with("mod.rs") || file.ends_with("lib.rs");
        let imports = code(&text).filter(|line| line.starts_with("use super::"));
        for line in imports.filter(|_| !is_listing) {
            let first = line.trim_start_matches("use super::").trim_start_matches('{').chars().next();
            assert!(first.is_none_or(char::is_lowercase), "{}: {line} hides the file", file.display());
        }
    }
}
