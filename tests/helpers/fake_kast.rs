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
//! Other commands: `--version`, `plugins list --json`, `plugins deps`, `registry list --json`,
//! `--list-plugins`, `--dry-run`, `--report-only`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program for tests that talks on its standard streams"
)]

#[path = "fake_kast_demo.rs"]
mod demo;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

const FAKE_PLUGINS: &[&str] =
    &["whatweb", "wafw00f", "testssl", "cors_analyzer", "script_detection", "ai_surface_detection"];
const START: &str = "2026-11-23T19:06:59.039284";
const END: &str = "2026-11-23T19:07:02.533311";

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

/// Runs a process that never ends by itself and ignores SIGINT and SIGTERM.
async fn child(kind: &str) -> ExitCode {
    if kind == "session" {
        rustix::process::setsid().unwrap();
    }
    let _ignored = (signal(SignalKind::interrupt()).unwrap(), signal(SignalKind::terminate()).unwrap());
    println!("{kind} child is ready");
    std::future::pending().await
}

struct Play {
    behaviour: Vec<String>,
    out: PathBuf,
    host: String,
    config: Option<String>,
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
        eprintln!(
            "Traceback (most recent call last):\n  File \"kast/main.py\", line 1, in <module>\nValueError: \u{1b}[31mplayed crash\u{1b}[0m"
        );
        mark(&play.out, "end");
        return ExitCode::FAILURE;
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
    } else {
        plugins(play).await;
    }
    if play.is("hostile") {
        hostile(&play.out);
    }
    if play.is("closed") {
        close(&play.out);
    }
    ExitCode::SUCCESS
}

/// Starts two children, and waits until they are ready.
#[expect(clippy::zombie_processes, reason = "nobody waiting for them is the bad behaviour that is played")]
fn family() {
    for kind in ["group", "session"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["play-child", kind]).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        println!("{line}");
    }
}

/// Starts a child that keeps no mark of its origin except its parent.
#[expect(clippy::zombie_processes, reason = "nobody waiting for it is the bad behaviour that is played")]
fn stranger(out: &Path) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["play-child", "session"])
        .env_clear()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    write(out, "stranger.pid", child.id().to_string().as_bytes());
}

/// Returns the first line that a child prints, which it does when it is ready.
fn first_line(child: &mut std::process::Child) -> String {
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    line.trim().to_owned()
}

/// Starts a process without any mark of its origin, not even its parent: it forks twice, and has a
/// new session and an empty environment.
fn escape(out: &Path, is_forged: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["play-child", "escape"]).env_clear().stdout(std::process::Stdio::piped());
    if is_forged {
        let marker = std::env::var("KASTREL_ATTEMPT").unwrap();
        let (data, run) = (marker.split(':').next().unwrap(), marker.rsplit(':').next().unwrap());
        command.env("KASTREL_KEEPER", format!("{data}:keeper:{run}"));
    }
    let mut between = command.spawn().unwrap();
    let line = first_line(&mut between);
    between.wait().unwrap();
    println!("{line}");
    write(out, "escaped.pid", line.trim_start_matches("escaped ").as_bytes());
}

/// Runs the process between the scanner and the escaping process. It ends immediately.
fn escaping() -> ExitCode {
    rustix::process::setsid().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["play-child", "session"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    first_line(&mut child);
    println!("escaped {}", child.id());
    ExitCode::SUCCESS
}

/// Starts copies of itself until the system refuses one, and then tries again.
fn bomb() -> ExitCode {
    let mut is_refused = false;
    loop {
        let started = Command::new(std::env::current_exe().unwrap()).args(["play-child", "bomb"]).env_clear().spawn();
        if started.is_err() && !is_refused {
            is_refused = true;
            println!("bomb refused");
            std::io::stdout().flush().unwrap();
        }
    }
}

fn eat() {
    const CHUNK: usize = 16 << 20;
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    while eaten.len() < (2 << 30) / CHUNK {
        let mut chunk = Vec::new();
        if chunk.try_reserve_exact(CHUNK).is_err() {
            println!("memory refused after {} MiB", eaten.len() * (CHUNK >> 20));
            return;
        }
        chunk.resize(CHUNK, 1);
        eaten.push(chunk);
    }
    println!("memory was not refused");
}

fn look() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in status.lines().filter(|line| {
        ["Uid:", "Gid:", "Groups:", "CapEff:", "CapPrm:", "NoNewPrivs:"].iter().any(|name| line.starts_with(name))
    }) {
        println!("look {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    for file in ["oom_score_adj", "cgroup"] {
        println!(
            "look {file} {}",
            std::fs::read_to_string(format!("/proc/self/{file}")).unwrap().lines().last().unwrap_or_default()
        );
    }
    let parent = std::os::unix::process::parent_id();
    println!("look keeper {} {parent}", std::fs::read_to_string(format!("/proc/{parent}/comm")).unwrap().trim());
    for descriptor in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        if let Ok(file) = std::fs::read_link(descriptor.path()).map(|file| file.display().to_string()).map_err(drop)
            && file.starts_with("/etc")
        {
            println!("look open {file}");
        }
    }
    println!("look core {:?}", rustix::process::getrlimit(rustix::process::Resource::Core).maximum);
    for name in ["TMPDIR", "HOME", "USER"] {
        println!("look {name} {}", std::env::var(name).unwrap_or_default());
    }
    let mut tmp: Vec<String> = std::fs::read_dir("/tmp")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    tmp.sort();
    println!("look /tmp {}", tmp.join(","));
    std::fs::write(Path::new(&std::env::var("TMPDIR").unwrap()).join("kept"), "x").unwrap();
    if tmp.is_empty() {
        std::fs::write("/tmp/kastrel-fake-kast", "x").unwrap();
    }
}

/// Reads `FAKE_KAST_SPY`: comma-separated paths and process ids. `@keeper` is the parent process,
/// and `@server` is the parent of the keeper.
fn spy() {
    let parent = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned()
    };
    let keeper = parent("self");
    let wanted =
        std::env::var("FAKE_KAST_SPY").unwrap().replace("@server", &parent(&keeper)).replace("@keeper", &keeper);
    for one in wanted.split(',') {
        let tried = match one.parse().ok().and_then(rustix::process::Pid::from_raw) {
            Some(pid) => rustix::process::test_kill_process(pid).map_err(std::io::Error::from),
            None if Path::new(one).is_dir() => std::fs::read_dir(one).map(drop),
            None => std::fs::read(one).map(drop),
        };
        println!("spy {one} {}", tried.map_or_else(|error| format!("{:?}", error.kind()), |()| "done".into()));
    }
}

fn reach() {
    const LIMIT: Duration = Duration::from_secs(2);
    let connect = |wanted: &str| {
        let addresses = std::net::ToSocketAddrs::to_socket_addrs(wanted)?;
        let mut tried = Err(std::io::ErrorKind::NotFound.into());
        for address in addresses {
            tried = std::net::TcpStream::connect_timeout(&address, LIMIT).map(drop);
        }
        tried
    };
    for wanted in std::env::var("FAKE_KAST_REACH").unwrap().split(',') {
        let came = match wanted {
            "dns" => ask_resolver().map(|_| "yes".to_owned()),
            // The test changes the name server's answer while this program runs.
            "turned" => loop {
                match ask_resolver() {
                    Ok(address) if address == "203.0.113.1" => {}
                    asked => break asked,
                }
            },
            "multicast" => Ok(python(MULTICAST, "")),
            _ => match wanted.strip_prefix("device:") {
                Some(address) => Ok(python(BOUND, address)),
                None => connect(wanted).map(|()| "yes".to_owned()),
            },
        };
        println!("reach {wanted} {}", came.unwrap_or_else(|error| format!("{:?}", error.kind())));
    }
}

/// Connects over the first non-loopback interface, regardless of the routes.
const BOUND: &str = "
import socket, sys
host, port = sys.argv[1].rsplit(':', 1)
name = [name for _, name in socket.if_nameindex() if name != 'lo'][0]
s = socket.socket(socket.AF_INET6 if '[' in host else socket.AF_INET)
s.settimeout(3)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
s.connect((host.strip('[]'), int(port)))
print('yes')
";

/// Sends a datagram to a group of each family.
const MULTICAST: &str = "
import socket
index = [index for index, name in socket.if_nameindex() if name != 'lo'][0]
socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('ff02::fb', 8085, 0, index))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('0.0.0.0') * 2 + index.to_bytes(4, 'little'))
s.sendto(b'x', ('239.1.2.3', 8085))
print('yes')
";

/// Returns the output of a Python program, or its last line if it fails.
fn python(program: &str, argument: &str) -> String {
    let output = Command::new("python3").args(["-c", program, argument]).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&text).trim().lines().last().unwrap_or_default().to_owned()
}

/// Asks the resolver for `rebound.test`, without the hosts file. Returns the address.
fn ask_resolver() -> std::io::Result<String> {
    let text = std::fs::read_to_string("/etc/resolv.conf")?;
    let resolver = text.lines().find_map(|line| line.strip_prefix("nameserver ")).unwrap_or("127.0.0.1");
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.send_to(b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07rebound\x04test\0\0\x01\0\x01", (resolver, 53))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    let [.., a, b, c, d] = answer[..length] else { return Err(std::io::ErrorKind::InvalidData.into()) };
    Ok(format!("{a}.{b}.{c}.{d}"))
}

/// Restricts the files to their user, as some programs do.
fn close(out: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(out).unwrap().flatten() {
        // It cannot change files of other users.
        let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o600));
    }
    std::fs::create_dir(out.join("deep")).unwrap();
    std::fs::write(out.join("deep/file"), "x").unwrap();
    std::fs::set_permissions(out.join("deep"), std::fs::Permissions::from_mode(0o700)).unwrap();
}

fn flood() {
    let line = [b"flood ".as_slice(), &[b'x'; 121], b"\n"].concat().repeat(512);
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    for chunk in 0..(1 << 30) / line.len() {
        stdout.write_all(&line).unwrap();
        if chunk % 16 == 0 {
            stderr.write_all(&line).unwrap();
        }
    }
}

async fn plugins(play: &Play) {
    let count = usize::try_from(play.number("p", 3)).unwrap().min(FAKE_PLUGINS.len());
    let pause = Duration::from_millis(play.number("ms", 0)) / u32::try_from(count.max(1)).unwrap();
    let mut info = Vec::new();
    for (index, name) in FAKE_PLUGINS.iter().take(count).enumerate() {
        write(&play.out, &format!("{name}.json"), b"[]");
        println!("Running {name}");
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if play.is("gated") {
            gate(name).await;
        }
        let is_last = index + 1 == count;
        let failed = play.is("allfail") || (play.is("failp") && is_last);
        let odd = [("missingp", "unavailable"), ("skippedp", "skipped"), ("unknownp", "unknown")]
            .into_iter()
            .find(|(word, _)| is_last && play.is(word));
        let file = format!("{name}_processed.json");
        let mut text = processed(name, index, failed, play.is("clean"));
        if index == 0 {
            text = odd_result(&text, play);
        }
        match () {
            () if odd.is_some() => std::fs::remove_file(play.out.join(format!("{name}.json"))).unwrap(),
            () if index > 0 => write(&play.out, &file, text.as_bytes()),
            () if play.is("pspoilt") => {
                write(&play.out, &file, text.as_bytes());
                tokio::time::sleep(Duration::from_millis(200)).await;
                std::fs::write(play.out.join(&file), &text.as_bytes()[..text.len() / 2]).unwrap();
            }
            () if play.is("ptruncated") => write(&play.out, &file, &text.as_bytes()[..text.len() / 2]),
            () if play.is("phuge") => sparse(&play.out.join(&file)),
            () if play.is("pdeep") => write(&play.out, &file, deep("summary").as_bytes()),
            () if play.is("platin1") => write(&play.out, &file, &latin1(&text)),
            () if play.is("plinked") => link(&play.out.join(&file)),
            () => write(&play.out, &file, text.as_bytes()),
        }
        let status = odd.map_or(if failed { "fail" } else { "success" }, |(_, status)| status);
        let status = if index == 0 && play.is("infotimeout") { "timeout" } else { status };
        info.push(serde_json::json!({"plugin_name": name, "start_timestamp": START, "end_timestamp": END, "duration_seconds": 3.5, "status": status}));
    }
    for number in (0..600).filter(|_| play.is("manyp")) {
        let name = format!("more_{number}");
        write(&play.out, &format!("{name}_processed.json"), processed(&name, 0, false, true).as_bytes());
        info.push(serde_json::json!({"plugin_name": name, "start_timestamp": START, "end_timestamp": END, "status": "success"}));
    }
    let text = serde_json::json!({"kast_version": "3.0.40", "note": "a bücher note", "plugins": info}).to_string();
    const INFO: &str = "kast_info.json";
    match () {
        () if play.is("truncated") => write(&play.out, INFO, &text.as_bytes()[..text.len() / 2]),
        () if play.is("huge") => sparse(&play.out.join(INFO)),
        () if play.is("deep") => write(&play.out, INFO, deep("plugins").as_bytes()),
        () if play.is("latin1") => write(&play.out, INFO, &latin1(&text)),
        () if play.is("linked") => link(&play.out.join(INFO)),
        () if play.is("fifo") => {
            use rustix::fs::{CWD, FileType, Mode};
            rustix::fs::mknodat(CWD, play.out.join(INFO), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        }
        () => write(&play.out, INFO, text.as_bytes()),
    }
    if !play.is("noreport") {
        write(&play.out, "kast_report.html", b"<h1>a report</h1>");
    }
}

/// Writes the content that a hostile site could get into the files of its scan. Each script that
/// runs leaves a mark: it changes the title or the text of a paragraph.
fn hostile(out: &Path) {
    let script = "document.title = 'owned'; window.owned = true";
    println!("<script>{script}</script><img src=x onerror=\"{script}\">");
    let report = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>a report</title><link rel=stylesheet href=kast_style.css><style>#inline {{ color: rgb(4, 5, 6) }}</style>
         <h1 id=styled>a report</h1><p id=inline>with a style</p><p id=canary>as written</p><img id=own src=logo.png alt=''>
         <script>{script}; canary.textContent = 'a script ran'; fetch('/api/scans/1/cancel', {{ method: 'POST' }})</script><script src=owned.js></script>
         <img src=missing.png onerror=\"canary.textContent = 'a handler ran'\" alt=''><svg onload=\"canary.textContent = 'an image ran'\"></svg>
         <form id=form action=/scans/bulk method=post><input name=action value=delete><input name=scan value=1><input name=confirmed value=yes></form>
         <a id=up target=_top href=\"javascript:{script}\">up</a><iframe src=/scans/1></iframe>"
    );
    write(out, "kast_report.html", report.as_bytes());
    write(out, "kast_style.css", b"#styled { color: rgb(1, 2, 3) }");
    write(out, "logo.png", PIXEL);
    write(out, "owned.js", script.as_bytes());
    let image = format!("<svg xmlns='http://www.w3.org/2000/svg' onload=\"{script}\"><script>{script}</script></svg>");
    for name in [
        "owned.svg",
        "<img src=x onerror=document.title='owned'>.txt",
        "\"><svg onload=document.title='owned'>.svg",
        "javascript:document.title='owned'.html",
        "a b#?%2e&.json",
    ] {
        write(out, name, image.as_bytes());
    }
}

/// A picture of one pixel.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\xdac\xfc\xcf\xc0P\x0f\0\x04\x85\x01\x80\x84\xa9\x8c!\0\0\0\0IEND\xaeB`\x82";

/// Waits until a test releases this plugin.
async fn gate(name: &str) {
    let file = Path::new(&std::env::var_os("FAKE_KAST_GATES").expect("`gated` needs FAKE_KAST_GATES")).join(name);
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn processed(name: &str, index: usize, failed: bool, is_clean: bool) -> String {
    let disposition = if failed { "fail" } else { "success" };
    serde_json::json!({
        "plugin-name": name,
        "timestamp": "2026-11-23T19:07:02.522+00:00",
        "findings": {"disposition": disposition, "results": [{"any": "thing"}]},
        "findings_count": index + 1,
        "summary": format!("{name} says b\u{fc}cher"),
        "issues": if is_clean { serde_json::json!([]) } else { serde_json::json!(["FAKE-1", {"id": "novel"}]) },
    })
    .to_string()
}

/// Changes a result into an unusual form.
fn odd_result(text: &str, play: &Play) -> String {
    let mut result: serde_json::Value = serde_json::from_str(text).unwrap();
    match () {
        () if play.is("pissuetext") => result["issues"] = "FAKE-1".into(),
        () if play.is("pissuekeys") => result["issues"] = serde_json::json!({ "FAKE-1": { "count": 1 } }),
        () if play.is("ptimeout") => result["findings"]["disposition"] = "timeout".into(),
        () if play.is("infotimeout") => result["findings"] = serde_json::json!({ "results": [] }),
        () => {}
    }
    result.to_string()
}

/// Writes a file atomically, as KAST does.
fn write(folder: &Path, name: &str, text: &[u8]) {
    let fresh = folder.join(format!("{name}.tmp"));
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, folder.join(name)).unwrap();
}

fn sparse(path: &Path) {
    std::fs::File::create(path).unwrap().set_len(64 << 20).unwrap();
}

fn deep(key: &str) -> String {
    format!("{{\"{key}\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn link(path: &Path) {
    std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
}

fn attempts_beside(out: &Path) -> usize {
    let entries = std::fs::read_dir(out.parent().unwrap()).unwrap().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("attempt-")).count()
}
