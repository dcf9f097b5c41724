//! The replica sync: keeps this process's snapshot cache up to date about scans that run elsewhere.
//!
//! - **Owns** one task that reads the live feed and checks the watched scans twice a second.
//! - **The feed makes it fast, the store makes it correct**: snapshots from other processes are
//!   shown at once, and a watched scan without a message for a second and a half is read from the
//!   store. A lost message, a node that publishes nothing, or an unavailable Redis therefore causes
//!   a delay of seconds, but no wrong state.
//! - **It never** decides anything, and never changes a scan that this process's own node runs.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::model::ScanId;
use crate::service::ScanService;

/// The interval between checks of the watched scans.
const TICK: Duration = Duration::from_millis(500);

/// The time without a message after which a watched scan is read from the store.
const QUIET: Duration = Duration::from_millis(1_500);

/// The maximum number of concurrent reads.
const READS: usize = 16;

/// Starts the replica sync of the scan service's snapshot cache. It ends when the handle is
/// dropped.
#[must_use = "the mirror ends when its handle is dropped"]
pub fn start(service: ScanService) -> AbortOnDropHandle<()> {
    let mut news = service.ports.feed.subscribe();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let listen = async {
            loop {
                match news.recv().await {
                    Ok(snapshot) if service.is_mine(&snapshot.record) => {}
                    Ok(snapshot) => service.ports.snapshots.absorb(snapshot),
                    // The missed snapshots are read from the store.
                    Err(RecvError::Lagged(missed)) => debug!(missed, "the live feed was faster than this process"),
                    Err(RecvError::Closed) => return std::future::pending().await,
                }
            }
        };
        tokio::join!(listen, look_after(&service));
    }))
}

async fn look_after(service: &ScanService) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut quiet: Vec<ScanId> = Vec::new();
        for (snapshot, age) in service.ports.snapshots.watched() {
            if service.is_sure_of(&snapshot.record) {
                continue;
            }
            service.follow(&snapshot.record).await;
            if age >= QUIET && service.ports.snapshots.claim_refresh(snapshot.record.id, QUIET) {
                quiet.push(snapshot.record.id);
            }
        }
        futures_util::stream::iter(quiet).for_each_concurrent(READS, |id| read(service, id)).await;
    }
}

async fn read(service: &ScanService, id: ScanId) {
    match service.ports.store.scans.get(id).await {
        Ok(Some(record)) => service.ports.snapshots.publish(record),
        Ok(None) => {}
        Err(error) => debug!(
            scan.id = id.0,
            error = &error as &dyn std::error::Error,
            "could not read a watched scan; the next look does"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::live::Client;
    use crate::model::{PluginStatus, ScanStatus};
    use crate::node;
    use crate::node_config::NodeConfig;
    use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

    const SECOND: Duration = Duration::from_secs(1);

    struct World {
        cluster: Cluster,
        web: ScanService,
        _mirror: AbortOnDropHandle<()>,
        _node: node::NodeHandle,
    }

    /// Starts a node in one process and a web node in another.
    async fn world(script: Script) -> World {
        let cluster = Cluster::new(ScriptedRunner::new(move |_| script));
        let node = node::start(NodeConfig::new("a".parse().unwrap(), 2), cluster.ports_elsewhere()).await.unwrap();
        let web = cluster.services_elsewhere().scans;
        World { web: web.clone(), _mirror: start(web), cluster, _node: node }
    }

    async fn submit(web: &ScanService) -> ScanId {
        let draft = crate::model::ScanRequestDraft { target: "example.com".into(), ..Default::default() };
        web.submit(&fixtures::context(), Client::Local, &draft, None).await.unwrap().scan.record.id
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_sees_what_a_scan_elsewhere_does_at_once() {
        let world = world(Script::Complete(30 * SECOND)).await;
        let id = submit(&world.web).await;
        let mut watched = world.web.watch(&fixtures::context(), id).await.unwrap().unwrap();
        let begun = tokio::time::Instant::now();
        let live = watched
            .wait_for(|now| {
                now.pid.is_some() && now.plugins.iter().any(|plugin| plugin.status == PluginStatus::InProgress)
            })
            .await
            .unwrap()
            .clone();
        assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
        assert_eq!(live.status(), ScanStatus::Running);
        watched.wait_for(|now| now.last_progress_at > live.last_progress_at).await.unwrap();
        watched.wait_for(|now| now.status() == ScanStatus::Completed).await.unwrap();
        assert!(begun.elapsed() < 31 * SECOND, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn snapshot_lost_by_the_feed_is_read_from_the_store_within_seconds() {
        let world = world(Script::Complete(30 * SECOND)).await;
        world.cluster.hub().lose(true);
        let id = submit(&world.web).await;
        let mut watched = world.web.watch(&fixtures::context(), id).await.unwrap().unwrap();
        let begun = tokio::time::Instant::now();
        watched.wait_for(|now| now.status() == ScanStatus::Running).await.unwrap();
        assert!(begun.elapsed() <= 3 * SECOND, "{:?}", begun.elapsed());
        watched
            .wait_for(|now| now.plugins.iter().any(|plugin| plugin.status == PluginStatus::InProgress))
            .await
            .unwrap();
        assert!(begun.elapsed() <= 5 * SECOND, "{:?}", begun.elapsed());
        watched.wait_for(|now| now.status() == ScanStatus::Completed).await.unwrap();
        assert!(begun.elapsed() <= 33 * SECOND, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_is_never_much_older_than_the_row() {
        let world = world(Script::Complete(5 * SECOND)).await;
        world.cluster.hub().lose(true);
        let id = submit(&world.web).await;
        for _ in 0..80 {
            let before = world.cluster.row(id).await;
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            let shown = world.web.scan(&fixtures::context(), id).await.unwrap().unwrap();
            assert!(shown.record.version >= before.version, "{} {}", shown.record.version, before.version);
        }
        assert_eq!(world.web.scan(&fixtures::context(), id).await.unwrap().unwrap().status(), ScanStatus::Completed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancel_works_from_any_process() {
        let world = world(Script::Busy).await;
        let id = submit(&world.web).await;
        let mut watched = world.web.watch(&fixtures::context(), id).await.unwrap().unwrap();
        watched.wait_for(|now| now.status() == ScanStatus::Running).await.unwrap();
        world.web.cancel(&fixtures::context(), id, crate::model::CancelledBy::User).await.unwrap();
        watched.wait_for(|now| now.status() == ScanStatus::Cancelled).await.unwrap();
        world.cluster.check();
    }

    #[tokio::test(start_paused = true)]
    async fn a_scan_that_another_process_deleted_is_gone_here_within_seconds() {
        let world = world(Script::Complete(SECOND)).await;
        let id = submit(&world.web).await;
        world
            .web
            .watch(&fixtures::context(), id)
            .await
            .unwrap()
            .unwrap()
            .wait_for(|now| now.status() == ScanStatus::Completed)
            .await
            .unwrap();
        let other = world.cluster.services_elsewhere().scans;
        assert!(matches!(other.delete_row(&fixtures::context(), id).await.unwrap(), crate::model::Deleted::Gone(_)));
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(world.web.scan(&fixtures::context(), id).await.unwrap(), None);
        assert_eq!(world.web.ports.snapshots.get(id), None, "nor does its board show it any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_starts_later_shows_the_same() {
        let world = world(Script::Busy).await;
        let id = submit(&world.web).await;
        world.cluster.until_status(id, ScanStatus::Running).await;
        tokio::time::sleep(5 * SECOND).await;
        let late = world.cluster.services_elsewhere().scans;
        let _mirror = start(late.clone());
        let mut watched = late.watch(&fixtures::context(), id).await.unwrap().unwrap();
        assert_eq!(watched.borrow_and_update().status(), ScanStatus::Running);
        let begun = tokio::time::Instant::now();
        watched.wait_for(|now| now.pid.is_some()).await.unwrap();
        assert!(begun.elapsed() <= SECOND, "{:?}", begun.elapsed());
        assert_eq!(Arc::strong_count(&world.web.ports), 2, "the service and its sync hold the snapshot cache");
    }

    #[tokio::test(start_paused = true)]
    async fn feed_carries_no_attempt_events_of_an_unwatched_scan() {
        let world = world(Script::Busy).await;
        let mut news = world.web.ports.feed.subscribe();
        let id = submit(&world.web).await;
        world.cluster.until_status(id, ScanStatus::Running).await;
        tokio::time::sleep(60 * SECOND).await;
        let mut told = 0;
        while news.try_recv().is_ok() {
            told += 1;
        }
        // The lease of the row, and none of the attempt's events of each second since then.
        assert_eq!(told, 1);
    }
}
