//! Tests that processes of an earlier run are found by their marker and killed at boot.

use std::io::BufRead;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kastrel::adapters::kast_runner::{Swept, sweep_leftovers};

use super::stage::{fake_kast, marked};

pub(super) fn leftover(marker: &str, kind: &str) -> Child {
    let mut child = Command::new(fake_kast())
        .args(["play-child", kind])
        .env("KASTREL_ATTEMPT", marker)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn sweep_kills_only_the_processes_of_its_data_folder() {
    let (own, other) = (uuid::Uuid::new_v4().to_string(), uuid::Uuid::new_v4().to_string());
    let mut children = [
        leftover(&format!("{own}:1:1"), "group"),
        leftover(&format!("{own}:2:7"), "session"),
        leftover(&format!("{other}:1:1"), "session"),
    ];
    let swept = sweep_leftovers(&own, Duration::from_secs(20)).await;
    assert_eq!(swept, Swept { killed: 2, left: 0 });
    assert_eq!((marked(&own).len(), marked(&other).len()), (0, 1));
    children[2].kill().unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    assert_eq!(sweep_leftovers(&own, Duration::from_secs(20)).await, Swept::default());
}
