//! Converts the configuration into the policies of other modules, and checks values that contradict
//! each other.

use std::path::PathBuf;
use std::time::Duration;

use kastrel_actors::policy::admission::QueueLimits;
use kastrel_actors::policy::deadline::Limits;
use kastrel_actors::policy::lease::LeasePolicy;
use kastrel_actors::policy::override_policy::OverridePolicy;
use kastrel_actors::policy::restart::{Intensity, RetryPolicy};
use kastrel_actors::policy::scope::ScopePolicy;

use super::database_url::RemoteDatabase;
use super::error::Problem;
use super::keys::{Config, OidcConfig};
use super::redis_url::check_redis_url;
use super::resolver::Effective;
use super::smtp_url::check_smtp_url;
use super::values::AuthMode;

/// The shortest time for which entries of the audit log are kept, in days.
const LEAST_KEEP_DAYS: u32 = 30;

impl Config {
    /// Returns the folder of the scans' results.
    #[must_use]
    pub fn results_dir(&self) -> PathBuf {
        self.data.results_dir.clone().unwrap_or_else(|| self.data.dir.join("results"))
    }

    /// Returns the folder of the automatic backups.
    #[must_use]
    pub fn backup_dir(&self) -> PathBuf {
        self.backup.dir.clone().unwrap_or_else(|| self.data.dir.join("backups"))
    }

    /// Returns the interval between automatic backups.
    #[must_use]
    pub const fn backup_interval(&self) -> Duration {
        Duration::from_secs(self.backup.every_hours as u64 * 3600)
    }

    /// Returns whether automatic backups are made: only of the embedded database, which belongs to
    /// Kastrel.
    #[must_use]
    pub const fn makes_backups(&self) -> bool {
        self.backup.enabled && self.database.url.is_none()
    }

    /// Returns how long entries of the audit log are kept; `None` means for ever.
    #[must_use]
    pub fn audit_retention(&self) -> Option<Duration> {
        (self.audit.keep_days > 0).then(|| Duration::from_hours(u64::from(self.audit.keep_days) * 24))
    }

    /// Returns the file in which a running server publishes its URL for commands of the same data
    /// folder.
    #[must_use]
    pub fn server_file(&self) -> PathBuf {
        self.data.dir.join("server.json")
    }

    /// Returns the retry policy of scans.
    #[must_use]
    pub const fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.scans.max_attempts,
            base: self.scans.backoff_base_seconds,
            cap: self.scans.backoff_cap_seconds,
        }
    }

    /// Returns the time limits of an attempt.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        Limits { wall_clock: self.scans.wall_clock_limit_seconds, no_progress: self.scans.no_progress_limit_seconds }
    }

    /// Returns the timing of the node's lease.
    #[must_use]
    pub const fn lease_policy(&self) -> LeasePolicy {
        LeasePolicy {
            ttl: self.node.lease_seconds,
            renew_every: self.node.renew_seconds,
            margin: self.node.lease_margin_seconds,
        }
    }

    /// Returns how many restarts of an actor are allowed in a time window.
    #[must_use]
    pub const fn restart_intensity(&self) -> Intensity {
        Intensity { max: self.supervision.restart_max, within: self.supervision.restart_window_seconds }
    }

    /// Returns the limits of the queue.
    #[must_use]
    pub const fn queue_limits(&self) -> QueueLimits {
        QueueLimits { max_waiting: self.queue.max_waiting as u64, client_percent: self.queue.client_share as u64 }
    }

    /// Returns the policy of allowed targets.
    #[must_use]
    pub fn scope_policy(&self) -> ScopePolicy {
        ScopePolicy {
            allow: self.scope.allow.rules().to_vec(),
            deny: self.scope.deny.rules().to_vec(),
            allow_private: self.scope.allow_private,
        }
    }
}

impl Config {
    /// Returns the policy of scanner settings that a client may change.
    #[must_use]
    pub fn override_policy(&self) -> OverridePolicy {
        OverridePolicy {
            allow: self.overrides.allow.patterns().to_vec(),
            deny: self.overrides.deny.patterns().to_vec(),
        }
    }

    /// Returns the file with the key for secret settings.
    #[must_use]
    pub fn secrets_key_file(&self) -> PathBuf {
        self.secrets.key_file.clone().unwrap_or_else(|| self.data.dir.join("secrets.key"))
    }
}

/// Validates the database and Redis URLs with the adapters' own parsers, the URL of the mail
/// server, and the path of the key file.
pub(super) fn unusable(config: &Config, effective: &[Effective]) -> Vec<Problem> {
    let database = config
        .database
        .url
        .as_ref()
        .and_then(|url| url.expose().parse::<RemoteDatabase>().err())
        .map(|error| error.to_string());
    let redis =
        config.redis.url.as_ref().and_then(|url| check_redis_url(url.expose()).err()).map(|error| error.to_string());
    let mail =
        config.mail.smtp_url.as_ref().and_then(|url| check_smtp_url(url.expose()).err()).map(|error| error.to_string());
    let problem = |(key, why): (&str, Option<String>)| {
        let one = effective.iter().find(|one| one.key.name == key)?;
        Some(Problem::Unusable { key: one.key.name, origin: one.origin.clone(), why: why? })
    };
    let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    // The value is not repeated in the message: it is a key.
    let key_file = config.secrets.key_file.as_ref().is_some_and(|path| is_hex(path.to_string_lossy().trim()));
    let key_file = key_file
        .then(|| "it is 64 hexadecimal digits, so it is a key and not a file; write them to a file that only its owner can read, and set the path of that file".to_owned());
    [("database.url", database), ("redis.url", redis), ("mail.smtp_url", mail), ("secrets.key_file", key_file)]
        .into_iter()
        .filter_map(problem)
        .collect()
}

/// Checks values that are valid alone but contradict each other.
pub(super) fn contradictions(config: &Config, effective: &[Effective]) -> Vec<Problem> {
    let name = |name: &str| match effective.iter().find(|one| one.key.name == name) {
        Some(one) => format!("{name} = {} (from {})", one.shown(), one.origin),
        None => name.to_owned(),
    };
    let mut problems = Vec::new();
    let mut check = |wrong: bool, text: String| {
        if wrong {
            problems.push(Problem::Contradiction { text });
        }
    };
    let node = &config.node;
    check(
        node.renew_seconds >= node.lease_seconds.saturating_sub(node.lease_margin_seconds),
        format!(
            "{} must be less than {} minus {}; a lease would end before its first renewal",
            name("node.renew_seconds"),
            name("node.lease_seconds"),
            name("node.lease_margin_seconds")
        ),
    );
    check(
        config.scans.backoff_base_seconds > config.scans.backoff_cap_seconds,
        format!("{} must not be more than {}", name("scans.backoff_base_seconds"), name("scans.backoff_cap_seconds")),
    );
    check(
        config.server.tls_certificate.is_some() != config.server.tls_key.is_some(),
        format!(
            "{} and {} must be set together, or neither of them",
            name("server.tls_certificate"),
            name("server.tls_key")
        ),
    );
    check(
        config.server.public_url.as_ref().is_some_and(|url| *url.base_path() != config.server.base_path),
        format!("{} must have the path {}", name("server.public_url"), name("server.base_path")),
    );
    for (missing, key) in
        [(config.mail.from.is_none(), "mail.from"), (config.server.public_url.is_none(), "server.public_url")]
    {
        check(config.mail.smtp_url.is_some() && missing, format!("{} needs {key}", name("mail.smtp_url")));
    }
    let OidcConfig { issuer, client_id, client_secret_file, client_secret, .. } = &config.oidc;
    let is_oidc = config.auth.mode == AuthMode::Oidc;
    for (key, is_missing) in [
        ("oidc.issuer", issuer.is_none()),
        ("oidc.client_id", client_id.is_none()),
        ("server.public_url", config.server.public_url.is_none()),
    ] {
        check(is_oidc && is_missing, format!("{} needs {}, which is not set", name("auth.mode"), name(key)));
    }
    check(
        client_secret_file.is_some() && client_secret.is_some(),
        format!("{} and {} must not both be set", name("oidc.client_secret_file"), name("oidc.client_secret")),
    );
    check(
        (1..LEAST_KEEP_DAYS).contains(&config.audit.keep_days),
        format!("{} must be 0, or at least {LEAST_KEEP_DAYS}", name("audit.keep_days")),
    );
    // Without a bucket, the other keys of the section have no effect.
    let Some(artifacts) = Some(&config.artifacts).filter(|artifacts| artifacts.url.is_some()) else { return problems };
    check(
        artifacts.endpoint.as_ref().is_some_and(|endpoint| !endpoint.is_encrypted()) && !artifacts.allow_http,
        format!("{} has no TLS, and {} does not allow that", name("artifacts.endpoint"), name("artifacts.allow_http")),
    );
    check(
        artifacts.access_key_id.is_some() != artifacts.secret_access_key.is_some(),
        format!(
            "{} and {} must be set together, or neither of them",
            name("artifacts.access_key_id"),
            name("artifacts.secret_access_key")
        ),
    );
    problems
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Sources;

    fn defaults() -> Config {
        Sources::of(&BTreeMap::new()).resolve().unwrap().config
    }

    #[test]
    fn config_defaults_match_the_policies() {
        let config = defaults();
        assert_eq!(config.retry_policy(), RetryPolicy::default());
        assert_eq!(config.limits(), Limits::default());
        assert_eq!(config.lease_policy(), LeasePolicy::default());
        assert_eq!(config.scope_policy(), ScopePolicy::default());
        assert_eq!(config.queue_limits(), QueueLimits::default());
    }

    #[test]
    fn unusable_urls_are_named_by_key_and_without_passwords() {
        let problems = |variables: &[(&str, &str)]| {
            let env: BTreeMap<String, String> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Sources::of(&env).resolve().err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(
            problems(&[("KASTREL_DATABASE_URL", "ws://root:pw@db:8000/a/b"), ("REDIS_URL", "rediss://:pw@redis/1")]),
            ""
        );
        let told = problems(&[
            ("KASTREL_DATABASE_URL", "postgres://root:hunter2@db/x/y"),
            ("REDIS_URL", "redis://:hunter2@redis/jobs"),
            ("KASTREL_REDIS__PREFIX", "a b"),
        ]);
        assert!(
            told.contains(
                "redis.prefix (from environment variable KASTREL_REDIS__PREFIX): expected 1 to 48 characters"
            ),
            "{told}"
        );
        let told = problems(&[
            ("KASTREL_DATABASE_URL", "postgres://root:hunter2@db/x/y"),
            ("REDIS_URL", "redis://:hunter2@redis/jobs"),
        ]);
        for part in [
            "database.url (from environment variable KASTREL_DATABASE_URL) cannot be used: ",
            "redis.url (from environment variable REDIS_URL) cannot be used: the path of Redis's address must be empty or the number of a database, such as `/0`",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn a_key_in_place_of_its_file_is_refused_and_not_repeated() {
        let told = |file: &str| {
            let env: BTreeMap<String, String> = [("KASTREL_SECRETS__KEY_FILE".to_owned(), file.to_owned())].into();
            Sources::of(&env).resolve().err().map(|error| format!("{error} {error:?}")).unwrap_or_default()
        };
        let key = "0a".repeat(32);
        let why = told(&key);
        assert!(
            why.contains("secrets.key_file") && why.contains("a key and not a file") && !why.contains(&key),
            "{why}"
        );
        assert_eq!((told("/run/secrets/kastrel.key"), told(&format!("/keys/{key}"))), (String::new(), String::new()));
    }

    #[test]
    fn certificate_and_key_of_tls_need_each_other() {
        let problem = |names: &[&str]| {
            let env: BTreeMap<String, String> =
                names.iter().map(|name| ((*name).to_owned(), "/etc/kastrel/tls.pem".to_owned())).collect();
            Sources::of(&env).resolve().err().map(|error| error.to_string()).unwrap_or_default()
        };
        let both = ["KASTREL_SERVER__TLS_CERTIFICATE", "KASTREL_SERVER__TLS_KEY"];
        assert_eq!((problem(&both), problem(&[])), (String::new(), String::new()));
        for one in both {
            let text = problem(&[one]);
            assert!(
                text.contains(one)
                    && text.contains("server.tls_certificate")
                    && text.contains("server.tls_key")
                    && text.contains("must be set together"),
                "{text}"
            );
        }
    }

    #[test]
    fn public_address_has_the_base_path() {
        let problem = |url: &str, base: &str| {
            let env = [("KASTREL_PUBLIC_URL", url), ("KASTREL_SERVER__BASE_PATH", base)];
            let env: BTreeMap<String, String> =
                env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Sources::of(&env).resolve().err().map(|error| error.to_string()).unwrap_or_default()
        };
        for (url, base) in [("", "/kastrel"), ("https://a.example/", ""), ("https://a.example/kastrel", "/kastrel/")] {
            assert_eq!(problem(url, base), "", "{url} {base}");
        }
        for (url, base) in [("https://a.example", "/kastrel"), ("https://a.example/kastrel", "")] {
            let text = problem(url, base);
            assert!(text.contains("server.public_url") && text.contains("server.base_path"), "{text}");
        }
    }

    #[test]
    fn mails_need_a_sender_and_the_address_of_the_server() {
        let problem = |pairs: &[(&str, &str)]| {
            let env: BTreeMap<String, String> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Sources::of(&env).resolve().err().map(|error| error.to_string()).unwrap_or_default()
        };
        let url = ("KASTREL_MAIL__SMTP_URL", "smtps://kastrel:hunter2@mail.example.com");
        let (from, public) =
            (("KASTREL_MAIL__FROM", "kastrel@example.com"), ("KASTREL_PUBLIC_URL", "https://scans.example.com"));
        assert_eq!((problem(&[url, from, public]), problem(&[from]), problem(&[])), Default::default());
        for (given, missing) in [([url, from], "server.public_url"), ([url, public], "mail.from")] {
            let text = problem(&given);
            assert!(text.contains("mail.smtp_url") && text.contains(&format!("needs {missing}")), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let plain = ("KASTREL_MAIL__SMTP_URL", "smtp://kastrel:hunter2@mail.example.com");
        let text = problem(&[plain, from, public]);
        assert!(text.contains("mail.smtp_url") && text.contains("tls=required") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn sign_in_with_a_provider_needs_the_provider_and_the_public_address() {
        let problem = |pairs: &[(&str, &str)]| {
            let env: BTreeMap<String, String> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Sources::of(&env).resolve().err().map(|error| error.to_string()).unwrap_or_default()
        };
        let all = [
            ("KASTREL_AUTH_MODE", "oidc"),
            ("KASTREL_OIDC__ISSUER", "https://id.example"),
            ("KASTREL_OIDC__CLIENT_ID", "kastrel"),
            ("KASTREL_PUBLIC_URL", "https://scans.example.com"),
        ];
        assert_eq!(problem(&all), "");
        assert_eq!(problem(&[("KASTREL_AUTH_MODE", "local")]), "");
        let none = problem(&all[..1]);
        for key in ["auth.mode", "oidc.issuer", "oidc.client_id", "server.public_url"] {
            assert!(none.contains(key), "{none}");
        }
        assert!(!problem(&all[..2]).contains("oidc.issuer"));
        let secrets = [("KASTREL_OIDC__CLIENT_SECRET", "hunter2"), ("KASTREL_OIDC__CLIENT_SECRET_FILE", "/x")];
        let both = problem(&secrets);
        assert!(both.contains("must not both be set") && !both.contains("hunter2"), "{both}");
        assert_eq!((problem(&secrets[..1]), problem(&secrets[1..])), (String::new(), String::new()));
        let plain = problem(&[("KASTREL_OIDC__ISSUER", "http://id.example")]);
        assert!(plain.contains("oidc.issuer") && plain.contains("loopback"), "{plain}");
        let wrong = problem(&[("KASTREL_OIDC__GROUPS", "sec-admins=king")]);
        assert!(wrong.contains("oidc.groups") && wrong.contains("web:operator"), "{wrong}");
    }

    #[test]
    fn audit_log_is_kept_for_ever_or_for_30_days_at_least() {
        let of = |days: &str| {
            let env: BTreeMap<String, String> = [("KASTREL_AUDIT__KEEP_DAYS".to_owned(), days.to_owned())].into();
            Sources::of(&env)
                .resolve()
                .map(|resolved| resolved.config.audit_retention())
                .map_err(|error| error.to_string())
        };
        assert_eq!(defaults().audit_retention(), None);
        assert_eq!((of("0"), of("30")), (Ok(None), Ok(Some(Duration::from_hours(30 * 24)))));
        for days in ["1", "29", "3651", "-1", "x"] {
            let why = of(days).unwrap_err();
            assert!(why.contains("audit.keep_days"), "{why}");
        }
    }

    #[test]
    fn results_folder_defaults_to_the_data_folder() {
        let mut config = defaults();
        assert_eq!(config.results_dir(), PathBuf::from("data/results"));
        config.data.results_dir = Some("/srv/results".into());
        assert_eq!(config.results_dir(), PathBuf::from("/srv/results"));
    }

    #[test]
    fn only_the_embedded_database_is_backed_up_by_itself() {
        let mut config = defaults();
        assert_eq!((config.backup_dir(), config.backup_interval().as_secs()), (PathBuf::from("data/backups"), 86_400));
        assert!(config.makes_backups());
        config.database.url = Some("ws://u:p@db:8000/a/b".parse().unwrap());
        assert!(!config.makes_backups());
        (config.database.url, config.backup.enabled) = (None, false);
        assert!(!config.makes_backups());
    }
}
