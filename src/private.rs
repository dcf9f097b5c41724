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
    let mode = path.metadata()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode & 0o7777 & !OTHERS))
}

/// The same for a data folder and what lies directly in it: what is deeper cannot be reached then. Links lead elsewhere and stay.
///
/// # Errors
/// As [`folder`].
pub fn data_folder(path: &Path) -> io::Result<()> {
    folder(path)?;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() || kind.is_file() {
            match tighten(&entry.path()) {
                // Another process of this folder may have removed it.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}

/// What the group of `scans.run_as` may do with a folder that leads to those of attempts: pass through it, and not list it.
pub const PASSAGE: u32 = 0o010;

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
        data_folder(&data).unwrap();
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
        data_folder(&data).unwrap();
        assert_eq!([&data, &file, &sub, &outside].map(|path| mode(path)), [0o700, 0o600, 0o700, 0o644], "a link leads elsewhere");
        assert_eq!((rights_of_others(&data, 0), rights_of_others(&dir.path().join("none"), 0)), (None, None));
    }
}
