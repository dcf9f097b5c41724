use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use super::deliver;
use crate::context::Shared;
use crate::task;
use crate::task_actor::ActorTask;

/// How often entries of other processes are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The pause between two rounds, so that ends that come close together are delivered together.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
pub(crate) struct Relay;

impl ActorTask for Relay {
    const NAME: &'static str = "relay";
    const STATE: &'static str = "delivering";

    async fn run(self, shared: Arc<Shared>) {
        let outbox = Arc::clone(&shared.ports.store.outbox);
        let holder = shared.config.id.as_str();
        let mut writes = outbox.writes();
        let mut failed = 0;
        loop {
            writes.mark_unchanged();
            let wait = match deliver(outbox.as_ref(), &shared.ports.consumers, holder).await {
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
                    let _ = tokio::time::timeout(LOOK_EVERY, written(&mut writes)).await;
                }
            }
        }
    }
}

/// Waits until this process has written an entry. The sender lives in the store. If it is gone,
/// looking every few seconds is left.
async fn written(writes: &mut watch::Receiver<()>) {
    if writes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
