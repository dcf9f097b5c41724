//! The scanner's environment: an allow-list, what every attempt gets, and the marker by which its processes are found again.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use kastrel_actors::model::{TraceContext, holds_a_password};

/// The variable that marks every process of an attempt.
pub(super) const MARKER_VARIABLE: &str = "KASTREL_ATTEMPT";

/// The names that pass, each in full: no pattern knows what the next variable is called. Docker's belong to them because KAST starts ZAP with the `docker` client.
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
    "KAST_ZAP_URL",
];

/// Whether a value is an address with a password, as proxies may have one: `http://user:password@proxy:3128`. Of a proxy any user counts: it may be a token, and programs differ in where it ends.
fn holds_a_secret(name: &str, value: &str) -> bool {
    holds_a_password(value) || (name.to_ascii_lowercase().ends_with("proxy") && value.contains('@'))
}

/// What becomes of a variable of our own environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passage {
    Passes,
    Stays,
    /// It would pass, but for the password in it.
    Withheld,
}

/// Whether a variable may reach the scanner; `extra` are the names that the configuration allows.
fn passage(name: &OsStr, value: &OsStr, extra: &[String]) -> Passage {
    let Some(name) = name.to_str() else { return Passage::Stays };
    if extra.iter().any(|one| one == name) {
        return Passage::Passes;
    }
    match ALLOWED.contains(&name) {
        true if holds_a_secret(name, &value.to_string_lossy()) => Passage::Withheld,
        true => Passage::Passes,
        false => Passage::Stays,
    }
}

/// The part of `own` that may reach a scanner, with what every call of it gets.
pub(super) fn base(own: impl IntoIterator<Item = (OsString, OsString)>, extra: &[String], set: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let passes = |(name, value): &(OsString, OsString)| match passage(name, value, extra) {
        Passage::Passes => true,
        Passage::Stays => false,
        Passage::Withheld => {
            tracing::warn!(variable = %name.to_string_lossy(), "a variable holds a password and is not given to the scanner; kast.environment may name it");
            false
        }
    };
    let mut all: Vec<_> = own.into_iter().filter(passes).collect();
    // KAST wraps its output at 80 columns without a terminal; log lines should stay whole.
    all.push(("COLUMNS".into(), "200".into()));
    all.extend(set.iter().cloned());
    all
}

/// The scanner's home folder.
pub(super) fn home(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    environment.iter().rev().find(|(name, _)| name == "HOME").map(|(_, home)| home.into())
}

/// What one attempt gets beyond the base.
pub(super) fn of_attempt(marker: &str, trace: &TraceContext) -> [(OsString, OsString); 2] {
    [(MARKER_VARIABLE.into(), marker.into()), ("TRACEPARENT".into(), trace.to_string().into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_passes() {
        let extra = vec!["KAST_AI_API_KEY".to_owned(), "MY_TOOL".to_owned()];
        for (name, plain, with_extra) in [
            ("PATH", true, true),
            ("LC_ALL", true, true),
            ("LC_PASSWORD", false, false),
            ("https_proxy", true, true),
            ("Https_Proxy", false, false),
            ("KAST_ZAP_URL", true, true),
            ("KAST_LOG_LEVEL", false, false),
            ("KAST_AUTH", false, false),
            ("KAST_DSN", false, false),
            ("KAST_AI_API_KEY", false, true),
            ("KAST_WEB_TOKEN", false, false),
            ("MY_TOOL", false, true),
            ("REDIS_URL", false, false),
            ("KASTREL_DATABASE_URL", false, false),
            ("KASTREL_ATTEMPT", false, false),
            ("FAKE_KAST", false, false),
            ("LD_PRELOAD", false, false),
            ("AWS_SECRET_ACCESS_KEY", false, false),
        ] {
            let passes = |extra: &[String]| passage(OsStr::new(name), OsStr::new("x"), extra) == Passage::Passes;
            assert_eq!((passes(&[]), passes(&extra)), (plain, with_extra), "{name}");
        }
    }

    #[test]
    fn an_address_with_a_password_passes_only_where_the_operator_names_it() {
        for (name, value, passes) in [
            ("HTTP_PROXY", "http://proxy:3128", true),
            ("HTTP_PROXY", "http://user@proxy:3128", false),
            ("HTTP_PROXY", "http://user:hun/ter2@proxy:3128", false),
            ("HTTPS_PROXY", "http://user:hun@ter2@proxy:3128", false),
            ("ALL_PROXY", "//user:hunter2@proxy:3128", false),
            ("NO_PROXY", "localhost,.example.com", true),
            ("DOCKER_HOST", "tcp://user:hun/ter2@host:2376", false),
            ("PATH", "/opt/a@2:/bin:/opt/b@3", true),
            ("HTTP_PROXY", "http://user:hunter2@proxy:3128", false),
            ("https_proxy", "user:hunter2@proxy:3128", false),
            ("ALL_PROXY", "socks5h://:hunter2@proxy", false),
            ("DOCKER_HOST", "ssh://user@host", true),
            ("KAST_ZAP_URL", "http://user:hunter2@zap:8080", false),
            ("PATH", "/bin:/usr/bin", true),
        ] {
            let expected = if passes { Passage::Passes } else { Passage::Withheld };
            assert_eq!(passage(OsStr::new(name), OsStr::new(value), &[]), expected, "{name}={value}");
            assert_eq!(passage(OsStr::new(name), OsStr::new(value), &[name.to_owned()]), Passage::Passes);
        }
    }

    #[test]
    fn what_is_set_comes_last_and_so_wins() {
        let own = [("PATH".into(), "/bin".into()), ("COLUMNS".into(), "80".into()), ("SHELL".into(), "/bin/sh".into())];
        let all = base(own, &[], &[("PATH".into(), "/opt".into())]);
        let expected: Vec<(OsString, OsString)> =
            [("PATH", "/bin"), ("COLUMNS", "200"), ("PATH", "/opt")].map(|(name, value)| (name.into(), value.into())).into();
        assert_eq!(all, expected);
    }
}
