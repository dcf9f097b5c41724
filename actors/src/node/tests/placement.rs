//! Tests of nodes whose scanners have different plugins, and of the warning of a submission.

use std::sync::Arc;

use super::support::{SECOND, always, drain, ends};
use crate::Client;
use crate::model::{FailureKind, ScanRequestDraft, ScanStatus, ScannerKind};
use crate::node::start;
use crate::node_config::NodeConfig;
use crate::testing::{Cluster, Script, fixtures};

/// Returns the ports of a node whose scanner has these plugins.
fn with_scanner(cluster: &Cluster, kind: ScannerKind, plugins: &[&str]) -> crate::NodePorts {
    let offer = tokio::sync::watch::channel(Some(Arc::new(fixtures::offer(kind, plugins)))).1;
    crate::NodePorts { offer, ..cluster.ports() }
}

async fn submit_with(cluster: &Cluster, plugins: &[&str]) -> crate::service::Accepted {
    let draft = ScanRequestDraft {
        target: "example.com".into(),
        plugins: plugins.iter().map(ToString::to_string).collect(),
        ..ScanRequestDraft::default()
    };
    cluster.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_scan_goes_to_a_node_whose_scanner_has_its_plugins() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let start = |name: &str, ports| start(NodeConfig::new(name.parse().unwrap(), 2), ports);
    let _small = start("small", with_scanner(&cluster, ScannerKind::Builtin, &["tls"])).await.unwrap();
    let _old = start("old", with_scanner(&cluster, ScannerKind::Kast, &["tls", "whatweb"])).await.unwrap();
    let _new = start("new", with_scanner(&cluster, ScannerKind::Kast, &["tls", "whatweb", "zap"])).await.unwrap();
    let mut bounced = 0;
    for _ in 0..20 {
        let id = submit_with(&cluster, &["zap"]).await.scan.record.id;
        let row = cluster.until_status(id, ScanStatus::Completed).await;
        let (last, before) = row.attempts.split_last().unwrap();
        assert_eq!((last.node.as_str(), row.failures), ("new", 0));
        // A node with the built-in scanner reads the row first. Any other node does so after the
        // first scan that it has to release.
        assert!(before.iter().all(|attempt| attempt.node.as_str() == "old"), "{row:#?}");
        bounced += before.len();
    }
    assert!(bounced <= 1, "{bounced}");
    // A plugin that all nodes have runs on any of them.
    for _ in 0..10 {
        let id = submit_with(&cluster, &["tls"]).await.scan.record.id;
        assert_eq!(cluster.until_status(id, ScanStatus::Completed).await.attempts.len(), 1);
    }
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_no_node_can_run_waits_for_one_and_then_fails_with_the_plugin_and_the_nodes() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let start = |name: &str, ports| start(NodeConfig::new(name.parse().unwrap(), 2), ports);
    let _small = start("small", with_scanner(&cluster, ScannerKind::Builtin, &["tls"])).await.unwrap();
    tokio::time::sleep(SECOND).await;
    let accepted = submit_with(&cluster, &["zap"]).await;
    assert!(accepted.warning().unwrap().contains("small (built-in scanner 1) has no zap"), "{:?}", accepted.warning());
    let id = accepted.scan.record.id;
    tokio::time::sleep(58 * SECOND).await;
    assert_eq!(cluster.row(id).await.status(), ScanStatus::Pending);
    let row = cluster.until_status(id, ScanStatus::Failed).await;
    let failure = row.last_failure().unwrap();
    assert_eq!(failure.kind, FailureKind::UsageError);
    assert!(failure.detail.contains("small (built-in scanner 1) has no zap"), "{}", failure.detail);
    assert_eq!(cluster.runner.runs().len(), 0);

    // A capable node that connects in time runs it.
    let id = submit_with(&cluster, &["zap"]).await.scan.record.id;
    tokio::time::sleep(40 * SECOND).await;
    let _able = start("able", with_scanner(&cluster, ScannerKind::Kast, &["zap"])).await.unwrap();
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!((ends(&row), row.attempts[0].node.as_str()), (vec!["completed".to_owned()], "able"));
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn submission_result_names_what_keeps_the_scan_from_starting() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let web = cluster.services_elsewhere().scans;
    let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
    let warning = async |service: &crate::service::ScanService| {
        service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().warning()
    };
    assert_eq!(
        warning(&web).await.unwrap(),
        "Scan accepted and stored. No worker connected. Starts when a worker connects."
    );
    let _node = cluster.node("a", 1).await;
    tokio::time::sleep(SECOND).await;
    assert_eq!(warning(&web).await, None);
    cluster.services.queue.pause(&fixtures::context(), Some("an upgrade")).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(
        warning(&web).await.unwrap(),
        "Scan accepted and stored. The queue is paused (an upgrade). Starts when the queue is resumed."
    );
    cluster.services.queue.resume(&fixtures::context()).await.unwrap();
    drain(&cluster, Some(600 * SECOND)).await;
    tokio::time::sleep(6 * SECOND).await;
    assert!(
        warning(&web).await.unwrap().contains("No worker takes new scans: 1 connected worker is draining or stopping"),
        "a node that drains takes none"
    );
}
