//! Tests the systemd units: they are parsed, compared with the program, verified by systemd, and
//! their notification protocol is tested with a real process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use kastrel::cli::exit::Exit;
use kastrel::config::{KEYS, Sources};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;

use super::{assert_is_command, repository};
use crate::kast_runner::stage::PATIENCE;

const UNITS: [&str; 2] = ["kastrel.service", "kastrel-worker.service"];
const PROGRAM: &str = "/usr/local/bin/kastrel";
/// The settings of an installed Kastrel. Their source is `config/systemd/kastrel.toml`.
const SETTINGS: &str = "/etc/kastrel/kastrel.toml";

/// Returns the lines of a unit: section, key, value.
fn unit(name: &str) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(repository(&format!("config/systemd/{name}"))).unwrap();
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{name}: {line}"));
            lines.push((section.clone(), key.to_owned(), value.to_owned()));
        }
    }
    lines
}

fn value<'a>(unit: &'a [(String, String, String)], section: &str, key: &str) -> &'a str {
    let found: Vec<_> = unit.iter().filter(|(in_section, of_key, _)| in_section == section && of_key == key).collect();
    assert_eq!(found.len(), 1, "[{section}] {key}");
    &found[0].2
}

fn words(unit: &[(String, String, String)]) -> Vec<String> {
    let line = value(unit, "Service", "ExecStart");
    line.strip_prefix(PROGRAM).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// Returns the users that the units need. The first is a member of the other user's group.
fn users() -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository("config/systemd/kastrel-sysusers.conf")).unwrap();
    assert!(text.lines().any(|line| line == "m kastrel kastrel-scan"), "{text}");
    text.lines().filter_map(|line| line.strip_prefix("u ")?.split(' ').next().map(str::to_owned)).collect()
}

/// Returns the data folders that systemd-tmpfiles makes. The scanners' group may pass through them.
fn folders() -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository("config/systemd/kastrel-tmpfiles.conf")).unwrap();
    let open_to_scanners =
        |line: &str| line.strip_prefix("d ")?.strip_suffix(" 0710 kastrel kastrel-scan -").map(str::to_owned);
    text.lines().filter_map(open_to_scanners).collect()
}

#[test]
fn systemd_units_match_the_program() {
    let known: BTreeSet<String> =
        KEYS.iter().flat_map(|key| key.env.iter().map(ToString::to_string).chain([key.variable()])).collect();
    let settings = std::fs::read_to_string(repository("config/systemd/kastrel.toml")).unwrap();
    for (name, expected) in UNITS.iter().zip(["serve", "worker"]) {
        let unit = unit(name);
        assert_eq!(value(&unit, "Service", "Type"), "notify", "{name}");
        assert_eq!(words(&unit), [expected, "--config", SETTINGS]);
        assert_is_command(&words(&unit));
        let set = value(&unit, "Service", "Environment").split(' ').map(|one| one.split_once('=').unwrap());
        let env: BTreeMap<String, String> =
            set.map(|(variable, value)| (variable.to_owned(), value.to_owned())).collect();
        assert!(env.keys().all(|variable| known.contains(variable)), "{env:?}");
        let data = env["KASTREL_DATA_DIR"].as_str();
        assert_eq!(value(&unit, "Service", "ReadWritePaths"), data, "the only folder that it may write to");
        assert_eq!(value(&unit, "Unit", "RequiresMountsFor"), data, "{name}");
        assert!(folders().contains(data), "{name}: nothing makes {data}");
        let file = Some((SETTINGS.into(), settings.clone()));
        let config = Sources { file, ..Sources::of(&env) }.resolve().unwrap().config;
        assert_eq!(config.data.dir, Path::new(data), "{name}");
        let scans = config.scans;
        // What fails in the same way at each start is not started again.
        let codes: Vec<&str> = value(&unit, "Service", "RestartPreventExitStatus").split(' ').collect();
        assert_eq!(codes, [Exit::Usage, Exit::Storage].map(|exit| exit.code().to_string()), "{name}");
        let stop: u64 = value(&unit, "Service", "TimeoutStopSec").parse().unwrap();
        assert!(
            stop > (scans.shutdown_finish_seconds + scans.shutdown_grace_seconds).as_secs(),
            "{name}: scans have no time to be handed back"
        );
        // The program ends its scanners itself, in its own order.
        assert_eq!(value(&unit, "Service", "KillMode"), "mixed");
        // The capabilities that are needed to start, read and end scanners of another user, each in
        // its own cgroup; see docs/isolation.md.
        const RIGHTS: &str = "CAP_SETUID CAP_SETGID CAP_KILL";
        assert_eq!(
            (scans.run_as.unwrap().as_str(), users()),
            ("kastrel-scan", ["kastrel", "kastrel-scan"].map(str::to_owned).into())
        );
        for (key, expected) in [
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
            ("ProtectHome", "yes"),
            ("CapabilityBoundingSet", RIGHTS),
            ("AmbientCapabilities", RIGHTS),
            ("Delegate", "yes"),
            ("User", "kastrel"),
        ] {
            assert_eq!(value(&unit, "Service", key), expected, "{name}: {key}");
        }
    }
}

#[test]
fn systemd_units_pass_verification() {
    let is_there = Command::new("systemd-analyze").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(is_there, "systemd-analyze is missing: run `make test-dependencies`, or install the package systemd");
    let folder = tempfile::tempdir().unwrap();
    for name in UNITS {
        let text = std::fs::read_to_string(repository(&format!("config/systemd/{name}"))).unwrap();
        let copy = folder.path().join(name);
        // The verification requires that the program exists.
        std::fs::write(&copy, text.replace(PROGRAM, env!("CARGO_BIN_EXE_kastrel"))).unwrap();
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains(name), "{said}");
    }
}

/// `Type=notify`: systemd waits for the ready notification, and is notified of the stop.
#[tokio::test]
async fn server_notifies_systemd_of_ready_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_kastrel"));
    let settings = repository("config/systemd/kastrel.toml");
    let arguments = words(&unit("kastrel.service")).into_iter().map(|word| match word.as_str() {
        SETTINGS => settings.clone().into_os_string(),
        _ => word.into(),
    });
    command
        .args(arguments)
        .env_remove("KASTREL_SERVER")
        .env("NOTIFY_SOCKET", &path)
        .env("KASTREL_LISTEN", "127.0.0.1:0");
    command
        .env("KASTREL_DATA_DIR", folder.path().join("data"))
        .env("KASTREL_KAST__SCANNER", "builtin")
        .current_dir(folder.path());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    assert_eq!(told(&socket).await, "READY=1");
    // The server accepts requests when it is ready: other commands find it.
    assert!(folder.path().join("data/server.json").exists());
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::TERM).unwrap();
    assert_eq!(told(&socket).await, "STOPPING=1");
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.expect("it did not stop").unwrap();
    assert_eq!(status.code(), Some(0));
}

/// Returns the next notification.
pub(super) async fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let size = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("nothing was told").unwrap();
    String::from_utf8(buffer[..size].to_vec()).unwrap().trim().to_owned()
}
