//! Tests of nodes with faults and of failing targets: which scans wait, for how long, and at what
//! cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::support::{SECOND, ends};
use crate::NodePorts;
use crate::model::{
    ActorView, AttemptEnd, FaultKind, Interruption, NodeFault, ScanId, ScanRecord, ScanRequest, ScanStatus,
};
use crate::node::start;
use crate::node_config::NodeConfig;
use crate::policy::breaker::BreakerPolicy;
use crate::policy::restart::Intensity;
use crate::policy::waiting::StartBlocker;
use crate::ports::store::prelude::*;
use crate::testing::{Cluster, Script, ScriptedHealth, ScriptedRunner, fixtures};

fn folder_gone() -> NodeFault {
    NodeFault::new(FaultKind::ResultsFolder, "the results folder /r is missing", "make it again")
}

fn request(target: &str) -> ScanRequest {
    fixtures::request(target)
}

fn of_the_node(row: &ScanRecord) -> usize {
    row.attempts
        .iter()
        .filter(|attempt| {
            matches!(attempt.end, Some(AttemptEnd::Interrupted { why: Interruption::Infrastructure, .. }))
        })
        .count()
}

/// Creates a runner that plays `well`, and `broken` while the flag is set.
fn breakable(well: Script, broken: Script) -> (ScriptedRunner, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&flag);
    (ScriptedRunner::new(move |_| if seen.load(Ordering::Relaxed) { broken } else { well }), flag)
}

fn state_of<'a>(tree: &'a ActorView, actor: &str) -> &'a str {
    &tree.children.iter().find(|child| child.name == actor).unwrap().state
}

async fn submit(cluster: &Cluster, count: usize) -> Vec<ScanId> {
    let mut ids = Vec::new();
    for index in 0..count {
        ids.push(cluster.submit_to(&format!("{}.test", index % 7)).await);
    }
    ids
}

#[tokio::test(start_paused = true)]
async fn two_hundred_waiting_scans_survive_a_minute_of_each_fault_at_no_cost() {
    let crash = Script::Crash(Duration::from_millis(50));
    for (fault, broken, is_seen) in [
        ("the program is missing", Script::NoProgram, true),
        ("the program is missing, and no check sees it", Script::NoProgram, false),
        ("no room for another process, which no check sees", Script::NoRoom, false),
        ("the folder is gone, and scanners crash", crash, true),
    ] {
        let (runner, flag) = breakable(Script::Complete(2 * SECOND), broken);
        let cluster = Cluster::new(runner);
        let _node = cluster.node("a", 20).await;
        let ids = submit(&cluster, 200).await;
        tokio::time::sleep(5 * SECOND).await;

        flag.store(true, Ordering::Relaxed);
        cluster.health.lack(is_seen.then(folder_gone));
        let before = cluster.runner.runs().len();
        tokio::time::sleep(60 * SECOND).await;
        let held = cluster.service.held_back(&request("0.test")).unwrap_or_else(|| panic!("{fault}: it is shown"));
        assert!(held.until >= held.since && !held.faults.is_empty(), "{held}");
        assert!(cluster.runner.runs().len() - before <= 20, "{fault}: nothing starts once the fault is known");

        flag.store(false, Ordering::Relaxed);
        cluster.health.lack(None);
        let repaired = tokio::time::Instant::now();
        for id in ids {
            let row = cluster.until_status(id, ScanStatus::Completed).await;
            assert_eq!(row.failures, 0, "{fault}: {row:#?}");
            assert!(row.attempts.len() <= 4, "{fault}: {row:#?}");
        }
        assert!(repaired.elapsed() < 40 * SECOND, "{fault}: {:?}", repaired.elapsed());
        assert_eq!(cluster.service.held_back(&request("0.test")), None, "{fault}");
        cluster.check();
    }
}

#[tokio::test(start_paused = true)]
async fn node_starts_no_scan_before_its_first_successful_check() {
    let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Complete(SECOND)));
    cluster.health.lack(Some(NodeFault::new(
        FaultKind::ScannerProgram,
        "the scanner /opt/kast is missing",
        "install it, or set KAST_CLI_PATH",
    )));
    let _node = cluster.node("a", 2).await;
    let id = cluster.submit().await;
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(cluster.row(id).await.attempts.len(), 0);
    let tree = cluster.snapshots.supervision(Timestamp::UNIX_EPOCH);
    for actor in ["health", "dispatcher"] {
        let state = state_of(&tree, actor);
        assert_eq!(state, "held back: the scanner /opt/kast is missing (install it, or set KAST_CLI_PATH)", "{actor}");
    }
    // Other processes read the hold from the node's row.
    let hold = cluster.store.all().await.unwrap().remove(0).registration.hold;
    assert_eq!(hold.node.as_ref().map(|held| held.faults[0].kind), Some(FaultKind::ScannerProgram));
    let web = cluster.services_elsewhere();
    let row = cluster.row(id).await;
    let why = "Held back: the scanner /opt/kast is missing (install it, or set KAST_CLI_PATH). Not counted as an attempt; starts automatically.";
    assert_eq!(web.scans.waiting(&row).await.map(|waiting| waiting.to_string()).as_deref(), Some(why));
    assert_eq!(web.queue.start_blockers().await.iter().map(StartBlocker::name).collect::<Vec<_>>(), ["held_back"]);

    cluster.health.lack(None);
    let repaired = tokio::time::Instant::now();
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert!(repaired.elapsed() < 12 * SECOND && row.attempts.len() == 1, "{:?}", repaired.elapsed());
    assert!(cluster.store.all().await.unwrap()[0].registration.hold.is_empty(), "it says so at once");
    assert!(web.queue.start_blockers().await.is_empty());
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn fault_of_an_idle_node_is_shown_within_seconds() {
    let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Complete(SECOND)));
    let _node = cluster.node("a", 2).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(state_of(&cluster.snapshots.supervision(Timestamp::UNIX_EPOCH), "health"), "well");
    cluster.health.lack(Some(folder_gone()));
    tokio::time::sleep(11 * SECOND).await;
    assert!(cluster.snapshots.holds.of_own_node().is_some());
    assert!(
        state_of(&cluster.snapshots.supervision(Timestamp::UNIX_EPOCH), "dispatcher").starts_with("held back: "),
        "also while it waits for a job"
    );
}

#[tokio::test(start_paused = true)]
async fn scan_is_requeued_if_its_folder_vanishes_but_not_after_a_plain_crash() {
    let (runner, broken) = breakable(Script::Complete(5 * SECOND), Script::Crash(3 * SECOND));
    broken.store(true, Ordering::Relaxed);
    let cluster = Cluster::new(runner);
    let _node = cluster.node("a", 1).await;
    let id = cluster.submit().await;
    cluster.until_status(id, ScanStatus::Running).await;
    tokio::time::sleep(SECOND).await;
    // The folder exists again before the scanner is dead. It was gone while the attempt ran, and
    // that decides.
    cluster.health.lack(Some(folder_gone()));
    let row = cluster.until(id, |row| row.attempts[0].end.is_some()).await;
    let expected = AttemptEnd::Interrupted {
        why: Interruption::Infrastructure,
        detail: Some("the results folder /r is missing".into()),
    };
    assert_eq!((row.attempts[0].end.as_ref(), row.failures, row.status()), (Some(&expected), 0, ScanStatus::Pending));
    cluster.health.lack(None);
    let row = cluster.until(id, |row| row.failures == 1).await;
    assert_eq!(of_the_node(&row), 1, "the crash after the repair is the scan's own: {row:#?}");
    broken.store(false, Ordering::Relaxed);
    cluster.until_status(id, ScanStatus::Completed).await;
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn failed_starts_without_a_detected_fault_are_retried_at_growing_intervals() {
    let (runner, broken) = breakable(Script::Complete(SECOND), Script::NoRoom);
    broken.store(true, Ordering::Relaxed);
    let cluster = Cluster::new(runner);
    let _node = cluster.node("a", 4).await;
    let id = cluster.submit().await;
    tokio::time::sleep(3600 * SECOND).await;
    let row = cluster.row(id).await;
    let number = row.last_attempt().unwrap().number.0;
    assert!((300..=370).contains(&number), "every ten seconds: {number}");
    assert!(row.attempts.len() <= 2, "a row does not grow with a fault that lasts");
    broken.store(false, Ordering::Relaxed);
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(row.failures, 0);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn scan_of_a_faulty_node_runs_on_another_node() {
    let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Complete(SECOND)));
    let lacking = ScriptedHealth::default();
    lacking.lack(Some(folder_gone()));
    let ports = NodePorts { health: Arc::new(lacking.clone()), ..cluster.ports_elsewhere() };
    let _lacks = start(NodeConfig::new("lacks".parse().unwrap(), 2), ports).await.unwrap();
    let _well = start(NodeConfig::new("well".parse().unwrap(), 2), cluster.ports_elsewhere()).await.unwrap();
    let ids = submit(&cluster, 20).await;
    for id in ids {
        let row = cluster.until_status(id, ScanStatus::Completed).await;
        assert_eq!((row.attempts.len(), row.attempts[0].node.as_str()), (1, "well"));
    }
    let web = cluster.services_elsewhere();
    assert!(web.queue.start_blockers().await.is_empty());
    let (held, others) = web.nodes.held();
    assert_eq!((held.len(), held[0].node.as_str(), others), (1, "lacks", true));
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn one_shot_node_does_not_wait_for_a_repair() {
    for (script, expected) in [(Script::NoProgram, vec!["not_started"]), (Script::NoRoom, vec!["spawn_failed"; 3])] {
        let cluster = Cluster::new(ScriptedRunner::new(move |_| script));
        let _node =
            cluster.start(NodeConfig { waits_for_repair: false, ..NodeConfig::new("a".parse().unwrap(), 1) }).await;
        let id = cluster.submit().await;
        assert_eq!(ends(&cluster.until_status(id, ScanStatus::Failed).await), expected);
    }
}

fn breaker(target: usize, node: usize) -> BreakerPolicy {
    let within = 60 * SECOND;
    BreakerPolicy {
        target: Intensity { max: target, within },
        node: Intensity { max: node, within },
        pause: 30 * SECOND,
        longest: 300 * SECOND,
    }
}

/// Creates a runner in which scans of targets that begin with `bad` crash.
fn bad_targets() -> ScriptedRunner {
    ScriptedRunner::new(|job| {
        if job.request.target.to_string().starts_with("bad") {
            Script::Crash(Duration::from_millis(10))
        } else {
            Script::Complete(SECOND)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_delays_its_own_scans_only() {
    let cluster = Cluster::new(bad_targets());
    let _node = cluster.start(NodeConfig { breaker: breaker(4, 20), ..NodeConfig::new("a".parse().unwrap(), 1) }).await;
    let mut bad = Vec::new();
    for _ in 0..8 {
        bad.push(cluster.submit_to("bad.test").await);
    }
    tokio::time::sleep(5 * SECOND).await;
    let ran = cluster.runner.runs().len();
    assert!((5..=6).contains(&ran), "{ran}");
    let held = cluster.service.held_back(&request("bad.test")).unwrap();
    assert_eq!(
        held.to_string(),
        "too many attempts of bad.test failed (see the failed attempts for the cause; scans start again automatically)"
    );
    assert_eq!(held.until.duration_since(held.since).as_secs(), 30);
    assert_eq!(cluster.store.all().await.unwrap()[0].registration.hold.targets[0].target, "bad.test");

    let begun = tokio::time::Instant::now();
    let good = submit(&cluster, 5).await;
    for id in good {
        cluster.until_status(id, ScanStatus::Completed).await;
    }
    assert!(begun.elapsed() < 7 * SECOND, "{:?}", begun.elapsed());
    assert_eq!(cluster.service.held_back(&request("0.test")), None);
    assert_eq!(cluster.runner.runs().len(), ran + 5, "none of the target has started");
    for id in bad {
        assert_eq!(ends(&cluster.until_status(id, ScanStatus::Failed).await), ["crashed"; 3]);
    }
    tokio::time::sleep(600 * SECOND).await;
    assert_eq!(cluster.service.held_back(&request("bad.test")), None, "it ends by itself");
    assert!(cluster.store.all().await.unwrap()[0].registration.hold.is_empty());
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn several_failing_targets_hold_the_node_back_for_a_limited_time() {
    let cluster = Cluster::new(bad_targets());
    let _node =
        cluster.start(NodeConfig { breaker: breaker(100, 4), ..NodeConfig::new("a".parse().unwrap(), 1) }).await;
    for index in 0..5 {
        cluster.submit_to(&format!("bad-{index}.test")).await;
    }
    tokio::time::sleep(SECOND).await;
    let supervisor = || state_of(&cluster.snapshots.supervision(Timestamp::UNIX_EPOCH), "supervisor").to_owned();
    assert_eq!(supervisor(), "held back: too many attempts of several targets failed");
    let good = cluster.submit_to("good.test").await;
    let why = cluster.service.held_back(&request("good.test")).unwrap();
    assert_eq!(why.faults[0].kind, FaultKind::Failures);
    assert!(cluster.store.all().await.unwrap()[0].registration.hold.node.is_some());
    tokio::time::sleep(28 * SECOND).await;
    assert_eq!(cluster.row(good).await.attempts.len(), 0);
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(supervisor(), "serving", "the state is true again when the hold is over");
    assert_eq!(cluster.service.held_back(&request("good.test")), None);
    assert!(cluster.store.all().await.unwrap()[0].registration.hold.is_empty());
    cluster.until_status(good, ScanStatus::Completed).await;
    cluster.check();
}
