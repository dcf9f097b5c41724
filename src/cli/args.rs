//! The command line's grammar, and what it asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use kastrel_actors::model::{MAX_WORKERS, NodeId, Priority, ReportFormat, ScanId, ScanMode, ScanRequestDraft, ScanStatus, Severity};

use super::exit::Exit;
use crate::config::{FlagValue, ScannerChoice};

const SERVER_HELP: &str =
    "Work with the server at this address, such as http://127.0.0.1:5000 [env: KASTREL_SERVER]; without it, with the one that holds the data folder";

/// Runs KAST security scans: in this terminal, or for a team on a server
#[derive(Debug, Parser)]
#[command(name = "kastrel", version, propagate_version = true, after_help = Exit::help(), disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the dashboard, the API and a worker
    Serve(ServeArgs),
    /// Only run scans, beside other processes that share Redis and the database
    Worker(WorkerArgs),
    /// Scan a target and wait for the result
    #[command(after_help = Exit::help())]
    Scan(Box<ScanArgs>),
    /// Show where a scan stands
    Status(OneScanArgs),
    /// Cancel a scan
    Cancel(OneScanArgs),
    /// List scans, newest first
    List(ListArgs),
    /// List the scanner's plugins
    Plugins(PluginsArgs),
    /// List the processes that run scans
    Nodes(NodesArgs),
    /// Tell a node to take no new scan, and to hand back in time what it still runs
    Drain(DrainArgs),
    /// Let no scan start, on any node, until the queue is resumed
    Pause(PauseArgs),
    /// Let scans start again
    Resume(ResumeArgs),
    /// Write everything that the database keeps to a file
    Backup(BackupArgs),
    /// Bring a backup back, into an empty database or in the place of a damaged one
    Restore(RestoreArgs),
    /// List the automatic backups, newest first
    Backups(BackupsArgs),
    /// Ask a server or a worker whether it can do its work, for health checks
    Ready(ReadyArgs),
    /// Check that everything a scan needs is in place, and say how to mend what is not
    Doctor(DoctorArgs),
    /// Tell about the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Run the built-in scanner, which takes KAST's arguments
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Scanner {
        /// KAST's arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
        arguments: Vec<OsString>,
    },
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: config/kastrel.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder of the database and everything else that is kept
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Which scanner.
#[derive(Debug, Clone, Default, Args)]
pub struct ScannerArgs {
    /// KAST's program [default: kast on the PATH]
    #[arg(long, value_name = "PATH")]
    pub kast: Option<PathBuf>,
    /// Which scanner to use [default: auto]
    #[arg(long, value_name = "SCANNER", value_parser = PossibleValuesParser::new(ScannerChoice::ALL.iter().map(|choice| choice.as_str())))]
    pub scanner: Option<String>,
}

/// Which server.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerArgs {
    #[arg(long, value_name = "URL", help = SERVER_HELP)]
    #[expect(missing_docs, reason = "a doc comment would replace the help text")]
    pub server: Option<String>,
}

/// `kastrel serve`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ServeArgs {
    /// The address to listen on [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Allow targets in private, loopback and other special ranges
    #[arg(long)]
    pub allow_private_targets: bool,
    /// How many scans run at once [default: 4]
    #[arg(long, value_name = "NUMBER")]
    pub concurrency: Option<String>,
    #[command(flatten)]
    pub scanner: ScannerArgs,
    /// Run no scans in this process; workers run them
    #[arg(long)]
    pub no_worker: bool,
    /// Start a database that has lost rows or is damaged, with what is left
    #[arg(long)]
    pub accept_loss: bool,
}

/// `kastrel worker`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct WorkerArgs {
    /// How many scans run at once [default: 4]
    #[arg(long, value_name = "NUMBER")]
    pub concurrency: Option<String>,
    /// The address of the health checks and metrics [default: 127.0.0.1:5001]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Allow targets in private, loopback and other special ranges
    #[arg(long)]
    pub allow_private_targets: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
}

/// `kastrel ready`
#[derive(Debug, Clone, Default, Args)]
pub struct ReadyArgs {
    /// Whom to ask; a worker says where it listens when it starts
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    pub server: String,
}

/// `kastrel backup`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct BackupArgs {
    /// The file to write; `-` is the standard output
    pub file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel restore`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct RestoreArgs {
    /// The file that `kastrel backup` wrote; `-` is the standard input
    #[arg(required_unless_present = "latest", conflicts_with = "latest")]
    pub file: Option<PathBuf>,
    /// Take the newest automatic backup that is whole
    #[arg(long)]
    pub latest: bool,
    /// Put the database of the data folder aside, under another name
    #[arg(long)]
    pub replace: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel backups`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct BackupsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel nodes`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct NodesArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel drain`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct DrainArgs {
    /// The node's id, as `kastrel nodes` shows it
    pub node: NodeId,
    /// How many seconds it may finish what it runs [default: scans.drain_limit_seconds]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=2_592_000), conflicts_with = "undo")]
    pub within: Option<u64>,
    /// Take the order back
    #[arg(long)]
    pub undo: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel pause`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct PauseArgs {
    /// Why, for those who wonder
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub common: NodesArgs,
}

/// `kastrel resume`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ResumeArgs {
    #[command(flatten)]
    pub common: NodesArgs,
}

/// `kastrel scan`
#[derive(Debug, Clone, Default, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ScanArgs {
    /// A host, host:port, or http(s) URL
    pub target: String,
    /// Which plugins: those that only look, those that attack, or both [default: passive]
    #[arg(short, long, value_name = "MODE", value_parser = names(ScanMode::ALL.iter().map(|one| one.as_str())))]
    pub mode: Option<String>,
    /// Only these plugins, separated by commas
    #[arg(long, value_name = "PLUGINS", value_delimiter = ',')]
    pub run_only: Vec<String>,
    /// Run plugins at the same time (the default)
    #[arg(short, long, overrides_with = "no_parallel")]
    pub parallel: bool,
    /// Run one plugin after the other
    #[arg(long, overrides_with = "parallel")]
    pub no_parallel: bool,
    #[arg(long, value_name = "NUMBER", help = format!("How many plugins at the same time, 1 to {MAX_WORKERS} [default: 5]"))]
    pub max_workers: Option<i64>,
    /// Verbose scanner log
    #[arg(short, long)]
    pub verbose: bool,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// The report's format [default: html]
    #[arg(long, value_name = "FORMAT", value_parser = names(ReportFormat::ALL.iter().map(|one| one.as_str())))]
    pub format: Option<String>,
    /// A setting of the scanner; may be repeated
    #[arg(long, value_name = "PLUGIN.KEY=VALUE")]
    pub set: Vec<String>,
    /// Its place among waiting scans [default: normal]
    #[arg(long, value_name = "PRIORITY", value_parser = names(Priority::ALL.iter().map(|one| one.as_str())))]
    pub priority: Option<String>,
    /// Exit with code 10 if an issue of this severity or worse was found
    #[arg(long, value_name = "SEVERITY", value_parser = names(Severity::ALL.iter().map(|one| one.as_str())))]
    pub fail_on: Option<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print one JSON document at the end; progress goes to standard error
    #[arg(long)]
    pub json: bool,
    /// Only submit the scan to the server, without waiting for its end
    #[arg(long, conflicts_with = "fail_on")]
    pub no_wait: bool,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
}

/// `kastrel status` and `kastrel cancel`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct OneScanArgs {
    /// The scan's number
    pub id: ScanId,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ListArgs {
    /// Only scans in this state
    #[arg(long, value_name = "STATUS", value_parser = names(ScanStatus::ALL.iter().map(|one| one.as_str())))]
    pub status: Option<String>,
    /// Only scans whose target contains this text
    #[arg(long, value_name = "TEXT")]
    pub target: Option<String>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `kastrel plugins`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct PluginsArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub config: ConfigArgs,
    #[command(flatten)]
    pub scanner: ScannerArgs,
}

/// `kastrel doctor`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// `kastrel config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every key, its value and where it came from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// The flags of `serve`, to see what they change.
        #[command(flatten)]
        serve: ServeArgs,
    },
}

fn names(names: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

impl ConfigArgs {
    fn flags(&self) -> Vec<FlagValue> {
        path("data.dir", self.data_dir.as_ref())
    }
}

impl ScannerArgs {
    fn flags(&self) -> Vec<FlagValue> {
        let mut flags = path("kast.path", self.kast.as_ref());
        flags.extend(text("kast.scanner", self.scanner.as_ref()));
        flags
    }

    /// Whether either was given.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.kast.is_some() || self.scanner.is_some()
    }
}

impl ServeArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        let private = self.allow_private_targets.then(|| FlagValue { key: "scope.allow_private", value: "true".into() });
        let loss = self.accept_loss.then(|| FlagValue { key: "database.accept_loss", value: "true".into() });
        let own = text("server.listen", self.listen.as_ref()).into_iter().chain(text("scans.concurrency", self.concurrency.as_ref())).chain(private);
        own.chain(loss).chain(self.config.flags()).chain(self.scanner.flags()).collect()
    }
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
            target: self.target.clone(),
            mode: self.mode.clone(),
            plugins: self.run_only.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
            parallel: self.no_parallel.then_some(false).or(self.parallel.then_some(true)),
            max_workers: self.max_workers,
            verbose: self.verbose.then_some(true),
            dry_run: self.dry_run.then_some(true),
            format: self.format.clone(),
            overrides: self.set.clone(),
            priority: self.priority.clone(),
            // The command names the mode. Not sent where it is not needed: older servers do not know the field.
            confirm_active: self.mode.as_deref().is_some_and(|mode| mode != "passive").then_some(true),
        }
    }

    /// The severity of `--fail-on`.
    #[must_use]
    pub fn fail_on(&self) -> Option<Severity> {
        self.fail_on.as_deref().and_then(|name| name.parse().ok())
    }
}

impl PluginsArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags().into_iter().chain(self.scanner.flags()).collect()
    }
}

impl WorkerArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        let own = text("worker.listen", self.listen.as_ref()).into_iter().chain(text("scans.concurrency", self.concurrency.as_ref()));
        let private = self.allow_private_targets.then(|| FlagValue { key: "scope.allow_private", value: "true".into() });
        own.chain(private).chain(self.config.flags()).chain(self.scanner.flags()).collect()
    }
}

impl NodesArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl BackupArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl RestoreArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl BackupsArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl DrainArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl OneScanArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

impl ListArgs {
    /// What it says of the configuration.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        self.config.flags()
    }
}

fn text(key: &'static str, value: Option<&String>) -> Option<FlagValue> {
    value.map(|value| FlagValue { key, value: value.clone() })
}

fn path(key: &'static str, value: Option<&PathBuf>) -> Vec<FlagValue> {
    value.map(|value| FlagValue { key, value: value.to_string_lossy().into_owned() }).into_iter().collect()
}

/// The arguments of the built-in scanner, with a program name before them, if the command line asks for it.
///
/// Looked at before the command line is parsed, so that nothing of what is the scanner's is taken for ours.
#[must_use]
pub fn scanner_arguments(args: &[OsString]) -> Option<Vec<OsString>> {
    let [_, command, rest @ ..] = args else { return None };
    (command == "scanner").then(|| std::iter::once(OsString::from("kastrel scanner")).chain(rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::Key;

    fn scan(args: &[&str]) -> ScanArgs {
        match Cli::try_parse_from(["kastrel", "scan"].iter().chain(args)).unwrap().command {
            Command::Scan(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_a_key_is_a_flag_of_serve() {
        let command = Cli::command();
        let serve = command.find_subcommand("serve").unwrap();
        let long: Vec<String> = serve.get_arguments().filter_map(|arg| arg.get_long().map(|long| format!("--{long}"))).collect();
        for flag in crate::config::KEYS.iter().filter_map(|key| key.flag) {
            assert!(long.contains(&flag.to_owned()), "{flag}");
        }
    }

    #[test]
    fn flags_reach_their_keys() {
        let all = [
            "kastrel",
            "serve",
            "--listen=[::1]:1",
            "--data-dir=d",
            "--allow-private-targets",
            "--concurrency=9",
            "--kast=/k",
            "--scanner=kast",
            "--accept-loss",
        ];
        let Command::Serve(args) = Cli::try_parse_from(all).unwrap().command else { panic!("serve") };
        let flags = args.flags();
        assert_eq!(flags.len(), crate::config::KEYS.iter().filter(|key| key.flag.is_some()).count());
        for flag in flags {
            assert!(Key::find(flag.key).is_some_and(|key| key.flag.is_some()), "{}", flag.key);
        }
    }

    #[test]
    fn a_scan_is_what_the_words_say() {
        assert_eq!(scan(&["example.com"]).draft(), ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() });
        let all = scan(&[
            "example.com",
            "-m",
            "both",
            "--run-only",
            "a,b",
            "--no-parallel",
            "--max-workers",
            "3",
            "-v",
            "--dry-run",
            "--format",
            "pdf",
            "--set",
            "a.b=c,d",
            "--set",
            "a.e=f",
            "--priority",
            "low",
            "--fail-on",
            "high",
        ]);
        assert_eq!(all.fail_on(), Some(Severity::High));
        let draft = all.draft();
        assert_eq!(draft.plugins, ["a", "b"]);
        assert_eq!(draft.overrides, ["a.b=c,d", "a.e=f"]);
        assert_eq!((draft.parallel, draft.max_workers, draft.verbose, draft.dry_run), (Some(false), Some(3), Some(true), Some(true)));
        assert!(draft.check().is_ok());
        assert_eq!(scan(&["x", "-p"]).draft().parallel, Some(true));
        assert_eq!(scan(&["x", "--no-parallel", "-p"]).draft().parallel, Some(true), "the last word counts");
    }

    #[test]
    fn wrong_words_are_refused() {
        for args in [
            &["scan"][..],
            &["scan", "x", "-m", "loud"],
            &["scan", "x", "--fail-on", "worst"],
            &["scan", "x", "--no-wait", "--fail-on", "high"],
            &["scan", "-oX"],
            &["status", "first"],
            &["list", "--limit", "0"],
            &["nothing"],
            &[],
        ] {
            let error = Cli::try_parse_from(["kastrel"].iter().chain(args)).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{args:?}");
        }
    }

    #[test]
    fn the_scanners_arguments_stay_untouched() {
        let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            scanner_arguments(&args(&["kastrel", "scanner", "-h", "--version", "--odd", "--", "x"])),
            Some(args(&["kastrel scanner", "-h", "--version", "--odd", "--", "x"]))
        );
        assert_eq!(scanner_arguments(&args(&["kastrel", "scan", "scanner"])), None);
        assert_eq!(scanner_arguments(&args(&["kastrel"])), None);
    }

    #[test]
    fn the_help_lists_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(exit.meaning()), "{help}");
        }
    }
}
