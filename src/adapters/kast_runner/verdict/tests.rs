use kastrel_actors::model::Severity;

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/", $name))
    };
}

fn read(name: &str, json: &str) -> PluginResult {
    processed(name, Ok(json), None)
}

fn own() -> Vec<PluginResult> {
    vec![
        read("whatweb", fixture!("whatweb_processed.json")),
        read("testssl", fixture!("testssl_processed.json")),
        read("script_detection", fixture!("script_detection_processed.json")),
        read("org_discovery", fixture!("org_discovery_processed.json")),
        read("wafw00f", fixture!("wafw00f_processed.json")),
        read("cors_analyzer", fixture!("cors_analyzer_processed.json")),
        read("ai_surface_detection", fixture!("ai_surface_detection_processed.json")),
    ]
}

#[test]
fn the_files_of_a_real_run_are_read() {
    let shown: Vec<String> = own().iter().map(|p| format!("{} {} {}", p.name, p.status, p.findings_count)).collect();
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
    let testssl = &own()[1];
    assert_eq!(testssl.message.as_deref(), Some(r#"testssl scan failed: /usr/bin/testssl: unrecognized option "--socket-timeout""#));
    assert_eq!(testssl.ended_at, Some("2026-11-23T19:07:00.390Z".parse().unwrap()));
}

#[test]
fn the_info_file_decides_about_states_and_times() {
    let zone = TimeZone::fixed(jiff::tz::offset(2));
    let merged = info(fixture!("kast_info.json"), &own(), &zone).unwrap();
    let of = |name: &str| merged.iter().find(|plugin| plugin.name == name).unwrap();
    assert_eq!(merged.len(), 12);
    assert_eq!(of("katana").status, PluginStatus::Unavailable);
    assert_eq!(of("katana").message.as_deref(), Some("its tool is not installed on this node"));
    assert_eq!((of("whatweb").status, of("whatweb").findings_count), (PluginStatus::Completed, 1));
    assert_eq!(of("whatweb").started_at, Some("2026-11-23T19:06:59.775423+02:00".parse().unwrap()));
    assert_eq!((of("org_discovery").status, of("org_discovery").message.as_deref()), (PluginStatus::Failed, Some("No results available.")));
}

#[test]
fn every_status_word_has_a_meaning() {
    let done = PluginResult::new("p", PluginStatus::Completed);
    for (word, own, expected) in [
        ("success", None, PluginStatus::Completed),
        ("Success", None, PluginStatus::Completed),
        ("fail", Some(&done), PluginStatus::Failed),
        ("failed", None, PluginStatus::Failed),
        ("unavailable", None, PluginStatus::Unavailable),
        ("skipped", None, PluginStatus::Skipped),
        ("unknown", None, PluginStatus::Failed),
        ("unknown", Some(&done), PluginStatus::Completed),
        ("novel\u{1b}[31m", None, PluginStatus::Failed),
    ] {
        let (status, reason) = final_status(word, own);
        assert_eq!(status, expected, "{word}");
        assert!(reason.is_none_or(|reason| !reason.contains('\u{1b}')));
    }
}

#[test]
fn odd_shapes_are_no_errors() {
    for (json, status, count, issues) in [
        ("{}", PluginStatus::Completed, 0, 0),
        (r#"{"findings":[],"findings_count":"3","issues":"none"}"#, PluginStatus::Completed, 3, 0),
        (r#"{"findings":"text","findings_count":-1,"issues":["a",{"id":"b","x":[1]},{"id":3},7,null,["c"]]}"#, PluginStatus::Completed, 0, 2),
        (r#"{"findings":{"disposition":"failed","results":"no route"}}"#, PluginStatus::Failed, 0, 0),
        (r#"{"findings":null,"disposition":"success","findings_count":2,"summary":["x"]}"#, PluginStatus::Completed, 2, 0),
        (r#"{"findings":{"results":[1,2,3]},"findings_count":9}"#, PluginStatus::Completed, 9, 0),
    ] {
        let plugin = read("p", json);
        assert_eq!((plugin.status, plugin.findings_count, plugin.issues.len()), (status, count, issues), "{json}");
    }
    assert_eq!(read("p", r#"{"findings":{"disposition":"fail","results":"no\nroute"}}"#).message.as_deref(), Some("no route"));
}

#[test]
fn broken_files_are_named() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (json, expected) in [
        (r#"{"findings_count": 3, "issu"#, "truncated"),
        ("", "truncated"),
        ("not json", "no JSON object"),
        ("[1]", "no JSON object"),
        (deep.as_str(), "cannot be read"),
    ] {
        let plugin = read("p", json);
        assert_eq!(plugin.status, PluginStatus::Failed, "{expected}");
        let message = plugin.message.unwrap();
        assert!(message.contains(expected) && message.len() < 300, "{message}");
    }
    assert_eq!(processed("p", Err("the file is larger than 8 MiB".into()), None).status, PluginStatus::Failed);
    // Deep nesting where nothing of interest is, costs no stack and is no error.
    assert_eq!(read("p", &format!(r#"{{"findings_count":4,"details":{deep}}}"#)).findings_count, 4);
}

#[test]
fn hostile_text_is_bounded_and_printable() {
    let json = serde_json::json!({
        "summary": format!("\u{1b}[31m{}", "x\u{0}".repeat(100_000)),
        "issues": (0..5_000).map(|n| format!("\u{202e}issue {n}")).collect::<Vec<_>>(),
    });
    let plugin = read("p", &json.to_string());
    let message = plugin.message.unwrap();
    assert!(message.chars().count() <= 500 && !message.contains(char::is_control));
    assert_eq!((plugin.issues.len(), plugin.issues[0].id.as_str()), (200, "issue 0"));
    assert_eq!(read("p", r#"{"summary":"a\udcff"}"#).message.as_deref(), Some("a\u{fffd}"));
}

#[test]
fn severity_and_title_come_from_the_registry() {
    let catalogue = Catalogue { registry: super::super::catalogue_text::registry(fixture!("registry-list.json")).unwrap(), ..Catalogue::default() };
    let plugin = processed("p", Ok(r#"{"issues":["No WAF Detected",{"id":"BEAST"},"novel"]}"#), Some(&catalogue));
    let shown: Vec<_> = plugin.issues.iter().map(|issue| (issue.severity, issue.title.as_str())).collect();
    assert_eq!(shown, [(Severity::High, "No WAF Detected"), (Severity::Medium, "BEAST Vulnerability"), (Severity::Unknown, "novel")]);
}

#[test]
fn an_info_file_without_plugins_is_no_verdict() {
    for json in ["{}", "[]", "null", r#"{"plugins":{}}"#, r#"{"plugins":"x"}"#, r#"{"plugins":[1]}"#, r#"{"plugins":[{"#] {
        assert!(info(json, &[], &TimeZone::UTC).is_err(), "{json}");
    }
    let names = r#"{"plugins":[{"plugin_name":"../x","status":"success"},{"plugin_name":"a"},{"plugin_name":"a","status":"success"}]}"#;
    let merged = info(names, &[PluginResult::new("b", PluginStatus::InProgress)], &TimeZone::UTC).unwrap();
    let shown: Vec<_> = merged.iter().map(|plugin| (plugin.name.as_str(), plugin.status)).collect();
    assert_eq!(shown, [("a", PluginStatus::Failed), ("b", PluginStatus::InProgress)]);
}

#[test]
fn times_are_local_unless_they_say_otherwise() {
    let zone = TimeZone::fixed(jiff::tz::offset(-5));
    assert_eq!(local_time("2026-11-23T19:07:00.5", &zone), Some("2026-11-24T00:07:00.5Z".parse().unwrap()));
    assert_eq!(local_time("2026-11-23T19:07:00Z", &zone), Some("2026-11-23T19:07:00Z".parse().unwrap()));
    assert_eq!(local_time("yesterday", &zone), None);
}
