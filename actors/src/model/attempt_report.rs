//! What is known of an attempt when its processes are gone.

use super::PluginResult;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// The system did not report how.
    Unknown,
}

/// The state of the scanner's result file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfoFile {
    /// The file was read; the report's `plugins` come from it.
    Read,
    /// The file does not exist.
    Missing,
    /// The file exists, but is truncated, too large, nested too deeply or not in the expected form.
    Unreadable(String),
}

/// Everything that is known of an attempt once its processes are gone.
#[derive(Debug, Clone)]
pub struct AttemptReport {
    /// How the leader of the process group ended.
    pub exit: ExitKind,
    /// The state of the result file.
    pub info: InfoFile,
    /// The plugins' last state, partial or final.
    pub plugins: Vec<PluginResult>,
    /// The last lines of standard error (or of standard output), bounded and printable: the
    /// readable reason of a crash.
    pub last_words: String,
    /// Conditions worth a warning, such as processes that outlived the leader and were killed.
    pub notes: Vec<String>,
}

/// What is left of an attempt that no process supervises any more. [`crate::policy::adoption`]
/// decides how to use it.
#[derive(Debug, Clone)]
pub struct Remains {
    /// True if the attempt's folder is marked with exactly this attempt and this token, by a run on
    /// this data folder.
    pub is_marked: bool,
    /// The number of its processes that are alive.
    pub processes: usize,
    /// The report that its files give.
    pub report: AttemptReport,
}
