//! The names of the folders and files of an attempt. The runner writes them, and the web server, the
//! uploader and the command line find them by the same names.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kastrel_actors::model::{AttemptNumber, ScanId, Target};

/// The HTML report of an attempt.
pub const HTML_REPORT_NAME: &str = "kast_report.html";
/// The PDF report of an attempt.
pub const PDF_REPORT_NAME: &str = "kast_report.pdf";
/// The scanner's standard output and error.
pub const LOG_NAME: &str = "kast.log";
/// The notes about an attempt for users. Not `.txt`, which would look like a
/// plugin's file.
pub const NOTES_NAME: &str = "notes.log";
const TOOL_LOGS_NAME: &str = "logs";
/// The mark file in an attempt's folder, which identifies the attempt that filled it. It is hidden,
/// so it is not part of the results.
pub const MARK_NAME: &str = ".kastrel-attempt";
/// The name of the file in an attempt's folder.
pub const CONFIG_NAME: &str = ".kastrel-config.yaml";
/// The names of Kastrel's own files in an attempt's folder. They are not results: they are never
/// shown and never stored elsewhere.
pub const OWN_NAMES: [&str; 2] = [MARK_NAME, CONFIG_NAME];

/// The paths of one attempt. They are computed and not looked up, so that the web finds the
/// runner's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPaths {
    /// The folder of all attempts of the scan: `<results>/<target>-<YYYYmmdd-HHMMSS>-<scan id>`.
    pub scan_dir: PathBuf,
    /// The attempt's folder in it, `attempt-<n>`: the scanner's output, including its reports.
    pub attempt_dir: PathBuf,
    /// The scanner's standard output and error, up to the size limit.
    pub log: PathBuf,
    /// The scanner's own log files.
    pub log_dir: PathBuf,
}

impl AttemptPaths {
    /// Creates the paths of an attempt of a scan that was accepted at `created_at`. The folder's
    /// name has this time in UTC.
    #[must_use]
    pub fn new(results: &Path, target: &Target, created_at: Timestamp, scan: ScanId, attempt: AttemptNumber) -> Self {
        let scan_dir = results.join(scan_folder_name(target, created_at, scan));
        let attempt_dir = scan_dir.join(attempt_folder_name(attempt));
        Self { log: attempt_dir.join(LOG_NAME), log_dir: attempt_dir.join(TOOL_LOGS_NAME), attempt_dir, scan_dir }
    }
}

/// The name of a scan's folder: `<target>-<YYYYmmdd-HHMMSS>-<scan id>`, with the time of acceptance
/// in UTC.
#[must_use]
pub fn scan_folder_name(target: &Target, created_at: Timestamp, scan: ScanId) -> String {
    let time = created_at.to_zoned_datetime(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    format!("{}-{time}-{scan}", target.folder_name())
}

/// The name of an attempt's folder in its scan's folder: `attempt-<n>`.
#[must_use]
pub fn attempt_folder_name(attempt: AttemptNumber) -> String {
    format!("attempt-{attempt}")
}

/// The name of the marker file beside an attempt's folder. It means that all of the attempt's files
/// are stored elsewhere.
#[must_use]
pub fn stored_mark_name(attempt_folder: &str) -> String {
    format!("{attempt_folder}.uploaded")
}

/// Returns true if `part` is the visible name of a single file or folder.
#[must_use]
pub fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\', '/'])
}
