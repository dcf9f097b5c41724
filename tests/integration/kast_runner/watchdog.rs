//! Tests of the watchdog process alone, with the commands of a node written by the test.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::leftovers::leftover;
use super::stage::marked;

/// A trust deadline in the far future of any clock.
const NEVER: &str = "trust 99999999999999\n";
const NOW: &str = "trust 0\n";

struct Stage {
    data: String,
    watchdog: Child,
    pipe: Option<ChildStdin>,
}

impl Stage {
    /// Starts a watchdog of the run `a`.
    fn new() -> Self {
        let data = uuid::Uuid::new_v4().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kastrel"));
        let mut watchdog = command.args(["watchdog", &data, "a"]).stdin(Stdio::piped()).spawn().unwrap();
        Self { pipe: watchdog.stdin.take(), data, watchdog }
    }

    fn attempt(&self, scan: u32, run: &str) -> Child {
        leftover(&format!("{}:{scan}:1:{run}", self.data), "session")
    }

    fn tell(&mut self, line: &str) {
        self.pipe.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Closes the pipe, and waits for the watchdog.
    fn end(mut self) {
        drop(self.pipe.take());
        assert!(self.watchdog.wait().unwrap().success());
    }
}

#[test]
fn watchdog_kills_its_own_run_and_not_the_successors() {
    let mut stage = Stage::new();
    let (mut own, mut successors) = (stage.attempt(1, "a"), stage.attempt(1, "b"));
    stage.tell(NEVER);
    stage.tell(NOW);
    assert!(!own.wait().unwrap().success());
    // The watchdog continues: it also kills processes that start later without a lease.
    let mut late = stage.attempt(2, "a");
    assert!(!late.wait().unwrap().success());
    // A new lease, and then the end of the node.
    stage.tell(NEVER);
    let mut leased = stage.attempt(3, "a");
    let data = stage.data.clone();
    stage.end();
    assert!(!leased.wait().unwrap().success());
    assert_eq!(marked(&data).len(), 1, "the successor's");
    successors.kill().unwrap();
    successors.wait().unwrap();
}

#[test]
fn watchdog_ends_with_a_stopped_node() {
    let mut stage = Stage::new();
    stage.tell(NEVER);
    stage.tell("disarm\n");
    stage.end();
}

#[test]
fn watchdog_command_is_hidden_and_refuses_manual_use() {
    for args in [&["watchdog"][..], &["watchdog", "data", "run"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_kastrel")).args(args).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("failed to run the watchdog"), "{output:?}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_kastrel")).arg("--help").output().unwrap();
    assert!(!String::from_utf8_lossy(&help.stdout).contains("watchdog"));
}
