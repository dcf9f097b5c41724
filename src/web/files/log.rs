//! Reads the log of an attempt as lines: its end, or what followed an earlier part.

use kastrel_actors::model::{AttemptNumber, ScanRecord};

use super::read::{in_time, part};
use super::tail::{Tail, end_of_lines, last_lines, state_of, whole_lines};
use crate::ports::{ArtifactError, AttemptKey, ByteRange, LOG_NAME};
use crate::web::state::WebInner;

const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_LINES: usize = 200;

/// Returns the last lines of an attempt's log, ready to show; `None` if there is no log or it is
/// not available.
pub(crate) async fn log_tail(web: &WebInner, record: &ScanRecord, attempt: AttemptNumber) -> Option<Tail> {
    log_end(web, record, attempt, TAIL_BYTES, TAIL_LINES).await
}

/// Returns the end of an attempt's log, at most `most_bytes` bytes and `most_lines` lines.
pub(crate) async fn log_end(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    most_bytes: u64,
    most_lines: usize,
) -> Option<Tail> {
    match part(web, record, attempt, LOG_NAME, ByteRange::Last(most_bytes)).await {
        Ok(part) => {
            let grows = record.attempts.iter().any(|one| one.number == attempt && one.end.is_none());
            // The next part begins with the bytes that are left out here.
            let end =
                if grows { end_of_lines(&part.bytes, part.bytes.len() as u64 >= most_bytes) } else { part.bytes.len() };
            let shown = last_lines(&part.bytes[..end], part.first > 0, most_lines);
            Some(Tail { next: part.first + end as u64, growing: state_of(&part.bytes[end..]), ..shown })
        }
        Err(ArtifactError::OutOfRange { .. }) => Some(Tail::default()),
        Err(ArtifactError::NotFound) => window(web, record, attempt, most_bytes, most_lines).await,
        Err(ArtifactError::Refused | ArtifactError::Unavailable(_) | ArtifactError::Broken(_)) => None,
    }
}

/// Returns the complete lines of an attempt's log after `from`, at most [`TAIL_BYTES`]. If the log
/// is `complete`, the last line is included even without an end.
pub(crate) async fn log_since(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    from: u64,
    complete: bool,
) -> Option<Tail> {
    let range = ByteRange::From { first: from, last: Some(from.saturating_add(TAIL_BYTES - 1)) };
    match part(web, record, attempt, LOG_NAME, range).await {
        Ok(part) => Some(whole_lines(&part, complete)),
        Err(ArtifactError::OutOfRange { size }) => Some(Tail { next: from.min(size), ..Tail::default() }),
        Err(ArtifactError::NotFound) => window(web, record, attempt, TAIL_BYTES, TAIL_LINES).await,
        Err(ArtifactError::Refused | ArtifactError::Unavailable(_) | ArtifactError::Broken(_)) => None,
    }
}

/// Returns the uploaded end of a log that is on another machine.
async fn window(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    most_bytes: u64,
    most_lines: usize,
) -> Option<Tail> {
    let key = AttemptKey::of(record, attempt);
    let tail = in_time(web.state.artifacts.log_tail(&key, most_bytes)).await.ok()?;
    Some(Tail { is_window: true, ..last_lines(&tail.bytes, tail.cut, most_lines) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::TestApp;

    #[tokio::test]
    async fn a_growing_log_is_read_in_whole_lines_without_a_gap() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        let path = app.attempt_folder(&scan).join(LOG_NAME);
        let since =
            async |from, complete| log_since(&app.web(), &scan, AttemptNumber(1), from, complete).await.unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(since(0, false).await, Tail::default());
        assert_eq!(log_tail(&app.web(), &scan, AttemptNumber(1)).await, Some(Tail::default()));
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let shown = log_tail(&app.web(), &scan, AttemptNumber(1)).await.unwrap();
        assert_eq!(
            (shown.lines.as_slice(), shown.next),
            (["one".to_owned(), "two".into()].as_slice(), 8),
            "the next part begins with the half line"
        );
        let first = since(0, false).await;
        assert_eq!((first.lines.as_slice(), first.next), (["one".to_owned(), "two".into()].as_slice(), 8));
        assert_eq!(
            since(8, false).await,
            Tail { next: 8, growing: Some("thr".into()), ..Tail::default() },
            "half a line waits for its end"
        );
        assert_eq!(since(8, true).await.lines, ["thr"], "the last line of a log that grows no more is whole");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(since(8, false).await.lines, ["three"]);
        assert_eq!(since(99, false).await, Tail { next: 14, ..Tail::default() });
        let long = "x".repeat(TAIL_BYTES as usize + 10);
        std::fs::write(&path, &long).unwrap();
        assert_eq!(since(0, false).await.next, TAIL_BYTES, "a line without an end does not hold up the rest");
    }

    #[tokio::test]
    async fn a_line_that_is_written_again_and_again_is_seen_while_it_grows() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        let path = app.attempt_folder(&scan).join(LOG_NAME);
        let since =
            async |from, complete| log_since(&app.web(), &scan, AttemptNumber(1), from, complete).await.unwrap();
        for (log, growing) in [
            ("start\n\rProgress: 1/40", Some("Progress: 1/40")),
            ("start\n\rProgress: 1/40\rProgress: 2/40 \u{1b}[3", Some("Progress: 2/40")),
            ("start\n\rProgress: 1/40\r", Some("Progress: 1/40")),
            ("start\n\u{1b}[2K", None),
            ("start\n", None),
        ] {
            std::fs::write(&path, log).unwrap();
            for tail in [since(0, false).await, log_tail(&app.web(), &scan, AttemptNumber(1)).await.unwrap()] {
                assert_eq!(
                    (tail.lines.as_slice(), tail.next, tail.growing.as_deref()),
                    (["start".to_owned()].as_slice(), 6, growing),
                    "{log:?}"
                );
            }
        }
        std::fs::write(&path, "start\n\rProgress: 1/40\rProgress: 40/40\nend\n").unwrap();
        assert_eq!(since(6, false).await.lines, ["Progress: 40/40", "end"]);
        // A progress display that is longer than a part arrives in several parts. Each part has the
        // last state of the display, and no text arrives twice.
        let many: String = (0..9000).map(|n| format!("\rProgress: {n}/9000")).collect();
        std::fs::write(&path, &many).unwrap();
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let tail = since(from, false).await;
            seen.extend(tail.lines);
            if tail.next == from {
                assert_eq!(tail.growing.as_deref(), Some("Progress: 8999/9000"));
                break;
            }
            from = tail.next;
        }
        assert!(
            (1..10).contains(&seen.len())
                && seen.iter().all(|line| line.starts_with("Progress: ") && line.ends_with("/9000")),
            "{seen:?}"
        );
        let shown = log_tail(&app.web(), &scan, AttemptNumber(1)).await.unwrap();
        assert!(shown.lines.len() == 1 && shown.lines[0].ends_with("/9000"), "{shown:?}");
    }

    #[tokio::test]
    async fn log_on_another_machine_shows_a_window_at_its_end() {
        let app = TestApp::with_artifacts(std::sync::Arc::new(crate::web::testing::LiveTail("ne 1\nline 2\n")));
        let scan = app.running("example.com").await;
        let expected = Tail { lines: vec!["line 2".into()], next: 0, is_cut: true, is_window: true, growing: None };
        assert_eq!(log_tail(&app.web(), &scan, AttemptNumber(1)).await, Some(expected.clone()));
        assert_eq!(log_since(&app.web(), &scan, AttemptNumber(1), 70, false).await, Some(expected));
    }
}
