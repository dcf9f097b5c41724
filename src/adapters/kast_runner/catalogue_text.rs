//! Parses the scanner's lists of plugins and issues: the JSON of version 3 and the text of
//! version 2.

use std::collections::BTreeMap;

use kastrel_actors::model::{PluginInfo, PluginKind, Severity};
use kastrel_findings::registry::Approach;

use super::catalogue::IssueKind;
use super::json::{self, Fault, JsonReader};
use super::plugin_name::{self, is_selectable};
use super::text::clean;
use crate::ports::IssueFix;

const MOST_PLUGINS: usize = 500;
const MOST_ISSUES: usize = 10_000;
const MOST_TEXT: usize = 2_000;
const MOST_TEXT_BYTES: usize = 4 * MOST_TEXT;
const MOST_NAME_BYTES: usize = 4 << 10;

/// Parses `plugins list --json`. Skips other output such as warnings. Skips an entry without a
/// name; any other invalid value counts as absent.
pub(super) fn plugins_json(text: &str) -> Option<Vec<PluginInfo>> {
    let found = json::find(text, |reader| {
        let (mut plugins, mut is_list) = (Vec::new(), false);
        reader.object(|reader, key| {
            if key != "plugins" {
                return reader.skip();
            }
            plugins.clear();
            is_list = reader.list(|reader| listed_plugin(reader, &mut plugins))?;
            Ok(())
        })?;
        Ok(is_list.then_some(plugins))
    });
    found.ok()
}

fn listed_plugin(reader: &mut JsonReader<&[u8]>, plugins: &mut Vec<PluginInfo>) -> Result<(), Fault> {
    let (mut name, mut display_name, mut description, mut scan_type) =
        (String::new(), String::new(), String::new(), String::new());
    let (mut available, mut dependencies) = (true, Vec::new());
    reader.object(|reader, key| {
        let mut text = |most: usize| reader.value(most).map(|value| value.into_name().unwrap_or_default());
        match key {
            "name" => name = text(MOST_NAME_BYTES)?,
            "display_name" => display_name = text(MOST_TEXT_BYTES)?,
            "description" => description = text(MOST_TEXT_BYTES)?,
            "scan_type" => scan_type = text(MOST_NAME_BYTES)?,
            // Available unless the scanner states otherwise; the scanner will try to run it.
            "available" => available = !reader.value(MOST_NAME_BYTES)?.is_false(),
            "dependencies" => dependencies = dependencies_of(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    if !name.trim().is_empty() {
        let name = plugin_name::shown(&name);
        let display_name = or_name(clean(&display_name, 100), &name);
        add(
            plugins,
            PluginInfo {
                display_name,
                description: clean(&description, MOST_TEXT),
                kind: kind(&scan_type),
                available,
                dependencies,
                name,
            },
        );
    }
    Ok(())
}

/// Reads dependencies: names, or objects with the name of a plugin.
fn dependencies_of(reader: &mut JsonReader<&[u8]>) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    reader.list(|reader| {
        let mut name = None;
        if reader.is_object()? {
            reader.object(|reader, key| {
                let value = reader.value(MOST_NAME_BYTES)?;
                if key == "plugin" {
                    name = value.into_text();
                }
                Ok(())
            })?;
        } else {
            name = reader.value(MOST_NAME_BYTES)?.into_text();
        }
        if names.len() < MOST_PLUGINS {
            names.extend(name.filter(|name| is_selectable(name)));
        }
        Ok(())
    })?;
    Ok(names)
}

/// Adds a plugin, unless the limit is reached or the name exists.
fn add(plugins: &mut Vec<PluginInfo>, plugin: PluginInfo) {
    let key = plugin_name::key(&plugin.name);
    if plugins.len() < MOST_PLUGINS && plugins.iter().all(|one| plugin_name::key(&one.name) != key) {
        plugins.push(plugin);
    }
}

/// Parses the text form, `--list-plugins`: a line `✓ name (priority: N, type: passive)`, followed
/// by indented lines of its description.
pub(super) fn plugins_text(text: &str) -> Vec<PluginInfo> {
    let mut plugins: Vec<PluginInfo> = Vec::new();
    for line in text.lines() {
        let heading = line
            .strip_prefix('✓')
            .map(|rest| (true, rest))
            .or_else(|| line.strip_prefix('✗').map(|rest| (false, rest)));
        if let Some((available, rest)) = heading {
            let Some((name, rest)) = rest.trim().split_once(" (priority:") else { continue };
            let kind =
                rest.split_once("type:").map_or(PluginKind::Passive, |(_, rest)| kind(rest.trim_end_matches(')')));
            if !name.trim().is_empty() {
                let name = plugin_name::shown(name);
                let (display_name, description) = (name.clone(), String::new());
                add(
                    &mut plugins,
                    PluginInfo { name, display_name, description, kind, available, dependencies: Vec::new() },
                );
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

/// Adds the dependencies from the dependency tree: a line `… Priority N | name (passive)`, followed
/// by lines `└─ other (…)`.
pub(super) fn add_dependencies(plugins: &mut [PluginInfo], tree: &str) {
    let mut current: Option<usize> = None;
    for line in tree.lines() {
        let first_word = |text: &str| text.split_whitespace().next().map(str::to_owned);
        if let Some((_, rest)) = line.split_once("Priority").and_then(|(_, rest)| rest.split_once('|')) {
            current = first_word(rest).and_then(|name| plugins.iter().position(|plugin| plugin.name == name));
        } else if let (Some(index), Some(name)) = (current, line.trim_start().strip_prefix("└─").and_then(first_word))
            && is_selectable(&name)
            && !plugins[index].dependencies.contains(&name)
        {
            plugins[index].dependencies.push(name);
        }
    }
}

/// The registry of issues, up to the limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Registry {
    /// The known issues by id.
    pub(super) kinds: BTreeMap<String, IssueKind>,
    /// The number of entries beyond the limit.
    left_out: usize,
}

impl Registry {
    /// Returns the reason if the registry is incomplete, for people.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { left_out, .. } = self;
        (*left_out > 0).then(|| {
            format!("the scanner's registry of issues has {left_out} entries more than the {MOST_ISSUES} that are read")
        })
    }
}

/// Parses `registry list --json`. An invalid value of an entry affects only that value.
///
/// # Errors
/// The reason why the text has no registry.
pub(super) fn registry(text: &str) -> Result<Registry, Fault> {
    json::find(text, |reader| {
        let (mut registry, mut is_list) = (Registry::default(), false);
        reader.object(|reader, key| {
            if key != "registry" {
                return reader.skip();
            }
            registry = Registry::default();
            is_list = reader.list(|reader| registered(reader, &mut registry))?;
            Ok(())
        })?;
        Ok(is_list.then_some(registry))
    })
}

fn registered(reader: &mut JsonReader<&[u8]>, registry: &mut Registry) -> Result<(), Fault> {
    let [mut id, mut display_name, mut severity, mut description, mut remediation, mut category] =
        <[String; 6]>::default();
    let [mut approach, mut code_time, mut waf_time, mut infrastructure_time] = <[String; 4]>::default();
    let mut waf_addressable = None;
    reader.object(|reader, key| {
        let field = match key {
            "id" => &mut id,
            "display_name" => &mut display_name,
            "severity" => &mut severity,
            "description" => &mut description,
            "remediation" => &mut remediation,
            "category" => &mut category,
            "waf_addressable" => {
                waf_addressable = switch(reader.value(MOST_TEXT_BYTES)?);
                return Ok(());
            }
            "remediation_approach" => &mut approach,
            "code_fix_timeframe" => &mut code_time,
            "waf_deployment_timeframe" => &mut waf_time,
            "infrastructure_fix_timeframe" => &mut infrastructure_time,
            _ => return reader.skip(),
        };
        *field = reader.value(MOST_TEXT_BYTES)?.into_name().unwrap_or_default();
        Ok(())
    })?;
    if id.trim().is_empty() {
        return Ok(());
    }
    if registry.kinds.len() >= MOST_ISSUES && !registry.kinds.contains_key(&id) {
        registry.left_out += 1;
    } else {
        let kind = IssueKind {
            severity: severity_of(&severity),
            title: or_name(clean(&display_name, 200), &id),
            description: clean(&description, MOST_TEXT),
            remediation: clean(&remediation, MOST_TEXT),
            category: clean(&category, 100),
            fix: IssueFix {
                waf_addressable,
                approach: Approach::read(&approach),
                code_fix_time: time(&code_time),
                waf_time: time(&waf_time),
                infrastructure_time: time(&infrastructure_time),
            },
        };
        registry.kinds.insert(id, kind);
    }
    Ok(())
}

/// Reads a switch, in the spelling of Python or JSON.
fn switch(value: json::Value) -> Option<bool> {
    match value {
        json::Value::Text(word) | json::Value::Bare(word) => word.trim().to_ascii_lowercase().parse().ok(),
        json::Value::List | json::Value::Object => None,
    }
}

/// Returns the usual time of a fix. The registry writes `N/A` where it has no time.
fn time(text: &str) -> Option<String> {
    let text = clean(text, 80);
    Some(text).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case("n/a"))
}

fn severity_of(word: &str) -> Severity {
    let word = word.trim().to_ascii_lowercase();
    word.parse().unwrap_or(if word == "info" { Severity::Informational } else { Severity::Unknown })
}

/// Parses the version in `KAST version 3.0.40` or `Kastrel built-in scanner 0.1.0`: the last word
/// that starts with a digit.
pub(super) fn version(text: &str) -> Option<String> {
    let word = text.split_whitespace().rev().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(clean(word, 40))
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
    fn json_and_text_plugin_lists_give_the_same_plugins() {
        let json = plugins_json(include_str!("fixtures/plugins-list.json")).unwrap();
        let text = plugins_text(include_str!("fixtures/plugins-list.txt"));
        let facts = |plugins: &[PluginInfo]| {
            plugins.iter().map(|p| (p.name.clone(), p.description.clone(), p.kind, p.available)).collect::<Vec<_>>()
        };
        assert_eq!(facts(&json), facts(&text));
        assert_eq!(
            (json.len(), json[12].kind, json[0].display_name.as_str()),
            (13, PluginKind::Active, "Organization Domain Discovery")
        );
    }

    #[test]
    fn dependencies_are_read_from_the_tree_and_from_the_list() {
        let mut plugins = plugins_json(include_str!("fixtures/plugins-list.json")).unwrap();
        add_dependencies(&mut plugins, include_str!("fixtures/plugins-deps.txt"));
        let of = |name: &str| plugins.iter().find(|plugin| plugin.name == name).unwrap().dependencies.join(",");
        assert_eq!(
            (of("script_detection"), of("ai_surface_detection"), of("zap")),
            ("mozilla_observatory".into(), "katana,whatweb,script_detection".into(), String::new())
        );
        let listed = plugins_json("WARNING x\n{\"plugins\":[{\"name\":\"a\",\"dependencies\":[\"b\",{\"plugin\":\"c\"}]},null,7,{\"name\":\"my plugin/1\",\"available\":null,\"description\":NaN}]}").unwrap();
        assert_eq!((listed.len(), listed[0].dependencies.join(",").as_str()), (2, "b,c"));
        assert_eq!(
            (listed[1].name.as_str(), listed[1].available, listed[1].description.as_str()),
            ("my plugin/1", true, "")
        );
    }

    #[test]
    fn the_registry_gives_severities() {
        let registry = registry(include_str!("fixtures/registry-list.json")).unwrap().kinds;
        assert_eq!(
            (registry.len(), registry["SWEET32"].severity, registry["SWEET32"].title.as_str()),
            (5, Severity::Low, "SWEET32 Vulnerability")
        );
    }

    #[test]
    fn registry_says_how_an_issue_is_best_fixed() {
        let text = r#"{"registry": [
            {"id": "a", "waf_addressable": true, "remediation_approach": "Combined", "code_fix_timeframe": "1-2 days",
             "waf_deployment_timeframe": "N/A", "infrastructure_fix_timeframe": "1 week"},
            {"id": "b", "waf_addressable": {"x": 1}, "remediation_approach": "magic", "code_fix_timeframe": 7},
            {"id": "c", "waf_addressable": False}]}"#;
        let kinds = registry(text).unwrap().kinds;
        let fix = IssueFix {
            waf_addressable: Some(true),
            approach: Some(Approach::Combined),
            code_fix_time: Some("1-2 days".into()),
            waf_time: None,
            infrastructure_time: Some("1 week".into()),
        };
        assert_eq!(kinds["a"].fix, fix);
        assert_eq!(kinds["b"].fix, IssueFix { code_fix_time: Some("7".into()), ..IssueFix::default() });
        assert_eq!(kinds["c"].fix.waf_addressable, Some(false));
    }

    #[test]
    fn odd_registry_entry_does_not_affect_others() {
        let sane = include_str!("fixtures/registry-list.json");
        let whole = registry(sane).unwrap().kinds;
        for odd in [
            r#"{"id":"odd","display_name":"Odd","severity":"High","category":null,"remediation":null}"#,
            r#"{"id":"odd","display_name":"Odd","severity":"High","description":7,"remediation":[1]}"#,
            r#"{"id":"odd","display_name":"Odd","severity":"high","description":"cut \ud83d","waf":NaN}"#,
            r#"{"id":"odd","display_name":"Odd","display_name":"Odd","severity":" HIGH ","category":{"a":1}}"#,
        ] {
            for (before, after) in
                [("", ""), ("WARNING: plugin {zap} uses an old schema\n", "\nDone {1}"), ("\u{feff}", "\n")]
            {
                let text = format!("{before}{}{after}", sane.trim_end().replacen('[', &format!("[null, 7, {odd},"), 1));
                let read = registry(&text).unwrap().kinds;
                assert_eq!(read.len(), whole.len() + 1, "{text}");
                assert_eq!((read["odd"].severity, read["odd"].title.as_str()), (Severity::High, "Odd"), "{text}");
                assert!(whole.iter().all(|(id, kind)| read[id] == *kind));
            }
        }
        let odd = registry(r#"{"registry":[{"id":"a","severity":null},{"id":"b","severity":"Awful"},{"id":null},{}]}"#)
            .unwrap()
            .kinds;
        assert_eq!(
            odd.values().map(|kind| (kind.severity, kind.title.as_str())).collect::<Vec<_>>(),
            [(Severity::Unknown, "a"), (Severity::Unknown, "b")]
        );
        for (text, fault) in [
            ("", Fault::NoObject),
            ("Usage: kast [OPTIONS]", Fault::NoObject),
            (&sane[..sane.len() / 2], Fault::Truncated),
            ("{\"registry\":{}}", Fault::NoObject),
        ] {
            assert_eq!(registry(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn registry_beyond_the_limit_reports_a_problem() {
        for (entries, problem) in
            [(10_000, None), (10_001, Some("1 entries more than the 10000")), (12_000, Some("2000 entries more"))]
        {
            // A repeated entry does not count as a further entry.
            let listed: Vec<_> = (0..entries)
                .chain([0])
                .map(|n| serde_json::json!({ "id": format!("issue {n}"), "severity": "low" }))
                .collect();
            let registry = registry(&serde_json::json!({ "registry": listed }).to_string()).unwrap();
            assert_eq!(registry.kinds.len(), 10_000);
            assert_eq!(registry.problem().is_some(), problem.is_some(), "{entries}");
            assert!(registry.problem().is_none_or(|text| text.contains(problem.unwrap())), "{entries}");
        }
    }

    #[test]
    fn scanner_versions_are_parsed() {
        for (text, expected) in [
            ("KAST version 3.0.40\n", Some("3.0.40")),
            ("Kastrel built-in scanner 0.1.0", Some("0.1.0")),
            ("Kastrel built-in scanner 0.2.0-dev", Some("0.2.0-dev")),
            ("no version", None),
        ] {
            assert_eq!(version(text).as_deref(), expected, "{text}");
        }
    }
}
