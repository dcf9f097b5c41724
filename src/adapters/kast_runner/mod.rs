//! Runs one attempt as one process of KAST or of the built-in scanner.
//!
//! - [`ScannerCommand`] is the program; [`argv`](self) and its environment are pure functions of
//!   the job.
//! - [`KastRunner`] implements the port: it makes the attempt's folder, spawns, and hands the
//!   process to a task that owns it.
//! - The task selects over exit, requests, timers, output and files. What it reports comes from the
//!   scanner's files, which are read as hostile input.
//! - [`ArtifactSink`] is told of an attempt's folder when it starts and when its files are final,
//!   by whoever keeps files elsewhere.
//! - Between us and each scanner stands a `keeper`, which confines it (`isolation`) and holds
//!   together what it starts.
//! - Nothing that an attempt started survives it: see `reaper` for attempts of this run, `keeper`
//!   for those of a node that was killed, [`Watchdog`] for those of one that is frozen, and
//!   [`sweep_leftovers`] for those of earlier ones.

mod argv;
mod attempt;
mod catalogue;
mod catalogue_cache;
mod catalogue_text;
mod config_file;
mod container;
mod egress;
mod environment;
mod folder;
mod isolation;
mod json;
mod kast_log;
mod keeper;
mod lookup;
mod observer;
mod output;
mod plugin_name;
mod probe;
mod proc_table;
mod process;
mod progress;
mod reaper;
mod redactor;
mod remains;
mod report;
mod report_copy;
mod result_file;
mod run;
mod runner;
mod scanner;
mod scope_check;
mod settings_check;
mod settings_text;
mod sink;
mod start_error;
mod surroundings;
mod sweep;
mod target_note;
mod termination;
mod text;
mod verdict;
mod watch;
mod watchdog;

/// This program, also for a user who cannot reach its folder.
const OURSELVES: &str = "/proc/self/exe";

pub use catalogue::{Catalogue, IssueKind};
pub use config_file::{KastConfigError, NodeConfig};
pub use egress::{EgressLimit, network_arguments, network_main};
pub use folder::{
    AttemptPaths, HTML_REPORT_NAME, LOG_NAME, NOTES_NAME, PDF_REPORT_NAME, attempt_folder_name, scan_folder_name,
    stored_mark_name,
};
pub use isolation::{CgroupState, Holds, Isolation, Limits, RunAs, RunAsError, holds};
pub use keeper::{keeper_arguments, keeper_main};
pub use remains::{MARK_NAME, OWN_NAMES};
pub use report::{RenderError, ReportRenderer};
pub use run::Run;
pub use runner::{KastRunner, KastRunnerConfig};
pub use scanner::ScannerCommand;
pub use sink::{ArtifactSink, AttemptFiles};
pub(crate) use start_error::INSTALL;
pub use surroundings::{Docker, FoundTool, Surroundings, surroundings};
pub use sweep::{Swept, count_leftovers, sweep_leftovers};
pub use termination::Grace;
pub use watchdog::{Watchdog, watchdog_arguments, watchdog_main};
