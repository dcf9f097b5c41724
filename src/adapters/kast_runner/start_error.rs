//! Classifies the error of a failed start: a fault of the node, which affects every scan, or a
//! failure of this scan.

use std::io;
use std::path::Path;

use kastrel_actors::model::{Failure, FailureKind, FaultKind, NodeFault};
use kastrel_actors::ports::StartError;
use rustix::io::Errno;

use crate::node_fault::{INSTALL, folder_remedy, resource_fault};

/// The error for a scanner program that could not be run.
pub(super) fn of_program(program: &Path, error: &io::Error) -> StartError {
    let text = format!("cannot start {}: {error}", program.display());
    let Some(errno) = Errno::from_io_error(error) else {
        return StartError::Failed(Failure::new(FailureKind::NotStarted, text));
    };
    if let Some(fault) = resource_fault(errno, &text) {
        return StartError::Node(fault);
    }
    match errno {
        // The program or its interpreter is missing; the program is not executable, or is half
        // written by an upgrade, or is on a disk that is gone.
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::ACCESS
        | Errno::PERM
        | Errno::ISDIR
        | Errno::NOEXEC
        | Errno::TXTBSY
        | Errno::LOOP
        | Errno::IO
        | Errno::STALE
        | Errno::NOTCONN => StartError::Node(NodeFault::new(FaultKind::ScannerProgram, text, INSTALL)),
        Errno::INTR | Errno::NOSPC | Errno::DQUOT => StartError::Failed(Failure::new(FailureKind::SpawnFailed, text)),
        _ => StartError::Failed(Failure::new(FailureKind::NotStarted, text)),
    }
}

/// The error for a keeper that could not be started or did not respond. The keeper is Kastrel's own
/// program, so the remedy is not to install a scanner.
pub(super) fn of_keeper(error: &io::Error) -> StartError {
    let text = format!("cannot start a keeper, which runs the scanner: {error}");
    let fault = Errno::from_io_error(error).and_then(|errno| resource_fault(errno, &text));
    fault.map_or_else(|| StartError::Failed(Failure::new(FailureKind::SpawnFailed, text)), StartError::Node)
}

/// The error for an attempt's folder that could not be created.
pub(super) fn of_folder(folder: &Path, error: &io::Error) -> StartError {
    let text = format!("cannot make the folder {}: {error}", folder.display());
    let Some(errno) = Errno::from_io_error(error) else {
        return StartError::Failed(Failure::new(FailureKind::NotStarted, text));
    };
    if let Some(fault) = resource_fault(errno, &text) {
        return StartError::Node(fault);
    }
    match errno {
        Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO | Errno::STALE | Errno::NOTCONN | Errno::NOENT => {
            StartError::Node(NodeFault::new(FaultKind::ResultsFolder, text, folder_remedy(errno)))
        }
        // Either only this scan's folder or the results folder is affected. The node's health check
        // decides.
        Errno::ACCESS | Errno::PERM | Errno::NOTDIR | Errno::INTR => {
            StartError::Failed(Failure::new(FailureKind::SpawnFailed, text))
        }
        _ => StartError::Failed(Failure::new(FailureKind::NotStarted, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(error: StartError) -> String {
        match error {
            StartError::Node(fault) => format!("node: {}", fault.kind),
            StartError::Failed(failure) => failure.kind.to_string(),
        }
    }

    #[test]
    fn errors_that_affect_every_scan_are_faults_of_the_node() {
        for (errno, program, folder) in [
            (Errno::NOENT, "node: scanner_program", "node: results_folder"),
            (Errno::ACCESS, "node: scanner_program", "spawn_failed"),
            (Errno::NOEXEC, "node: scanner_program", "not_started"),
            (Errno::TXTBSY, "node: scanner_program", "not_started"),
            (Errno::MFILE, "node: open_files", "node: open_files"),
            (Errno::NFILE, "node: open_files", "node: open_files"),
            (Errno::NOMEM, "node: memory", "node: memory"),
            (Errno::AGAIN, "node: memory", "node: memory"),
            (Errno::NOSPC, "spawn_failed", "node: results_folder"),
            (Errno::DQUOT, "spawn_failed", "node: results_folder"),
            (Errno::ROFS, "not_started", "node: results_folder"),
            (Errno::IO, "node: scanner_program", "node: results_folder"),
            (Errno::TOOBIG, "not_started", "not_started"),
            (Errno::NAMETOOLONG, "not_started", "not_started"),
        ] {
            assert_eq!(word(of_program(Path::new("/opt/kast"), &errno.into())), program, "{errno}");
            assert_eq!(word(of_folder(Path::new("/r/x"), &errno.into())), folder, "{errno}");
        }
        let of_ours = io::Error::new(io::ErrorKind::DirectoryNotEmpty, "not empty");
        assert_eq!(word(of_folder(Path::new("/r/x"), &of_ours)), "not_started");
    }

    #[test]
    fn start_errors_contain_the_program_and_the_folder() {
        assert!(
            of_program(Path::new("/opt/kast"), &Errno::NOENT.into())
                .to_string()
                .contains("cannot start /opt/kast: No such file")
        );
        assert!(
            of_folder(Path::new("/r/x"), &Errno::ROFS.into())
                .to_string()
                .contains("cannot make the folder /r/x: Read-only file system")
        );
    }
}
