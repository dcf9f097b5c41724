use kastrel_actors::model::{ProjectFilter, TargetRecord};
use kastrel_findings::Severity;

use super::super::Asked;
use super::slow::{now, policies, table};
use crate::service::findings::query::{FindingFilter, FindingQuery, TargetQuery};
use crate::service::findings::testing::{finding, target};

/// Fails with the times if a page takes longer than 20 ms in a release build.
#[test]
#[ignore = "a measurement, not a test"]
fn page_at_200_000_findings_takes_at_most_20_ms() {
    let targets: Vec<TargetRecord> = (0..2_000)
        .map(|at| TargetRecord {
            tags: vec![format!("t{}", at % 9)],
            ..target("default", &format!("h{at}.example"), 9)
        })
        .collect();
    let mut findings = Vec::new();
    for (at, target) in targets.iter().enumerate() {
        for issue in 0..100 {
            let severity = Severity::ALL[(at + issue) % 6];
            let plugin = ["zap", "testssl", "katana", "http_headers"][issue % 4];
            findings.push(finding(target, plugin, &format!("issue-{issue}"), "a", severity, 1 + issue as u64 % 8));
        }
    }
    let table = table(&targets, &findings);
    drop(findings);
    let policies = policies();
    let asked = Asked { readable: &ProjectFilter::All, policies: &policies, now: now() };
    let mut times = Vec::new();
    for line in ["status:any", "", "severity:high", "severity:high plugin:zap tag:t1", "issue-77", "h77.example"] {
        let filter: FindingFilter = line.parse().unwrap();
        let query = FindingQuery { filter: filter.clone(), limit: 50, ..FindingQuery::default() };
        let began = tokio::time::Instant::now();
        let total = table.list(&query, asked).total;
        times.push((format!("{total} findings of {line:?}"), began.elapsed()));
        let began = tokio::time::Instant::now();
        let total = table.grouped(&filter, 0, 50, asked).total;
        times.push((format!("{total} groups of {line:?}"), began.elapsed()));
    }
    let began = tokio::time::Instant::now();
    let total = table.targets(&TargetQuery { limit: 50, ..TargetQuery::default() }, asked).total;
    times.push((format!("{total} targets"), began.elapsed()));
    assert!(times.iter().all(|(_, time)| time.as_millis() < 20), "{times:#?}");
}
