//! The only reader of a node. It takes a signal only when a caller waits for one, and hands it over
//! without losing it.
//!
//! - **Owns** the connection for blocking reads. It is made when the first caller waits.
//! - **A dropped caller** loses no signal: a delivery already sent to it is given back by its
//!   `Drop`, and the result of a running read goes to the next caller or back into the delay queue.
//! - **Never** cancels a read that Redis may be answering, and never runs two at once.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::policy::fairness::MAX_PASSES;
use kastrel_actors::ports::{Delivery, Receipt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use super::connection_manager::CONNECT_TIMEOUT;
use super::entry::{Entry, named_by, read_streams};
use super::error::CallError;
use super::keys::{self, GROUP};
use super::link::{CALL_TIMEOUT, Link};

/// The timeout of one blocking read. It bounds how long a read outlives its caller, and how late a
/// dead connection is detected.
const BLOCK: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection before it gets an error.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many consecutive reads may fail before the caller gets the error.
const MAX_FAILURES: u32 = 2;

/// The sender for the result of a `next` call.
pub(super) type Caller = oneshot::Sender<Result<Handed, CallError>>;

/// A delivery that is being sent to its caller. If the caller was dropped, `Drop` gives the
/// delivery back.
#[derive(Debug)]
pub(super) struct Handed {
    delivery: Option<Delivery>,
    back: mpsc::UnboundedSender<Receipt>,
}

impl Handed {
    pub(super) fn accept(mut self) -> Option<Delivery> {
        self.delivery.take()
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            // An error only means that the queue is being dropped. The signal is then reclaimed.
            let _ = self.back.send(delivery.receipt);
        }
    }
}

/// The result of a read.
struct Obtained {
    delivery: Delivery,
    /// The entry, if the `settle` script has not run for it yet.
    unsettled: Option<Entry>,
}

/// The reader task; see the module docs.
pub(super) struct Reader {
    link: Arc<Link>,
    consumer: String,
    callers: mpsc::UnboundedReceiver<Caller>,
    back: mpsc::UnboundedSender<Receipt>,
    connection: Option<MultiplexedConnection>,
    failures: u32,
}

impl Reader {
    pub(super) const fn new(
        link: Arc<Link>,
        consumer: String,
        callers: mpsc::UnboundedReceiver<Caller>,
        back: mpsc::UnboundedSender<Receipt>,
    ) -> Self {
        Self { link, consumer, callers, back, connection: None, failures: 0 }
    }

    pub(super) async fn run(mut self) {
        while let Some(caller) = self.callers.recv().await {
            if caller.is_closed() {
                continue;
            }
            match self.obtain(&caller).await {
                Ok(None) => {}
                Ok(Some(obtained)) => {
                    self.hand_over(caller, Ok(obtained.delivery));
                    if let Some(entry) = obtained.unsettled {
                        self.settle(&[entry]).await;
                    }
                }
                Err(error) => self.hand_over(caller, Err(error)),
            }
        }
    }

    /// Waits for a signal; `None` when the caller no longer waits.
    async fn obtain(&mut self, caller: &Caller) -> Result<Option<Obtained>, CallError> {
        loop {
            self.link.wait_up(PATIENCE).await?;
            let obtained = match self.look().await {
                Ok(obtained) => {
                    self.failures = 0;
                    self.link.reads(None);
                    obtained
                }
                Err(error) => {
                    // The next read shows whether only this connection failed, and creates a
                    // missing group.
                    self.connection = None;
                    self.failures += 1;
                    debug!(error = &error as &dyn std::error::Error, tries = self.failures, "could not read the queue");
                    if self.failures > MAX_FAILURES {
                        // The command connection may still work: a server at its client limit keeps
                        // the existing connections.
                        self.link.reads(Some(format!("this node gets no signals: {}", error.cause())));
                        return Err(error);
                    }
                    None
                }
            };
            if obtained.is_some() || caller.is_closed() {
                return Ok(obtained);
            }
        }
    }

    /// Sends the result to the caller, or to the next waiting one. A delivery without a waiting
    /// caller is given back.
    fn hand_over(&mut self, caller: Caller, answer: Result<Delivery, CallError>) {
        let mut answer = answer.map(|delivery| Handed { delivery: Some(delivery), back: self.back.clone() });
        let mut next = Some(caller);
        while let Some(caller) = next {
            match caller.send(answer) {
                Ok(()) => return,
                Err(unheard) => answer = unheard,
            }
            next = self.callers.try_recv().ok();
        }
    }

    /// Takes a due signal, or waits up to [`BLOCK`] for one.
    async fn look(&mut self) -> Result<Option<Obtained>, CallError> {
        let mut take = self.link.scripts.take();
        take.arg(&self.consumer).arg(MAX_PASSES);
        if let [Value::Int(level), entry] = self.link.run(&take).await?.as_slice() {
            let priority =
                keys::priority(*level).ok_or_else(|| CallError::Answer(format!("there is no level {level}")))?;
            return Ok(self.admit(Entry::read(priority, entry)?, true).await);
        }
        let mut entries = self.block().await?;
        // One entry for each stream that had one. A single entry is handed over first and settled
        // afterwards.
        match entries.len() {
            0 => Ok(None),
            1 => Ok(self.admit(entries.remove(0), false).await),
            _ => {
                let chosen = self.settle(&entries).await;
                Ok(self.admit(entries.swap_remove(chosen), true).await)
            }
        }
    }

    /// Removes an entry that is not a signal, so that it is not delivered forever.
    async fn admit(&self, entry: Entry, settled: bool) -> Option<Obtained> {
        let Some(delivery) = entry.delivery() else {
            warn!(queue.priority = %entry.priority, queue.entry = entry.id, "removed an entry from the queue that is no signal");
            let mut acknowledge = self.link.scripts.acknowledge();
            acknowledge.arg(keys::level(entry.priority)).arg(&entry.id);
            self.log(self.link.run(&acknowledge).await);
            return None;
        };
        Some(Obtained { delivery, unsettled: (!settled).then_some(entry) })
    }

    async fn block(&mut self) -> Result<Vec<Entry>, CallError> {
        let failed = |source| CallError::Failed { address: self.link.address.clone(), source };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(BLOCK + CALL_TIMEOUT));
                self.link.client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?
            }
        };
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP")
            .arg(GROUP)
            .arg(&self.consumer)
            .arg("COUNT")
            .arg(1)
            .arg("BLOCK")
            .arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        read.arg("STREAMS").arg(&self.link.keys.streams);
        for _ in &self.link.keys.streams {
            read.arg(">");
        }
        let answer: Value = read.query_async(&mut connection).await.map_err(failed)?;
        self.connection = Some(connection);
        read_streams(&self.link.keys, &answer)
    }

    /// Settles the result of a blocking read: the script chooses one entry, returns the others to
    /// the delay queues, and offers the next signals. Returns the index of the chosen entry.
    async fn settle(&self, entries: &[Entry]) -> usize {
        let mut settle = self.link.scripts.settle();
        settle.arg(MAX_PASSES);
        for entry in entries {
            settle.arg(keys::level(entry.priority)).arg(&entry.id);
        }
        let answer = self.link.run(&settle).await;
        let place = answer.as_ref().ok().and_then(|values| match values.first() {
            Some(Value::Int(place)) => {
                usize::try_from(*place).ok()?.checked_sub(1).filter(|place| *place < entries.len())
            }
            _ => None,
        });
        self.log(answer);
        // Without a response, the other entries are reclaimed in time.
        place.unwrap_or(0)
    }

    fn log(&self, answer: Result<Vec<Value>, CallError>) {
        if let Err(error) = answer {
            debug!(
                error = &error as &dyn std::error::Error,
                "could not tell Redis what became of an entry; it will be reclaimed"
            );
        }
    }
}

/// Puts undelivered signals back into the delay queue, with their old due time.
pub(super) async fn give_back(link: Arc<Link>, mut unheard: mpsc::UnboundedReceiver<Receipt>) {
    while let Some(receipt) = unheard.recv().await {
        let Ok((level, id)) = named_by(&receipt) else { continue };
        let mut release = link.scripts.release();
        release.arg(level).arg(id).arg(0);
        if let Err(error) = link.run(&release).await {
            debug!(
                error = &error as &dyn std::error::Error,
                "could not give a delivery back that nobody waits for; it will be reclaimed"
            );
        }
    }
}
