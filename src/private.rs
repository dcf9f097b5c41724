//! Files that nobody but their owner may read: the data folder and what is in it, whatever the umask.
//!
//! Programs that this one starts inherit its umask, so that what a scanner writes is private as well.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Mode;

/// Nothing for the group and for others.
const OTHERS: u32 = 0o077;

/// From now on whatever this process creates is private, also where a library creates it.
pub fn hide_new_files() {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
}

/// What the group of `scans.run_as` may do with a folder that leads to those of attempts: pass through it, and not list it.
pub const PASSAGE: u32 = 0o010;

/// Makes a folder that only its owner may enter, and takes the rights of others off one that is there.
///
/// # Errors
/// It cannot be made, or is not this user's to change.
pub fn folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    tighten(path)
}

/// Takes the rights of others off a file or folder.
///
/// # Errors
/// It is not this user's to change.
pub fn tighten(path: &Path) -> io::Result<()> {
    tighten_but_for(path, None)
}

/// The same, but a folder that was opened to the group `through` stays so: another process may run scanners of that group in it.
fn tighten_but_for(path: &Path, through: Option<u32>) -> io::Result<()> {
    let about = path.metadata()?;
    let kept = if about.is_dir() && through == Some(about.gid()) { PASSAGE } else { 0 };
    let mode = about.permissions().mode();
    if mode & OTHERS & !kept == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777 & (!OTHERS | kept)))
}

/// The same for a data folder and what lies directly in it: what is deeper cannot be reached then. Links lead elsewhere and stay. `through`: the group of `scans.run_as`.
///
/// # Errors
/// As [`folder`].
pub fn data_folder(path: &Path, through: Option<u32>) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    tighten_but_for(path, through)?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            match tighten_but_for(&entry.path(), through) {
                // Another process of this folder may have removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The rights on a folder, where other users have more than the `allowed` ones: then they could read what is in it.
#[must_use]
pub fn rights_of_others(path: &Path, allowed: u32) -> Option<u32> {
    path.metadata().ok().map(|folder| folder.mode() & 0o777).filter(|mode| mode & OTHERS & !allowed != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn a_data_folder_is_its_owners_alone_also_where_it_was_not() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/data");
        data_folder(&data, None).unwrap();
        assert_eq!(mode(&data), 0o700);
        let set = |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (file, sub, outside) = (data.join("file"), data.join("sub"), dir.path().join("outside"));
        std::fs::write(&file, "").unwrap();
        std::fs::write(&outside, "").unwrap();
        std::fs::create_dir(&sub).unwrap();
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        for (path, mode) in [(&data, 0o755), (&file, 0o666), (&sub, 0o777), (&outside, 0o644)] {
            set(path, mode);
        }
        assert_eq!(rights_of_others(&data, 0), Some(0o755));
        set(&data, 0o710);
        assert_eq!((rights_of_others(&data, 0), rights_of_others(&data, PASSAGE)), (Some(0o710), None));
        data_folder(&data, None).unwrap();
        assert_eq!([&data, &file, &sub, &outside].map(|path| mode(path)), [0o700, 0o600, 0o700, 0o644], "a link leads elsewhere");
        assert_eq!((rights_of_others(&data, 0), rights_of_others(&dir.path().join("none"), 0)), (None, None));
    }

    #[test]
    fn what_is_open_to_the_group_of_scanners_stays_so() {
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
            data_folder(data.path(), through).unwrap();
            assert_eq!((mode(&results), mode(&file)), (expected, 0o700), "{through:?}");
        }
    }
}
