use std::path::PathBuf;
use std::process::Command;

use kastrel_actors::model::ScanStatus;
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::{PluginEnd, Status};
use serde_json::Value;

use super::baseline::{BaselineError, KnownFindings};
use super::testing::{
    accepted, encoded, exported, false_positive, finding, head_of, hostile, scan_head, scan_with_gaps,
};
use super::*;

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn origin(text: &str) -> kastrel_findings::place::Origin {
    kastrel_findings::place::Origin::of_target(text).unwrap()
}

fn list_head() -> ExportHead {
    ExportHead::new(scan_head().ended_at, Subject::Findings { filter: "severity:high".into() })
}

/// The schema of SARIF 2.1.0, from the sources of the crate that has its types.
fn sarif_schema() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata = json(&output.stdout);
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "serde-sarif").unwrap();
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
    let mut schema = json(&std::fs::read(manifest.with_file_name("src").join("schema.json")).unwrap());
    // The published pattern of the property `language` is no valid regular expression.
    for definition in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][definition]["properties"]["language"];
        language.as_object_mut().unwrap().remove("pattern").unwrap();
    }
    schema
}

#[test]
fn sarif_matches_the_published_schema() {
    let validator = jsonschema::validator_for(&sarif_schema()).unwrap();
    let mut new = finding(3);
    new.baseline = Some(Baseline::New);
    let mut fixed = finding(4);
    fixed.baseline = Some(Baseline::Absent);
    fixed.fingerprint = None;
    fixed.life = None;
    let mut members = finding(5);
    (members.members, members.members_count) = (vec!["/a".into(), "/b".into()], 30);
    let all = [finding(0), hostile(1), accepted(finding(2)), new, fixed, members, false_positive(finding(6))];
    let documents = [
        exported(Format::Sarif, &[]),
        exported(Format::Sarif, &all),
        encoded(Format::Sarif, head_of(scan_with_gaps()), &all),
        encoded(Format::Sarif, list_head(), &all),
    ];
    for document in documents {
        let document = json(&document);
        let errors: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    }
    assert!(!validator.is_valid(&serde_json::json!({ "version": "2.1.0" })), "the schema refuses what is wrong");
}

#[test]
fn sarif_has_fingerprints_suppressions_baseline_and_rules() {
    let mut old = accepted(finding(1));
    old.baseline = Some(Baseline::Unchanged);
    let mut fixed = finding(2);
    fixed.baseline = Some(Baseline::Absent);
    let document = json(&exported(Format::Sarif, &[finding(0), old, fixed]));
    let run = &document["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results[0]["partialFingerprints"][FINGERPRINT_KEY], format!("kfp1:{:064x}", 0));
    assert_eq!((&results[0]["level"], &results[0]["suppressions"]), (&"error".into(), &serde_json::json!([])));
    assert_eq!(results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "shop.example");
    assert_eq!(results[0].get("baselineState"), None, "there is no comparison");
    assert_eq!(
        results[1]["suppressions"],
        serde_json::json!([{
            "kind": "external",
            "status": "accepted",
            "justification": "Accepted until 2027-01-31 by user:ana, owner ana: old clients",
        }])
    );
    assert_eq!((&results[1]["baselineState"], &results[2]["baselineState"]), (&"unchanged".into(), &"absent".into()));
    assert_eq!((&results[2]["kind"], &results[2]["level"]), (&"pass".into(), &"none".into()));
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 3);
    assert_eq!(
        (&rules[0]["id"], &rules[0]["helpUri"]),
        (&"testssl/issue-0".into(), &"https://docs.example/tls".into())
    );
    assert_eq!(rules[0]["properties"]["security-severity"], "8.0");
    assert_eq!(
        rules[0]["properties"]["tags"],
        serde_json::json!(["TLS", "external/cwe/cwe-326", "security", "testssl"])
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
}

#[test]
fn address_of_help_in_sarif_is_encoded_and_https_only() {
    let odd = "https://docs.example/a b\u{1b}<x>\"\n/ü";
    for (references, expected) in [
        (vec![odd], Value::from("https://docs.example/a%20b%1B%3Cx%3E%22/%C3%BC")),
        (vec!["CWE-326", "https://", "javascript:alert(1)", "http://docs.example/"], Value::Null),
        (vec!["https://", "HTTPS://Docs.Example/x"], Value::from("https://docs.example/x")),
    ] {
        let references = references.into_iter().map(str::to_owned).collect();
        let document = json(&exported(Format::Sarif, &[ExportedFinding { references, ..finding(0) }]));
        let rule = &document["runs"][0]["tool"]["driver"]["rules"][0];
        assert_eq!(rule.get("helpUri").cloned().unwrap_or_default(), expected);
    }
}

#[test]
fn export_is_never_clean_where_a_plugin_did_not_run_to_its_end() {
    let run =
        |scan: ExportedScan| json(&encoded(Format::Sarif, head_of(scan), &[]))["runs"][0]["invocations"][0].clone();
    let gaps = run(scan_with_gaps());
    assert_eq!(gaps["executionSuccessful"], false);
    let notes: Vec<(&str, &str)> = gaps["toolExecutionNotifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| (note["level"].as_str().unwrap(), note["message"]["text"].as_str().unwrap()))
        .collect();
    assert_eq!(
        notes,
        [
            ("error", "katana did not check everything: the plugin failed"),
            ("warning", "wafw00f did not check everything: the plugin was left out"),
            ("error", "zap did not check everything: the result could not be read completely"),
        ]
    );
    // Each way in which a scan checked nothing, in each format that has coverage.
    let failed = ExportedScan { status: ScanStatus::Failed, ..scan_head() };
    let nothing = ExportedScan { checks: std::collections::BTreeMap::new(), ..scan_head() };
    let mut dry = scan_head();
    dry.checks.values_mut().for_each(|check| check.end = PluginEnd::DryRun);
    let mut skipped = scan_head();
    skipped
        .checks
        .insert("zap".into(), ExportedCheck { left_out: false, ..scan_with_gaps().checks["wafw00f"].clone() });
    for scan in [scan_with_gaps(), failed, nothing, dry, skipped] {
        assert!(!scan.is_complete());
        assert_eq!(run(scan.clone())["executionSuccessful"], false, "{scan:?}");
        let junit = text(encoded(Format::Junit, head_of(scan.clone()), &[]));
        assert!(junit.contains("<error "), "{junit}");
        let github = text(encoded(Format::Github, head_of(scan), &[]));
        assert!(github.starts_with("::error title=Not checked"), "{github}");
    }
    let csv = text(encoded(Format::Csv, head_of(scan_with_gaps()), &[]));
    assert_eq!(csv.matches("not_checked\"").count(), 3, "{csv}");
    let lines = text(encoded(Format::JsonLines, head_of(scan_with_gaps()), &[]));
    assert!(lines.contains("\"katana\":{\"end\":\"failed\""), "{lines}");
}

#[test]
fn json_is_read_as_it_was_written() {
    let all = [finding(0), hostile(1), accepted(finding(2)), false_positive(finding(3))];
    let lines = text(exported(Format::JsonLines, &all));
    let read: Vec<Line> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read.first(), Some(&Line::Head(Box::new(head_of(scan_head())))));
    assert_eq!(read.last(), Some(&Line::End { findings: 4 }));
    let findings: Vec<ExportedFinding> = read
        .into_iter()
        .filter_map(|line| match line {
            Line::Finding(finding) => Some(*finding),
            Line::Head(_) | Line::End { .. } => None,
        })
        .collect();
    assert_eq!(findings, all);
    let document = json(&exported(Format::Json, &all));
    assert_eq!((&document["count"], &document["findings"][2]["life"]["status"]), (&4.into(), &"accepted".into()));
    assert_eq!(document["head"]["scan"]["id"], 7);
    assert_eq!(json(&exported(Format::Json, &[]))["findings"], serde_json::json!([]));
    let list = text(encoded(Format::JsonLines, list_head(), &[]));
    assert!(
        matches!(serde_json::from_str(list.lines().next().unwrap()).unwrap(), Line::Head(head) if *head == list_head())
    );
}

#[test]
fn baseline_is_read_from_sarif_json_and_json_lines() {
    let mut fixed = finding(2);
    fixed.baseline = Some(Baseline::Absent);
    let all = [finding(0), accepted(finding(1)), fixed];
    let target = origin("https://shop.example");
    for format in [Format::Sarif, Format::Json, Format::JsonLines] {
        let known = KnownFindings::read(&exported(format, &all), &target).unwrap();
        assert_eq!(known.count(), 2, "{format:?}");
        assert!(known.has(finding(0).fingerprint) && known.has(finding(1).fingerprint), "{format:?}");
        assert!(!known.has(finding(2).fingerprint) && !known.has(None), "a fixed finding that is back is new");
        assert_eq!(KnownFindings::read(&exported(format, &[]), &target).unwrap().count(), 0, "{format:?}");
    }
}

#[test]
fn baseline_of_another_target_is_refused_or_knows_nothing() {
    let staging = origin("https://staging.example");
    for format in [Format::Sarif, Format::Json, Format::JsonLines] {
        let error = KnownFindings::read(&exported(format, &[finding(0)]), &staging).unwrap_err();
        assert!(matches!(error, BaselineError::OtherTarget { .. }), "{format:?}: {error:?}");
        assert_eq!(
            error.to_string(),
            "it is of a scan of https://shop.example, and this scan is of https://staging.example"
        );
    }
    // An export over several targets: only the findings of this one are known.
    let other = ExportedFinding { origin: Some(staging.clone()), ..finding(1) };
    let nowhere = ExportedFinding { origin: None, ..finding(2) };
    for format in [Format::Sarif, Format::JsonLines] {
        let list = encoded(format, list_head(), &[finding(0), other.clone(), nowhere.clone()]);
        let known = KnownFindings::read(&list, &staging).unwrap();
        assert_eq!((known.count(), known.has(other.fingerprint)), (1, true), "{format:?}");
    }
    // The forms of one target, and its label with two names.
    for (text, wanted) in [
        ("shop.example", "https://shop.example"),
        ("https://SHOP.example:443/cart", "https://shop.example"),
        ("bücher.example (xn--bcher-kva.example)", "https://xn--bcher-kva.example"),
    ] {
        let scan = ExportedScan { target_text: text.into(), ..scan_head() };
        for format in [Format::Sarif, Format::Json] {
            let document = encoded(format, head_of(scan.clone()), &[finding(0)]);
            assert_eq!(KnownFindings::read(&document, &origin(wanted)).unwrap().count(), 1, "{text}");
            assert!(KnownFindings::read(&document, &staging).is_err(), "{text}");
        }
    }
}

#[test]
fn other_and_broken_files_are_no_baseline() {
    let lines = exported(Format::JsonLines, &[finding(0)]);
    let cut = lines.len() - "{\"type\":\"end\",\"findings\":1}\n".len();
    let json = exported(Format::Json, &[finding(0)]);
    let is = |bytes: &[u8], expected: fn(&BaselineError) -> bool| {
        let error = KnownFindings::read(bytes, &origin("https://shop.example")).unwrap_err();
        assert!(expected(&error), "{error:?}: {}", String::from_utf8_lossy(bytes));
    };
    is(&lines[..cut], |error| matches!(error, BaselineError::CutOff));
    is(&json[..json.len() / 2], |error| matches!(error, BaselineError::NotJson(_)));
    is(b"", |error| matches!(error, BaselineError::NotAnExport));
    is(b"{}", |error| matches!(error, BaselineError::NotAnExport));
    is(b"[]", |error| matches!(error, BaselineError::NotJson(_)));
    is(b"<xml/>", |error| matches!(error, BaselineError::NotJson(_)));
    is(br#"{"runs":[{"results":[{"ruleId":"x"}]}]}"#, |error| matches!(error, BaselineError::NotByKastrel));
    let wrong = br#"{"runs":[{"results":[{"partialFingerprints":{"kastrelFinding/v1":"md5:1"}}]}]}"#;
    is(wrong, |error| matches!(error, BaselineError::Fingerprint(_)));
}

#[test]
fn junit_has_a_suite_for_each_plugin_and_no_success_for_a_finding() {
    let zap = ExportedFinding { plugin: "zap".into(), severity: Severity::Informational, ..finding(3) };
    let all = [finding(0), hostile(1), accepted(finding(2)), zap];
    let xml = text(exported(Format::Junit, &all));
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    let suites: Vec<(&str, usize, usize, usize, usize)> = report
        .test_suites
        .iter()
        .map(|suite| (suite.name.as_str(), suite.tests, suite.failures, suite.errors, suite.skipped))
        .collect();
    assert_eq!(suites, [("testssl", 4, 2, 0, 1), ("zap", 1, 0, 0, 0)]);
    assert!(!xml.contains('\0') && !xml.contains('\u{1b}') && !xml.contains("<b>"), "{xml}");
}

#[test]
fn junit_says_what_is_beyond_its_limit() {
    let all: Vec<ExportedFinding> = (0..10_050).map(finding).collect();
    let xml = text(exported(Format::Junit, &all));
    let report = quick_junit::Report::deserialize_from_str(&xml).unwrap();
    assert_eq!((report.failures, report.errors), (9_999, 1));
    assert!(xml.contains("51 further findings are not in this file"));
}

#[test]
fn each_line_for_github_is_one_command_and_shows_the_worst_first() {
    let medium = ExportedFinding { severity: Severity::Medium, ..finding(3) };
    let critical = ExportedFinding { severity: Severity::Critical, baseline: Some(Baseline::New), ..finding(4) };
    let all = [medium, finding(0), hostile(1), accepted(finding(2)), critical];
    let lines = text(exported(Format::Github, &all));
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(
        lines[0],
        "::error title=new%2C critical%3A TLS 1.0 offered 4 (testssl)::TLS 1.0 offered 4 at shop.example:443 (TLSv1)%0Aoffered (deprecated)"
    );
    assert!(
        lines.iter().all(|line| line.starts_with("::error ")
            || line.starts_with("::warning ")
            || line.starts_with("::notice "))
    );
    assert!(lines.iter().any(|line| line.contains("first%0D%0A::set-env name=A::b")), "{lines:#?}");
    assert!(lines.last().unwrap().contains("1 with a decision"), "{lines:#?}");
    let many: Vec<ExportedFinding> = (0..500).map(finding).collect();
    let many = text(exported(Format::Github, &many));
    assert_eq!(many.lines().count(), 51);
    assert!(many.contains("450 further findings are not shown here"));
}

#[test]
fn csv_has_one_safe_line_for_each_finding() {
    let bytes = text(exported(Format::Csv, &[finding(0), hostile(1)]));
    assert!(bytes.starts_with('\u{feff}'));
    let mut reader = ::csv::Reader::from_reader(bytes.trim_start_matches('\u{feff}').as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 23);
    let rows: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    for cell in rows.iter().flatten() {
        assert!(!cell.chars().next().is_some_and(begins_formula), "{cell}");
    }
    assert_eq!((&rows[0][1], &rows[0][2], &rows[0][8]), ("open", "high", "https://shop.example"));
}

#[test]
fn openvex_has_one_statement_for_each_target_and_vulnerability() {
    let with = |number, cve: &str, change: &dyn Fn(ExportedFinding) -> ExportedFinding| {
        change(ExportedFinding { references: vec![cve.into(), "CWE-326".into()], ..finding(number) })
    };
    let status = |status| {
        move |mut finding: ExportedFinding| {
            finding.life.as_mut().unwrap().status = status;
            finding
        }
    };
    let other: kastrel_findings::identity::TargetId = "fedcba9876543210".parse().unwrap();
    let all = [
        with(0, "CVE-2014-0160", &status(Status::Fixed)),
        // The same one at another place is not fixed.
        with(1, "CVE-2014-0160", &status(Status::Open)),
        with(2, "CVE-2016-2183", &accepted),
        with(3, "CVE-2011-3389", &false_positive),
        with(4, "GHSA-aaaa-bbbb-cccc", &status(Status::Confirmed)),
        finding(5),
        with(6, "CVE-2014-0160", &|finding| ExportedFinding { target: other, ..status(Status::Fixed)(finding) }),
    ];
    let document = json(&encoded(Format::OpenVex, list_head(), &all));
    for field in ["@context", "@id", "author", "timestamp", "version", "tooling"] {
        assert!(document.get(field).is_some(), "{field}: {document:#}");
    }
    let statements: Vec<(&str, &str, bool, bool)> = document["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|statement| {
            let text = |name: &str| statement[name].as_str().unwrap();
            let (impact, action) = (statement.get("impact_statement"), statement.get("action_statement"));
            (statement["vulnerability"]["name"].as_str().unwrap(), text("status"), impact.is_some(), action.is_some())
        })
        .collect();
    assert_eq!(
        statements,
        [
            ("CVE-2011-3389", "not_affected", true, false),
            ("CVE-2014-0160", "under_investigation", false, false),
            ("CVE-2016-2183", "affected", false, true),
            ("GHSA-aaaa-bbbb-cccc", "affected", false, true),
            ("CVE-2014-0160", "fixed", false, false),
        ]
    );
    assert!(document["tooling"].as_str().unwrap().ends_with("; 1 finding without a CVE or GHSA number is left out"));
}

#[test]
fn openvex_without_a_vulnerability_is_an_error_before_any_byte() {
    let (mut encoder, mut out) = (Encoder::new(Format::OpenVex, list_head()), Vec::new());
    encoder.findings(&[finding(0)], &mut out).unwrap();
    assert!(out.is_empty());
    assert!(matches!(encoder.end(&mut out), Err(EncodeError::NoStatement)));
}

/// The writer keeps no finding: what it holds between two findings does not grow with their number.
#[test]
fn sarif_of_many_findings_is_written_piece_by_piece() {
    let (mut encoder, mut out, mut total) = (Encoder::new(Format::Sarif, head_of(scan_head())), Vec::new(), 0);
    for number in 0..10_000 {
        let finding = ExportedFinding { issue: kastrel_findings::IssueKey::new("tls1"), ..finding(number) };
        encoder.findings([&finding], &mut out).unwrap();
        assert!(out.len() < 8 << 10, "{}", out.len());
        total += out.len();
        out.clear();
    }
    encoder.end(&mut out).unwrap();
    assert!(out.len() < 8 << 10 && total > 4 << 20, "{} {total}", out.len());
}
