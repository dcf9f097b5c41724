//! The queue watch: refreshes the known state of the queue (`KnownQueue`).
//!
//! - **Owns** one task that refreshes every few seconds while somebody reads, and at once when a
//!   process changes the directives.
//! - **A refresh is also triggered** by a command of this process, and by a page or a response that
//!   needs the current state.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use super::{Consistency, QueueService};
use crate::model::ScanStatus;
use crate::ports::Control;

/// The refresh interval of the task while there are readers.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The refresh interval of the task without readers, if other processes change the queue: every
/// page shows the holds of the nodes.
const LOOK_ANYWAY: Duration = Duration::from_secs(5);

/// Starts the task that refreshes the known state of the queue. The task ends when the
/// handle is dropped.
#[must_use = "the task ends when its handle is dropped"]
pub fn start(service: QueueService) -> AbortOnDropHandle<()> {
    let mut directives = service.ports.bus.subscribe();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked: Option<Instant> = None;
        let mut is_deaf = false;
        loop {
            let is_ordered = tokio::select! {
                _ = ticks.tick() => false,
                order = directives.recv(), if !is_deaf => match order {
                    // A pause, its end, or a drain, by any process.
                    Ok(Control::RefreshDirectives(_)) => true,
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => {
                        is_deaf = true;
                        continue;
                    }
                },
            };
            let is_watched =
                || service.ports.snapshots.watched().iter().any(|(scan, _)| scan.status() == ScanStatus::Pending);
            let is_wanted = service.ports.snapshots.queue.is_wanted.swap(false, Ordering::Relaxed) || is_watched();
            let is_due = looked
                .is_none_or(|at| service.ports.consistency == Consistency::MultiWriter && at.elapsed() >= LOOK_ANYWAY);
            if is_ordered || is_wanted || is_due {
                service.known().look_now().await;
                looked = Some(Instant::now());
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{HeldBack, TargetHold};
    use crate::node;
    use crate::policy::waiting::Waiting;
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    fn name(waiting: Option<&Waiting>) -> &'static str {
        waiting.map_or("none", Waiting::name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_sees_each_change_of_the_reason() {
        let second = Duration::from_secs(1);
        let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
        let web = cluster.services_elsewhere();
        web.queue.ports.snapshots.queue.expect_no_node();
        let _watch = start(web.queue.clone());
        let context = fixtures::context();
        let id = cluster.submit().await;
        let mut watched = web.scans.watch(&context, id).await.unwrap().unwrap();
        let mut until = async |wanted: &str| {
            let found = watched.wait_for(|now| name(web.scans.waiting_seen(&now.record).as_ref()) == wanted);
            tokio::time::timeout(10 * second, found).await.unwrap_or_else(|_| panic!("never {wanted}")).unwrap();
        };
        until("no_worker").await;
        web.queue.pause(&context, Some("an upgrade")).await.unwrap();
        until("paused").await;
        let _node =
            node::start(crate::NodeConfig::new("a".parse().unwrap(), 1), cluster.ports_elsewhere()).await.unwrap();
        web.queue.resume(&context).await.unwrap();
        // The one slot goes to the first scan; the second one has a position in the queue.
        let second_scan = cluster.submit().await;
        cluster.until_status(id, ScanStatus::Running).await;
        let record = cluster.row(second_scan).await;
        tokio::time::sleep(second).await;
        assert_eq!(web.scans.waiting(&record).await, Some(Waiting::Queued { position: Some(1), interrupted: None }));
        let blockers = web.queue.start_blockers().await;
        assert!(blockers.is_empty(), "{blockers:?}");
        let hold = TargetHold {
            target: "example.com".into(),
            held: HeldBack { since: Timestamp::UNIX_EPOCH, until: Timestamp::MAX, faults: Vec::new() },
        };
        web.queue
            .ports
            .snapshots
            .hold(&"own".parse().unwrap(), crate::model::NodeHold { node: None, targets: vec![hold] });
        assert!(web.queue.start_blockers_seen().is_empty(), "a target that is held back blocks no other");
    }
}
