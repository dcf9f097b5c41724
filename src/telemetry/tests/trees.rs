//! Tests of complete span trees: names, parents, links, status and times of all exported spans of a
//! scan.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use kastrel_actors::Client;
use kastrel_actors::model::{
    AttemptNumber, CancelledBy, PluginResult, Remains, RequestContext, ScanId, ScanRequestDraft, ScanStatus,
};
use kastrel_actors::node::{self, NodeHandle};
use kastrel_actors::policy::restart::RetryPolicy;
use kastrel_actors::policy::resume::EarlierResult;
use kastrel_actors::ports::{
    AliveGuard, AttemptControl, AttemptEvent, AttemptJob, Clock, EventSink, ScanRunner, StartError,
};
use kastrel_actors::service::{ScanService, ServicePorts, Services};
use kastrel_actors::testing::{Cluster, Script, ScriptedRunner, fixtures};
use kastrel_actors::{NodeConfig, NodePorts};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};

use super::super::catalog::{ATTRIBUTES, SPANS, attribute, span};
use super::super::spans::system_time;
use super::super::{Telemetry, ids, observe};

/// A scripted runner whose plugin runs from the first to the third second, as if reported by the
/// scanner's files.
struct TimedRunner {
    inner: ScriptedRunner,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl ScanRunner for TimedRunner {
    async fn start(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        events: EventSink,
    ) -> Result<Box<dyn AttemptControl>, StartError> {
        let start = self.clock.now();
        let timed = move |plugins: Vec<PluginResult>| -> Vec<PluginResult> {
            let at = |seconds: i64| Some(start + jiff::SignedDuration::from_secs(seconds));
            plugins
                .into_iter()
                .map(|plugin| PluginResult {
                    started_at: at(1),
                    ended_at: at(3).filter(|_| plugin.status.is_final()),
                    ..plugin
                })
                .collect()
        };
        let sink: EventSink = Arc::new(move |event| {
            events(match event {
                AttemptEvent::Plugins(plugins) => AttemptEvent::Plugins(timed(plugins)),
                AttemptEvent::Ended(mut report) => {
                    report.plugins = timed(report.plugins);
                    AttemptEvent::Ended(report)
                }
                other => other,
            });
        });
        self.inner.start(job, alive_guard, sink).await
    }

    async fn at_hand(&self, job: &AttemptJob, earlier: Vec<EarlierResult>) -> Vec<PluginResult> {
        self.inner.at_hand(job, earlier).await
    }

    async fn remains(&self, job: &AttemptJob) -> Option<Remains> {
        self.inner.remains(job).await
    }
}

struct Stage {
    cluster: Cluster,
    service: ScanService,
    telemetry: Telemetry,
    exporter: InMemorySpanExporter,
    start: SystemTime,
}

impl Stage {
    fn new(runner: ScriptedRunner) -> Self {
        let cluster = Cluster::new(runner);
        let (telemetry, exporter) = Telemetry::in_memory();
        let ports = cluster.ports();
        let observed = observe(&telemetry, ports.clock.clone());
        let service_ports = ServicePorts {
            store: observed.store(ports.store),
            queue: observed.queue(ports.queue, false),
            ..cluster.service_ports()
        };
        let service = Services::new(service_ports).scans;
        let start = system_time(ports.clock.now());
        Self { cluster, service, telemetry, exporter, start }
    }

    async fn node(&self, name: &str) -> NodeHandle {
        // Each node simulates a separate process, so its observer does not share deliveries with
        // others.
        let ports = self.cluster.ports();
        let observed = observe(&self.telemetry, ports.clock.clone());
        let runner = Arc::new(TimedRunner { inner: self.cluster.runner.clone(), clock: ports.clock.clone() });
        let ports = NodePorts {
            store: observed.store(ports.store.clone()),
            queue: observed.queue(ports.queue.clone(), false),
            runner: observed.runner(runner, ports.offer.clone()),
            ..ports
        };
        // Without a pause between attempts the times in a test are deterministic.
        let retry = RetryPolicy { base: Duration::ZERO, cap: Duration::ZERO, ..RetryPolicy::default() };
        node::start(NodeConfig { retry, ..NodeConfig::new(name.parse().unwrap(), 1) }, ports).await.unwrap()
    }

    async fn submit(&self) -> ScanId {
        let draft =
            ScanRequestDraft { target: "https://example.com/secret-path".into(), ..ScanRequestDraft::default() };
        self.service.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().scan.record.id
    }

    fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// The exported spans as a tree, ordered by time below each parent: seconds since the
    /// submission, name, subject and links of each span.
    fn tree(&self, with_times: bool) -> String {
        let spans = self.spans();
        let known: HashSet<SpanId> = spans.iter().map(|span| span.span_context.span_id()).collect();
        assert_eq!(known.len(), spans.len(), "two spans of one id");
        let labels: HashMap<SpanId, String> =
            spans.iter().map(|span| (span.span_context.span_id(), label(span))).collect();
        let mut text = String::new();
        let mut open: Vec<(usize, &SpanData)> =
            sorted(spans.iter().filter(|span| !known.contains(&span.parent_span_id)))
                .into_iter()
                .rev()
                .map(|span| (0, span))
                .collect();
        while let Some((depth, one)) = open.pop() {
            let seconds = |at: SystemTime| at.duration_since(self.start).unwrap().as_secs();
            let times = if with_times {
                format!("{:>3}-{:<3} ", seconds(one.start_time), seconds(one.end_time))
            } else {
                String::new()
            };
            let status = match &one.status {
                Status::Error { description } => format!(" ERROR {description}"),
                _ => String::new(),
            };
            let links: String = one
                .links
                .iter()
                .map(|link| {
                    let to = labels
                        .get(&link.span_context.span_id())
                        .cloned()
                        .unwrap_or_else(|| format!("outside {}", link.span_context.span_id()));
                    format!(" --{}--> {to}", link.attributes[0].value)
                })
                .collect();
            text.push_str(&format!("{times}{}{}{}{status}{links}\n", "  ".repeat(depth), label(one), about(one)));
            let children = sorted(spans.iter().filter(|span| span.parent_span_id == one.span_context.span_id()));
            open.extend(children.into_iter().rev().map(|child| (depth + 1, child)));
        }
        text
    }

    /// Checks the invariants of every span.
    fn check(&self) {
        let spans = self.spans();
        let attributes: BTreeSet<&str> = ATTRIBUTES.iter().map(|one| one.name).collect();
        for one in &spans {
            let entry = SPANS
                .iter()
                .find(|entry| entry.name == one.name)
                .unwrap_or_else(|| panic!("{} is not in the catalogue", one.name));
            let kind = match one.span_kind {
                SpanKind::Internal => "internal",
                SpanKind::Producer => "producer",
                SpanKind::Consumer => "consumer",
                SpanKind::Server | SpanKind::Client => "server",
            };
            assert_eq!(kind, entry.kind, "{}", one.name);
            for pair in &one.attributes {
                let name = pair.key.as_str();
                let common = [attribute::SCAN_ID, attribute::SCAN_ATTEMPT, attribute::NODE_ID];
                assert!(
                    attributes.contains(name) && (entry.attributes.contains(&name) || common.contains(&name)),
                    "{} has {name}",
                    one.name
                );
                assert!(
                    !pair.value.to_string().contains("secret") && !pair.value.to_string().contains("last words"),
                    "{name} tells too much"
                );
            }
            assert!(one.end_time >= one.start_time);
            assert_eq!(
                one.span_context.trace_id().to_string(),
                fixtures::trace().trace_id(),
                "{} is in another trace",
                one.name
            );
        }
    }
}

fn sorted<'a>(spans: impl Iterator<Item = &'a SpanData>) -> Vec<&'a SpanData> {
    let mut spans: Vec<&SpanData> = spans.collect();
    spans.sort_by_key(|span| span.start_time);
    spans
}

fn value(one: &SpanData, name: &str) -> Option<String> {
    one.attributes.iter().find(|pair| pair.key.as_str() == name).map(|pair| pair.value.to_string())
}

fn label(one: &SpanData) -> String {
    let attempt = value(one, attribute::SCAN_ATTEMPT).map(|attempt| format!("#{attempt}")).unwrap_or_default();
    format!("{}{attempt}", one.name)
}

fn about(one: &SpanData) -> String {
    let shown = [
        attribute::NODE_ID,
        attribute::PLUGIN_NAME,
        attribute::PLUGIN_OUTCOME,
        attribute::PROCESS_EXIT,
        attribute::ATTEMPT_END,
        attribute::ATTEMPT_REASON,
        attribute::RESTART_REASON,
        attribute::QUEUE_RESULT,
        attribute::CANCEL_RESULT,
        attribute::SCAN_OUTCOME,
        attribute::SCAN_ATTEMPTS,
    ];
    shown.iter().filter_map(|name| value(one, name)).map(|value| format!(" {value}")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_successful_scan_has_a_complete_span_tree() {
    let stage = Stage::new(ScriptedRunner::new(|_| Script::Complete(Duration::from_secs(10))));
    let id = stage.submit().await;
    let node = stage.node("a").await;
    let row = stage.cluster.until_status(id, ScanStatus::Completed).await;
    node.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    stage.check();
    insta::assert_snapshot!(stage.tree(true), @r"
     0-0   scan.submit
     0-0     queue.publish
     0-0       queue.process acknowledged
     0-0         scan.lease#1 a
     0-0           scan.attempt.start#1 a
     0-0             kast.process.start#1
     1-3               kast.plugin#1 one completed
    10-10              kast.process.end#1 success
    10-10            scan.attempt.end#1 a completed
    10-10              scan.verdict completed 1
    ");
    let submit = stage.spans().into_iter().find(|one| one.name == span::SCAN_SUBMIT).unwrap();
    assert_eq!(ids::stored(&submit.span_context), Some(row.trace), "the row keeps the submission's context");
    assert_eq!(submit.parent_span_id, ids::span_context(fixtures::trace()).span_id());
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_is_restarted_twice_links_its_attempts() {
    let script = |job: &AttemptJob| {
        if job.attempt < AttemptNumber(3) {
            Script::Crash(Duration::from_secs(5))
        } else {
            Script::Complete(Duration::from_secs(10))
        }
    };
    let stage = Stage::new(ScriptedRunner::new(script));
    let id = stage.submit().await;
    let node = stage.node("a").await;
    stage.cluster.until_status(id, ScanStatus::Completed).await;
    node.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    stage.check();
    insta::assert_snapshot!(stage.tree(true), @r"
     0-0   scan.submit
     0-0     queue.publish
     0-0       queue.process acknowledged
     0-0         scan.lease#1 a
     0-0           scan.attempt.start#1 a
     0-0             kast.process.start#1
     1-5               kast.plugin#1 one interrupted ERROR interrupted
     5-5               kast.process.end#1 error ERROR error
     5-5             scan.attempt.end#1 a failed crashed ERROR crashed
     5-5               scan.restart crashed
     5-5     queue.publish
     5-5       queue.process acknowledged
     5-5         scan.lease#2 a
     5-5           scan.attempt.start#2 a --previous_attempt--> scan.attempt.start#1
     5-5             kast.process.start#2
     6-10              kast.plugin#2 one interrupted ERROR interrupted
    10-10              kast.process.end#2 error ERROR error
    10-10            scan.attempt.end#2 a failed crashed ERROR crashed
    10-10              scan.restart crashed
    10-10    queue.publish
    10-10      queue.process acknowledged
    10-10        scan.lease#3 a
    10-10          scan.attempt.start#3 a --previous_attempt--> scan.attempt.start#2
    10-10            kast.process.start#3
    11-13              kast.plugin#3 one completed
    20-20              kast.process.end#3 success
    20-20            scan.attempt.end#3 a completed
    20-20              scan.verdict completed 3
    ");
}

#[tokio::test(start_paused = true)]
async fn a_running_scan_that_is_cancelled_ends_its_spans() {
    let stage = Stage::new(ScriptedRunner::new(|_| Script::Busy));
    let id = stage.submit().await;
    let node = stage.node("a").await;
    stage.cluster.until_status(id, ScanStatus::Running).await;
    let request = "00-11111111111111111111111111111111-2222222222222222-01".parse().unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    stage.service.cancel(&fixtures::context(), id, CancelledBy::User).with_context(ids::parent(request)).await.unwrap();
    stage.cluster.until_status(id, ScanStatus::Cancelled).await;
    node.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    stage.check();
    insta::assert_snapshot!(stage.tree(true), @r"
    0-0   scan.submit
    0-0     queue.publish
    0-0       queue.process acknowledged
    0-0         scan.lease#1 a
    0-0           scan.attempt.start#1 a
    0-0             kast.process.start#1
    1-7               kast.plugin#1 one interrupted ERROR interrupted
    7-7               kast.process.end#1 signal ERROR signal
    7-7             scan.attempt.end#1 a cancelled
    7-7               scan.verdict cancelled 1
    7-7     scan.cancel requested --requested_by--> outside 2222222222222222
    ");
}

#[tokio::test(start_paused = true)]
async fn a_queued_scan_that_is_cancelled_has_a_verdict_span() {
    let stage = Stage::new(ScriptedRunner::new(|_| Script::Busy));
    let id = stage.submit().await;
    stage.service.cancel(&fixtures::context(), id, CancelledBy::User).await.unwrap();
    stage.check();
    insta::assert_snapshot!(stage.tree(true), @r"
    0-0   scan.submit
    0-0     queue.publish
    0-0     scan.cancel cancelled
    0-0       scan.verdict cancelled 0
    ");
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_another_node_takes_over_keeps_one_trace() {
    let script = |job: &AttemptJob| {
        if job.attempt == AttemptNumber(1) { Script::Hang } else { Script::Complete(Duration::from_secs(10)) }
    };
    let stage = Stage::new(ScriptedRunner::new(script));
    let id = stage.submit().await;
    let lost = stage.node("a").await;
    stage.cluster.until_status(id, ScanStatus::Running).await;
    lost.crash().await;
    let reconciler = stage.node("b").await;
    stage.cluster.until_status(id, ScanStatus::Completed).await;
    reconciler.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    stage.check();
    // The time of the reconciler's run is random.
    insta::assert_snapshot!(stage.tree(false), @r"
    scan.submit
      queue.publish
        queue.process acknowledged
          scan.lease#1 a
            scan.attempt.start#1 a
              kast.process.start#1
                kast.plugin#1 one interrupted ERROR interrupted
                kast.process.end#1 signal ERROR signal
              attempt.lost#1 a node_lost ERROR node_lost
                scan.restart node_lost
      queue.publish
        queue.process acknowledged
          scan.lease#2 b
            scan.attempt.start#2 b --previous_attempt--> scan.attempt.start#1
              kast.process.start#2
                kast.plugin#2 one completed
                kast.process.end#2 success
              scan.attempt.end#2 b completed
                scan.verdict completed 2
    ");
    let spans = stage.spans();
    let of = |name: &str| spans.iter().find(|one| one.name == name).unwrap();
    assert_eq!(value(of(span::ATTEMPT_LOST), attribute::NODE_ID).as_deref(), Some("a"), "the lost node's");
    assert!(
        of(span::ATTEMPT_LOST).start_time >= of(span::ATTEMPT_START).end_time + Duration::from_secs(20),
        "not before the lease's end"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unsampled_trace_is_passed_on_without_export() {
    let stage = Stage::new(ScriptedRunner::new(|_| Script::Complete(Duration::from_secs(1))));
    let draft = ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() };
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap();
    let id = stage
        .service
        .submit(&RequestContext::system(unsampled), Client::Local, &draft, None)
        .await
        .unwrap()
        .scan
        .record
        .id;
    let node = stage.node("a").await;
    let row = stage.cluster.until_status(id, ScanStatus::Completed).await;
    node.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    assert_eq!(stage.spans().len(), 0);
    assert_eq!((row.trace.trace_id(), row.trace.is_sampled()), (fixtures::trace().trace_id(), false));
}

#[tokio::test(start_paused = true)]
async fn scan_events_are_counted_in_metrics() {
    let script = |job: &AttemptJob| {
        if job.attempt < AttemptNumber(2) {
            Script::Crash(Duration::from_secs(5))
        } else {
            Script::Complete(Duration::from_secs(10))
        }
    };
    let stage = Stage::new(ScriptedRunner::new(script));
    let id = stage.submit().await;
    let node = stage.node("a").await;
    stage.cluster.until_status(id, ScanStatus::Completed).await;
    node.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
    let text = stage.telemetry.metrics_text();
    for line in [
        "kastrel_scans_submitted_total{scan_priority=\"normal\"} 1",
        "kastrel_scans_ended_total{scan_outcome=\"completed\"} 1",
        "kastrel_attempts_started_total 2",
        "kastrel_attempts_ended_total{attempt_end=\"failed\",attempt_reason=\"crashed\"} 1",
        "kastrel_attempts_ended_total{attempt_end=\"completed\",attempt_reason=\"none\"} 1",
        "kastrel_restarts_total{restart_reason=\"crashed\"} 1",
        "kastrel_dispatch_duration_seconds_count{scan_priority=\"normal\"} 2",
        "kastrel_kast_duration_seconds_count{process_exit=\"success\"} 1",
        "kastrel_kast_duration_seconds_count{process_exit=\"error\"} 1",
        "kastrel_kast_duration_seconds_sum{process_exit=\"success\"} 10",
        // No scanner has reported its plugins.
        "kastrel_plugins_ended_total{plugin_name=\"other\",plugin_outcome=\"completed\"} 1",
        "kastrel_plugins_ended_total{plugin_name=\"other\",plugin_outcome=\"interrupted\"} 1",
        "kastrel_plugin_duration_seconds_sum{plugin_name=\"other\",plugin_outcome=\"completed\"} 2",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
    }
    assert!(
        text.contains("kastrel_lease_renewals_total{lease_result=\"granted\"}")
            && !text.contains("kastrel_lease_losses_total 1"),
        "{text}"
    );
    assert!(
        text.contains(
            "db_client_operation_duration_seconds_count{db_operation_name=\"lease\",db_system_name=\"surrealdb\"} 2"
        ),
        "{text}"
    );
    assert!(!text.contains("example.com"));
}
