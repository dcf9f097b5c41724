//! Tests of issues: their severities and titles, their order, and the alerts of ZAP.

use std::collections::BTreeMap;

use kastrel_actors::model::{PluginResult, Severity};

use super::support::{assert_all_are_expected, case, catalogue, fixture};
use crate::adapters::kast_runner::catalogue::Catalogue;
use crate::adapters::kast_runner::catalogue_text;
use crate::adapters::kast_runner::json::Fault;
use crate::adapters::kast_runner::verdict::processed::read;

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
    let kind = crate::adapters::kast_runner::catalogue::IssueKind {
        severity: Severity::Medium,
        title: "Open Redirect".into(),
        description: String::new(),
        remediation: String::new(),
        category: String::new(),
        fix: Default::default(),
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
