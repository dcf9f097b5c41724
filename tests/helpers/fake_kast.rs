//! The fake KAST for tests: it accepts KAST's command line, writes KAST's files in KAST's order,
//! and can misbehave like a real scanner.
//!
//! The labels of the target's host name, split at `-` and `.`, select the behaviour. If `FAKE_KAST`
//! is set, its value is used instead. Words:
//!
//! | word | behaviour |
//! |---|---|
//! | `200ms` | takes this time, spread over its plugins (default: no time) |
//! | `3p` | runs this number of plugins, from `FAKE_PLUGINS` (default: 3) |
//! | `crash` | a Python traceback on stderr, exit code 1 |
//! | `usage` | exit code 2 |
//! | `nofiles` | exit code 0 without any file |
//! | `signal` | dies by SIGKILL, as when the kernel runs out of memory |
//! | `hang` | starts its first plugin and never ends |
//! | `hangfirst` | the same, unless another `attempt-N` folder exists beside its own |
//! | `stubborn` | ignores SIGINT and SIGTERM; combine with `hang` |
//! | `family` | starts one child in its process group and one in a new session; both never end and ignore SIGINT and SIGTERM |
//! | `stranger` | starts a child in a new session with an empty environment, and prints its id |
//! | `escape` | leaves an orphan process in a new session with an empty environment, and prints its id |
//! | `forge` | the same, but its environment claims that it is a keeper |
//! | `bomb` | starts processes that start processes; prints a line when the system refuses a new one |
//! | `eat` | allocates memory until the system refuses more, at most 2 GiB, and prints the amount |
//! | `look` | prints its user, capabilities, limits, folders, open files and parent |
//! | `spy` | tries to read the files and to signal the processes in `FAKE_KAST_SPY`, and prints the results |
//! | `reach` | tries to connect to the addresses in `FAKE_KAST_REACH`, and prints the results; `dns` is the resolver, `multicast` a group of each family, `device:` before an address binds to the interface, `turned` the address of `rebound.test` once it is not 203.0.113.1 |
//! | `closed` | makes its results readable by its own user only |
//! | `flood` | writes 1 GiB to stdout, 64 MiB of it to stderr, then continues |
//! | `truncated`, `huge`, `deep`, `latin1`, `linked`, `fifo` | `kast_info.json` has this fault |
//! | `ptruncated`, `phuge`, `pdeep`, `platin1`, `plinked` | the first plugin's result file has this fault |
//! | `pspoilt` | the first plugin's result file is complete for a moment, and then truncated |
//! | `pissuetext`, `pissuekeys` | the first plugin's issue is a text, or a key of an object |
//! | `ptimeout` | the first plugin's result has the disposition `timeout` |
//! | `infotimeout` | `kast_info.json` has the status `timeout` for the first plugin, whose result has no disposition |
//! | `manyp` | lists 600 additional plugins, each with a result |
//! | `flaky` | crashes unless two `attempt-N` folders exist beside its own |
//! | `halfcrash` | crashes after its first plugin, unless another `attempt-N` folder exists beside its own |
//! | `failp` | its last plugin fails |
//! | `missingp`, `skippedp`, `unknownp` | its last plugin has this status in `kast_info.json`, and no result file |
//! | `allfail` | all its plugins fail |
//! | `clean` | its plugins report no issues |
//! | `noreport` | it writes no report |
//! | `env` | prints its environment |
//! | `config` | prints its configuration file on both streams |
//! | `gated` | ends each plugin only when the folder in `FAKE_KAST_GATES` has a file with the plugin's name |
//! | `hostile` | its report, its files and its log try to run script in a browser |
//!
//! If `FAKE_KAST_STARTS` is a folder, the program writes its start time and its crash time there,
//! in milliseconds since the epoch: `<scan>-<attempt>.start` and `.end`.
//!
//! If `FAKE_KAST_JOURNAL` is a folder, the program appends to `<scan>.journal` there:
//! `start <attempt> <pid> <ms>` and, when it ends by itself, `finish <attempt> <pid> <ms>`. While
//! it runs it holds a lock on `<scan>.lock`, which the system releases at any end of the process. A
//! process that starts while another one of its scan still runs writes `overlap` instead of
//! `start`.
//!
//! If `FAKE_KAST_REPLAY` is a folder, a scan writes exactly the files of this folder.
//!
//! If `FAKE_KAST_ACTIVE` is a plugin name, the program also offers this plugin, as an active one.
//!
//! If `FAKE_KAST_DEMO` is set, the program offers the plugins and runs the scans of
//! `fake_kast_demo.rs`, for one second unless a word says otherwise.
//!
//! With `--run-only`, the program runs only these of its plugins.
//!
//! Other commands: `--version`, `plugins list --json`, `plugins deps`, `registry list --json`,
//! `--list-plugins`, `--dry-run`, `--report-only`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program for tests that talks on its standard streams"
)]

#[path = "fake_kast_conduct.rs"]
mod conduct;
#[path = "fake_kast_demo.rs"]
mod demo;
#[path = "fake_kast_files.rs"]
mod files;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use conduct::{bomb, child, close, eat, escape, escaping, family, flood, look, reach, spy, stranger};
use files::{hostile, plugins, write};

const FAKE_PLUGINS: &[&str] =
    &["whatweb", "wafw00f", "testssl", "cors_analyzer", "script_detection", "ai_surface_detection"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["--version"] => println!("KAST version 3.0.40"),
        ["plugins", "deps", ..] if demo::is_on() => println!("{}", demo::dependencies()),
        ["registry", "list", "--json"] if demo::is_on() => {
            println!("{}", serde_json::json!({ "registry": demo::registry() }));
        }
        ["plugins", "list", "--json"] => {
            println!("{}", serde_json::json!({"kast_version": "3.0.40", "plugins": plugin_list()}));
        }
        ["plugins", "deps", ..] => println!(
            "  [✓] Priority  10 | script_detection (passive)\n      Dependencies:\n        └─ whatweb (<lambda>)"
        ),
        ["registry", "list", "--json"] => {
            println!(
                "{}",
                serde_json::json!({"registry": [{"id": "FAKE-1", "display_name": "A fake issue", "severity": "High"}]})
            );
        }
        ["config", "schema"] | ["--config-schema"] => println!("{{}}"),
        ["--list-plugins"] => println!("✓ whatweb (priority: 15, type: passive)\n  Looks."),
        ["play-child", "escape"] => return escaping(),
        ["play-child", "bomb"] => return bomb(),
        ["play-child", kind] => return runtime().block_on(child(kind)),
        ["--report-only", folder, ..] => {
            std::fs::write(Path::new(folder).join("kast_report.html"), "<p>rendered again</p>").unwrap();
            println!("HTML report generated");
        }
        _ => return scan(&args),
    }
    ExitCode::SUCCESS
}

fn plugin_list() -> Vec<serde_json::Value> {
    if demo::is_on() {
        return demo::plugins();
    }
    let plugin = |name: &str, kind: &str| serde_json::json!({"name": name, "display_name": name.to_uppercase(), "description": "Plays.", "scan_type": kind, "available": true});
    let active = std::env::var("FAKE_KAST_ACTIVE").ok();
    FAKE_PLUGINS
        .iter()
        .map(|name| plugin(name, "passive"))
        .chain(active.iter().map(|name| plugin(name, "active")))
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

struct Play {
    behaviour: Vec<String>,
    out: PathBuf,
    host: String,
    config: Option<String>,
    /// The value of `--run-only`.
    only: Option<String>,
}

impl Play {
    fn is(&self, word: &str) -> bool {
        self.behaviour.iter().any(|one| one == word)
    }

    fn number(&self, unit: &str, default: u64) -> u64 {
        self.behaviour.iter().find_map(|word| word.strip_suffix(unit)?.parse().ok()).unwrap_or(default)
    }
}

fn scan(args: &[String]) -> ExitCode {
    let after = |option: &str| args.iter().position(|arg| arg == option).and_then(|at| args.get(at + 1)).cloned();
    let (Some(target), Some(out)) = (after("-t"), after("-o")) else {
        eprintln!("Error: Missing option '--target'.");
        return ExitCode::from(2);
    };
    mark(Path::new(&out), "start");
    let journal = Journal::open(Path::new(&out));
    let script = std::env::var("FAKE_KAST").unwrap_or_else(|_| host(&target).to_owned());
    let mut play = Play {
        behaviour: script.split(['-', '.', ':']).map(str::to_owned).collect(),
        out: out.into(),
        host: script,
        config: after("--config"),
        only: after("--run-only"),
    };
    if demo::is_on() && play.host.starts_with("legacy") {
        play.behaviour.push("crash".into());
    }
    println!("KAST - Kali Automated Scan Tool");
    if args.iter().any(|arg| arg == "--dry-run") {
        println!("[DRY RUN] would run the plugins");
        return ExitCode::SUCCESS;
    }
    let code = runtime().block_on(run(&play));
    if let Some(journal) = journal {
        journal.write("finish");
    }
    code
}

/// Drops the scheme and the path of a target, as KAST does.
fn host(target: &str) -> &str {
    let authority = target.split_once("://").map_or(target, |(_, rest)| rest);
    authority.split_once('/').map_or(authority, |(host, _)| host)
}

/// The journal of this process, and the lock that shows that the process runs.
struct Journal {
    path: PathBuf,
    attempt: String,
    _lock: std::fs::File,
}

impl Journal {
    fn open(out: &Path) -> Option<Self> {
        let folder = PathBuf::from(std::env::var_os("FAKE_KAST_JOURNAL")?);
        let (scan, attempt) = (number(out.parent().unwrap()), number(out));
        let lock = std::fs::File::create(folder.join(format!("{scan}.lock"))).unwrap();
        let alone = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
        let journal = Self { path: folder.join(format!("{scan}.journal")), attempt, _lock: lock };
        journal.write(if alone { "start" } else { "overlap" });
        Some(journal)
    }

    fn write(&self, what: &str) {
        let line = format!("{what} {} {} {:.0}\n", self.attempt, std::process::id(), now_ms());
        std::fs::File::options()
            .append(true)
            .create(true)
            .open(&self.path)
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }
}

/// The number at the end of a folder's name: `out` is `…-<scan>/attempt-<n>`.
fn number(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().rsplit('-').next().unwrap().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "another process compares it with its own wall clock")]
fn now_ms() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

/// Writes the current time to a file, for benchmarks.
fn mark(out: &Path, what: &str) {
    let Some(folder) = std::env::var_os("FAKE_KAST_STARTS") else { return };
    let name = format!("{}-{}.{what}", number(out.parent().unwrap()), number(out));
    let path = Path::new(&folder).join(name);
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, now_ms().to_string()).unwrap();
    std::fs::rename(temporary, path).unwrap();
}

async fn run(play: &Play) -> ExitCode {
    let _ignored = play
        .is("stubborn")
        .then(|| (signal(SignalKind::interrupt()).unwrap(), signal(SignalKind::terminate()).unwrap()));
    if play.is("env") {
        std::env::vars().for_each(|(name, value)| println!("env {name}={value}"));
    }
    if let Some(config) = play.config.as_ref().filter(|_| play.is("config")) {
        let text = std::fs::read_to_string(config).unwrap();
        println!("config {text}");
        eprintln!("config {text}");
    }
    if let Some(folder) = std::env::var_os("FAKE_KAST_REPLAY") {
        std::fs::create_dir_all(&play.out).unwrap();
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            write(&play.out, entry.file_name().to_str().unwrap(), &std::fs::read(entry.path()).unwrap());
        }
        return ExitCode::SUCCESS;
    }
    if play.is("usage") {
        eprintln!("Usage: kast [OPTIONS]\nError: Invalid value for '--mode'.");
        return ExitCode::from(2);
    }
    if play.is("nofiles") {
        return ExitCode::SUCCESS;
    }
    if play.is("crash") || (play.is("flaky") && attempts_beside(&play.out) < 3) {
        return crash(&play.out);
    }
    std::fs::create_dir_all(&play.out).unwrap();
    if play.is("signal") {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    }
    if play.is("family") {
        family();
    }
    if play.is("stranger") {
        stranger(&play.out);
    }
    if play.is("escape") || play.is("forge") {
        escape(&play.out, play.is("forge"));
    }
    if play.is("look") {
        look();
    }
    if play.is("spy") {
        spy();
    }
    if play.is("reach") {
        reach();
    }
    if play.is("eat") {
        eat();
    }
    if play.is("bomb") {
        bomb();
    }
    if play.is("flood") {
        flood();
    }
    if play.is("hang") || (play.is("hangfirst") && attempts_beside(&play.out) < 2) {
        write(&play.out, "whatweb.json", b"[");
        println!("hanging");
        std::future::pending::<()>().await;
    }
    if demo::is_on() {
        demo::play(&play.out, &play.host, Duration::from_millis(play.number("ms", 1000))).await;
    } else if !plugins(play).await {
        return crash(&play.out);
    }
    if play.is("hostile") {
        hostile(&play.out);
    }
    if play.is("closed") {
        close(&play.out);
    }
    ExitCode::SUCCESS
}

/// Ends like a Python program with an error.
fn crash(out: &Path) -> ExitCode {
    eprintln!(
        "Traceback (most recent call last):\n  File \"kast/main.py\", line 1, in <module>\nValueError: \u{1b}[31mplayed crash\u{1b}[0m"
    );
    mark(out, "end");
    ExitCode::FAILURE
}

fn attempts_beside(out: &Path) -> usize {
    let entries = std::fs::read_dir(out.parent().unwrap()).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("attempt-")).count()
}
