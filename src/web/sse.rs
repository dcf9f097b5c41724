//! Streams the snapshots of a scan as server-sent events.
//!
//! The stream is level-triggered: it sends the state at the moment of sending. A slow reader
//! therefore costs no memory, and misses only states that are already outdated.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::sse::Event;
use futures_util::Stream;
use jiff::Timestamp;
use kastrel_actors::model::ScanSnapshot;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::api::status::status_json;
use super::state::Web;
use crate::telemetry::Instruments;

/// Identifies a state of a scan within one run of the program. Sequence numbers restart with each
/// run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    run: u32,
    version: u64,
    sequence: u64,
    end: bool,
}

impl EventId {
    pub(crate) fn of(scan: &ScanSnapshot, run: u32) -> Self {
        Self { run, version: scan.record.version, sequence: scan.sequence, end: false }
    }

    /// Parses the output of `Display`. An end id is valid even if another run of the program sent
    /// it.
    pub(crate) fn parse(text: &str, run: u32) -> Option<Self> {
        let (rest, end) = match text.strip_suffix("-end") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let mut parts = rest.split('-');
        let (of_run, version, sequence) =
            (u32::from_str_radix(parts.next()?, 16).ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (parts.next().is_none() && (end || of_run == run)).then_some(Self { run: of_run, version, sequence, end })
    }

    /// Returns whether this is the id of the end event.
    pub(crate) const fn is_end(self) -> bool {
        self.end
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}{}", self.run, self.version, self.sequence, if self.end { "-end" } else { "" })
    }
}

/// The state of an open stream: the current snapshot and nothing else.
pub(crate) struct StatusStream {
    updates: watch::Receiver<Arc<ScanSnapshot>>,
    seen: Option<EventId>,
    last_json: Bytes,
    web: Web,
    ended: bool,
    lag: Lag,
    _permit: OwnedSemaphorePermit,
}

/// Measures the age of a progress update when its event is sent.
pub(crate) struct Lag(pub(crate) Arc<Instruments>);

impl Lag {
    /// Records the delay. Only updates of the running attempt have a timestamp, and only an update
    /// that this stream waited for can be late.
    pub(crate) fn measure(&self, scan: &ScanSnapshot, seen: Option<EventId>, now: Timestamp) {
        if let (Some(seen), Some(happened)) = (seen, scan.last_progress_at)
            && seen.version == scan.record.version
            && seen.sequence < scan.sequence
        {
            let late = now.duration_since(happened);
            self.0.event_sent(Duration::try_from(late).unwrap_or_default());
        }
    }
}

impl StatusStream {
    pub(crate) fn new(
        updates: watch::Receiver<Arc<ScanSnapshot>>,
        seen: Option<EventId>,
        web: Web,
        permit: OwnedSemaphorePermit,
        lag: Lag,
    ) -> Self {
        Self { updates, seen, last_json: Bytes::new(), web, ended: false, lag, _permit: permit }
    }

    /// Returns the next event, or `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        while !self.ended {
            let scan = self.updates.borrow_and_update().clone();
            let id = EventId::of(&scan, self.web.run);
            if self.seen != Some(id) {
                let seen = self.seen.replace(id);
                let waiting = self.web.scans().waiting_seen(&scan.record);
                let json = status_json(&self.web, &scan, waiting.as_ref()).ok()?;
                // Liveness updates change the snapshot, but nothing that is shown.
                if json != self.last_json {
                    self.lag.measure(&scan, seen, self.web.scans().now());
                    self.last_json = json;
                    let text = std::str::from_utf8(&self.last_json).ok()?;
                    return Some(Event::default().event("status").id(id.to_string()).data(text));
                }
            }
            if scan.status().is_terminal() {
                self.ended = true;
                return Some(
                    Event::default()
                        .event("end")
                        .id(EventId { end: true, ..id }.to_string())
                        .data(scan.status().as_str()),
                );
            }
            let changed = tokio::select! {
                changed = self.updates.changed() => changed.is_ok(),
                () = self.web.state.closing.cancelled() => false,
            };
            self.ended = !changed;
        }
        None
    }
}

/// Converts the stream into the form that axum needs.
pub(crate) fn events(stream: StatusStream) -> impl Stream<Item = Result<Event, Infallible>> {
    futures_util::stream::unfold(stream, async |mut stream| stream.next().await.map(|event| (Ok(event), stream)))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, BodyDataStream};
    use axum::response::Response;
    use futures_util::StreamExt;
    use kastrel_actors::model::{AttemptPhase, Failure, FailureKind, Resolution};

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

    #[test]
    fn an_id_is_read_as_it_is_written_but_only_in_the_same_run() {
        let id = EventId { run: 7, version: 3, sequence: 12, end: false };
        assert_eq!(EventId::parse(&id.to_string(), 7), Some(id));
        assert_eq!(EventId::parse(&id.to_string(), 8), None);
        let end = EventId { end: true, ..id };
        assert_eq!(EventId::parse(&end.to_string(), 8), Some(end));
        for bad in ["", "x", "7-1", "7-1-2-3", "7-1-x"] {
            assert_eq!(EventId::parse(bad, 7), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn stream_sends_the_state_then_each_change_then_the_end() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        let mut stream = body(app.get(&format!("/api/scans/{}/events", running.id)).await);
        let first = next(&mut stream).await.unwrap();
        assert!(first.contains("event: status") && first.contains(r#""status":"running""#), "{first}");
        app.snapshots.update_attempt(running.id, running.token, |live| {
            live.phase(AttemptPhase::Stopping);
        });
        assert!(next(&mut stream).await.unwrap().contains(r#""phase":"stopping""#));
        app.finish(&running, Resolution::Fail(Failure::new(FailureKind::Crashed, "x"))).await;
        assert!(next(&mut stream).await.unwrap().contains(r#""status":"failed""#));
        let end = next(&mut stream).await.unwrap();
        assert!(end.contains("event: end") && end.contains("data: failed"), "{end}");
        assert_eq!(next(&mut stream).await, None);
        let again =
            app.send("GET", &format!("/api/scans/{}/events", running.id), &[("last-event-id", &id_of(&end))], "").await;
        assert_eq!(again.status(), 204, "so that an EventSource does not come back");
    }

    #[tokio::test]
    async fn reconnected_stream_skips_seen_states_and_merges_missed_ones() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        let path = format!("/api/scans/{}/events", running.id);
        let seen = id_of(&next(&mut body(app.get(&path).await)).await.unwrap());
        let mut stream = body(app.send("GET", &path, &[("last-event-id", &seen)], "").await);
        for phase in [AttemptPhase::Starting, AttemptPhase::Running, AttemptPhase::Stopping] {
            app.snapshots.update_attempt(running.id, running.token, |live| {
                live.phase(phase);
            });
        }
        assert!(
            next(&mut stream).await.unwrap().contains(r#""phase":"stopping""#),
            "the first event is the latest state, not the seen one"
        );
    }

    #[tokio::test]
    async fn liveness_updates_alone_send_no_event() {
        let app = TestApp::new();
        let running = app.running("example.com").await;
        let mut stream = body(app.get(&format!("/api/scans/{}/events", running.id)).await);
        next(&mut stream).await.unwrap();
        app.snapshots.update_attempt(running.id, running.token, |live| {
            live.alive(Timestamp::UNIX_EPOCH);
        });
        assert!(futures_util::poll!(stream.next()).is_pending());
    }

    #[tokio::test]
    async fn status_streams_are_counted_and_end_with_the_server() {
        let app = TestApp::with_limits(RequestLimits { event_streams: 1, ..RequestLimits::default() });
        let running = app.running("example.com").await;
        let path = format!("/api/scans/{}/events", running.id);
        let mut first = body(app.get(&path).await);
        next(&mut first).await.unwrap();
        let refused = app.get(&path).await;
        assert_eq!((refused.status().as_u16(), header_of(&refused, "retry-after")), (503, "10"));
        app.closing.cancel();
        assert_eq!(next(&mut first).await, None);
        drop(first);
        assert_eq!(app.get(&path).await.status(), 200, "a closed stream makes room");
    }
}
