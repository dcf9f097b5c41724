//! Tests that the settings of a scan cannot name files outside the allowed folders, endless files,
//! or addresses out of scope.

use std::path::Path;
use std::process::ExitCode;

use kastrel_actors::policy::scope::ScopePolicy;
use kastrel_scanner::journal::Journal;
use kastrel_scanner::run::run_scan;
use kastrel_scanner::scope::Gate;
use serde_json::json;
use tempfile::tempdir;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::server::{options, processed, status};

fn run(args: &[&str]) -> ExitCode {
    kastrel_scanner::main(std::iter::once("kastrel scanner").chain(args.iter().copied()).map(Into::into))
}

/// Returns the peak memory of this process in KiB, from the kernel.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn an_endless_or_odd_certificate_file_fails_its_check_at_once() {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let server = crate::server::Server::start_with(|_| crate::server::response(200, "", ""), Some(config)).await;
    let folder = tempdir().unwrap();
    let large = folder.path().join("large.pem");
    std::fs::File::create(&large).unwrap().set_len(4 << 30).unwrap();
    let text = folder.path().join("text.pem");
    std::fs::write(&text, "root:x:0:0:root:/root:/bin/bash\n").unwrap();
    let before = peak_memory();
    for (file, reason) in [
        ("/dev/zero", "is not a regular file"),
        ("/dev/full", "is not a regular file"),
        ("/proc/self/fd/0", "file"),
        ("/", "is not a regular file"),
        (large.to_str().unwrap(), "is larger than 1024 KiB"),
        (text.to_str().unwrap(), "holds no certificate"),
        ("/nowhere/ca.pem", "cannot be read"),
    ] {
        let out = tempdir().unwrap();
        let started = Instant::now();
        let setting = format!("tls_certificate.extra_ca_file={file}");
        let scanning = options(&format!("https://{}", server.address), &["tls_certificate"], out.path(), &[&setting]);
        let info = run_scan(scanning, &Journal::silent()).await.unwrap();
        assert_eq!(status(&info, "tls_certificate"), "fail", "{file}");
        let summary = processed(out.path(), "tls_certificate")["summary"].as_str().unwrap().to_owned();
        assert!(summary.contains("tls_certificate.extra_ca_file") && summary.contains(reason), "{file}: {summary}");
        assert!(!summary.contains("root:x"), "{summary}");
        assert!(started.elapsed().as_secs() < 10, "{file}: {:?}", started.elapsed());
    }
    assert!(peak_memory() - before < 64 * 1024, "{before} KiB, then {} KiB", peak_memory());
}

/// Runs a dry run with a settings file.
fn dry_run(settings: &serde_json::Value, target: &str) -> ExitCode {
    let folder = tempdir().unwrap();
    let file = folder.path().join("settings.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    run(&["-t", target, "--dry-run", "--config", file.to_str().unwrap(), "-o", folder.path().to_str().unwrap()])
}

fn scope(allow: &[&str], deny: &[&str], allow_private: bool) -> serde_json::Value {
    json!({ "scope": { "allow": allow, "deny": deny, "allow_private": allow_private }, "file_folders": [] })
}

#[test]
fn the_scope_of_the_caller_holds_for_target_and_name_server() {
    let nameserver = |address: &str| json!({ "dns_posture": { "nameserver": address } });
    for (kastrel, plugins, target, is_fine) in [
        (scope(&[], &[], false), json!({}), "example.com", true),
        (scope(&[], &[], false), json!({}), "127.0.0.1", false),
        (scope(&[], &[], false), json!({}), "[::ffff:127.0.0.1]", false),
        (scope(&[], &[], true), json!({}), "127.0.0.1", true),
        (scope(&["example.com"], &[], false), json!({}), "example.org", false),
        (scope(&[], &["example.com"], true), json!({}), "www.example.com", false),
        (scope(&[], &[], false), nameserver("8.8.8.8:53"), "example.com", true),
        (scope(&[], &[], false), nameserver("127.0.0.1:53"), "example.com", false),
        (scope(&[], &[], false), nameserver("169.254.169.253:53"), "example.com", false),
        (scope(&[], &[], false), nameserver("[::ffff:10.0.0.53]:53"), "example.com", false),
        (scope(&[], &[], false), nameserver("[64:ff9b::7f00:1]:53"), "example.com", false),
        (scope(&[], &["8.8.8.0/24"], true), nameserver("8.8.8.8:53"), "example.com", false),
        (scope(&[], &[], true), nameserver("127.0.0.1:53"), "example.com", true),
        // A setting cannot widen the scope.
        (scope(&[], &[], false), json!({ "scope": { "allow_private": true } }), "example.com", false),
        (json!({ "scope": {} }), json!({}), "example.com", false),
    ] {
        let expected = if is_fine { ExitCode::SUCCESS } else { ExitCode::from(2) };
        assert_eq!(
            dry_run(&json!({ "kastrel": kastrel, "plugins": plugins }), target),
            expected,
            "{kastrel} {plugins} {target}"
        );
    }
}

#[test]
fn a_typed_command_may_name_what_is_private_and_says_so_for_the_rest() {
    for (args, is_fine) in [
        (&["-t", "127.0.0.1", "--dry-run"][..], true),
        (&["-t", "printer.lan", "--dry-run", "--set", "dns_posture.nameserver=10.0.0.1:53"], true),
        (&["-t", "example.com", "--dry-run", "--set", "dns_posture.nameserver=10.0.0.1:53"], false),
        (
            &[
                "-t",
                "example.com",
                "--dry-run",
                "--allow-private-targets",
                "--set",
                "dns_posture.nameserver=10.0.0.1:53",
            ],
            true,
        ),
        (&["-t", "example.com", "--dry-run", "--config", "/dev/zero"], false),
        (&["-t", "example.com", "--dry-run", "--logo", "/dev/zero"], false),
    ] {
        assert_eq!(run(args), if is_fine { ExitCode::SUCCESS } else { ExitCode::from(2) }, "{args:?}");
    }
}

#[tokio::test]
async fn no_packet_goes_to_a_name_server_out_of_scope() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let folder = tempdir().unwrap();
    let setting = format!("dns_posture.nameserver={}", socket.local_addr().unwrap());
    let mut scanning = options("kastrel-site.com", &["dns_posture"], folder.path(), &[&setting]);
    scanning.gate = Gate::new(ScopePolicy::default());
    let info = run_scan(scanning, &Journal::silent()).await.unwrap();
    assert_eq!(status(&info, "dns_posture"), "fail");
    let summary = processed(folder.path(), "dns_posture")["summary"].as_str().unwrap().to_owned();
    assert!(summary.contains("dns_posture.nameserver") && summary.contains("private"), "{summary}");
    assert!(socket.try_recv_from(&mut [0; 16]).is_err());
}

#[test]
fn files_of_settings_lie_in_the_allowed_folders() {
    let folder = tempdir().unwrap();
    let settings = |name: &str, folders: &[&Path]| {
        let file = folder.path().join(name);
        let limits = json!({ "scope": { "allow": [], "deny": [], "allow_private": false }, "file_folders": folders });
        std::fs::write(&file, json!({ "kastrel": limits }).to_string()).unwrap();
        let mut settings = kastrel_scanner::settings::Settings::default();
        settings.read(&file).unwrap();
        settings.file_folders
    };
    let allowed = folder.path().join("ca");
    std::fs::create_dir(&allowed).unwrap();
    std::fs::write(allowed.join("a.pem"), "x").unwrap();
    std::fs::write(folder.path().join("b.pem"), "x").unwrap();
    let some = settings("some.json", &[&allowed]);
    assert!(some.read(&allowed.join("a.pem"), 100).is_ok());
    assert!(some.read(&folder.path().join("b.pem"), 100).is_err());
    assert!(some.read(&allowed.join("../b.pem"), 100).is_err());
    assert!(settings("none.json", &[]).read(&allowed.join("a.pem"), 100).is_err());
}
