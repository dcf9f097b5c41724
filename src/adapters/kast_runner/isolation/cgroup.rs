//! The cgroup of an attempt (version 2). It is created below the cgroup that was delegated to
//! Kastrel, and is killed as a unit.
//!
//! ```text
//! <ours>/                      delegated by systemd (`Delegate=yes`) or by a container's runtime
//!   kastrel-node/              the server and the watchdog: a cgroup that hands limits down may not have processes itself
//!   kastrel-keepers/           keepers whose attempt is being killed
//!   kastrel-attempt-<run>-<n>/ one attempt and its keeper
//! ```
//!
//! If the cgroup is writable but hands no limits down, attempts still get cgroups. A process in a
//! cgroup is found and killed whatever its name is.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::super::proc_table;
use super::Limits;
use super::controllers::Controllers;

const NODE: &str = "kastrel-node";
const KEEPERS: &str = "kastrel-keepers";
const PROCESSES: &str = "cgroup.procs";
const KILL: &str = "cgroup.kill";

/// Returns the folder of this process's cgroup (version 2).
pub(super) fn own() -> io::Result<PathBuf> {
    let read = std::fs::read_to_string;
    let missing = || io::Error::new(io::ErrorKind::NotFound, "cgroup version 2 is not mounted");
    folder(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?).ok_or_else(missing)
}

/// The cgroup folder of a process, from its `/proc/<pid>/cgroup` and `/proc/<pid>/mountinfo`.
fn folder(cgroup: &str, mountinfo: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    mountinfo.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let [_, _, _, root, at, ..] = mount.split(' ').collect::<Vec<_>>()[..] else { return None };
        if filesystem.split(' ').next()? != "cgroup2" {
            return None;
        }
        // The path of a process outside of the mounted part begins with `..`.
        let below = Path::new(path).strip_prefix(root).ok().filter(|below| !below.starts_with(".."))?;
        Some(Path::new(at).join(below))
    })
}

/// Returns the controllers that a cgroup offers, without changing anything. Fails if the cgroup is
/// not writable.
pub(super) fn look(base: &Path) -> io::Result<Controllers> {
    rustix::fs::access(base, rustix::fs::Access::WRITE_OK)?;
    rustix::fs::access(base.join(PROCESSES), rustix::fs::Access::WRITE_OK)?;
    Ok(Controllers::parse(&std::fs::read_to_string(base.join("cgroup.controllers"))?))
}

/// Returns true if this process may move all of these processes: itself, its descendants, and the
/// first process of a container.
fn are_ours(processes: &[i32], own: i32, descendants: &[i32]) -> bool {
    processes.iter().all(|pid| *pid == own || *pid == 1 || descendants.contains(pid))
}

fn processes(cgroup: &Path) -> io::Result<Vec<i32>> {
    Ok(std::fs::read_to_string(cgroup.join(PROCESSES))?.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Writes to an existing file of the kernel.
fn write(file: &Path, text: &str) -> io::Result<()> {
    std::fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

fn make(cgroup: &Path) -> io::Result<()> {
    match std::fs::create_dir(cgroup) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Creates the cgroups of attempts.
#[derive(Debug, Clone)]
pub(in super::super) struct Cgroups {
    base: PathBuf,
    controllers: Controllers,
    limits: Limits,
}

impl Cgroups {
    /// Prepares the cgroup of this process for the cgroups of attempts.
    ///
    /// # Errors
    /// The cgroup is not delegated to this process.
    pub(in super::super) fn prepare(limits: Limits) -> io::Result<Self> {
        Self::prepare_at(own()?, limits)
    }

    fn prepare_at(base: PathBuf, limits: Limits) -> io::Result<Self> {
        // Another run on the same data folder, or a command, may have moved itself to the subfolder
        // already.
        let base = if base.ends_with(NODE) { base.parent().map(Path::to_owned).unwrap_or(base) } else { base };
        let available = look(&base)?;
        make(&base.join(KEEPERS))?;
        let handed_down = || {
            std::fs::read_to_string(base.join("cgroup.subtree_control"))
                .map(|text| Controllers::parse(&text))
                .unwrap_or_default()
        };
        let missing = available.without(handed_down());
        if !missing.is_empty() {
            // Limits that the cgroup does not support are set as resource limits of the processes.
            if let Err(error) = hand_down(&base, missing) {
                tracing::debug!(error = &error as &dyn std::error::Error, cgroup = %base.display(), "the cgroup hands no limits down");
            }
        }
        Ok(Self { controllers: handed_down(), base, limits })
    }

    /// The limits that are in force.
    pub(in super::super) const fn controllers(&self) -> Controllers {
        self.controllers
    }

    /// Creates the cgroup of an attempt.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(in super::super) fn create(&self, name: &str) -> io::Result<Cgroup> {
        let cgroup =
            Cgroup { path: self.base.join(format!("kastrel-attempt-{name}")), keepers: self.base.join(KEEPERS) };
        std::fs::create_dir(&cgroup.path)?;
        for (file, value) in self.limits.cgroup_files(self.controllers) {
            if let Err(error) = write(&cgroup.path.join(file), &value) {
                cgroup.remove();
                return Err(error);
            }
        }
        Ok(cgroup)
    }
}

/// Moves Kastrel's own processes to a child cgroup and enables the controllers for child cgroups.
fn hand_down(base: &Path, controllers: Controllers) -> io::Result<()> {
    let own = rustix::process::getpid();
    let descendants: Vec<i32> =
        proc_table::descendants(own).iter().map(|process| process.pid.as_raw_nonzero().get()).collect();
    let inside = processes(base)?;
    if !are_ours(&inside, own.as_raw_nonzero().get(), &descendants) {
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, "other processes are in it"));
    }
    if !inside.is_empty() {
        make(&base.join(NODE))?;
        for pid in inside {
            write(&base.join(NODE).join(PROCESSES), &pid.to_string())?;
        }
    }
    controllers.names().try_for_each(|name| write(&base.join("cgroup.subtree_control"), &format!("+{name}")))
}

/// The cgroup of an attempt.
#[derive(Debug, Clone)]
pub(in super::super) struct Cgroup {
    path: PathBuf,
    /// The cgroup to which the keeper moves while this one is killed.
    keepers: PathBuf,
}

impl Cgroup {
    /// Refers to a cgroup that another process created.
    pub(in super::super) const fn at(path: PathBuf, keepers: PathBuf) -> Self {
        Self { path, keepers }
    }

    pub(in super::super) fn paths(&self) -> (&Path, &Path) {
        (&self.path, &self.keepers)
    }

    /// Moves the calling process into the cgroup.
    pub(in super::super) fn join(&self) -> io::Result<()> {
        write(&self.path.join(PROCESSES), "0")
    }

    /// The processes in the cgroup.
    pub(in super::super) fn processes(&self) -> Vec<i32> {
        processes(&self.path).unwrap_or_default()
    }

    /// Kills all processes in the cgroup at once, so that none can start another in between. Moves
    /// the keeper out before.
    pub(in super::super) fn kill(&self, keeper: Pid) -> io::Result<()> {
        if self.processes().contains(&keeper.as_raw_nonzero().get()) {
            write(&self.keepers.join(PROCESSES), &keeper.as_raw_nonzero().to_string())?;
        }
        write(&self.path.join(KILL), "1")
    }

    /// Removes the cgroup when it is empty.
    pub(in super::super) fn remove(&self) {
        if let Err(error) = std::fs::remove_dir(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(error = &error as &dyn std::error::Error, cgroup = %self.path.display(), "a cgroup could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cgroup_is_found_on_all_kinds_of_machines() {
        let unified = "31 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let hybrid = "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:5 - cgroup2 cgroup2 rw";
        let container = "600 599 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw";
        for (cgroup, mountinfo, expected) in [
            ("0::/system.slice/kastrel.service\n", unified, Some("/sys/fs/cgroup/system.slice/kastrel.service")),
            ("4:memory:/x\n0::/\n", hybrid, Some("/sys/fs/cgroup/unified")),
            ("0::/docker/ab\n", container, Some("/sys/fs/cgroup")),
            ("0::/docker/ab/one\n", container, Some("/sys/fs/cgroup/one")),
            (
                "0::/../outside\n",
                "600 599 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw",
                Some("/sys/fs/cgroup/../outside"),
            ),
            ("0::/elsewhere\n", container, None),
            ("4:memory:/x\n", hybrid, None),
            ("0::/x\n", "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", None),
        ] {
            let expected = expected.filter(|path| !path.contains("..")).map(PathBuf::from);
            assert_eq!(folder(cgroup, mountinfo), expected, "{cgroup}");
        }
    }

    #[test]
    fn only_our_own_processes_are_moved() {
        for (inside, expected) in
            [(&[][..], true), (&[70], true), (&[1, 70, 71], true), (&[70, 90], false), (&[90], false)]
        {
            assert_eq!(are_ours(inside, 70, &[71, 72]), expected, "{inside:?}");
        }
    }

    /// The files of a delegated cgroup, as the kernel creates them.
    fn delegated(controllers: &str, handed_down: &str, inside: &str) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        for folder in ["", NODE, KEEPERS] {
            let folder = base.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, text) in
                [("cgroup.controllers", controllers), ("cgroup.subtree_control", handed_down), (PROCESSES, inside)]
            {
                std::fs::write(folder.join(file), text).unwrap();
            }
        }
        base
    }

    #[test]
    fn cgroup_with_foreign_processes_is_not_divided() {
        let own = format!("{}\n", std::process::id());
        let read = |base: &tempfile::TempDir, file: &str| std::fs::read_to_string(base.path().join(file)).unwrap();
        let ours = delegated("cpu memory pids", "", &own);
        Cgroups::prepare_at(ours.path().to_owned(), Limits::default()).unwrap();
        assert!(read(&ours, "cgroup.subtree_control").starts_with("+cpu"), "the last one that was asked for");
        assert_eq!(read(&ours, "kastrel-node/cgroup.procs"), own);
        let shared = delegated("cpu memory pids", "", &format!("{own}4000000\n"));
        let cgroups = Cgroups::prepare_at(shared.path().to_owned(), Limits::default()).unwrap();
        assert_eq!(
            (read(&shared, "cgroup.subtree_control").as_str(), cgroups.controllers()),
            ("", Controllers::default())
        );
        let divided = delegated("cpu memory pids", "cpu memory pids", "");
        let again = Cgroups::prepare_at(divided.path().join(NODE), Limits::default()).unwrap();
        assert_eq!(
            (again.base.as_path(), again.controllers()),
            (divided.path(), Controllers::parse("cpu memory pids"))
        );
        assert!(Cgroups::prepare_at(divided.path().join("missing"), Limits::default()).is_err());
    }
}
