//! A copy of an attempt's results, from which reports are rendered. The scanner may change the copy
//! without harm.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::ports::{HTML_REPORT_NAME, PDF_REPORT_NAME};
use kastrel_actors::model::ReportFiles;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

const INFO_NAME: &str = "kast_info.json";
const PROCESSED_END: &str = "_processed.json";
const STYLE_NAME: &str = "kast_style.css";

/// The copy; a drop removes it.
#[derive(Debug)]
pub(super) struct Copied {
    folder: PathBuf,
    results: BTreeMap<String, Vec<u8>>,
}

impl Copied {
    /// Copies the inputs of a report into a folder beside the attempt's, on the same disk. Returns
    /// `None` if the attempt left nothing to render.
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

    /// Returns the first result that differs from the copied state: changed, removed or new.
    pub(super) fn changed(&self) -> io::Result<Option<String>> {
        let now = self.digests()?;
        let differs = |name: &&String| now.get(*name) != self.results.get(*name);
        Ok(self.results.keys().chain(now.keys()).find(differs).cloned())
    }

    /// The reports that exist in the copy.
    pub(super) fn written(&self) -> ReportFiles {
        ReportFiles {
            html: is_file(&self.folder.join(HTML_REPORT_NAME)),
            pdf: is_file(&self.folder.join(PDF_REPORT_NAME)),
        }
    }

    /// Moves these reports into the attempt's folder, with the style sheet and the logo of the HTML
    /// report.
    pub(super) fn take(&self, attempt_dir: &Path, reports: ReportFiles, logo: Option<&OsStr>) -> io::Result<()> {
        let take = |name: &OsStr| {
            let from = self.folder.join(name);
            if !is_file(&from) {
                return Ok(());
            }
            // A rename replaces a file atomically, and replaces a link itself instead of its
            // target.
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
            // A link in place of a file also counts as a change.
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

/// Returns true if the file is an input of a report.
fn is_result(name: &str) -> bool {
    name == INFO_NAME || name.ends_with(PROCESSED_END)
}

/// Returns true if the path is a regular file and not a link.
fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Opens a file. Fails if a link has replaced it meanwhile.
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
