//! Reads what the scanner prints about its plugins and issues: JSON of version 3, text of version 2.

use std::collections::BTreeMap;

use kastrel_actors::model::{PluginInfo, PluginKind, Severity};
use serde::Deserialize;

use super::catalogue::IssueKind;
use super::loose::Bounded;
use super::text::{clean, is_plugin_name};

const MOST_PLUGINS: usize = 200;
const MOST_ISSUES: usize = 5_000;
const MOST_TEXT: usize = 2_000;

#[derive(Deserialize)]
struct PluginList {
    plugins: Bounded<ListedPlugin, MOST_PLUGINS>,
}

#[derive(Deserialize)]
struct ListedPlugin {
    name: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    scan_type: String,
    #[serde(default)]
    available: bool,
    #[serde(default)]
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Dependency {
    Name(String),
    Object { plugin: String },
}

/// Reads `plugins list --json`; lines before the object, such as warnings, are passed over.
pub(super) fn plugins_json(text: &str) -> Option<Vec<PluginInfo>> {
    let list: PluginList = json_object(text)?;
    let plugins = list.plugins.0.into_iter().filter(|plugin| is_plugin_name(&plugin.name)).map(|plugin| PluginInfo {
        display_name: or_name(clean(&plugin.display_name, 100), &plugin.name),
        description: clean(&plugin.description, MOST_TEXT),
        kind: kind(&plugin.scan_type),
        available: plugin.available,
        dependencies: plugin
            .dependencies
            .into_iter()
            .map(|dependency| match dependency {
                Dependency::Name(name) | Dependency::Object { plugin: name } => name,
            })
            .filter(|name| is_plugin_name(name))
            .collect(),
        name: plugin.name,
    });
    Some(plugins.collect())
}

/// Reads the text form, `--list-plugins`: a line `✓ name (priority: N, type: passive)` and indented lines about it.
pub(super) fn plugins_text(text: &str) -> Vec<PluginInfo> {
    let mut plugins: Vec<PluginInfo> = Vec::new();
    for line in text.lines() {
        let heading = line.strip_prefix('✓').map(|rest| (true, rest)).or_else(|| line.strip_prefix('✗').map(|rest| (false, rest)));
        if let Some((available, rest)) = heading {
            let Some((name, rest)) = rest.trim().split_once(" (priority:") else { continue };
            let kind = rest.split_once("type:").map_or(PluginKind::Passive, |(_, rest)| kind(rest.trim_end_matches(')')));
            if is_plugin_name(name) && plugins.len() < MOST_PLUGINS {
                plugins.push(PluginInfo {
                    name: name.to_owned(),
                    display_name: name.to_owned(),
                    description: String::new(),
                    kind,
                    available,
                    dependencies: Vec::new(),
                });
            }
        } else if let (Some(plugin), line) = (plugins.last_mut(), clean(line, MOST_TEXT))
            && !line.is_empty()
            && line != "Tool not available in PATH"
        {
            if !plugin.description.is_empty() {
                plugin.description.push(' ');
            }
            plugin.description.push_str(&line);
        }
    }
    plugins
}

/// Adds what the dependency tree says: a line `… Priority N | name (passive)` and below it lines `└─ other (…)`.
pub(super) fn add_dependencies(plugins: &mut [PluginInfo], tree: &str) {
    let mut current: Option<usize> = None;
    for line in tree.lines() {
        let first_word = |text: &str| text.split_whitespace().next().map(str::to_owned);
        if let Some((_, rest)) = line.split_once("Priority").and_then(|(_, rest)| rest.split_once('|')) {
            current = first_word(rest).and_then(|name| plugins.iter().position(|plugin| plugin.name == name));
        } else if let (Some(index), Some(name)) = (current, line.trim_start().strip_prefix("└─").and_then(first_word))
            && is_plugin_name(&name)
            && !plugins[index].dependencies.contains(&name)
        {
            plugins[index].dependencies.push(name);
        }
    }
}

#[derive(Deserialize)]
struct Registry {
    registry: Bounded<RegistryEntry, MOST_ISSUES>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct RegistryEntry {
    id: String,
    display_name: String,
    severity: String,
    description: String,
    remediation: String,
    category: String,
}

/// Reads `registry list --json`.
pub(super) fn registry(text: &str) -> Option<BTreeMap<String, IssueKind>> {
    let entries: Registry = json_object(text)?;
    let kinds = entries.registry.0.into_iter().filter(|entry| !entry.id.is_empty()).map(|entry| {
        let kind = IssueKind {
            severity: entry.severity.to_ascii_lowercase().parse().unwrap_or(match entry.severity.as_str() {
                "Info" | "info" => Severity::Informational,
                _ => Severity::Unknown,
            }),
            title: or_name(clean(&entry.display_name, 200), &entry.id),
            description: clean(&entry.description, MOST_TEXT),
            remediation: clean(&entry.remediation, MOST_TEXT),
            category: clean(&entry.category, 100),
        };
        (entry.id, kind)
    });
    Some(kinds.collect())
}

/// The version in `KAST version 3.0.40` or `Kastrel built-in scanner 0.1.0`: the last word that starts with a digit.
pub(super) fn version(text: &str) -> Option<String> {
    let word = text.split_whitespace().rev().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(clean(word, 40))
}

fn json_object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str(&text[text.find('{')?..=text.rfind('}')?]).ok()
}

fn or_name(text: String, name: &str) -> String {
    if text.is_empty() { name.to_owned() } else { text }
}

fn kind(text: &str) -> PluginKind {
    if text.trim() == "active" { PluginKind::Active } else { PluginKind::Passive }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_list_say_the_same() {
        let json = plugins_json(include_str!("fixtures/plugins-list.json")).unwrap();
        let text = plugins_text(include_str!("fixtures/plugins-list.txt"));
        let facts = |plugins: &[PluginInfo]| plugins.iter().map(|p| (p.name.clone(), p.description.clone(), p.kind, p.available)).collect::<Vec<_>>();
        assert_eq!(facts(&json), facts(&text));
        assert_eq!((json.len(), json[12].kind, json[0].display_name.as_str()), (13, PluginKind::Active, "Organization Domain Discovery"));
    }

    #[test]
    fn dependencies_are_found_in_the_tree_and_in_the_list() {
        let mut plugins = plugins_json(include_str!("fixtures/plugins-list.json")).unwrap();
        add_dependencies(&mut plugins, include_str!("fixtures/plugins-deps.txt"));
        let of = |name: &str| plugins.iter().find(|plugin| plugin.name == name).unwrap().dependencies.join(",");
        assert_eq!(
            (of("script_detection"), of("ai_surface_detection"), of("zap")),
            ("mozilla_observatory".into(), "katana,whatweb,script_detection".into(), String::new())
        );
        let listed = plugins_json("WARNING x\n{\"plugins\":[{\"name\":\"a\",\"dependencies\":[\"b\",{\"plugin\":\"c\"}]},{\"name\":\"../d\"}]}").unwrap();
        assert_eq!((listed.len(), listed[0].dependencies.join(",").as_str()), (1, "b,c"));
    }

    #[test]
    fn the_registry_gives_severities() {
        let registry = registry(include_str!("fixtures/registry-list.json")).unwrap();
        assert_eq!((registry.len(), registry["SWEET32"].severity, registry["SWEET32"].title.as_str()), (5, Severity::Low, "SWEET32 Vulnerability"));
    }

    #[test]
    fn versions_are_found() {
        for (text, expected) in [("KAST version 3.0.40\n", Some("3.0.40")), ("Kastrel built-in scanner 0.1.0", Some("0.1.0")), ("no version", None)] {
            assert_eq!(version(text).as_deref(), expected, "{text}");
        }
    }
}
