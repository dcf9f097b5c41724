//! `GET /api/events`: a stream of the numbers of changed scans, for pages that show many scans.
//!
//! An event names the changed scans, not their changes: the reader requests what it shows. The
//! stream collects the changes of one second into one event, so a reader gets at most one event a
//! second. Each stream stores only a revision number.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use kastrel_actors::model::RequestContext;
use kastrel_actors::service::ScanService;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::api_types::{ChangesBody, ProblemBody};
use crate::web::error::{Problem, ProblemKind};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// How long the stream collects changes before it sends an event.
const TOGETHER: Duration = Duration::from_secs(1);
/// How many scans one event names. With more changes, the event only reports that any scan may have
/// changed.
const MOST_NAMED: usize = 200;

struct ChangeStream {
    scans: ScanService,
    context: RequestContext,
    follower: watch::Receiver<u64>,
    seen: u64,
    run: u32,
    closing: CancellationToken,
    greeted: bool,
    _permit: OwnedSemaphorePermit,
}

/// Streams an event `changed` with the numbers of the changed scans, at most one a second.
///
/// After a lost connection, the client sends the id of the last event in `Last-Event-ID`. The
/// stream then sends the changes that the client missed.
#[utoipa::path(
    get, path = "/api/events", tag = "scans",
    params(("Last-Event-ID" = Option<String>, Header, description = "The last event received")),
    responses(
        (status = 200, description = "The stream", body = ChangesBody, content_type = "text/event-stream"),
        (status = 503, description = "Too many open streams", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn changes(State(web): State<Web>, viewer: Viewer, headers: HeaderMap) -> Result<Response, Problem> {
    let Ok(permit) = web.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(ProblemKind::TooManyStreams, "close another page, or poll instead").retry_after(10));
    };
    let scans = web.scans().clone();
    let follower = scans.follow_changes();
    let seen =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).and_then(|text| parse_id(text, web.run));
    let seen = seen.unwrap_or_else(|| *follower.borrow());
    let stream = ChangeStream {
        scans,
        context: viewer.context,
        follower,
        seen,
        run: web.run,
        closing: web.state.closing.clone(),
        greeted: false,
        _permit: permit,
    };
    let keep_alive = KeepAlive::new().interval(web.limits.keep_alive).text("alive");
    Ok((
        axum::response::AppendHeaders([("cache-control", "no-store"), ("x-accel-buffering", "no")]),
        Sse::new(events(stream)).keep_alive(keep_alive),
    )
        .into_response())
}

impl ChangeStream {
    async fn next(&mut self) -> Option<Event> {
        if !self.greeted {
            // The first event shows the reader that the stream is open, and at which revision it
            // begins.
            self.greeted = true;
            return Some(Event::default().event("open").id(self.id()).data("{}"));
        }
        loop {
            if *self.follower.borrow_and_update() == self.seen {
                tokio::select! {
                    changed = self.follower.changed() => changed.ok()?,
                    () = self.closing.cancelled() => return None,
                }
            }
            tokio::select! {
                () = tokio::time::sleep(TOGETHER) => {}
                () = self.closing.cancelled() => return None,
            }
            let changed = self.scans.changes_since(&self.context, self.seen);
            self.seen = changed.revision;
            let all = changed.all || changed.scans.len() > MOST_NAMED;
            let scans: Vec<u64> = if all { Vec::new() } else { changed.scans.iter().map(|id| id.0).collect() };
            if all || !scans.is_empty() {
                let body = serde_json::to_string(&ChangesBody { scans, all }).ok()?;
                return Some(Event::default().event("changed").id(self.id()).data(body));
            }
        }
    }

    fn id(&self) -> String {
        format!("{:08x}-{}", self.run, self.seen)
    }
}

fn events(stream: ChangeStream) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(stream, async |mut stream| stream.next().await.map(|event| (Ok(event), stream)))
}

/// Parses the revision of an event id. A revision of another run of the process has no meaning
/// here: the result is then `u64::MAX`, an impossible revision, which makes the reader reload
/// everything.
fn parse_id(text: &str, run: u32) -> Option<u64> {
    let (of_run, revision) = text.split_once('-')?;
    let of_run = u32::from_str_radix(of_run, 16).ok()?;
    Some(if of_run == run { revision.parse().ok()? } else { u64::MAX })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, BodyDataStream};
    use futures_util::StreamExt;
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::RequestLimits;
    use crate::web::testing::{TestApp, header_of};

    fn body(response: Response) -> BodyDataStream {
        assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "text/event-stream"));
        Body::into_data_stream(response.into_body())
    }

    async fn next(stream: &mut BodyDataStream) -> Option<String> {
        stream.next().await.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    }

    fn id_of(event: &str) -> String {
        event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn changes_within_a_second_are_sent_once_in_one_event() {
        let app = TestApp::new();
        let mut stream = body(app.get("/api/events").await);
        let open = next(&mut stream).await.unwrap();
        assert!(open.contains("event: open"), "{open}");
        for _ in 0..3 {
            app.submitted("example.com").await;
        }
        let changed = next(&mut stream).await.unwrap();
        assert!(
            changed.contains("event: changed") && changed.contains(r#"{"scans":[1,2,3],"all":false}"#),
            "{changed}"
        );
        app.service
            .cancel(&fixtures::context(), kastrel_actors::model::ScanId(2), kastrel_actors::model::CancelledBy::User)
            .await
            .unwrap();
        let cancelled = next(&mut stream).await.unwrap();
        assert!(cancelled.contains(r#"{"scans":[2],"all":false}"#), "{cancelled}");
        drop(stream);
        // A reader that reconnects gets the changes that it missed. A reader with an event id of
        // another run of the program reloads everything.
        let mut again = body(app.send("GET", "/api/events", &[("last-event-id", &id_of(&changed))], "").await);
        next(&mut again).await.unwrap();
        assert!(next(&mut again).await.unwrap().contains(r#"{"scans":[2],"all":false}"#));
        let mut stranger = body(app.send("GET", "/api/events", &[("last-event-id", "00000001-7")], "").await);
        next(&mut stranger).await.unwrap();
        assert!(next(&mut stranger).await.unwrap().contains(r#""all":true"#));
    }

    #[tokio::test(start_paused = true)]
    async fn change_streams_are_counted_and_end_with_the_server() {
        let app = TestApp::with_limits(RequestLimits { event_streams: 1, ..RequestLimits::default() });
        let mut first = body(app.get("/api/events").await);
        next(&mut first).await.unwrap();
        assert_eq!(app.get("/api/events").await.status(), 503);
        app.closing.cancel();
        assert_eq!(next(&mut first).await, None);
    }
}
