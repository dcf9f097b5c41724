//! Hostile input for every reader.

mod hostile;

use proptest::prelude::*;
use serde_json::{Value, json};

use std::collections::BTreeSet;

use self::hostile::{hostile, mutated};
use super::dispatch::READERS;
use super::*;
use crate::limits::{MOST_ASSETS, MOST_SIGHTINGS};
use crate::notes::NoteKind;
use crate::sighting::IssueKey;

fn read_bytes(plugin: &str, processed: &[u8]) -> Reading {
    read(&ReaderInput { plugin, target: "shop.example", processed, zap_report: None })
}

fn plugins() -> impl Iterator<Item = &'static str> {
    READERS.iter().map(|(name, _)| *name).chain(["unknown_plugin"])
}

/// Calls `each` with every text of a value, keys too.
fn all_texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(elements) => elements.iter().for_each(|one| all_texts(one, each)),
        Value::Object(members) => members.iter().for_each(|(key, one)| {
            each(key);
            all_texts(one, each);
        }),
        _ => {}
    }
}

/// What holds for every reading, whatever the input.
fn check(reading: &Reading) {
    let stored = serde_json::to_string(reading).unwrap();
    assert_eq!(serde_json::from_str::<Reading>(&stored).unwrap(), *reading, "{stored}");
    let value = serde_json::to_value(reading).unwrap();
    all_texts(&value, &mut |text| {
        assert!(!text.chars().any(|c| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}')), "{text:?}");
        assert!(text.chars().count() <= 2_200 * 4, "{text:?}");
    });
    assert!(reading.sightings.len() <= MOST_SIGHTINGS && reading.assets.len() <= MOST_ASSETS);
    for sighting in &reading.sightings {
        assert_eq!(sighting.plugin, reading.plugin);
        assert!(!sighting.title.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_document_breaks_a_reader(findings in hostile(), root in hostile(), issues in hostile()) {
        let mut document = if root.is_object() { root } else { json!({}) };
        document["findings"] = findings;
        document["issues"] = issues;
        let bytes = document.to_string().into_bytes();
        for plugin in plugins() {
            check(&read_bytes(plugin, &bytes));
        }
        check(&read(&ReaderInput { plugin: "zap", target: "", processed: b"{}", zap_report: Some(&bytes) }));
    }

    #[test]
    fn no_change_of_a_real_document_breaks_its_reader((plugin, document) in mutated()) {
        let bytes = document.to_string().into_bytes();
        let reading = read_bytes(plugin, &bytes);
        check(&reading);
        check(&read(&ReaderInput { plugin, target: "", processed: b"{}", zap_report: Some(&bytes) }));
        prop_assert_eq!(read_bytes(plugin, &bytes), reading);
    }

    #[test]
    fn no_bytes_and_no_target_break_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200), target in any::<String>()) {
        for plugin in plugins() {
            check(&read(&ReaderInput { plugin, target: &target, processed: &bytes, zap_report: Some(&bytes) }));
        }
    }

    #[test]
    fn reading_twice_gives_the_same(findings in hostile()) {
        let bytes = json!({ "findings": findings, "issues": ["a"] }).to_string().into_bytes();
        for plugin in plugins() {
            prop_assert_eq!(read_bytes(plugin, &bytes), read_bytes(plugin, &bytes));
        }
    }
}

#[test]
fn every_listed_issue_is_taken_over_by_every_reader() {
    let bytes = json!({ "findings": {}, "issues": ["Odd Issue [Low]", { "id": "b", "severity": "High" }, 7, null] })
        .to_string();
    for plugin in plugins() {
        let reading = read_bytes(plugin, bytes.as_bytes());
        let found: Vec<&str> = reading.sightings.iter().map(|sighting| sighting.issue.as_str()).collect();
        assert_eq!(found, ["Odd Issue [Low]", "b"], "{plugin}");
        assert_eq!(reading.notes.get(NoteKind::WithoutPlace).unwrap().count, 2, "{plugin}");
        assert_eq!(reading.sightings[0].severity, Some(crate::Severity::Low));
    }
}

#[test]
fn a_file_without_findings_never_proves_that_an_issue_is_absent() {
    for bytes in [&b""[..], b"{", b"<html>", br#"{"findings": {}, "disposition": "failed", "issues": []}"#] {
        for plugin in plugins() {
            let reading = read_bytes(plugin, bytes);
            assert!(!reading.proves_absence_of(&IssueKey::new("x")), "{plugin} {}", String::from_utf8_lossy(bytes));
        }
    }
    // Readers that know the form of their findings notice that it is missing.
    let with_form = [
        "testssl",
        "zap",
        "mozilla_observatory",
        "cors_analyzer",
        "script_detection",
        "whatweb",
        "tls_certificate",
        "katana",
        "subfinder",
        "related_sites",
        "org_discovery",
        "ai_surface_detection",
        "wafw00f",
        "unknown_plugin",
    ];
    for plugin in with_form {
        assert!(
            !read_bytes(plugin, br#"{"findings": {}, "issues": []}"#).proves_absence_of(&IssueKey::new("x")),
            "{plugin}"
        );
    }
}

#[test]
fn ten_thousand_times_more_entries_than_the_limit_are_counted() {
    let entry = r#"{"issue": "a", "location": "https://shop.example/x"},"#;
    let text = format!("{{\"findings\": {{\"results\": [{}{{}}]}}, \"issues\": []}}", entry.repeat(300_000));
    let reading = read_bytes("exposed_files", text.as_bytes());
    assert_eq!(reading.sightings.len(), MOST_SIGHTINGS);
    assert!(reading.notes.get(NoteKind::SightingsCut).unwrap().count > 50_000);
    assert!(reading.notes.get(NoteKind::ValuesCut).is_some());
    assert!(!reading.proves_absence_of(&IssueKey::new("a")));
}

#[test]
fn renamed_plugins_keep_their_identity() {
    assert_eq!(plugin_key("ai_chatbot_detection"), "ai_surface_detection");
    assert_eq!(plugin_key("AI-Surface-Detection"), "ai_surface_detection");
    assert_eq!(plugin_key("my_plugin"), "my_plugin");
    let names: BTreeSet<_> = READERS.iter().map(|(name, _)| plugin_key(name)).collect();
    assert_eq!(names.len(), READERS.len());
}

fn inconclusive(plugin: &str, document: &Value) -> Vec<String> {
    let reading = read_bytes(plugin, document.to_string().as_bytes());
    reading.inconclusive.iter().map(ToString::to_string).collect()
}

#[test]
fn what_a_plugin_did_not_look_at_is_not_absent() {
    let listed = |text: &str| json!({ "findings": {}, "issues": [{ "id": "exposed-env-file", "description": text }] });
    assert_eq!(inconclusive("ftap", &listed("2 URLs found: https://a.example/x")), ["exposed-env-file"]);
    assert!(inconclusive("ftap", &listed("1 URL found: https://a.example/x")).is_empty());
    // KAST reports hosts without HTTPS only from two on.
    let hosts = json!({ "findings": { "live_hosts": [{ "host": "a.example", "ports": [80] }] }, "issues": [] });
    assert_eq!(inconclusive("related_sites", &hosts), ["related-sites-http-exposure"]);
    let scripts = json!({ "findings": { "results": { "scripts": [], "limited_by_config": true } }, "issues": [] });
    assert_eq!(inconclusive("script_detection", &scripts).len(), 4);
    let details = json!({
        "findings": { "detections": [] }, "issues": ["ai-endpoint-unauthenticated"],
        "details": "Accessible AI configuration endpoint(s) (2):\n  - https://a.example/x",
    });
    assert_eq!(inconclusive("ai_surface_detection", &details), ["ai-endpoint-unauthenticated"]);
    // Sections of testssl that were not run.
    let port = json!({ "findings": { "scanResult": [{ "targetHost": "a.example", "port": "443",
        "protocols": [{ "id": "SSLv2", "severity": "OK", "finding": "not offered" }],
        "serverDefaults": [{ "id": "cert_notAfter", "severity": "OK", "finding": "x" }],
        "vulnerabilities": [{ "id": "RC4", "severity": "OK", "finding": "not vulnerable" }] }] } });
    assert_eq!(inconclusive("testssl", &port), ["cipher-"]);
}

#[test]
fn no_reader_takes_more_than_linear_time() {
    let many = |entry: &str| entry.repeat(60_000);
    let certificates = format!(
        r#"{{"findings": {{"scanResult": [{{"targetHost": "a.example", "port": "443", "serverDefaults": [{}0]}}]}}}}"#,
        many(r#"{"id": "cert_notAfter", "severity": "OK", "finding": "x"},"#)
    );
    assert_eq!(read_bytes("testssl", certificates.as_bytes()).assets.len(), 1);
    let software = format!(
        r#"{{"findings": {{"results": [{}0]}}, "issues": ["whatweb-eol-technology"], "executive_summary": "End-of-life technologies detected: {}"}}"#,
        many(r#"{"plugins": {"P": {"version": ["1"]}}},"#),
        "P 2; ".repeat(3_000)
    );
    assert_eq!(read_bytes("whatweb", software.as_bytes()).sightings.len(), 100);
    for plugin in plugins() {
        let listed = format!(r#"{{"findings": {{}}, "issues": [{}"x"]}}"#, many(r#""a","#));
        assert_eq!(read_bytes(plugin, listed.as_bytes()).sightings.len(), 2, "{plugin}");
    }
}
