//! Shares folders with a scanner that runs as another user, and makes them private again.
//!
//! Kastrel's user remains the owner. The scanner's group may write to the folders (mode 1770), but
//! may not remove or rename Kastrel's files there (the sticky bit). The scanner's own user gives
//! the group access to the scanner's files, so that hostile files are never processed with more
//! rights than that. After the attempt has ended, its folder is accessible only to Kastrel again.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags};

/// Sticky, with all rights for owner and group. The scanner's files get its group without the
/// setgid bit, because it is the scanner's first group.
const SHARED: Mode = Mode::from_bits_truncate(0o1770);
/// The maximum depth of the walk.
const MOST_LEVELS: usize = 32;

/// Gives the group of another user's scanner write access to a folder, or removes the access.
pub(in super::super) fn share(folder: impl AsFd, group: Option<u32>) -> io::Result<()> {
    match group {
        Some(group) => {
            rustix::fs::fchown(&folder, None, Some(Gid::from_raw(group)))?;
            rustix::fs::fchmod(&folder, SHARED)?;
        }
        None => rustix::fs::fchmod(&folder, Mode::RWXU)?,
    }
    Ok(())
}

/// Lets a group pass through a folder without listing it.
pub(in super::super) fn let_through(folder: &Path, group: u32) -> io::Result<()> {
    let stat = rustix::fs::stat(folder)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    if mode.contains(Mode::XOTH) || (stat.st_gid == group && mode.contains(Mode::XGRP)) {
        return Ok(());
    }
    rustix::fs::chown(folder, None, Some(Gid::from_raw(group)))?;
    Ok(rustix::fs::chmod(folder, (mode - Mode::RWXG) | Mode::XGRP)?)
}

/// Gives the group access to the content of a folder, if the caller owns it. Follows no link.
pub(in super::super) fn hand_back(folder: &OwnedFd) {
    walk(folder, 0, &mut |parent, name, kind| {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let add = if kind == FileType::Directory { Mode::RWXG | Mode::RWXU } else { Mode::RGRP | Mode::WGRP };
        if !matches!(kind, FileType::Directory | FileType::RegularFile) {
            return;
        }
        // A folder without read permission for its owner can be opened after this change.
        let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.contains(add)
            || stat.st_uid != rustix::process::geteuid().as_raw() && !rustix::process::geteuid().is_root()
        {
            return;
        }
        let changed = rustix::fs::openat(parent, name, flags, Mode::empty())
            .and_then(|file| rustix::fs::fchmod(file, mode | add));
        if changed.is_err() && FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            // No other process runs any more that could replace the entry with a link.
            let _not_ours = rustix::fs::chmodat(parent, name, mode | add, AtFlags::empty());
        }
    });
}

/// Removes the content of a folder, as far as the caller has the rights. Follows no link.
pub(in super::super) fn remove_below(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let _not_ours =
            if is_folder { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) };
    }
}

fn walk(folder: &OwnedFd, level: usize, visit: &mut dyn FnMut(&OwnedFd, &std::ffi::CStr, FileType)) {
    let Ok(entries) = Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        visit(folder, name, kind);
        if kind == FileType::Directory && level < MOST_LEVELS {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(below) = rustix::fs::openat(folder, name, flags, Mode::empty()) {
                walk(&below, level + 1, visit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn hand_back_gives_the_group_access_and_follows_no_link() {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("deep/closed")).unwrap();
        for (name, bits) in [("plain", 0o600), ("deep/read-only", 0o400), ("deep/closed/program", 0o700)] {
            std::fs::write(at(name), "x").unwrap();
            std::fs::set_permissions(at(name), std::fs::Permissions::from_mode(bits)).unwrap();
        }
        std::fs::set_permissions(at("deep/closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
        std::fs::write(outside.path().join("secret"), "x").unwrap();
        std::fs::set_permissions(outside.path().join("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink(outside.path().join("secret"), at("link")).unwrap();
        symlink(outside.path(), at("folder-link")).unwrap();
        hand_back(&OwnedFd::from(std::fs::File::open(root.path()).unwrap()));
        let modes = ["plain", "deep/read-only", "deep/closed", "deep/closed/program"].map(|name| mode(&at(name)));
        assert_eq!(modes, [0o660, 0o460, 0o770, 0o760]);
        assert_eq!(mode(&outside.path().join("secret")), 0o600);
        remove_below(root.path());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(outside.path().join("secret").exists());
    }

    #[test]
    fn group_passes_through_without_listing() {
        let root = tempfile::tempdir().unwrap();
        let group = std::fs::metadata(root.path()).unwrap().gid();
        for (before, after) in [(0o700, 0o710), (0o750, 0o750), (0o755, 0o755), (0o701, 0o701), (0o760, 0o710)] {
            std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(before)).unwrap();
            let_through(root.path(), group).unwrap();
            assert_eq!(mode(root.path()), after, "{before:o}");
        }
        let folder = std::fs::File::open(root.path()).unwrap();
        share(&folder, Some(group)).unwrap();
        assert_eq!(mode(root.path()), 0o1770);
        share(&folder, None).unwrap();
        assert_eq!(mode(root.path()), 0o700);
    }
}
