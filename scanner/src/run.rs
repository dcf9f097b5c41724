//! Runs the plugins of one scan and writes their files in KAST's order.

use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::clock;
use crate::info::{self, Info, PluginRun};
use crate::journal::Journal;
use crate::output::{self, Status};
use crate::plugin::{Outcome, Plugin};
use crate::report::{self, Logo};
use crate::scan::Scan;
use crate::scope::Gate;
use crate::settings::Settings;
use crate::target::Target;
use crate::text::clip;

/// The message if a PDF report is requested.
pub const NO_PDF: &str = "Kastrel's built-in scanner makes no PDF report; only the HTML report was written. Print it from a browser to get a PDF.";

/// The message if active plugins are requested.
pub const NO_ACTIVE: &str = "Kastrel's built-in scanner has no active plugins, so an active scan runs nothing.";

/// The options of a scan.
pub struct ScanOptions {
    /// The target.
    pub target: Target,
    /// The plugins to run.
    pub plugins: Vec<&'static dyn Plugin>,
    /// The number of parallel plugins; 1 runs them one after the other.
    pub workers: usize,
    /// The folder for the files. It is created if it does not exist.
    pub output_dir: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// The addresses that the scan may connect to.
    pub gate: Gate,
    /// A picture for the report header.
    pub logo: Option<Logo>,
    /// Notes about the scan, for the report and `kast_info.json`.
    pub notes: Vec<String>,
    /// The arguments, for `cli_arguments` of `kast_info.json`.
    pub arguments: Value,
}

/// The reason why a scan could not write its results.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file or folder could not be written.
    #[error("could not write to {folder}: {source}")]
    Write {
        /// The output folder.
        folder: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Runs a scan to completion and returns the content of `kast_info.json`. Dropping the future stops
/// the scan; `kast_info.json` is then missing.
///
/// # Errors
/// Returns [`RunError::Write`] if a file cannot be written. A failed plugin is not an error of the
/// scan.
pub async fn run_scan(options: ScanOptions, journal: &Journal) -> Result<Info, RunError> {
    let folder = options.output_dir.clone();
    scan_and_write(options, journal).await.map_err(|source| RunError::Write { folder, source })
}

async fn scan_and_write(options: ScanOptions, journal: &Journal) -> io::Result<Info> {
    let folder = options.output_dir;
    std::fs::create_dir_all(&folder)?;
    let start = clock::now();
    journal.info(&format!("Target: {}", options.target));
    journal.info(&format!("Output directory: {}", folder.display()));
    let deadline = Instant::now() + options.settings.scan_timeout;
    let scan = Scan::new(options.target, options.settings, options.gate, start.timestamp());

    let order: Vec<&'static str> = options.plugins.iter().map(|plugin| plugin.meta().name).collect();
    let slots = Arc::new(Semaphore::new(options.workers.max(1)));
    let mut tasks = JoinSet::new();
    let mut runs: HashMap<&'static str, PluginRun> = HashMap::new();
    for plugin in options.plugins {
        // The permit is taken before the task starts, so that plugins start in their order.
        let permit = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (scan, folder, journal) = (scan.clone(), folder.clone(), journal.clone());
        tasks.spawn(async move {
            let _permit = permit;
            (plugin.meta().name, run_plugin(plugin, scan, deadline, &folder, &journal).await)
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let (name, run) = ended.map_err(io::Error::other)?;
        runs.insert(name, run?);
    }

    let end = clock::now();
    let info = Info {
        kast_version: crate::version_text(),
        scanner: crate::NAME.to_owned(),
        start_timestamp: info::local(&start),
        end_timestamp: info::local(&end),
        duration_seconds: info::seconds_between(&start, &end),
        cli_arguments: options.arguments,
        plugins: order.iter().filter_map(|name| runs.remove(name)).collect(),
        ai: info::no_ai(),
        notes: options.notes,
    };
    output::write_json(&folder, info::FILE_NAME, &info)?;
    journal.debug(&format!("{} HTTP requests were sent", scan.requests_sent()));
    let path = report::write(&folder, None, options.logo.as_ref())?;
    journal.info(&format!("HTML report generated: {}", path.display()));
    Ok(info)
}

async fn run_plugin(
    plugin: &'static dyn Plugin,
    scan: Arc<Scan>,
    deadline: Instant,
    folder: &std::path::Path,
    journal: &Journal,
) -> io::Result<PluginRun> {
    let meta = plugin.meta();
    let start = clock::now();
    let mut raw =
        json!({ "plugin": meta.name, "target": scan.target.text(), "started_at": output::utc(start.timestamp()) });
    output::write_json(folder, &format!("{}.json", meta.name), &raw)?;
    journal.info(&format!("Running {}", meta.display_name));

    let outcome = guarded(plugin, scan.clone(), deadline).await.bounded();
    let end = clock::now();
    let file = output::processed(meta, &outcome, scan.target.text(), end.timestamp());
    raw["ended_at"] = file.timestamp.clone().into();
    raw["disposition"] = file.findings["disposition"].clone();
    raw["observations"] = match &outcome {
        Outcome::Done(report) | Outcome::Partial(report, _) => report.observations.clone().into(),
        Outcome::Failed(_) | Outcome::Skipped(_) => json!([]),
    };
    output::write_json(folder, &format!("{}.json", meta.name), &raw)?;
    output::write_json(folder, &format!("{}_processed.json", meta.name), &file)?;

    let (status, reason) = match outcome {
        Outcome::Done(_) => (Status::Success, None),
        Outcome::Partial(_, reason) | Outcome::Failed(reason) => (Status::Fail, Some(reason)),
        Outcome::Skipped(reason) => (Status::Skipped, Some(reason)),
    };
    match status {
        Status::Fail => journal.warn(&file.summary),
        Status::Success | Status::Skipped => journal.info(&format!("{}: {}", meta.display_name, file.summary)),
    }
    Ok(PluginRun::new(meta.name, &start, &end, status, reason))
}

/// Runs the check on its own thread, so that a panic, an endless wait or an endless computation in
/// one plugin does not affect the others. The caller's runtime drives the check's I/O. A check that
/// exceeds its deadline is stopped at its next await point. A check that never awaits keeps its
/// thread until the process ends.
async fn guarded(plugin: &'static dyn Plugin, scan: Arc<Scan>, deadline: Instant) -> Outcome {
    let (of_plugin, of_scan) = (scan.settings.plugin_timeout, scan.settings.scan_timeout);
    let now = Instant::now();
    let used_up =
        format!("the time limit of {} s of the scan is used up (setting http.scan_timeout_seconds)", of_scan.as_secs());
    if deadline <= now {
        return Outcome::Failed(used_up);
    }
    let end = deadline.min(now + of_plugin);
    let late = || {
        Outcome::Failed(if end == deadline {
            used_up
        } else {
            format!("the check did not end within {} s", of_plugin.as_secs())
        })
    };
    let (tell, told) = oneshot::channel();
    // Dropped when this function ends, and also when the scan is stopped.
    let (_stop, stopped) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let work = move || {
        let check = async {
            tokio::select! {
                outcome = plugin.run(&scan) => Some(outcome),
                _ = stopped => None,
            }
        };
        let ended = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(check)));
        let _ = tell.send((Instant::now(), ended));
    };
    if let Err(error) = thread::Builder::new().name(plugin.meta().name.to_owned()).spawn(work) {
        return Outcome::Failed(format!("no thread could be started for the check: {error}"));
    }
    match timeout_at(end, told).await {
        Ok(Ok((at, Ok(Some(outcome))))) if at <= end => outcome,
        Ok(Ok((_, Err(panic)))) => Outcome::Failed(format!("the plugin crashed: {}", clip(words_of(&*panic), 300))),
        Ok(Err(_)) => Outcome::Failed("the plugin did not say how it ended".to_owned()),
        Ok(Ok(_)) | Err(_) => late(),
    }
}

/// Returns the message of a panic.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}
