//! Finds and kills processes of attempts that have no owner any more, by the marker in their
//! environment. At boot, these are the processes that earlier runs on this data folder left behind.

use std::collections::HashSet;
use std::ffi::OsString;
use std::time::Duration;

use tokio::time::Instant;

use super::hunt::{CleanStreak, Criterion, Hunt, ProcessTable};
use super::proc_table::Process;
use super::{container, environment};

/// The pause between two passes.
const PAUSE: Duration = Duration::from_millis(5);

/// The result of a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// The number of processes that were found and killed.
    pub killed: usize,
    /// The number of processes that were still alive at the timeout.
    pub left: usize,
}

/// Kills every process with the marker of an attempt of this data folder, and all its descendants.
/// Then removes the containers of these attempts.
///
/// Call it before the first attempt starts, and never later: it does not distinguish attempts of
/// this run from attempts of earlier runs. `wait` is the timeout.
pub async fn sweep_leftovers(data_dir_id: &str, wait: Duration) -> Swept {
    let until = Instant::now() + wait;
    let criterion = Criterion::DataDir(data_dir_id.to_owned());
    let mut hunt = Hunt::new(criterion.clone());
    let mut streak = CleanStreak::default();
    let (mut seen, mut left) = (HashSet::new(), 0);
    loop {
        let pass = move || {
            let found = hunt.pass(&ProcessTable::read(std::iter::once(hunt.criterion()))).alive;
            found.iter().for_each(Process::end);
            (hunt, found)
        };
        match tokio::task::spawn_blocking(pass).await {
            Ok((same, found)) => {
                hunt = same;
                streak.count(&found);
                left = found.len();
                seen.extend(found.iter().map(Process::identity));
            }
            // The pass did not end, so it says nothing about what is left.
            Err(_) => hunt = Hunt::new(criterion.clone()),
        }
        if streak.is_clean() || Instant::now() >= until {
            let own: Vec<(OsString, OsString)> = environment::base(std::env::vars_os(), &[], &[]);
            container::remove_leftovers(data_dir_id, |_| true, &own).await;
            return Swept { killed: seen.len() - left, left };
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Counts the processes of attempts of this data folder. If no Kastrel runs on the folder, they are
/// leftovers.
pub async fn count_leftovers(data_dir_id: &str) -> usize {
    let criterion = Criterion::DataDir(data_dir_id.to_owned());
    tokio::task::spawn_blocking(move || count(criterion)).await.unwrap_or_default()
}

/// Counts the living processes that match. Blocks.
pub(super) fn count(criterion: Criterion) -> usize {
    let table = ProcessTable::read(std::iter::once(&criterion));
    Hunt::new(criterion).pass(&table).alive.len()
}
