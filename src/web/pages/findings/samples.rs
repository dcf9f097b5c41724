//! Targets and findings for tests, with hostile texts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_actors::model::{
    FindingEntry, FindingRecord, LastCheck, LogChange, ProjectId, Put, ScanId, ScanResult, ScanStatus, SeenAsset,
    TargetRecord,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_findings::identity::{FindingId, Fingerprint, TargetId};
use kastrel_findings::lifecycle::{Check, Event, Finding, PluginCheck, PluginEnd, ScanOrder};
use kastrel_findings::place::{Label, Origin, Place, WebAddress};
use kastrel_findings::scope::CheckScope;
use kastrel_findings::{Asset, AssetKind, IssueKey, Severity, Sighting};

use crate::web::pages::layout::HOSTILE;
use crate::web::testing::TestApp;

/// A page must show [`HOSTILE`] as text: neither its tags nor its control characters may be there.
pub(crate) fn assert_harmless(html: &str) {
    assert!(!html.contains("<script>alert") && !html.contains('\u{1b}') && !html.contains('\u{202e}'), "{html}");
    assert!(!html.contains("\" onload=\"x"), "{html}");
}

/// The `n`th scan of a target, one minute after the one before it.
pub(crate) fn order(app: &TestApp, scan: u64) -> ScanOrder {
    let at = app.service.now() - jiff::SignedDuration::from_mins(100 - i64::try_from(scan).unwrap());
    ScanOrder { at, scan, token: 1 }
}

pub(crate) fn origin(host: &str) -> Origin {
    Origin::of_target(host).unwrap()
}

fn scope(plugin: &str, host: &str) -> CheckScope {
    CheckScope { plugin: plugin.into(), target: Some(origin(host)), settings: BTreeMap::new() }
}

/// A finding of `host` in `project`; `n` makes findings differ.
pub(crate) fn finding(app: &TestApp, project: &str, host: &str, n: u64, severity: Severity) -> FindingRecord {
    let target = TargetId::of(project, &origin(host));
    let fingerprint: Fingerprint = format!("kfp1:{n:064x}").parse().unwrap();
    let seen = order(app, 1);
    let place = Place::page(
        WebAddress::parse(&format!("https://{host}/page-{}", "x".repeat(usize::try_from(n).unwrap()))).unwrap(),
    );
    let sighting = Sighting::new("testssl", "tls1", place.clone())
        .title(HOSTILE)
        .location(&format!("https://{host}/?q={HOSTILE}"))
        .evidence(HOSTILE)
        .references(["https://cve.example/1", "CVE-2024-1"])
        .attribute("note", Some(HOSTILE));
    FindingRecord {
        id: FindingId::of(target, fingerprint),
        target,
        project: project.parse::<ProjectId>().unwrap(),
        fingerprint,
        rules: 1,
        plugin: "testssl".into(),
        issue: IssueKey::new("tls1"),
        title: format!("TLS 1.0 offered {HOSTILE}"),
        severity,
        category: Some(format!("TLS {HOSTILE}")),
        place,
        members: vec![HOSTILE.into(), "second".into()],
        members_count: 7,
        sighting,
        seen_with: scope("testssl", host),
        life: Finding::first(seen),
        owner: None,
        log: vec![
            FindingEntry {
                at: seen.at,
                by: None,
                scan: Some(1),
                change: LogChange::Life { event: Event::Found, reason: None },
            },
            FindingEntry {
                at: seen.at,
                by: Some("user:ana".into()),
                scan: None,
                change: LogChange::Comment { text: format!("seen {HOSTILE}") },
            },
        ],
        version: 0,
    }
}

/// Stores a target with two scans, assets and these findings.
pub(crate) async fn store(app: &TestApp, project: &str, host: &str, findings: Vec<FindingRecord>) -> TargetId {
    let id = TargetId::of(project, &origin(host));
    let (first, second) = (order(app, 1), order(app, 2));
    let target = |last: ScanOrder, version: u64| TargetRecord {
        id,
        project: project.parse().unwrap(),
        origin: origin(host),
        tags: vec!["eu/west".into(), "prod".into()],
        notes: format!("a note {HOSTILE}"),
        first_scan: first.at,
        last_scan: last,
        checks: BTreeMap::from([
            ("testssl".to_owned(), LastCheck { complete: Some(first), newest: (last, Check::TimedOut) }),
            ("whatweb".to_owned(), LastCheck { complete: Some(last), newest: (last, Check::Completed) }),
        ]),
        version,
    };
    let result = |order: ScanOrder, end| ScanResult {
        scan: ScanId(order.scan),
        target: id,
        project: project.parse().unwrap(),
        order,
        status: ScanStatus::Completed,
        stored_at: order.at,
        rules: 1,
        checks: BTreeMap::from([(
            "testssl".to_owned(),
            PluginCheck {
                end,
                version: "3.2".into(),
                scope: scope("testssl", host),
                read_completely: true,
                inconclusive: [].into(),
                kept_from: None,
            },
        )]),
        absent: Check::Skipped,
        notes: BTreeMap::new(),
        severities: BTreeMap::from([(Severity::High, 1)]),
        findings: 1,
        new: 1,
        fixed: 0,
    };
    let memory = &app.memory;
    for order in [first, second] {
        memory.suppose_scan(ScanId(order.scan), Some(&project.parse().unwrap()));
    }
    let put = memory.put_result(result(first, PluginEnd::Completed), target(first, 0), assets(host, first.at)).await;
    assert_eq!(put.unwrap(), Put::Stored);
    let put = memory.put_result(result(second, PluginEnd::TimedOut), target(second, 1), assets(host, second.at)).await;
    assert_eq!(put.unwrap(), Put::Stored);
    assert_eq!(memory.put_findings(findings).await.unwrap(), Put::Stored);
    id
}

fn assets(host: &str, at: Timestamp) -> Vec<SeenAsset> {
    let technology = AssetKind::Technology { origin: origin(host), name: Label::parse(HOSTILE).unwrap() };
    let certificate = AssetKind::Certificate { endpoint: origin(host).endpoint(), number: 1 };
    let seen = |asset| SeenAsset { asset, first_seen: at, last_seen: at, scan: ScanId(1) };
    let ended = Asset { valid_until: Some(at), ..Asset::new("testssl", certificate) };
    vec![seen(Asset::new("whatweb", technology).attribute("version", Some(HOSTILE))), seen(ended)]
}
