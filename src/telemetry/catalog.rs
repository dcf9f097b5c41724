//! The catalogue of all telemetry: spans, their events, metrics and attributes.
//!
//! The code takes every name from this file, and `docs/telemetry.md` is generated from it. The file
//! contains only data.

/// A span.
#[derive(Debug, Clone, Copy)]
pub struct SpanEntry {
    /// Its name.
    pub name: &'static str,
    /// `internal`, `server`, `producer` or `consumer`.
    pub kind: &'static str,
    /// The parent span.
    pub parent: &'static str,
    /// Its attributes, without `scan.id`, `scan.attempt` and `node.id`, which are added where they
    /// apply.
    pub attributes: &'static [&'static str],
    /// Its meaning.
    pub description: &'static str,
}

/// An event within a span.
#[derive(Debug, Clone, Copy)]
pub struct EventEntry {
    /// Its name.
    pub name: &'static str,
    /// The span that contains it.
    pub span: &'static str,
    /// Its attributes.
    pub attributes: &'static [&'static str],
    /// Its meaning.
    pub description: &'static str,
}

/// An attribute of spans, events or metrics.
#[derive(Debug, Clone, Copy)]
pub struct AttributeEntry {
    /// Its name.
    pub name: &'static str,
    /// `text`, `number`, `seconds`, `bytes` or `yes/no`.
    pub kind: &'static str,
    /// Its meaning.
    pub description: &'static str,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by size.
    Histogram,
}

impl Instrument {
    /// The name of the kind.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct MetricEntry {
    /// Its name in OpenTelemetry.
    pub name: &'static str,
    /// Its kind.
    pub instrument: Instrument,
    /// Its unit in UCUM notation; empty for a plain count.
    pub unit: &'static str,
    /// Its attributes. Each has a small number of values, whatever is scanned.
    pub attributes: &'static [&'static str],
    /// Its meaning.
    pub description: &'static str,
}

impl MetricEntry {
    /// Its name at `/metrics`, without the suffixes of a histogram.
    #[must_use]
    pub fn prometheus_name(&self) -> String {
        let base = self.name.replace('.', "_");
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let total = if self.instrument == Instrument::Counter { "_total" } else { "" };
        format!("{base}{unit}{total}")
    }
}

macro_rules! attributes {
    ($($constant:ident = $name:literal, $kind:literal, $description:literal;)+) => {
        /// The names of attributes.
        pub mod attribute {
            $(#[doc = $description] pub const $constant: &str = $name;)+
        }
        /// Every attribute.
        pub const ATTRIBUTES: &[AttributeEntry] = &[$(AttributeEntry { name: $name, kind: $kind, description: $description }),+];
    };
}

macro_rules! spans {
    ($($constant:ident = $name:literal, $kind:literal, under $parent:literal, [$($attribute:ident),*], $description:literal;)+) => {
        /// The names of spans.
        pub mod span {
            $(#[doc = $description] pub const $constant: &str = $name;)+
        }
        /// Every span.
        pub const SPANS: &[SpanEntry] =
            &[$(SpanEntry { name: $name, kind: $kind, parent: $parent, attributes: &[$(attribute::$attribute),*], description: $description }),+];
    };
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $instrument:ident, $unit:literal, [$($attribute:ident),*], $description:literal;)+) => {
        /// The metrics.
        pub mod metric {
            use super::{Instrument, MetricEntry, attribute};
            $(
                #[doc = $description]
                pub const $constant: MetricEntry = MetricEntry {
                    name: $name,
                    instrument: Instrument::$instrument,
                    unit: $unit,
                    attributes: &[$(attribute::$attribute),*],
                    description: $description,
                };
            )+
        }
        /// Every metric.
        pub const METRICS: &[MetricEntry] = &[$(metric::$constant),+];
    };
}

attributes! {
    SCAN_ID = "scan.id", "number", "The scan.";
    SCAN_ATTEMPT = "scan.attempt", "number", "The attempt, from 1.";
    SCAN_TOKEN = "scan.token", "number", "The fencing token of the attempt.";
    SCAN_MODE = "scan.mode", "text", "passive, active or both.";
    SCAN_PRIORITY = "scan.priority", "text", "high, normal or low.";
    SCAN_CREATED = "scan.created", "yes/no", "Whether the submission created the scan; no if an earlier one with the same idempotency key did.";
    SCAN_STATUS = "scan.status", "text", "The state of a scan, in the words of the status API.";
    SCAN_OUTCOME = "scan.outcome", "text", "completed, failed or cancelled.";
    SCAN_ATTEMPTS = "scan.attempts", "number", "How many attempts the scan had.";
    SCAN_FINDINGS = "scan.findings", "number", "How many items the plugins collected.";
    SCAN_ISSUES = "scan.issues", "number", "How many issues the plugins reported.";
    SCAN_CHECKS = "scan.checks", "number", "How many checks the scan has: the plugins that it selected.";
    SCAN_CHECKS_RAN = "scan.checks.ran", "number", "How many checks ran to their end.";
    SCAN_GAPS = "scan.checks.gaps", "number", "How many checks did not run to their end.";
    SCAN_PLUGINS_FAILED = "scan.plugins.failed", "number", "How many plugins failed.";
    SERVER_ADDRESS = "server.address", "text", "The host that is scanned. Only on spans, never on metrics.";
    NODE_ID = "node.id", "text", "The node.";
    ATTEMPT_END = "attempt.end", "text", "completed, failed, interrupted or cancelled.";
    ATTEMPT_REASON = "attempt.reason", "text", "The kind of failure or interruption, as listed in docs/supervision.md; none if there is neither.";
    RESTART_REASON = "restart.reason", "text", "The kind of failure or interruption that is followed by another attempt.";
    RESTART_DUE = "restart.due", "text", "The earliest moment of the next attempt.";
    RESTART_COUNTS = "restart.counts", "yes/no", "Whether the attempt counts against the scan's limit.";
    WAIT_BACKOFF = "scan.wait.backoff", "seconds", "The wait after a failed attempt, until this attempt was due.";
    WAIT_QUEUED = "scan.wait.queued", "seconds", "The wait after that for a slot or for a node that starts the scan; a pause, a hold and a lack of workers count here.";
    CANCEL_BY = "cancel.by", "text", "The origin of the request: user or interrupt.";
    CANCEL_RESULT = "cancel.result", "text", "cancelled, or requested if a running attempt has to be ended first.";
    LINK_KIND = "link.kind", "text", "The meaning of a link: previous_attempt or requested_by.";
    QUEUE_RESULT = "queue.result", "text", "The result of a delivery: acknowledged, released (delivered again later), or unanswered if the queue did not take the answer.";
    MESSAGING_SYSTEM = "messaging.system", "text", "redis, or kastrel for the in-process queue.";
    MESSAGING_OPERATION = "messaging.operation.name", "text", "publish or process.";
    MESSAGING_OPERATION_TYPE = "messaging.operation.type", "text", "send or process.";
    MESSAGING_DESTINATION = "messaging.destination.name", "text", "scans.high, scans.normal or scans.low.";
    MESSAGING_MESSAGE_ID = "messaging.message.id", "text", "The queue's id of the delivery.";
    PROCESS_PID = "process.pid", "number", "The scanner's process, which is also its process group.";
    PROCESS_EXIT_CODE = "process.exit.code", "number", "The exit code.";
    PROCESS_SIGNAL = "process.signal", "number", "The signal that ended the process.";
    PROCESS_EXIT = "process.exit", "text", "success (0), error (another code), usage (2), signal or unknown.";
    PROCESS_CPU = "process.cpu.time", "seconds", "Processor time of the process group, at the last measurement.";
    PROCESS_MEMORY = "process.memory.peak", "bytes", "The highest measured resident memory of the process group.";
    SCANNER_KIND = "scanner.kind", "text", "kast or builtin.";
    SCANNER_VERSION = "scanner.version", "text", "The scanner's version.";
    PLUGIN_NAME = "plugin.name", "text", "The plugin; on metrics `other` if the scanner's own list does not contain it.";
    PLUGIN_OUTCOME = "plugin.outcome", "text", "The final state of a plugin; docs/GLOSSARY.md lists the states.";
    PLUGIN_FINDINGS = "plugin.findings", "number", "The number of items that the plugin reports.";
    ERROR_TYPE = "error.type", "text", "The kind of the error. Never its text, which a scanned site may have written.";
    HTTP_METHOD = "http.request.method", "text", "The method; _OTHER if it is not a common one.";
    HTTP_ROUTE = "http.route", "text", "The route's pattern, such as /scans/{id}; none if no route matched.";
    HTTP_STATUS = "http.response.status_code", "number", "The answer's status.";
    URL_PATH = "url.path", "text", "The path, without the query.";
    PROBLEM_KIND = "problem.kind", "text", "The last part of the problem's `type`.";
    DB_SYSTEM = "db.system.name", "text", "surrealdb or redis.";
    DB_OPERATION = "db.operation.name", "text", "The call.";
    LEASE_RESULT = "lease.result", "text", "granted, refused (another node ended the lease) or error.";
    NODE_LEASE = "node.lease", "text", "good or ended.";
    BUDGET = "budget", "text", "attempts (failed attempts of scans) or actors (failures of the node's own actors).";
    ACTOR = "actor", "text", "An actor of the node.";
    FOLDER = "folder", "text", "data or results.";
    VERSION = "version", "text", "Kastrel's version.";
}

spans! {
    HTTP_SERVER = "http.server", "server", under "the caller's, if it sends `traceparent`", [HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, URL_PATH],
        "A request, named by its method and route. Polling (the status route, event streams, health checks, metrics, logs that are followed, pages that update themselves, the preview in the form) and assets have none.";
    CLI_SUBMIT = "cli.submit", "internal", under "nothing", [], "`kastrel scan` submits a scan: to the server, or in its own process.";
    SCAN_SUBMIT = "scan.submit", "internal", under "http.server or cli.submit", [SCAN_MODE, SCAN_PRIORITY, SCAN_CREATED, SERVER_ADDRESS, ERROR_TYPE],
        "The scan is committed. The row keeps this context, so that every later span of the scan, on any node, belongs to this trace.";
    QUEUE_PUBLISH = "queue.publish", "producer", under "scan.submit", [MESSAGING_SYSTEM, MESSAGING_OPERATION, MESSAGING_OPERATION_TYPE, MESSAGING_DESTINATION, ERROR_TYPE],
        "The row is signalled: after the submission, and for each further attempt. The queue entry carries this span's context.";
    QUEUE_PROCESS = "queue.process", "consumer", under "queue.publish, or scan.submit where a reconciler repeated the signal",
        [MESSAGING_SYSTEM, MESSAGING_OPERATION, MESSAGING_OPERATION_TYPE, MESSAGING_DESTINATION, MESSAGING_MESSAGE_ID, QUEUE_RESULT, ERROR_TYPE],
        "A dispatcher holds the signal, until it acknowledges or releases it.";
    SCAN_LEASE = "scan.lease", "internal", under "queue.process", [SCAN_TOKEN, WAIT_BACKOFF, WAIT_QUEUED], "The row is leased: the attempt is granted to the node.";
    ATTEMPT_START = "scan.attempt.start", "internal", under "scan.lease", [SCAN_TOKEN, LINK_KIND],
        "An attempt begins. A retry links to the beginning of the previous attempt, on whatever node that ran.";
    PROCESS_START = "kast.process.start", "internal", under "scan.attempt.start", [PROCESS_PID, SCANNER_KIND, SCANNER_VERSION, ERROR_TYPE],
        "The scanner's process is started. KAST gets this span's context as `TRACEPARENT`.";
    PLUGIN = "kast.plugin", "internal", under "kast.process.start", [PLUGIN_NAME, PLUGIN_OUTCOME, PLUGIN_FINDINGS, ERROR_TYPE],
        "A plugin, with its own start and end from the scanner's files. Made when the plugin has ended.";
    PROCESS_END = "kast.process.end", "internal", under "kast.process.start",
        [PROCESS_PID, PROCESS_EXIT, PROCESS_EXIT_CODE, PROCESS_SIGNAL, PROCESS_CPU, PROCESS_MEMORY, ERROR_TYPE],
        "The process and everything that it started are gone.";
    ATTEMPT_END = "scan.attempt.end", "internal", under "scan.attempt.start", [SCAN_TOKEN, ATTEMPT_END, ATTEMPT_REASON, ERROR_TYPE],
        "The attempt's end is committed.";
    ATTEMPT_LOST = "attempt.lost", "internal", under "scan.attempt.start", [SCAN_TOKEN, ATTEMPT_REASON, ERROR_TYPE],
        "Written by the node that took the scan over, in place of the end that the lost node could not write. `node.id` is the lost one.";
    SCAN_RESTART = "scan.restart", "internal", under "scan.attempt.end or attempt.lost", [RESTART_REASON, RESTART_DUE, RESTART_COUNTS],
        "The scan will be retried.";
    SCAN_CANCEL = "scan.cancel", "internal", under "scan.submit", [CANCEL_BY, CANCEL_RESULT, LINK_KIND],
        "A cancel of the scan was requested. Links to that request, which has its own trace.";
    SCAN_VERDICT = "scan.verdict", "internal", under "scan.attempt.end, attempt.lost or scan.cancel",
        [SCAN_OUTCOME, SCAN_ATTEMPTS, SCAN_FINDINGS, SCAN_ISSUES, SCAN_CHECKS, SCAN_CHECKS_RAN, SCAN_GAPS, SCAN_PLUGINS_FAILED, ERROR_TYPE], "The scan has ended for good. Its last span.";
    DOCTOR = "doctor.check", "internal", under "nothing", [], "`kastrel doctor` tests the collector.";
}

/// The events within spans.
pub mod event {
    /// A request ended in a problem.
    pub const PROBLEM: &str = "problem";
}

/// Every event.
pub const EVENTS: &[EventEntry] = &[EventEntry {
    name: event::PROBLEM,
    span: span::HTTP_SERVER,
    attributes: &[attribute::PROBLEM_KIND],
    description: "The request ended in a problem; the answer carries the trace id.",
}];

metrics! {
    HTTP_DURATION = "http.server.request.duration", Histogram, "s", [HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS], "The time until an answer began, of every route.";
    EVENT_LAG = "kastrel.event.lag", Histogram, "s", [], "The age of a snapshot of a running attempt when it was sent to an open page; by both clocks if the attempt runs elsewhere.";
    EVENT_STREAMS = "kastrel.event_streams.open", Gauge, "", [], "Open event streams.";
    SCANS = "kastrel.scans", Gauge, "", [SCAN_STATUS], "Scans by state, on all nodes.";
    SCANS_SUBMITTED = "kastrel.scans.submitted", Counter, "", [SCAN_PRIORITY], "Scans that were accepted here.";
    SCANS_ENDED = "kastrel.scans.ended", Counter, "", [SCAN_OUTCOME], "Scans whose end was committed here.";
    SCANS_UNCHECKED = "kastrel.scans.unchecked", Counter, "", [SCAN_OUTCOME], "Scans that ended and in which no check ran to its end, dry runs excepted.";
    SCANS_GAPS = "kastrel.scans.gaps", Counter, "", [SCAN_OUTCOME], "Scans that ended with checks that did not run to their end.";
    QUEUE_DEPTH = "kastrel.queue.depth", Gauge, "", [SCAN_PRIORITY], "Scans that are due and wait for a free slot, on all nodes; counts to 10,000.";
    QUEUE_AGE = "kastrel.queue.oldest.age", Gauge, "s", [SCAN_PRIORITY], "The time since the oldest of them was due.";
    QUEUE_SIGNALS = "kastrel.queue.signals", Gauge, "", [], "Signals that wait in the queue or are held by a dispatcher.";
    OUTBOX_WAITING = "kastrel.outbox.waiting", Gauge, "", [], "Events that wait for a consumer, on all nodes; counts to 10,000.";
    OUTBOX_AGE = "kastrel.outbox.oldest.age", Gauge, "s", [], "The age of the oldest of them; 0 if none waits.";
    DEAD_LETTERS = "kastrel.dead_letters", Gauge, "", [], "Events whose delivery was given up, until somebody sends them again; counts to 10,000.";
    DISPATCH = "kastrel.dispatch.duration", Histogram, "s", [SCAN_PRIORITY], "The time from the due moment of an attempt to its lease by this node.";
    RUNNING = "kastrel.node.scans.running", Gauge, "", [], "Scans that run on this node.";
    CAPACITY = "kastrel.node.capacity", Gauge, "", [], "The number of slots of this node; 0 if it runs no scans.";
    NODES = "kastrel.nodes", Gauge, "", [NODE_LEASE], "Nodes by the state of their lease.";
    ATTEMPTS_STARTED = "kastrel.attempts.started", Counter, "", [], "Attempts that this node leased.";
    ATTEMPTS_ENDED = "kastrel.attempts.ended", Counter, "", [ATTEMPT_END, ATTEMPT_REASON], "Attempts whose end was committed here, including those of lost nodes.";
    RESTARTS = "kastrel.restarts", Counter, "", [RESTART_REASON], "Attempts that are followed by another one, by reason.";
    BUDGET_LEFT = "kastrel.restart.budget.left", Gauge, "", [BUDGET], "The failures left within the window before this node holds back attempts, or gives up.";
    ACTOR_RESTARTS = "kastrel.actor.restarts", Counter, "", [ACTOR], "Restarts of an actor of this node.";
    LEASE_RENEWALS = "kastrel.lease.renewals", Counter, "", [LEASE_RESULT], "Renewals of this node's lease.";
    LEASE_LOSSES = "kastrel.lease.losses", Counter, "", [], "Losses of this node's lease, after which it killed its scans; counted when a renewal is refused, or when the node requests another lease.";
    LEASE_AGE = "kastrel.lease.age", Gauge, "s", [], "The time since this node's lease was last granted or renewed.";
    KAST_DURATION = "kastrel.kast.duration", Histogram, "s", [PROCESS_EXIT], "The run time of scanner processes.";
    KAST_CPU = "kastrel.kast.cpu.time", Counter, "s", [], "Processor time of this node's scanners and their descendants, measured every 2 s.";
    KAST_MEMORY = "kastrel.kast.memory", Gauge, "By", [], "Resident memory of this node's scanners and their descendants.";
    KAST_MEMORY_PEAK = "kastrel.kast.memory.peak", Histogram, "By", [], "The highest measured resident memory of one attempt's process group.";
    PLUGIN_DURATION = "kastrel.plugin.duration", Histogram, "s", [PLUGIN_NAME, PLUGIN_OUTCOME], "The run time of plugins, if their start is known.";
    PLUGINS_ENDED = "kastrel.plugins.ended", Counter, "", [PLUGIN_NAME, PLUGIN_OUTCOME], "Plugins that ended.";
    CALLS = "db.client.operation.duration", Histogram, "s", [DB_SYSTEM, DB_OPERATION, ERROR_TYPE], "Calls of the database and of Redis; with `error.type` if they failed.";
    STORE_UP = "kastrel.store.up", Gauge, "", [], "Whether the database answers.";
    DISK_FREE = "kastrel.disk.free", Gauge, "By", [FOLDER], "Free space for this user on the disk of the folder.";
    DISK_SIZE = "kastrel.disk.size", Gauge, "By", [FOLDER], "The size of the disk of the folder.";
    BUILD = "kastrel.build.info", Gauge, "", [VERSION], "The version of Kastrel.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kastrel_actors::model::{AttemptOutcome, ExitClass, LeaseResult, ScanMode, ScannerKind};

    use super::*;

    #[test]
    fn catalogue_names_are_unique_and_attributes_are_known() {
        let known: BTreeSet<&str> = ATTRIBUTES.iter().map(|one| one.name).collect();
        assert_eq!(known.len(), ATTRIBUTES.len(), "two attributes of one name");
        let used = SPANS
            .iter()
            .flat_map(|one| one.attributes)
            .chain(METRICS.iter().flat_map(|one| one.attributes))
            .chain(EVENTS.iter().flat_map(|one| one.attributes));
        for name in used {
            assert!(known.contains(name), "{name}");
        }
        let spans: BTreeSet<&str> = SPANS.iter().map(|one| one.name).collect();
        assert_eq!(spans.len(), SPANS.len());
        let metrics: BTreeSet<String> = METRICS.iter().map(MetricEntry::prometheus_name).collect();
        assert_eq!(metrics.len(), METRICS.len());
    }

    #[test]
    fn attribute_texts_list_every_value() {
        fn names<T: Copy + std::fmt::Display>(all: &[T]) -> Vec<String> {
            all.iter().map(ToString::to_string).collect()
        }
        for (attribute, values) in [
            (attribute::ATTEMPT_END, names(AttemptOutcome::ALL)),
            (attribute::LEASE_RESULT, names(LeaseResult::ALL)),
            (attribute::PROCESS_EXIT, names(ExitClass::ALL)),
            (attribute::SCAN_MODE, names(ScanMode::ALL)),
            (attribute::SCANNER_KIND, names(ScannerKind::ALL)),
        ] {
            let entry = ATTRIBUTES.iter().find(|one| one.name == attribute).unwrap();
            let missing: Vec<_> = values.iter().filter(|value| !entry.description.contains(value.as_str())).collect();
            assert!(missing.is_empty(), "{attribute} does not list {missing:?}");
        }
    }

    #[test]
    fn metric_attributes_are_bounded() {
        for metric in METRICS {
            for unbounded in [
                attribute::SERVER_ADDRESS,
                attribute::SCAN_ID,
                attribute::SCAN_TOKEN,
                attribute::NODE_ID,
                attribute::PROCESS_PID,
                attribute::URL_PATH,
            ] {
                assert!(!metric.attributes.contains(&unbounded), "{} has {unbounded}", metric.name);
            }
        }
    }
}
