//! Tests that a scanner with endless output uses little memory and disk, and does not delay other
//! scans.

use super::stage::Stage;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_flood_is_drained_in_bounded_memory_while_others_run() {
    let stage = Stage::with(|config| config.log_cap = 1 << 20).await;
    assert_eq!(stage.play("1p.test").await.name, "completed");
    let before = resident_kib();
    let job = stage.job("flood-1p.test");
    let log = stage.runner.paths(&job).log;
    let flood = stage.start(job).await.unwrap();
    let mut beside = stage.start(stage.job("3p.test")).await.unwrap();
    while beside.next().await.is_some() {}
    let ended = flood.ended(None).await;
    assert_eq!(ended.name, "completed");
    assert!(ended.report.notes[0].contains("more than 1048576 bytes"), "{:?}", ended.report.notes);
    assert!(ended.report.last_words.len() < 8 << 10);
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 24 << 10, "grew by {grown} KiB");
    let size = std::fs::metadata(log).unwrap().len();
    assert!(((1 << 20)..(1 << 20) + 300).contains(&size), "{size}");
}
