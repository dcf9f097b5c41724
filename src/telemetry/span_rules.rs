//! Derives spans from a committed change of a row, as a pure function.
//!
//! Spans are derived from committed rows and not in the actors, so each commit yields its spans
//! exactly once, and a change that was not committed yields none.

use jiff::Timestamp;
use kastrel_actors::model::{
    AttemptEnd, AttemptOutcome, AttemptRecord, CancelledBy, Command, FencingToken, NodeId, PendingReason, ScanRecord,
    ScanState, TraceContext,
};
use kastrel_actors::policy::wait_parts::before_attempt;
use opentelemetry::KeyValue;

use super::catalog::{attribute, span};
use super::ids;
use super::spans::FinishedSpan;

/// The command that was applied to a row, reduced to what the rules need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    Lease,
    Progress,
    Finish,
    Cancel(CancelledBy),
    Transfer,
    Rescue(NodeId),
}

impl Asked {
    pub(crate) fn of(command: &Command) -> Self {
        match command {
            Command::Lease { .. } => Self::Lease,
            Command::Progress { .. } => Self::Progress,
            Command::Finish { .. } => Self::Finish,
            Command::Cancel { by, .. } => Self::Cancel(*by),
            Command::Transfer { .. } => Self::Transfer,
            Command::Rescue { from, .. } => Self::Rescue(from.clone()),
        }
    }
}

/// A call of the store, and its context.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    /// The span of the delivery that led to it.
    pub(crate) delivery: Option<TraceContext>,
    /// The span of the request that led to it.
    pub(crate) request: Option<TraceContext>,
}

/// The spans of the command `asked`, which was committed as `row`.
pub(crate) fn spans_for(asked: &Asked, row: &ScanRecord, call: Call) -> Vec<FinishedSpan> {
    match asked {
        Asked::Lease => leased(row, call),
        Asked::Progress | Asked::Transfer => Vec::new(),
        Asked::Finish => ended(row, call),
        Asked::Cancel(by) => cancelled(row, *by, call),
        Asked::Rescue(from) => lost(row, from, call),
    }
}

fn number(name: &'static str, value: u64) -> KeyValue {
    KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX))
}

/// The attributes that identify an attempt on each of its spans.
pub(crate) fn names(scan: u64, attempt: u32) -> Vec<KeyValue> {
    vec![number(attribute::SCAN_ID, scan), number(attribute::SCAN_ATTEMPT, u64::from(attempt))]
}

fn of_attempt(row: &ScanRecord, attempt: &AttemptRecord) -> Vec<KeyValue> {
    let mut attributes = names(row.id.0, attempt.number.0);
    attributes.push(number(attribute::SCAN_TOKEN, attempt.token.0));
    attributes.push(KeyValue::new(attribute::NODE_ID, attempt.node.to_string()));
    attributes
}

fn leased(row: &ScanRecord, call: Call) -> Vec<FinishedSpan> {
    let Some((attempt, earlier)) = row.attempts.split_last() else { return Vec::new() };
    let own = |name: &str, token: FencingToken| ids::of_attempt(row.trace, name, token);
    // The parts of the wait before the attempt. Time after the due time does not count as backoff.
    let spent = |name: &str| {
        before_attempt(row, earlier.len())
            .iter()
            .filter(|part| part.name == name)
            .map(|part| part.until.duration_since(part.from).as_secs_f64())
            .sum::<f64>()
    };
    let mut attributes = of_attempt(row, attempt);
    attributes.push(KeyValue::new(attribute::WAIT_BACKOFF, spent("Backoff")));
    attributes.push(KeyValue::new(attribute::WAIT_QUEUED, spent("Queued")));
    let lease = FinishedSpan {
        own: Some(own(span::SCAN_LEASE, attempt.token)),
        ..FinishedSpan::new(span::SCAN_LEASE, call.delivery.unwrap_or(row.trace), call.start, call.end, attributes)
    };
    let before = earlier.last().map(|before| (own(span::ATTEMPT_START, before.token), "previous_attempt"));
    let start = FinishedSpan {
        own: Some(own(span::ATTEMPT_START, attempt.token)),
        links: before.into_iter().collect(),
        ..FinishedSpan::new(
            span::ATTEMPT_START,
            own(span::SCAN_LEASE, attempt.token),
            call.end,
            call.end,
            of_attempt(row, attempt),
        )
    };
    vec![lease, start]
}

fn ended(row: &ScanRecord, call: Call) -> Vec<FinishedSpan> {
    let Some(attempt) = row.last_attempt() else { return Vec::new() };
    let Some(end) = &attempt.end else { return Vec::new() };
    let (outcome, reason) = (end.outcome(), end.reason());
    let mut attributes = of_attempt(row, attempt);
    attributes.push(KeyValue::new(attribute::ATTEMPT_END, outcome.as_str()));
    attributes.extend(reason.map(|reason| KeyValue::new(attribute::ATTEMPT_REASON, reason)));
    let own = ids::of_attempt(row.trace, span::ATTEMPT_END, attempt.token);
    let end = FinishedSpan {
        own: Some(own),
        error: reason.filter(|_| outcome == AttemptOutcome::Failed).map(str::to_owned),
        ..FinishedSpan::new(
            span::ATTEMPT_END,
            ids::of_attempt(row.trace, span::ATTEMPT_START, attempt.token),
            call.start,
            call.end,
            attributes,
        )
    };
    let next = next(row, own, attempt.token, call.end);
    [end].into_iter().chain(next).collect()
}

fn lost(row: &ScanRecord, from: &NodeId, call: Call) -> Vec<FinishedSpan> {
    let Some(attempt) = row.last_attempt() else { return Vec::new() };
    let reason = attempt.end.as_ref().and_then(AttemptEnd::reason).unwrap_or("node_lost");
    let mut attributes = names(row.id.0, attempt.number.0);
    attributes.push(number(attribute::SCAN_TOKEN, attempt.token.0));
    attributes.push(KeyValue::new(attribute::NODE_ID, from.to_string()));
    attributes.push(KeyValue::new(attribute::ATTEMPT_REASON, reason));
    let own = ids::of_attempt(row.trace, span::ATTEMPT_LOST, attempt.token);
    let lost = FinishedSpan {
        own: Some(own),
        error: Some(reason.to_owned()),
        ..FinishedSpan::new(
            span::ATTEMPT_LOST,
            ids::of_attempt(row.trace, span::ATTEMPT_START, attempt.token),
            call.start,
            call.end,
            attributes,
        )
    };
    let next = next(row, own, attempt.token, call.end);
    [lost].into_iter().chain(next).collect()
}

fn cancelled(row: &ScanRecord, by: CancelledBy, call: Call) -> Vec<FinishedSpan> {
    let own = ids::of_attempt(row.trace, span::SCAN_CANCEL, row.token);
    let result = if row.status().is_terminal() { "cancelled" } else { "requested" };
    let attributes = vec![
        number(attribute::SCAN_ID, row.id.0),
        KeyValue::new(attribute::CANCEL_BY, by.as_str()),
        KeyValue::new(attribute::CANCEL_RESULT, result),
    ];
    let cancel = FinishedSpan {
        own: Some(own),
        links: call.request.into_iter().map(|request| (request, "requested_by")).collect(),
        ..FinishedSpan::new(span::SCAN_CANCEL, row.trace, call.start, call.end, attributes)
    };
    [cancel].into_iter().chain(next(row, own, row.token, call.end)).collect()
}

/// The span that follows the end of an attempt: a restart, or the verdict.
fn next(row: &ScanRecord, parent: TraceContext, token: FencingToken, at: Timestamp) -> Option<FinishedSpan> {
    let id = number(attribute::SCAN_ID, row.id.0);
    match &row.state {
        ScanState::Pending { due, reason } => {
            let (reason, counts) = match reason {
                PendingReason::Submitted => return None,
                PendingReason::Retry { failure } => (failure.kind.as_str(), true),
                PendingReason::Requeued { why, .. } => (why.as_str(), false),
            };
            let attributes = vec![
                id,
                KeyValue::new(attribute::RESTART_REASON, reason),
                KeyValue::new(attribute::RESTART_DUE, due.to_string()),
                KeyValue::new(attribute::RESTART_COUNTS, counts),
            ];
            let own = Some(ids::of_attempt(row.trace, span::SCAN_RESTART, token));
            Some(FinishedSpan { own, ..FinishedSpan::new(span::SCAN_RESTART, parent, at, at, attributes) })
        }
        ScanState::Running { .. } => None,
        ScanState::Completed { .. } | ScanState::Failed { .. } | ScanState::Cancelled { .. } => {
            let mut attributes = vec![
                id,
                KeyValue::new(attribute::SCAN_OUTCOME, row.status().as_str()),
                number(attribute::SCAN_ATTEMPTS, row.attempts.len() as u64),
            ];
            let coverage = row.coverage();
            attributes.push(number(attribute::SCAN_ISSUES, row.severities().total()));
            attributes.push(number(attribute::SCAN_CHECKS, coverage.total() as u64));
            attributes.push(number(attribute::SCAN_CHECKS_RAN, coverage.ran() as u64));
            attributes.push(number(attribute::SCAN_GAPS, coverage.gaps() as u64));
            let mut error = None;
            match &row.state {
                ScanState::Completed { summary, .. } => {
                    attributes.push(number(attribute::SCAN_FINDINGS, summary.findings));
                    attributes.push(number(attribute::SCAN_PLUGINS_FAILED, summary.failed()));
                }
                ScanState::Failed { failure, .. } => error = Some(failure.kind.as_str().to_owned()),
                _ => {}
            }
            let own = Some(ids::of_attempt(row.trace, span::SCAN_VERDICT, token));
            Some(FinishedSpan { own, error, ..FinishedSpan::new(span::SCAN_VERDICT, parent, at, at, attributes) })
        }
    }
}
