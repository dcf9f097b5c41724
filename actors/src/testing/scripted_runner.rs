//! A runner without processes: each attempt plays a script under tokio's (paused) time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::model::{
    AttemptReport, ExitKind, Failure, FailureKind, FaultKind, FencingToken, InfoFile, NodeFault, PluginResult,
    PluginStatus, Remains, ScanId, ScannerInfo, ScannerKind,
};
use crate::policy::resume::EarlierResult;
use crate::ports::{AliveGuard, AttemptControl, AttemptEvent, AttemptJob, EventSink, ScanRunner, StartError, StopMode};

/// How long a killed process takes to end: longer than the first backoff, shorter than the lease's
/// margin.
const KILL_TAKES: Duration = Duration::from_secs(3);

/// The behaviour of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Completes after this time, with a sign of life each second.
    Complete(Duration),
    /// Completes after this time, without signs of life: cheap to run ten thousand times at once.
    Quiet(Duration),
    /// Ends with exit code 1 after this time.
    Crash(Duration),
    /// Completes its first plugin at once, and ends with exit code 1 after this time.
    Half(Duration),
    /// Runs to its end after this time, and all its plugins fail.
    Fruitless(Duration),
    /// Runs forever without signs of life, and ends on request.
    Hang,
    /// Runs forever with a sign of life each second, and ends on request.
    Busy,
    /// Like `Busy`, but a graceful stop takes this long.
    Stubborn(Duration),
    /// Cannot be started: the scanner's program is missing.
    NoProgram,
    /// Cannot be started: the system has no room for another process.
    NoRoom,
    /// Cannot be started, for a reason that a retry would not change.
    Refused,
}

/// One attempt, as the runner recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The scan.
    pub scan: ScanId,
    /// Its fencing token.
    pub token: FencingToken,
    /// The start of its process.
    pub from: Instant,
    /// The end of its process.
    pub to: Option<Instant>,
}

type Chooser = dyn Fn(&AttemptJob) -> Script + Send + Sync;

/// A runner that plays scripts.
#[derive(Clone)]
pub struct ScriptedRunner {
    choose: Arc<Chooser>,
    /// The plugins of a scan that selects none.
    plugins: Arc<[String]>,
    runs: Arc<Mutex<Vec<Run>>>,
    /// The jobs that were started, in order.
    jobs: Arc<Mutex<Vec<AttemptJob>>>,
    /// Attempts that left a complete result, like the files of a real attempt.
    complete: Arc<Mutex<HashSet<(ScanId, FencingToken)>>>,
}

impl ScriptedRunner {
    /// Creates a runner that plays the script that `choose` selects for each attempt.
    pub fn new(choose: impl Fn(&AttemptJob) -> Script + Send + Sync + 'static) -> Self {
        Self {
            choose: Arc::new(choose),
            plugins: Arc::new(["one".to_owned()]),
            runs: Arc::default(),
            jobs: Arc::default(),
            complete: Arc::default(),
        }
    }

    /// Sets the plugins that an attempt runs if its job does not name them. The default is one
    /// plugin, `one`.
    #[must_use]
    pub fn with_plugins(self, plugins: &[&str]) -> Self {
        Self { plugins: plugins.iter().map(ToString::to_string).collect(), ..self }
    }

    /// Returns the jobs that were started, in the order of their start.
    #[must_use]
    pub fn jobs(&self) -> Vec<AttemptJob> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the plugins of a job: the first with one state, the others with another one.
    fn plugins(&self, job: &AttemptJob, first: PluginStatus, others: PluginStatus) -> Vec<PluginResult> {
        let names = job.only.as_deref().unwrap_or(&self.plugins);
        let status = |at| if at == 0 { first } else { others };
        names.iter().enumerate().map(|(at, name)| PluginResult::new(name, status(at))).collect()
    }

    /// Returns all attempts that ever had a process, in the order of their start.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        self.locked().clone()
    }

    /// Returns the current number of processes.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.locked().iter().filter(|run| run.to.is_none()).count()
    }

    fn complete(&self) -> MutexGuard<'_, HashSet<(ScanId, FencingToken)>> {
        self.complete.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Control(mpsc::UnboundedSender<StopMode>);

impl AttemptControl for Control {
    fn stop(&self, mode: StopMode) {
        let _ = self.0.send(mode);
    }
}

/// How the script ended.
enum Exit {
    Code(i32),
    Signal(i32),
}

#[async_trait]
impl ScanRunner for ScriptedRunner {
    async fn start(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        events: EventSink,
    ) -> Result<Box<dyn AttemptControl>, StartError> {
        let script = (self.choose)(&job);
        match script {
            Script::NoProgram => {
                return Err(StartError::Node(NodeFault::new(
                    FaultKind::ScannerProgram,
                    "no such program",
                    "install it",
                )));
            }
            Script::NoRoom => {
                return Err(StartError::Node(NodeFault::new(
                    FaultKind::Memory,
                    "no room for another process",
                    "free memory",
                )));
            }
            Script::Refused => {
                return Err(StartError::Failed(Failure::new(FailureKind::NotStarted, "too long a list of arguments")));
            }
            Script::Complete(_)
            | Script::Quiet(_)
            | Script::Crash(_)
            | Script::Half(_)
            | Script::Fruitless(_)
            | Script::Hang
            | Script::Busy
            | Script::Stubborn(_) => {}
        }
        let (sender, stops) = mpsc::unbounded_channel();
        let index = {
            let mut runs = self.locked();
            runs.push(Run { scan: job.scan, token: job.token, from: Instant::now(), to: None });
            runs.len() - 1
        };
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(job.clone());
        let runner = self.clone();
        tokio::spawn(async move {
            events(AttemptEvent::Started {
                pid: 1,
                scanner: ScannerInfo { kind: ScannerKind::Builtin, version: "0".into(), configuration: None },
            });
            use PluginStatus::{Completed, Failed, InProgress};
            let first = if matches!(script, Script::Half(_)) { Completed } else { InProgress };
            events(AttemptEvent::Plugins(runner.plugins(&job, first, InProgress)));
            let exit = play(script, stops, &events).await;
            if matches!(exit, Exit::Code(0)) {
                runner.complete().insert((job.scan, job.token));
            }
            runner.locked()[index].to = Some(Instant::now());
            drop(alive_guard);
            let all = |status| runner.plugins(&job, status, status);
            let half = || runner.plugins(&job, first, InProgress);
            let (exit, info, plugins) = match exit {
                Exit::Code(0) if matches!(script, Script::Fruitless(_)) => {
                    (ExitKind::Code(0), InfoFile::Read, all(Failed))
                }
                Exit::Code(0) => (ExitKind::Code(0), InfoFile::Read, all(Completed)),
                Exit::Code(code) => (ExitKind::Code(code), InfoFile::Missing, half()),
                Exit::Signal(signal) => (ExitKind::Signal(signal), InfoFile::Missing, half()),
            };
            events(AttemptEvent::Ended(AttemptReport {
                exit,
                info,
                plugins,
                last_words: "last words".into(),
                notes: Vec::new(),
            }));
        });
        Ok(Box::new(Control(sender)))
    }

    /// The files of all attempts are at hand.
    async fn at_hand(&self, _: &AttemptJob, earlier: Vec<EarlierResult>) -> Vec<PluginResult> {
        earlier.into_iter().map(|earlier| earlier.plugin).collect()
    }

    async fn remains(&self, job: &AttemptJob) -> Option<Remains> {
        let processes =
            self.locked().iter().filter(|run| (run.scan, run.token, run.to) == (job.scan, job.token, None)).count();
        let is_complete = self.complete().contains(&(job.scan, job.token));
        let (info, status) = if is_complete {
            (InfoFile::Read, PluginStatus::Completed)
        } else {
            (InfoFile::Missing, PluginStatus::InProgress)
        };
        let plugins = self.plugins(job, status, status);
        let report =
            AttemptReport { exit: ExitKind::Unknown, info, plugins, last_words: String::new(), notes: Vec::new() };
        Some(Remains { is_marked: true, processes, report })
    }
}

async fn play(script: Script, mut stops: mpsc::UnboundedReceiver<StopMode>, events: &EventSink) -> Exit {
    let start = Instant::now();
    let (ends, code, lively, stubborn) = match script {
        Script::Complete(after) | Script::Fruitless(after) => (Some(start + after), 0, true, Duration::ZERO),
        Script::Quiet(after) => (Some(start + after), 0, false, Duration::ZERO),
        Script::Crash(after) | Script::Half(after) => (Some(start + after), 1, true, Duration::ZERO),
        Script::Busy => (None, 0, true, Duration::ZERO),
        Script::Stubborn(after) => (None, 0, true, after),
        Script::Hang | Script::NoProgram | Script::NoRoom | Script::Refused => (None, 0, false, Duration::ZERO),
    };
    let mut killed_at: Option<Instant> = None;
    let mut pulse = tokio::time::interval(Duration::from_secs(1));
    let never = start + Duration::from_secs(365 * 86_400);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(ends.unwrap_or(never)), if ends.is_some() => return Exit::Code(code),
            () = tokio::time::sleep_until(killed_at.unwrap_or(never)), if killed_at.is_some() => return Exit::Signal(2),
            _ = pulse.tick(), if lively => events(AttemptEvent::Alive),
            stop = stops.recv() => match stop {
                Some(StopMode::Graceful) => killed_at = Some(killed_at.unwrap_or(Instant::now() + stubborn)),
                // A dropped control kills too. A killed process does not end at once, so the start
                // of a successor has to wait.
                Some(StopMode::Kill) | None => {
                    tokio::time::sleep(KILL_TAKES).await;
                    return Exit::Signal(9);
                }
            },
        }
    }
}
