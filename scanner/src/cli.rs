//! The command line, compatible with KAST's: `[scan] -t TARGET …`, `plugins`, `registry` and
//! `config`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock;
use crate::issues;
use crate::journal::Journal;
use crate::plugin::{Meta, Plugin};
use crate::plugins::registry;
use crate::report::{self, Logo};
use crate::run::{NO_ACTIVE, NO_PDF, ScanOptions, run_scan};
use crate::scope::Gate;
use crate::settings::{self, Settings};
use crate::target::Target;

/// The exit code of a usage error.
const USAGE: u8 = 2;

/// The exit code of a scan that SIGINT stopped, as shells report it (128 + 2).
const INTERRUPTED: u8 = 130;

#[derive(Debug, Parser)]
#[command(
    name = "kastrel scanner",
    display_name = "Kastrel built-in scanner",
    version,
    about = "A small passive scanner that speaks KAST's command line and writes KAST's files"
)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    scan: ScanArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scan; this is the default command
    Scan(ScanArgs),
    /// Inspects the plugins
    Plugins {
        #[command(subcommand)]
        command: PluginsCommand,
    },
    /// Inspects the issues that the scanner can report
    Registry {
        #[command(subcommand)]
        command: RegistryCommand,
    },
    /// Inspects the settings
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

#[derive(Debug, Subcommand)]
enum PluginsCommand {
    /// Lists all plugins
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows one plugin and its settings
    Show {
        /// The plugin's name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum RegistryCommand {
    /// Lists all issues
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints the JSON schema of all settings
    Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Active,
    Passive,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Html,
    Pdf,
    Both,
}

#[derive(Debug, Args)]
struct ScanArgs {
    /// Host, host:port or http(s) URL to scan
    #[arg(short, long, allow_hyphen_values = true)]
    target: Option<String>,
    /// The scan mode; only passive plugins exist
    #[arg(short, long, value_enum, default_value = "passive")]
    mode: Mode,
    /// The report format; only HTML is written
    #[arg(long, value_enum, default_value = "html")]
    format: Format,
    /// A JSON file of settings: {"plugins": {"plugin": {"key": value}}}; "kastrel" in it sets the
    /// scope of the scan
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Allow public names that resolve to private addresses, and private addresses in settings
    #[arg(long)]
    allow_private_targets: bool,
    /// Change a setting; may be repeated
    #[arg(long, value_name = "PLUGIN.KEY=VALUE")]
    set: Vec<String>,
    /// PNG or JPEG for the report header
    #[arg(long, value_name = "FILE")]
    logo: Option<PathBuf>,
    /// Comma-separated names of the plugins to run
    #[arg(long, value_name = "NAMES")]
    run_only: Option<String>,
    /// Run plugins in parallel
    #[arg(short, long)]
    parallel: bool,
    /// The number of parallel plugins
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=64))]
    max_workers: u16,
    /// Print more
    #[arg(short, long)]
    verbose: bool,
    /// Print the steps; run and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Regenerate the report from the files in a folder
    #[arg(long, value_name = "DIR")]
    report_only: Option<PathBuf>,
    /// Folder for the log file; without it no log file is written
    #[arg(short, long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
    /// Folder for the results [default: ~/kast_results/TARGET-TIME]
    #[arg(short, long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

/// Runs the command line. The first argument is the program name.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // clap also returns help and version as "errors", with exit code 0 and on stdout. A
            // failed write to a closed pipe is ignored.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    match cli.command {
        None => scan(cli.scan),
        Some(Command::Scan(args)) => scan(args),
        Some(Command::Plugins { command: PluginsCommand::List { json } }) => list_plugins(json),
        Some(Command::Plugins { command: PluginsCommand::Show { name, json } }) => show_plugin(&name, json),
        Some(Command::Registry { command: RegistryCommand::List { json } }) => list_issues(json),
        Some(Command::Config { command: ConfigCommand::Schema }) => {
            let plugins =
                registry::all().iter().map(|plugin| (plugin.meta().name.to_owned(), plugin.meta().schema())).collect();
            print_json(&settings::schema(plugins))
        }
    }
}

fn scan(args: ScanArgs) -> ExitCode {
    match prepare(&args) {
        Err(reason) => refuse(&reason),
        Ok(Plan::Report { folder, target, logo }) => {
            if matches!(args.format, Format::Pdf | Format::Both) {
                say(NO_PDF);
            }
            match report::write(&folder, target.as_deref(), logo.as_ref()) {
                Ok(path) => say(&format!("HTML report generated: {}", path.display())),
                Err(error) => fail(&format!("could not write the report in {}: {error}", folder.display())),
            }
        }
        Ok(Plan::DryRun(options)) => dry_run(&options),
        Ok(Plan::Scan(options)) => execute(*options, &args),
    }
}

/// The action of a valid command line.
enum Plan {
    Report { folder: PathBuf, target: Option<String>, logo: Option<Logo> },
    DryRun(Box<ScanOptions>),
    Scan(Box<ScanOptions>),
}

/// Validates the command line before the scanner writes or sends anything.
fn prepare(args: &ScanArgs) -> Result<Plan, String> {
    let target = args.target.as_deref().map(Target::parse).transpose().map_err(|error| error.to_string())?;
    let logo = args.logo.as_deref().map(Logo::read).transpose()?;
    if let Some(folder) = &args.report_only {
        if !folder.is_dir() {
            return Err(format!("--report-only: {} is not a folder", folder.display()));
        }
        if target.is_none() && report::read_info(folder).is_none() {
            return Err(format!("--report-only: {} holds no kast_info.json, so --target is needed", folder.display()));
        }
        return Ok(Plan::Report { folder: folder.clone(), target: args.target.clone(), logo });
    }
    let target = target.ok_or("--target is missing")?;
    let mut settings = Settings::default();
    let mut gate = Gate::typed(target.host(), args.allow_private_targets);
    if let Some(path) = &args.config {
        let limits = settings.read(path).map_err(|error| format!("--config {}: {error}", path.display()))?;
        if let Some(limits) = limits {
            gate = Gate::new(limits.scope);
        }
    }
    for assignment in &args.set {
        settings.apply(assignment).map_err(|error| format!("--set: {error}"))?;
    }
    gate.check_host(target.host())?;
    if let Some(server) = settings.nameserver {
        gate.check_address(server.ip()).map_err(|error| format!("setting `dns_posture.nameserver`: {error}"))?;
    }
    let selected = select(args.run_only.as_deref())?;
    let mut notes = Vec::new();
    if matches!(args.format, Format::Pdf | Format::Both) {
        notes.push(NO_PDF.to_owned());
    }
    let plugins = if args.mode == Mode::Active {
        notes.push(NO_ACTIVE.to_owned());
        Vec::new()
    } else {
        selected
    };
    let output_dir = args.output_dir.clone().unwrap_or_else(|| default_folder(&target));
    let options = Box::new(ScanOptions {
        arguments: arguments(args, &output_dir),
        target,
        plugins,
        workers: if args.parallel { usize::from(args.max_workers) } else { 1 },
        output_dir,
        settings,
        gate,
        logo,
        notes,
    });
    Ok(if args.dry_run { Plan::DryRun(options) } else { Plan::Scan(options) })
}

/// Returns the plugins of `--run-only` in running order, or all plugins without the option.
fn select(names: Option<&str>) -> Result<Vec<&'static dyn Plugin>, String> {
    let Some(names) = names else { return Ok(registry::all()) };
    let wanted: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let unknown: Vec<&str> = wanted.iter().copied().filter(|name| registry::find(name).is_none()).collect();
    if !unknown.is_empty() {
        return Err(format!("--run-only: unknown plugin: {}", unknown.join(", ")));
    }
    if wanted.is_empty() {
        return Err("--run-only: no plugin is named".to_owned());
    }
    Ok(registry::all().into_iter().filter(|plugin| wanted.contains(&plugin.meta().name)).collect())
}

fn default_folder(target: &Target) -> PathBuf {
    let home = std::env::home_dir().unwrap_or_default();
    let name: String = target
        .host()
        .to_string()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' })
        .collect();
    home.join("kast_results").join(format!("{name}-{}", clock::now().strftime("%Y%m%d-%H%M%S")))
}

/// Returns `cli_arguments` of `kast_info.json`, with KAST's keys.
fn arguments(args: &ScanArgs, output_dir: &Path) -> Value {
    json!({
        "target": args.target,
        "mode": args.mode,
        "parallel": args.parallel,
        "max_workers": args.max_workers,
        "verbose": args.verbose,
        "output_dir": output_dir,
        "run_only": args.run_only,
        "log_dir": args.log_dir,
        "format": args.format,
        "logo": args.logo,
        "dry_run": args.dry_run,
        "report_only": args.report_only,
        "ai_summary": false,
    })
}

fn dry_run(options: &ScanOptions) -> ExitCode {
    let mut text = format!(
        "Dry run: nothing is sent or written.\nTarget: {}\nOutput directory: {}\n",
        options.target,
        options.output_dir.display()
    );
    for url in options.target.candidates() {
        text.push_str(&format!("Would try: {url}\n"));
    }
    for plugin in &options.plugins {
        let meta = plugin.meta();
        text.push_str(&format!("Would run: {} ({}): {}\n", meta.display_name, meta.name, meta.description));
    }
    for note in &options.notes {
        text.push_str(&format!("{note}\n"));
    }
    say(text.trim_end())
}

fn execute(options: ScanOptions, args: &ScanArgs) -> ExitCode {
    let journal = match Journal::open(args.log_dir.as_deref(), args.verbose) {
        Ok(journal) => journal,
        Err(error) => return fail(&format!("could not write the log: {error}")),
    };
    for note in &options.notes {
        journal.warn(note);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("could not start the runtime: {error}")),
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = run_scan(options, &journal) => Some(ended),
            Ok(()) = tokio::signal::ctrl_c() => None,
        }
    });
    // A DNS lookup may still block a thread of the runtime. The scanner does not need its result.
    runtime.shutdown_background();
    match ended {
        Some(Ok(info)) => {
            let count = |status: &str| info.plugins.iter().filter(|run| run.status == status).count();
            journal.info(&format!(
                "Scan ended after {} s: {} plugins succeeded, {} failed, {} skipped",
                info.duration_seconds,
                count("success"),
                count("fail"),
                count("skipped")
            ));
            ExitCode::SUCCESS
        }
        Some(Err(error)) => fail(&error.to_string()),
        None => {
            journal.warn("Interrupted");
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn list_plugins(as_json: bool) -> ExitCode {
    let metas: Vec<&Meta> = registry::all().iter().map(|plugin| plugin.meta()).collect();
    if as_json {
        let rows: Vec<Value> = metas.iter().map(|meta| meta.row()).collect();
        return print_json(&json!({ "kast_version": crate::version_text(), "scanner": crate::NAME, "plugins": rows }));
    }
    let lines = metas
        .iter()
        .map(|meta| format!("✓ {} (priority: {}, type: passive)\n  {}", meta.name, meta.priority, meta.description));
    say(&format!("Plugins of Kastrel's built-in scanner:\n\n{}", lines.collect::<Vec<_>>().join("\n\n")))
}

fn show_plugin(name: &str, as_json: bool) -> ExitCode {
    let Some(plugin) = registry::find(name) else { return refuse(&format!("unknown plugin: {name}")) };
    let meta = plugin.meta();
    let mut row = meta.row();
    row["dependencies"] = json!([]);
    row["config_schema"] = meta.schema();
    if as_json {
        print_json(&row)
    } else {
        say(&format!("{} ({})\n{}\n{}", meta.display_name, meta.name, meta.description, meta.website_url))
    }
}

fn list_issues(as_json: bool) -> ExitCode {
    if as_json {
        return print_json(&json!({ "registry": issues::ALL }));
    }
    let lines: Vec<_> = issues::ALL
        .iter()
        .map(|issue| format!("{:<14} {:<42} {}", issue.severity.name(), issue.id, issue.title))
        .collect();
    say(&lines.join("\n"))
}

fn print_json(value: &Value) -> ExitCode {
    say(&format!("{value:#}"))
}

/// Prints to stdout. A closed pipe ends the program without an error, as with other programs.
fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout().lock(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(reason: &dyn Display) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {reason}");
    ExitCode::from(USAGE)
}

fn fail(reason: &dyn Display) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "error: {reason}");
    ExitCode::FAILURE
}
