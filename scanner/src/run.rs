//! Runs the plugins of one scan and writes their files in KAST's order.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::clock;
use crate::info::{self, Info, PluginRun};
use crate::journal::Journal;
use crate::output::{self, Status};
use crate::plugin::{Outcome, Plugin, clip};
use crate::report::{self, Logo};
use crate::scan::Scan;
use crate::scope::Gate;
use crate::settings::Settings;
use crate::target::Target;

/// What is told where a PDF was asked for.
pub const NO_PDF: &str = "Kastrel's built-in scanner makes no PDF report; only the HTML report was written. Print it from a browser to get a PDF.";

/// What is told where active plugins were asked for.
pub const NO_ACTIVE: &str = "Kastrel's built-in scanner has no active plugins, so an active scan runs nothing.";

/// What a scan is to do.
pub struct ScanOptions {
    /// What to scan.
    pub target: Target,
    /// The plugins to run.
    pub plugins: Vec<&'static dyn Plugin>,
    /// How many run at once; 1 runs them one after the other.
    pub workers: usize,
    /// Where the files go; made if it is not there.
    pub output_dir: PathBuf,
    /// The settings.
    pub settings: Settings,
    /// Where the scan may connect to.
    pub gate: Gate,
    /// A picture for the report's head.
    pub logo: Option<Logo>,
    /// What the report and `kast_info.json` have to tell about the whole scan.
    pub notes: Vec<String>,
    /// The call, for `cli_arguments` of `kast_info.json`.
    pub arguments: Value,
}

/// Why a scan could not write what it found.
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

/// Runs a scan to its end and returns what `kast_info.json` says. Dropping the future stops the scan; `kast_info.json` is then missing.
///
/// # Errors
/// [`RunError::Write`] when a file cannot be written. A plugin that fails is no error of the scan.
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

async fn run_plugin(plugin: &'static dyn Plugin, scan: Arc<Scan>, deadline: Instant, folder: &std::path::Path, journal: &Journal) -> io::Result<PluginRun> {
    let meta = plugin.meta();
    let start = clock::now();
    let mut raw = json!({ "plugin": meta.name, "target": scan.target.text(), "started_at": output::utc(start.timestamp()) });
    output::write_json(folder, &format!("{}.json", meta.name), &raw)?;
    journal.info(&format!("Running {}", meta.display_name));

    let outcome = guarded(plugin, scan.clone(), deadline).await.bounded();
    let end = clock::now();
    let file = output::processed(meta, &outcome, scan.target.text(), end.timestamp());
    raw["ended_at"] = file.timestamp.clone().into();
    raw["disposition"] = file.findings["disposition"].clone();
    raw["observations"] = match &outcome {
        Outcome::Done(report) => report.observations.clone().into(),
        Outcome::Failed(_) | Outcome::Skipped(_) => json!([]),
    };
    output::write_json(folder, &format!("{}.json", meta.name), &raw)?;
    output::write_json(folder, &format!("{}_processed.json", meta.name), &file)?;

    let (status, reason) = match outcome {
        Outcome::Done(_) => (Status::Success, None),
        Outcome::Failed(reason) => (Status::Fail, Some(reason)),
        Outcome::Skipped(reason) => (Status::Skipped, Some(reason)),
    };
    match status {
        Status::Fail => journal.warn(&file.summary),
        Status::Success | Status::Skipped => journal.info(&format!("{}: {}", meta.display_name, file.summary)),
    }
    Ok(PluginRun::new(meta.name, &start, &end, status, reason))
}

/// Runs the check in a task of its own: a panic or an endless wait in one plugin must not take the others with it.
async fn guarded(plugin: &'static dyn Plugin, scan: Arc<Scan>, deadline: Instant) -> Outcome {
    let (of_plugin, of_scan) = (scan.settings.plugin_timeout, scan.settings.scan_timeout);
    let left = deadline.saturating_duration_since(Instant::now());
    let used_up = format!("the time limit of {} s of the scan is used up (setting http.scan_timeout_seconds)", of_scan.as_secs());
    if left.is_zero() {
        return Outcome::Failed(used_up);
    }
    let limit = of_plugin.min(left);
    let mut task = JoinSet::new();
    task.spawn(async move { plugin.run(&scan).await });
    match timeout(limit, task.join_next()).await {
        Ok(Some(Ok(outcome))) => outcome,
        Ok(Some(Err(error))) => Outcome::Failed(format!("the plugin crashed: {}", clip(&error.to_string(), 300))),
        Ok(None) => Outcome::Failed("the plugin did not start".to_owned()),
        Err(_) if left < of_plugin => Outcome::Failed(used_up),
        Err(_) => Outcome::Failed(format!("the check did not end within {} s", limit.as_secs())),
    }
}
