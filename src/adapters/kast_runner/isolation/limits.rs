//! The resource limits of an attempt, as cgroup settings and as resource limits of its processes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::controllers::Controllers;

/// The maximum memory, processes and CPU time of one attempt. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The number of processes and threads.
    pub processes: Option<u64>,
    /// CPU time, in percent of one core.
    pub cpu_percent: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: Some(4 << 30), processes: Some(1024), cpu_percent: None }
    }
}

/// A resource limit of each process of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum RlimitRule {
    /// No core dumps, because they contain the scanner's memory.
    NoCore,
    /// The private writable memory of one process, in bytes.
    Memory(u64),
    /// The number of processes and threads of the user.
    Processes(u64),
    /// The CPU time of one process, in seconds.
    CpuSeconds(u64),
}

/// The CPU period of the cgroup, in microseconds.
const CPU_PERIOD: u64 = 100_000;
/// The tasks of the keeper, including those that start the scanner, which count too.
const KEEPER_TASKS: u64 = 4;

impl Limits {
    /// The files of an attempt's cgroup and their values.
    pub(super) fn cgroup_files(self, has: Controllers) -> Vec<(&'static str, String)> {
        let memory = self.memory_bytes.filter(|_| has.memory).map(|bytes| ("memory.max", bytes.to_string()));
        let processes = self
            .processes
            .filter(|_| has.pids)
            .map(|count| ("pids.max", count.saturating_add(KEEPER_TASKS).to_string()));
        let cpu = self
            .cpu_percent
            .filter(|_| has.cpu)
            .map(|percent| ("cpu.max", format!("{} {CPU_PERIOD}", percent.saturating_mul(CPU_PERIOD) / 100)));
        [memory, processes, cpu].into_iter().flatten().collect()
    }

    /// The limits that the cgroup does not enforce, as limits of each process. `taken` is the
    /// current number of processes and threads of the user; `None` if that limit does not apply to
    /// the user.
    pub(in super::super) fn rlimits(
        self,
        has: Controllers,
        at_once: usize,
        wall_clock: Duration,
        taken: Option<u64>,
    ) -> Vec<RlimitRule> {
        let memory = self.memory_bytes.filter(|_| !has.memory).map(RlimitRule::Memory);
        let all = |count: u64| count.saturating_mul(at_once.max(1) as u64);
        let processes = self
            .processes
            .filter(|_| !has.pids)
            .and_then(|count| Some(RlimitRule::Processes(all(count).saturating_add(taken?))));
        let seconds = |percent: u64| (wall_clock.as_secs().max(1).saturating_mul(percent) / 100).max(1);
        let cpu = self.cpu_percent.filter(|_| !has.cpu).map(|percent| RlimitRule::CpuSeconds(seconds(percent)));
        [Some(RlimitRule::NoCore), memory, processes, cpu].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Controllers = Controllers { memory: true, pids: true, cpu: true };
    const NONE: Controllers = Controllers { memory: false, pids: false, cpu: false };
    const LIMITS: Limits = Limits { memory_bytes: Some(1 << 20), processes: Some(100), cpu_percent: Some(150) };
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn each_limit_is_set_on_the_cgroup_or_else_on_the_processes() {
        use RlimitRule::{CpuSeconds, Memory, NoCore, Processes};
        let files = |has| {
            LIMITS.cgroup_files(has).into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let rules = |has| LIMITS.rlimits(has, 4, HOUR, Some(10));
        assert_eq!(
            (files(ALL), rules(ALL)),
            (vec!["memory.max=1048576".into(), "pids.max=104".into(), "cpu.max=150000 100000".into()], vec![NoCore])
        );
        assert_eq!(
            (files(NONE), rules(NONE)),
            (vec![], vec![NoCore, Memory(1 << 20), Processes(410), CpuSeconds(5400)])
        );
        let pids = Controllers { pids: true, ..NONE };
        assert_eq!(
            (files(pids), rules(pids)),
            (vec!["pids.max=104".into()], vec![NoCore, Memory(1 << 20), CpuSeconds(5400)])
        );
    }

    #[test]
    fn absent_limits_have_no_rule() {
        let free = Limits { memory_bytes: None, processes: None, cpu_percent: None };
        assert!(free.cgroup_files(ALL).is_empty());
        assert_eq!(free.rlimits(NONE, 4, HOUR, Some(1)), [RlimitRule::NoCore]);
        assert_eq!(
            Limits { cpu_percent: None, ..LIMITS }.rlimits(NONE, 1, HOUR, None),
            [RlimitRule::NoCore, RlimitRule::Memory(1 << 20)],
            "root is not bound"
        );
        let least = Limits { cpu_percent: Some(1), ..free };
        assert_eq!(
            least.rlimits(NONE, 0, Duration::from_secs(1), None),
            [RlimitRule::NoCore, RlimitRule::CpuSeconds(1)]
        );
        let most = Limits { memory_bytes: Some(u64::MAX), processes: Some(u64::MAX), cpu_percent: Some(u64::MAX) };
        assert_eq!(most.rlimits(NONE, 2, HOUR, Some(1)).len(), 4);
    }
}
