//! Tests of a restart's effect on queued scans, and on scans that ended unobserved.

use std::path::Path;

use rustix::process::{Signal, kill_process};

use super::app::{TestApp, Watched, ends as words};

/// Returns the start time of a scan's attempt, in milliseconds since the epoch.
fn started_at(starts: &Path, scan: u64, attempt: u32) -> f64 {
    std::fs::read_to_string(starts.join(format!("{scan}-{attempt}.start"))).unwrap().parse().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "another process compares it with its own wall clock")]
fn now_ms() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

/// The way in which a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Terminated,
}

/// A server that has just started holds the reconciler's turn. Its successor must not wait until
/// this turn expires.
#[tokio::test]
async fn queued_scans_start_immediately_after_a_restart() {
    for end in [End::Killed, End::Terminated] {
        let starts = tempfile::tempdir().unwrap();
        let mut app = TestApp::with(&[
            ("FAKE_KAST_STARTS", starts.path().to_str().unwrap()),
            ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_STARTS"),
            ("KASTREL_SCANS__CONCURRENCY", "1"),
        ])
        .await;
        let running = app.submit("hangfirst-2p.test").await;
        app.until_busy(running).await;
        let waiting = app.submit("hang-2p.test").await;
        match end {
            End::Killed => app.kill_server().await,
            End::Terminated => assert_eq!(app.terminate_server().await, Some(0)),
        }
        app.restart().await;
        let listens = now_ms();
        app.until(waiting, |scan| scan["attempt"] == 1 || scan["status"] == "completed").await;
        app.until_busy(waiting).await;
        let took = started_at(starts.path(), waiting, 1) - listens;
        assert!(took < 700.0, "{end:?}: the waiting scan started {took} ms after the server listened");
        assert_eq!(app.cancel(waiting).await.0, 202);
        app.until_status(running, "completed").await;
    }
}

/// Returns the number of scanner starts for a scan, from the scanner's journal.
fn starts_of(journal: &Path, scan: u64) -> usize {
    let text = std::fs::read_to_string(journal.join(format!("{scan}.journal"))).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with("finish ")).count()
}

/// The server and its watchdog are killed together. By then some scans have completed unobserved;
/// the others run until the next start kills them.
#[tokio::test]
async fn results_are_kept_when_server_and_watchdog_are_killed_together() {
    let journal = tempfile::tempdir().unwrap();
    let mut app = TestApp::with(&[
        ("FAKE_KAST_JOURNAL", journal.path().to_str().unwrap()),
        ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_JOURNAL"),
    ])
    .await;
    let (mut finished, mut running) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        finished.push(app.submit("6000ms-2p.test").await);
        running.push(app.submit("hangfirst-2p.test").await);
    }
    for id in finished.iter().chain(&running) {
        app.until_busy(*id).await;
    }
    let ends = |ids: &[u64]| Watched::of(&ids.iter().flat_map(|id| app.processes_of(*id)).collect::<Vec<_>>());
    let (ending, others, watchdog) = (ends(&finished), ends(&running), app.watchdog());
    // The server is frozen, so that it observes no end and starts no other watchdog.
    app.signal_server(Signal::STOP);
    let dead = Watched::of(&[watchdog]);
    kill_process(watchdog, Signal::KILL).unwrap();
    dead.ended().await;
    ending.ended().await;
    app.kill_server().await;
    app.restart().await;
    others.ended().await;
    for id in &finished {
        let scan = app.until_status(*id, "completed").await;
        assert_eq!(
            (words(&scan), starts_of(journal.path(), *id)),
            (vec!["completed".to_owned()], 1),
            "it ran once: {scan:#}"
        );
        let completed =
            scan["plugins"].as_array().unwrap().iter().filter(|plugin| plugin["status"] == "completed").count();
        assert_eq!(completed, 2, "{scan:#}");
    }
    for id in &running {
        let scan = app.until_status(*id, "completed").await;
        assert_eq!(
            (words(&scan), starts_of(journal.path(), *id)),
            (vec!["node_lost".to_owned(), "completed".to_owned()], 2),
            "{scan:#}"
        );
    }
}
