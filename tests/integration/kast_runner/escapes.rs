//! Tests that every process that a scanner starts stays part of its attempt, even if it drops its
//! parent, its group, its session and its environment.

use std::path::Path;

use kastrel_actors::model::ExitKind;
use kastrel_actors::ports::StopMode;

use super::stage::{Running, Stage};
use super::stops::is_alive;

/// Returns the ids that the fake KAST printed after a word.
fn printed(log: &Path, word: &str) -> Vec<String> {
    let log = std::fs::read_to_string(log).unwrap();
    log.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ').map(str::to_owned)).collect()
}

/// Returns a running attempt, and the process that has escaped from it.
async fn hanging(stage: &Stage, target: &str) -> (Running, String) {
    let job = stage.job(target);
    let file = stage.runner.paths(&job).attempt_dir.join("escaped.pid");
    let mut running = stage.start(job).await.unwrap();
    running.in_progress().await;
    // The file existed before the plugin's own file.
    let escaped = std::fs::read_to_string(file).unwrap();
    assert!(is_alive(&escaped), "{escaped}");
    (running, escaped)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_escaped_is_ended_after_the_scanners_own_exit_and_named() {
    let stage = Stage::new().await;
    for target in ["escape-1p.test", "forge-1p.test"] {
        let job = stage.job(target);
        let log = stage.runner.paths(&job).log;
        let ended = stage.start(job).await.unwrap().ended(None).await;
        assert_eq!((ended.name.as_str(), ended.report.exit), ("completed", ExitKind::Code(0)), "{target}");
        let escaped = printed(&log, "escaped");
        assert!(escaped.len() == 1 && !is_alive(&escaped[0]), "{target}: {escaped:?}");
        assert!(
            ended.report.notes.iter().any(|note| note.starts_with("processes outlived the scanner and were killed: 1")),
            "{:?}",
            ended.report.notes
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_escaped_is_ended_with_a_running_scanner() {
    let stage = Stage::new().await;
    for (target, mode) in [
        ("escape-hang.test", StopMode::Graceful),
        ("escape-hang-stubborn.test", StopMode::Kill),
        ("forge-hang.test", StopMode::Kill),
    ] {
        let (running, escaped) = hanging(&stage, target).await;
        running.control.as_ref().unwrap().stop(mode);
        let ended = running.ended(None).await;
        assert!(matches!(ended.report.exit, ExitKind::Signal(2 | 9)), "{target}: {:?}", ended.report.exit);
        assert!(!is_alive(&escaped), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn escaped_process_is_ended_with_its_own_attempt_only() {
    let stage = Stage::new().await;
    let (first, of_first) = hanging(&stage, "escape-hang.test").await;
    let (second, of_second) = hanging(&stage, "escape-hang.test").await;
    first.control.as_ref().unwrap().stop(StopMode::Kill);
    // The check after an end counts the processes of all attempts, and here the other attempt still
    // runs.
    let mut events = first;
    while let Some(event) = events.next().await {
        drop(event);
    }
    assert!(!is_alive(&of_first));
    assert!(is_alive(&of_second), "the other attempt's goes on");
    second.control.as_ref().unwrap().stop(StopMode::Kill);
    second.ended(None).await;
    assert!(!is_alive(&of_second));
}

#[tokio::test(flavor = "multi_thread")]
async fn keepers_are_reused() {
    let stage = Stage::new().await;
    let mut keepers = Vec::new();
    for target in
        ["look-1p.test", "look-1p.test", "escape-look-1p.test", "look-1p.test", "look-1p.test", "look-1p.test"]
    {
        let job = stage.job(target);
        let log = stage.runner.paths(&job).log;
        let ended = stage.start(job).await.unwrap().ended(None).await;
        assert_eq!(ended.name, "completed", "{}", ended.detail());
        keepers.extend(printed(&log, "look keeper"));
    }
    assert!(keepers.len() == 6 && keepers.iter().all(|keeper| keeper.starts_with("kastrel-keeper ")), "{keepers:?}");
    // Besides the first keeper, one is started in advance. A further one is started if processes
    // were left, or if that one starts late.
    let distinct: std::collections::BTreeSet<_> = keepers.iter().collect();
    assert!(distinct.len() < 5, "{keepers:?}");
}
