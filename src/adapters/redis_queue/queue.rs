//! The [`JobQueue`] that the dispatcher uses.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::ports::{Delivery, JobQueue, JobSignal, QueueError, Receipt};
use redis::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::background::BackgroundTasks;
use super::entry::{due_us, named_by, scan_name, wait_us};
use super::error::CallError;
use super::keys::level;
use super::link::Link;
use super::reader::{Caller, Reader, give_back};

/// The [`JobQueue`] of a node in a group of nodes. The module `redis_queue` describes how it works.
pub struct RedisQueue {
    link: Arc<Link>,
    callers: mpsc::UnboundedSender<Caller>,
    _reader: AbortOnDropHandle<()>,
    _giver: AbortOnDropHandle<()>,
    _background: BackgroundTasks,
}

impl RedisQueue {
    pub(super) fn new(link: &Arc<Link>, consumer: String, background: BackgroundTasks) -> Self {
        let (callers, waiting) = mpsc::unbounded_channel();
        let (back, unheard) = mpsc::unbounded_channel();
        let reader = Reader::new(Arc::clone(link), consumer, waiting, back);
        Self {
            link: Arc::clone(link),
            callers,
            _reader: AbortOnDropHandle::new(tokio::spawn(reader.run())),
            _giver: AbortOnDropHandle::new(tokio::spawn(give_back(Arc::clone(link), unheard))),
            _background: background,
        }
    }
}

#[async_trait]
impl JobQueue for RedisQueue {
    async fn signal(&self, signal: JobSignal, wait: Duration) -> Result<(), QueueError> {
        let mut script = self.link.scripts.signal();
        script
            .arg(scan_name(signal.id))
            .arg(level(signal.priority))
            .arg(due_us(signal.due))
            .arg(wait_us(wait))
            .arg(signal.trace.to_string());
        self.link.put(&script).await?;
        Ok(())
    }

    async fn next(&self) -> Result<Delivery, QueueError> {
        loop {
            let (caller, answer) = oneshot::channel();
            self.callers.send(caller).map_err(|_| CallError::Closed)?;
            if let Some(delivery) = answer.await.map_err(|_| CallError::Closed)??.accept() {
                return Ok(delivery);
            }
        }
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        let (level, id) = named_by(receipt)?;
        let mut script = self.link.scripts.acknowledge();
        script.arg(level).arg(id);
        self.link.run(&script).await?;
        Ok(())
    }

    async fn release(&self, receipt: &Receipt, wait: Duration) -> Result<(), QueueError> {
        let (level, id) = named_by(receipt)?;
        let mut script = self.link.scripts.release();
        script.arg(level).arg(id).arg(wait_us(wait));
        self.link.run(&script).await?;
        Ok(())
    }

    async fn depth(&self) -> Result<usize, QueueError> {
        match self.link.run(&self.link.scripts.depth()).await?.as_slice() {
            [Value::Int(depth)] => Ok(usize::try_from(*depth).unwrap_or_default()),
            other => Err(CallError::Answer(format!("the depth was answered as {other:?}")).into()),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.link.trouble()
    }
}
