use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::tz::TimeZone;
use kastrel_actors::model::{MAX_COUNT, PluginResult, PluginStatus, Severity};

use super::super::catalogue::Catalogue;
use super::super::catalogue_text;
use super::super::json::Fault;
use super::super::plugin_name;
use super::processed::read;
use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../fixtures/", $name)).as_slice()
    };
}

fn case(folder: &str, name: &str) -> Vec<u8> {
    std::fs::read(cases(folder).join(name)).unwrap()
}

fn cases(folder: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/cases", folder].iter().collect()
}

/// Checks that every file of a folder has an expectation.
fn assert_all_are_expected<'a>(folder: &str, expected: impl Iterator<Item = &'a str>) {
    let files: BTreeSet<String> = std::fs::read_dir(cases(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, expected.map(str::to_owned).collect());
}

fn catalogue() -> Catalogue {
    let registry =
        catalogue_text::registry(&String::from_utf8(case("registry", "after-a-warning.txt")).unwrap()).unwrap().kinds;
    Catalogue { registry, ..Catalogue::default() }
}

fn of_text(name: &str, json: &str) -> PluginResult {
    read(name, json.as_bytes(), None).result
}

fn own(files: &[(&str, &[u8])]) -> BTreeMap<String, Own> {
    files.iter().map(|(name, json)| (plugin_name::key(name), read(name, *json, None))).collect()
}

/// The results at the end of an attempt in which these plugins wrote a file.
fn merged(info: &[u8], files: &[(&str, &[u8])], zone: &TimeZone) -> Vec<PluginResult> {
    let own = own(files);
    let seen: Vec<PluginResult> = files.iter().map(|(name, _)| own[&plugin_name::key(name)].result.clone()).collect();
    merge(&Info::read(info), &seen, &own, None, zone)
}

const REAL: &[(&str, &[u8])] = &[
    ("whatweb", fixture!("whatweb_processed.json")),
    ("testssl", fixture!("testssl_processed.json")),
    ("script_detection", fixture!("script_detection_processed.json")),
    ("org_discovery", fixture!("org_discovery_processed.json")),
    ("wafw00f", fixture!("wafw00f_processed.json")),
    ("cors_analyzer", fixture!("cors_analyzer_processed.json")),
    ("ai_surface_detection", fixture!("ai_surface_detection_processed.json")),
];

#[test]
fn files_of_a_real_run_are_read() {
    let shown: Vec<String> = REAL
        .iter()
        .map(|(name, json)| read(name, *json, None).result)
        .map(|p| format!("{} {} {}", p.name, p.status, p.findings_count))
        .collect();
    assert_eq!(
        shown,
        [
            "whatweb completed 1",
            "testssl failed 0",
            "script_detection failed 0",
            "org_discovery failed 0",
            "wafw00f completed 0",
            "cors_analyzer completed 0",
            "ai_surface_detection completed 0",
        ]
    );
    let testssl = read("testssl", REAL[1].1, None).result;
    assert_eq!(
        testssl.message.as_deref(),
        Some(r#"testssl scan failed: /usr/bin/testssl: unrecognized option "--socket-timeout""#)
    );
    assert_eq!(testssl.ended_at, Some("2026-11-23T19:07:00.390Z".parse().unwrap()));
}

#[test]
fn real_run_is_merged_with_times_in_the_plugins_own_zone() {
    // The zone of this machine does not matter: KAST ran in UTC, as the plugins' own times show.
    for hours in [-5, 0, 2] {
        let merged = merged(fixture!("kast_info.json"), REAL, &TimeZone::fixed(jiff::tz::offset(hours)));
        let of = |name: &str| merged.iter().find(|plugin| plugin.name == name).unwrap();
        assert_eq!(merged.len(), 12);
        assert_eq!(of("katana").status, PluginStatus::Unavailable);
        assert_eq!(of("katana").message.as_deref(), Some("Tool not installed on this node"));
        assert_eq!((of("whatweb").status, of("whatweb").findings_count), (PluginStatus::Completed, 1));
        assert_eq!(of("whatweb").started_at, Some("2026-11-23T19:06:59.775423Z".parse().unwrap()));
        // A summary which only states that nothing was found is not a reason for a failure.
        assert_eq!(
            (of("org_discovery").status, of("org_discovery").message.as_deref()),
            (PluginStatus::Failed, Some("Organization domain discovery did not complete."))
        );
        assert!(of("script_detection").message.as_deref().unwrap().starts_with("HTTPSConnectionPool"));
        for plugin in &merged {
            assert!(plugin.started_at.zip(plugin.ended_at).is_none_or(|(start, end)| start <= end), "{plugin:?}");
        }
    }
}

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
fn worst_issues_are_listed_first_and_all_are_counted() {
    let catalogue = catalogue();
    for (file, total) in [("issues-201.json", 201), ("issues-1340.json", 1340), ("issues-1000-novel.json", 1002)] {
        let plugin = read("whatweb", case("results", file).as_slice(), Some(&catalogue)).result;
        assert_eq!(
            (plugin.issues.len(), plugin.issues_count(), plugin.issues[0].id.as_str()),
            (200, total, "exposed_admin_panel"),
            "{file}"
        );
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
fn worse_of_two_end_words_counts() {
    let good = r#"{"disposition":"success","findings_count":1,"summary":"Found 1 issue"}"#;
    let bad = r#"{"disposition":"fail","findings":{"error":"no route"},"summary":"No vulnerabilities detected"}"#;
    let unsure = r#"{"findings_count":1,"summary":"Found 1 issue"}"#;
    let torn = r#"{"findings_count":1,"#;
    for (entry, own, status, message) in [
        (r#""status":"success""#, Some(good), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":"Success ""#, Some(unsure), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":"success""#, Some(bad), PluginStatus::Failed, Some("no route")),
        (
            r#""status":"success""#,
            Some(torn),
            PluginStatus::Failed,
            Some("Result file cannot be read: it is truncated"),
        ),
        (
            r#""status":"success","error":"odd""#,
            Some(torn),
            PluginStatus::Failed,
            Some("Result file cannot be read: it is truncated"),
        ),
        (
            r#""status":"success""#,
            None,
            PluginStatus::Failed,
            Some("The scanner reports success, but the result file p_processed.json is missing"),
        ),
        (r#""status":"fail""#, Some(good), PluginStatus::Failed, Some("Failed without a message. See the log.")),
        (r#""status":"fail""#, Some(bad), PluginStatus::Failed, Some("no route")),
        (
            r#""status":"failed","error":"division by \u001b[31mzero""#,
            Some(bad),
            PluginStatus::Failed,
            Some("division by zero"),
        ),
        (r#""status":"failed","error":"division by zero""#, None, PluginStatus::Failed, Some("division by zero")),
        (r#""status":"failed","error":"killed""#, Some(torn), PluginStatus::Failed, Some("killed")),
        (
            r#""status":"failed","error":null"#,
            None,
            PluginStatus::Failed,
            Some("Failed without a message. See the log."),
        ),
        (r#""status":"unavailable""#, None, PluginStatus::Unavailable, Some("Tool not installed on this node")),
        (
            r#""status":"unavailable","error":"docker is missing""#,
            None,
            PluginStatus::Unavailable,
            Some("docker is missing"),
        ),
        (r#""status":"skipped""#, None, PluginStatus::Skipped, Some("Skipped by the scanner")),
        (r#""status":"unknown""#, None, PluginStatus::Failed, Some("The scanner does not say how it ended")),
        (r#""status":"unknown""#, Some(good), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":null"#, Some(good), PluginStatus::Completed, Some("Found 1 issue")),
        (r#""status":null"#, Some(bad), PluginStatus::Failed, Some("no route")),
        (r#""status":"novel\u001b[31m""#, None, PluginStatus::Failed, Some("The scanner ended it as \"novel\"")),
        // An unknown word is never good, whether KAST or the plugin uses it.
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"timeout","summary":"No issues found"}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"timeout\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"partial","findings_count":3}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"partial\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"findings":{"disposition":"aborted"}}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"aborted\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"timeout","error":"no answer after 600 s"}"#),
            PluginStatus::Failed,
            Some("no answer after 600 s"),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"","findings":{"disposition":"fail","error":"no route"}}"#),
            PluginStatus::Failed,
            Some("no route"),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"success","findings":{"disposition":"fail","error":"no route"}}"#),
            PluginStatus::Failed,
            Some("no route"),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":"unknown","findings_count":1}"#),
            PluginStatus::Failed,
            Some("The plugin ended as \"unknown\""),
        ),
        (
            r#""status":"success""#,
            Some(r#"{"disposition":" Success\n","findings_count":1}"#),
            PluginStatus::Completed,
            None,
        ),
        (r#""status":"timeout""#, Some(unsure), PluginStatus::Failed, Some("The scanner ended it as \"timeout\"")),
        (r#""status":"partial""#, Some(good), PluginStatus::Failed, Some("The scanner ended it as \"partial\"")),
        (
            r#""status":"timeout","error":"killed after 600 s""#,
            Some(unsure),
            PluginStatus::Failed,
            Some("killed after 600 s"),
        ),
        (
            r#""status":"timeout""#,
            Some(r#"{"disposition":"unavailable"}"#),
            PluginStatus::Unavailable,
            Some("The scanner ended it as \"timeout\""),
        ),
        (r#""status":0"#, Some(unsure), PluginStatus::Failed, Some("The scanner ended it as \"0\"")),
        (r#""status":"COMPLETED""#, Some(unsure), PluginStatus::Completed, Some("Found 1 issue")),
    ] {
        let files: Vec<(&str, &[u8])> = own.iter().map(|own| ("p", own.as_bytes())).collect();
        let plugin =
            merged(format!(r#"{{"plugins":[{{"plugin_name":"p",{entry}}}]}}"#).as_bytes(), &files, &TimeZone::UTC)
                .remove(0);
        assert_eq!((plugin.status, plugin.message.as_deref()), (status, message), "{entry} {own:?}");
    }
    let twice = r#"{"plugins":[{"plugin_name":"a","status":"success"},{"plugin_name":"A","status":"fail"},{"plugin_name":"b"}]}"#;
    let shown: Vec<_> = merged(twice.as_bytes(), &[("a", good.as_bytes())], &TimeZone::UTC)
        .into_iter()
        .map(|plugin| (plugin.name, plugin.status))
        .collect();
    assert_eq!(shown, [("a".to_owned(), PluginStatus::Failed), ("b".to_owned(), PluginStatus::Failed)]);
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

#[test]
fn severity_and_title_come_from_the_registry() {
    let registry =
        catalogue_text::registry(std::str::from_utf8(fixture!("registry-list.json")).unwrap()).unwrap().kinds;
    let catalogue = Catalogue { registry, ..Catalogue::default() };
    let plugin =
        read("p", br#"{"issues":["novel","No WAF Detected",{"id":"BEAST"}]}"#.as_slice(), Some(&catalogue)).result;
    let shown: Vec<_> = plugin.issues.iter().map(|issue| (issue.severity, issue.title.as_str())).collect();
    assert_eq!(
        shown,
        [(Severity::High, "No WAF Detected"), (Severity::Medium, "BEAST Vulnerability"), (Severity::Unknown, "novel")]
    );
}

#[test]
fn every_registry_gives_its_severities_or_a_reason() {
    let expected: &[(&str, Result<usize, Fault>)] = &[
        ("after-a-warning.txt", Ok(5)),
        ("null-in-an-entry.json", Ok(6)),
        ("null-entry.json", Ok(5)),
        ("number-in-an-entry.json", Ok(5)),
        ("truncated.json", Err(Fault::Truncated)),
        ("empty.json", Ok(0)),
        ("usage.txt", Err(Fault::NoObject)),
    ];
    assert_all_are_expected("registry", expected.iter().map(|(file, _)| *file));
    for (file, entries) in expected {
        let registry = catalogue_text::registry(&String::from_utf8(case("registry", file)).unwrap())
            .map(|registry| registry.kinds);
        assert_eq!(registry.as_ref().map(BTreeMap::len).map_err(Clone::clone), *entries, "{file}");
        if let Ok(registry) = registry.as_ref().map(|registry| registry.get("exposed_admin_panel")) {
            assert_eq!(registry.map(|kind| kind.severity), (*file != "empty.json").then_some(Severity::High), "{file}");
        }
    }
}

/// A crawler's result with many URLs, generated while it is read.
struct Crawl {
    left: usize,
    issues_left: usize,
    pending: Vec<u8>,
    at: usize,
    served: u64,
}

impl std::io::Read for Crawl {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.pending.len() {
            self.at = 0;
            self.pending.clear();
            if self.left > 0 {
                self.left -= 1;
                self.pending.extend_from_slice(b"\"https://shop.example/");
                self.pending.resize(600, b'a');
                self.pending.extend_from_slice(if self.left == 0 { b"\"]},\"custom_html\":\"" } else { b"\"," });
                if self.left == 0 {
                    // One text with the size of a report.
                    self.pending.resize(4 << 20, b'x');
                    self.pending.extend_from_slice(b"\",\"issues\":[");
                }
            } else if self.issues_left > 0 {
                self.issues_left -= 1;
                self.pending.extend_from_slice(if self.issues_left == 0 {
                    b"\"BEAST\"],\"findings_count\":90000}"
                } else {
                    b"\"SWEET32\","
                });
            }
        }
        let taken = buffer.len().min(self.pending.len() - self.at);
        buffer[..taken].copy_from_slice(&self.pending[self.at..self.at + taken]);
        self.at += taken;
        self.served += taken as u64;
        Ok(taken)
    }
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// The measured memory is that of the process, so the crawl is read in a separate process.
#[test]
fn a_crawl_of_any_size_is_read_in_bounded_memory() {
    const ALONE: &str = "KASTREL_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let name = format!(
            "{}::a_crawl_of_any_size_is_read_in_bounded_memory",
            module_path!().trim_start_matches("kastrel::")
        );
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[alone.stdout, alone.stderr].concat()).into_owned();
        assert!(alone.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut crawl = Crawl {
        left: 90_000,
        issues_left: 50_000,
        pending: br#"{"findings":{"disposition":"success","results":["#.to_vec(),
        at: 0,
        served: 0,
    };
    let before = peak_memory();
    let plugin = read("katana", &mut crawl, Some(&catalogue())).result;
    let (grown, served) = (peak_memory().saturating_sub(before), crawl.served);
    assert_eq!((plugin.status, plugin.findings_count), (PluginStatus::Completed, 90_000));
    assert_eq!((plugin.severities.low, plugin.severities.medium, plugin.issues.len()), (49_999, 1, 200));
    assert!(served > 55_000_000 && grown < served / 2, "{grown} bytes for a file of {served}");
}

/// The result of one of KAST's plugins which KAST calls successful.
fn called_success(name: &str, json: &str) -> PluginResult {
    let info = serde_json::json!({ "plugins": [{ "plugin_name": name, "status": "success" }] }).to_string();
    merged(info.as_bytes(), &[(name, json.as_bytes())], &TimeZone::UTC).remove(0)
}

#[test]
fn plugin_that_checked_nothing_has_failed_despite_a_success_word() {
    for (name, json, reason) in [
        // testssl: no connection, an empty result, a result of another form, an interrupted run.
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"id":"scanProblem","severity":"FATAL","finding":"no route to a.test"}]},"summary":"Unable to complete TLS scan.","issues":[]}"#,
            "no route to a.test",
        ),
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"targetHost":"a.test","vulnerabilities":[]},{"id":"scanProblem","severity":"fatal","finding":"2nd address refused"}]},"summary":"No vulnerabilities"}"#,
            "2nd address refused",
        ),
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"id":"scanProblem","severity":"FATAL"}]},"summary":"x"}"#,
            "testssl could not scan the target",
        ),
        (
            "testssl",
            r#"{"findings":{"scanResult":[]},"findings_count":0,"summary":"No vulnerabilities","issues":[]}"#,
            "testssl left a result without any test",
        ),
        (
            "testssl",
            r#"{"findings":{"scanResult":null},"findings_count":0,"summary":"No vulnerabilities"}"#,
            "testssl left a result without any test",
        ),
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"targetHost":"a.test"}]},"findings_count":0,"summary":"No vulnerabilities"}"#,
            "without any test",
        ),
        (
            "testssl",
            r#"{"findings":{"raw_data":[{"id":"x"}]},"findings_count":0,"summary":"No vulnerabilities"}"#,
            "could not read",
        ),
        ("testssl", r#"{"findings":{},"findings_count":0,"summary":"No vulnerabilities"}"#, "testssl left no result"),
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"protocols":[]}],"scanTime":"Scan interrupted"},"findings_count":0}"#,
            "testssl was interrupted",
        ),
        // A sentence instead of a word.
        (
            "new",
            r#"{"findings":{},"summary":"Unable to complete the scan.","issues":[]}"#,
            "Unable to complete the scan.",
        ),
        (
            "new",
            r#"{"findings":{},"summary":"done","results_message":"Scan could not be completed: no route","issues":[]}"#,
            "no route",
        ),
        (
            "related_sites",
            r#"{"findings":{},"findings_count":0,"summary":"Plugin failed: No subdomains discovered for a.test","issues":[]}"#,
            "No subdomains discovered for a.test",
        ),
        (
            "org_discovery",
            r#"{"findings":{},"findings_count":0,"summary":"Error: [Errno 2] no such file","issues":[]}"#,
            "[Errno 2]",
        ),
        ("new", r#"{"findings":{},"executive_summary":["Plugin execution failed: no tool"],"issues":[]}"#, "no tool"),
        ("new", r#"{"findings":{"error":"no tool"},"findings_count":0,"issues":[]}"#, "no tool"),
        // The target did not respond.
        (
            "wafw00f",
            r#"{"findings":{"disposition":"success","results":[]},"findings_count":0,"summary":"No WAFs were detected.","issues":["No WAF Detected"]}"#,
            "the target did not answer",
        ),
        (
            "whatweb",
            r#"{"findings":{"disposition":"fail","results":[]},"findings_count":0,"summary":"No findings were produced by whatweb."}"#,
            "No findings were produced",
        ),
        (
            "mozilla_observatory",
            r#"{"findings":{"disposition":"success","results":{"error":"invalid-hostname-lookup","message":"a.test cannot be resolved"}},"summary":"Grade: N/A, Score: N/A"}"#,
            "a.test cannot be resolved",
        ),
        (
            "mozilla_observatory",
            r#"{"findings":{"disposition":"success","results":{}},"summary":"Grade: N/A, Score: N/A"}"#,
            "no result of a test",
        ),
    ] {
        let plugin = called_success(name, json);
        assert_eq!(
            (plugin.status, plugin.issues_count(), plugin.findings_count),
            (PluginStatus::Failed, 0, 0),
            "{name} {json}: {plugin:?}"
        );
        assert!(plugin.message.as_deref().unwrap_or_default().contains(reason), "{name} {json}: {:?}", plugin.message);
        assert_eq!(
            read(name, json.as_bytes(), None).result.status,
            PluginStatus::Failed,
            "{name} {json}: it is known before the list is there"
        );
    }
    for (name, json) in [
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"targetHost":"a.test","vulnerabilities":[{"id":"x","severity":"OK"}]}],"scanTime":"80"},"summary":"No vulnerabilities"}"#,
        ),
        (
            "testssl",
            r#"{"findings":{"scanResult":[{"id":"scanProblem","severity":"WARN","finding":"odd"},{"protocols":[]}]},"summary":"No vulnerabilities"}"#,
        ),
        (
            "wafw00f",
            r#"{"findings":{"disposition":"success","results":[{"detected":false}]},"summary":"No WAF detected"}"#,
        ),
        ("other_waf", r#"{"findings":{"disposition":"success","results":[]},"summary":"No WAF detected"}"#),
        (
            "mozilla_observatory",
            r#"{"findings":{"disposition":"success","results":{"scan":{"grade":"A"},"tests":{}}},"summary":"Grade: A"}"#,
        ),
        ("new", r#"{"disposition":"success","findings":{},"summary":"Error: is the title of the page"}"#),
        ("new", r#"{"findings":{"results":{}},"summary":"http://a.test — Title [Login failed: try again]"}"#),
    ] {
        assert_eq!(called_success(name, json).status, PluginStatus::Completed, "{name} {json}");
    }
    // The built-in scanner itself reports whether it checked anything.
    let builtin = Catalogue {
        scanner: kastrel_actors::model::ScannerInfo {
            kind: kastrel_actors::model::ScannerKind::Builtin,
            version: "1".into(),
        },
        ..Catalogue::default()
    };
    let json = br#"{"findings":{"disposition":"success","results":[]},"findings_count":0}"#;
    assert_eq!(read("wafw00f", json.as_slice(), Some(&builtin)).result.status, PluginStatus::Completed);
}

#[test]
fn reason_of_a_failure_is_found_in_any_field() {
    let entry = br#"{"plugins":[{"plugin_name":"p","status":"fail"}]}"#;
    for (json, message) in [
        (r#"{"findings":{},"summary":"Plugin failed: no names","details":"no names"}"#, "Plugin failed: no names"),
        (r#"{"findings":{},"summary":"Nothing","results_message":"Error: no names"}"#, "Error: no names"),
        (
            r#"{"disposition":"fail","summary":"No vulnerabilities detected","details":"Unable to reach a.test"}"#,
            "Unable to reach a.test",
        ),
        (
            r#"{"disposition":"fail","summary":"p scan failed: ","executive_summary":"The scan could not be completed."}"#,
            "The scan could not be completed.",
        ),
        (r#"{"disposition":"fail","summary":"p scan failed: "}"#, "Failed without a message. See the log."),
        (
            r#"{"findings":{"urls":[]},"summary":"No URLs were found.","details":"Detected 0 unique URL(s)."}"#,
            "Failed without a message. See the log.",
        ),
    ] {
        let plugin = merged(entry, &[("p", json.as_bytes())], &TimeZone::UTC).remove(0);
        assert_eq!((plugin.status, plugin.message.as_deref()), (PluginStatus::Failed, Some(message)), "{json}");
    }
}

#[test]
fn plugin_without_findings_is_judged_by_evidence_of_a_response() {
    use PluginStatus::{Completed, Failed, InProgress, Pending, Unavailable};
    const WAF_REACHED: &str =
        r#"{"findings":{"disposition":"success","results":[{"detected":false}]},"findings_count":0}"#;
    const WAF_DOWN: &str = r#"{"findings":{"disposition":"success","results":[]},"findings_count":0}"#;
    const SCRIPT_OK: &str = r#"{"findings":{"disposition":"success","results":{}},"findings_count":0}"#;
    const SCRIPT_DOWN: &str = r#"{"findings":{"disposition":"fail","results":"HTTPSConnectionPool(host='a.test', port=443): Max retries exceeded (NewConnectionError)"}}"#;
    const SCRIPT_CERTIFICATE: &str = r#"{"findings":{"disposition":"fail","results":"HTTPSConnectionPool(host='a.test', port=443): CERTIFICATE_VERIFY_FAILED"}}"#;
    const SCRIPT_404: &str =
        r#"{"findings":{"disposition":"fail","results":"404 Client Error: Not Found for url: https://a.test/"}}"#;
    const WEB_DOWN: &str = r#"{"findings":{"disposition":"fail","results":[]}}"#;
    const WEB_OK: &str =
        r#"{"findings":{"disposition":"success","results":[{"target":"http://a.test"}]},"findings_count":1}"#;
    const NOTHING: &str = r#"{"findings":{},"findings_count":0,"summary":"No issues","issues":[]}"#;
    const SOMETHING: &str = r#"{"findings":{},"findings_count":1,"summary":"1 issue","issues":["x"]}"#;
    // The plugin, its file, the files of others, the states of others without a file, and the
    // expected status during and after the run.
    for (name, json, others, states, running, over) in [
        ("cors_analyzer", NOTHING, &[("wafw00f", WAF_DOWN)][..], &[][..], Failed, Failed),
        ("cors_analyzer", NOTHING, &[("wafw00f", WAF_REACHED)], &[], Completed, Completed),
        (
            "cors_analyzer",
            NOTHING,
            &[("wafw00f", WAF_DOWN), ("script_detection", SCRIPT_CERTIFICATE)],
            &[],
            Completed,
            Completed,
        ),
        ("cors_analyzer", NOTHING, &[("script_detection", SCRIPT_404)], &[], Completed, Completed),
        (
            "cors_analyzer",
            NOTHING,
            &[("script_detection", SCRIPT_OK)],
            &[("wafw00f", InProgress)],
            Completed,
            Completed,
        ),
        ("cors_analyzer", NOTHING, &[("script_detection", SCRIPT_DOWN)], &[], Failed, Failed),
        // The plugin stays undecided while the other one may still reach the target.
        ("cors_analyzer", NOTHING, &[("wafw00f", WAF_DOWN)], &[("script_detection", Pending)], InProgress, Failed),
        // No plugin shows it, so the target is probed.
        ("cors_analyzer", NOTHING, &[], &[("wafw00f", InProgress)], InProgress, Completed),
        ("cors_analyzer", NOTHING, &[], &[("wafw00f", Unavailable)], InProgress, Completed),
        ("cors_analyzer", NOTHING, &[], &[], InProgress, Completed),
        ("katana", NOTHING, &[], &[], InProgress, Completed),
        ("ftap", NOTHING, &[], &[], InProgress, Completed),
        // WhatWeb uses another scheme, so its result does not count.
        ("cors_analyzer", NOTHING, &[("whatweb", WEB_DOWN)], &[], InProgress, Completed),
        ("cors_analyzer", SOMETHING, &[("wafw00f", WAF_DOWN)], &[], Completed, Completed),
        ("katana", NOTHING, &[("whatweb", WEB_DOWN)], &[], Failed, Failed),
        ("katana", NOTHING, &[("whatweb", WEB_OK), ("wafw00f", WAF_DOWN)], &[], Completed, Completed),
        ("subfinder", NOTHING, &[("whatweb", WEB_DOWN), ("wafw00f", WAF_DOWN)], &[], Completed, Completed),
        // This plugin reads only the results of others.
        (
            "ai_surface_detection",
            NOTHING,
            &[("whatweb", WEB_DOWN), ("script_detection", SCRIPT_DOWN)],
            &[("katana", Unavailable)],
            Failed,
            Failed,
        ),
        (
            "ai_surface_detection",
            NOTHING,
            &[("whatweb", WEB_OK), ("script_detection", SCRIPT_DOWN)],
            &[],
            Completed,
            Completed,
        ),
        ("ai_surface_detection", NOTHING, &[("whatweb", WEB_DOWN), ("katana", NOTHING)], &[], Failed, Failed),
        ("ai_surface_detection", NOTHING, &[("whatweb", WEB_DOWN)], &[("katana", InProgress)], InProgress, Failed),
        ("ai_surface_detection", NOTHING, &[], &[], Completed, Completed),
    ] {
        let files: Vec<(&str, &[u8])> = std::iter::once((name, json))
            .chain(others.iter().copied())
            .map(|(name, json)| (name, json.as_bytes()))
            .collect();
        let own = own(&files);
        let mut plugins: Vec<PluginResult> = own.values().map(|own| own.result.clone()).collect();
        plugins.extend(states.iter().map(|(name, status)| PluginResult::new(*name, *status)));
        for (moment, expected) in [(Moment::Running, running), (Moment::Over, over)] {
            let mut judged = plugins.clone();
            let unsure = judge(&mut judged, &own, moment);
            let plugin = judged.iter().find(|plugin| plugin.name == name).unwrap();
            assert_eq!(plugin.status, expected, "{name} {others:?} {states:?} {moment:?}: {plugin:?}");
            assert_eq!(plugin.message.is_some(), expected != InProgress, "{name} {others:?} {moment:?}: {plugin:?}");
            // The target is probed for each plugin that is undecided at the end.
            let is_asked = moment == Moment::Over && running == InProgress && over == Completed;
            assert_eq!(unsure.iter().any(|one| one.key == name), is_asked, "{name} {others:?} {moment:?}: {unsure:?}");
            let silence = vec![Err("https://a.test:443/: Connection refused".to_owned()); unsure.len()];
            for (answers, expected) in
                [(vec![Ok(()); unsure.len()], Completed), (silence, Failed)].into_iter().filter(|_| is_asked)
            {
                let mut settled = judged.clone();
                settle(&mut settled, &unsure, &answers);
                let plugin = settled.iter().find(|plugin| plugin.name == name).unwrap();
                let reason = plugin
                    .message
                    .as_deref()
                    .is_some_and(|text| text.ends_with("answered: https://a.test:443/: Connection refused"));
                assert_eq!((plugin.status, reason), (expected, expected == Failed), "{plugin:?}");
            }
        }
    }
}

/// A plugin that reads the results of a plugin without any contact to the target had no input.
#[test]
fn reader_of_other_results_is_judged_again_after_the_probe() {
    const NOTHING: &[u8] = br#"{"findings":{},"findings_count":0,"summary":"No issues","issues":[]}"#;
    let own = own(&[("katana", NOTHING), ("ai_surface_detection", NOTHING)]);
    for (answer, expected) in [(Ok(()), PluginStatus::Completed), (Err("no answer".to_owned()), PluginStatus::Failed)] {
        let mut plugins: Vec<PluginResult> = own.values().map(|own| own.result.clone()).collect();
        let unsure = judge(&mut plugins, &own, Moment::Over);
        assert_eq!(unsure.iter().map(|one| one.key).collect::<Vec<_>>(), ["katana"]);
        settle(&mut plugins, &unsure, &[answer]);
        assert!(plugins.iter().all(|plugin| plugin.status == expected), "{plugins:?}");
    }
}

#[test]
fn each_alert_is_counted_once_with_its_own_severity() {
    let alert = |name: &str, risk: &str, rule: &str| serde_json::json!({ "alert": name, "risk": risk, "pluginId": rule, "url": "https://a.test/x" });
    let mut alerts: Vec<_> =
        (0..60).map(|n| alert(&format!("Alert {n}"), ["High", "Medium", "Low", "Informational"][n % 4], "1")).collect();
    // Each alert also occurs on other pages. One alert has an issue of KAST and comes from two
    // rules.
    alerts
        .extend((0..60).map(|n| alert(&format!("Alert {n}"), ["High", "Medium", "Low", "Informational"][n % 4], "1")));
    alerts.extend([alert("Off-site Redirect", "Medium", "10028"), alert("External Redirect", "High", "20019")]);
    let strings: Vec<String> = alerts
        .iter()
        .take(50)
        .map(|alert| format!("{} [{}]", alert["alert"].as_str().unwrap(), alert["risk"].as_str().unwrap()))
        .collect();
    let issues: Vec<String> = std::iter::once("zap-open-redirect".to_owned()).chain(strings.clone()).collect();
    let kind = super::super::catalogue::IssueKind {
        severity: Severity::Medium,
        title: "Open Redirect".into(),
        description: String::new(),
        remediation: String::new(),
        category: String::new(),
    };
    let catalogue = Catalogue { registry: [("zap-open-redirect".to_owned(), kind)].into(), ..Catalogue::default() };
    let counts = |plugin: &PluginResult| {
        let counts = plugin.severity_counts();
        [counts.high, counts.medium, counts.low, counts.informational, counts.unknown]
    };
    let sites = serde_json::json!([{ "@name": "a", "alerts": alerts[..70] }, { "@name": "b", "alerts": alerts[70..] }]);
    for findings in [serde_json::json!({ "alerts": alerts }), serde_json::json!({ "site": sites })] {
        let json = serde_json::json!({ "disposition": "success", "findings": findings, "findings_count": 122, "summary": "Found 122 issues", "issues": issues, "zap_kast_issues": ["zap-open-redirect"] });
        let plugin = read("zap", json.to_string().as_bytes(), Some(&catalogue)).result;
        assert_eq!((counts(&plugin), plugin.findings_count), ([15, 16, 15, 15, 0], 122));
        assert_eq!(plugin.issues.iter().filter(|issue| issue.title == "Open Redirect").count(), 1);
        assert_eq!((plugin.issues[0].title.as_str(), plugin.issues[0].severity), ("Alert 0", Severity::High));
    }
    // ZAP's file report has numbers for the risks.
    let coded = serde_json::json!({ "site": { "alerts": [{ "name": "A", "riskcode": "3" }, { "name": "B", "riskcode": 0 }, { "name": "C" }, { "name": "D", "risk": "odd" }, {}, 7] } });
    let plugin =
        read("zap", serde_json::json!({ "findings": coded, "issues": [] }).to_string().as_bytes(), None).result;
    assert_eq!(counts(&plugin), [1, 0, 0, 3, 1]);
    // Without the alerts, the counts come from the list and the summary.
    let summary =
        "Found 62 issues: 16 High, 17 Medium, 14 Low \u{2014} 3 WAF-addressable, 59 require code fix (spider: ajax)";
    let json = serde_json::json!({ "disposition": "success", "findings": {}, "findings_count": 62, "summary": summary, "issues": issues, "zap_kast_issues": ["zap-open-redirect"] });
    let plugin = read("zap", json.to_string().as_bytes(), Some(&catalogue)).result;
    assert_eq!((counts(&plugin), plugin.issues.len()), ([16, 17, 14, 15, 0], 50));
    // Any plugin may use a severity that the registry does not have.
    let plugin = read(
        "new",
        br#"{"issues":["Odd thing [High]","Other [informational]","Page [1]","zap-open-redirect "]}"#.as_slice(),
        Some(&catalogue),
    )
    .result;
    assert_eq!((counts(&plugin), plugin.issues[0].title.as_str()), ([1, 1, 0, 1, 1], "Odd thing"));
}

#[test]
fn status_before_the_list_exists_follows_file_and_log() {
    use super::super::kast_log::Logged;
    use PluginStatus::{Completed, Failed, InProgress};
    let guessed = read("p", br#"{"findings_count":0,"summary":"fine"}"#.as_slice(), None);
    let stated = read("p", br#"{"findings_count":0,"summary":"fine","disposition":"success"}"#.as_slice(), None);
    let failed = read("p", br#"{"findings":{"disposition":"fail","results":"no route"}}"#.as_slice(), None);
    let running = Logged { has_started: true, ..Logged::default() };
    let ended = |word: &str, is_processed| Logged { word: Some(word.into()), is_processed, ..running.clone() };
    let broken = |reason: &str| Logged { failure: Some(reason.into()), ..ended("success", false) };
    for (own, logged, status, message) in [
        (&guessed, None, InProgress, None),
        (&guessed, Some(running.clone()), InProgress, None),
        (&guessed, Some(ended("success", false)), InProgress, None),
        (&guessed, Some(ended("success", true)), Completed, Some("fine")),
        (&guessed, Some(ended("fail", true)), Failed, Some("Failed without a message. See the log.")),
        (&guessed, Some(ended("partial", true)), Failed, Some("The scanner ended it as \"partial\"")),
        (&guessed, Some(ended("None", true)), Failed, Some("The scanner ended it as \"None\"")),
        (&guessed, Some(broken("no file")), Failed, Some("no file")),
        (&stated, None, Completed, Some("fine")),
        (&stated, Some(running.clone()), InProgress, None),
        (&stated, Some(ended("success", true)), Completed, Some("fine")),
        (&stated, Some(broken("")), Failed, Some("Failed without a message. See the log.")),
        (&failed, None, Failed, Some("no route")),
        (&failed, Some(ended("success", true)), Failed, Some("no route")),
    ] {
        let (is, says) = so_far(own, logged.as_ref());
        assert_eq!((is, says.as_deref()), (status, message), "{:?} {logged:?}", own.sureness);
    }
}

#[test]
fn plugin_that_failed_after_a_stop_request_is_interrupted() {
    use PluginStatus::{Completed, Failed, InProgress, Interrupted, Pending};
    for (before, status, after) in [
        (InProgress, Failed, Interrupted),
        (Failed, Failed, Failed),
        (InProgress, Completed, Completed),
        (Pending, Failed, Failed),
    ] {
        let mut plugins =
            vec![PluginResult { message: Some("Interrupt".into()), ..PluginResult::new("WhatWeb", status) }];
        broken_off(&mut plugins, &running(&[PluginResult::new("whatweb", before)]));
        assert_eq!(
            (plugins[0].status, plugins[0].message.is_none()),
            (after, after == Interrupted),
            "{before} {status}"
        );
    }
}
