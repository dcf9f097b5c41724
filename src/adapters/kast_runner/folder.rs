//! The folder of an attempt: its paths, and how it is created without following a symlink of
//! another user.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use tracing::warn;

use super::isolation::{let_through, share};
use super::text::clean;
use crate::ports::{AttemptPaths, CONFIG_NAME, LOG_NAME, MARK_NAME, NOTES_NAME, TOOL_LOGS_NAME, stored_mark_name};
use crate::shell::quoted_unless_plain;

/// Only the owner has access: the files contain findings about other people's systems.
const FOLDER_MODE: Mode = Mode::RWXU;

/// The command line. The extension is not `.txt` or `.json`, because such a file would look like a
/// plugin's.
const COMMAND_NAME: &str = "command.sh";
const MOST_NOTE_CHARS: usize = 500;
/// The maximum number of folders that are set aside for one attempt. More of them mean an error,
/// not restored backups.
const MAX_LIVES: u32 = 100;

/// The handles of a folder that was just created.
#[derive(Debug)]
pub(super) struct Folder {
    /// The attempt's folder. All later reads are relative to it.
    pub(super) dir: OwnedFd,
    /// The log file, empty.
    pub(super) log: std::fs::File,
}

impl Folder {
    /// Lets a scanner that runs as another user write to the folder and read its settings.
    pub(super) fn share(&self, scan_dir: &Path, group: u32) -> io::Result<()> {
        let_through(scan_dir, group)?;
        share(&self.dir, Some(group))?;
        share(open_dir(&self.dir, Path::new(TOOL_LOGS_NAME), OFlags::NOFOLLOW)?, Some(group))?;
        let settings = rustix::fs::openat(
            &self.dir,
            CONFIG_NAME,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        rustix::fs::fchown(&settings, None, Some(rustix::fs::Gid::from_raw(group)))?;
        Ok(rustix::fs::fchmod(&settings, Mode::RUSR | Mode::WUSR | Mode::RGRP)?)
    }

    /// Writes the file that identifies the folder's attempt.
    pub(super) fn mark(&self, text: &str) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, MARK_NAME, flags, Mode::RUSR)?;
        std::fs::File::from(file).write_all(text.as_bytes())
    }

    /// Writes the command line to a file for people, quoted for a shell. A failure is only logged
    /// and does not fail the attempt.
    pub(super) fn keep_command(&self, program: &Path, args: &[OsString]) {
        let words = std::iter::once(program.as_os_str())
            .chain(args.iter().map(OsString::as_os_str))
            .map(|word| quoted(&word.to_string_lossy()));
        let line = words.collect::<Vec<_>>().join(" ") + "\n";
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let written = rustix::fs::openat(&self.dir, COMMAND_NAME, flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|file| std::fs::File::from(file).write_all(line.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the command line of an attempt could not be kept"
            );
        }
    }
}

/// Restricts an attempt's folder to Kastrel's user again.
pub(super) fn take_back(attempt_dir: &Path, is_shared: bool) {
    if !is_shared {
        return;
    }
    let closed =
        open_dir(CWD, attempt_dir, OFlags::NOFOLLOW).map_err(io::Error::from).and_then(|dir| share(&dir, None));
    if let Err(error) = closed {
        tracing::warn!(error = &error as &dyn std::error::Error, folder = %attempt_dir.display(), "the folder of an attempt stays open to the scanner's user");
    }
}

/// Opens a copy of results. With a group, a scanner that runs as another user may read the copy and
/// write reports beside it.
pub(super) fn open_copy(folder: &Path, group: Option<u32>) -> io::Result<OwnedFd> {
    let dir = open_dir(CWD, folder, OFlags::NOFOLLOW)?;
    if let Some(group) = group {
        if let Some(above) = folder.parent() {
            let_through(above, group)?;
        }
        for entry in std::fs::read_dir(folder)? {
            // Safe to change by path: Kastrel made these files, and no other process has had
            // access.
            let path = entry?.path();
            rustix::fs::chown(&path, None, Some(rustix::fs::Gid::from_raw(group)))?;
            rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR | Mode::RGRP)?;
        }
        share(&dir, Some(group))?;
    }
    Ok(dir)
}

/// The folder of an attempt's temporary files. Its name is short, because programs create sockets
/// in it and socket paths have a length limit.
#[derive(Debug, Clone)]
pub(super) struct TmpFolder(pub(super) PathBuf);

impl TmpFolder {
    /// Creates the folder, empty. With a group, a scanner that runs as another user may use it.
    pub(super) fn create(root: &Path, name: &str, group: Option<u32>) -> io::Result<Self> {
        let tmp = Self(root.join(name));
        std::fs::create_dir_all(root)?;
        tmp.remove();
        rustix::fs::mkdirat(CWD, &tmp.0, FOLDER_MODE)?;
        if group.is_some() {
            share(open_dir(CWD, &tmp.0, OFlags::NOFOLLOW)?, group)?;
        }
        Ok(tmp)
    }

    /// Removes the folder with its content.
    pub(super) fn remove(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(error = &error as &dyn std::error::Error, folder = %self.0.display(), "temporary files of an attempt could not be removed");
        }
    }
}

/// Writes the notes for users beside the attempt's results, one note per line, and replaces earlier
/// notes. The notes are stored with the files, wherever these are stored.
pub(super) fn keep_notes(attempt_dir: &Path, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    // The scanner may have created anything with this name, so the entry is replaced and never
    // opened.
    let _none_yet = rustix::fs::unlink(attempt_dir.join(NOTES_NAME));
    let lines: String = notes.iter().map(|note| clean(note, MOST_NOTE_CHARS) + "\n").collect();
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let written = rustix::fs::openat(CWD, attempt_dir.join(NOTES_NAME), flags, Mode::RUSR | Mode::WUSR)
        .map_err(io::Error::from)
        .and_then(|file| std::fs::File::from(file).write_all(lines.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(error = &error as &dyn std::error::Error, "the notes on an attempt could not be kept");
    }
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    quoted_unless_plain(word, "-_./:=,@%+")
}

/// Creates the folder of an attempt.
///
/// The results folder itself may be a symlink, because the operator chooses it. Nothing below it
/// may be one. A missing results folder was deleted, or its disk is gone; this function does not
/// recreate it.
///
/// An attempt runs once. So if its folder is not empty, the folder is from another life of the
/// scan: an older backup was restored, which does not contain the attempt. The function renames
/// that folder to `attempt-<n>.before-<k>`. It changes nothing in the folder, but removes the
/// configuration file, because that may contain secrets and no other code would remove it. The
/// number of the attempt comes from the row, and all readers find the files by this number. So the
/// old folder is renamed, and not the new one.
pub(super) fn create(results: &Path, paths: &AttemptPaths) -> io::Result<Folder> {
    let root = open_dir(CWD, results, OFlags::empty())?;
    let (scan_dir, _) = make_dir(&root, file_name(&paths.scan_dir)?)?;
    let name = file_name(&paths.attempt_dir)?;
    // Removes the marker first: without it, the folder is never removed as stored.
    match rustix::fs::unlinkat(&scan_dir, stored_mark_name(&name.to_string_lossy()), AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let (mut dir, made) = make_dir(&scan_dir, name)?;
    if !made && !is_empty(&dir)? {
        match rustix::fs::unlinkat(&dir, CONFIG_NAME, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        set_aside(&scan_dir, name)?;
        (dir, _) = make_dir(&scan_dir, name)?;
    }
    rustix::fs::mkdirat(&dir, TOOL_LOGS_NAME, FOLDER_MODE)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
    let log = rustix::fs::openat(&dir, LOG_NAME, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(Folder { dir, log: log.into() })
}

/// Opens an existing folder of an attempt. Does not follow a symlink below the results folder.
pub(super) fn open(results: &Path, paths: &AttemptPaths) -> io::Result<OwnedFd> {
    let root = open_dir(CWD, results, OFlags::empty())?;
    let scan_dir = open_dir(&root, file_name(&paths.scan_dir)?, OFlags::NOFOLLOW)?;
    Ok(open_dir(&scan_dir, file_name(&paths.attempt_dir)?, OFlags::NOFOLLOW)?)
}

/// Renames a folder to the first free name of the form `<name>.before-<k>`.
fn set_aside(parent: &OwnedFd, name: &Path) -> io::Result<()> {
    for life in 1..=MAX_LIVES {
        let aside = format!("{}.before-{life}", name.display());
        match rustix::fs::renameat(parent, name, parent, &aside) {
            Ok(()) => {
                warn!(folder = %name.display(), aside, "set the folder of an earlier life of this scan aside: a backup was restored that is older than it");
                return Ok(());
            }
            // A rename never replaces a folder that is not empty.
            Err(rustix::io::Errno::NOTEMPTY | rustix::io::Errno::EXIST | rustix::io::Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::DirectoryNotEmpty,
        format!("the attempt's folder exists and is not empty, and {MAX_LIVES} earlier ones were set aside before"),
    ))
}

fn file_name(path: &Path) -> io::Result<&Path> {
    path.file_name()
        .map(Path::new)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a folder without a name"))
}

fn open_dir(parent: impl std::os::fd::AsFd, name: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | flags, Mode::empty())
}

/// Creates or opens a folder. Returns true if it was created.
fn make_dir(parent: &OwnedFd, name: &Path) -> io::Result<(OwnedFd, bool)> {
    let made = match rustix::fs::mkdirat(parent, name, FOLDER_MODE) {
        Ok(()) => true,
        Err(rustix::io::Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    Ok((open_dir(parent, name, OFlags::NOFOLLOW)?, made))
}

fn is_empty(dir: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use kastrel_actors::model::{AttemptNumber, ScanId};

    use super::*;

    fn paths(results: &Path, target: &str) -> AttemptPaths {
        AttemptPaths::new(
            results,
            &target.parse().unwrap(),
            "2026-11-23T19:06:59.9+02:00".parse().unwrap(),
            ScanId(7),
            AttemptNumber(1),
        )
    }

    #[test]
    fn words_with_special_characters_are_quoted() {
        for (word, shell) in [
            ("-t", "-t"),
            ("https://example.com:444/a", "https://example.com:444/a"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(id)", "'$(id)'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(word), shell);
        }
    }

    #[test]
    fn folder_names_are_in_utc_and_stay_in_the_results_folder() {
        let paths = paths(Path::new("/r"), "[::1]:80");
        assert_eq!(paths.attempt_dir, Path::new("/r/___1__80-20261123-170659-7/attempt-1"));
        assert_eq!(paths.log, paths.attempt_dir.join("kast.log"));
    }

    #[test]
    fn attempt_folder_is_accessible_only_to_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let results = root.path().join("results");
        let paths = paths(&results, "example.com");
        assert_eq!(
            create(&results, &paths).unwrap_err().kind(),
            io::ErrorKind::NotFound,
            "a results folder that is missing is not made again"
        );
        assert!(!results.exists());
        std::fs::create_dir(&results).unwrap();
        create(&results, &paths).unwrap();
        assert_eq!(std::fs::metadata(&paths.attempt_dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn folder_from_before_a_restore_is_set_aside_with_its_files() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path(), "example.com");
        for life in ["first", "second", "third"] {
            create(root.path(), &paths).unwrap();
            assert!(!paths.attempt_dir.join("report").exists());
            assert!(!paths.scan_dir.join("attempt-1.uploaded").exists(), "the new folder is stored nowhere yet");
            std::fs::write(paths.attempt_dir.join("report"), life).unwrap();
            std::fs::write(paths.attempt_dir.join(CONFIG_NAME), "a secret").unwrap();
            std::fs::write(paths.scan_dir.join("attempt-1.uploaded"), "stored").unwrap();
        }
        for folder in ["attempt-1.before-1", "attempt-1.before-2"] {
            assert!(!paths.scan_dir.join(folder).join(CONFIG_NAME).exists(), "secrets are not set aside");
        }
        let report = |folder: &str| std::fs::read_to_string(paths.scan_dir.join(folder).join("report")).unwrap();
        assert_eq!(
            (report("attempt-1.before-1"), report("attempt-1.before-2"), report("attempt-1")),
            ("first".into(), "second".into(), "third".to_owned())
        );
    }

    #[test]
    fn empty_folder_is_reused_and_a_symlink_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let paths = paths(root.path(), "example.com");
        std::fs::create_dir_all(&paths.attempt_dir).unwrap();
        create(root.path(), &paths).unwrap();

        let elsewhere = tempfile::tempdir().unwrap();
        for link in [&paths.attempt_dir, &paths.scan_dir] {
            std::fs::remove_dir_all(link).unwrap();
            symlink(elsewhere.path(), link).unwrap();
            assert!(create(root.path(), &paths).is_err(), "{link:?}");
            std::fs::remove_file(link).unwrap();
            std::fs::create_dir_all(link).unwrap();
        }
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
