//! A real identity provider for tests: `oidc-provider` from npm, installed once into
//! `target/oidc-provider`. It needs Node.js 18 or later.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::npm::installed;

/// The package and its version.
const PACKAGE: &str = "oidc-provider@8.8.1";
/// The id of the client.
pub(crate) const CLIENT_ID: &str = "kastrel";
/// The secret of the client. It has characters that must be escaped in the header.
pub(crate) const CLIENT_SECRET: &str = "a secret of the client: %&=+";

/// A running provider. Its drop ends it.
pub(crate) struct OidcProvider {
    child: Child,
    issuer: String,
    folder: TempDir,
}

impl OidcProvider {
    /// Starts a provider on a free loopback port. `base` is the address of Kastrel, to which it
    /// sends browsers back; `people` are the claims of each person, by subject.
    pub(crate) async fn start(base: &str, people: &Value) -> Self {
        let (base, people) = (base.to_owned(), people.clone());
        tokio::task::spawn_blocking(move || spawn(&base, &people)).await.unwrap()
    }

    /// Returns the issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Changes the claims of the people, for later sign-ins.
    pub(crate) fn set_people(&self, people: &Value) {
        write_people(self.folder.path(), people);
    }

    /// Ends the provider: nothing listens on its port then.
    pub(crate) fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns the variables of a server that uses the provider.
    pub(crate) fn variables(&self, base: &str) -> Vec<(&'static str, String)> {
        let file = self.folder.path().join("client-secret");
        std::fs::write(&file, format!("{CLIENT_SECRET}\n")).unwrap();
        vec![
            ("KASTREL_AUTH_MODE", "oidc".to_owned()),
            ("KASTREL_PUBLIC_URL", base.to_owned()),
            ("KASTREL_OIDC__ISSUER", self.issuer.clone()),
            ("KASTREL_OIDC__CLIENT_ID", CLIENT_ID.to_owned()),
            ("KASTREL_OIDC__CLIENT_SECRET_FILE", file.display().to_string()),
            ("KASTREL_OIDC__PROVIDER_NAME", "Team login".to_owned()),
        ]
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        self.end();
    }
}

fn write_people(folder: &Path, people: &Value) -> PathBuf {
    let (path, new) = (folder.join("people.json"), folder.join("people.new"));
    // A rename: the provider never reads half of the file.
    std::fs::write(&new, people.to_string()).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}

fn spawn(base: &str, people: &Value) -> OidcProvider {
    let module = installed("oidc-provider", PACKAGE).join("node_modules/oidc-provider/lib/index.js");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helpers/oidc_provider.mjs");
    let folder = tempfile::tempdir().unwrap();
    let people = write_people(folder.path(), people);
    let mut command = Command::new("node");
    command
        .arg(script)
        .env("OIDC_MODULE", module)
        .env("OIDC_BASE", base)
        .env("OIDC_PEOPLE", people)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("node cannot be started: {error}"));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let issuer = loop {
        let Some(Ok(line)) = lines.next() else {
            let _ = (child.kill(), child.wait());
            panic!("the identity provider ended: {said:?}");
        };
        if let Some(issuer) = line.strip_prefix("listens on ") {
            break issuer.to_owned();
        }
        said.push(line);
    };
    // Its output must be read, or the full pipe would block it.
    std::thread::spawn(move || lines.for_each(drop));
    OidcProvider { child, issuer, folder }
}
