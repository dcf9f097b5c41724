//! `scan`: one scan and its gate.

use std::path::PathBuf;

use clap::Args;
use kastrel_actors::model::{
    ConfigOverride, MAX_WORKERS, Priority, ProjectId, ReportFormat, ScanMode, ScanRequestDraft, Severity,
};
use kastrel_actors::policy::permission;

use super::common::{ConfigArgs, ScannerArgs, ServerArgs, names};
use crate::cli::gate::{Gate, Require};
use crate::config::FlagValue;
use crate::exports::Format;

/// The names of `--format`: those of reports, and those of exports.
fn formats() -> impl Iterator<Item = &'static str> {
    ReportFormat::ALL.iter().map(|one| one.as_str()).chain(Format::OF_COMMAND.iter().map(|one| one.name()))
}

/// `kastrel scan`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ScanArgs {
    /// A host, host:port, or http(s) URL
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub target: Option<String>,
    /// A file with up to 500 targets, one on a line (- for standard input), each of which gets a
    /// scan with these options; empty lines and lines that begin with # are skipped. All targets
    /// are checked before the first scan is stored
    #[arg(short, long, value_name = "FILE", requires = "no_wait", conflicts_with = "output")]
    pub file: Option<String>,
    /// Scan mode [default: passive]
    #[arg(short, long, value_name = "MODE", value_parser = names(ScanMode::ALL.iter().map(|one| one.as_str())))]
    pub mode: Option<String>,
    /// I have the owner's permission to attack this target (needed for --mode active and both, each
    /// time)
    #[arg(long)]
    pub confirm_active: bool,
    /// Only these plugins, separated by commas
    #[arg(long, value_name = "PLUGINS", value_delimiter = ',')]
    pub run_only: Vec<String>,
    /// Run plugins in parallel (the default)
    #[arg(short, long, overrides_with = "no_parallel")]
    pub parallel: bool,
    /// Run one plugin after the other
    #[arg(long, overrides_with = "parallel")]
    pub no_parallel: bool,
    #[arg(long, value_name = "NUMBER", help = format!("Parallel plugins, 1 to {MAX_WORKERS} [default: 5]"))]
    pub max_workers: Option<i64>,
    /// Verbose scanner log
    #[arg(short, long)]
    pub verbose: bool,
    /// Print the plan and scan nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The report's format [default: html], and a format in which the findings are written at the
    /// end: github, json, junit or sarif; one of each, separated by a comma
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = names(formats()))]
    pub format: Vec<String>,
    /// File for the findings of --format, which is replaced if it exists [default: the standard
    /// output; all else goes to standard error then]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A setting of the scanner; may be repeated
    #[arg(long, value_name = "PLUGIN.KEY=VALUE")]
    pub set: Vec<String>,
    /// A secret setting, whose value is read from a file (- for standard input) and shown nowhere;
    /// may be repeated
    #[arg(long, value_name = "PLUGIN.KEY=FILE")]
    pub set_secret: Vec<String>,
    /// Queue priority [default: normal]
    #[arg(long, value_name = "PRIORITY", value_parser = names(Priority::ALL.iter().map(|one| one.as_str())))]
    pub priority: Option<String>,
    /// Project of the scan [default: default, or the only one in which you may scan]
    #[arg(long, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// Exit with code 10 if an issue of this severity or worse, or of unknown severity, was found
    #[arg(long, value_name = "SEVERITY", value_parser = names(Severity::ALL.iter().map(|one| one.as_str())))]
    pub fail_on: Option<String>,
    /// Exit with code 11 unless the checks ran: all of them; any, with all that --allow-failed does
    /// not list; or none (with --fail-on one check must have run all the same) [default with
    /// --fail-on: any]
    #[arg(long, value_name = "COVERAGE", value_parser = names(Require::ALL.iter().map(|one| one.as_str())))]
    pub require_coverage: Option<String>,
    /// With --fail-on: count only findings that the last comparable scan of the target did not see,
    /// and that have no decision. A job that is repeated is compared with its own first run and
    /// passes; --baseline does not
    #[arg(long, requires = "fail_on", conflicts_with = "dry_run")]
    pub only_new: bool,
    /// With --fail-on: count only findings that are not in this file, which `kastrel scan --format`
    /// json or sarif wrote for the same target, and that have no decision
    #[arg(long, value_name = "FILE", requires = "fail_on", conflicts_with = "dry_run")]
    pub baseline: Option<PathBuf>,
    /// Checks that need not run for --require-coverage any, separated by commas
    #[arg(long, value_name = "PLUGINS", value_delimiter = ',')]
    pub allow_failed: Vec<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print one JSON document at the end; progress goes to standard error
    #[arg(long)]
    pub json: bool,
    /// Submit the scan and do not wait for its end
    #[arg(long, conflicts_with_all = ["fail_on", "require_coverage"])]
    pub no_wait: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
}

impl ScanArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags().into_iter().chain(self.scanner.flags()).collect()
    }

    /// The request.
    #[must_use]
    pub fn draft(&self) -> ScanRequestDraft {
        ScanRequestDraft {
            target: self.target.clone().unwrap_or_default(),
            mode: self.mode.clone(),
            plugins: self.run_only.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            parallel: self.no_parallel.then_some(false).or(self.parallel.then_some(true)),
            max_workers: self.max_workers,
            verbose: self.verbose.then_some(true),
            dry_run: self.dry_run.then_some(true),
            format: self.report_format(),
            overrides: self.set.clone(),
            priority: self.priority.clone(),
            // Not sent where it is not needed: older servers do not know the field.
            confirm_active: self.confirm_active.then_some(true),
            project: self.project.as_ref().map(ToString::to_string),
            kept: Vec::new(),
        }
    }

    /// The values of `--set-secret`, read by `read`, in the form that a submission takes.
    ///
    /// # Errors
    /// One is not of the form `PLUGIN.KEY=FILE`, or its file cannot be read.
    pub fn secrets(&self, mut read: impl FnMut(&str) -> std::io::Result<String>) -> Result<Vec<String>, String> {
        let mut one = |text: &String| -> Result<String, String> {
            const FORM: &str = "--set-secret: expected PLUGIN.KEY=FILE";
            let (name, file) = text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or(FORM)?;
            let name = ConfigOverride::parse(&format!("{name}=")).map_err(|_| FORM)?.name();
            // The name of the file is not repeated: people put the value in its place.
            let value = read(file).map_err(|error| {
                format!("--set-secret {name}: failed to read the file that is named there: {error}")
            })?;
            Ok(format!("secret:{name}={}", value.trim_end_matches(['\r', '\n'])))
        };
        self.set_secret.iter().map(&mut one).collect()
    }

    /// The settings of `--set` whose values are secrets: they stand in the list of processes.
    #[must_use]
    pub fn exposed(&self) -> Vec<String> {
        let parsed = self.set.iter().filter_map(|text| ConfigOverride::parse(text).ok());
        parsed
            .filter(|one| one.is_secret() && one.value.clear().is_some_and(|value| !value.is_empty()))
            .map(|one| one.name())
            .collect()
    }

    /// Whether the scan runs active plugins and nobody said that they may.
    #[must_use]
    pub fn lacks_permission(&self) -> bool {
        !self.confirm_active
            && self.mode.as_deref().and_then(|mode| mode.parse().ok()).is_some_and(permission::is_required)
    }

    /// The format of the report.
    fn report_format(&self) -> Option<String> {
        self.format.iter().find(|name| name.parse::<Format>().is_err()).cloned()
    }

    /// The format in which the findings are written at the end.
    ///
    /// # Errors
    /// There are several formats of one kind.
    pub fn export_format(&self) -> Result<Option<Format>, String> {
        let exports: Vec<Format> = self.format.iter().filter_map(|name| name.parse().ok()).collect();
        if exports.len() > 1 || self.format.len() - exports.len() > 1 {
            return Err("--format: expected at most one format of the report and one of the findings".into());
        }
        Ok(exports.first().copied())
    }

    /// What is asked of the scan's result.
    #[must_use]
    pub fn gate(&self) -> Gate {
        Gate {
            fail_on: self.fail_on.as_deref().and_then(|name| name.parse().ok()),
            require: self.require_coverage.as_deref().and_then(Require::parse),
            allowed: self
                .allow_failed
                .iter()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect(),
        }
    }
}
