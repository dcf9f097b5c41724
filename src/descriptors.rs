//! The limit of open files: raised for this process at its start, and restored for the programs
//! that it starts.
//!
//! The soft limit of most systems, 1024, protects programs that use `select`. This program does not
//! use it; the tools of a scanner may.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// The limits at the start of the process.
static AT_START: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard limit.
///
/// The database engine reads the load of all processes of the machine with `sysinfo`, which would
/// keep a descriptor open for each of them and for each of their threads: up to half of the limit.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let limit = AT_START.get_or_init(|| limit);
    sysinfo::set_open_files_limit(0);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(error = &error as &dyn std::error::Error, "could not raise the limit of open files");
    }
}

/// Returns how many files this process may have open; `None` without a limit.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Starts a program with the limit of open files that this process had at its start. All programs
/// are started this way.
pub(crate) trait SpawnAsBefore {
    /// A running program.
    type Child;

    /// Starts the program.
    ///
    /// # Errors
    /// The errors of `spawn`.
    fn spawn_as_before(&mut self) -> io::Result<Self::Child>;
}

impl SpawnAsBefore for std::process::Command {
    type Child = std::process::Child;

    fn spawn_as_before(&mut self) -> io::Result<Self::Child> {
        let child = self.spawn()?;
        restore_for(Pid::from_child(&child));
        Ok(child)
    }
}

impl SpawnAsBefore for tokio::process::Command {
    type Child = tokio::process::Child;

    fn spawn_as_before(&mut self) -> io::Result<Self::Child> {
        let child = self.spawn()?;
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            restore_for(pid);
        }
        Ok(child)
    }
}

/// Gives a new process the limits that this process had at its start. A process that has already
/// ended needs none.
fn restore_for(process: Pid) {
    if let Some(limit) = AT_START.get()
        && limit.current != limit.maximum
    {
        let _ended = prlimit(Some(process), Resource::Nofile, *limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn started_process_has_the_original_limit() {
        raise();
        let before = *AT_START.get().unwrap();
        assert_eq!(limit(), before.maximum, "this process has all that it may");
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn_as_before().unwrap();
        let text = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let shown = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!((words[3], words[4]), (shown(before.current).as_str(), shown(before.maximum).as_str()), "{line}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
