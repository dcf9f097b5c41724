//! Tests of ending an attempt: gracefully, by a kill, by dropping its control, and by the end of
//! the runtime. No process of the attempt is left at the end.

use std::time::Duration;

use kastrel::adapters::kast_runner::Grace;
use kastrel_actors::model::{ExitKind, PluginStatus};
use kastrel_actors::policy::classify::StopCause;
use kastrel_actors::ports::{AliveWatch, StopMode};
use tokio::time::Instant;

use super::stage::{PATIENCE, Stage, marked};

#[tokio::test(flavor = "multi_thread")]
async fn interrupt_ends_most_scanners() {
    let stage = Stage::with(|config| config.grace = Grace { interrupt: PATIENCE, terminate: PATIENCE }).await;
    let mut running = stage.start(stage.job("hang.test")).await.unwrap();
    running.in_progress().await;
    let control = running.control.as_ref().unwrap();
    control.stop(StopMode::Graceful);
    control.stop(StopMode::Graceful);
    let ended = running.ended(Some(StopCause::Cancel)).await;
    assert_eq!((ended.name.as_str(), ended.report.exit), ("cancelled", ExitKind::Signal(2)));
    assert_eq!(ended.plugins()[0], ("whatweb", PluginStatus::InProgress, 0), "what was done is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stubborn_are_killed_with_their_family_after_the_grace() {
    let stage = Stage::new().await;
    let mut running = stage.start(stage.job("hang-stubborn-family.test")).await.unwrap();
    running.in_progress().await;
    assert_eq!(marked(&stage.id).len(), 3);
    let asked = Instant::now();
    running.control.as_ref().unwrap().stop(StopMode::Graceful);
    let ended = running.ended(Some(StopCause::TimedOut)).await;
    assert_eq!((ended.name.as_str(), ended.report.exit), ("timed_out", ExitKind::Signal(9)));
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_overrides_an_interrupt() {
    let stage = Stage::with(|config| config.grace = Grace { interrupt: PATIENCE, terminate: PATIENCE }).await;
    let mut running = stage.start(stage.job("hang-stubborn-family.test")).await.unwrap();
    running.in_progress().await;
    let control = running.control.as_ref().unwrap();
    let asked = Instant::now();
    control.stop(StopMode::Graceful);
    control.stop(StopMode::Kill);
    control.stop(StopMode::Graceful);
    let ended = running.ended(Some(StopCause::LeaseLost)).await;
    assert_eq!((ended.name.as_str(), ended.report.exit), ("lease_lost", ExitKind::Signal(9)));
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_control_kills_the_attempt() {
    let stage = Stage::with(|config| config.grace = Grace { interrupt: PATIENCE, terminate: PATIENCE }).await;
    let mut running = stage.start(stage.job("hang-stubborn-family.test")).await.unwrap();
    running.in_progress().await;
    drop(running.control.take());
    let ended = running.ended(Some(StopCause::Cancel)).await;
    assert_eq!(ended.report.exit, ExitKind::Signal(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_descendant_without_any_mark_goes_too() {
    let stage = Stage::new().await;
    for mode in [StopMode::Graceful, StopMode::Kill] {
        let job = stage.job("hang-stranger.test");
        let file = stage.runner.paths(&job).attempt_dir.join("stranger.pid");
        let mut running = stage.start(job).await.unwrap();
        running.in_progress().await;
        // The file existed before the plugin's own file.
        let pid = &std::fs::read_to_string(file).unwrap();
        assert!(is_alive(pid));
        running.control.as_ref().unwrap().stop(mode);
        running.ended(None).await;
        assert!(!is_alive(pid), "{mode:?}");
    }
}

pub(super) fn is_alive(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn completed_scan_stays_completed_after_a_stop() {
    let stage = Stage::new().await;
    let running = stage.start(stage.job("1p.test")).await.unwrap();
    running.alive_watch.released().await;
    running.control.as_ref().unwrap().stop(StopMode::Kill);
    assert_eq!(running.ended(Some(StopCause::Shutdown)).await.name, "completed");
}

/// The last safeguard: the attempt's task is not polled any more.
#[test]
fn end_of_the_runtime_kills_the_attempt() {
    let first = tokio::runtime::Runtime::new().unwrap();
    let (alive_guard, alive_watch) = AliveWatch::new();
    let (stage, running) = first.block_on(async {
        let stage = Stage::new().await;
        // The stage's own alive guards are not awaited; those of this test must be.
        let (_, unused) = AliveWatch::new();
        let mut running = stage.start_with(stage.job("hang-stubborn-family.test"), alive_guard, unused).await.unwrap();
        running.in_progress().await;
        (stage, running)
    });
    first.shutdown_background();
    let second = tokio::runtime::Runtime::new().unwrap();
    drop(running);
    second.block_on(async { tokio::time::timeout(PATIENCE, alive_watch.released()).await }).unwrap();
    assert_eq!(marked(&stage.id), Vec::<String>::new());
}
