//! Tests of the watchdog: a killed or frozen node cannot end its scans, so its watchdog ends them
//! in time.

use std::path::Path;
use std::time::Duration;

use kastrel::adapters::surreal_store::SurrealStore;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::app::{TestApp, Watched, ends, is_alive};
use crate::kast_runner::stage::PATIENCE;

/// A target whose processes ignore SIGINT and SIGTERM. One relative stays in the process group, one
/// leaves it, and one also drops its environment.
const WILD: &str = "family-stranger-hang-stubborn.test";

/// A lease of 3 s that is trusted for 2 s.
const SHORT_LEASE: &[(&str, &str)] = &[
    ("KASTREL_NODE__LEASE_SECONDS", "3"),
    ("KASTREL_NODE__RENEW_SECONDS", "1"),
    ("KASTREL_NODE__LEASE_MARGIN_SECONDS", "1"),
];

/// Returns the marked processes of a scan, and their children, which need not be marked.
fn family(app: &TestApp, scan: u64) -> Vec<Pid> {
    let mut all = app.processes_of(scan);
    let children =
        |pid: &Pid| std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero())).unwrap();
    let lists: Vec<String> = all.iter().map(children).collect();
    for child in lists
        .iter()
        .flat_map(|list| list.split_ascii_whitespace())
        .map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap())
    {
        if !all.contains(&child) {
            all.push(child);
        }
    }
    all
}

/// Returns the process that the scanner left behind without a trace: it has another parent, group
/// and session, and an empty environment.
async fn escaped(app: &TestApp) -> Pid {
    let printed = async {
        let mut again = tokio::time::interval(Duration::from_millis(5));
        loop {
            again.tick().await;
            if let Some(pid) = logs(&app.data())
                .iter()
                .find_map(|log| log.lines().find_map(|line| line.strip_prefix("escaped ")?.parse().ok()))
            {
                return Pid::from_raw(pid).unwrap();
            }
        }
    };
    tokio::time::timeout(PATIENCE, printed).await.expect("nothing has escaped")
}

/// Returns the logs of all attempts.
fn logs(data: &Path) -> Vec<String> {
    let scans = std::fs::read_dir(data.join("results")).into_iter().flatten().flatten();
    scans.filter_map(|scan| std::fs::read_to_string(scan.path().join("attempt-1/kast.log")).ok()).collect()
}

pub(super) fn parent(pid: Pid) -> Pid {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    Pid::from_raw(stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()).unwrap()
}

/// Waits for a watchdog other than this one.
async fn another_watchdog(app: &TestApp, than: Pid) -> Pid {
    let look = async {
        let mut again = tokio::time::interval(Duration::from_millis(5));
        loop {
            again.tick().await;
            if let [watchdog] = app.watchdogs()[..]
                && watchdog != than
            {
                return watchdog;
            }
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("no other watchdog was started")
}

#[tokio::test]
async fn a_killed_servers_scans_end_with_it_and_nobody_elses() {
    let (mut app, other) = (TestApp::start().await, TestApp::start().await);
    let (id, others) = (app.submit(WILD).await, other.submit(WILD).await);
    app.until_busy(id).await;
    other.until_busy(others).await;
    let (wild, untouched) = (family(&app, id), family(&other, others));
    assert_eq!((wild.len(), untouched.len()), (4, 4), "KAST, its two relatives and the stranger");
    let (watched, watchdog) = (Watched::of(&wild), Watched::of(&[app.watchdog()]));
    let killed = Instant::now();
    app.kill_server().await;
    watched.ended().await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}");
    watchdog.ended().await;
    assert!(untouched.iter().copied().all(is_alive), "the scans of another data folder go on");
    other.post(&format!("/api/scans/{others}/cancel"), &serde_json::json!({})).await;
    other.until_status(others, "cancelled").await;
    // After the cancel no descendant of its KAST is left, not even one without a mark.
    assert!(!untouched.iter().copied().any(is_alive));
}

#[tokio::test]
async fn killed_scan_command_leaves_no_process() {
    let app = TestApp::prepare(&[]);
    let mut scan = app
        .command(&["scan", WILD])
        .stderr(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(scan.stderr.take().unwrap()));
    while !lines.next_line().await.unwrap().expect("news of the scan").contains(" running") {}
    let wild = family(&app, 1);
    assert_eq!(wild.len(), 4);
    let watched = Watched::of(&wild);
    scan.kill().await.unwrap();
    watched.ended().await;
}

#[tokio::test]
async fn what_escaped_from_a_killed_servers_scan_ends_with_it() {
    for target in ["escape-hang-stubborn.test", "forge-hang-stubborn.test"] {
        let mut app = TestApp::start().await;
        let id = app.submit(target).await;
        app.until_busy(id).await;
        let watched = Watched::of(&[escaped(&app).await, app.processes_of(id)[0]]);
        let killed = Instant::now();
        app.kill_server().await;
        watched.ended().await;
        let took = killed.elapsed();
        assert!(took < Duration::from_secs(2), "{target}: {took:?}");
    }
}

/// Only the keepers are left. They work without the server and the watchdog.
#[tokio::test]
async fn what_escaped_ends_also_when_server_and_watchdog_are_killed_together() {
    let mut app = TestApp::start().await;
    let id = app.submit("escape-hang-stubborn.test").await;
    app.until_busy(id).await;
    let scanner = app.processes_of(id)[0];
    let (escaped, keeper) = (escaped(&app).await, parent(scanner));
    let watched = Watched::of(&[escaped, scanner, keeper]);
    app.signal_server(Signal::STOP);
    kill_process(app.watchdog(), Signal::KILL).unwrap();
    app.kill_server().await;
    watched.ended().await;
}

#[tokio::test]
async fn what_escaped_from_a_frozen_servers_scan_is_dead_before_its_lease_ends() {
    for target in ["escape-hang-stubborn.test", "forge-hang-stubborn.test"] {
        let mut app = TestApp::with(SHORT_LEASE).await;
        let id = app.submit(target).await;
        app.until_busy(id).await;
        let watched = Watched::of(&[escaped(&app).await, app.processes_of(id)[0]]);
        app.signal_server(Signal::STOP);
        let frozen = Instant::now();
        watched.ended().await;
        let took = frozen.elapsed();
        assert!(took < Duration::from_secs(3), "{target}: {took:?}");
        app.kill_server().await;
    }
}

/// A scanner of the same user can kill its keeper. The server then ends the processes.
#[tokio::test]
async fn what_a_killed_keeper_held_falls_to_the_server() {
    let app = TestApp::with(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")]).await;
    let id = app.submit("escape-hang-stubborn.test").await;
    app.until_busy(id).await;
    let scanner = app.processes_of(id)[0];
    let escaped = escaped(&app).await;
    let keeper = parent(scanner);
    assert_eq!(parent(escaped), keeper);
    let watched = Watched::of(&[escaped, scanner]);
    kill_process(keeper, Signal::KILL).unwrap();
    app.post(&format!("/api/scans/{id}/cancel"), &serde_json::json!({})).await;
    app.until_status(id, "cancelled").await;
    watched.ended().await;
    let next = app.submit("1p.test").await;
    app.until_status(next, "completed").await;
}

#[tokio::test]
async fn killed_watchdog_is_replaced_and_scans_continue() {
    let mut app = TestApp::start().await;
    let id = app.submit(WILD).await;
    app.until_busy(id).await;
    let wild = family(&app, id);
    let first = app.watchdog();
    let killed = Instant::now();
    kill_process(first, Signal::KILL).unwrap();
    let second = another_watchdog(&app, first).await;
    let took = killed.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(wild.iter().copied().all(is_alive), "the scans do not depend on it");
    let watched = Watched::of(&wild);
    app.kill_server().await;
    watched.ended().await;
    assert_ne!(first, second);
}

#[tokio::test]
async fn watchdog_ignores_interrupt_and_terminate_signals() {
    let app = TestApp::start().await;
    let watchdog = app.watchdog();
    // The watchdog sets its name after it has installed its signal handling.
    let named = async {
        let mut again = tokio::time::interval(Duration::from_millis(5));
        while std::fs::read_to_string(format!("/proc/{}/comm", watchdog.as_raw_nonzero())).unwrap() != "kastrel-watch\n"
        {
            again.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, named).await.expect("the watchdog never got ready");
    for polite in [Signal::INT, Signal::TERM, Signal::HUP] {
        kill_process(watchdog, polite).unwrap();
    }
    // The scan takes long enough for the signals to act, and for another watchdog to start if the
    // first one ended.
    let id = app.submit("200ms-1p.test").await;
    app.until_status(id, "completed").await;
    assert_eq!(app.watchdogs(), [watchdog]);
}

#[tokio::test]
async fn a_frozen_servers_scans_are_dead_before_its_lease_ends() {
    let mut app = TestApp::with(SHORT_LEASE).await;
    let id = app.submit(WILD).await;
    app.until_busy(id).await;
    // A watchdog that is started later also receives the lease.
    let first = app.watchdog();
    kill_process(first, Signal::KILL).unwrap();
    another_watchdog(&app, first).await;
    let wild = family(&app, id);
    assert_eq!(wild.len(), 4);
    let watched = Watched::of(&wild);
    app.signal_server(Signal::STOP);
    watched.ended().await;
    let dead = SystemClock.now();
    app.kill_server().await;
    // The row of the node holds the time until which no other node may take over its scans.
    let store = SurrealStore::open(&app.data()).await.unwrap();
    let nodes = store.all().await.unwrap();
    assert_eq!(nodes.len(), 1);
    assert!(dead < nodes[0].expires_at, "dead at {dead}, and the lease ended at {}", nodes[0].expires_at);
}

#[tokio::test]
async fn resumed_server_runs_its_scan_again() {
    let app = TestApp::with(SHORT_LEASE).await;
    let id = app.submit("4000ms-2p.test").await;
    app.until_busy(id).await;
    let first = app.processes_of(id);
    let (watched, watchdog) = (Watched::of(&first), app.watchdog());
    app.signal_server(Signal::STOP);
    let frozen = Instant::now();
    watched.ended().await;
    // Longer than the lease: the test needs this time to pass.
    tokio::time::sleep_until(frozen + Duration::from_secs(4)).await;
    app.signal_server(Signal::CONT);
    let scan = app.until_status(id, "completed").await;
    assert_eq!(ends(&scan), ["lease_lost", "completed"], "{scan:#}");
    assert_eq!(scan["failures"], 0, "an interruption costs no attempt");
    assert_eq!(app.watchdogs(), [watchdog], "the same one goes on");
}
