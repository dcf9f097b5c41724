//! Reads small files that a command line or a setting names. A file must be regular and below a
//! size limit, and in an allowed folder if the folders are restricted.
//!
//! A device, a pipe or a file of `/proc` can be endless or block forever, so this module does not
//! open them to read their content.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The reason why a file was not read. Each message completes "the file …".
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system returned an error.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder, device, pipe or socket.
    #[error("is not a regular file")]
    NotRegular,
    /// The file is larger than the limit.
    #[error("is larger than {} KiB", .0 / 1024)]
    TooLarge(u64),
    /// The file is outside the allowed folders.
    #[error("{}", outside(.0))]
    Outside(Vec<PathBuf>),
}

fn outside(folders: &[PathBuf]) -> String {
    if folders.is_empty() {
        return "is not allowed: no setting may name a file here".to_owned();
    }
    let names: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    format!("is not in one of the allowed folders ({})", names.join(", "))
}

/// The folders in which a setting may name a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Folders {
    /// Any folder: the user who typed the command may read the file anyway.
    #[default]
    Any,
    /// These folders and their subfolders. A symbolic link that leads out of them is refused.
    Only(Vec<PathBuf>),
}

impl Folders {
    /// Reads a file of at most `most` bytes.
    ///
    /// # Errors
    /// Returns the reason if the file is not read.
    pub fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
        match self {
            Self::Any => read(path, most),
            Self::Only(folders) => {
                let outside = || FileError::Outside(folders.clone());
                // A file outside the folders is not opened. All errors look the same, because
                // different errors would reveal which files exist.
                let real = path.canonicalize().map_err(|_| outside())?;
                let within = folders
                    .iter()
                    .filter_map(|folder| folder.canonicalize().ok())
                    .any(|folder| real.starts_with(folder));
                if within { read(&real, most) } else { Err(outside()) }
            }
        }
    }
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// Returns the reason if the file is not read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    // The kind is checked before opening, because opening can block or change a device. It is
    // checked again afterwards, because the name may point to another file by then.
    let before = fs::metadata(path)?;
    if !before.is_file() {
        return Err(FileError::NotRegular);
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: File = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let after = file.metadata()?;
    if !after.is_file() || (before.dev(), before.ino()) != (after.dev(), after.ino()) {
        return Err(FileError::NotRegular);
    }
    if after.len() > most {
        return Err(FileError::TooLarge(most));
    }
    // Files of `/proc` report length 0 although they have content.
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(FileError::TooLarge(most)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_small_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("exact"), [7; 100]).unwrap();
        fs::write(path("long"), [7; 101]).unwrap();
        File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        symlink("/dev/zero", path("zero")).unwrap();
        assert_eq!(read(&path("exact"), 100).unwrap().len(), 100);
        for (file, reason) in [
            (path("long"), "larger than"),
            (path("sparse"), "larger than"),
            (path("pipe"), "not a regular file"),
            (path("zero"), "not a regular file"),
            (PathBuf::from("/dev/zero"), "not a regular file"),
            (PathBuf::from("/dev/stdin"), "regular file"),
            (folder.path().to_owned(), "not a regular file"),
            (path("missing"), "cannot be read"),
        ] {
            let error = read(&file, 100).map(|bytes| bytes.len());
            assert!(
                error.as_ref().is_err_and(|error| error.to_string().contains(reason)),
                "{}: {error:?}",
                file.display()
            );
        }
        // The kernel's symbol list reports length 0 and has megabytes.
        assert!(read(Path::new("/proc/kallsyms"), 100).is_err());
    }

    #[test]
    fn nothing_leads_out_of_the_allowed_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out"));
        fs::create_dir_all(inside.join("deep")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(inside.join("deep/ca.pem"), "x").unwrap();
        fs::write(outside.join("ca.pem"), "x").unwrap();
        fs::create_dir_all(folder.path().join("in-beside")).unwrap();
        fs::write(folder.path().join("in-beside/ca.pem"), "x").unwrap();
        symlink(outside.join("ca.pem"), inside.join("link.pem")).unwrap();
        symlink("deep/ca.pem", inside.join("near.pem")).unwrap();
        let only = Folders::Only(vec![inside.clone(), PathBuf::from("/nowhere")]);
        for good in ["deep/ca.pem", "near.pem", "./deep/../deep/ca.pem"] {
            assert!(only.read(&inside.join(good), 10).is_ok(), "{good}");
        }
        for bad in [
            inside.join("link.pem"),
            inside.join("../out/ca.pem"),
            outside.join("ca.pem"),
            folder.path().join("in-beside/ca.pem"),
            inside.join("missing"),
            "/dev/zero".into(),
        ] {
            let error = only.read(&bad, 10).unwrap_err().to_string();
            assert!(error.contains("not in one of the allowed folders"), "{}: {error}", bad.display());
        }
        assert!(
            Folders::Only(Vec::new())
                .read(&inside.join("deep/ca.pem"), 10)
                .unwrap_err()
                .to_string()
                .contains("no setting may name a file")
        );
        assert!(Folders::Any.read(&outside.join("ca.pem"), 10).is_ok());
    }
}
