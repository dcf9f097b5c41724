//! What a restart does to scans that wait.

use std::path::Path;

use super::app::TestApp;

/// When the scanner started on an attempt of a scan, in milliseconds since the epoch.
fn started_at(starts: &Path, scan: u64, attempt: u32) -> u64 {
    let text = std::fs::read_to_string(starts.join(format!("{scan}-{attempt}.start"))).unwrap();
    text.parse::<f64>().unwrap().round() as u64
}

#[expect(clippy::disallowed_methods, reason = "another process compares it with its own wall clock")]
fn now_ms() -> u64 {
    u64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The end of a server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Terminated,
}

/// A server that has just started has the turn to look after the rows; its successor must not wait for the end of that.
#[tokio::test]
async fn waiting_scans_start_at_once_after_a_restart() {
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
        let took = started_at(starts.path(), waiting, 1).saturating_sub(listens);
        assert!(took < 700, "{end:?}: the waiting scan started {took} ms after the server listened");
        assert_eq!(app.cancel(waiting).await.0, 202);
        app.until_status(running, "completed").await;
    }
}
