//! The scanner's environment: an allow-list, what every attempt gets, and the marker by which its processes are found again.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use kastrel_actors::model::TraceContext;

/// The variable that marks every process of an attempt.
pub(super) const MARKER_VARIABLE: &str = "KASTREL_ATTEMPT";

/// The names that pass as they are. Docker's belong to it because KAST starts ZAP with the `docker` client.
const ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
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
];

/// Parts of a name that say that its value is a secret; such a variable passes only where the configuration names it.
const SECRET_PARTS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Whether a variable of our own environment may reach the scanner; `extra` are the names that the configuration allows.
fn passes(name: &OsStr, extra: &[String]) -> bool {
    let Some(name) = name.to_str() else { return false };
    if extra.iter().any(|one| one == name) {
        return true;
    }
    if ALLOWED.contains(&name) || name.starts_with("LC_") {
        return true;
    }
    name.strip_prefix("KAST_").is_some_and(|rest| !SECRET_PARTS.iter().any(|part| rest.to_ascii_uppercase().contains(part)))
}

/// The part of `own` that may reach a scanner, with what every call of it gets.
pub(super) fn base(own: impl IntoIterator<Item = (OsString, OsString)>, extra: &[String], set: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let mut all: Vec<_> = own.into_iter().filter(|(name, _)| passes(name, extra)).collect();
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
            ("https_proxy", true, true),
            ("KAST_LOG_LEVEL", true, true),
            ("KAST_AI_API_KEY", false, true),
            ("KAST_WEB_TOKEN", false, false),
            ("KAST_db_password", false, false),
            ("MY_TOOL", false, true),
            ("REDIS_URL", false, false),
            ("KASTREL_DATABASE_URL", false, false),
            ("KASTREL_ATTEMPT", false, false),
            ("FAKE_KAST", false, false),
            ("LD_PRELOAD", false, false),
            ("AWS_SECRET_ACCESS_KEY", false, false),
        ] {
            assert_eq!((passes(OsStr::new(name), &[]), passes(OsStr::new(name), &extra)), (plain, with_extra), "{name}");
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
