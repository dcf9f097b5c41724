//! Tests of the two keys of a scan when an attempt is about to start: the right of its submitter
//! and the clearance of its target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::{SECOND, always, ends};
use crate::model::{
    AccountChange, AccountKind, AccountName, Clearance, ClearanceLevel, FailureKind, NewAccount, NewScan, Principal,
    ProjectId, ProjectRole, ScanId, ScanMode, ScanRecord, ScanStatus, Submitted,
};
use crate::node::{NodeHandle, start};
use crate::node_config::{NodeConfig, NodePorts};
use crate::policy::breaker::BreakerPolicy;
use crate::policy::clearance::ClearanceRule;
use crate::policy::restart::Intensity;
use crate::ports::Stores;
use crate::ports::store::prelude::*;
use crate::testing::{Cluster, Fault, Faults, Script, ScriptedRunner, fixtures};

fn ana() -> AccountName {
    "ana".parse().unwrap()
}

/// Creates the account of ana with this role in the default project.
async fn with_ana(cluster: &Cluster, role: ProjectRole) {
    let new = NewAccount {
        name: ana(),
        kind: AccountKind::User,
        server_role: None,
        password_hash: None,
        mail: None,
        memberships: BTreeMap::from([(ProjectId::default(), role)]),
    };
    assert!(cluster.store.create_account(new, cluster.now(), &Principal::System).await.unwrap());
}

async fn set(cluster: &Cluster, pattern: &str, level: ClearanceLevel, lasts: Option<Duration>) {
    let now = cluster.now();
    let clearance = Clearance {
        project: ProjectId::default(),
        pattern: pattern.parse().unwrap(),
        level,
        authorised_by: Principal::System,
        at: now,
        until: lasts.map(|lasts| now + jiff::SignedDuration::try_from(lasts).unwrap()),
        text: "contract".into(),
    };
    cluster.store.set_clearance(clearance).await.unwrap();
}

/// Accepts a scan of ana, without the check of a submission.
async fn submit(cluster: &Cluster, mode: ScanMode) -> ScanId {
    submit_by(cluster, Principal::User(ana()), mode).await
}

async fn submit_by(cluster: &Cluster, submitted_by: Principal, mode: ScanMode) -> ScanId {
    let mut scan = NewScan { submitted_by, ..fixtures::new_scan("https://example.com/a") };
    scan.request.options.mode = mode;
    match cluster.store.submit(scan).await.unwrap() {
        Submitted::Created(record) => record.id,
        Submitted::Existing(record) => panic!("scan {} was there before", record.id),
    }
}

fn config() -> NodeConfig {
    NodeConfig { clearance: ClearanceRule::Required, ..NodeConfig::new("a".parse().unwrap(), 2) }
}

async fn node(cluster: &Cluster) -> NodeHandle {
    cluster.start(config()).await
}

fn reason(row: &ScanRecord) -> (FailureKind, &str) {
    let failure = row.last_failure().unwrap();
    (failure.kind, &failure.detail)
}

const NOT_CLEARED: &str =
    "this scan needs the clearance `active` for example.com in this project, which an owner of the project gives";

#[tokio::test(start_paused = true)]
async fn active_scan_starts_only_with_both_keys() {
    for (role, level, expected) in [
        (ProjectRole::Operator, Some(ClearanceLevel::Active), None),
        (ProjectRole::Operator, Some(ClearanceLevel::Passive), Some(NOT_CLEARED)),
        (ProjectRole::Operator, None, Some(NOT_CLEARED)),
        (
            ProjectRole::Scanner,
            None,
            Some(
                "user:ana submitted this scan, which needs the role `operator` in this project, and does not have it any more",
            ),
        ),
    ] {
        let cluster = Cluster::new(always(Script::Complete(SECOND)));
        with_ana(&cluster, role).await;
        if let Some(level) = level {
            set(&cluster, "example.com", level, None).await;
        }
        let _node = node(&cluster).await;
        let active = submit(&cluster, ScanMode::Both).await;
        match expected {
            None => {
                cluster.until_status(active, ScanStatus::Completed).await;
            }
            Some(why) => {
                let row = cluster.until_status(active, ScanStatus::Failed).await;
                assert_eq!(reason(&row), (FailureKind::NotPermitted, why));
                assert_eq!((ends(&row), cluster.runner.runs()), (vec!["not_permitted".to_owned()], Vec::new()));
            }
        }
        let passive = submit(&cluster, ScanMode::Passive).await;
        cluster.until_status(passive, ScanStatus::Completed).await;
        cluster.check();
    }
}

#[tokio::test(start_paused = true)]
async fn node_without_the_rule_checks_the_scans_of_accounts_alone() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    with_ana(&cluster, ProjectRole::Operator).await;
    let _node = cluster.node("a", 1).await;
    for by in [Principal::Anonymous, Principal::System] {
        let id = submit_by(&cluster, by, ScanMode::Active).await;
        cluster.until_status(id, ScanStatus::Completed).await;
    }
    let row = cluster.until_status(submit(&cluster, ScanMode::Active).await, ScanStatus::Failed).await;
    assert_eq!(reason(&row), (FailureKind::NotPermitted, NOT_CLEARED));
}

#[tokio::test(start_paused = true)]
async fn node_with_the_rule_checks_the_clearance_for_every_submitter() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    let _node = node(&cluster).await;
    for by in [Principal::Anonymous, Principal::System] {
        let row = cluster.until_status(submit_by(&cluster, by, ScanMode::Active).await, ScanStatus::Failed).await;
        assert_eq!(reason(&row), (FailureKind::NotPermitted, NOT_CLEARED));
    }
    assert_eq!(cluster.runner.runs(), []);
}

#[tokio::test(start_paused = true)]
async fn clearance_none_and_a_disabled_account_refuse_passive_scans_too() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    with_ana(&cluster, ProjectRole::Owner).await;
    set(&cluster, "*.com", ClearanceLevel::None, None).await;
    let _node = node(&cluster).await;
    let row = cluster.until_status(submit(&cluster, ScanMode::Passive).await, ScanStatus::Failed).await;
    assert_eq!(reason(&row), (FailureKind::NotPermitted, NOT_CLEARED.replace("`active`", "`passive`").as_str()));
    set(&cluster, "*.com", ClearanceLevel::Active, None).await;
    cluster.store.change_account(&ana(), AccountChange::Disable, &Principal::System).await.unwrap();
    let row = cluster.until_status(submit(&cluster, ScanMode::Passive).await, ScanStatus::Failed).await;
    let why = "user:ana submitted this scan, and that account is disabled or does not exist";
    assert_eq!(reason(&row), (FailureKind::NotPermitted, why));
    assert_eq!(cluster.runner.runs(), []);
}

#[tokio::test(start_paused = true)]
async fn running_attempt_goes_to_its_end_and_the_next_one_is_checked() {
    let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Crash(60 * SECOND)));
    with_ana(&cluster, ProjectRole::Operator).await;
    set(&cluster, "example.com", ClearanceLevel::Active, Some(30 * SECOND)).await;
    let _node = node(&cluster).await;
    let row = cluster.until_status(submit(&cluster, ScanMode::Active).await, ScanStatus::Failed).await;
    assert_eq!(ends(&row), ["crashed", "not_permitted"], "the clearance ended during the first attempt");
    let (kind, why) = reason(&row);
    assert_eq!(kind, FailureKind::NotPermitted);
    assert!(why.starts_with(NOT_CLEARED) && why.contains("; the earlier one ended at "), "{why}");
    let runs = cluster.runner.runs();
    assert!(matches!(&runs[..], [run] if run.to.unwrap() - run.from == 60 * SECOND), "{runs:?}");
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn refused_scans_hold_back_no_other_scan_of_their_target() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    with_ana(&cluster, ProjectRole::Operator).await;
    let intensity = Intensity { max: 1, within: 600 * SECOND };
    let breaker = BreakerPolicy { target: intensity, node: intensity, pause: 300 * SECOND, longest: 300 * SECOND };
    let _node = cluster.start(NodeConfig { breaker, ..config() }).await;
    for _ in 0..4 {
        let refused = submit(&cluster, ScanMode::Active).await;
        cluster.until_status(refused, ScanStatus::Failed).await;
    }
    let began = tokio::time::Instant::now();
    let passive = submit(&cluster, ScanMode::Passive).await;
    cluster.until_status(passive, ScanStatus::Completed).await;
    assert!(began.elapsed() < 60 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn attempt_that_cannot_be_checked_waits_at_no_cost() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    with_ana(&cluster, ProjectRole::Operator).await;
    set(&cluster, "example.com", ClearanceLevel::Active, None).await;
    let is_down = Arc::new(AtomicBool::new(true));
    let faulty = Faults::new({
        let is_down = Arc::clone(&is_down);
        move || if is_down.load(Ordering::Relaxed) { Fault::Unreachable } else { Fault::None }
    });
    let all = Stores::of(&cluster.store);
    let store = Stores { clearances: all.clone().hooked(&faulty).clearances, ..all };
    let _node = start(config(), NodePorts { store, ..cluster.ports() }).await.unwrap();
    let id = submit(&cluster, ScanMode::Active).await;
    let row = cluster.until(id, |row| row.attempts.iter().any(|attempt| attempt.end.is_some())).await;
    assert_eq!((ends(&row)[0].as_str(), row.failures, cluster.runner.runs()), ("never_started", 0, Vec::new()));
    is_down.store(false, Ordering::Relaxed);
    let row = cluster.until_status(id, ScanStatus::Completed).await;
    assert_eq!(row.failures, 0);
    cluster.check();
}

#[tokio::test(start_paused = true)]
async fn clearance_that_cannot_be_read_fails_the_scan() {
    let cluster = Cluster::new(always(Script::Complete(SECOND)));
    with_ana(&cluster, ProjectRole::Operator).await;
    let all = Stores::of(&cluster.store);
    let store = Stores { clearances: all.clone().hooked(&Faults::new(|| Fault::Corrupt)).clearances, ..all };
    let _node = start(config(), NodePorts { store, ..cluster.ports() }).await.unwrap();
    let row = cluster.until_status(submit(&cluster, ScanMode::Passive).await, ScanStatus::Failed).await;
    assert_eq!((ends(&row), cluster.runner.runs()), (vec!["not_permitted".to_owned()], Vec::new()));
}
