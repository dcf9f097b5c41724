//! Tests of a real server that speaks TLS, with its commands and its health check.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::ChildStderr;

use super::app::{TestApp, signal};
use crate::kast_runner::stage::PATIENCE;

const CERTIFICATE: &str = "KASTREL_SERVER__TLS_CERTIFICATE";
const KEY: &str = "KASTREL_SERVER__TLS_KEY";

/// Writes a new self-signed certificate for 127.0.0.1 and its key into a folder, in place of
/// earlier ones. Returns their paths.
fn write_pair(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        let (path, fresh) = (folder.join(name), folder.join("new.pem"));
        std::fs::write(&fresh, text).unwrap();
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(fresh, &path).unwrap();
        path
    };
    (write("tls.pem", made.cert.pem()), write("tls.key", made.signing_key.serialize_pem()))
}

/// Returns a client that trusts the certificate in a file alone.
fn client_of(certificate: &Path) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(&std::fs::read(certificate).unwrap()).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap()
}

/// Reads the server's output up to a line with this text. Returns the line.
async fn until_line(lines: &mut Lines<BufReader<ChildStderr>>, part: &str) -> String {
    let line = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("the server ended before: {part}"));
            if line.contains(part) {
                return line;
            }
        }
    };
    tokio::time::timeout(PATIENCE, line).await.unwrap_or_else(|_| panic!("the server never wrote: {part}"))
}

#[tokio::test]
async fn pages_commands_and_health_checks_work_over_tls_and_a_new_certificate_is_used() {
    let mut app = TestApp::prepare(&[("KASTREL_SERVER__HEADER_TIMEOUT_SECONDS", "2")]);
    let folder = app.data().parent().unwrap().to_owned();
    let (certificate, key) = write_pair(&folder);
    app.set(CERTIFICATE, certificate.to_str().unwrap());
    app.set(KEY, key.to_str().unwrap());
    let mut server = app.command(&["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = until_line(&mut lines, " listens on ").await;
    let url = line.split_once(" listens on ").unwrap().1.trim().to_owned();
    let address = url.strip_prefix("https://").expect("the printed URL has the scheme").to_owned();

    let old = client_of(&certificate);
    let page = old.get(format!("{url}/scans")).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["strict-transport-security"], "max-age=31536000");
    let form = old
        .post(format!("{url}/scans"))
        .header("origin", &url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body("target=ok-1p.test&mode=passive");
    assert!(form.send().await.unwrap().status().is_success(), "its origin is https");

    // Commands of the data folder accept the certificate of server.json, which no authority issued.
    let listed = app.run(&["list", "--json"]).await;
    assert!(listed.code == Some(0) && listed.stdout.contains("ok-1p.test"), "{listed:?}");
    assert!(!listed.stderr.contains("does not hold this data folder"), "{listed:?}");
    for server in [format!("http://{address}"), url.clone()] {
        let ready = app.run(&["ready", "--server", &server]).await;
        assert_eq!(ready.code, Some(0), "{server}: {ready:?}");
    }
    let doctor = app.run(&["doctor"]).await;
    assert!(doctor.stdout.contains("and its key can be used until"), "{doctor:?}");

    let mut stalled = TcpStream::connect(&address).await.unwrap();
    stalled.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    plain.shutdown().await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, plain.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    // A reset also ends the connection.
    let _end = tokio::time::timeout(PATIENCE, stalled.read(&mut [0; 16])).await.expect("it was never closed");

    write_pair(&folder);
    until_line(&mut lines, "using a TLS certificate").await;
    let new = client_of(&certificate);
    assert_eq!(new.get(format!("{url}/scans")).send().await.unwrap().status(), 200);
    let stranger = reqwest::Client::builder().pool_max_idle_per_host(0);
    assert!(stranger.build().unwrap().get(format!("{url}/scans")).send().await.is_err(), "no authority issued it");
    assert_eq!(old.get(format!("{url}/scans")).send().await.unwrap().status(), 200, "the open connection stays");
    let listed: Value = serde_json::from_str(&app.run(&["list", "--json"]).await.stdout).unwrap();
    assert!(listed.to_string().contains("ok-1p.test"));

    std::fs::write(&key, "broken").unwrap();
    let warning = until_line(&mut lines, "the current one stays in use").await;
    assert!(warning.contains("server.tls_key"), "{warning}");
    assert_eq!(client_of(&certificate).get(format!("{url}/scans")).send().await.unwrap().status(), 200);

    // The server must be able to write its last lines.
    let rest = tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
    signal(&server, Signal::TERM);
    tokio::time::timeout(PATIENCE, server.wait()).await.expect("the server did not stop").unwrap();
    rest.await.unwrap();
}

#[tokio::test]
async fn server_with_a_wrong_pair_does_not_start_and_names_the_setting() {
    let mut app = TestApp::prepare(&[]);
    let folder = app.data().parent().unwrap().to_owned();
    let (certificate, key) = write_pair(&folder);
    let other = tempfile::tempdir().unwrap();
    let (_, foreign) = write_pair(other.path());
    let wide = folder.join("wide.key");
    std::fs::copy(&key, &wide).unwrap();
    std::fs::set_permissions(&wide, std::fs::Permissions::from_mode(0o644)).unwrap();
    app.set(CERTIFICATE, certificate.to_str().unwrap());
    let ended = app.try_restart().await.unwrap_err();
    assert!(ended.code == Some(2) && ended.stderr.contains("server.tls_key"), "{ended:?}");
    for (path, part) in [
        (foreign, "does not belong to the first certificate"),
        (wide, "other users may read"),
        (folder.join("none.key"), "failed to read"),
    ] {
        app.set(KEY, path.to_str().unwrap());
        let ended = app.try_restart().await.unwrap_err();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("server.tls_key: ") && ended.stderr.contains(part), "{ended:?}");
    }
}
