//! Running one attempt as one process of a scanner.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::model::{
    AttemptNumber, AttemptReport, Failure, FencingToken, NodeFault, PluginResult, Remains, ScanId, ScanRecord,
    ScanRequest, ScannerInfo, TraceContext,
};

/// One attempt to run.
#[derive(Debug, Clone)]
pub struct AttemptJob {
    /// The scan.
    pub scan: ScanId,
    /// The attempt.
    pub attempt: AttemptNumber,
    /// Its token, which marks the processes it starts.
    pub token: FencingToken,
    /// What was asked for.
    pub request: ScanRequest,
    /// When the scan was accepted; part of its folder's name, so that all attempts share one.
    pub created_at: Timestamp,
    /// The trace to hand on.
    pub trace: TraceContext,
}

impl AttemptJob {
    /// The last attempt of a row.
    #[must_use]
    pub fn of(record: &ScanRecord) -> Self {
        Self {
            scan: record.id,
            attempt: record.last_attempt().map(|attempt| attempt.number).unwrap_or_default(),
            token: record.token,
            request: record.request.clone(),
            created_at: record.created_at,
            trace: record.trace,
        }
    }
}

/// What a running attempt tells.
#[derive(Debug, Clone)]
pub enum AttemptEvent {
    /// The process exists.
    Started {
        /// Its process id, which is also its process group's.
        pid: u32,
        /// Which scanner it is.
        scanner: ScannerInfo,
    },
    /// A sign of life: output, or a file that changed. At most a few a second.
    Alive,
    /// The state of plugins changed; all of them, not only the changed ones.
    Plugins(Vec<PluginResult>),
    /// The process and everything it started are gone. The last event.
    Ended(AttemptReport),
}

/// Where a runner sends the events of one attempt. Never blocks.
pub type EventSink = Arc<dyn Fn(AttemptEvent) + Send + Sync>;

/// How to end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// SIGINT, then SIGTERM, then SIGKILL to the process group, with the runner's grace between.
    Graceful,
    /// SIGKILL at once: the node's lease is about to be lost.
    Kill,
}

/// The hold on a running attempt. **Dropping it kills the attempt's processes at once**: an actor
/// that dies takes its process with it.
pub trait AttemptControl: Send + Sync + 'static {
    /// Asks for the end; [`AttemptEvent::Ended`] follows. A `Kill` overrides an earlier `Graceful`;
    /// repetitions do nothing.
    fn stop(&self, mode: StopMode);
}

/// Held by a runner as long as any process of an attempt may be alive. [`AliveWatch::released`]
/// waits for its drop.
#[derive(Debug, Clone)]
pub struct AliveGuard(#[expect(dead_code, reason = "held for its drop")] watch::Receiver<()>);

/// The other end of a [`AliveGuard`].
#[derive(Debug)]
pub struct AliveWatch(watch::Sender<()>);

impl AliveWatch {
    /// A pair.
    #[must_use]
    pub fn new() -> (AliveGuard, Self) {
        let (sender, receiver) = watch::channel(());
        (AliveGuard(receiver), Self(sender))
    }

    /// Waits until every clone of the guard is dropped: no process of the attempt is left.
    pub async fn released(&self) {
        self.0.closed().await;
    }
}

/// An attempt could not be started. No process is left of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The scan's own failure.
    #[error("failed to start the scanner: {}", .0.detail)]
    Failed(Failure),
    /// The node lacks something that every scan needs.
    #[error("failed to start the scanner: {}", .0.text)]
    Node(NodeFault),
}

/// Starts attempts.
///
/// - A task owned by the runner owns the process; it sends the events, in order, ending with
///   [`AttemptEvent::Ended`], which is sent exactly once after every `Ok`, and not before the whole
///   process group (and every marked process outside it) is gone.
/// - The runner holds `guard` until then, also when the control is dropped.
/// - Memory is bounded whatever the process writes.
#[async_trait]
pub trait ScanRunner: Send + Sync + 'static {
    /// Starts one attempt.
    async fn start(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        events: EventSink,
    ) -> Result<Box<dyn AttemptControl>, StartError>;

    /// What is left here of an attempt whose end nobody saw: of this run, or of an earlier one on
    /// the same data folder. `None`: nothing. Changes nothing.
    async fn remains(&self, job: &AttemptJob) -> Option<Remains>;
}
