use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::keys;
use super::resume::{self, Work};
use super::state::{OnStop, Stage, cause_of_end, on_stop};
use crate::attempt_finisher::{AttemptFinisher, resolve};
use crate::context::Shared;
use crate::health;
use crate::messages::scan::{FinishOutcome, Message, StopReason};
use crate::messages::supervisor;
use crate::model::{
    AttemptEnd, AttemptPhase, AttemptReport, CancelledBy, ClassifiedEnd, Command, FailureKind, Interruption,
    PluginResult, Resolution, ScanRecord, ScannerInfo, Verdict, end_with_attempt,
};
use crate::policy::breaker;
use crate::policy::classify::{StopCause, classify};
use crate::policy::deadline::{Deadline, deadline};
use crate::policy::infrastructure;
use crate::policy::resume::merge;
use crate::ports::{
    AliveGuard, AliveWatch, Applied, AttemptControl, AttemptEvent, EventSink, StartError, StopMode, StoreError,
};
use crate::task;

/// How long the actor tries to write the end of an attempt to a store that does not respond, once
/// the lease is lost. It also limits the end of a shutdown whose time is over.
const ABANDON_AFTER: Duration = Duration::from_secs(5);

/// How long after the last process is gone the runner may take to report the end. A runner that has
/// not reported by then never will.
const END_REPORT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Scan;

pub(crate) struct ScanArguments {
    pub(crate) shared: Arc<Shared>,
    /// The leased row.
    pub(crate) record: ScanRecord,
    /// The guard for the runner.
    pub(crate) alive_guard: AliveGuard,
    /// The watch that shows when the attempt's processes are gone.
    pub(crate) alive_watch: Arc<AliveWatch>,
    pub(crate) supervisor: ActorRef<supervisor::Message>,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    supervisor: ActorRef<supervisor::Message>,
    record: ScanRecord,
    stage: Stage,
    started: Instant,
    last_progress: Instant,
    /// The results of earlier attempts that the scan keeps; known when the process has started.
    kept: Vec<PluginResult>,
    /// All plugins of the scan: the kept ones, and those of this attempt.
    plugins: Vec<PluginResult>,
    scanner: Option<ScannerInfo>,
    progress: Progress,
    starting: Option<AbortOnDropHandle<()>>,
    timer: Option<AbortOnDropHandle<()>>,
    recorder: Option<AbortOnDropHandle<()>>,
    watchdog: Option<AbortOnDropHandle<()>>,
}

/// The throttle of progress writes: at most one in progress, and a pause after each.
#[derive(Default)]
struct Progress {
    dirty: bool,
    busy: Option<AbortOnDropHandle<()>>,
}

impl Actor for Scan {
    type Msg = Message;
    type State = State;
    type Arguments = ScanArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        arguments: ScanArguments,
    ) -> Result<State, ActorProcessingErr> {
        let ScanArguments { shared, record, alive_guard, alive_watch, supervisor } = arguments;
        let now = Instant::now();
        // An attempt that does not start changes nothing about them.
        let plugins = if shared.config.resume { record.plugins.clone() } else { Vec::new() };
        let mut state = State {
            shared,
            supervisor,
            record,
            stage: Stage::Starting { stop: None, early: Vec::new() },
            started: now,
            last_progress: now,
            kept: Vec::new(),
            plugins,
            scanner: None,
            progress: Progress::default(),
            starting: None,
            timer: None,
            recorder: None,
            watchdog: None,
        };
        state.start(&myself, alive_guard);
        state.watchdog = Some(task::answer(
            &myself,
            async move {
                alive_watch.released().await;
                tokio::time::sleep(END_REPORT_TIMEOUT).await;
                Message::Gone
            },
            Message::Panicked,
        ));
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Message>,
        message: Message,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Started { kept, result: Ok(control) } => state.started(&myself, kept, control),
            Message::Started { result: Err(error), .. } => state.not_started(&myself, error),
            Message::NothingLeft(kept) => state.nothing_left(&myself, kept),
            Message::Refused(end) => state.refused(&myself, *end),
            Message::Judged(end) => state.record_end(&myself, *end, false),
            Message::Event(event) => state.event(&myself, event),
            Message::Stop(cause) => state.stop(&myself, cause),
            Message::CheckLimits => state.check_limits(&myself),
            Message::ProgressWritten(answer) => state.progress_written(&myself, *answer),
            Message::WriteProgress => {
                state.progress.busy = None;
                if state.progress.dirty {
                    state.write_progress(&myself);
                }
            }
            Message::Recorded(outcome) => {
                let reason = match outcome {
                    FinishOutcome::Done | FinishOutcome::Superseded => StopReason::Recorded,
                    FinishOutcome::Abandoned => StopReason::Abandoned,
                };
                myself.stop(Some(reason.as_str().into()));
            }
            Message::Gone => {
                if !matches!(state.stage, Stage::Recording { .. }) {
                    return Err(
                        "the runner lost track of the attempt: its processes are gone, and their end was not reported"
                            .into(),
                    );
                }
            }
            Message::Panicked(why) => return Err(why.into()),
        }
        Ok(())
    }
}

impl State {
    fn start(&mut self, myself: &ActorRef<Message>, alive_guard: AliveGuard) {
        info!(
            scan.id = self.record.id.0,
            scan.attempt = self.record.last_attempt().map(|attempt| attempt.number.0).unwrap_or_default(),
            scan.token = self.record.token.0,
            "starting an attempt"
        );
        self.show(|live| {
            live.phase(AttemptPhase::Starting);
        });
        let to = myself.clone();
        // If the actor is gone, its control was dropped and the process ends, so the event is not
        // needed.
        let events: EventSink = Arc::new(move |event| drop(to.cast(Message::Event(event))));
        let (shared, record) = (Arc::clone(&self.shared), self.record.clone());
        let start = async move {
            if let Err(end) = keys::check(&shared, &record).await {
                return Message::Refused(Box::new(end));
            }
            match resume::work(&shared, &record).await {
                Work::Run(job) => {
                    let kept = job.kept.clone();
                    Message::Started { kept, result: shared.ports.runner.start(*job, alive_guard, events).await }
                }
                Work::Done(kept) => Message::NothingLeft(kept),
            }
        };
        self.starting = Some(task::answer(myself, start, Message::Panicked));
        self.check_limits(myself);
    }

    fn started(&mut self, myself: &ActorRef<Message>, kept: Vec<PluginResult>, control: Box<dyn AttemptControl>) {
        self.starting = None;
        self.plugins.clone_from(&kept);
        self.kept = kept;
        let Stage::Starting { stop, early } = std::mem::replace(&mut self.stage, Stage::Running { control }) else {
            return;
        };
        self.shared.gate.has_started();
        for event in early {
            self.event(myself, event);
        }
        if let Some(cause) = stop {
            self.stop(myself, cause);
        }
    }

    /// Handles the end of an attempt that lacks a key. The runner was not called.
    fn refused(&mut self, myself: &ActorRef<Message>, end: ClassifiedEnd) {
        self.starting = None;
        let is_cancelled = matches!(&self.stage, Stage::Starting { stop: Some(StopCause::Cancel), .. });
        self.ended(myself, if is_cancelled { AttemptEnd::Cancelled } else { end }, false);
    }

    /// Handles the end of an attempt that has nothing to run: earlier ones have all results.
    fn nothing_left(&mut self, myself: &ActorRef<Message>, kept: Vec<PluginResult>) {
        self.starting = None;
        info!(scan.id = self.record.id.0, "every plugin has a result of an earlier attempt; nothing is run");
        self.plugins.clone_from(&kept);
        let end = match &self.stage {
            Stage::Starting { stop: Some(StopCause::Cancel), .. } => AttemptEnd::Cancelled,
            _ => AttemptEnd::Completed(Verdict { plugins: kept, dry_run: false }),
        };
        self.ended(myself, end, false);
    }

    fn not_started(&mut self, myself: &ActorRef<Message>, error: StartError) {
        self.starting = None;
        let end = match (&self.stage, error) {
            (Stage::Starting { stop: Some(StopCause::Cancel), .. }, _) => AttemptEnd::Cancelled,
            (_, StartError::Node(fault)) if self.shared.config.waits_for_repair => {
                let end = infrastructure::not_run(&fault);
                self.shared.suspect(fault);
                end
            }
            (_, StartError::Node(fault)) => AttemptEnd::Failed(infrastructure::failure_of(&fault)),
            (_, StartError::Failed(failure)) => AttemptEnd::Failed(failure),
        };
        self.ended(myself, end, false);
    }

    fn event(&mut self, myself: &ActorRef<Message>, event: AttemptEvent) {
        if let Stage::Starting { early, .. } = &mut self.stage {
            early.push(event);
            return;
        }
        self.last_progress = Instant::now();
        let now = self.shared.ports.clock.now();
        match event {
            AttemptEvent::Started { pid, scanner } => {
                info!(scan.id = self.record.id.0, process.pid = pid, scanner = scanner.label(), "the scanner runs");
                self.scanner = Some(scanner);
                self.show(|live| {
                    live.phase(AttemptPhase::Running).pid(pid).alive(now);
                });
                self.write_progress(myself);
            }
            AttemptEvent::Alive => self.show(|live| {
                live.alive(now);
            }),
            AttemptEvent::Plugins(own) => {
                let plugins = merge(&self.kept, own);
                self.plugins.clone_from(&plugins);
                self.show(|live| {
                    live.plugins(plugins).alive(now);
                });
                self.write_progress(myself);
            }
            AttemptEvent::Ended(report) => self.process_ended(myself, report),
        }
    }

    fn process_ended(&mut self, myself: &ActorRef<Message>, report: AttemptReport) {
        if matches!(self.stage, Stage::Recording { .. }) {
            return;
        }
        let cause = cause_of_end(&self.stage, self.shared.gate.lease_is_good());
        for note in &report.notes {
            warn!(scan.id = self.record.id.0, "{note}");
        }
        let end = match classify(&report, cause, self.record.request.options.dry_run) {
            AttemptEnd::Completed(verdict) => {
                AttemptEnd::Completed(Verdict { plugins: merge(&self.kept, verdict.plugins), ..verdict })
            }
            other => other,
        };
        self.plugins = match &end {
            AttemptEnd::Completed(verdict) => verdict.plugins.clone(),
            _ => merge(&self.kept, report.plugins),
        };
        self.ended(myself, end, cause == Some(StopCause::LeaseLost));
    }

    /// Handles the end of the attempt. `without_lease` means that the node held no valid lease when
    /// the attempt ended, and may have missed a cancel.
    fn ended(&mut self, myself: &ActorRef<Message>, end: ClassifiedEnd, without_lease: bool) {
        let hasty = matches!(
            self.stage,
            Stage::Stopping { cause: StopCause::LeaseLost, .. }
                | Stage::Starting { stop: Some(StopCause::LeaseLost), .. }
        );
        self.stage = Stage::Recording { may_abandon: hasty };
        self.timer = None;
        self.progress.busy = None;
        // None of the attempt's processes runs any more, however long the write takes. The row gets
        // the store's own time.
        let mut plugins = self.plugins.clone();
        end_with_attempt(&mut plugins, self.shared.ports.clock.now());
        self.show(|live| {
            live.phase(AttemptPhase::Recording).plugins(plugins);
        });
        match end {
            AttemptEnd::Failed(failure)
                if self.shared.config.waits_for_repair && infrastructure::may_be_the_nodes(failure.kind) =>
            {
                let work =
                    health::judged(Arc::clone(&self.shared), failure, self.record.attempts.clone(), self.started);
                self.recorder =
                    Some(task::answer(myself, async move { Message::Judged(Box::new(work.await)) }, Message::Panicked));
            }
            end => self.record_end(myself, end, without_lease),
        }
        if hasty {
            self.give_up_soon(myself);
        }
    }

    fn record_end(&mut self, myself: &ActorRef<Message>, end: ClassifiedEnd, without_lease: bool) {
        let target = || self.record.request.target.to_string();
        let end = match end {
            // It ran to its end, and the scan has results of earlier attempts.
            AttemptEnd::Failed(failure) if failure.kind == FailureKind::NothingChecked && !self.kept.is_empty() => {
                AttemptEnd::Completed(Verdict { plugins: self.plugins.clone(), dry_run: false })
            }
            end => end,
        };
        // The supervisor outlives its children; otherwise the failure is not counted.
        match &end {
            AttemptEnd::Failed(failure) => {
                warn!(scan.id = self.record.id.0, failure.kind = %failure.kind, "an attempt failed: {}", failure.detail);
                if breaker::counts(failure.kind) {
                    let _ = self.supervisor.cast(supervisor::Message::AttemptFailed(failure.kind, target()));
                }
            }
            AttemptEnd::Interrupted { why: Interruption::Infrastructure, detail } => {
                warn!(
                    scan.id = self.record.id.0,
                    "the node could not run an attempt; the scan waits at no cost: {}",
                    detail.as_deref().unwrap_or_default()
                );
            }
            AttemptEnd::Completed(_) => {
                let _ = self.supervisor.cast(supervisor::Message::AttemptCompleted(target()));
            }
            AttemptEnd::Interrupted { .. } | AttemptEnd::Cancelled => {}
        }
        let by = self.record.cancel_requested.unwrap_or(CancelledBy::User);
        let resolution = match resolve(&self.shared, end, self.record.failures, by) {
            Resolution::Complete(verdict) if without_lease => Resolution::Adopt(verdict),
            other => other,
        };
        let plugins = match &resolution {
            Resolution::Complete(verdict) | Resolution::Adopt(verdict) => Some(verdict.plugins.clone()),
            _ => Some(std::mem::take(&mut self.plugins)),
        };
        let end = AttemptFinisher::new(self.record.id, self.record.token, resolution, plugins);
        let work = end.write(Arc::clone(&self.shared), None);
        self.recorder = Some(task::answer(myself, async move { Message::Recorded(work.await) }, Message::Panicked));
    }

    fn give_up_soon(&mut self, myself: &ActorRef<Message>) {
        self.timer =
            Some(task::timer(myself, Instant::now() + ABANDON_AFTER, Message::Recorded(FinishOutcome::Abandoned)));
    }

    fn stop(&mut self, myself: &ActorRef<Message>, cause: StopCause) {
        match on_stop(&self.stage, cause) {
            OnStop::Ignore => {}
            OnStop::Remember(cause) => {
                if let Stage::Starting { stop, .. } = &mut self.stage {
                    *stop = Some(cause);
                }
            }
            OnStop::Stop(cause, mode) => self.stop_process(cause, mode),
            OnStop::ShortenDeadline => {
                if let Stage::Recording { may_abandon } = &mut self.stage
                    && !*may_abandon
                {
                    *may_abandon = true;
                    self.give_up_soon(myself);
                }
            }
        }
    }

    fn stop_process(&mut self, cause: StopCause, mode: StopMode) {
        // The temporary stage is never observed, because nothing else runs in this handler.
        let stage = std::mem::replace(&mut self.stage, Stage::Recording { may_abandon: false });
        self.stage = match stage {
            Stage::Running { control } | Stage::Stopping { control, .. } => {
                info!(scan.id = self.record.id.0, ?cause, ?mode, "ending an attempt's process");
                control.stop(mode);
                Stage::Stopping { control, cause }
            }
            other => other,
        };
        self.show(|live| {
            live.phase(AttemptPhase::Stopping);
        });
    }

    fn check_limits(&mut self, myself: &ActorRef<Message>) {
        if matches!(self.stage, Stage::Stopping { .. } | Stage::Recording { .. }) {
            return;
        }
        match deadline(self.shared.config.limits, self.started, self.last_progress, Instant::now()) {
            Deadline::CheckAt(when) => self.timer = Some(task::timer(myself, when, Message::CheckLimits)),
            Deadline::TimedOut => self.stop(myself, StopCause::TimedOut),
            Deadline::Stalled => self.stop(myself, StopCause::Stalled),
        }
    }

    fn write_progress(&mut self, myself: &ActorRef<Message>) {
        self.progress.dirty = true;
        if self.progress.busy.is_some() || matches!(self.stage, Stage::Recording { .. }) {
            return;
        }
        self.progress.dirty = false;
        let command = Command::Progress {
            token: self.record.token,
            scanner: self.scanner.clone(),
            plugins: self.plugins.clone(),
        };
        let (scans, id) = (Arc::clone(&self.shared.ports.store.scans), self.record.id);
        let work = async move {
            let answer = tokio::time::timeout(Duration::from_secs(10), scans.apply(id, command)).await;
            Message::ProgressWritten(Box::new(
                answer.unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into()))),
            ))
        };
        self.progress.busy = Some(task::answer(myself, work, Message::Panicked));
    }

    fn progress_written(&mut self, myself: &ActorRef<Message>, answer: Result<Applied, StoreError>) {
        self.progress.busy = None;
        match answer {
            Ok(Applied::Committed(record)) => {
                // Detects a cancel whose message arrived before this actor existed.
                let cancel = record.cancel_requested;
                self.record.cancel_requested = cancel;
                self.shared.ports.snapshots.publish(record);
                if cancel.is_some() {
                    self.stop(myself, StopCause::Cancel);
                }
            }
            Ok(Applied::Refused(why, _)) => {
                warn!(scan.id = self.record.id.0, scan.token = self.record.token.0, %why, "the scan is no longer ours; killing its process");
                self.stop(myself, StopCause::LeaseLost);
            }
            Ok(Applied::Missing) => self.stop(myself, StopCause::LeaseLost),
            Err(error) => {
                debug!(
                    scan.id = self.record.id.0,
                    error = &error as &dyn std::error::Error,
                    "could not write progress; the next write carries it"
                );
                self.progress.dirty = true;
            }
        }
        if !matches!(self.stage, Stage::Recording { .. }) {
            // Whether or not there is more to write now, the next write waits for its turn.
            self.progress.busy =
                Some(task::timer(myself, Instant::now() + self.shared.config.progress_every, Message::WriteProgress));
        }
    }

    fn show(&self, change: impl FnOnce(&mut crate::live::LiveAttempt<'_>)) {
        self.shared.publisher.publish_progress(self.record.id, self.record.token, change);
    }
}
