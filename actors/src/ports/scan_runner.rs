//! The port for running one attempt as one process of a scanner.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::model::{
    AttemptNumber, AttemptReport, Failure, FencingToken, NodeFault, PluginResult, Remains, ScanId, ScanRecord,
    ScanRequest, ScannerInfo, TraceContext,
};
use crate::policy::resume::EarlierResult;

/// One attempt to run.
#[derive(Debug, Clone)]
pub struct AttemptJob {
    /// The scan.
    pub scan: ScanId,
    /// The attempt.
    pub attempt: AttemptNumber,
    /// The fencing token of the attempt. It marks the processes that the attempt starts.
    pub token: FencingToken,
    /// The request of the scan.
    pub request: ScanRequest,
    /// The time when the scan was accepted. It is part of the folder's name, so all attempts share
    /// one folder.
    pub created_at: Timestamp,
    /// The trace to pass on to the scanner.
    pub trace: TraceContext,
    /// The plugins to run, with all that they depend on. `None`: those of the request.
    pub only: Option<Vec<String>>,
    /// The results of earlier attempts that the scan keeps, each with its attempt.
    pub kept: Vec<PluginResult>,
}

impl AttemptJob {
    /// Builds the job for the last attempt of a row: all plugins of its request.
    #[must_use]
    pub fn of(record: &ScanRecord) -> Self {
        Self {
            scan: record.id,
            attempt: record.last_attempt().map(|attempt| attempt.number).unwrap_or_default(),
            token: record.token,
            request: record.request.clone(),
            created_at: record.created_at,
            trace: record.trace,
            only: None,
            kept: Vec::new(),
        }
    }
}

/// An event of a running attempt.
#[derive(Debug, Clone)]
pub enum AttemptEvent {
    /// The process has started.
    Started {
        /// The process id, which is also the id of its process group.
        pid: u32,
        /// The scanner that runs.
        scanner: ScannerInfo,
    },
    /// A sign of life: output, or a changed file. Sent at most a few times a second.
    Alive,
    /// The state of plugins has changed. Holds all plugins, not only the changed ones.
    Plugins(Vec<PluginResult>),
    /// The process and everything it started are gone. The last event.
    Ended(AttemptReport),
}

/// Receives the events of one attempt from the runner. Never blocks.
pub type EventSink = Arc<dyn Fn(AttemptEvent) + Send + Sync>;

/// How to end an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Sends SIGINT, then SIGTERM, then SIGKILL to the process group, with the runner's grace
    /// period between them.
    Graceful,
    /// Sends SIGKILL at once, because the node is about to lose its lease.
    Kill,
}

/// The handle of a running attempt. **Dropping it kills the attempt's processes at once**, so an
/// actor that dies takes its process with it.
pub trait AttemptControl: Send + Sync + 'static {
    /// Requests the end of the attempt; [`AttemptEvent::Ended`] follows. A `Kill` overrides an
    /// earlier `Graceful`; repeated calls do nothing.
    fn stop(&self, mode: StopMode);
}

/// A runner holds this guard while any process of an attempt may be alive. [`AliveWatch::released`]
/// waits until it is dropped.
#[derive(Debug, Clone)]
pub struct AliveGuard(#[expect(dead_code, reason = "held for its drop")] watch::Receiver<()>);

/// The other end of an [`AliveGuard`].
#[derive(Debug)]
pub struct AliveWatch(watch::Sender<()>);

impl AliveWatch {
    /// Creates a guard and its watch.
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

/// An attempt could not be started. None of its processes is left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A failure of the scan itself.
    #[error("failed to start the scanner: {}", .0.detail)]
    Failed(Failure),
    /// The node lacks something that every scan needs.
    #[error("failed to start the scanner: {}", .0.text)]
    Node(NodeFault),
}

/// Starts attempts.
///
/// - A task of the runner owns the process and sends the events in order. The last is
///   [`AttemptEvent::Ended`]. The runner sends it exactly once after every `Ok`, and only when the
///   process group (and every marked process outside it) is gone.
/// - The runner holds `alive_guard` until then, even if the control is dropped.
/// - Memory use is bounded, whatever the process writes.
#[async_trait]
pub trait ScanRunner: Send + Sync + 'static {
    /// Starts one attempt.
    async fn start(
        &self,
        job: AttemptJob,
        alive_guard: AliveGuard,
        events: EventSink,
    ) -> Result<Box<dyn AttemptControl>, StartError>;

    /// Returns those of the results of earlier attempts of this scan whose files are complete and
    /// on this node: in the folder of exactly the attempt that wrote them, under its mark. Changes
    /// nothing.
    async fn at_hand(&self, job: &AttemptJob, earlier: Vec<EarlierResult>) -> Vec<PluginResult>;

    /// Returns what is left on this node of an attempt whose end no process observed: an attempt of
    /// this run, or of an earlier one on the same data folder. `None` if nothing is left. Changes
    /// nothing.
    async fn remains(&self, job: &AttemptJob) -> Option<Remains>;
}
