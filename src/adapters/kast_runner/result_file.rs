//! Reads a scanner's files: only regular files of bounded size below the attempt's folder, whatever
//! else the folder contains.

use std::fs::File;
use std::io::{Read, Take};
use std::os::fd::OwnedFd;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};

/// The maximum number of entries that are listed. Beyond it, the plugins' files are still opened by
/// name at the end.
const MOST_ENTRIES: usize = 5_000;

/// An entry of the folder; a change of it is a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) is_file: bool,
    pub(super) size: u64,
    /// Seconds and nanoseconds since 1970.
    pub(super) modified: (i64, i64),
    pub(super) inode: u64,
}

/// The reason why a file was not read. Each completes "the file …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadProblem {
    #[error("is missing")]
    Missing,
    #[error("is no regular file")]
    NotRegular,
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    #[error("cannot be read ({0})")]
    Io(std::io::ErrorKind),
}

impl From<rustix::io::Errno> for ReadProblem {
    fn from(error: rustix::io::Errno) -> Self {
        match error {
            rustix::io::Errno::NOENT => Self::Missing,
            // The open refused a symlink (`LOOP`), a socket (`NXIO`), or a path out of the folder
            // (`XDEV`).
            rustix::io::Errno::LOOP | rustix::io::Errno::NXIO | rustix::io::Errno::XDEV => Self::NotRegular,
            rustix::io::Errno::NOTDIR | rustix::io::Errno::NAMETOOLONG => Self::Missing,
            other => Self::Io(other.kind()),
        }
    }
}

/// Lists the folder in no particular order. Entries that disappear meanwhile are left out.
pub(super) fn list(dir: &OwnedFd) -> std::io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)?.take(MOST_ENTRIES) {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if matches!(name, "." | "..") {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
        entries.push(Entry {
            name: name.to_owned(),
            is_file: FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            inode: stat.st_ino,
        });
    }
    Ok(entries)
}

/// An open file of the folder.
#[derive(Debug)]
pub(super) struct Opened {
    /// The content, up to the size at opening.
    pub(super) bytes: Take<File>,
    /// The time of the last write.
    pub(super) modified: Option<Timestamp>,
}

/// Opens a file of the folder or of a subfolder. Never follows a link and never leaves the folder.
pub(super) fn open(dir: &OwnedFd, name: &str, most_bytes: u64) -> Result<Opened, ReadProblem> {
    // NONBLOCK, so that the open of a FIFO does not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(if name.contains('/') {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(dir, name, flags, Mode::empty(), within)?
    } else {
        rustix::fs::openat(dir, name, flags, Mode::empty())?
    });
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ReadProblem::NotRegular);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > most_bytes {
        return Err(ReadProblem::TooLarge(most_bytes >> 20));
    }
    let modified = Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).unwrap_or(0)).ok();
    Ok(Opened { bytes: file.take(size), modified })
}

/// Reads a small file of the folder completely, as text. Bytes that are not UTF-8 are replaced.
pub(super) fn read(dir: &OwnedFd, name: &str, most_bytes: u64) -> Result<String, ReadProblem> {
    let mut bytes = Vec::new();
    open(dir, name, most_bytes)?.bytes.read_to_end(&mut bytes).map_err(|error| ReadProblem::Io(error.kind()))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::write(at("ok"), "text").unwrap();
        std::fs::write(at("latin1"), b"b\xfccher").unwrap();
        std::fs::write(at("full"), vec![b'x'; 1 << 20]).unwrap();
        std::fs::write(at("over"), vec![b'x'; (1 << 20) + 1]).unwrap();
        File::create(at("sparse")).unwrap().set_len(1 << 36).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("folder/inner"), "deep").unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        symlink("ok", at("inner")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let dir = OwnedFd::from(File::open(root.path()).unwrap());
        let read = |name| read(&dir, name, 1 << 20).map(|text| text.len());
        assert_eq!((read("ok"), read("folder/inner")), (Ok(4), Ok(4)));
        assert_eq!(read("latin1"), Ok(8));
        assert_eq!(read("full"), Ok(1 << 20));
        for (name, problem) in [
            ("over", ReadProblem::TooLarge(1)),
            ("sparse", ReadProblem::TooLarge(1)),
            ("folder", ReadProblem::NotRegular),
            ("link", ReadProblem::NotRegular),
            ("inner", ReadProblem::NotRegular),
            ("fifo", ReadProblem::NotRegular),
            ("none", ReadProblem::Missing),
            ("../x", ReadProblem::NotRegular),
            ("/etc/passwd", ReadProblem::NotRegular),
            ("folder/none", ReadProblem::Missing),
            ("ok/x", ReadProblem::Missing),
            ("link/x", ReadProblem::NotRegular),
        ] {
            assert_eq!(read(name), Err(problem), "{name}");
        }
        let files = list(&dir).unwrap().into_iter().filter(|entry| entry.is_file).count();
        assert_eq!(files, 5);
    }
}
