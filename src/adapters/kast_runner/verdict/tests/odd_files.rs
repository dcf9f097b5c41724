//! Tests of files with odd, broken and hostile values.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use kastrel_actors::model::{MAX_COUNT, PluginStatus};

use super::support::{assert_all_are_expected, case, catalogue, merged, of_text};
use crate::adapters::kast_runner::json::Fault;
use crate::adapters::kast_runner::plugin_name;
use crate::adapters::kast_runner::verdict::processed::read;
use crate::adapters::kast_runner::verdict::{Info, merge};

#[test]
fn result_with_odd_values_is_read_and_an_unreadable_one_fails() {
    use PluginStatus::{Completed, Failed};
    // File, status, findings, counts (high, medium, low, unknown), part of the message.
    let expected: &[(&str, PluginStatus, u64, [u64; 4], &str)] = &[
        ("sane.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("nan.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("infinity.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("nan-count.json", Completed, 2, [1, 1, 0, 0], "ok"),
        ("repeated-key.json", Completed, 2, [1, 0, 0, 0], "last"),
        ("repeated-issues.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("byte-order-mark.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("raw-control-characters.json", Completed, 2, [1, 0, 0, 0], "ab line one tab"),
        ("lone-high-surrogate.json", Completed, 2, [1, 0, 0, 0], "Welcome to our shop \u{fffd}"),
        ("lone-high-surrogate-in-a-key.json", Completed, 1, [1, 0, 0, 0], "ok"),
        ("lone-high-surrogate-before-text.json", Completed, 2, [1, 0, 0, 0], "shop \u{fffd} and more 😀"),
        ("lone-low-surrogate.json", Completed, 2, [1, 0, 0, 0], "cut \u{fffd}."),
        ("invalid-utf8.json", Completed, 2, [1, 0, 0, 0], "b\u{fffd}cher"),
        ("trailing-garbage.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("warning-before.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("null-members.json", Completed, 1, [1, 0, 0, 0], ""),
        ("wrong-types.json", Completed, 4, [1, 0, 0, 3], ""),
        ("python-words.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("huge-count.json", Completed, MAX_COUNT, [1, 0, 0, 0], "ok"),
        ("exponent-count.json", Completed, MAX_COUNT, [1, 0, 0, 0], "ok"),
        ("negative-count.json", Completed, 0, [1, 0, 0, 0], "ok"),
        ("text-count.json", Completed, 12, [1, 0, 0, 0], "ok"),
        ("float-count.json", Completed, 3, [1, 0, 0, 0], "ok"),
        ("single-issue-object.json", Completed, 2, [1, 0, 0, 0], "ok"),
        ("issues-201.json", Completed, 2, [1, 0, 200, 0], "ok"),
        ("issues-1340.json", Completed, 2, [1, 0, 1339, 0], "ok"),
        ("issues-1000-novel.json", Completed, 2, [1, 1, 0, 1000], "ok"),
        ("utf16.json", Failed, 0, [0; 4], "UTF-16"),
        ("truncated.json", Failed, 0, [0; 4], "cannot be read: it is truncated"),
        ("truncated-in-a-list.json", Failed, 0, [0; 4], "truncated"),
        ("empty.json", Failed, 0, [0; 4], "it is empty"),
        ("zeros.json", Failed, 0, [0; 4], "holds no JSON object"),
        ("list.json", Failed, 0, [0; 4], "holds no JSON object"),
        ("python-repr.json", Failed, 0, [0; 4], "no JSON at byte 1"),
        ("html.json", Failed, 0, [0; 4], "holds no JSON object"),
        ("no-result.json", Failed, 0, [0; 4], "contains no result"),
        ("error-before-summary.json", Failed, 0, [0; 4], "ZAP did not start: docker is missing"),
        ("error-in-results.json", Failed, 0, [0; 4], "katana timed out after 600s"),
        ("error-in-summary-list.json", Failed, 0, [0; 4], "Plugin execution failed: no route"),
        ("failed-without-a-reason.json", Failed, 0, [0; 4], "Failed without a message"),
    ];
    assert_all_are_expected("results", expected.iter().map(|(file, ..)| *file));
    let catalogue = catalogue();
    for (file, status, findings, counts, message) in expected {
        let own = read("whatweb", case("results", file).as_slice(), Some(&catalogue));
        let seen = [own.result.clone()];
        // KAST's good word does not make an unreadable result good.
        let plugin = merge(
            &Info::read(case("info", "sane.json").as_slice()),
            &seen,
            &[("whatweb".to_owned(), own)].into(),
            None,
            &TimeZone::UTC,
        )
        .remove(0);
        let severities = plugin.severity_counts();
        assert_eq!((plugin.status, plugin.findings_count), (*status, *findings), "{file}: {:?}", plugin.message);
        assert_eq!([severities.high, severities.medium, severities.low, severities.unknown], *counts, "{file}");
        assert!(plugin.message.as_deref().unwrap_or_default().contains(message), "{file}: {:?}", plugin.message);
        assert!(!plugin.message.as_deref().unwrap_or_default().contains("No vulnerabilities"), "{file}");
    }
}

#[test]
fn odd_info_file_does_not_fail_the_scan() {
    // File, and the state of `whatweb`, whose own file is sane. These files are read to their end.
    let read_whole: &[(&str, PluginStatus)] = &[
        ("sane.json", PluginStatus::Completed),
        ("nan-duration.json", PluginStatus::Completed),
        ("null-entry.json", PluginStatus::Completed),
        ("null-plugins.json", PluginStatus::Completed),
        ("text-plugins.json", PluginStatus::Completed),
        ("object-plugins.json", PluginStatus::Completed),
        ("no-plugins.json", PluginStatus::Completed),
        ("empty-object.json", PluginStatus::Completed),
        ("repeated-plugins.json", PluginStatus::Completed),
        ("byte-order-mark.json", PluginStatus::Completed),
        ("surrogate-in-a-key.json", PluginStatus::Completed),
        ("odd-arguments.json", PluginStatus::Completed),
        ("null-times.json", PluginStatus::Completed),
        ("other-case.json", PluginStatus::Completed),
        ("trailing-garbage.json", PluginStatus::Completed),
        ("odd-names.json", PluginStatus::Completed),
    ];
    let broken: &[(&str, Fault)] = &[
        ("truncated.json", Fault::Truncated),
        ("utf16.json", Fault::Utf16),
        ("list.json", Fault::NoObject),
        ("empty.json", Fault::Empty),
    ];
    assert_all_are_expected(
        "info",
        read_whole.iter().map(|(file, _)| *file).chain(broken.iter().map(|(file, _)| *file)),
    );
    let sane = case("results", "sane.json");
    for (file, status) in read_whole {
        let json = case("info", file);
        assert_eq!(Info::read(json.as_slice()).broken, None, "{file}");
        let plugins = merged(&json, &[("whatweb", &sane)], &TimeZone::UTC);
        let whatweb: Vec<_> = plugins.iter().filter(|plugin| plugin_name::key(&plugin.name) == "whatweb").collect();
        assert_eq!(
            (whatweb.len(), whatweb[0].name.as_str(), whatweb[0].status, whatweb[0].findings_count),
            (1, "whatweb", *status, 2),
            "{file}"
        );
        assert_eq!(plugins.len(), if *file == "odd-names.json" { 8 } else { 1 }, "{file}");
    }
    for (file, fault) in broken {
        let json = case("info", file);
        assert_eq!(Info::read(json.as_slice()).broken.as_ref(), Some(fault), "{file}");
        // The plugin's own result still counts, and so does the part before the break.
        let plugins = merged(&json, &[("whatweb", &sane)], &TimeZone::UTC);
        assert_eq!((plugins[0].name.as_str(), plugins[0].status), ("whatweb", PluginStatus::Completed), "{file}");
        assert_eq!(plugins[0].started_at.is_some(), *file == "truncated.json", "{file}");
    }
}

#[test]
fn plugin_with_any_name_is_shown() {
    let plugins = merged(&case("info", "odd-names.json"), &[], &TimeZone::UTC);
    let shown: Vec<_> = plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.status)).collect();
    let names =
        ["my plugin/1", "näme", "nmap.vuln", "(unnamed plugin)", "(unnamed plugin) 2", "7", "<b>x</b>", "whatweb"];
    assert_eq!(shown, names.map(|name| (name, PluginStatus::Failed)));
    assert_eq!(plugins[1].message.as_deref(), Some("it broke"));
    assert_eq!(
        plugins[7].message.as_deref(),
        Some("The scanner reports success, but the result file whatweb_processed.json is missing")
    );
    let many: Vec<_> = (0..600).map(|n| serde_json::json!({ "plugin_name": n, "status": "fail" })).collect();
    let info = Info::read(serde_json::json!({ "plugins": many }).to_string().as_bytes());
    let merged = merge(&info, &[], &BTreeMap::new(), None, &TimeZone::UTC);
    assert_eq!((merged.len(), info.beyond.len(), info.beyond.first().map(String::as_str)), (500, 100, Some("500")));
}

#[test]
fn odd_shapes_of_results_are_no_errors() {
    for (json, status, count, issues) in [
        (r#"{"findings":[],"findings_count":"3","issues":"none"}"#, PluginStatus::Completed, 3, 0),
        (
            r#"{"findings":"text","findings_count":-1,"issues":["a",{"id":"b","x":[1]},{"id":3},7,null,["c"],{}]}"#,
            PluginStatus::Completed,
            0,
            6,
        ),
        (r#"{"findings":{"disposition":"failed","results":"no route"}}"#, PluginStatus::Failed, 0, 0),
        (r#"{"failed":{"disposition":"fail","results":"no route"}}"#, PluginStatus::Failed, 0, 0),
        (
            r#"{"findings":null,"disposition":"success","findings_count":2,"summary":["x"]}"#,
            PluginStatus::Completed,
            2,
            0,
        ),
        (r#"{"findings":{"results":[1,2,3]},"findings_count":9}"#, PluginStatus::Completed, 9, 0),
    ] {
        let plugin = of_text("p", json);
        assert_eq!((plugin.status, plugin.findings_count, plugin.issues.len()), (status, count, issues), "{json}");
    }
    assert_eq!(
        of_text("p", r#"{"findings":{"disposition":"fail","results":"no\nroute"}}"#).message.as_deref(),
        Some("no route")
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for key in ["details", "issues", "findings", "summary", "disposition", "findings_count"] {
        assert_eq!(of_text("p", &format!(r#"{{"{key}":{deep},"findings_count":4}}"#)).findings_count, 4, "{key}");
    }
}

#[test]
fn hostile_text_is_bounded_and_printable() {
    let json = serde_json::json!({
        "summary": format!("\u{1b}[31m{}", "x\u{0}".repeat(100_000)),
        "issues": (0..5_000).map(|n| format!("\u{202e}issue {n}")).collect::<Vec<_>>(),
    });
    let plugin = of_text("p", &json.to_string());
    let message = plugin.message.unwrap();
    assert!(message.chars().count() <= 500 && !message.contains(char::is_control));
    assert_eq!((plugin.issues.len(), plugin.issues[0].id.as_str(), plugin.severities.unknown), (200, "issue 0", 5_000));
}
