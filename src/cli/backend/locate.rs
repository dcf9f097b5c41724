//! Decides which backend a command uses: the server that the user named, the server that holds the
//! data folder, or this process.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::cli::error::CliError;
use crate::tls::Fingerprint;

/// The content of `server.json`, which a running server writes into its data folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// The process id of the server.
    pub pid: u32,
    /// The URL of the server.
    pub url: String,
    /// The certificate of a server with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Fingerprint>,
}

impl ServerFile {
    /// Reads the file, if it is readable and valid.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// Returns whether a process with that id exists.
    #[must_use]
    pub fn has_process(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)))
    }
}

/// The location of the scans. See the module documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On the server that the user named.
    Named(Url),
    /// On the server that `server.json` names; the server may have ended.
    Found {
        /// The URL of the server.
        url: Url,
        /// The certificate of a server with TLS.
        certificate: Option<Fingerprint>,
    },
    /// In the data folder itself.
    Here,
}

/// Decides by the flag, by the environment (`KASTREL_SERVER`) and by the text of `server.json`, in
/// this order.
///
/// # Errors
/// The URL is invalid.
pub fn locate(flag: Option<&str>, env: Option<&str>, file: Option<&str>) -> Result<Place, CliError> {
    if let Some(text) = flag {
        return server_url(text).map(Place::Named).ok_or_else(|| wrong("--server", text));
    }
    if let Some(text) = env.filter(|text| !text.is_empty()) {
        return server_url(text).map(Place::Named).ok_or_else(|| wrong("KASTREL_SERVER", text));
    }
    // An unreadable file is left over from a crash. The lock of the data folder decides, not the
    // file.
    let found = file
        .and_then(|text| serde_json::from_str::<ServerFile>(text).ok())
        .and_then(|file| server_url(&file.url).map(|url| Place::Found { url, certificate: file.certificate }));
    Ok(found.unwrap_or(Place::Here))
}

fn wrong(name: &str, text: &str) -> CliError {
    CliError::Usage(format!(
        "{name}: expected an http or https address such as http://127.0.0.1:5000, not `{}`",
        crate::config::redact(text)
    ))
}

/// Returns whether a URL leads to this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns an `http` URL of this machine with `https`, on the same port.
pub(in crate::cli) fn with_tls(url: &Url) -> Option<Url> {
    let port = url.port_or_known_default();
    let mut url = Some(url).filter(|url| url.scheme() == "http" && is_loopback(url))?.clone();
    url.set_scheme("https").ok()?;
    url.set_port(port).ok()?;
    Some(url)
}

/// Parses the URL of a server; `host:port` alone means http.
fn server_url(text: &str) -> Option<Url> {
    let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(&text).ok()?;
    if !matches!(url.scheme(), "http" | "https")
        || url.host().is_none()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explicit_server_takes_precedence() {
        let url = |text: &str| Url::parse(text).unwrap();
        let certificate: Fingerprint = "ab".repeat(32).parse().unwrap();
        let secure = format!(r#"{{"pid":7,"url":"https://127.0.0.1:5000","certificate":"{certificate}"}}"#);
        let file = Some(r#"{"pid":7,"url":"http://127.0.0.1:5000"}"#);
        for (flag, env, file, expected) in [
            (Some("http://a:1"), Some("http://b"), file, Place::Named(url("http://a:1/"))),
            (None, Some("b:2"), file, Place::Named(url("http://b:2/"))),
            (None, Some(""), file, Place::Found { url: url("http://127.0.0.1:5000/"), certificate: None }),
            (
                None,
                None,
                Some(secure.as_str()),
                Place::Found { url: url("https://127.0.0.1:5000/"), certificate: Some(certificate) },
            ),
            (None, None, Some(r#"{"pid":7,"url":"https://127.0.0.1:5000","certificate":"ab"}"#), Place::Here),
            (Some("https://a/kastrel"), None, None, Place::Named(url("https://a/kastrel/"))),
            (None, None, None, Place::Here),
            (None, None, Some("{"), Place::Here),
            (None, None, Some(r#"{"pid":7,"url":"file:///etc"}"#), Place::Here),
        ] {
            assert_eq!(locate(flag, env, file).unwrap(), expected, "{flag:?} {env:?} {file:?}");
        }
        for bad in ["ftp://x", "http://", "", "http://a/?q=1"] {
            assert_eq!(locate(Some(bad), None, None).unwrap_err().exit().code(), 2, "{bad}");
        }
        let error = locate(Some("ftp://u:hunter2@x"), None, None).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn only_urls_of_this_machine_get_tls_on_the_same_port() {
        for (given, expected) in [
            ("http://127.0.0.1:5000/", Some("https://127.0.0.1:5000/")),
            ("http://[::1]:5000/x/", Some("https://[::1]:5000/x/")),
            ("http://localhost/", Some("https://localhost:80/")),
            ("https://127.0.0.1:5000/", None),
            ("http://192.0.2.1:5000/", None),
            ("http://scans.example/", None),
        ] {
            let changed = with_tls(&Url::parse(given).unwrap());
            assert_eq!(changed.as_ref().map(Url::as_str), expected, "{given}");
        }
    }
}
