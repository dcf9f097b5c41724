//! Tasks that run beside an actor: each sends exactly one message with its result, even if it
//! panics.

use std::future::Future;
use std::time::Duration;

use ractor::{ActorRef, Message};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Runs `work` beside `actor` and sends it the result. A panic becomes a message too, so an actor
/// never waits for a task that is gone. The task ends when its handle is dropped.
#[must_use = "the task ends when its handle is dropped"]
pub(crate) fn answer<M, F>(actor: &ActorRef<M>, work: F, panicked: fn(String) -> M) -> AbortOnDropHandle<()>
where
    M: Message,
    F: Future<Output = M> + Send + 'static,
{
    let actor = actor.clone();
    let work = AbortOnDropHandle::new(tokio::spawn(work));
    AbortOnDropHandle::new(tokio::spawn(async move {
        let message = match work.await {
            Ok(message) => message,
            Err(error) if error.is_panic() => panicked(panic_text(error.into_panic().as_ref())),
            Err(_) => return,
        };
        // An actor that has stopped in the meantime needs no message.
        let _ = actor.cast(message);
    }))
}

/// Sends `message` to `actor` at `when`, unless the handle is dropped before.
#[must_use = "the timer ends when its handle is dropped"]
pub(crate) fn timer<M: Message>(actor: &ActorRef<M>, when: Instant, message: M) -> AbortOnDropHandle<()> {
    let actor = actor.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        tokio::time::sleep_until(when).await;
        let _ = actor.cast(message);
    }))
}

/// Returns the wait before try number `tries` (from 0) of an operation that is retried until it
/// succeeds: 100 ms, doubling up to 5 s.
pub(crate) fn persistence(tries: u32) -> Duration {
    Duration::from_millis(100).saturating_mul(1 << tries.min(6)).min(Duration::from_secs(5))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}
