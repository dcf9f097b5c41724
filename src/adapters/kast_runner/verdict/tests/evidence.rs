//! Tests of plugins that checked nothing without reporting it.

use jiff::tz::TimeZone;
use kastrel_actors::model::{PluginResult, PluginStatus};

use super::support::{merged, own};
use crate::adapters::kast_runner::catalogue::Catalogue;
use crate::adapters::kast_runner::verdict::processed::read;
use crate::adapters::kast_runner::verdict::{Moment, judge, settle};

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
            configuration: None,
        },
        ..Catalogue::default()
    };
    let json = br#"{"findings":{"disposition":"success","results":[]},"findings_count":0}"#;
    assert_eq!(read("wafw00f", json.as_slice(), Some(&builtin)).result.status, PluginStatus::Completed);
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
