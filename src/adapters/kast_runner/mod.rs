//! Runs one attempt as one process of KAST or of the built-in scanner.
//!
//! - [`ScannerCommand`] is the program. Its arguments ([`argv`](self)) and its environment are pure
//!   functions of the job.
//! - [`KastRunner`] implements the port: it creates the attempt's folder, spawns the scanner, and
//!   passes the process to a task that owns it.
//! - The task selects over exit, requests, timers, output and files. Its reports come from the
//!   scanner's files, which it parses as hostile input.
//! - [`ArtifactSink`](crate::ports::ArtifactSink) receives an attempt's folder when the attempt
//!   starts and when its files are final, so that the files can be stored elsewhere.
//! - A `keeper` process is the parent of each scanner. It confines the scanner (`isolation`) and
//!   adopts the processes that the scanner starts.
//! - No process of an attempt survives the attempt: see `reaper` for attempts of this run, `keeper`
//!   for those of a killed node, [`Watchdog`] for those of a frozen node, and [`sweep_leftovers`]
//!   for those of earlier runs.

mod argv;
mod attempt;
mod catalogue;
mod catalogue_cache;
mod catalogue_text;
mod config_file;
mod container;
mod earlier;
mod egress;
mod environment;
mod folder;
mod hunt;
mod isolation;
mod json;
mod kast_log;
mod keeper;
mod lookup;
mod observer;
mod output;
mod own_program;
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
mod start_error;
mod surroundings;
mod sweep;
mod target_note;
mod termination;
mod text;
mod tool;
mod verdict;
mod watch;
mod watchdog;

pub use catalogue::{Catalogue, IssueKind};
pub use config_file::{KastConfigError, NodeConfig};
pub use egress::{EgressLimit, network_arguments, network_main};
pub use isolation::{CgroupState, Holds, Isolation, Limits, RunAs, RunAsError, holds};
pub use keeper::{keeper_arguments, keeper_main};
pub use report::{KastReportRenderer, RenderError};
pub use run::Run;
pub use runner::{KastRunner, KastRunnerConfig};
pub use scanner::ScannerCommand;
pub use surroundings::{Docker, FoundTool, Surroundings, surroundings};
pub use sweep::{Swept, count_leftovers, sweep_leftovers};
pub use termination::Grace;
pub use watchdog::{Watchdog, watchdog_arguments, watchdog_main};
