//! Declares every key once: its type, default, bounds, short names and documentation.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::base_path::BasePath;
use super::bucket::{BucketUrl, Endpoint};
use super::issuer::Issuer;
use super::key::Key;
use super::public_url::PublicUrl;
use super::resolver::Resolver;
use super::secret::{SecretText, SecretUrl};
use super::sender::Sender;
use super::values::{
    AuthMode, FolderList, GroupRules, LogFormat, LogLevel, ProxyRules, RedisPrefix, RequiredFactor, ScannerChoice,
    ScopeRules, Setting, SettingPatterns, TraceUrl, UserText, VariableNames,
};

impl Key {
    /// Returns the key of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }
}

fn expected<T: Setting>(bounds: Option<(i32, i32)>) -> String {
    match bounds {
        Some((least, most)) => format!("{} from {least} to {most}", T::EXPECTED),
        None => T::EXPECTED.to_owned(),
    }
}

/// Declares sections of keys: the structs, [`Config`], [`KEYS`] and the resolution of a `Config`.
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])*
        $section:ident: $struct:ident {$(
            $(#[doc = $doc:literal])*
            $field:ident: $type:ty = $default:expr
                $(, within $least:literal to $most:literal)? $(, env [$($env:literal),+])? $(, flag $flag:literal)? $(, secret $secret:literal)? $(, concealed $concealed:literal)?;
        )+}
    )+) => {
        $(
            $(#[doc = $section_doc])*
            #[derive(Debug, Clone, PartialEq)]
            pub struct $struct {$(
                $(#[doc = $doc])*
                pub $field: $type,
            )+}
        )+

        /// The effective configuration.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config {$(
            $(#[doc = $section_doc])*
            pub $section: $struct,
        )+}

        /// Every key, in the order of the file.
        pub const KEYS: &[Key] = &[$($(
            Key {
                name: concat!(stringify!($section), ".", stringify!($field)),
                doc: &[$($doc),*],
                env: &[$($($env),+)?],
                flag: settings!(@option $($flag)?),
                expected: || expected::<$type>(settings!(@option $(($least, $most))?)),
                secret: settings!(@or false $($secret)?),
                concealed: settings!(@or false $($concealed)?),
                default: || Value::from($default),
                bounds: settings!(@option $(($least, $most))?),
            },
        )+)+];

        /// Each section with its documentation, in the order of the file.
        pub(super) const SECTIONS: &[(&str, &[&str])] = &[$((stringify!($section), &[$($section_doc),*])),+];

        impl Config {
            /// Takes the value of every key from its layer. Returns `None` if any value is invalid;
            /// the resolver keeps the problems.
            pub(super) fn take(resolver: &mut Resolver<'_>) -> Option<Self> {
                // Take every key before the first invalid one ends the attempt, so that all
                // problems are reported at once.
                $($( let $field: Option<$type> = resolver.take(concat!(stringify!($section), ".", stringify!($field))); )+
                let $section = settings!(@all $struct { $($field),+ });)+
                Some(Self { $($section: $section?),+ })
            }
        }
    };
    (@all $struct:ident { $($field:ident),+ }) => {
        match ($($field,)+) {
            ($(Some($field),)+) => Some($struct { $($field),+ }),
            _ => None,
        }
    };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
    (@or $default:literal) => { $default };
    (@or $default:literal $value:literal) => { $value };
}

fn none() -> Vec<String> {
    Vec::new()
}

/// Returns the folders in which systems store the certificates of authorities.
fn certificate_folders() -> Vec<String> {
    ["/etc/ssl/certs", "/etc/pki/ca-trust", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"]
        .map(str::to_owned)
        .into()
}

settings! {
    /// The dashboard and the API.
    server: ServerConfig {
        /// The address to listen on. Without accounts (`auth.mode`), it must be a loopback address.
        listen: SocketAddr = "127.0.0.1:5000", env ["KASTREL_LISTEN"], flag "--listen";
        /// How often a page without an event stream polls, in seconds.
        poll_interval_seconds: Duration = 3, within 1 to 3600;
        /// Maximum number of open event streams. A client above the limit polls instead.
        max_event_streams: usize = 2000, within 1 to 1000000;
        /// Maximum number of requests handled in parallel, not counting event streams and status
        /// polls. A request above the limit is refused with a hint to retry.
        max_requests: usize = 512, within 1 to 1000000;
        /// Maximum number of open connections; lower if the limit of open files leaves fewer
        /// besides the scans. Above the limit, the connection that has been idle for longest is
        /// closed. Health checks have connections of their own.
        max_connections: usize = 4096, within 16 to 1000000;
        /// Time limit for the head of a request, and for the first byte of a new connection, in
        /// seconds.
        header_timeout_seconds: Duration = 10, within 1 to 3600;
        /// Time limit for the body of a request, in seconds; one second more for each 16 KiB of it.
        body_timeout_seconds: Duration = 10, within 1 to 3600;
        /// How long an idle connection stays open, in seconds. Behind a proxy, it must be longer
        /// than the proxy keeps its connections.
        idle_timeout_seconds: Duration = 75, within 1 to 86400;
        /// Maximum size of a request body, in bytes.
        body_limit_bytes: usize = 262_144, within 1024 to 1073741824;
        /// Time limit for a request, in seconds; event streams have none.
        request_timeout_seconds: Duration = 30, within 1 to 3600;
        /// Host names under which browsers may reach the server, in addition to the loopback names
        /// and, if it listens beyond loopback, IP addresses.
        allowed_hosts: Vec<String> = none();
        /// Addresses of proxies whose X-Forwarded-For, -Host, -Port, -Proto and -Prefix headers are
        /// trusted. The headers of other clients are ignored.
        trusted_proxies: ProxyRules = none();
        /// Base path of all pages and routes, such as /kastrel, if a proxy gives Kastrel no host
        /// name of its own. The proxy may remove the path from requests or keep it.
        base_path: BasePath = "";
        /// Address under which browsers reach the server, with the base path, such as
        /// `https://scans.example.com`. Its host is one of the allowed hosts. Sign-in with OpenID
        /// Connect, passkeys and links in mails need it.
        public_url: Option<PublicUrl> = "", env ["KASTREL_PUBLIC_URL"];
        /// PEM file with the certificate of the server, followed by its intermediate certificates.
        /// With it and tls_key, the server speaks https alone. A change of the files takes effect
        /// for new connections, without a restart. Empty: plain HTTP.
        tls_certificate: Option<PathBuf> = "";
        /// PEM file with the private key of the certificate: PKCS#8, PKCS#1 or SEC1, without a
        /// password. Only its owner may read it, or, if root owns it, also its group.
        tls_key: Option<PathBuf> = "";
    }

    /// Accounts.
    auth: AuthConfig {
        /// How clients say who they are. off: not at all, every client has all rights, and the
        /// server listens on a loopback address only. local: accounts of this server. oidc: these,
        /// and sign-in with an identity provider. Workers need the mode of their servers: it also
        /// decides whether scans need clearances.
        mode: AuthMode = "off", env ["KASTREL_AUTH_MODE"];
        /// A session ends when it was not used for this long, in hours.
        session_idle_hours: u32 = 12, within 1 to 8760;
        /// A session ends this long after its sign-in, in hours.
        session_lifetime_hours: u32 = 168, within 1 to 8760;
        /// File with the password of the account `admin`, which is created at the first start.
        /// Empty: the log has a one-time link with which you create the first administrator.
        admin_password_file: Option<PathBuf> = "", env ["KASTREL_ADMIN_PASSWORD_FILE"];
        /// Which users must have a second factor. off: none must. admins: those with the server
        /// role `admin`. all: all. A user without one sets it up at the next sign-in. API tokens
        /// and commands on the data folder are not affected.
        require_second_factor: RequiredFactor = "off";
    }

    /// Mails: links for new passwords, confirmations of mail addresses, and notices of changes.
    mail: MailConfig {
        /// URL of the mail server: smtps://user:password@host:465, or
        /// smtp://user:password@host:587?tls=required. Without TLS, only a mail server on this
        /// machine: smtp://localhost:25. Special characters of the password are percent-encoded.
        /// It needs mail.from and server.public_url. Empty: no mails are sent.
        smtp_url: Option<SecretUrl> = "", secret true;
        /// Sender of the mails, such as `Kastrel <kastrel@example.com>`.
        from: Option<Sender> = "";
        /// Time limit for handing a mail to the mail server, in seconds.
        timeout_seconds: Duration = 20, within 1 to 600;
    }

    /// Sign-in with an identity provider through OpenID Connect, where auth.mode is oidc.
    oidc: OidcConfig {
        /// Issuer of the provider, byte by byte as it writes it: an https address, such as
        /// `https://login.example.com/realms/team`. http is allowed for a loopback address alone.
        issuer: Option<Issuer> = "";
        /// Client id of this server at the provider.
        client_id: Option<String> = "";
        /// File with the client secret; line ends at its end do not count. Empty, and without
        /// client_secret: a public client, which PKCE alone protects.
        client_secret_file: Option<PathBuf> = "";
        /// Client secret. A file is better: it is not in the environment of the process.
        client_secret: Option<SecretText> = "", concealed true;
        /// Name of the provider on the button of the login page. Empty: the host of the issuer.
        provider_name: Option<String> = "";
        /// Scopes that are requested beside openid, profile and email.
        scopes: Vec<String> = none();
        /// Claim from which the name of a new account is made. If it is missing: email.
        account_claim: String = "preferred_username";
        /// Claim with the groups of a person: a list of texts.
        groups_claim: String = "groups";
        /// Roles that groups give: group=auditor or group=admin for a role on the server,
        /// group=project:role for a role in a project. These roles are set at each sign-in: the
        /// highest one of the groups, or none. Other roles stay as they are.
        groups: GroupRules = none();
        /// Whether a person without an account gets one at the first sign-in.
        create_accounts: bool = true;
        /// Whether accounts with a password or a passkey may still use it to sign in.
        local_sign_in: bool = true;
    }

    /// Folders.
    data: DataConfig {
        /// Folder of the embedded database and of everything else that Kastrel stores.
        dir: PathBuf = "data", env ["KASTREL_DATA_DIR"], flag "--data-dir";
        /// Folder of the scans' results. Empty: `results` in the data folder.
        results_dir: Option<PathBuf> = "", env ["KAST_RESULTS_DIR"];
    }

    /// The database.
    database: DatabaseConfig {
        /// URL of the database: ws:// or wss://user:password@host:port/namespace/database. Empty:
        /// embedded database in the data folder.
        url: Option<SecretUrl> = "", env ["KASTREL_DATABASE_URL"], secret true;
        /// Start with an embedded database that has lost rows or is partly unreadable, with the
        /// data that is left. Use it once, as a flag: the start reports what is missing.
        accept_loss: bool = false, flag "--accept-loss";
        /// Use a database server that runs on SurrealKV, although that engine loses committed rows
        /// at a restart.
        allow_unsafe_engine: bool = false;
    }

    /// Automatic backups of the embedded database. Back up a database on a server there, or with
    /// `kastrel backup`.
    backup: BackupConfig {
        /// Whether a server makes backups: regularly, and before a newer program changes the
        /// database's schema.
        enabled: bool = true;
        /// Interval between backups, in hours.
        every_hours: u32 = 24, within 1 to 8760;
        /// How many backups are kept.
        keep: usize = 7, within 1 to 10000;
        /// Folder of the backups, for this database alone, preferably on another disk. Empty:
        /// `backups` in the data folder.
        dir: Option<PathBuf> = "";
    }

    /// The audit log.
    audit: AuditConfig {
        /// How long entries are kept, in days: 0 for ever, otherwise at least 30. The seals of
        /// deleted entries stay, so that the log can be verified.
        keep_days: u32 = 0, within 0 to 3650;
    }

    /// Storage of the scans' files: reports, logs and raw results.
    artifacts: ArtifactsConfig {
        /// An S3-compatible bucket that all machines share, such as `s3://scans/kastrel`. Empty:
        /// the results folder of this machine.
        url: Option<BucketUrl> = "";
        /// Address of the S3 service, such as `https://minio.example.com:9000`. Empty: the value of
        /// AWS_ENDPOINT_URL, otherwise AWS.
        endpoint: Option<Endpoint> = "";
        /// Region of the bucket. Empty: the value of AWS_REGION, otherwise us-east-1.
        region: Option<String> = "";
        /// Access key id. Empty: AWS_ACCESS_KEY_ID and related variables, otherwise the credentials
        /// of the machine.
        access_key_id: Option<SecretText> = "", concealed true;
        /// Secret access key. Empty: AWS_SECRET_ACCESS_KEY.
        secret_access_key: Option<SecretText> = "", concealed true;
        /// Whether an endpoint without TLS is allowed.
        allow_http: bool = false;
        /// Whether the bucket's name is in the path of a request; otherwise it is in the host name.
        path_style: bool = true;
        /// How often the log of a running scan is uploaded, if it changed, in seconds.
        live_log_seconds: Duration = 3, within 1 to 3600;
        /// How long the end of an attempt waits for the upload of its files, in seconds. After
        /// that, the upload continues in the background.
        upload_wait_seconds: Duration = 30, within 0 to 3600;
        /// How long the service may send nothing within a request, in seconds.
        request_timeout_seconds: Duration = 30, within 1 to 600;
        /// How often a request is retried before it counts as failed. Failed uploads are retried
        /// without a limit.
        retries: usize = 3, within 0 to 20;
        /// How long a worker keeps its local copy of uploaded files, in hours. 0: not at all.
        keep_local_hours: u32 = 24, within 0 to 87600;
    }

    /// The job queue of several machines.
    redis: RedisConfig {
        /// URL of Redis: redis:// or, with TLS, rediss://. Empty: the queue is in the process.
        url: Option<SecretUrl> = "", env ["REDIS_URL"], secret true;
        /// Prefix of all keys and channels, for several installations on one Redis.
        prefix: RedisPrefix = "kastrel";
    }

    /// A worker: a process that only runs scans.
    worker: WorkerConfig {
        /// Address of the worker's health checks and metrics; it serves nothing else.
        listen: SocketAddr = "127.0.0.1:5001";
        /// Allow an address that is not a loopback one, where the network itself keeps strangers
        /// away from the metrics.
        allow_any_address: bool = false;
    }

    /// The scanner.
    kast: KastConfig {
        /// Program file of KAST. Empty: `kast` on the PATH, otherwise the built-in scanner.
        path: Option<PathBuf> = "", env ["KAST_CLI_PATH"], flag "--kast";
        /// The scanner: auto (KAST if it is found), kast or builtin.
        scanner: ScannerChoice = "auto", flag "--scanner";
        /// Names of additional environment variables for the scanner, such as the API keys of its
        /// plugins, or a proxy with a password. docs/isolation.md lists the variables that it
        /// always gets.
        environment: VariableNames = none();
        /// Folders that must contain each file that a scan's settings name, such as
        /// tls_certificate.extra_ca_file of the built-in scanner. A symbolic link out of these
        /// folders is not followed. Empty: no setting may name a file.
        file_folders: FolderList = certificate_folders();
        /// Maximum size of an attempt's log file, in bytes; the rest is dropped.
        log_cap_bytes: usize = 10_485_760, within 4096 to 1073741824;
        /// How long a scanner may take to end after SIGINT, in seconds.
        interrupt_grace_seconds: Duration = 10, within 0 to 600;
        /// How long it may take after SIGTERM, before SIGKILL, in seconds.
        terminate_grace_seconds: Duration = 5, within 0 to 600;
        /// YAML configuration file of KAST, into which the settings of each scan are merged. Empty:
        /// ~/.config/kast/config.yaml or /etc/kast/config.yaml, if it exists.
        config_file: Option<PathBuf> = "";
        /// Image file of a logo for the reports. Empty: the logo of KAST.
        logo: Option<PathBuf> = "";
    }

    /// Scans and their attempts.
    scans: ScansConfig {
        /// Number of slots: how many scans run at once on this node.
        concurrency: usize = 4, within 1 to 1000, flag "--concurrency";
        /// The user that runs the scanners: a name, or UID:GID. Kastrel must be root, or have
        /// CAP_SETUID, CAP_SETGID and CAP_KILL and be a member of that user's group. Empty: the
        /// user of Kastrel.
        run_as: Option<UserText> = "";
        /// Memory limit of an attempt, in MiB: of all its processes together with a cgroup,
        /// otherwise of each process. 0: no limit.
        memory_limit_mib: usize = 4096, within 0 to 16777216;
        /// Maximum number of processes and threads of an attempt. Without a cgroup, it applies to
        /// all attempts together, and only if they do not run as root. 0: no limit.
        process_limit: usize = 1024, within 0 to 1000000;
        /// Processor limit of an attempt, in percent of one core. Without a cgroup, it limits the
        /// processor time of each process over the maximum duration of an attempt. 0: no limit.
        cpu_limit_percent: usize = 0, within 0 to 100000;
        /// Whether an attempt has its own /tmp, if Kastrel may mount one and the scanner needs
        /// nothing from /tmp. An attempt always has its own TMPDIR.
        private_tmp: bool = true;
        /// Whether an attempt reaches only the checked addresses of its target, and the resolvers:
        /// it runs in its own network, which pasta connects. docs/isolation.md lists the
        /// requirements and the effect on redirects to other hosts.
        egress_limit: bool = false;
        /// What every attempt may reach in addition, with scans.egress_limit: addresses, ranges
        /// such as 10.0.0.0/8, and names. Names are resolved when an attempt starts.
        egress_allow: ScopeRules = none();
        /// Maximum number of failed attempts of a scan.
        max_attempts: u32 = 3, within 1 to 100;
        /// Backoff after the first failed attempt, in seconds; it doubles with each further one.
        backoff_base_seconds: Duration = 2, within 0 to 86400;
        /// Maximum backoff between attempts, in seconds.
        backoff_cap_seconds: Duration = 300, within 0 to 86400;
        /// Whether a further attempt of a scan keeps the complete results of the earlier ones, and
        /// runs only the plugins without a result.
        resume: bool = true;
        /// Maximum duration of an attempt, in seconds.
        wall_clock_limit_seconds: Duration = 14_400, within 1 to 2592000;
        /// How long an attempt may make no progress (no output and no changed file), in seconds.
        no_progress_limit_seconds: Duration = 1_800, within 1 to 2592000;
        /// How long a shutdown lets running scans finish before it interrupts them, in seconds. 0:
        /// not at all.
        shutdown_finish_seconds: Duration = 0, within 0 to 86400;
        /// How long a shutdown waits for interrupted scans to end, in seconds. They are requeued
        /// and start again later.
        shutdown_grace_seconds: Duration = 20, within 0 to 86400;
        /// Default time limit of a drain, in seconds: how long the node may finish running scans
        /// before it hands back the rest.
        drain_limit_seconds: Duration = 600, within 0 to 2592000;
    }

    /// Limits of the queue.
    queue: QueueConfig {
        /// Maximum number of queued scans on all nodes together. A submission above the limit is
        /// refused with a hint when to retry. 0: no limit.
        max_waiting: u32 = 10_000, within 0 to 100000000;
        /// The share of max_waiting that one client may use, in percent. A client is an address.
        /// Behind a proxy, all clients have the same address: use 100.
        client_share: u32 = 50, within 1 to 100;
    }

    /// This process, among others that share a database.
    node: NodeConfig {
        /// Name of the node. Empty: the host name of the machine.
        name: Option<String> = "";
        /// Duration of a lease, in seconds. After that, other nodes take over the scans of a dead
        /// node.
        lease_seconds: Duration = 30, within 1 to 3600;
        /// Interval between renewals of the lease, in seconds.
        renew_seconds: Duration = 10, within 1 to 3600;
        /// How long before the end of a lease that it cannot renew the node kills its scans, in
        /// seconds.
        lease_margin_seconds: Duration = 8, within 0 to 3600;
        /// Minimum free space of the results folder and of the data folder, in bytes, or a tenth of
        /// their disk if that is less. With less space, scans wait.
        min_free_bytes: usize = 67_108_864, within 0 to 2147483647;
    }

    /// The scope: which targets may be scanned.
    scope: ScopeConfig {
        /// If not empty, only these hosts may be scanned: names (with their subdomains), addresses,
        /// or ranges such as 10.0.0.0/8.
        allow: ScopeRules = none();
        /// These hosts may never be scanned, even if another rule allows them.
        deny: ScopeRules = none();
        /// Whether targets in private, loopback and other special ranges may be scanned. A server
        /// denies them by default, `kastrel scan` without a server allows them.
        allow_private: bool = false, env ["KASTREL_ALLOW_PRIVATE_TARGETS"], flag "--allow-private-targets";
    }

    /// Overrides: which scanner settings a scan may change.
    overrides: OverridesConfig {
        /// If not empty, only these settings may be changed: `plugin.key`, `plugin.*` or `*`. A
        /// setting that names an image, a container, an address, a proxy, arguments, a file or a
        /// URL is locked unless it is listed here by its full name. The form of a new scan and
        /// `/api/plugins` show which settings are locked.
        allow: SettingPatterns = none();
        /// These settings may never be changed, even if another rule allows them.
        deny: SettingPatterns = none();
    }

    /// Secret settings of scans, such as API keys of the scanner.
    secrets: SecretsConfig {
        /// File with the key that encrypts their values, 64 hexadecimal digits; created if it is
        /// missing. All processes that share a database need the same key. Empty: `secrets.key` in
        /// the data folder.
        key_file: Option<PathBuf> = "";
    }

    /// Restarts of failing actors.
    supervision: SupervisionConfig {
        /// Maximum number of restarts of an actor within restart_window_seconds. One more ends the
        /// process with a failure.
        restart_max: usize = 5, within 0 to 1000;
        /// The time window of restart_max, in seconds.
        restart_window_seconds: Duration = 60, within 1 to 86400;
    }

    /// Logging.
    log: LogConfig {
        /// Log level: error, warn, info, debug or trace, or directives such as
        /// `info,kastrel=debug`.
        level: LogLevel = "info";
        /// Log format: auto (text on a terminal, otherwise JSON), text or json.
        format: LogFormat = "auto";
    }

    /// Telemetry. The standard OTEL_* variables configure the export; docs/telemetry.md lists them.
    telemetry: TelemetryConfig {
        /// URL of a trace in a tracing UI, with `{trace_id}` in it, such as
        /// `http://127.0.0.1:16686/trace/{trace_id}`. Empty: no links to traces.
        trace_url: Option<TraceUrl> = "";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn key_names_are_unique_and_documented() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            assert!(!key.doc.is_empty(), "{} has no comment", key.name);
            assert_eq!(key.name, format!("{}.{}", key.section(), key.field()));
            for name in key.env.iter().map(ToString::to_string).chain([key.variable()]) {
                assert!(seen.insert(name.clone()), "{name} is used twice");
            }
        }
        assert_eq!(Key::find("server.listen").map(Key::variable).as_deref(), Some("KASTREL_SERVER__LISTEN"));
    }
}
