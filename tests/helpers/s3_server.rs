//! A real S3 server for tests: moto's, from PyPI, installed once into `target/moto`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::pypi::installed;

/// The package and its version.
const PACKAGE: &str = "moto[server]==5.2.5";

/// A running server. Its drop ends it.
pub(crate) struct S3Server {
    child: Child,
    port: u16,
}

impl S3Server {
    /// Starts a server with an empty bucket on a free loopback port.
    pub(crate) async fn start(bucket: &str) -> Self {
        Self::start_on(0, bucket).await
    }

    /// Starts a server with an empty bucket on the given port. The data of an earlier server on it
    /// is lost.
    pub(crate) async fn start_on(port: u16, bucket: &str) -> Self {
        // A reqwest client needs a TLS provider even for plain HTTP. Another test may have set it
        // already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = tokio::task::spawn_blocking(move || spawn(port)).await.unwrap();
        let answer = reqwest::Client::new().put(format!("{}/{bucket}", server.endpoint())).send().await.unwrap();
        assert!(answer.status().is_success(), "the bucket could not be made: {}", answer.status());
        server
    }

    /// Returns the server's URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the port, for a successor.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(port: u16) -> S3Server {
    let mut command = Command::new(installed("moto", PACKAGE, "").join("bin/moto_server"));
    command
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let port = loop {
        let Some(Ok(line)) = lines.next() else {
            let _ = (child.kill(), child.wait());
            panic!("the S3 server ended: {said:?}");
        };
        if let Some((_, port)) = line.split_once("Running on http://127.0.0.1:") {
            break port.trim().parse().unwrap();
        }
        said.push(line);
    };
    // The server writes one line per request. They must be read, or the full pipe would block it.
    std::thread::spawn(move || lines.for_each(drop));
    S3Server { child, port }
}
