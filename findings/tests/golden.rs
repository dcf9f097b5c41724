//! Golden tests: what each reader makes of a result, with the fingerprints of its findings.
//!
//! `tests/golden/input` has the processed files, `PLUGIN.CASE.json`. Those of the case `real` were
//! written by KAST 3.0.40; the others are made by hand in the form that KAST's plugins, or the
//! built-in scanner, write. Each expected file was compared with its input by hand.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use kastrel_findings::Severity;
use kastrel_findings::readers::{ReaderInput, Reading, read};
use kastrel_findings::registry::Registry;
use serde_json::{Value, json};

fn inputs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/input")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(inputs().join(name)).unwrap()
}

/// The target of the scan that wrote the file.
fn target(case: &str) -> &'static str {
    if case == "real" { "127.0.0.1:8443" } else { "shop.example" }
}

fn check(name: &str) {
    let (plugin, case) = name.split_once('.').unwrap();
    let processed = file(&format!("{name}.json"));
    let plugin = if plugin == "generic" { "my_plugin" } else { plugin };
    let reading = read(&ReaderInput { plugin, target: target(case), processed: &processed, zap_report: None });
    snapshot(name, &reading);
}

fn snapshot(name: &str, reading: &Reading) {
    let mut value = serde_json::to_value(reading).unwrap();
    let observed = kastrel_findings::identity::roll_up(&reading.sightings, kastrel_findings::identity::current());
    let findings: Vec<Value> = observed
        .iter()
        .map(|finding| {
            json!({
                "fingerprint": finding.fingerprint.to_string(),
                "issue": finding.issue,
                "place": finding.place,
                "members": finding.members,
            })
        })
        .collect();
    value["findings"] = findings.into();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/expected"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_json_snapshot!(name, value));
}

macro_rules! golden {
    ($($test:ident = $name:literal;)+) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )+

        #[test]
        fn every_input_has_a_test() {
            let tested = BTreeSet::from([$($name.to_owned(),)+ "zap.report".to_owned(), "zap.issues".to_owned()]);
            let names = std::fs::read_dir(inputs()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let found: BTreeSet<String> = names.map(|name| name.trim_end_matches(".json").to_owned()).collect();
            assert_eq!(found, tested);
        }
    };
}

golden! {
    ai_surface_detection = "ai_surface_detection.issues";
    ai_surface_detection_real = "ai_surface_detection.real";
    cookie_flags = "cookie_flags.issues";
    cors_analyzer = "cors_analyzer.issues";
    cors_analyzer_real = "cors_analyzer.real";
    cors_policy_that_checked_only_a_part = "cors_policy.partial";
    dns_posture = "dns_posture.issues";
    exposed_files = "exposed_files.issues";
    ftap_of_kast_2 = "ftap.v2";
    ftap_of_kast_3 = "ftap.v3";
    generic = "generic.issues";
    http_headers = "http_headers.issues";
    katana_of_kast_2 = "katana.v2";
    katana_of_kast_3 = "katana.v3";
    observatory_of_kast_2 = "mozilla_observatory.v2";
    observatory_of_kast_3 = "mozilla_observatory.v3";
    org_discovery = "org_discovery.domains";
    org_discovery_real = "org_discovery.real";
    related_sites = "related_sites.issues";
    script_detection = "script_detection.issues";
    script_detection_real = "script_detection.real";
    script_integrity = "script_integrity.issues";
    subfinder = "subfinder.hosts";
    technology_hints = "technology_hints.issues";
    testssl = "testssl.issues";
    testssl_real = "testssl.real";
    testssl_that_could_not_connect = "testssl.problem";
    testssl_without_output = "testssl.no_output";
    tls_certificate = "tls_certificate.issues";
    wafw00f = "wafw00f.found";
    wafw00f_real = "wafw00f.real";
    wafw00f_without_answer = "wafw00f.no_answer";
    whatweb = "whatweb.issues";
    whatweb_real = "whatweb.real";
    zap_of_the_api = "zap.api";
}

#[test]
fn zap_reads_its_report() {
    let (processed, report) = (file("zap.issues.json"), file("zap.report.json"));
    let input = ReaderInput { plugin: "zap", target: "shop.example", processed: &processed, zap_report: Some(&report) };
    snapshot("zap.report", &read(&input));
    // Without the report, only the file's list of issues is left, and absence proves nothing.
    let reading = read(&ReaderInput { zap_report: None, ..input });
    assert!(reading.notes.may_hide_findings());
    snapshot("zap.issues", &reading);
}

#[test]
fn the_registry_of_kast_is_read() {
    let output = std::fs::read(inputs().parent().unwrap().join("registry-list.json")).unwrap();
    let registry = Registry::parse(&output).unwrap();
    let severities: Vec<(&str, Severity)> = ["exposed_admin_panel", "BEAST", "LUCKY13", "SWEET32", "No WAF Detected"]
        .map(|id| (id, registry.get(id).unwrap().severity))
        .to_vec();
    let expected = [
        ("exposed_admin_panel", Severity::High),
        ("BEAST", Severity::Medium),
        ("LUCKY13", Severity::Medium),
        ("SWEET32", Severity::Low),
        ("No WAF Detected", Severity::High),
    ];
    assert_eq!((registry.len(), severities), (5, expected.to_vec()));
    // The issues of real results have their entry.
    let reading = read(&ReaderInput {
        plugin: "wafw00f",
        target: target("real"),
        processed: &file("wafw00f.real.json"),
        zap_report: None,
    });
    assert_eq!(registry.entry_of(&reading.sightings[0]).unwrap().category.as_deref(), Some("WAF Detection"));
}
