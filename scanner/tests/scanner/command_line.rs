//! Tests of the command line from outside: exit codes, and which files a command writes.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use tempfile::tempdir;

use crate::server::{Server, response};

fn run(args: &[&str]) -> ExitCode {
    kastrel_scanner::main(std::iter::once("kastrel scanner").chain(args.iter().copied()).map(OsString::from))
}

fn usage() -> ExitCode {
    ExitCode::from(2)
}

#[test]
fn help_and_list_commands_succeed() {
    for args in [
        &["--version"][..],
        &["--help"],
        &["plugins", "list", "--json"],
        &["plugins", "list"],
        &["plugins", "show", "tls_certificate", "--json"],
        &["registry", "list", "--json"],
        &["registry", "list"],
        &["config", "schema"],
    ] {
        assert_eq!(run(args), ExitCode::SUCCESS, "{args:?}");
    }
}

#[test]
fn usage_errors_are_exit_code_2() {
    let folder = tempdir().unwrap();
    let empty = folder.path().to_str().unwrap();
    for args in [
        &[][..],
        &["-t", "--"],
        &["-t", "-evil"],
        &["-t", "a b"],
        &["-t", "a.test", "-m", "fast"],
        &["-t", "a.test", "--run-only", "whatweb"],
        &["-t", "a.test", "--run-only", ","],
        &["-t", "a.test", "--set", "nope.x=1", "--dry-run"],
        &["-t", "a.test", "--set", "http.timeout_seconds=never"],
        &["-t", "a.test", "--logo", "/nowhere.png"],
        &["-t", "a.test", "--max-workers", "0"],
        &["--report-only", "/nowhere"],
        &["--report-only", empty],
        &["plugins", "show", "zap", "--json"],
        &["nonsense"],
    ] {
        assert_eq!(run(args), usage(), "{args:?}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempdir().unwrap();
    let (out, log) = (folder.path().join("out"), folder.path().join("log"));
    assert_eq!(
        run(&["-t", "a.test", "--dry-run", "-o", out.to_str().unwrap(), "-l", log.to_str().unwrap()]),
        ExitCode::SUCCESS
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_active_scan_runs_nothing_and_says_so() {
    let folder = tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    assert_eq!(run(&["scan", "-t", "127.0.0.1:9", "-m", "active", "--format", "both", "-o", out]), ExitCode::SUCCESS);
    let info = json(&folder.path().join("kast_info.json"));
    assert_eq!(info["plugins"], serde_json::json!([]));
    assert_eq!(info["notes"].as_array().unwrap().len(), 2);
    assert!(!folder.path().join("kast_report.pdf").exists());
}

/// The child process of the test below. It does nothing on its own.
#[test]
#[ignore = "runs as a process of its own, started by the test of SIGINT"]
fn child_that_is_interrupted() {
    let (target, out) = (std::env::var("SCANNER_TEST_TARGET").unwrap(), std::env::var("SCANNER_TEST_OUT").unwrap());
    assert_eq!(run(&["-t", &target, "-o", &out]), ExitCode::from(130));
}

#[test]
fn sigint_stops_the_scan_without_an_info_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempdir().unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "command_line::child_that_is_interrupted", "--ignored"])
        .env("SCANNER_TEST_TARGET", format!("http://{}", listener.local_addr().unwrap()))
        .env("SCANNER_TEST_OUT", folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // A connection means that the scan is running. The listener never answers it.
    let _connection = listener.accept().unwrap();
    assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success(), "the scan did not end with exit code 130");
    assert!(folder.path().join("http_headers.json").exists());
    assert!(!folder.path().join("kast_info.json").exists());
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_scan_writes_its_files_and_the_report_can_be_made_again() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(|_| response(200, "", "<p>hello")));
    let folder = tempdir().unwrap();
    let (out, log) = (folder.path().join("out"), folder.path().join("log"));
    let (out_text, target) = (out.to_str().unwrap(), server.address.to_string());
    let args = [
        "-t",
        &target,
        "-m",
        "both",
        "--format",
        "html",
        "--run-only",
        "http_headers,cookie_flags",
        "-p",
        "--max-workers",
        "2",
        "-v",
        "-l",
        log.to_str().unwrap(),
        "-o",
        out_text,
    ];
    assert_eq!(run(&args), ExitCode::SUCCESS);
    let info = json(&out.join("kast_info.json"));
    assert_eq!(info["scanner"], kastrel_scanner::NAME);
    assert_eq!(info["cli_arguments"]["mode"], "both");
    assert_eq!(info["plugins"].as_array().unwrap().len(), 2);
    assert!(log.join("kastrel-scanner.log").exists());

    let report = out.join("kast_report.html");
    let first = std::fs::read_to_string(&report).unwrap();
    std::fs::remove_file(&report).unwrap();
    assert_eq!(run(&["--report-only", out_text, "--format", "both"]), ExitCode::SUCCESS);
    assert_eq!(std::fs::read_to_string(&report).unwrap(), first);
}
