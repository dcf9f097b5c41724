//! Tests of the files that a real run of KAST wrote.

use jiff::tz::TimeZone;
use kastrel_actors::model::PluginStatus;

use super::support::{fixture, merged};
use crate::adapters::kast_runner::verdict::processed::read;

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
