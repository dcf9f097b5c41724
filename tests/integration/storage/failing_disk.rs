//! Simulated disk faults under a running server, and their repair.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, prlimit};
use tempfile::TempDir;

use crate::product::app::TestApp;

/// A kind of disk fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// No space is left.
    Full,
    /// No file can grow, because of a limit of the process (`RLIMIT_FSIZE`).
    FileSizeLimit,
    /// A write fails with EIO.
    WriteError,
    /// A sync fails with EIO, and the written data may or may not be on disk.
    SyncError,
    /// The file system is read-only, as the kernel sets it after errors (EROFS).
    ReadOnly,
}

/// A server's data folder on a disk with one simulated fault.
pub(super) struct FailingDisk {
    fault: Fault,
    root: TempDir,
    mounted: bool,
}

impl FailingDisk {
    pub(super) fn new(fault: Fault) -> Self {
        let disk = Self { fault, root: tempfile::tempdir().unwrap(), mounted: fault == Fault::Full };
        std::fs::create_dir(disk.folder()).unwrap();
        if disk.mounted {
            // Root can mount a separate file system; other users could only fill the machine's
            // disk.
            let mut mount = Command::new("mount");
            run(
                mount.args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(disk.folder()),
                "this test mounts a small tmpfs, which only root may do",
            );
        }
        disk
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("disk")
    }

    fn trigger(&self) -> PathBuf {
        self.root.path().join("trigger")
    }

    /// Starts a server on the disk. The results are on another disk.
    pub(super) async fn start(&self) -> TestApp {
        let paths = [self.folder().join("data"), self.root.path().join("results"), self.folder(), self.trigger()];
        let [data, results, folder, trigger] = paths.each_ref().map(|path| path.to_str().unwrap());
        let mut variables = vec![("KASTREL_DATA_DIR", data), ("KAST_RESULTS_DIR", results)];
        if matches!(self.fault, Fault::WriteError | Fault::SyncError | Fault::ReadOnly) {
            let preload = SHIM.1.to_str().unwrap();
            variables.extend([
                ("LD_PRELOAD", preload),
                ("FAILING_DISK_FOLDER", folder),
                ("FAILING_DISK_TRIGGER", trigger),
            ]);
        }
        TestApp::with(&variables).await
    }

    /// Starts the fault.
    pub(super) fn fail(&self, app: &TestApp) {
        match self.fault {
            Fault::Full => {
                let mut file = std::fs::File::create(self.folder().join("fill")).unwrap();
                while file.write_all(&[0; 4096]).is_ok() {}
            }
            Fault::FileSizeLimit => limit_file_size(app, Some(64 << 10)),
            Fault::WriteError => self.pull("write 5"),
            Fault::SyncError => self.pull("sync 5"),
            Fault::ReadOnly => self.pull("write 30"),
        }
    }

    /// Ends the fault while a server runs.
    pub(super) fn repair(&self, app: &TestApp) {
        match self.fault {
            Fault::FileSizeLimit => limit_file_size(app, None),
            Fault::Full | Fault::WriteError | Fault::SyncError | Fault::ReadOnly => self.repair_stopped(),
        }
    }

    /// Ends the fault while no server runs: a process limit has ended with its process.
    pub(super) fn repair_stopped(&self) {
        match self.fault {
            Fault::Full => std::fs::remove_file(self.folder().join("fill")).unwrap(),
            Fault::FileSizeLimit => {}
            Fault::WriteError | Fault::SyncError | Fault::ReadOnly => std::fs::remove_file(self.trigger()).unwrap(),
        }
    }

    fn pull(&self, what: &str) {
        let unfinished = self.root.path().join("unfinished");
        std::fs::write(&unfinished, what).unwrap();
        std::fs::rename(unfinished, self.trigger()).unwrap();
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        if self.mounted {
            // The server of a failed test may still use the mount.
            let _ = Command::new("umount").arg("--lazy").arg(self.folder()).status();
        }
    }
}

/// Sets the soft limit only, which can be raised again.
fn limit_file_size(app: &TestApp, bytes: Option<u64>) {
    prlimit(Some(app.server_pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// The library that makes writes and syncs fail, compiled with the C compiler of the build.
static SHIM: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("failing_disk.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helpers/failing_disk.c");
    let mut compile = Command::new("clang");
    run(
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]),
        "this test compiles a small C library with clang, which the build needs too",
    );
    (folder, library)
});

fn run(command: &mut Command, why: &str) {
    let status = command.status().unwrap_or_else(|error| panic!("{why}: {error}"));
    assert!(status.success(), "{why}: {status}");
}
