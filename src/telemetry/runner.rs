//! Observes the runner: writes spans for the start and the end of a scanner's process and for each
//! of its plugins, with the plugins' own times, and records their resource usage.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{
    AttemptReport, ExitClass, ExitKind, PluginClass, PluginResult, PluginStatus, Remains, ScannerInfo, ScannerOffer,
    TraceContext,
};
use kastrel_actors::policy::resume::EarlierResult;
use kastrel_actors::ports::{AliveGuard, AttemptControl, AttemptEvent, AttemptJob, EventSink, ScanRunner, StartError};
use opentelemetry::KeyValue;
use tokio::sync::watch;

use super::catalog::{attribute, span};
use super::observer::Observer;
use super::spans::FinishedSpan;
use super::{ids, span_rules};

/// The observed runner; see the module docs.
pub(crate) struct ObservedRunner {
    inner: Arc<dyn ScanRunner>,
    observer: Observer,
    /// The scanner's list of plugins, which limits the plugin names in metrics.
    offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
}

impl ObservedRunner {
    pub(crate) const fn new(
        inner: Arc<dyn ScanRunner>,
        observer: Observer,
        offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
    ) -> Self {
        Self { inner, observer, offer }
    }
}

#[async_trait]
impl ScanRunner for ObservedRunner {
    async fn start(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        events: EventSink,
    ) -> Result<Box<dyn AttemptControl>, StartError> {
        let process = ids::of_attempt(job.trace, span::PROCESS_START, job.token);
        let watch = Arc::new(Watch {
            observer: self.observer.clone(),
            offer: self.offer.clone(),
            names: span_rules::names(job.scan.0, job.attempt.0),
            attempt: ids::of_attempt(job.trace, span::ATTEMPT_START, job.token),
            process,
            asked_at: self.observer.clock.now(),
            seen: Mutex::default(),
        });
        // Without exporters there is no such span, so KAST gets the original trace.
        let job = if self.observer.spans.are_taken() { AttemptJob { trace: process, ..job } } else { job };
        let sink: EventSink = {
            let watch = Arc::clone(&watch);
            Arc::new(move |event| {
                watch.see(&event);
                events(event);
            })
        };
        let started = self.inner.start(job, alive_guard, sink).await;
        match &started {
            Err(StartError::Failed(failure)) => watch.not_started(failure.kind.as_str()),
            Err(StartError::Node(fault)) => watch.not_started(fault.kind.as_str()),
            Ok(_) => {}
        }
        started
    }

    async fn at_hand(&self, job: &AttemptJob, earlier: Vec<EarlierResult>) -> Vec<PluginResult> {
        self.inner.at_hand(job, earlier).await
    }

    async fn remains(&self, job: &AttemptJob) -> Option<Remains> {
        self.inner.remains(job).await
    }
}

/// The recorded state of an attempt.
#[derive(Debug, Default)]
struct Seen {
    pid: Option<u32>,
    started_at: Option<Timestamp>,
    /// The plugins that were already recorded.
    plugins: BTreeSet<String>,
}

struct Watch {
    observer: Observer,
    offer: watch::Receiver<Option<Arc<ScannerOffer>>>,
    names: Vec<KeyValue>,
    attempt: TraceContext,
    process: TraceContext,
    asked_at: Timestamp,
    seen: Mutex<Seen>,
}

impl Watch {
    fn see(&self, event: &AttemptEvent) {
        let now = self.observer.clock.now();
        match event {
            AttemptEvent::Started { pid, scanner } => self.started(*pid, scanner, now),
            AttemptEvent::Alive => {}
            // A plugin without a known start is recorded at the end, when its start may be known.
            AttemptEvent::Plugins(plugins) => {
                for plugin in plugins.iter().filter(|plugin| {
                    plugin.status.is_final() && plugin.started_at.is_some() && plugin.ended_at.is_some()
                }) {
                    self.plugin(plugin, now);
                }
            }
            AttemptEvent::Ended(report) => self.ended(report, now),
        }
    }

    fn attributes(&self, more: impl IntoIterator<Item = KeyValue>) -> Vec<KeyValue> {
        self.names.iter().cloned().chain(more).collect()
    }

    fn not_started(&self, kind: &str) {
        let written = FinishedSpan::new(
            span::PROCESS_START,
            self.attempt,
            self.asked_at,
            self.observer.clock.now(),
            self.attributes([]),
        );
        self.observer.spans.write(FinishedSpan { own: Some(self.process), error: Some(kind.to_owned()), ..written });
    }

    fn started(&self, pid: u32, scanner: &ScannerInfo, now: Timestamp) {
        self.observer.groups.add(pid);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.pid = Some(pid);
            seen.started_at = Some(now);
        }
        let attributes = self.attributes([
            KeyValue::new(attribute::PROCESS_PID, i64::from(pid)),
            KeyValue::new(attribute::SCANNER_KIND, scanner.kind.as_str()),
            KeyValue::new(attribute::SCANNER_VERSION, scanner.version.clone()),
        ]);
        let written = FinishedSpan::new(span::PROCESS_START, self.attempt, self.asked_at, now, attributes);
        self.observer.spans.write(FinishedSpan { own: Some(self.process), ..written });
    }

    /// Records a plugin, once.
    fn plugin(&self, plugin: &PluginResult, now: Timestamp) {
        if !self.seen.lock().unwrap_or_else(PoisonError::into_inner).plugins.insert(plugin.name.clone()) {
            return;
        }
        let outcome = plugin.status.when_attempt_ends();
        let end = plugin.ended_at.unwrap_or(now);
        let took = plugin.started_at.map(|start| end.duration_since(start).as_secs_f64());
        self.observer.instruments.plugin_ended(
            self.label(&plugin.name),
            outcome,
            took.filter(|_| plugin.ended_at.is_some()),
        );
        let mut attributes = self.attributes([
            KeyValue::new(attribute::PLUGIN_NAME, plugin.name.clone()),
            KeyValue::new(attribute::PLUGIN_OUTCOME, outcome.as_str()),
        ]);
        attributes
            .push(KeyValue::new(attribute::PLUGIN_FINDINGS, i64::try_from(plugin.findings_count).unwrap_or(i64::MAX)));
        let written = FinishedSpan::new(span::PLUGIN, self.process, plugin.started_at.unwrap_or(end), end, attributes);
        // A missing tool is no error of the run.
        let is_error = outcome.class() == PluginClass::Problem && outcome.has_started();
        let error = is_error.then(|| outcome.to_string());
        self.observer.spans.write(FinishedSpan { error, ..written });
    }

    /// The metric label of a plugin. Plugin names come from files that a scanner writes, so only
    /// names in the scanner's own list become labels.
    fn label<'a>(&self, name: &'a str) -> &'a str {
        let known =
            self.offer.borrow().as_deref().is_some_and(|offer| offer.plugins.iter().any(|plugin| plugin.name == name));
        if known { name } else { "other" }
    }

    fn ended(&self, report: &AttemptReport, now: Timestamp) {
        // A plugin that never started has no span, because it took no time.
        let ran = |plugin: &&PluginResult| plugin.status.when_attempt_ends() != PluginStatus::MISSED;
        for plugin in report.plugins.iter().filter(ran) {
            self.plugin(plugin, now);
        }
        for plugin in report.plugins.iter().filter(|plugin| !ran(plugin)) {
            self.observer.instruments.plugin_ended(self.label(&plugin.name), PluginStatus::MISSED, None);
        }
        let (pid, started_at) = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            // Removed, because the system may reuse the process id immediately.
            (seen.pid.take(), seen.started_at)
        };
        let usage = pid.and_then(|pid| self.observer.groups.remove(pid));
        let exit = report.exit.class();
        let mut attributes = self.attributes([KeyValue::new(attribute::PROCESS_EXIT, exit.as_str())]);
        attributes.extend(match report.exit {
            ExitKind::Code(code) => Some(KeyValue::new(attribute::PROCESS_EXIT_CODE, i64::from(code))),
            ExitKind::Signal(signal) => Some(KeyValue::new(attribute::PROCESS_SIGNAL, i64::from(signal))),
            ExitKind::Unknown => None,
        });
        attributes.extend(pid.map(|pid| KeyValue::new(attribute::PROCESS_PID, i64::from(pid))));
        if let Some(usage) = usage {
            attributes.push(KeyValue::new(attribute::PROCESS_CPU, usage.cpu));
            attributes
                .push(KeyValue::new(attribute::PROCESS_MEMORY, i64::try_from(usage.memory_peak).unwrap_or(i64::MAX)));
        }
        let took = now.duration_since(started_at.unwrap_or(now)).as_secs_f64();
        self.observer.instruments.process_ended(exit, took, usage.map(|usage| usage.memory_peak));
        let error = (exit != ExitClass::Success).then(|| exit.to_string());
        self.observer
            .spans
            .write(FinishedSpan { error, ..FinishedSpan::new(span::PROCESS_END, self.process, now, now, attributes) });
    }
}

impl Drop for Watch {
    /// Removes the process group if the runner stopped without an end event.
    fn drop(&mut self) {
        if let Some(pid) = self.seen.get_mut().unwrap_or_else(PoisonError::into_inner).pid {
            self.observer.groups.remove(pid);
        }
    }
}
