//! What is known of an attempt when its processes are gone.

use super::PluginResult;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// The system did not tell.
    Unknown,
}

/// What became of the scanner's result file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InfoFile {
    /// Read; the report's `plugins` come from it.
    Read,
    /// Not there.
    Missing,
    /// There, but truncated, too large, too deep or not what it should be.
    Unreadable(String),
}

/// Everything that is known of an attempt when its processes are gone.
#[derive(Debug, Clone)]
pub struct AttemptReport {
    /// How the leader of the process group ended.
    pub exit: ExitKind,
    /// The result file.
    pub info: InfoFile,
    /// The plugins' last state, partial or final.
    pub plugins: Vec<PluginResult>,
    /// The last lines of standard error (or output), bounded and printable: the readable reason of
    /// a crash.
    pub last_words: String,
    /// Things worth a warning, such as processes that outlived the leader and were killed.
    pub notes: Vec<String>,
}

/// What is found of an attempt that nobody runs any more. [`crate::policy::adoption`] says what it
/// is worth.
#[derive(Debug, Clone)]
pub struct Remains {
    /// Whether its folder says that it is that of exactly this attempt, under this token, of a run
    /// on this data folder.
    pub is_marked: bool,
    /// How many processes of it are alive.
    pub processes: usize,
    /// What its files say.
    pub report: AttemptReport,
}
