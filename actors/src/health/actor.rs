use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::context::Shared;
use crate::model::{AttemptRecord, ClassifiedEnd, Failure, FaultKind, NodeFault};
use crate::policy::infrastructure::judge;
use crate::ports::CheckDepth;
use crate::task_actor::ActorTask;

/// The timeout of a check. The port returns sooner; this limit is for an implementation that does
/// not.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Clone, Copy)]
pub(crate) struct Health;

impl ActorTask for Health {
    const NAME: &'static str = "health";
    const STATE: &'static str = "checking";

    async fn run(self, shared: Arc<Shared>) {
        loop {
            shared.gate.check_due().await;
            check(&shared).await;
        }
    }
}

/// Checks the node once and records the result.
async fn check(shared: &Shared) {
    let began = Instant::now();
    let faults = look(shared, CheckDepth::Full).await;
    shared.found(faults, began);
}

async fn look(shared: &Shared, depth: CheckDepth) -> Vec<NodeFault> {
    tokio::time::timeout(LIMIT, shared.ports.health.check(depth)).await.unwrap_or_else(|_| {
        let text = format!("the check of this node did not end within {} s", LIMIT.as_secs());
        vec![NodeFault::new(FaultKind::DataFolder, text, "look for a disk that does not respond")]
    })
}

/// Returns the end of an attempt that started at `started` and failed, because the cause may be a
/// fault of the node.
pub(crate) async fn judged(
    shared: Arc<Shared>,
    failure: Failure,
    attempts: Vec<AttemptRecord>,
    started: Instant,
) -> ClassifiedEnd {
    let faults = match shared.gate.missed_since(started) {
        Some(faults) => faults,
        None => {
            let began = Instant::now();
            let faults = look(&shared, CheckDepth::Quick).await;
            if !faults.is_empty() {
                shared.found(faults.clone(), began);
            }
            faults
        }
    };
    judge(failure, &faults, &attempts)
}
