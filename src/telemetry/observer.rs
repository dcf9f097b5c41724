//! The state that the observed ports share: the destinations of spans and metrics, and the
//! unacknowledged deliveries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{ScanId, ScanRecord, ScanState, TraceContext};
use kastrel_actors::ports::{Clock, JobSignal, Receipt};
use opentelemetry::KeyValue;
use tokio::time::Instant;

use super::Telemetry;
use super::catalog::attribute;
use super::instruments::Instruments;
use super::process_groups::ProcessGroups;
use super::readings::Readings;
use super::scans::ScanTraceIndex;
use super::span_rules::{self, Asked, Call};
use super::spans::{OpenSpan, Spans};

/// A delivery that this process has not acknowledged or released yet.
#[derive(Debug)]
struct InHand {
    scan: ScanId,
    due: Timestamp,
    span: Option<OpenSpan>,
}

/// The shared observer; see the module docs.
#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) spans: Spans,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) readings: Readings,
    pub(crate) groups: Arc<ProcessGroups>,
    pub(crate) clock: Arc<dyn Clock>,
    trace_index: Arc<ScanTraceIndex>,
    in_hand: Arc<Mutex<HashMap<Receipt, InHand>>>,
}

impl Observer {
    pub(crate) fn new(telemetry: &Telemetry, clock: Arc<dyn Clock>) -> Self {
        Self {
            spans: telemetry.spans().clone(),
            instruments: Arc::clone(telemetry.instruments()),
            readings: telemetry.readings().clone(),
            groups: Arc::clone(telemetry.groups()),
            trace_index: Arc::clone(telemetry.trace_index()),
            clock,
            in_hand: Arc::default(),
        }
    }

    pub(crate) fn note(&self, row: &ScanRecord) {
        self.trace_index.note(row);
    }

    /// Records a delivery.
    pub(crate) fn take_in_hand(&self, receipt: Receipt, signal: &JobSignal, span: Option<OpenSpan>) {
        self.in_hand().insert(receipt, InHand { scan: signal.id, due: signal.due, span });
    }

    /// Records the acknowledgement or release of a delivery. If that failed with `error`, the queue
    /// redelivers the signal later.
    pub(crate) fn put_down(&self, receipt: &Receipt, result: &'static str, error: Option<&'static str>) {
        let in_hand = self.in_hand().remove(receipt);
        if let Some(mut span) = in_hand.and_then(|in_hand| in_hand.span) {
            span.set(KeyValue::new(attribute::QUEUE_RESULT, if error.is_some() { "unanswered" } else { result }));
            if let Some(error) = error {
                span.fail(error);
            }
            span.end(self.clock.now());
        }
    }

    /// The unacknowledged delivery of a scan: the context of its span, and its due time.
    fn delivery_of(&self, scan: ScanId) -> (Option<TraceContext>, Option<Timestamp>) {
        let in_hand = self.in_hand();
        let found = in_hand.values().find(|in_hand| in_hand.scan == scan);
        (found.and_then(|found| found.span.as_ref().map(|span| span.context)), found.map(|found| found.due))
    }

    /// Records a committed change of a row.
    pub(crate) fn committed(&self, asked: &Asked, row: &ScanRecord, start: Timestamp) {
        let end = self.clock.now();
        self.note(row);
        let (delivery, due) = if *asked == Asked::Lease { self.delivery_of(row.id) } else { (None, None) };
        self.count(asked, row, due, end);
        if self.spans.are_taken() {
            let call = Call { start, end, delivery, request: super::ids::current() };
            for span in span_rules::spans_for(asked, row, call) {
                self.spans.write(span);
            }
        }
    }

    fn count(&self, asked: &Asked, row: &ScanRecord, due: Option<Timestamp>, now: Timestamp) {
        match asked {
            Asked::Progress | Asked::Transfer => return,
            Asked::Lease => {
                let due = due.unwrap_or(row.created_at);
                self.instruments
                    .dispatched(row.request.options.priority.as_str(), now.duration_since(due).as_secs_f64());
                return;
            }
            Asked::Finish | Asked::Rescue(_) => {
                if let Some(end) = row.last_attempt().and_then(|attempt| attempt.end.as_ref()) {
                    self.instruments.attempt_ended(end.outcome(), end.reason());
                    if matches!(row.state, ScanState::Pending { .. }) {
                        self.instruments.restarted(end.reason().unwrap_or("none"));
                    }
                }
            }
            Asked::Cancel(_) => {}
        }
        if row.status().is_terminal() {
            self.instruments.scan_ended(row.status(), &row.coverage());
        }
    }

    /// Measures a call of the database or of Redis.
    pub(crate) async fn timed<T, E>(
        &self,
        system: &'static str,
        operation: &'static str,
        call: impl Future<Output = Result<T, E>>,
        kind: impl FnOnce(&E) -> &'static str,
    ) -> Result<T, E> {
        let began = Instant::now();
        let answer = call.await;
        self.called(system, operation, answer.as_ref().err().map(kind), began.elapsed());
        answer
    }

    fn called(&self, system: &'static str, operation: &'static str, error: Option<&'static str>, took: Duration) {
        self.instruments.call(system, operation, error, took);
    }

    fn in_hand(&self) -> MutexGuard<'_, HashMap<Receipt, InHand>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
