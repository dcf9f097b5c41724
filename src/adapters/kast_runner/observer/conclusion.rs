//! The last pass over an attempt's folder: the final state of each plugin, and notes for the user.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use kastrel_actors::model::{InfoFile, PluginResult, ScannerKind, SeverityCounts};

use super::pass::{MOST_BYTES, Observer};
use crate::adapters::kast_runner::plugin_name;
use crate::adapters::kast_runner::progress;
use crate::adapters::kast_runner::result_file::{self, ReadProblem};
use crate::adapters::kast_runner::verdict::{self, Info, Own, Sureness, Unsure};

const INFO_FILE: &str = "kast_info.json";

/// The results of an attempt that has ended.
#[derive(Debug)]
pub(in crate::adapters::kast_runner) struct Conclusion {
    /// The state of the scanner's result file.
    pub(in crate::adapters::kast_runner) info: InfoFile,
    /// The final state of the plugins.
    pub(in crate::adapters::kast_runner) plugins: Vec<PluginResult>,
    /// Notes for the user.
    pub(in crate::adapters::kast_runner) notes: Vec<String>,
    /// The plugins that count as completed if the target responds.
    pub(in crate::adapters::kast_runner) unsure: Vec<Unsure>,
}

impl Observer {
    /// Reads once more the results that were unreadable before, and the results of plugins that are
    /// in the scanner's result file but were not seen.
    fn read_rest(&mut self, info: &Info) {
        let unreadable = std::mem::take(&mut self.unreadable);
        let listed: BTreeSet<&String> =
            info.plugins.iter().map(|listed| &listed.raw_name).filter(|name| !name.is_empty()).collect();
        let names: BTreeSet<&String> = unreadable.iter().chain(listed.iter().copied()).collect();
        let mut failed = Vec::new();
        for name in names {
            let shown = plugin_name::shown(name);
            if !unreadable.contains(name) && self.seen.ended.contains_key(&plugin_name::key(&shown)) {
                continue;
            }
            let own = match self.read_processed(name) {
                Ok(own) => own,
                Err(ReadProblem::Missing) => continue,
                Err(problem) => Own::unreadable(&shown, format_args!("the file {problem}")),
            };
            if own.sureness == Sureness::Unreadable {
                failed.push(own);
            } else if listed.contains(name) {
                // No limit here, because the list itself is limited.
                self.seen.ended.insert(plugin_name::key(&shown), own);
            } else {
                self.add(own);
            }
        }
        // Last, so that no other file of the same plugin hides an unreadable one.
        for own in failed {
            self.seen.ended.insert(plugin_name::key(&own.result.name), own);
        }
    }

    /// Makes the last pass: returns the plugins' final state and the state of the scanner's result
    /// file. `at_stop` are the keys of the plugins that ran when the first stop request came.
    pub(in crate::adapters::kast_runner) fn conclude(
        mut self,
        zone: &TimeZone,
        at_stop: &BTreeSet<String>,
    ) -> Conclusion {
        self.look();
        let (info, written, problem) = match result_file::open(&self.dir, INFO_FILE, MOST_BYTES) {
            Ok(opened) => {
                let info = Info::read(opened.bytes);
                let problem = info.broken.as_ref().map(ToString::to_string);
                (info, opened.modified, problem.map(InfoFile::Unreadable))
            }
            Err(ReadProblem::Missing) => (Info::default(), None, Some(InfoFile::Missing)),
            Err(problem) => (Info::default(), None, Some(InfoFile::Unreadable(format!("the file {problem}")))),
        };
        self.read_rest(&info);
        let seen = progress::plugins(&self.expected, &self.seen);
        let mut plugins = verdict::merge(&info, &seen, &self.seen.ended, written, zone);
        let is_kast = self.catalogue.as_deref().is_none_or(|known| known.scanner.kind == ScannerKind::Kast);
        let unsure =
            if is_kast { verdict::judge(&mut plugins, &self.seen.ended, verdict::Moment::Over) } else { Vec::new() };
        verdict::broken_off(&mut plugins, at_stop);
        let mut notes: Vec<String> = self.registry_note(&plugins).into_iter().collect();
        notes.append(&mut self.expected.notes);
        plugins.extend(self.not_kept(&plugins, &info));
        Conclusion { info: problem.unwrap_or(InfoFile::Read), plugins, notes, unsure }
    }

    /// One result for all known plugins that are missing in `plugins` because of the limit.
    fn not_kept(&self, plugins: &[PluginResult], info: &Info) -> Option<PluginResult> {
        let kept: BTreeSet<String> = plugins.iter().map(|plugin| plugin_name::key(&plugin.name)).collect();
        let known = progress::names(&self.expected, &self.seen).map(plugin_name::key);
        let beyond: BTreeSet<String> =
            known.chain(self.beyond.iter().chain(&info.beyond).cloned()).filter(|key| !kept.contains(key)).collect();
        (!beyond.is_empty()).then(|| verdict::not_read(beyond.len()))
    }

    /// A note about the reason if issues have no severities, because such issues look harmless.
    fn registry_note(&self, plugins: &[PluginResult]) -> Option<String> {
        let counts = SeverityCounts::of(plugins);
        let Some(catalogue) = self.catalogue.as_deref() else {
            return (!counts.is_empty()).then(|| {
                "The severities of the issues are unknown: the scanner has not listed its plugins and issues".into()
            });
        };
        let why = catalogue.registry_problem.as_deref()?;
        if catalogue.registry.is_empty() {
            return (!counts.is_empty()).then(|| format!("The severities of the issues are unknown: {why}"));
        }
        // Only a part of the registry was read.
        (counts.unknown > 0).then(|| format!("The severities of some issues are unknown: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;
    use std::sync::Arc;

    use kastrel_actors::model::PluginStatus;

    use super::super::testing::{Staged, spoilt};
    use super::*;
    use crate::adapters::kast_runner::catalogue::{Catalogue, IssueKind};
    use crate::adapters::kast_runner::progress::Expected;

    /// A way to damage a plugin's result.
    type Spoil = fn(&std::path::Path);

    /// A plugin writes a good result and then damages it. The verdict follows the last version, as
    /// for an observer that saw only that version.
    #[test]
    fn an_earlier_version_of_a_result_does_not_hide_that_it_cannot_be_read() {
        let good = r#"{"findings_count":3,"disposition":"success","issues":["a"]}"#;
        let info = r#"{"plugins":[{"plugin_name":"whatweb","status":"success"}]}"#;
        let ways: [(&str, Spoil, usize, &str); 6] = [
            ("truncated", |file| std::fs::write(file, r#"{"findings_count":3,"iss"#).unwrap(), 1, "it is truncated"),
            ("empty", |file| std::fs::write(file, "").unwrap(), 1, "it is empty"),
            ("another document", |file| std::fs::write(file, "<html></html>").unwrap(), 1, "no JSON object"),
            (
                "a folder",
                |file| {
                    std::fs::remove_file(file).unwrap();
                    std::fs::create_dir(file).unwrap();
                },
                1,
                "no regular file",
            ),
            (
                "a link",
                |file| {
                    std::fs::remove_file(file).unwrap();
                    std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
                },
                1,
                "no regular file",
            ),
            ("gone", |file| std::fs::remove_file(file).unwrap(), 0, "whatweb_processed.json is missing"),
        ];
        for (what, spoil, unreadable, message) in ways {
            for is_seen_spoilt in [true, false] {
                let root = tempfile::tempdir().unwrap();
                let observer = || {
                    Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default())
                };
                let file = root.path().join("whatweb_processed.json");
                std::fs::write(&file, good).unwrap();
                let mut live = observer();
                assert_eq!(live.look().plugins.unwrap()[0].status, PluginStatus::Completed, "{what}");
                spoil(&file);
                if is_seen_spoilt {
                    assert_eq!(
                        live.look().plugins.unwrap()[0].status,
                        PluginStatus::InProgress,
                        "{what}: it may be half written"
                    );
                }
                std::fs::write(root.path().join("kast_info.json"), info).unwrap();
                for ended in [
                    live.conclude(&TimeZone::UTC, &BTreeSet::new()),
                    observer().conclude(&TimeZone::UTC, &BTreeSet::new()),
                ] {
                    let plugin = &ended.plugins[0];
                    assert_eq!(
                        (ended.plugins.len(), plugin.status, spoilt(&ended)),
                        (1, PluginStatus::Failed, unreadable),
                        "{what}: {plugin:?}"
                    );
                    assert!(plugin.message.as_deref().unwrap().contains(message), "{what}: {plugin:?}");
                    assert_eq!(plugin.issues_count(), 0, "{what}");
                }
            }
        }
    }

    #[test]
    fn unreadable_file_is_not_hidden_by_another_of_the_same_plugin() {
        for (good, torn) in [("WhatWeb", "whatweb"), ("whatweb", "WhatWeb")] {
            let root = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| {
                std::fs::write(root.path().join(format!("{name}_processed.json")), text).unwrap();
            };
            write(good, r#"{"disposition":"success"}"#);
            write(torn, r#"{"disposition":"suc"#);
            let ended =
                Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default())
                    .conclude(&TimeZone::UTC, &BTreeSet::new());
            assert_eq!((ended.plugins.len(), ended.plugins[0].status), (1, PluginStatus::Failed), "{torn}");
        }
    }

    #[test]
    fn plugins_beyond_the_bound_are_a_gap_and_each_counts_once() {
        // The numbers of listed plugins, of plugins with a file, and of plugins beyond the limit.
        for (listed, files, more) in [
            (500_usize, 500, None),
            (501, 501, Some("(1 more plugin)")),
            (600, 600, Some("(100 more plugins)")),
            (0, 600, Some("(100 more plugins)")),
            (600, 0, Some("(100 more plugins)")),
            (400, 600, Some("(100 more plugins)")),
        ] {
            let root = tempfile::tempdir().unwrap();
            for n in 0..files {
                std::fs::write(root.path().join(format!("p{n}_processed.json")), r#"{"disposition":"success"}"#)
                    .unwrap();
            }
            // Some plugins are listed twice.
            let listed_numbers = (0..listed).chain(0..listed.min(3)).chain(listed.saturating_sub(3)..listed);
            let entry = |n: usize| serde_json::json!({ "plugin_name": format!("p{n}"), "status": if n < 500 { "success" } else { "fail" } });
            let text = serde_json::json!({ "plugins": listed_numbers.map(entry).collect::<Vec<_>>() }).to_string();
            std::fs::write(root.path().join("kast_info.json"), text).unwrap();
            let ended =
                Observer::new(OwnedFd::from(std::fs::File::open(root.path()).unwrap()), None, Expected::default())
                    .conclude(&TimeZone::UTC, &BTreeSet::new());
            let last = ended.plugins.last().unwrap();
            assert_eq!(ended.plugins.len(), 500 + usize::from(more.is_some()), "{listed} {files}");
            assert_eq!(
                (more.is_some()).then_some((last.name.as_str(), last.status)),
                more.map(|name| (name, PluginStatus::Failed)),
                "{listed} {files}"
            );
            let others = if files == 0 { PluginStatus::Failed } else { PluginStatus::Completed };
            assert!(
                ended.plugins[..500].iter().all(|plugin| plugin.status == others),
                "{listed} {files}: each of those that are kept has its own file read"
            );
        }
    }

    #[test]
    fn files_of_plugins_with_any_name_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            std::fs::write(root.path().join(name), r#"{"findings_count":3,"disposition":"success"}"#).unwrap();
        };
        std::fs::create_dir(root.path().join("my plugin")).unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("etc")).unwrap();
        let names = ["nmap.vuln", "my plugin/1", "näme", "WhatWeb"];
        names.iter().for_each(|name| write(&format!("{name}_processed.json")));
        let listed: Vec<_> = names
            .iter()
            .chain(&["../up", "etc/passwd"])
            .map(|name| serde_json::json!({ "plugin_name": name, "status": "success" }))
            .collect();
        std::fs::write(root.path().join("kast_info.json"), serde_json::json!({ "plugins": listed }).to_string())
            .unwrap();
        let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
        let ended = Observer::new(dir, None, Expected { names: vec!["whatweb".into()], ..Expected::default() })
            .conclude(&TimeZone::UTC, &BTreeSet::new());
        let shown: Vec<_> = ended.plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.findings_count)).collect();
        assert_eq!(
            shown,
            [("nmap.vuln", 3), ("my plugin/1", 3), ("näme", 3), ("whatweb", 3), ("../up", 0), ("etc/passwd", 0)]
        );
        assert!(
            ended.plugins[4..].iter().all(|plugin| plugin.status == PluginStatus::Failed),
            "nothing outside the folder is read"
        );
    }

    #[test]
    fn issues_without_a_registry_are_explained() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("a_processed.json"), r#"{"issues":["X"]}"#).unwrap();
        let notes = |catalogue: Option<Catalogue>| {
            let dir = OwnedFd::from(std::fs::File::open(root.path()).unwrap());
            Observer::new(dir, catalogue.map(Arc::new), Expected::default())
                .conclude(&TimeZone::UTC, &BTreeSet::new())
                .notes
        };
        assert!(notes(None)[0].starts_with("The severities of the issues are unknown"));
        let broken = Catalogue { registry_problem: Some("the registry is truncated".into()), ..Catalogue::default() };
        assert!(notes(Some(broken))[0].ends_with("the registry is truncated"));
        assert!(notes(Some(Catalogue::default())).is_empty());
        let issue = |title: &str| IssueKind {
            severity: kastrel_actors::model::Severity::Low,
            title: title.into(),
            description: String::new(),
            remediation: String::new(),
            category: String::new(),
            fix: Default::default(),
        };
        let in_part = |id: &str| Catalogue {
            registry: [(id.to_owned(), issue("known"))].into(),
            registry_problem: Some("it is too long".into()),
            ..Catalogue::default()
        };
        assert_eq!(notes(Some(in_part("Y"))), ["The severities of some issues are unknown: it is too long"]);
        assert!(notes(Some(in_part("X"))).is_empty(), "all issues have a severity");
    }

    #[test]
    fn plugin_without_an_end_is_no_success_unless_the_list_has_one() {
        let written = r#"{"findings_count":3,"issues":["a"],"summary":"fine"}"#;
        for (info, status) in [
            (None, PluginStatus::InProgress),
            (Some(r#"{"plugins":[{"plugin_name":"katana","status":"success"}]}"#), PluginStatus::Completed),
            (Some(r#"{"plugins":[{"plugin_name":"katana","status":"fail"}]}"#), PluginStatus::Failed),
            (Some(r#"{"plugins":[{"plugin_name":"katana","status":"unknown"}]}"#), PluginStatus::Failed),
            (Some(r#"{"plugins":[]}"#), PluginStatus::InProgress),
            (Some(r#"{"plugins":[{"plugin_na"#), PluginStatus::InProgress),
        ] {
            let mut staged = Staged::new(&["katana"]);
            staged.write("katana_processed.json", written);
            assert_eq!(staged.states(), [PluginStatus::InProgress]);
            if let Some(info) = info {
                staged.write("kast_info.json", info);
            }
            let plugin = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins.remove(0);
            assert_eq!((plugin.status, plugin.issues_count()), (status, 1), "{info:?}: what it found is kept");
        }
    }

    #[test]
    fn reason_of_an_unlisted_plugin_comes_from_the_log() {
        let staged = Staged::new(&["a", "b", "c"]);
        staged.log("Running plugin: a\nDependency deadlock detected! Some plugins cannot run:\n  - b: Dependent plugin 'x' has not run yet\nPlugin c failed with exception: ");
        staged
            .log("Traceback (most recent call last):\n  File \"c.py\"\nValueError\nScan complete. 1 plugins executed.");
        staged.write(
            "kast_info.json",
            r#"{"plugins":[{"plugin_name":"a","status":"failed","error":"no route"},{"plugin_name":"c","status":"failed","error":""}]}"#,
        );
        let plugins = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins;
        let shown: Vec<_> = plugins
            .iter()
            .map(|plugin| (plugin.name.as_str(), plugin.status, plugin.message.as_deref().unwrap()))
            .collect();
        let failed = PluginStatus::Failed;
        assert_eq!(
            shown,
            [
                ("a", failed, "no route"),
                ("c", failed, "ValueError"),
                ("b", failed, "Dependency deadlock: Dependent plugin 'x' has not run yet")
            ]
        );
    }

    #[test]
    fn unreachable_target_gives_no_completed_plugin() {
        let mut staged = Staged::new(&["wafw00f", "cors_analyzer", "ai_surface_detection", "whatweb"]);
        staged.write("cors_analyzer_processed.json", r#"{"findings_count":0,"issues":[],"summary":"No issues"}"#);
        staged.log("Running plugin: cors_analyzer\nPlugin cors_analyzer finished with disposition: success\nPlugin cors_analyzer post-processed output: x");
        assert_eq!(staged.states()[1], PluginStatus::InProgress, "it is open whether the target answered");
        staged.write(
            "wafw00f_processed.json",
            r#"{"findings":{"disposition":"success","results":[]},"issues":["No WAF Detected"],"findings_count":0}"#,
        );
        assert_eq!(staged.states()[..2], [PluginStatus::Failed, PluginStatus::Failed]);
        staged.write(
            "whatweb_processed.json",
            r#"{"findings":{"disposition":"fail","results":[]},"findings_count":0,"summary":"No findings were produced by whatweb."}"#,
        );
        staged.write("ai_surface_detection_processed.json", r#"{"findings_count":0,"issues":[],"summary":"None"}"#);
        let names = ["wafw00f", "cors_analyzer", "ai_surface_detection", "whatweb"];
        let listed: Vec<_> =
            names.iter().map(|name| serde_json::json!({ "plugin_name": name, "status": "success" })).collect();
        staged.write("kast_info.json", &serde_json::json!({ "plugins": listed }).to_string());
        let plugins = staged.observer.conclude(&TimeZone::UTC, &BTreeSet::new()).plugins;
        assert!(
            plugins.iter().all(|plugin| plugin.status == PluginStatus::Failed && plugin.issues_count() == 0),
            "{plugins:?}"
        );
    }
}
