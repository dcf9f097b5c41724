//! The folder of an attempt: where it is, and how it is made without following anybody's symlink.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kastrel_actors::model::{AttemptNumber, ScanId, Target};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use tracing::warn;

use super::config_file::CONFIG_NAME;
use super::isolation;
use super::remains::MARK_NAME;
use super::text::clean;

/// Only the owner enters: the files hold what was found about other people's systems.
const FOLDER_MODE: Mode = Mode::RWXU;

/// The report of an attempt.
pub const HTML_REPORT_NAME: &str = "kast_report.html";
/// The same, for printing.
pub const PDF_REPORT_NAME: &str = "kast_report.pdf";
/// The scanner's standard output and error.
pub const LOG_NAME: &str = "kast.log";
/// Not `.txt` or `.json`, which would look like a file of a plugin.
const COMMAND_NAME: &str = "command.sh";
/// What a user should know of an attempt. Not `.txt` either.
pub const NOTES_NAME: &str = "notes.log";
const MOST_NOTE_CHARS: usize = 500;
const TOOL_LOGS_NAME: &str = "logs";
/// So many folders of one attempt are kept; more are no restored backups but something that is
/// wrong.
const MAX_LIVES: u32 = 100;

/// The paths of one attempt, computed and not looked up, so that the web finds what the runner
/// made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPaths {
    /// `<results>/<target>-<YYYYmmdd-HHMMSS>-<scan id>`: all attempts of the scan.
    pub scan_dir: PathBuf,
    /// `attempt-<n>` in it: what the scanner writes, its reports included.
    pub attempt_dir: PathBuf,
    /// The scanner's standard output and error, up to the cap.
    pub log: PathBuf,
    /// The scanner's own log files.
    pub log_dir: PathBuf,
}

impl AttemptPaths {
    /// The paths of an attempt of a scan that was accepted at `created_at` (named in UTC).
    #[must_use]
    pub fn new(results: &Path, target: &Target, created_at: Timestamp, scan: ScanId, attempt: AttemptNumber) -> Self {
        let scan_dir = results.join(scan_folder_name(target, created_at, scan));
        let attempt_dir = scan_dir.join(attempt_folder_name(attempt));
        Self { log: attempt_dir.join(LOG_NAME), log_dir: attempt_dir.join(TOOL_LOGS_NAME), attempt_dir, scan_dir }
    }
}

/// `<target>-<YYYYmmdd-HHMMSS>-<scan id>`: the name of the folder of a scan that was accepted at
/// `created_at`, in UTC.
#[must_use]
pub fn scan_folder_name(target: &Target, created_at: Timestamp, scan: ScanId) -> String {
    let time = created_at.to_zoned_datetime(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    format!("{}-{time}-{scan}", target.folder_name())
}

/// `attempt-<n>`: the name of an attempt's folder in its scan's.
#[must_use]
pub fn attempt_folder_name(attempt: AttemptNumber) -> String {
    format!("attempt-{attempt}")
}

/// The name of the mark beside an attempt's folder which says that all of it is kept elsewhere.
#[must_use]
pub fn stored_mark_name(attempt_folder: &str) -> String {
    format!("{attempt_folder}.uploaded")
}

/// The handles of a folder that was just made.
#[derive(Debug)]
pub(super) struct Folder {
    /// The attempt's folder; whatever is read later is read beneath it.
    pub(super) dir: OwnedFd,
    /// Its log file, empty.
    pub(super) log: std::fs::File,
}

impl Folder {
    /// Lets another user's scanner fill the folder and read its settings.
    pub(super) fn share(&self, scan_dir: &Path, group: u32) -> io::Result<()> {
        isolation::let_through(scan_dir, group)?;
        isolation::share(&self.dir, Some(group))?;
        isolation::share(open_dir(&self.dir, Path::new(TOOL_LOGS_NAME), OFlags::NOFOLLOW)?, Some(group))?;
        let settings = rustix::fs::openat(
            &self.dir,
            CONFIG_NAME,
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        rustix::fs::fchown(&settings, None, Some(rustix::fs::Gid::from_raw(group)))?;
        Ok(rustix::fs::fchmod(&settings, Mode::RUSR | Mode::WUSR | Mode::RGRP)?)
    }

    /// Says in the folder whose it is.
    pub(super) fn mark(&self, text: &str) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.dir, MARK_NAME, flags, Mode::RUSR)?;
        std::fs::File::from(file).write_all(text.as_bytes())
    }

    /// Keeps the command line for people, as a shell would take it. An attempt does not fail for
    /// the want of it.
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

/// Makes a folder of an attempt ours alone again.
pub(super) fn take_back(attempt_dir: &Path, is_shared: bool) {
    if !is_shared {
        return;
    }
    let closed = open_dir(CWD, attempt_dir, OFlags::NOFOLLOW)
        .map_err(io::Error::from)
        .and_then(|dir| isolation::share(&dir, None));
    if let Err(error) = closed {
        tracing::warn!(error = &error as &dyn std::error::Error, folder = %attempt_dir.display(), "the folder of an attempt stays open to the scanner's user");
    }
}

/// Opens a copy of results; another user's scanner may read them and write reports beside them.
pub(super) fn open_copy(folder: &Path, group: Option<u32>) -> io::Result<OwnedFd> {
    let dir = open_dir(CWD, folder, OFlags::NOFOLLOW)?;
    if let Some(group) = group {
        if let Some(above) = folder.parent() {
            isolation::let_through(above, group)?;
        }
        for entry in std::fs::read_dir(folder)? {
            // Ours, and nobody else has been there.
            let path = entry?.path();
            rustix::fs::chown(&path, None, Some(rustix::fs::Gid::from_raw(group)))?;
            rustix::fs::chmod(&path, Mode::RUSR | Mode::WUSR | Mode::RGRP)?;
        }
        isolation::share(&dir, Some(group))?;
    }
    Ok(dir)
}

/// The folder of an attempt's temporary files. Its name is short, because programs make sockets in
/// it.
#[derive(Debug, Clone)]
pub(super) struct TmpFolder(pub(super) PathBuf);

impl TmpFolder {
    /// Makes it, empty; another user's scanner may use it.
    pub(super) fn create(root: &Path, name: &str, group: Option<u32>) -> io::Result<Self> {
        let tmp = Self(root.join(name));
        std::fs::create_dir_all(root)?;
        tmp.remove();
        rustix::fs::mkdirat(CWD, &tmp.0, FOLDER_MODE)?;
        if group.is_some() {
            isolation::share(open_dir(CWD, &tmp.0, OFlags::NOFOLLOW)?, group)?;
        }
        Ok(tmp)
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(error = &error as &dyn std::error::Error, folder = %self.0.display(), "temporary files of an attempt could not be removed");
        }
    }
}

/// Keeps what a user should know of an attempt beside its results, one note a line, in place of
/// what was kept before: wherever the files go, the notes go with them.
pub(super) fn keep_notes(attempt_dir: &Path, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    // The scanner may have made anything under this name: it is not opened but replaced.
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

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Makes the folder of an attempt.
///
/// The results folder itself may be a symlink (it is the operator's); nothing below it may. One
/// that is missing was deleted, or its disk is gone: it is not made again here.
///
/// An attempt runs once, so a folder of it that is not empty is from another life of the scan: a
/// backup was restored that is older than the attempt. That folder is set aside, as
/// `attempt-<n>.before-<k>`, and nothing in it is touched but its configuration, which may hold
/// secrets and would be removed by nobody. The number of the attempt is the row's, and whoever
/// looks for its files goes by it; so the old folder gives way and not the new one.
pub(super) fn create(results: &Path, paths: &AttemptPaths) -> io::Result<Folder> {
    let root = open_dir(CWD, results, OFlags::empty())?;
    let (scan_dir, _) = make_dir(&root, file_name(&paths.scan_dir)?)?;
    let name = file_name(&paths.attempt_dir)?;
    // First the mark: without it a folder is never removed.
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

/// Opens the folder of an attempt that was made before, without following a symlink below the
/// results folder.
pub(super) fn open(results: &Path, paths: &AttemptPaths) -> io::Result<OwnedFd> {
    let root = open_dir(CWD, results, OFlags::empty())?;
    let scan_dir = open_dir(&root, file_name(&paths.scan_dir)?, OFlags::NOFOLLOW)?;
    Ok(open_dir(&scan_dir, file_name(&paths.attempt_dir)?, OFlags::NOFOLLOW)?)
}

/// Renames a folder to the first name of its own that is free.
fn set_aside(parent: &OwnedFd, name: &Path) -> io::Result<()> {
    for life in 1..=MAX_LIVES {
        let aside = format!("{}.before-{life}", name.display());
        match rustix::fs::renameat(parent, name, parent, &aside) {
            Ok(()) => {
                warn!(folder = %name.display(), aside, "set the folder of an earlier life of this scan aside: a backup was restored that is older than it");
                return Ok(());
            }
            // A folder never replaces one that has something in it.
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

/// Makes or opens a folder; tells whether it was made.
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
    fn words_are_quoted_where_a_shell_would_read_more_than_a_word() {
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
    fn names_are_in_utc_and_stay_in_the_results_folder() {
        let paths = paths(Path::new("/r"), "[::1]:80");
        assert_eq!(paths.attempt_dir, Path::new("/r/___1__80-20261123-170659-7/attempt-1"));
        assert_eq!(paths.log, paths.attempt_dir.join("kast.log"));
    }

    #[test]
    fn a_folder_is_made_for_its_owner_alone() {
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
    fn a_folder_from_before_a_restore_gives_way_with_all_that_is_in_it() {
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
    fn an_empty_folder_is_taken_and_a_symlink_is_not() {
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
