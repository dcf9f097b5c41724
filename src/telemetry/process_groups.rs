//! Measures the resource usage of the scanners of this node: processor time and memory of each
//! attempt's process group, read from `/proc` every two seconds.
//!
//! A process that leaves its group is not measured, and neither is usage after the last reading.
//! The kernel adds the time of reaped children to their parent's, so the sum over a group includes
//! its dead members.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::instruments::Instruments;
use super::readings::Readings;

const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The clock ticks per second in `/proc/<pid>/stat`. Linux uses this value on every architecture
/// that Kastrel is built for.
const TICKS: f64 = 100.0;

/// The usage of a process group so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor time in seconds.
    pub(crate) cpu: f64,
    /// Current memory in bytes.
    pub(crate) memory: u64,
    /// Peak memory in bytes.
    pub(crate) memory_peak: u64,
}

/// The process groups, by the process id of their leader; see the module docs.
#[derive(Debug, Default)]
pub(crate) struct ProcessGroups(Mutex<HashMap<u32, Usage>>);

impl ProcessGroups {
    pub(crate) fn add(&self, leader: u32) {
        self.groups().insert(leader, Usage::default());
    }

    /// Removes an ended group. Returns its usage, if it was ever measured.
    pub(crate) fn remove(&self, leader: u32) -> Option<Usage> {
        self.groups().remove(&leader).filter(|usage| usage.memory_peak > 0)
    }

    /// Updates the groups from a reading. Returns the processor time since the last reading, and
    /// the current memory.
    fn update(&self, seen: &HashMap<u32, Usage>) -> (f64, u64) {
        let mut groups = self.groups();
        let (mut more, mut memory) = (0.0, 0);
        for (leader, usage) in groups.iter_mut() {
            let now = seen.get(leader).copied().unwrap_or_default();
            more += (now.cpu - usage.cpu).max(0.0);
            memory += now.memory;
            *usage = Usage {
                cpu: usage.cpu.max(now.cpu),
                memory: now.memory,
                memory_peak: usage.memory_peak.max(now.memory),
            };
        }
        (more, memory)
    }

    fn is_empty(&self) -> bool {
        self.groups().is_empty()
    }

    /// Reads the usage periodically, as long as the handle lives.
    pub(crate) fn watch(self: &Arc<Self>, instruments: Arc<Instruments>, readings: Readings) -> AbortOnDropHandle<()> {
        let groups = Arc::clone(self);
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                // Skips reading all processes while no scanner runs.
                let (more, memory) = if groups.is_empty() {
                    (0.0, 0)
                } else {
                    let seen = tokio::task::spawn_blocking(look).await.unwrap_or_default();
                    groups.update(&seen)
                };
                instruments.processor_time(more);
                readings.change(|latest| latest.kast_memory = Some(memory));
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<u32, Usage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the usage of each process group.
fn look() -> HashMap<u32, Usage> {
    let mut groups: HashMap<u32, Usage> = HashMap::new();
    let Ok(processes) = std::fs::read_dir("/proc") else { return groups };
    for process in processes.flatten() {
        // A process that ends during the reading has no file any more.
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        let Some((group, cpu)) = parse(&stat) else { continue };
        let status = std::fs::read_to_string(process.path().join("status")).unwrap_or_default();
        let usage = groups.entry(group).or_default();
        usage.cpu += cpu;
        usage.memory += resident(&status);
    }
    groups
}

/// Parses a line of `/proc/<pid>/stat`: the process group, and the processor time in seconds
/// including reaped children.
fn parse(stat: &str) -> Option<(u32, f64)> {
    // The name is in parentheses and may contain any character.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    Some((u32::try_from(number(2)?).ok()?, ticks as f64 / TICKS))
}

/// Parses the resident bytes in `/proc/<pid>/status`; 0 for a dead process.
fn resident(status: &str) -> u64 {
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_lines_are_parsed_with_any_process_name() {
        let stat = "42 (a) b (c) S 1 40 40 0 -1 4194304 100 0 0 0 150 50 25 25 20 0 1 0 5 1000 300";
        assert_eq!(parse(stat), Some((40, 2.5)));
        assert_eq!(parse("42 (a"), None);
        assert_eq!(parse("42 (a) S 1"), None);
        assert_eq!(resident("Name:\ta\nVmRSS:\t    2048 kB\nThreads:\t1\n"), 2 << 20);
        assert_eq!(resident("Name:\tzombie\n"), 0);
    }

    #[test]
    fn measured_usage_only_grows() {
        let groups = ProcessGroups::default();
        groups.add(7);
        let seen = |cpu, memory| {
            HashMap::from([
                (7, Usage { cpu, memory, memory_peak: 0 }),
                (8, Usage { cpu: 99.0, memory: 99, memory_peak: 0 }),
            ])
        };
        assert_eq!(groups.update(&seen(2.0, 100)), (2.0, 100));
        assert_eq!(groups.update(&seen(3.0, 50)), (1.0, 50));
        assert_eq!(groups.update(&HashMap::new()), (0.0, 0), "a dead group uses nothing, and gives nothing back");
        assert_eq!(groups.remove(7), Some(Usage { cpu: 3.0, memory: 0, memory_peak: 100 }));
        groups.add(9);
        assert_eq!(groups.remove(9), None, "it was never seen");
    }

    #[test]
    fn the_current_process_is_measured() {
        let own = u32::try_from(rustix::process::getpgrp().as_raw_nonzero().get()).unwrap();
        assert!(look()[&own].memory > 0);
    }
}
