//! Tests of what a further attempt runs again, and of what the scan keeps.

use std::sync::Arc;
use std::time::Duration;

use super::support::{SECOND, ends};
use crate::NodePorts;
use crate::model::{PluginStatus, ScanRecord, ScanState, ScanStatus, ScannerInfo, ScannerKind};
use crate::node::start;
use crate::node_config::NodeConfig;
use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

/// A cluster whose scanner has these plugins. The first attempt plays `first`, and the others
/// `then`.
fn cluster(plugins: &[&str], first: Script, then: Script) -> Cluster {
    let runner = ScriptedRunner::new(move |job| if job.attempt.0 == 1 { first } else { then });
    Cluster::new(runner.with_plugins(plugins))
}

/// The ports of a node whose scanner has these plugins. The scripted runner says that its scanner
/// has version `0`.
fn ports(cluster: &Cluster, version: &str, plugins: &[&str]) -> NodePorts {
    let mut offer = fixtures::offer(ScannerKind::Builtin, plugins);
    offer.scanner = ScannerInfo { kind: ScannerKind::Builtin, version: version.into(), configuration: None };
    NodePorts { offer: tokio::sync::watch::channel(Some(Arc::new(offer))).1, ..cluster.ports() }
}

fn config(name: &str) -> NodeConfig {
    NodeConfig::new(name.parse().unwrap(), 1)
}

/// The plugins of a row: name, state, and the attempt that ran it if it is not the last.
fn shown(row: &ScanRecord) -> Vec<(&str, PluginStatus, Option<u32>)> {
    row.plugins.iter().map(|one| (one.name.as_str(), one.status, one.attempt.map(|number| number.0))).collect()
}

/// What each attempt ran: the plugins of its job, if it was not all of the request.
fn selections(cluster: &Cluster) -> Vec<Option<Vec<String>>> {
    cluster.runner.jobs().into_iter().map(|job| job.only).collect()
}

const BOTH: [&str; 2] = ["one", "two"];

#[tokio::test(start_paused = true)]
async fn retry_runs_what_has_no_result_and_the_scan_has_both() {
    let cluster = cluster(&BOTH, Script::Half(50 * SECOND), Script::Complete(SECOND));
    let _node = start(config("a"), ports(&cluster, "0", &BOTH)).await.unwrap();
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["crashed", "completed"]);
    assert_eq!(selections(&cluster), [None, Some(vec!["two".to_owned()])]);
    assert_eq!(cluster.runner.jobs()[1].kept.len(), 1);
    assert_eq!(shown(&row), [("one", PluginStatus::Completed, Some(1)), ("two", PluginStatus::Completed, None)]);
    assert!(row.coverage().is_complete(), "{:?}", row.coverage());
    let ScanState::Completed { summary, .. } = &row.state else { panic!("{:?}", row.state) };
    assert_eq!(summary.count(PluginStatus::Completed), 2, "the kept result counts");
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn retry_runs_everything_if_it_keeps_nothing() {
    for (what, resume, version, offered) in [
        ("the setting is off", false, "0", &BOTH[..]),
        ("the scanner has another version now", true, "1", &BOTH),
        ("the scanner's plugins are not known", true, "0", &[]),
    ] {
        let cluster = cluster(&BOTH, Script::Half(SECOND), Script::Complete(SECOND));
        let node = start(NodeConfig { resume, ..config("a") }, ports(&cluster, version, offered)).await.unwrap();
        let id = cluster.submit().await;
        let row = cluster.until_status(id, ScanStatus::Completed).await;
        assert_eq!(selections(&cluster), [None, None], "{what}");
        assert_eq!(
            shown(&row),
            [("one", PluginStatus::Completed, None), ("two", PluginStatus::Completed, None)],
            "{what}"
        );
        node.shutdown(Duration::ZERO, SECOND).await;
        cluster.check();
    }
}

#[tokio::test(start_paused = true)]
async fn killed_node_leaves_its_results_to_the_next_one() {
    let cluster = cluster(&BOTH, Script::Half(3_000 * SECOND), Script::Complete(SECOND));
    let first = start(config("a"), ports(&cluster, "0", &BOTH)).await.unwrap();
    let id = cluster.submit().await;
    cluster.until(id, |row| row.plugins.iter().any(|one| one.status == PluginStatus::Completed)).await;
    first.crash().await;
    let _second = start(config("b"), ports(&cluster, "0", &BOTH)).await.unwrap();
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["node_lost", "completed"]);
    assert_eq!(selections(&cluster), [None, Some(vec!["two".to_owned()])]);
    assert_eq!(shown(&row), [("one", PluginStatus::Completed, Some(1)), ("two", PluginStatus::Completed, None)]);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn scan_completes_with_kept_results_if_the_last_attempt_checked_nothing() {
    let cluster = cluster(&BOTH, Script::Half(SECOND), Script::Fruitless(SECOND));
    let _node = start(config("a"), ports(&cluster, "0", &BOTH)).await.unwrap();
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(shown(&row), [("one", PluginStatus::Completed, Some(1)), ("two", PluginStatus::Failed, None)]);
    assert_eq!((row.failures, row.coverage().gaps()), (1, 1), "the crash is the only failed attempt");
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn attempt_with_nothing_left_to_run_starts_no_process() {
    let cluster = cluster(&["one"], Script::Half(SECOND), Script::Complete(SECOND));
    let _node = start(config("a"), ports(&cluster, "0", &["one"])).await.unwrap();
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(ends(&row), ["crashed", "completed"]);
    assert_eq!(cluster.runner.runs().len(), 1);
    assert_eq!(shown(&row), [("one", PluginStatus::Completed, Some(1))]);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn attempt_that_does_not_start_loses_no_earlier_result() {
    let cluster = cluster(&BOTH, Script::Half(SECOND), Script::Refused);
    let _node = start(config("a"), ports(&cluster, "0", &BOTH)).await.unwrap();
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Failed).await;
    assert_eq!(ends(&row), ["crashed", "not_started"]);
    assert_eq!(shown(&row), [("one", PluginStatus::Completed, Some(1))]);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn results_of_every_attempt_add_up() {
    let all = ["one", "two", "three"];
    let runner =
        ScriptedRunner::new(|job| if job.attempt.0 < 3 { Script::Half(SECOND) } else { Script::Complete(SECOND) });
    let cluster = Cluster::new(runner.with_plugins(&all));
    let _node = start(config("a"), ports(&cluster, "0", &all)).await.unwrap();
    let id = cluster.submit().await;
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(
        shown(&row),
        [
            ("one", PluginStatus::Completed, Some(1)),
            ("two", PluginStatus::Completed, Some(2)),
            ("three", PluginStatus::Completed, None)
        ]
    );
    cluster.check();
}
