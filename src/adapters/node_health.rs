//! Checks the machine that a node runs on: the scanner program, the results and data folders, and
//! the number of files that the process can still open.
//!
//! The check of a folder is a real write: it creates a file, writes to it, syncs it to disk and
//! removes it. The check never recreates a missing folder. If the folder was a mount point, or was
//! below one, the scans would fill another disk. In any case the operator must learn that the files
//! are gone.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kastrel_actors::model::{FaultKind, NodeFault};
use kastrel_actors::ports::{CheckDepth, NodeHealth};
use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::node_fault::{INSTALL, folder_remedy, is_mount_point, not_mounted, resource_fault};

/// The longest time that the check of one folder may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The number of files that the process must still be able to open. The start of a scan needs about
/// a dozen.
const FILES: usize = 24;

/// The name of the probe file, where the file system needs a name. It is always the same, so a
/// killed process leaves at most one such file.
const PROBE: &str = ".kastrel-health";

/// A folder that scans need.
#[derive(Debug)]
struct Folder {
    kind: FaultKind,
    /// For messages, such as `results folder`.
    name: &'static str,
    path: PathBuf,
    /// True if the folder was a mount point when Kastrel started.
    was_mount_point: bool,
    /// The running check. It stays here while a disk does not respond, so that no further threads
    /// block on it.
    check: Mutex<Option<JoinHandle<Option<NodeFault>>>>,
}

/// The [`NodeHealth`] of this machine. See the module docs.
#[derive(Debug)]
pub struct MachineHealth {
    program: PathBuf,
    folders: Vec<Arc<Folder>>,
    least_free: u64,
}

impl MachineHealth {
    /// Creates the health checks for a scanner and two folders, which must exist now. `least_free`
    /// is the number of free bytes that each folder must have; a tenth of its disk is enough if
    /// that is less.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, results: &Path, data: &Path, least_free: u64) -> Self {
        let folder = |kind, name, path: &Path| {
            Arc::new(Folder {
                kind,
                name,
                path: path.to_owned(),
                was_mount_point: is_mount_point(path).unwrap_or(false),
                check: Mutex::default(),
            })
        };
        let folders = vec![
            folder(FaultKind::ResultsFolder, "results folder", results),
            folder(FaultKind::DataFolder, "data folder", data),
        ];
        Self { program: program.into(), folders, least_free }
    }
}

#[async_trait]
impl NodeHealth for MachineHealth {
    async fn check(&self, depth: CheckDepth) -> Vec<NodeFault> {
        if let Err(error) = files() {
            let text = format!("this process cannot open more files: {error}");
            // All other checks open files too.
            return resource_fault(error, &text).into_iter().collect();
        }
        let mut faults: Vec<NodeFault> = program(&self.program).into_iter().collect();
        for folder in &self.folders {
            faults.extend(folder.check(self.least_free, depth).await);
        }
        faults
    }
}

impl Folder {
    async fn check(self: &Arc<Self>, least_free: u64, depth: CheckDepth) -> Option<NodeFault> {
        let mut check = self.check.lock().await;
        let running = check.get_or_insert_with(|| {
            let folder = Arc::clone(self);
            tokio::task::spawn_blocking(move || folder.look(least_free, depth))
        });
        match tokio::time::timeout(LIMIT, running).await {
            Ok(found) => {
                *check = None;
                found.unwrap_or_else(|error| {
                    Some(self.fault(format!("could not be checked: {error}"), "see Kastrel's log"))
                })
            }
            Err(_) => Some(self.fault(
                format!("does not respond within {} s", LIMIT.as_secs()),
                "check its disk and the kernel's log",
            )),
        }
    }

    fn fault(&self, what: impl std::fmt::Display, remedy: impl Into<String>) -> NodeFault {
        NodeFault::new(self.kind, format!("the {} {} {what}", self.name, self.path.display()), remedy)
    }

    fn look(&self, least_free: u64, depth: CheckDepth) -> Option<NodeFault> {
        match is_mount_point(&self.path) {
            Ok(false) if self.was_mount_point => return Some(not_mounted(self.kind, self.name, &self.path)),
            Ok(_) => {}
            Err(Errno::NOENT) => return Some(self.fault("is missing", folder_remedy(Errno::NOENT))),
            Err(errno) => {
                return Some(self.fault(format!("cannot be read: {}", io::Error::from(errno)), folder_remedy(errno)));
            }
        }
        if let Err(errno) = write_and_remove(&self.path, depth) {
            let what = format!("cannot be written: {}", io::Error::from(errno));
            return resource_fault(errno, &self.fault(&what, "").text)
                .or_else(|| Some(self.fault(what, folder_remedy(errno))));
        }
        let space = rustix::fs::statvfs(&self.path).ok()?;
        let (free, all) =
            (space.f_bavail.saturating_mul(space.f_frsize), space.f_blocks.saturating_mul(space.f_frsize));
        let least = least(least_free, all);
        (free < least).then(|| {
            self.fault(
                format!("has {} MiB free, less than {} MiB", free >> 20, least >> 20),
                folder_remedy(Errno::NOSPC),
            )
        })
    }
}

/// The free bytes that a disk of `all` bytes must have. A disk that reports a size of 0 needs none.
fn least(wanted: u64, all: u64) -> u64 {
    wanted.min(all / 10)
}

/// Creates, fills and removes a file. The file has no name (`O_TMPFILE`), so it disappears however
/// this process ends. If the file system does not support that, the file gets the name [`PROBE`].
fn write_and_remove(folder: &Path, depth: CheckDepth) -> Result<(), Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode) {
        Ok(file) => fill(&file, depth),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let path = folder.join(PROBE);
            let file = rustix::fs::open(
                &path,
                OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                mode,
            )?;
            let filled = fill(&file, depth);
            match rustix::fs::unlink(&path) {
                // Another node with the same results folder removed the file first.
                Ok(()) | Err(Errno::NOENT) => filled,
                Err(errno) => filled.and(Err(errno)),
            }
        }
        Err(errno) => Err(errno),
    }
}

fn fill(file: &OwnedFd, depth: CheckDepth) -> Result<(), Errno> {
    rustix::io::write(file, &[0; 512])?;
    match depth {
        CheckDepth::Quick => Ok(()),
        CheckDepth::Full => rustix::fs::fsync(file),
    }
}

/// Checks that the process can open [`FILES`] more files.
fn files() -> Result<(), Errno> {
    let mut held = Vec::with_capacity(FILES);
    for _ in 0..FILES {
        held.push(rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
    }
    Ok(())
}

fn program(program: &Path) -> Option<NodeFault> {
    // A bare name is searched on the PATH, which is the runner's job.
    if program.components().count() == 1 && !program.is_absolute() {
        return None;
    }
    let why = match std::fs::metadata(program) {
        Err(error) => error.to_string(),
        Ok(found) if !found.is_file() => "it is no file".to_owned(),
        Ok(_) => io::Error::from(rustix::fs::access(program, Access::EXEC_OK).err()?).to_string(),
    };
    Some(NodeFault::new(
        FaultKind::ScannerProgram,
        format!("the scanner {} cannot be run: {why}", program.display()),
        INSTALL,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            for folder in ["results", "data"] {
                std::fs::create_dir(root.path().join(folder)).unwrap();
            }
            std::fs::copy("/bin/sh", root.path().join("kast")).unwrap();
            Self { root }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn health(&self, least_free: u64) -> MachineHealth {
            MachineHealth::new(self.path("kast"), &self.path("results"), &self.path("data"), least_free)
        }
    }

    fn texts(faults: &[NodeFault]) -> Vec<(FaultKind, String)> {
        faults.iter().map(|fault| (fault.kind, fault.text.clone())).collect()
    }

    #[tokio::test]
    async fn healthy_machine_has_no_faults_and_checks_leave_no_files() {
        let machine = Machine::new();
        assert_eq!(machine.health(1 << 10).check(CheckDepth::Full).await, []);
        for folder in ["results", "data"] {
            assert_eq!(std::fs::read_dir(machine.path(folder)).unwrap().count(), 0);
        }
    }

    #[tokio::test]
    async fn each_fault_has_its_own_text_and_clears_with_its_cause() {
        let machine = Machine::new();
        let health = machine.health(1 << 10);
        std::fs::rename(machine.path("kast"), machine.path("away")).unwrap();
        std::fs::remove_dir(machine.path("results")).unwrap();
        std::fs::remove_dir(machine.path("data")).unwrap();
        std::fs::write(machine.path("data"), "a file").unwrap();
        let shown = |name: &str| machine.path(name).display().to_string();
        assert_eq!(
            texts(&health.check(CheckDepth::Full).await),
            [
                (
                    FaultKind::ScannerProgram,
                    format!("the scanner {} cannot be run: No such file or directory (os error 2)", shown("kast"))
                ),
                (FaultKind::ResultsFolder, format!("the results folder {} is missing", shown("results"))),
                (
                    FaultKind::DataFolder,
                    format!("the data folder {} cannot be read: Not a directory (os error 20)", shown("data"))
                ),
            ]
        );
        assert!(!machine.path("results").exists(), "it is for somebody else to make it again");
        std::fs::rename(machine.path("away"), machine.path("kast")).unwrap();
        std::fs::create_dir(machine.path("results")).unwrap();
        std::fs::remove_file(machine.path("data")).unwrap();
        std::fs::create_dir(machine.path("data")).unwrap();
        assert_eq!(health.check(CheckDepth::Full).await, []);
        std::fs::set_permissions(machine.path("kast"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(
            health.check(CheckDepth::Full).await[0].text.ends_with("cannot be run: Permission denied (os error 13)")
        );
    }

    #[tokio::test]
    async fn too_little_space_is_a_fault() {
        let machine = Machine::new();
        let faults = machine.health(u64::MAX).check(CheckDepth::Full).await;
        // The required space is never more than a tenth of the disk. This test cannot control
        // whether the disk has that much.
        assert!(faults.iter().all(|fault| fault.text.contains(" MiB free, less than ")), "{faults:?}");
        for (wanted, all, expected) in [(64, 10_000, 64), (64, 100, 10), (64, 0, 0), (0, 10_000, 0)] {
            assert_eq!(least(wanted, all), expected);
        }
    }

    #[test]
    fn mount_points_differ_from_plain_folders() {
        assert_eq!(is_mount_point(Path::new("/proc")), Ok(true));
        let root = tempfile::tempdir().unwrap();
        assert_eq!(is_mount_point(root.path()), Ok(false));
        assert_eq!(is_mount_point(&root.path().join("none")), Err(Errno::NOENT));
    }

    #[test]
    fn unmounted_disk_is_a_fault_and_is_never_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder {
            kind: FaultKind::ResultsFolder,
            name: "results folder",
            path: root.path().to_owned(),
            was_mount_point: true,
            check: Mutex::default(),
        };
        assert!(folder.look(0, CheckDepth::Quick).unwrap().text.ends_with("is not mounted"));
    }

    #[test]
    fn scanner_without_a_path_is_not_checked_here() {
        assert_eq!(program(Path::new("kast")), None);
        assert!(program(Path::new("./no-such-kast")).is_some());
    }
}
