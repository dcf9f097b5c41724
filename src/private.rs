//! Private files: only the owner may read the data folder and its content, whatever the umask is.
//!
//! Programs that this process starts inherit its umask, so the files of a scanner are private as
//! well.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Mode;

/// The permission bits of the group and of others.
const OTHERS: u32 = 0o077;
/// The permission of the group to read.
const GROUP_READS: u32 = 0o040;
/// The sticky bit: only the owner of a file may remove it. A folder of many users has it.
const STICKY: u32 = 0o1000;
/// The file that identifies a data folder.
const ID: &str = "id";
/// The marker of a data folder that held other files first.
const FOREIGN: &str = "keeps-its-rights";
const FOREIGN_TEXT: &str = "This folder held other files when Kastrel first used it, so Kastrel does not change who may enter it.\nDelete this file to let Kastrel close the folder to other users.\n";

/// Sets the umask, so that everything this process creates from now on is private, even if a
/// library creates it.
pub fn hide_new_files() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// The permission of the `scans.run_as` group on the parent folders of attempts: enter, but not
/// list.
pub const PASSAGE: u32 = 0o010;

/// Creates a folder that only its owner may enter. An existing folder is not changed.
///
/// # Errors
/// The folder cannot be created.
pub fn make(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes the permissions of the group and of others from a file or folder.
///
/// # Errors
/// This user may not change the permissions.
pub fn tighten(path: &Path) -> io::Result<()> {
    tighten_but_for(path, None)
}

/// The same, but a folder that is open to the group `through` stays open to it: another process may
/// run scanners of that group in it.
fn tighten_but_for(path: &Path, through: Option<u32>) -> io::Result<()> {
    let about = path.metadata()?;
    let kept = if about.is_dir() && through == Some(about.gid()) { PASSAGE } else { 0 };
    let mode = about.permissions().mode();
    if mode & OTHERS & !kept == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777 & (!OTHERS | kept)))
}

/// Returns whether a folder is Kastrel's own, so that its permissions may change. Call this before
/// anything is written to the folder. A folder that holds other files, such as `/tmp` or a home
/// directory, is not Kastrel's own. It gets a marker, because later it also holds Kastrel's files.
pub fn is_own_data_folder(path: &Path) -> bool {
    if is_shared(path) || path.join(FOREIGN).exists() {
        return false;
    }
    if std::fs::read_to_string(path.join(ID)).is_ok_and(|text| uuid::Uuid::parse_str(text.trim()).is_ok()) {
        return true;
    }
    let is_own = holds_only(path, is_name_in_data_folder);
    if !is_own {
        // If the marker cannot be written, Kastrel cannot write other files there either.
        let _none = std::fs::write(path.join(FOREIGN), FOREIGN_TEXT);
    }
    is_own
}

/// Returns whether a data folder may hold this name without an id: before the id is created, or on
/// a node that runs no scans.
fn is_name_in_data_folder(name: &str) -> bool {
    let known = ["kastrel.lock", "nodes", "high-water", "results", "backups", "cache", "secrets.key", "audit.key"];
    known.contains(&name)
        || name.starts_with("database")
        || name.starts_with("server.key")
        || name.starts_with("server.json")
}

/// Removes the permissions of other users from Kastrel's own data folder and its direct entries:
/// deeper entries are then out of reach. Symbolic links are skipped, because they lead elsewhere.
/// `through` is the group of `scans.run_as`.
///
/// # Errors
/// The first entry whose permissions this user may not change; all others are changed.
pub fn tighten_data_folder(path: &Path, through: Option<u32>) -> io::Result<()> {
    let mut ended = tighten_but_for(path, through);
    for entry in std::fs::read_dir(path)? {
        let tightened = entry.and_then(|entry| {
            let kind = entry.file_type()?;
            if kind.is_dir() || kind.is_file() { tighten_but_for(&entry.path(), through) } else { Ok(()) }
        });
        match tightened {
            // Another process of this folder may have removed the entry.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => ended = ended.and(other),
        }
    }
    ended
}

/// The same for a results folder, if it holds nothing else. The folders in it are created for their
/// owner alone, or for the group `through`.
///
/// # Errors
/// This user may not change the permissions.
pub fn tighten_results_folder(path: &Path, through: Option<u32>) -> io::Result<()> {
    if !is_shared(path) && holds_only(path, is_scan_folder) { tighten_but_for(path, through) } else { Ok(()) }
}

/// The same for a backup folder.
///
/// # Errors
/// This user may not change the permissions.
pub fn tighten_backup_folder(path: &Path) -> io::Result<()> {
    let is_backup = |name: &str| {
        name.starts_with(".unfinished-backup-") || (name.starts_with("kastrel-") && name.ends_with(".backup"))
    };
    if !is_shared(path) && holds_only(path, is_backup) { tighten(path) } else { Ok(()) }
}

/// Returns whether a path is a folder for all users, such as `/tmp`, or not a folder.
fn is_shared(path: &Path) -> bool {
    path.metadata().map_or(true, |about| !about.is_dir() || about.mode() & STICKY != 0)
}

/// Returns whether all names in a folder pass the test. The folder `lost+found` of a new file
/// system is ignored.
fn holds_only(path: &Path, is_wanted: impl Fn(&str) -> bool) -> bool {
    let Ok(mut entries) = std::fs::read_dir(path) else { return false };
    entries.all(|entry| {
        entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(|name| name == "lost+found" || is_wanted(name)))
    })
}

/// Returns whether a name is that of a scan's folder: `<target>-<YYYYmmdd-HHMMSS>-<scan id>`.
fn is_scan_folder(name: &str) -> bool {
    let parts: Vec<&str> = name.rsplitn(4, '-').collect();
    let [scan, time, day, target] = parts[..] else { return false };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !target.is_empty()
        && !scan.is_empty()
        && time.len() == 6
        && day.len() == 8
        && [scan, time, day].into_iter().all(is_number)
}

/// Returns the permissions of a folder, if other users have more than the `allowed` ones and could
/// read the content.
#[must_use]
pub fn rights_of_others(path: &Path, allowed: u32) -> Option<u32> {
    path.metadata().ok().map(|folder| folder.mode() & 0o777).filter(|mode| mode & OTHERS & !allowed != 0)
}

/// Returns the permissions of the file of a private key, if other users may read or change it. The
/// group of a key that root owns may read it: this is how a service without root gets a key of the
/// machine.
#[must_use]
pub fn rights_of_key_readers(about: &Metadata) -> Option<u32> {
    rights_of_key_owned_by(about.uid(), about.mode() & 0o777)
}

fn rights_of_key_owned_by(owner: u32, mode: u32) -> Option<u32> {
    let allowed = if owner == 0 { GROUP_READS } else { 0 };
    (mode & OTHERS & !allowed != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_readable_by_its_owner_and_by_the_group_of_root() {
        for (owner, mode, is_private) in [
            (1000, 0o600, true),
            (1000, 0o400, true),
            (1000, 0o640, false),
            (1000, 0o604, false),
            (0, 0o600, true),
            (0, 0o640, true),
            (0, 0o440, true),
            (0, 0o660, false),
            (0, 0o644, false),
        ] {
            assert_eq!(rights_of_key_owned_by(owner, mode), (!is_private).then_some(mode), "{owner} {mode:o}");
        }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    const UUID: &str = "6f3c1f0e-6a0d-4f0e-9a55-1c8f5e4b2d11\n";

    #[test]
    fn data_folder_is_closed_to_other_users() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/data");
        make(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        assert!(is_own_data_folder(&data), "it is empty");
        let (file, sub, outside) = (data.join("id"), data.join("sub"), dir.path().join("outside"));
        std::fs::write(&file, UUID).unwrap();
        std::fs::write(&outside, "").unwrap();
        std::fs::create_dir(&sub).unwrap();
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        std::os::unix::fs::symlink("/nowhere", data.join("broken")).unwrap();
        for (path, mode) in [(&data, 0o755), (&file, 0o666), (&sub, 0o777), (&outside, 0o644)] {
            set(path, mode);
        }
        assert_eq!(rights_of_others(&data, 0), Some(0o755));
        set(&data, 0o710);
        assert_eq!((rights_of_others(&data, 0), rights_of_others(&data, PASSAGE)), (Some(0o710), None));
        assert!(is_own_data_folder(&data), "it has its id");
        tighten_data_folder(&data, None).unwrap();
        assert_eq!(
            [&data, &file, &sub, &outside].map(|path| mode(path)),
            [0o700, 0o600, 0o700, 0o644],
            "a link leads elsewhere"
        );
        assert_eq!((rights_of_others(&data, 0), rights_of_others(&dir.path().join("none"), 0)), (None, None));
    }

    #[test]
    fn folder_with_other_files_is_not_changed_even_with_an_id() {
        let dir = tempfile::tempdir().unwrap();
        let (home, shared, odd) = (dir.path().join("home"), dir.path().join("tmp"), dir.path().join("odd"));
        for path in [&home, &shared, &odd] {
            make(path).unwrap();
        }
        std::fs::write(home.join("letter"), "").unwrap();
        std::fs::write(odd.join("id"), "not ours").unwrap();
        set(&shared, 0o1777);
        for path in [&home, &shared, &odd] {
            assert!(!is_own_data_folder(path), "{}", path.display());
            std::fs::write(path.join("id"), UUID).unwrap();
            assert!(!is_own_data_folder(path), "{}: the next start", path.display());
        }
        std::fs::remove_file(home.join(FOREIGN)).unwrap();
        assert!(is_own_data_folder(&home), "as the mark says");
        let fresh = dir.path().join("volume");
        make(&fresh.join("lost+found")).unwrap();
        assert!(is_own_data_folder(&fresh) && !is_own_data_folder(&dir.path().join("none")));
        for name in ["kastrel.lock", "server.json", "server.key", "database"] {
            std::fs::write(fresh.join(name), "").unwrap();
        }
        assert!(is_own_data_folder(&fresh), "a node that runs no scans has no id");
    }

    #[test]
    fn results_and_backup_folders_are_closed_if_they_hold_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        type Close = fn(&Path) -> io::Result<()>;
        let rows: &[(Close, &[&str], bool)] = &[
            (|path| tighten_results_folder(path, None), &[], true),
            (|path| tighten_results_folder(path, None), &["example.com-20261128-052000-12", "lost+found"], true),
            (|path| tighten_results_folder(path, None), &["example.com-20261128-052000-12", "letters"], false),
            (|path| tighten_results_folder(path, None), &["photos-2026-1-1"], false),
            (tighten_backup_folder, &[], true),
            (tighten_backup_folder, &["kastrel-000012-20261128T052000Z.backup", ".unfinished-backup-x"], true),
            (tighten_backup_folder, &["kastrel-000012-20261128T052000Z.backup", "other.tar"], false),
        ];
        for (number, (close, names, is_closed)) in rows.iter().enumerate() {
            let folder = dir.path().join(number.to_string());
            for name in [""].iter().chain(*names) {
                make(&folder.join(name)).unwrap();
            }
            for (mode_before, closes) in [(0o755, *is_closed), (0o1755, false)] {
                set(&folder, mode_before);
                close(&folder).unwrap();
                assert_eq!(mode(&folder) == 0o700, closes, "{names:?}");
            }
        }
        tighten_results_folder(&dir.path().join("none"), None).unwrap();
    }

    #[test]
    fn folders_open_to_the_scanner_group_stay_open() {
        let data = tempfile::tempdir().unwrap();
        let (results, file) = (data.path().join("results"), data.path().join("file"));
        std::fs::create_dir(&results).unwrap();
        std::fs::write(&file, "").unwrap();
        let group = results.metadata().unwrap().gid();
        let open = || {
            for path in [&results, &file] {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        };
        for (through, expected) in [(Some(group), 0o710), (Some(group + 1), 0o700), (None, 0o700)] {
            open();
            tighten_data_folder(data.path(), through).unwrap();
            assert_eq!((mode(&results), mode(&file)), (expected, 0o700), "{through:?}");
        }
    }
}
