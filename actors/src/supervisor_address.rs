//! The address of the node's current supervisor. A restart replaces the supervisor; its senders
//! keep this address.

use ractor::ActorRef;
use tokio::sync::{oneshot, watch};

use crate::attempt_registry::AttemptRegistry;
use crate::messages::supervisor::{Message, OnCleared};

/// The address.
pub(crate) struct SupervisorAddress {
    current: watch::Sender<Option<ActorRef<Message>>>,
}

impl Default for SupervisorAddress {
    fn default() -> Self {
        Self { current: watch::Sender::new(None) }
    }
}

impl SupervisorAddress {
    /// Replaces the supervisor; `None` without one.
    pub(crate) fn replace(&self, supervisor: Option<ActorRef<Message>>) {
        self.current.send_replace(supervisor);
    }

    /// Sends to the current supervisor; returns the message if there is no supervisor.
    pub(crate) fn send(&self, message: Message) -> Result<(), Box<Message>> {
        let supervisor = self.current.borrow().clone();
        match supervisor {
            None => Err(Box::new(message)),
            Some(actor) => actor.cast(message).map_err(|error| match error {
                ractor::MessagingErr::SendErr(message) => Box::new(message),
                // A cast to a local actor returns no other error, so there is no message to return.
                _ => Box::new(Message::Settle),
            }),
        }
    }

    /// Sends the message to the current supervisor, and waits until no attempt is registered.
    pub(crate) async fn clear(&self, registry: &AttemptRegistry, message: fn(OnCleared) -> Message) {
        let mut supervisors = self.current.subscribe();
        loop {
            supervisors.mark_unchanged();
            let (sender, receiver) = oneshot::channel::<()>();
            // The drop of the sender is the signal, however it happens; the empty registry is the
            // proof.
            let _ = self.send(message(OnCleared::new(move || drop(sender))));
            let _ = receiver.await;
            if registry.is_empty() {
                return;
            }
            // The supervisor failed: its successor gets the message too.
            tokio::select! {
                () = registry.empty() => {}
                _ = supervisors.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::attempt_registry::RegistryEntry;
    use crate::model::{AttemptNumber, FencingToken, ScanId};
    use crate::ports::AliveWatch;

    #[test]
    fn message_comes_back_without_a_supervisor() {
        let refused = SupervisorAddress::default().send(Message::Settle).unwrap_err();
        assert!(matches!(*refused, Message::Settle));
    }

    #[tokio::test(start_paused = true)]
    async fn clear_waits_until_no_attempt_is_registered() {
        let (address, registry) = (SupervisorAddress::default(), AttemptRegistry::default());
        let (_guard, alive_watch) = AliveWatch::new();
        let entry = RegistryEntry {
            token: FencingToken(1),
            attempt: AttemptNumber(1),
            failures: 0,
            alive_watch: alive_watch.into(),
        };
        registry.insert(ScanId(1), entry);
        let mut cleared = std::pin::pin!(address.clear(&registry, Message::KillAll));
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut cleared).await.is_err(), "an attempt is registered");
        registry.remove(ScanId(1), FencingToken(1));
        cleared.await;
    }
}
