//! `GET /scans/{id}/live`: the changes of a scan's page as server-sent events.
//!
//! An event `parts` carries the HTML of the parts of the page that a change of the scan's progress
//! changes, so the page sends no request. The streams of all viewers share one rendering of each
//! change. An event `changed` says that the page as a whole is another one, because the scan has
//! another state or the page was older than the stream; the page then requests itself. The first
//! event is `changed`, or `current` if the page needs no change; `end` is the last one.
//!
//! The stream is level-triggered, like that of the API: a slow reader misses only outdated states.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{AppendHeaders, IntoResponse, Response};
use futures_util::Stream;
use kastrel_actors::model::{ScanSnapshot, ScanStatus};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::ScanDetailPage;
use crate::config::BasePath;
use crate::web::api::status::status_json;
use crate::web::base_path::{self, in_page};
use crate::web::error::{Problem, ProblemKind};
use crate::web::fragments::key_of;
use crate::web::path::{PathId, no_scan};
use crate::web::renderings::{PagePart, RenderedScan, Slot, fingerprint};
use crate::web::sse::{EventId, Lag};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The id of the event `end`. All other ids are fingerprints of the scan's status.
const END: &str = "end";

/// The data of an event `parts`.
#[derive(Serialize)]
struct PartsBody<'a> {
    parts: Vec<PartBody<'a>>,
}

#[derive(Serialize)]
struct PartBody<'a> {
    id: &'a str,
    html: &'a str,
}

/// Streams the changes of the page of a scan. `from` in the query is the fingerprint of the status
/// that the page shows; after a lost connection, `Last-Event-ID` is.
pub(crate) async fn live(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(permit) = web.streams.clone().try_acquire_owned() else {
        return Err(Problem::new(ProblemKind::TooManyStreams, "close another page").retry_after(10));
    };
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    if last == Some(END) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let updates = web.scans().watch(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let from = last.or_else(|| query.as_deref().and_then(|query| query.strip_prefix("from=")));
    let stream = PageStream {
        updates,
        from: from.and_then(|text| u64::from_str_radix(text, 16).ok()),
        seen: None,
        shown: None,
        slot: web.scan_parts.slot(format!("{} {id}", key_of(&viewer))),
        base: base_path::current(),
        lag: Lag(web.state.telemetry.instruments().clone()),
        ended: false,
        web: Web::clone(&web),
        viewer,
        _permit: permit,
    };
    let keep_alive = KeepAlive::new().interval(web.limits.keep_alive).text("alive");
    Ok((
        AppendHeaders([("cache-control", "no-store"), ("x-accel-buffering", "no")]),
        Sse::new(events(stream)).keep_alive(keep_alive),
    )
        .into_response())
}

/// An open stream: what its page shows, and nothing else.
struct PageStream {
    updates: watch::Receiver<Arc<ScanSnapshot>>,
    /// The fingerprint of the status that the page showed when the stream was opened.
    from: Option<u64>,
    seen: Option<EventId>,
    shown: Option<Shown>,
    /// The rendering that all streams of this scan, zone and rights share.
    slot: Arc<Slot<RenderedScan>>,
    base: BasePath,
    lag: Lag,
    ended: bool,
    web: Web,
    viewer: Viewer,
    _permit: OwnedSemaphorePermit,
}

/// What the page shows.
struct Shown {
    status: Bytes,
    state: ScanStatus,
    /// The marks of its parts; empty if the page could not be rendered.
    marks: Vec<u64>,
}

impl PageStream {
    /// Returns the next event, or `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        while !self.ended {
            let scan = self.updates.borrow_and_update().clone();
            if scan.status().is_terminal() {
                self.ended = true;
                return Some(Event::default().event("end").id(END).data(scan.status().as_str()));
            }
            let id = EventId::of(&scan, self.web.run);
            if self.seen != Some(id) {
                let seen = self.seen.replace(id);
                if let Some(event) = self.change(&scan).await {
                    self.lag.measure(&scan, seen, self.web.scans().now());
                    return Some(event);
                }
            }
            let changed = tokio::select! {
                changed = self.updates.changed() => changed.is_ok(),
                () = self.web.state.closing.cancelled() => false,
            };
            self.ended = !changed;
        }
        None
    }

    /// Returns the event for a new snapshot; `None` if it changes nothing that the page shows.
    async fn change(&mut self, scan: &Arc<ScanSnapshot>) -> Option<Event> {
        let waiting = self.web.scans().waiting_seen(&scan.record);
        let status = status_json(&self.web, scan, waiting.as_ref()).ok()?;
        // Signs of life change the snapshot, but nothing that is shown.
        if self.shown.as_ref().is_some_and(|shown| shown.status == status) {
            return None;
        }
        let rendered = self.parts(scan, &status).await;
        let parts: &[PagePart] = rendered.as_deref().unwrap_or_default();
        let fingerprint = fingerprint(&status);
        let marks = parts.iter().map(|part| part.mark).collect();
        let before = self.shown.replace(Shown { status, state: scan.status(), marks });
        let event = Event::default().id(format!("{fingerprint:016x}"));
        let changed = |event: Event| event.event("changed").data("{}");
        let Some(before) = before else {
            let is_current = self.from == Some(fingerprint);
            return Some(if is_current { event.event("current").data("{}") } else { changed(event) });
        };
        if before.state != scan.status() || parts.is_empty() || before.marks.len() != parts.len() {
            return Some(changed(event));
        }
        let parts: Vec<PartBody<'_>> = parts
            .iter()
            .zip(&before.marks)
            .filter(|(part, mark)| part.mark != **mark)
            .map(|(part, _)| PartBody { id: part.id, html: &part.html })
            .collect();
        if parts.is_empty() {
            return None;
        }
        let body = serde_json::to_string(&PartsBody { parts }).ok()?;
        Some(event.event("parts").data(body))
    }

    /// Returns the parts of the page, which the first stream renders for all others; `None` if they
    /// cannot be rendered.
    async fn parts(&self, scan: &Arc<ScanSnapshot>, status: &Bytes) -> Option<Arc<[PagePart]>> {
        let mut kept = self.slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Arc::ptr_eq(&kept.scan, scan) && kept.status == *status) {
            return Some(Arc::clone(&kept.parts));
        }
        let render = async { ScanDetailPage::of(&self.web, &self.viewer, scan, "").await.parts() };
        let parts: Arc<[PagePart]> = base_path::under(self.base.clone(), render).await.ok()?.into();
        *kept = Some(RenderedScan { scan: Arc::clone(scan), status: status.clone(), parts: Arc::clone(&parts) });
        Some(parts)
    }
}

/// Converts the stream into the form that axum needs.
fn events(stream: PageStream) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(stream, async |mut stream| stream.next().await.map(|event| (Ok(event), stream)))
}

impl ScanDetailPage {
    /// Renders the parts that an event can carry.
    fn parts(&self) -> Result<Vec<PagePart>, askama::Error> {
        let part = |id, html: Result<String, askama::Error>| html.map(|html| PagePart::new(id, in_page(html)));
        // The script of the log reads its lines by itself: only another attempt has another log.
        let log = self.results.log.as_ref().map_or(0, |_| u64::from(self.results.attempt));
        [
            part("standing", self.as_standing().render()),
            part("part-head", self.as_part_head().render()),
            part("part-state", self.as_part_state().render()),
            part("part-issues", self.as_part_issues().render()),
            part("part-plugins", self.as_part_plugins().render()),
            part("part-timeline", self.as_part_timeline().render()),
            part("part-log", self.as_part_log().render()).map(|part| PagePart { mark: log, ..part }),
            part("part-results", self.as_part_results().render()),
        ]
        .into_iter()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, BodyDataStream};
    use futures_util::StreamExt;
    use jiff::Timestamp;
    use kastrel_actors::model::{
        AttemptPhase, Failure, FailureKind, PluginResult, PluginStatus, Resolution, ScanRecord,
    };
    use serde_json::Value;

    use crate::ports::{LOG_NAME, NOTES_NAME};
    use crate::web::testing::{TestApp, header_of, text_of};

    const AUCKLAND: (&str, &str) = ("cookie", "kastrel-zone=Pacific/Auckland");

    /// Opens the stream that the page names.
    async fn stream_of_page(app: &TestApp, headers: &[(&str, &str)]) -> BodyDataStream {
        let page = text_of(app.send("GET", "/scans/1", headers, "").await).await;
        let address = page.split("data-events=\"").nth(1).unwrap().split('"').next().unwrap();
        open(app, address, headers).await
    }

    /// Opens a stream whose page shows the current state.
    async fn current_stream(app: &TestApp, headers: &[(&str, &str)]) -> BodyDataStream {
        let mut stream = stream_of_page(app, headers).await;
        let first = next(&mut stream).await.unwrap();
        assert_eq!(field(&first, "event"), "current", "the page was loaded just now");
        stream
    }

    async fn open(app: &TestApp, address: &str, headers: &[(&str, &str)]) -> BodyDataStream {
        let response = app.send("GET", address, headers, "").await;
        assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "text/event-stream"));
        Body::into_data_stream(response.into_body())
    }

    async fn next(stream: &mut BodyDataStream) -> Option<String> {
        stream.next().await.map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap())
    }

    fn field(event: &str, name: &str) -> String {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap().to_owned()
    }

    /// The parts of an event `parts`, by id.
    fn parts(event: &str) -> Vec<(String, String)> {
        assert_eq!(field(event, "event"), "parts", "{event}");
        let body: Value = serde_json::from_str(&field(event, "data")).unwrap();
        let text = |part: &Value, key: &str| part[key].as_str().unwrap().to_owned();
        body["parts"].as_array().unwrap().iter().map(|part| (text(part, "id"), text(part, "html"))).collect()
    }

    fn html<'a>(parts: &'a [(String, String)], id: &str) -> Option<&'a str> {
        parts.iter().find(|(name, _)| name == id).map(|(_, html)| html.as_str())
    }

    fn set(app: &TestApp, running: &ScanRecord, status: PluginStatus) {
        app.snapshots.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Running).plugins(vec![PluginResult::new("whatweb", status)]);
        });
    }

    #[tokio::test]
    async fn progress_sends_the_parts_that_it_changes() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        set(&app, &running, PluginStatus::InProgress);
        let mut stream = current_stream(&app, &[]).await;
        set(&app, &running, PluginStatus::Completed);
        let sent = parts(&next(&mut stream).await.unwrap());
        let row = html(&sent, "part-plugins").unwrap();
        assert!(row.contains(r#"data-plugin="whatweb" data-status="completed""#), "{row}");
        assert!(html(&sent, "part-state").unwrap().contains("1 of 1 plugins done"));
        assert_eq!((html(&sent, "standing"), html(&sent, "part-head")), (None, None), "unchanged parts are not sent");
        let page = text_of(app.get("/scans/1").await).await;
        assert!(page.contains(row), "the page has the same HTML");
    }

    #[tokio::test]
    async fn stale_page_requests_itself_and_a_current_one_does_not() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        let mut stale = open(&app, "/scans/1/live?from=0", &[]).await;
        let first = next(&mut stale).await.unwrap();
        assert_eq!(field(&first, "event"), "changed");
        let seen = field(&first, "id");
        let mut again = open(&app, "/scans/1/live?from=0", &[("last-event-id", &seen)]).await;
        assert_eq!(field(&next(&mut again).await.unwrap(), "event"), "current");
        app.snapshots.update_attempt(running.id, running.token, |live| {
            live.alive(Timestamp::UNIX_EPOCH);
        });
        assert!(futures_util::poll!(again.next()).is_pending(), "a sign of life changes nothing that is shown");
    }

    #[tokio::test]
    async fn another_state_changes_the_whole_page_and_the_end_is_sent_once() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        let mut stream = current_stream(&app, &[]).await;
        let running = app.started(id).await;
        assert_eq!(field(&next(&mut stream).await.unwrap(), "event"), "changed");
        app.finish(&running, Resolution::Fail(Failure::new(FailureKind::Crashed, "x"))).await;
        let end = next(&mut stream).await.unwrap();
        assert_eq!((field(&end, "event"), field(&end, "data")), ("end".into(), "failed".into()));
        assert_eq!(next(&mut stream).await, None);
        let again = app.send("GET", "/scans/1/live", &[("last-event-id", &field(&end, "id"))], "").await;
        assert_eq!(again.status(), 204, "so that the browser does not come back");
    }

    #[tokio::test]
    async fn viewers_of_one_zone_share_the_rendering_of_a_change() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        set(&app, &running, PluginStatus::InProgress);
        let (mut first, mut second) = (current_stream(&app, &[]).await, current_stream(&app, &[]).await);
        let mut elsewhere = current_stream(&app, &[AUCKLAND]).await;
        set(&app, &running, PluginStatus::Completed);
        let sent = next(&mut first).await.unwrap();
        std::fs::create_dir_all(app.attempt_folder(&running)).unwrap();
        std::fs::write(app.attempt_folder(&running).join(NOTES_NAME), "a note\n").unwrap();
        assert_eq!(next(&mut second).await.unwrap(), sent, "it was not rendered again");
        let other = parts(&next(&mut elsewhere).await.unwrap());
        assert!(html(&other, "part-state").unwrap().contains("A note"), "times differ in another zone");
    }

    #[tokio::test]
    async fn log_is_sent_when_it_appears_and_not_when_it_grows() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        set(&app, &running, PluginStatus::Pending);
        let mut stream = current_stream(&app, &[]).await;
        let log = app.attempt_folder(&running).join(LOG_NAME);
        std::fs::create_dir_all(app.attempt_folder(&running)).unwrap();
        std::fs::write(&log, "first\n").unwrap();
        set(&app, &running, PluginStatus::InProgress);
        let sent = parts(&next(&mut stream).await.unwrap());
        assert!(html(&sent, "part-log").unwrap().contains("first"));
        std::fs::write(&log, "first\nsecond\n").unwrap();
        set(&app, &running, PluginStatus::Completed);
        assert_eq!(html(&parts(&next(&mut stream).await.unwrap()), "part-log"), None, "its script reads it");
    }

    #[tokio::test]
    async fn streams_of_pages_are_counted_and_end_with_the_server() {
        let app = TestApp::with_limits(crate::web::RequestLimits { event_streams: 1, ..Default::default() });
        app.running("example.com").await;
        let mut stream = current_stream(&app, &[]).await;
        assert_eq!(app.get("/scans/1/live?from=0").await.status(), 503);
        app.closing.cancel();
        assert_eq!(next(&mut stream).await, None);
    }
}
