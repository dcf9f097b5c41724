//! The metrics: one instrument for each entry of the catalogue. Counters and histograms are updated
//! as events happen; gauges read [`Readings`] on each collection.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    AttemptOutcome, Coverage, ExitClass, FailureKind, Interruption, LeaseResult, PluginStatus, Priority, ScanStatus,
};
use opentelemetry::metrics::{AsyncInstrument, Counter, Histogram, Meter};
use opentelemetry::{KeyValue, StringValue};

use super::catalog::{MetricEntry, attribute, metric};
use super::readings::{Latest, OpenStreams, Readings};

/// Bucket bounds for calls and requests, in seconds: from half a millisecond.
const CALLS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bucket bounds for waiting, in seconds: from a millisecond to an hour.
const WAITS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];
/// Bucket bounds for work, in seconds: from a second to the default wall-clock limit.
const WORK: &[f64] = &[1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0, 3600.0, 7200.0, 14400.0];
/// Bucket bounds for memory, in bytes: from 16 MiB to 8 GiB.
const MEMORY: &[f64] = &[
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    536_870_912.0,
    1_073_741_824.0,
    2_147_483_648.0,
    4_294_967_296.0,
    8_589_934_592.0,
];

/// All instruments; see the module docs.
#[derive(Debug)]
pub struct Instruments {
    http: Histogram<f64>,
    event_lag: Histogram<f64>,
    submitted: Counter<u64>,
    ended: Counter<u64>,
    unchecked: Counter<u64>,
    gaps: Counter<u64>,
    dispatch: Histogram<f64>,
    attempts_started: Counter<u64>,
    attempts_ended: Counter<u64>,
    restarts: Counter<u64>,
    renewals: Counter<u64>,
    losses: Counter<u64>,
    kast: Histogram<f64>,
    kast_cpu: Counter<f64>,
    kast_memory_peak: Histogram<f64>,
    plugins: Histogram<f64>,
    plugins_ended: Counter<u64>,
    calls: Histogram<f64>,
}

impl Instruments {
    /// Creates all instruments on `meter`. The gauges read from `readings`.
    #[must_use]
    pub fn new(meter: &Meter, readings: &Readings) -> Arc<Self> {
        let histogram = |entry: MetricEntry, bounds: &[f64]| {
            meter
                .f64_histogram(entry.name)
                .with_unit(entry.unit)
                .with_description(entry.description)
                .with_boundaries(bounds.to_vec())
                .build()
        };
        let counter = |entry: MetricEntry| {
            meter.u64_counter(entry.name).with_unit(entry.unit).with_description(entry.description).build()
        };
        observe(meter, readings);
        let instruments = Self {
            http: histogram(metric::HTTP_DURATION, CALLS),
            event_lag: histogram(metric::EVENT_LAG, WAITS),
            submitted: counter(metric::SCANS_SUBMITTED),
            ended: counter(metric::SCANS_ENDED),
            unchecked: counter(metric::SCANS_UNCHECKED),
            gaps: counter(metric::SCANS_GAPS),
            dispatch: histogram(metric::DISPATCH, WAITS),
            attempts_started: counter(metric::ATTEMPTS_STARTED),
            attempts_ended: counter(metric::ATTEMPTS_ENDED),
            restarts: counter(metric::RESTARTS),
            renewals: counter(metric::LEASE_RENEWALS),
            losses: counter(metric::LEASE_LOSSES),
            kast: histogram(metric::KAST_DURATION, WORK),
            kast_cpu: meter
                .f64_counter(metric::KAST_CPU.name)
                .with_unit(metric::KAST_CPU.unit)
                .with_description(metric::KAST_CPU.description)
                .build(),
            kast_memory_peak: histogram(metric::KAST_MEMORY_PEAK, MEMORY),
            plugins: histogram(metric::PLUGIN_DURATION, WORK),
            plugins_ended: counter(metric::PLUGINS_ENDED),
            calls: histogram(metric::CALLS, CALLS),
        };
        instruments.begin();
        Arc::new(instruments)
    }

    /// Exports every counter with 0 before the first event. A counter that appears with its first
    /// event shows no increase, so queries for increases would miss that event.
    fn begin(&self) {
        for priority in Priority::ALL {
            self.submitted.add(0, &[KeyValue::new(attribute::SCAN_PRIORITY, priority.as_str())]);
        }
        for outcome in ScanStatus::ALL.iter().filter(|status| status.is_terminal()) {
            for counter in [&self.ended, &self.unchecked, &self.gaps] {
                counter.add(0, &[KeyValue::new(attribute::SCAN_OUTCOME, outcome.as_str())]);
            }
        }
        self.attempts_started.add(0, &[]);
        for outcome in AttemptOutcome::ALL {
            let reasons: Vec<&'static str> = match outcome {
                AttemptOutcome::Failed => FailureKind::ALL.iter().map(|kind| kind.as_str()).collect(),
                AttemptOutcome::Interrupted => Interruption::ALL.iter().map(|why| why.as_str()).collect(),
                AttemptOutcome::Completed | AttemptOutcome::Cancelled => Vec::new(),
            };
            if reasons.is_empty() {
                self.attempts_ended.add(0, &of_attempt(*outcome, None));
            }
            for reason in reasons {
                self.attempts_ended.add(0, &of_attempt(*outcome, Some(reason)));
                self.restarts.add(0, &[KeyValue::new(attribute::RESTART_REASON, reason)]);
            }
        }
        for result in LeaseResult::ALL {
            self.renewals.add(0, &[KeyValue::new(attribute::LEASE_RESULT, result.as_str())]);
        }
        self.losses.add(0, &[]);
        self.kast_cpu.add(0.0, &[]);
    }

    pub(crate) fn request(&self, method: &'static str, route: impl Into<StringValue>, status: u16, took: Duration) {
        let attributes = [
            KeyValue::new(attribute::HTTP_METHOD, method),
            KeyValue::new(attribute::HTTP_ROUTE, route.into()),
            KeyValue::new(attribute::HTTP_STATUS, i64::from(status)),
        ];
        self.http.record(took.as_secs_f64(), &attributes);
    }

    pub(crate) fn event_sent(&self, lag: Duration) {
        self.event_lag.record(lag.as_secs_f64(), &[]);
    }

    pub(crate) fn submitted(&self, priority: &'static str) {
        self.submitted.add(1, &[KeyValue::new(attribute::SCAN_PRIORITY, priority)]);
    }

    pub(crate) fn scan_ended(&self, outcome: ScanStatus, coverage: &Coverage) {
        let attributes = [KeyValue::new(attribute::SCAN_OUTCOME, outcome.as_str())];
        self.ended.add(1, &attributes);
        if coverage.nothing_checked() && !coverage.dry_run {
            self.unchecked.add(1, &attributes);
        }
        if coverage.gaps() > 0 {
            self.gaps.add(1, &attributes);
        }
    }

    pub(crate) fn dispatched(&self, priority: &'static str, waited: f64) {
        self.attempts_started.add(1, &[]);
        self.dispatch.record(waited.max(0.0), &[KeyValue::new(attribute::SCAN_PRIORITY, priority)]);
    }

    pub(crate) fn attempt_ended(&self, outcome: AttemptOutcome, reason: Option<&'static str>) {
        self.attempts_ended.add(1, &of_attempt(outcome, reason));
    }

    pub(crate) fn restarted(&self, reason: &'static str) {
        self.restarts.add(1, &[KeyValue::new(attribute::RESTART_REASON, reason)]);
    }

    pub(crate) fn renewed(&self, result: LeaseResult) {
        self.renewals.add(1, &[KeyValue::new(attribute::LEASE_RESULT, result.as_str())]);
    }

    pub(crate) fn lease_lost(&self) {
        self.losses.add(1, &[]);
    }

    pub(crate) fn process_ended(&self, exit: ExitClass, took: f64, memory_peak: Option<u64>) {
        self.kast.record(took.max(0.0), &[KeyValue::new(attribute::PROCESS_EXIT, exit.as_str())]);
        if let Some(peak) = memory_peak {
            self.kast_memory_peak.record(peak as f64, &[]);
        }
    }

    pub(crate) fn processor_time(&self, seconds: f64) {
        self.kast_cpu.add(seconds.max(0.0), &[]);
    }

    pub(crate) fn plugin_ended(&self, name: &str, outcome: PluginStatus, took: Option<f64>) {
        let attributes = [
            KeyValue::new(attribute::PLUGIN_NAME, name.to_owned()),
            KeyValue::new(attribute::PLUGIN_OUTCOME, outcome.as_str()),
        ];
        self.plugins_ended.add(1, &attributes);
        if let Some(took) = took {
            self.plugins.record(took.max(0.0), &attributes);
        }
    }

    pub(crate) fn call(
        &self,
        system: &'static str,
        operation: &'static str,
        error: Option<&'static str>,
        took: Duration,
    ) {
        let mut attributes =
            vec![KeyValue::new(attribute::DB_SYSTEM, system), KeyValue::new(attribute::DB_OPERATION, operation)];
        attributes.extend(error.map(|error| KeyValue::new(attribute::ERROR_TYPE, error)));
        self.calls.record(took.as_secs_f64(), &attributes);
    }
}

/// The labels of an attempt's end.
fn of_attempt(outcome: AttemptOutcome, reason: Option<&'static str>) -> [KeyValue; 2] {
    [
        KeyValue::new(attribute::ATTEMPT_END, outcome.as_str()),
        KeyValue::new(attribute::ATTEMPT_REASON, reason.unwrap_or("none")),
    ]
}

type Look<T> = fn(&Latest, &dyn AsyncInstrument<T>);

/// Creates the gauges. A value that is currently unknown is omitted.
fn observe(meter: &Meter, readings: &Readings) {
    let gauge = |entry: MetricEntry, look: Look<u64>| {
        let latest = readings.clone();
        meter
            .u64_observable_gauge(entry.name)
            .with_unit(entry.unit)
            .with_description(entry.description)
            .with_callback(move |observer| latest.look(|latest| look(latest, observer)))
            .build()
    };
    let seconds = |entry: MetricEntry, look: Look<f64>| {
        let latest = readings.clone();
        meter
            .f64_observable_gauge(entry.name)
            .with_unit(entry.unit)
            .with_description(entry.description)
            .with_callback(move |observer| latest.look(|latest| look(latest, observer)))
            .build()
    };
    gauge(metric::BUILD, |_, observer| {
        observer.observe(1, &[KeyValue::new(attribute::VERSION, env!("CARGO_PKG_VERSION"))]);
    });
    gauge(metric::EVENT_STREAMS, |latest, observer| plain(observer, latest.streams.as_ref().map(OpenStreams::count)));
    gauge(metric::QUEUE_SIGNALS, |latest, observer| plain(observer, latest.signals));
    gauge(metric::OUTBOX_WAITING, |latest, observer| plain(observer, latest.deliveries.map(|one| one.waiting)));
    gauge(metric::DEAD_LETTERS, |latest, observer| plain(observer, latest.deliveries.map(|one| one.dead_letters)));
    gauge(metric::RUNNING, |latest, observer| plain(observer, latest.running));
    gauge(metric::CAPACITY, |latest, observer| plain(observer, latest.capacity));
    gauge(metric::STORE_UP, |latest, observer| plain(observer, latest.store_up.map(u64::from)));
    gauge(metric::KAST_MEMORY, |latest, observer| plain(observer, latest.kast_memory));
    gauge(metric::SCANS, |latest, observer| each(observer, attribute::SCAN_STATUS, &latest.scans));
    gauge(metric::NODES, |latest, observer| each(observer, attribute::NODE_LEASE, &latest.nodes));
    gauge(metric::BUDGET_LEFT, |latest, observer| each(observer, attribute::BUDGET, &latest.budgets));
    gauge(metric::QUEUE_DEPTH, |latest, observer| {
        for queue in &latest.queues {
            observer.observe(queue.depth, &[KeyValue::new(attribute::SCAN_PRIORITY, queue.priority)]);
        }
    });
    gauge(metric::DISK_FREE, |latest, observer| {
        latest
            .disks
            .iter()
            .for_each(|disk| observer.observe(disk.free, &[KeyValue::new(attribute::FOLDER, disk.folder)]));
    });
    gauge(metric::DISK_SIZE, |latest, observer| {
        latest
            .disks
            .iter()
            .for_each(|disk| observer.observe(disk.size, &[KeyValue::new(attribute::FOLDER, disk.folder)]));
    });
    seconds(metric::QUEUE_AGE, |latest, observer| {
        for queue in &latest.queues {
            observer.observe(queue.oldest, &[KeyValue::new(attribute::SCAN_PRIORITY, queue.priority)]);
        }
    });
    seconds(metric::OUTBOX_AGE, |latest, observer| {
        if let Some(deliveries) = latest.deliveries {
            observer.observe(deliveries.oldest.unwrap_or_default().as_secs_f64(), &[]);
        }
    });
    seconds(metric::LEASE_AGE, |latest, observer| {
        latest.lease_granted.iter().for_each(|granted| observer.observe(granted.elapsed().as_secs_f64(), &[]));
    });
    let latest = readings.clone();
    let entry = metric::ACTOR_RESTARTS;
    meter
        .u64_observable_counter(entry.name)
        .with_unit(entry.unit)
        .with_description(entry.description)
        .with_callback(move |observer| {
            latest.look(|latest| {
                for (actor, restarts) in &latest.actor_restarts {
                    observer.observe(*restarts, &[KeyValue::new(attribute::ACTOR, actor.clone())]);
                }
            });
        })
        .build();
}

fn plain(observer: &dyn AsyncInstrument<u64>, value: Option<u64>) {
    if let Some(value) = value {
        observer.observe(value, &[]);
    }
}

fn each(observer: &dyn AsyncInstrument<u64>, name: &'static str, values: &[(&'static str, u64)]) {
    for (label, value) in values {
        observer.observe(*value, &[KeyValue::new(name, *label)]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Telemetry;

    #[test]
    fn every_counter_is_exported_before_the_first_event() {
        let text = Telemetry::without_exporters().metrics_text();
        for line in [
            "kastrel_scans_submitted_total{scan_priority=\"low\"} 0",
            "kastrel_scans_ended_total{scan_outcome=\"cancelled\"} 0",
            "kastrel_attempts_started_total 0",
            "kastrel_attempts_ended_total{attempt_end=\"completed\",attempt_reason=\"none\"} 0",
            "kastrel_attempts_ended_total{attempt_end=\"failed\",attempt_reason=\"node_lost\"} 0",
            "kastrel_attempts_ended_total{attempt_end=\"interrupted\",attempt_reason=\"lease_lost\"} 0",
            "kastrel_restarts_total{restart_reason=\"node_lost\"} 0",
            "kastrel_lease_renewals_total{lease_result=\"refused\"} 0",
            "kastrel_lease_losses_total 0",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("scan_outcome=\"running\""), "{text}");
    }
}
