//! At boot: kills what earlier runs of this data folder left behind, found by the marker in its environment.

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use tokio::time::Instant;

use super::{container, environment, proc_table};

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes that were found and killed.
    pub killed: usize,
    /// Processes that were still there when the time was over.
    pub left: usize,
}

/// Kills every process that carries the marker of an attempt of this data folder, and what descends from one; then removes their containers.
///
/// Call it before the first attempt starts and never later: it cannot tell an attempt of this run from one of the last. `wait` bounds it.
pub async fn sweep_leftovers(data_dir_id: &str, wait: Duration) -> Swept {
    let prefix = format!("{data_dir_id}:");
    let until = Instant::now() + wait;
    let mut seen = HashSet::new();
    let mut clean = 0;
    loop {
        let wanted = prefix.clone();
        let found = tokio::task::spawn_blocking(move || kill_marked(&wanted)).await.unwrap_or_default();
        clean = if found.is_empty() { clean + 1 } else { 0 };
        let left = found.len();
        seen.extend(found);
        if clean == 2 || Instant::now() >= until {
            let own: Vec<(OsString, OsString)> = environment::base(std::env::vars_os(), &[], &[]);
            container::remove_leftovers(data_dir_id, &own).await;
            return Swept { killed: seen.len() - left, left };
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One pass: kills all that are found alive and names them by id and start time.
fn kill_marked(prefix: &str) -> Vec<(i32, u64)> {
    let table = proc_table::all();
    let own = rustix::process::getpid();
    let marked = table.iter().filter(|process| process.pid != own && process.marker().is_some_and(|marker| marker.starts_with(prefix)));
    let mut members: HashSet<i32> = marked.map(|process| process.pid.as_raw_nonzero().get()).collect();
    proc_table::close_over_children(&mut members, &table);
    let alive = table.iter().filter(|process| !process.is_zombie && process.pid != own && members.contains(&process.pid.as_raw_nonzero().get()));
    alive
        .map(|process| {
            process.kill();
            process.identity()
        })
        .collect()
}
