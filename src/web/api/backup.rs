//! `GET /api/backup`: a backup of the database, as one file.
//!
//! The server makes the file while it sends it and never holds all of it in memory: it reads from
//! the database only as fast as the client reads. If the backup fails midway, the server breaks the
//! connection, so that no client takes the partial file for a complete one. The last line of the
//! file confirms that it is complete.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use kastrel_actors::model::DomainEvent;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::io::ReaderStream;

use crate::api_types::ProblemBody;
use crate::backup::BackupError;
use crate::web::error::{Problem, ProblemKind};
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Viewer;

/// How many bytes the server reads ahead of the client.
const CHUNK: usize = 64 * 1024;
/// A client that reads nothing for this long loses its slot, so that the next download can start.
const STALL: Duration = Duration::from_secs(60);

/// A part of the file, or `None` at its end.
type Chunk = Result<Option<Bytes>, BackupError>;

/// Downloads a backup of all scans, for `kastrel restore`. One at a time.
#[utoipa::path(
    get, path = "/api/backup", tag = "server",
    responses(
        (status = 200, description = "A backup as JSON lines; complete if its last line is an `end`", body = String, content_type = "application/x-ndjson"),
        (status = 503, description = "Another backup is running, or database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn download_backup(
    State(web): State<Web>,
    viewer: Viewer,
    method: Method,
) -> Result<Response, Problem> {
    let Ok(place) = Arc::clone(&web.backups).try_acquire_owned() else {
        return Err(Problem::new(ProblemKind::Busy, "another backup is running; try again when it has finished")
            .retry_after(10));
    };
    let name = format!("kastrel-{}.ndjson", web.now().strftime("%Y%m%dT%H%M%SZ"));
    let (sender, mut chunks) = mpsc::channel(1);
    tokio::spawn(send(Web::clone(&web), sender, place));
    // If the store does not respond, the response is a problem: no byte has been sent yet.
    let first = match chunks.recv().await {
        Some(Ok(Some(first))) => first,
        Some(Err(BackupError::Export(error))) => return Err(error.into()),
        Some(Err(error)) => return Err(Problem::internal(error)),
        Some(Ok(None)) | None => return Err(Problem::internal(cut_off())),
    };
    web.record_download(&viewer.context, &method, DomainEvent::BackupDownloaded, None).await?;
    let rest = stream::unfold(Some(chunks), async |chunks| {
        let mut chunks = chunks?;
        match chunks.recv().await {
            Some(Ok(Some(chunk))) => Some((Ok(chunk), Some(chunks))),
            Some(Ok(None)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            // The sending task ended before the end of the file.
            None => Some((Err(cut_off()), None)),
        }
    });
    let mut response = Body::from_stream(stream::once(async { Ok(first) }).chain(rest)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend(
        HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
            .ok()
            .map(|value| (header::CONTENT_DISPOSITION, value)),
    );
    Ok(response)
}

fn cut_off() -> BackupError {
    BackupError::Write(io::Error::from(io::ErrorKind::UnexpectedEof))
}

/// Makes the backup and sends its chunks until the client disconnects, stalls, or the server stops.
async fn send(web: Web, chunks: mpsc::Sender<Chunk>, place: OwnedSemaphorePermit) {
    let sent = tokio::select! {
        sent = make(&web, &chunks) => sent,
        () = web.state.closing.cancelled() => Err(BackupError::Write(io::Error::other("the server stops"))),
    };
    drop(place);
    match sent {
        Ok(()) => drop(tokio::time::timeout(STALL, chunks.send(Ok(None))).await),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a backup was not sent to its end");
            // If the channel is full, the error is dropped: the missing end chunk breaks the
            // response anyway.
            drop(chunks.try_send(Err(error)));
        }
    }
}

async fn make(web: &WebInner, chunks: &mpsc::Sender<Chunk>) -> Result<(), BackupError> {
    let (reader, writer) = tokio::io::duplex(CHUNK);
    // The future owns the reader: when the client is gone, the reader is dropped, and the writer
    // fails and ends too.
    let pass_on = async move {
        let mut read = ReaderStream::with_capacity(reader, CHUNK);
        while let Some(Ok(chunk)) = read.next().await {
            let taken = tokio::time::timeout(STALL, chunks.send(Ok(Some(chunk)))).await;
            if !matches!(taken, Ok(Ok(()))) {
                return;
            }
        }
    };
    let (made, ()) = tokio::join!(web.state.backup.write(Box::new(writer), web.now()), pass_on);
    made.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use axum::body::to_bytes;

    use super::*;
    use crate::web::testing::{TestApp, header_of, json_of, text_of};

    #[tokio::test]
    async fn backup_is_a_download() {
        let app = TestApp::new();
        let response = app.get("/api/backup").await;
        assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "application/x-ndjson"));
        let disposition = header_of(&response, "content-disposition");
        assert!(
            disposition.starts_with("attachment; filename=\"kastrel-") && disposition.ends_with("Z.ndjson\""),
            "{disposition}"
        );
        assert_eq!(
            (header_of(&response, "cache-control"), header_of(&response, "x-content-type-options")),
            ("no-store", "nosniff")
        );
        assert_eq!(text_of(response).await.lines().count(), 3);
    }

    #[tokio::test]
    async fn backup_requests_of_other_sites_are_refused() {
        let response = TestApp::new().send("GET", "/api/backup", &[("host", "evil.example")], "").await;
        assert_eq!(response.status(), 421);
    }

    #[tokio::test(start_paused = true)]
    async fn backup_is_made_at_the_pace_of_the_client_and_one_at_a_time() {
        let app = TestApp::new();
        app.backup.lines.store(10_000_000, Ordering::SeqCst);
        let first = app.get("/api/backup").await;
        let busy = app.get("/api/backup").await;
        assert_eq!((busy.status().as_u16(), header_of(&busy, "retry-after")), (503, "10"));
        assert!(json_of(busy).await["detail"].as_str().unwrap().contains("Another backup"));
        let made = app.backup.taken.load(Ordering::SeqCst);
        assert!(made * 25 <= 4 * CHUNK as u64, "{made} lines lie in memory");
        // A client that disconnects and a client that stalls both release their slot.
        drop(first);
        let second = until_free(&app).await;
        tokio::time::sleep(STALL * 2).await;
        let third = until_free(&app).await;
        assert!(to_bytes(second.into_body(), usize::MAX).await.is_err(), "what broke in the middle is no file");
        drop(third);
    }

    /// Repeats the request until a slot is free. A task releases the slot, which takes a moment.
    async fn until_free(app: &TestApp) -> Response {
        loop {
            let response = app.get("/api/backup").await;
            if response.status() == 200 {
                return response;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn store_error_before_the_first_byte_is_a_problem_and_a_later_one_breaks_the_response() {
        let app = TestApp::new();
        app.backup.fails_after.store(0, Ordering::SeqCst);
        let response = app.get("/api/backup").await;
        assert_eq!(response.status(), 503);
        let body = json_of(response).await;
        assert_eq!(body["type"], "urn:kastrel:problem:store-unavailable");
        assert!(!body.to_string().contains("secret"), "{body}");
        app.backup.lines.store(10_000, Ordering::SeqCst);
        app.backup.fails_after.store(9_000, Ordering::SeqCst);
        let response = app.get("/api/backup").await;
        assert_eq!(response.status(), 200);
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn stopping_server_ends_a_backup() {
        let app = TestApp::new();
        app.backup.lines.store(10_000_000, Ordering::SeqCst);
        let response = app.get("/api/backup").await;
        app.closing.cancel();
        assert!(to_bytes(response.into_body(), usize::MAX).await.is_err());
    }
}
