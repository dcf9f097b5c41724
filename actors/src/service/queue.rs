//! The queue service: pauses and resumes the queue, and describes its state.

use std::sync::Arc;
use std::time::Duration;

use super::ServicePorts;
use super::error::CommandError;
use super::known_queue::KnownQueue;
use crate::model::{Operation, ProjectFilter, QueuePause, RequestContext};
use crate::policy::access::decide;
use crate::policy::admission::QueueLimits;
use crate::policy::operator;
use crate::policy::waiting::StartBlocker;
use crate::ports::{Control, StoreError};

/// The queue service.
#[derive(Debug, Clone)]
pub struct QueueService {
    pub(super) ports: Arc<ServicePorts>,
}

/// The state of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueStatus {
    /// The pause, if the queue is paused.
    pub pause: Option<QueuePause>,
    /// How many scans are queued.
    pub waiting: u64,
    /// How many scans may be queued; `None` if there is no limit.
    pub max_waiting: Option<u64>,
    /// What keeps every scan from starting, the most important first.
    pub blockers: Vec<StartBlocker>,
}

impl QueueStatus {
    /// Returns true if the next submission is refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.max_waiting.is_some_and(|most| self.waiting >= most)
    }
}

impl QueueService {
    pub(super) const fn new(ports: Arc<ServicePorts>) -> Self {
        Self { ports }
    }

    /// Pauses the queue: no scan starts any more, on any node. Others see the reason.
    ///
    /// # Errors
    /// The principal may not change the server, the reason is too long, or the store fails.
    pub async fn pause(&self, context: &RequestContext, reason: Option<&str>) -> Result<QueuePause, CommandError> {
        decide(&context.grants, Operation::ChangeServer, None)?;
        let reason = operator::pause_reason(reason.unwrap_or_default())?;
        let pause = self.ports.store.queue.pause(reason, &context.principal).await?;
        self.directives_changed().await;
        Ok(pause)
    }

    /// Ends the pause. Returns `false` if the queue was not paused.
    ///
    /// # Errors
    /// The principal may not change the server, or the store fails.
    pub async fn resume(&self, context: &RequestContext) -> Result<bool, CommandError> {
        decide(&context.grants, Operation::ChangeServer, None)?;
        let was_paused = self.ports.store.queue.resume(&context.principal).await?;
        self.directives_changed().await;
        Ok(was_paused)
    }

    /// Returns the pause, if the queue is paused.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn paused(&self, _context: &RequestContext) -> Result<Option<QueuePause>, StoreError> {
        self.ports.store.queue.paused().await
    }

    /// Returns the state of the queue, which counts the scans of all projects.
    ///
    /// # Errors
    /// The principal may not read the state of the server, or the store fails.
    pub async fn status(&self, context: &RequestContext) -> Result<QueueStatus, CommandError> {
        decide(&context.grants, Operation::ReadServer, None)?;
        let pause = self.paused(context).await?;
        let waiting = self.ports.store.queries.stats(&ProjectFilter::All).await?.pending;
        let max_waiting = Some(self.limits().max_waiting).filter(|most| *most > 0);
        Ok(QueueStatus { pause, waiting, max_waiting, blockers: self.start_blockers().await })
    }

    /// Returns how many wake-up signals the queue holds, or `None` if it does not respond within
    /// this time.
    pub async fn signals(&self, within: Duration) -> Option<usize> {
        tokio::time::timeout(within, self.ports.queue.depth()).await.ok()?.ok()
    }

    /// Returns the limits for waiting scans.
    #[must_use]
    pub fn limits(&self) -> QueueLimits {
        self.ports.limits
    }

    /// Returns the conditions that keep every scan from starting now, the most important first.
    pub async fn start_blockers(&self) -> Vec<StartBlocker> {
        self.known().start_blockers().await
    }

    /// Like [`start_blockers`](Self::start_blockers), but from the last refresh.
    #[must_use]
    pub fn start_blockers_seen(&self) -> Vec<StartBlocker> {
        self.known().start_blockers_seen()
    }

    pub(super) fn known(&self) -> KnownQueue<'_> {
        KnownQueue(&self.ports)
    }

    async fn directives_changed(&self) {
        self.ports.bus.publish(Control::RefreshDirectives(None)).await;
        self.known().look_now().await;
    }
}
