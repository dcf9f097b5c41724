//! A real mail server for tests: aiosmtpd from PyPI, installed once into `target/aiosmtpd`. It
//! requires STARTTLS and a user with a password.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::kast_runner::stage::PATIENCE;
use super::pypi::installed;

/// The package and the versions of its dependencies.
const PACKAGE: &str = "aiosmtpd==1.4.6";
const CONSTRAINTS: &str = "atpublic==9.0.0\nattrs==26.1.0\n";

/// A running mail server. Its drop ends it.
pub(crate) struct SmtpServer {
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u16,
    /// The certificate, which clients must trust.
    pub(crate) certificate: PathBuf,
}

impl SmtpServer {
    /// Starts a server on a free loopback port, with a new certificate in `folder`.
    pub(crate) async fn start(folder: &Path) -> Self {
        let python = tokio::task::spawn_blocking(|| installed("aiosmtpd", PACKAGE, CONSTRAINTS).join("bin/python"))
            .await
            .unwrap();
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (certificate, key) = (folder.join("smtp.pem"), folder.join("smtp.key"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helpers/smtp_server.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([&certificate, &key])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("the mail server never listened");
        let port = first.unwrap().expect("the mail server ended").parse().unwrap();
        Self { _child: child, lines, port, certificate }
    }

    /// Returns the URL of the server, with this password of its user.
    pub(crate) fn url(&self, password: &str) -> String {
        format!("smtp://kastrel:{password}@127.0.0.1:{}?tls=required", self.port)
    }

    /// Waits for the next mail: its sender, its recipients, its data and its decoded text.
    pub(crate) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("no mail arrived");
        serde_json::from_str(&line.unwrap().expect("the mail server ended")).unwrap()
    }
}
