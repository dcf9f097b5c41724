use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::message::Message;
use super::{OutcomeCounter, deliver};
use crate::context::Shared;
use crate::ports::EventConsumer;
use crate::task;

/// How often entries of other processes are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The pause between two rounds, so that ends that come close together are delivered together.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) struct Relay;

impl Actor for Relay {
    type Msg = Message;
    type State = AbortOnDropHandle<()>;
    type Arguments = Arc<Shared>;

    async fn pre_start(
        &self,
        myself: ActorRef<Message>,
        shared: Arc<Shared>,
    ) -> Result<Self::State, ActorProcessingErr> {
        shared.show("relay", "delivering");
        Ok(task::answer(
            &myself,
            async move {
                relay(&shared).await;
                Message::Ended("the deliveries ended".into())
            },
            Message::Ended,
        ))
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Message::Ended(why) = message;
        Err(why.into())
    }
}

async fn relay(shared: &Shared) {
    let outbox = Arc::clone(&shared.ports.store.outbox);
    let consumers: [Arc<dyn EventConsumer>; 1] = [Arc::new(OutcomeCounter::new(Arc::clone(&outbox)))];
    let holder = shared.config.id.as_str();
    let mut writes = outbox.writes();
    let mut failed = 0;
    loop {
        writes.mark_unchanged();
        let wait = match deliver(outbox.as_ref(), &consumers, holder).await {
            Ok(0) => {
                failed = 0;
                None
            }
            Ok(_) => {
                failed = 0;
                Some(PAUSE)
            }
            Err(error) => {
                if failed == 0 {
                    warn!(error = &error as &dyn std::error::Error, "the outbox cannot be read; it is tried again");
                }
                failed += 1;
                Some(task::persistence(failed))
            }
        };
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => {
                // The sender lives in the store. If it is gone, looking every few seconds is left.
                let _ = tokio::time::timeout(LOOK_EVERY, async {
                    if writes.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                })
                .await;
            }
        }
    }
}
