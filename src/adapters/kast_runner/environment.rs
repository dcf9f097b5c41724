//! Builds the scanner's environment: the variables on an allow-list of exact names, the variables
//! of every attempt, and the marker that identifies the attempt's processes.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use kastrel_actors::model::{TraceContext, holds_a_password};

use super::isolation::RunAs;

/// The variable that marks every process of an attempt.
pub(super) const MARKER_VARIABLE: &str = "KASTREL_ATTEMPT";
/// The environment variable that marks a keeper. Its value has the data folder and the run.
pub(super) const KEEPER_VARIABLE: &str = "KASTREL_KEEPER";

/// The allowed names. The list has no patterns, because a pattern would also match unknown future
/// variables. A URL passes only without a password. Docker's variables are included because KAST
/// starts ZAP with the `docker` client.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_ADDRESS",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "TZ",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "KAST_LOG_LEVEL",
    "KAST_ZAP_URL",
];

/// The decision about a variable of Kastrel's own environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    /// The scanner gets the variable.
    Passes,
    /// The name is allowed, but the value has a user name or a password.
    HoldsSecret,
    /// The name is not allowed.
    Unknown,
}

/// Decides whether a variable of Kastrel's own environment may reach the scanner. `extra` are the
/// names allowed by the configuration.
fn passage(name: &OsStr, value: &OsStr, extra: &[String]) -> Passage {
    let Some(name) = name.to_str() else { return Passage::Unknown };
    if extra.iter().any(|one| one == name) {
        return Passage::Passes;
    }
    if !ALLOWED.contains(&name) {
        return Passage::Unknown;
    }
    let value = value.to_string_lossy();
    // A user name alone is usual for a remote Docker daemon: `ssh://user@host`.
    let is_secret = (may_hold_credentials(name) && holds_credentials(&value))
        || (name == "DOCKER_HOST" && holds_a_password(&value));
    if is_secret { Passage::HoldsSecret } else { Passage::Passes }
}

/// Returns true if the variable's value is a URL.
fn may_hold_credentials(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.ends_with("_PROXY") && name != "NO_PROXY" || name.ends_with("_URL")
}

/// Returns true if a URL has a user before its host, or a query, which may contain keys:
/// `http://user:password@proxy:3128`, also without a scheme.
fn holds_credentials(address: &str) -> bool {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.contains(['@', '?'])
}

/// The names of variables of Kastrel's environment that seem intended for the scanner but are
/// withheld.
pub(super) fn withheld<'a>(own: &'a [(OsString, OsString)], extra: &[String]) -> Vec<&'a str> {
    let meant = |(name, value): &'a (OsString, OsString)| {
        let text = name.to_str()?;
        match passage(name, value, extra) {
            Passage::HoldsSecret => Some(text),
            Passage::Unknown if text.starts_with("KAST_") && !OWN.contains(&text) => Some(text),
            Passage::Unknown | Passage::Passes => None,
        }
    };
    own.iter().filter_map(meant).collect()
}

/// Kastrel's own settings, which also start with `KAST_`.
const OWN: &[&str] = &["KAST_CLI_PATH", "KAST_RESULTS_DIR"];

/// The variables of `own` that may reach a scanner, plus those of every call.
pub(super) fn base(
    own: impl IntoIterator<Item = (OsString, OsString)>,
    extra: &[String],
    set: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let mut all: Vec<_> =
        own.into_iter().filter(|(name, value)| passage(name, value, extra) == Passage::Passes).collect();
    // KAST wraps its output at 80 columns without a terminal; log lines should not be wrapped.
    all.push(("COLUMNS".into(), "200".into()));
    all.extend(set.iter().cloned());
    all
}

/// The first argument of the process that connects an attempt's network. The last part must be the
/// program's name, because pasta requires it.
pub(super) fn connection_name(marker: &str) -> String {
    format!("{MARKER_VARIABLE}={marker}/pasta")
}

/// The marker in such a name.
pub(super) fn marker_of_connection(name: &str) -> Option<&str> {
    name.strip_prefix(MARKER_VARIABLE)?.strip_prefix('=')?.strip_suffix("/pasta")
}

/// The search path of the scanner's programs.
pub(super) fn path(environment: &[(OsString, OsString)]) -> Option<&OsStr> {
    environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str())
}

/// The scanner's home folder.
pub(super) fn home(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    environment.iter().rev().find(|(name, _)| name == "HOME").map(|(_, home)| home.into())
}

/// The additional variables of one attempt.
pub(super) fn of_attempt(marker: &str, trace: &TraceContext) -> [(OsString, OsString); 2] {
    [(MARKER_VARIABLE.into(), marker.into()), ("TRACEPARENT".into(), trace.to_string().into())]
}

/// The additional variables for a scanner that runs as another user: that user's name and home
/// folder. Without a home folder, it gets the folder of temporary files.
pub(super) fn of_user(user: &RunAs, tmp: &Path) -> [(OsString, OsString); 3] {
    let home = user.home.as_deref().filter(|home| home.is_dir()).unwrap_or(tmp);
    [
        ("HOME".into(), home.into()),
        ("USER".into(), user.name.clone().into()),
        ("LOGNAME".into(), user.name.clone().into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_name_contains_the_marker() {
        let name = connection_name("d1:12:3:run");
        assert!(name.ends_with("/pasta"));
        assert_eq!(marker_of_connection(&name), Some("d1:12:3:run"));
        for other in ["pasta", "/usr/bin/pasta", "KASTREL_ATTEMPT=d1", "x/pasta"] {
            assert_eq!(marker_of_connection(other), None, "{other}");
        }
    }

    #[test]
    fn only_allowed_variables_pass() {
        let extra = vec!["KAST_AI_API_KEY".to_owned(), "MY_TOOL".to_owned()];
        for (name, plain, with_extra) in [
            ("PATH", true, true),
            ("LC_ALL", true, true),
            ("LC_PAPER", true, true),
            ("LC_PASSWORD", false, false),
            ("https_proxy", true, true),
            ("Https_Proxy", false, false),
            ("KAST_LOG_LEVEL", true, true),
            ("KAST_ZAP_URL", true, true),
            ("KAST_AI_API_KEY", false, true),
            ("KAST_AUTH", false, false),
            ("KAST_DSN", false, false),
            ("KAST_BEARER", false, false),
            ("KAST_WEB_TOKEN", false, false),
            ("KAST_db_password", false, false),
            ("KAST_LOG_LEVEL_2", false, false),
            ("kast_log_level", false, false),
            ("MY_TOOL", false, true),
            ("REDIS_URL", false, false),
            ("KASTREL_DATABASE_URL", false, false),
            ("KASTREL_ATTEMPT", false, false),
            ("FAKE_KAST", false, false),
            ("LD_PRELOAD", false, false),
            ("AWS_SECRET_ACCESS_KEY", false, false),
        ] {
            let passes = |extra: &[String]| passage(OsStr::new(name), OsStr::new("value"), extra) == Passage::Passes;
            assert_eq!((passes(&[]), passes(&extra)), (plain, with_extra), "{name}");
        }
    }

    #[test]
    fn url_with_a_password_passes_only_if_the_operator_allows_it() {
        for (name, value, expected) in [
            ("HTTPS_PROXY", "http://proxy:3128", Passage::Passes),
            ("HTTPS_PROXY", "http://user:password@proxy:3128", Passage::HoldsSecret),
            ("http_proxy", "user:password@proxy:3128", Passage::HoldsSecret),
            ("all_proxy", "socks5h://user@proxy", Passage::HoldsSecret),
            ("ALL_PROXY", "", Passage::Passes),
            ("no_proxy", "localhost,10.0.0.0/8", Passage::Passes),
            ("KAST_ZAP_URL", "http://zap:8080", Passage::Passes),
            ("KAST_ZAP_URL", "http://zap:8080/?apikey=secret", Passage::HoldsSecret),
            ("KAST_ZAP_URL", "http://a:b@zap:8080", Passage::HoldsSecret),
            ("PATH", "/opt/a@b:/bin", Passage::Passes),
            ("ALL_PROXY", "socks5h://:password@proxy", Passage::HoldsSecret),
            ("DOCKER_HOST", "ssh://user@host", Passage::Passes),
            ("DOCKER_HOST", "tcp://user:password@host:2376", Passage::HoldsSecret),
            ("HTTP_PROXY", "http://user:hun/ter2@proxy:3128", Passage::HoldsSecret),
            ("HTTPS_PROXY", "http://user:hun@ter2@proxy:3128", Passage::HoldsSecret),
            ("ALL_PROXY", "//user:hunter2@proxy:3128", Passage::HoldsSecret),
            ("NO_PROXY", "localhost,.example.com", Passage::Passes),
            ("DOCKER_HOST", "tcp://user:hun/ter2@host:2376", Passage::HoldsSecret),
        ] {
            assert_eq!(passage(OsStr::new(name), OsStr::new(value), &[]), expected, "{name}={value}");
            assert_eq!(
                passage(OsStr::new(name), OsStr::new(value), &[name.to_owned()]),
                Passage::Passes,
                "{name}={value}"
            );
        }
    }

    #[test]
    fn withheld_variables_for_the_scanner_are_listed() {
        let own: Vec<(OsString, OsString)> = [
            ("KAST_DSN", "x"),
            ("KAST_CLI_PATH", "/kast"),
            ("KAST_AI_API_KEY", "x"),
            ("HTTPS_PROXY", "http://u:p@proxy"),
            ("HTTP_PROXY", "http://proxy"),
            ("REDIS_URL", "x"),
            ("KASTREL_DATA_DIR", "x"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        assert_eq!(withheld(&own, &["KAST_AI_API_KEY".to_owned()]), ["KAST_DSN", "HTTPS_PROXY"]);
    }

    #[test]
    fn configured_variables_override_inherited_ones() {
        let own = [("PATH".into(), "/bin".into()), ("COLUMNS".into(), "80".into()), ("SHELL".into(), "/bin/sh".into())];
        let all = base(own, &[], &[("PATH".into(), "/opt".into())]);
        let expected: Vec<(OsString, OsString)> = [("PATH", "/bin"), ("COLUMNS", "200"), ("PATH", "/opt")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        assert_eq!(all, expected);
    }
}
