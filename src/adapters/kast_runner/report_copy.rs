//! A copy of an attempt's results, from which reports are rendered: the scanner may do to it what
//! it likes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kastrel_actors::model::ReportFiles;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::folder::{HTML_REPORT_NAME, PDF_REPORT_NAME};

const INFO_NAME: &str = "kast_info.json";
const PROCESSED_END: &str = "_processed.json";
const STYLE_NAME: &str = "kast_style.css";

/// The copy. Its drop removes it.
#[derive(Debug)]
pub(super) struct Copied {
    folder: PathBuf,
    results: BTreeMap<String, Vec<u8>>,
}

impl Copied {
    /// Copies what a report is made of into a folder beside the attempt's, on the same disk.
    /// `None`: the attempt left nothing to render from.
    pub(super) fn of(attempt_dir: &Path) -> io::Result<Option<Self>> {
        if !is_file(&attempt_dir.join(INFO_NAME)) {
            return Ok(None);
        }
        let beside = attempt_dir.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = beside.join(format!(".rendering-{}", uuid::Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let mut copied = Self { folder, results: BTreeMap::new() };
        for entry in std::fs::read_dir(attempt_dir)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_result(name))
                && entry.file_type()?.is_file()
            {
                io::copy(&mut plain_file(&entry.path())?, &mut File::create_new(copied.folder.join(name))?)?;
            }
        }
        copied.results = copied.digests()?;
        Ok(Some(copied))
    }

    pub(super) fn path(&self) -> &Path {
        &self.folder
    }

    /// The first result that is not as it was copied: changed, gone or new.
    pub(super) fn changed(&self) -> io::Result<Option<String>> {
        let now = self.digests()?;
        let differs = |name: &&String| now.get(*name) != self.results.get(*name);
        Ok(self.results.keys().chain(now.keys()).find(differs).cloned())
    }

    /// Which reports lie in the copy.
    pub(super) fn written(&self) -> ReportFiles {
        ReportFiles {
            html: is_file(&self.folder.join(HTML_REPORT_NAME)),
            pdf: is_file(&self.folder.join(PDF_REPORT_NAME)),
        }
    }

    /// Moves these reports into the attempt's folder, with the style and the logo that the HTML
    /// shows.
    pub(super) fn take(&self, attempt_dir: &Path, reports: ReportFiles, logo: Option<&OsStr>) -> io::Result<()> {
        let take = |name: &OsStr| {
            let from = self.folder.join(name);
            if !is_file(&from) {
                return Ok(());
            }
            // A rename replaces a file at once, and a link that lies there by itself.
            std::fs::rename(from, attempt_dir.join(name))
        };
        if reports.pdf {
            take(OsStr::new(PDF_REPORT_NAME))?;
        }
        if reports.html {
            take(OsStr::new(HTML_REPORT_NAME))?;
            take(OsStr::new(STYLE_NAME))?;
            if let Some(logo) = logo.filter(|logo| !is_result(&logo.to_string_lossy())) {
                take(logo)?;
            }
        }
        Ok(())
    }

    fn digests(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let mut digests = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().filter(|name| is_result(name)).map(str::to_owned) else {
                continue;
            };
            // A link in its place is a change as well.
            let digest = if entry.file_type()?.is_file() { digest(&entry.path())? } else { Vec::new() };
            digests.insert(name, digest);
        }
        Ok(digests)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(error = &error as &dyn std::error::Error, folder = %self.folder.display(), "a copy for rendering could not be removed");
        }
    }
}

/// Whether a report is made of this file.
fn is_result(name: &str) -> bool {
    name == INFO_NAME || name.ends_with(PROCESSED_END)
}

/// Whether a regular file lies there, and no link.
fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Opens a file, and no link that took its place meanwhile.
fn plain_file(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
}

fn digest(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = plain_file(path)?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().to_vec()),
            read => digest.update(&buffer[..read]),
        }
    }
}
