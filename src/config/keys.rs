//! Every key, declared once: its type, default, bounds, short names and doc comment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::base_path::BasePath;
use super::bucket::{BucketUrl, Endpoint};
use super::layers::Resolver;
use super::secret::HIDDEN;
use super::values::{
    FolderList, LogFormat, LogLevel, ProxyRules, RedisPrefix, ScannerChoice, ScopeRules, Setting, SettingPatterns,
    TraceUrl, UserText, VariableNames,
};
use super::{SecretText, SecretUrl, redact};

/// What is declared of a key.
#[derive(Debug)]
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// What it means, a line each.
    pub doc: &'static [&'static str],
    /// Short environment variables, besides `KASTREL_<SECTION>__<KEY>`.
    pub env: &'static [&'static str],
    /// The flag, where a command has one.
    pub flag: Option<&'static str>,
    /// Completes "expected …", with bounds.
    pub expected: fn() -> String,
    /// Whether the value may hold a password.
    pub secret: bool,
    /// Whether nothing at all of the value may be shown.
    pub concealed: bool,
    default: fn() -> Value,
    pub(super) bounds: Option<(i32, i32)>,
}

impl Key {
    /// The key of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// `server` of `server.listen`.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// `listen` of `server.listen`.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, field)| field)
    }

    /// `KASTREL_SERVER__LISTEN` of `server.listen`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("KASTREL_{}__{}", self.section().to_uppercase(), self.field().to_uppercase())
    }

    /// The default, as the file would hold it.
    #[must_use]
    pub fn default(&self) -> Value {
        (self.default)()
    }

    /// A value of this key as it may be shown.
    #[must_use]
    pub fn shown(&self, value: &Value) -> String {
        match value {
            Value::String(text) if self.concealed && text.is_empty() => String::new(),
            _ if self.concealed => HIDDEN.to_owned(),
            Value::String(text) if self.secret => redact(text),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

fn expected<T: Setting>(bounds: Option<(i32, i32)>) -> String {
    match bounds {
        Some((least, most)) => format!("{} from {least} to {most}", T::EXPECTED),
        None => T::EXPECTED.to_owned(),
    }
}

/// Declares sections of keys: the structs, [`Config`], [`KEYS`] and how a `Config` is resolved.
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

        /// The configuration in effect.
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

        /// Each section with its doc comment, in the order of the file.
        pub(super) const SECTIONS: &[(&str, &[&str])] = &[$((stringify!($section), &[$($section_doc),*])),+];

        impl Config {
            /// Takes every key from its layer. `None` for each value that is wrong; the resolver
            /// keeps the problems.
            pub(super) fn take(resolver: &mut Resolver<'_>) -> Option<Self> {
                // Every key is looked at before the first wrong one ends the attempt, so that all
                // problems are told at once.
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

/// Where systems keep the certificates of authorities.
fn certificate_folders() -> Vec<String> {
    ["/etc/ssl/certs", "/etc/pki/ca-trust", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"]
        .map(str::to_owned)
        .into()
}

settings! {
    /// The dashboard and the API.
    server: ServerConfig {
        /// The address to listen on. This version has no user accounts, so it must be a loopback
        /// address unless allow_any_address is set.
        listen: SocketAddr = "127.0.0.1:5000", env ["KASTREL_LISTEN"], flag "--listen";
        /// How often a page without a live stream asks for news.
        poll_interval_seconds: Duration = 3, within 1 to 3600;
        /// The most live streams at once; a client above it polls instead.
        max_event_streams: usize = 2000, within 1 to 1000000;
        /// The most requests answered at the same time; live streams and status polls excepted. One
        /// above it is told to try again.
        max_requests: usize = 512, within 1 to 1000000;
        /// The most connections at once; fewer where the limit of open files leaves less beside the
        /// scans. Beyond them the one that has been idle for longest is closed; health checks have
        /// places of their own.
        max_connections: usize = 4096, within 16 to 1000000;
        /// How long the head of a request may take, and how long a new connection may send nothing.
        header_timeout_seconds: Duration = 10, within 1 to 3600;
        /// How long the body of a request may take, with one second more for each 16 KiB of it.
        body_timeout_seconds: Duration = 10, within 1 to 3600;
        /// How long a connection may wait for its next request. Behind a proxy, longer than the
        /// proxy keeps its connections.
        idle_timeout_seconds: Duration = 75, within 1 to 86400;
        /// The largest request body.
        body_limit_bytes: usize = 262_144, within 1024 to 1073741824;
        /// The longest a request may take; live streams excepted.
        request_timeout_seconds: Duration = 30, within 1 to 3600;
        /// Allow an address that is not a loopback one although there are no user accounts: for a
        /// container whose port is published to loopback, or behind a proxy with authentication.
        allow_any_address: bool = false;
        /// Host names under which a browser may reach the server, besides the loopback names and,
        /// beyond loopback, its addresses.
        allowed_hosts: Vec<String> = none();
        /// Addresses of proxies whose X-Forwarded-For, -Host, -Port, -Proto and -Prefix count.
        /// Those of anybody else are ignored.
        trusted_proxies: ProxyRules = none();
        /// The path that everything is under, such as /kastrel, where a proxy gives Kastrel no host
        /// name of its own. The proxy may take it off or leave it on.
        base_path: BasePath = "";
    }

    /// Where things are kept.
    data: DataConfig {
        /// The folder of the embedded database and of everything else that Kastrel keeps.
        dir: PathBuf = "data", env ["KASTREL_DATA_DIR"], flag "--data-dir";
        /// The folder of the scans' results. Empty: `results` in the data folder.
        results_dir: Option<PathBuf> = "", env ["KAST_RESULTS_DIR"];
    }

    /// The database.
    database: DatabaseConfig {
        /// Where it is: ws:// or wss://user:password@host:port/namespace/database. Empty: embedded,
        /// in the data folder.
        url: Option<SecretUrl> = "", env ["KASTREL_DATABASE_URL"], secret true;
        /// Start an embedded database that has lost rows or cannot be read as a whole, with what is
        /// left. Give it as a flag and once: the start says what is missing.
        accept_loss: bool = false, flag "--accept-loss";
        /// Use a database server that runs on SurrealKV although that engine loses committed rows
        /// at a restart.
        allow_unsafe_engine: bool = false;
    }

    /// Automatic backups of the embedded database. A database on a server is backed up where it is,
    /// or by `kastrel backup`.
    backup: BackupConfig {
        /// Whether a server makes them: regularly, and before a newer program changes the
        /// database's schema.
        enabled: bool = true;
        /// How often, in hours.
        every_hours: u32 = 24, within 1 to 8760;
        /// How many are kept.
        keep: usize = 7, within 1 to 10000;
        /// The folder that they are kept in, for this database alone; better on another disk.
        /// Empty: `backups` in the data folder.
        dir: Option<PathBuf> = "";
    }

    /// Where the files of scans are kept: reports, logs and raw results.
    artifacts: ArtifactsConfig {
        /// An S3-compatible bucket that all machines share, such as `s3://scans/kastrel`. Empty:
        /// the results folder of this machine.
        url: Option<BucketUrl> = "";
        /// Where the S3 service is, such as `https://minio.example.com:9000`. Empty: what
        /// AWS_ENDPOINT_URL says, else AWS.
        endpoint: Option<Endpoint> = "";
        /// The region. Empty: what AWS_REGION says, else us-east-1.
        region: Option<String> = "";
        /// The name of the credentials. Empty: AWS_ACCESS_KEY_ID and its relatives, else those that
        /// the machine is given.
        access_key_id: Option<SecretText> = "", concealed true;
        /// Their secret. Empty: AWS_SECRET_ACCESS_KEY.
        secret_access_key: Option<SecretText> = "", concealed true;
        /// Whether an endpoint without TLS is taken.
        allow_http: bool = false;
        /// Whether the bucket's name stands in the path of a request; it stands in the host name
        /// otherwise.
        path_style: bool = true;
        /// How often the log of a running scan is brought to the bucket, if it changed.
        live_log_seconds: Duration = 3, within 1 to 3600;
        /// The longest that the end of an attempt waits until its files are in the bucket; after
        /// that they follow by themselves.
        upload_wait_seconds: Duration = 30, within 0 to 3600;
        /// How long the service may be silent within a request.
        request_timeout_seconds: Duration = 30, within 1 to 600;
        /// How often a request is repeated before it counts as failed. Uploads that failed are
        /// tried again for as long as it takes.
        retries: usize = 3, within 0 to 20;
        /// How long a worker keeps its own copy of what is in the bucket. 0: not at all.
        keep_local_hours: u32 = 24, within 0 to 87600;
    }

    /// The job queue of several machines.
    redis: RedisConfig {
        /// Where it is: redis:// or, with TLS, rediss://. Empty: the queue is in the process.
        url: Option<SecretUrl> = "", env ["REDIS_URL"], secret true;
        /// What the names of all keys and channels begin with, for several installations on one
        /// Redis.
        prefix: RedisPrefix = "kastrel";
    }

    /// A process that only runs scans.
    worker: WorkerConfig {
        /// The address of its health checks and metrics, the only one that it has.
        listen: SocketAddr = "127.0.0.1:5001";
    }

    /// The scanner.
    kast: KastConfig {
        /// KAST's program. Empty: `kast` on the PATH, and without one the built-in scanner.
        path: Option<PathBuf> = "", env ["KAST_CLI_PATH"], flag "--kast";
        /// auto (KAST where it is found), kast or builtin.
        scanner: ScannerChoice = "auto", flag "--scanner";
        /// Names of further environment variables that the scanner may see, such as the API keys
        /// that its plugins want, or a proxy with a password. It sees what docs/isolation.md lists.
        environment: VariableNames = none();
        /// Folders in which a file must lie that a scan's settings name, such as
        /// tls_certificate.extra_ca_file of the built-in scanner. A symbolic link does not lead out
        /// of them. Empty: no setting may name a file.
        file_folders: FolderList = certificate_folders();
        /// The largest log file of an attempt; what comes after is dropped.
        log_cap_bytes: usize = 10_485_760, within 4096 to 1073741824;
        /// How long a scanner may take to end after SIGINT.
        interrupt_grace_seconds: Duration = 10, within 0 to 600;
        /// How long it may take after SIGTERM, before SIGKILL.
        terminate_grace_seconds: Duration = 5, within 0 to 600;
        /// A YAML configuration file for KAST, which each scan's own settings are merged into.
        /// Empty: ~/.config/kast/config.yaml or /etc/kast/config.yaml, where there is one.
        config_file: Option<PathBuf> = "";
        /// A picture for the reports. Empty: KAST's own.
        logo: Option<PathBuf> = "";
    }

    /// How scans run.
    scans: ScansConfig {
        /// How many run at once on this node.
        concurrency: usize = 4, within 1 to 1000, flag "--concurrency";
        /// The user that scanners run as: a name, or UID:GID. Kastrel must be root, or have
        /// CAP_SETUID, CAP_SETGID and CAP_KILL and be a member of that user's group. Empty:
        /// Kastrel's own user.
        run_as: Option<UserText> = "";
        /// The most memory of an attempt: of all its processes where it has a cgroup, else of each
        /// of them. 0: no limit.
        memory_limit_mib: usize = 4096, within 0 to 16777216;
        /// The most processes and threads of an attempt. Without a cgroup: of all attempts
        /// together, and only where they do not run as root. 0: no limit.
        process_limit: usize = 1024, within 0 to 1000000;
        /// The most processor time of an attempt, in percent of one core. Without a cgroup: of each
        /// of its processes, over the longest time that an attempt may take. 0: no limit.
        cpu_limit_percent: usize = 0, within 0 to 100000;
        /// Whether an attempt has a /tmp of its own where Kastrel may mount one and nothing that
        /// the scanner needs is in /tmp. It has a TMPDIR of its own in any case.
        private_tmp: bool = true;
        /// Whether an attempt reaches nothing but its target's addresses, as they were checked, and
        /// the resolvers: in a network of its own, which pasta connects. docs/isolation.md says
        /// what that needs, and what it means for redirects to other hosts.
        egress_limit: bool = false;
        /// What every attempt reaches as well, with scans.egress_limit: addresses, ranges such as
        /// 10.0.0.0/8, and names, which stand for the addresses that they have when an attempt
        /// starts.
        egress_allow: ScopeRules = none();
        /// How many attempts of a scan may fail.
        max_attempts: u32 = 3, within 1 to 100;
        /// The wait after the first failed attempt; it doubles with each further one.
        backoff_base_seconds: Duration = 2, within 0 to 86400;
        /// The longest wait between attempts.
        backoff_cap_seconds: Duration = 300, within 0 to 86400;
        /// The longest an attempt may run.
        wall_clock_limit_seconds: Duration = 14_400, within 1 to 2592000;
        /// The longest an attempt may show no sign of life: no output and no changed file.
        no_progress_limit_seconds: Duration = 1_800, within 1 to 2592000;
        /// How long a shutdown lets running scans come to their own end before it interrupts them.
        /// 0: not at all.
        shutdown_finish_seconds: Duration = 0, within 0 to 86400;
        /// How long a shutdown waits for interrupted scans to end; they are put back and start
        /// again later.
        shutdown_grace_seconds: Duration = 20, within 0 to 86400;
        /// How long a node that is told to drain may finish what it runs, where nothing else is
        /// said; the rest is handed back.
        drain_limit_seconds: Duration = 600, within 0 to 2592000;
    }

    /// What may wait.
    queue: QueueConfig {
        /// How many scans may wait for their start, on all nodes together; one more is refused and
        /// told when to try again. 0: as many as come.
        max_waiting: u32 = 10_000, within 0 to 100000000;
        /// How much of that one client may fill, in percent. A client is an address; behind a proxy
        /// all are one, and 100 is right.
        client_share: u32 = 50, within 1 to 100;
    }

    /// This process among others that share a database.
    node: NodeConfig {
        /// Its name. Empty: the machine's name.
        name: Option<String> = "";
        /// For how long a lease is good; a dead node's scans run elsewhere after that.
        lease_seconds: Duration = 30, within 1 to 3600;
        /// How often the lease is renewed.
        renew_seconds: Duration = 10, within 1 to 3600;
        /// How long before the end of a lease that cannot be renewed the node kills its scans.
        lease_margin_seconds: Duration = 8, within 0 to 3600;
        /// The least free space of the results folder and of the data folder, or a tenth of their
        /// disk where that is less. With less, scans wait until there is more.
        min_free_bytes: usize = 67_108_864, within 0 to 2147483647;
    }

    /// Which targets may be scanned.
    scope: ScopeConfig {
        /// If not empty, only these hosts: names (with their subdomains), addresses, or ranges such
        /// as 10.0.0.0/8.
        allow: ScopeRules = none();
        /// Never these, whatever else allows them.
        deny: ScopeRules = none();
        /// Whether targets in private, loopback and other special ranges may be scanned. A server
        /// denies them by default, `kastrel scan` without a server allows them.
        allow_private: bool = false, env ["KASTREL_ALLOW_PRIVATE_TARGETS"], flag "--allow-private-targets";
    }

    /// Which settings of the scanner a scan may set.
    overrides: OverridesConfig {
        /// If not empty, only these: `plugin.key`, `plugin.*` or `*`. A setting that names an
        /// image, a container, an address, a proxy, arguments, a file or a URL is locked unless it
        /// is named here in full; the form of a new scan and `/api/plugins` say which are.
        allow: SettingPatterns = none();
        /// Never these, whatever else allows them.
        deny: SettingPatterns = none();
    }

    /// Secret settings of scans, such as API keys of the scanner.
    secrets: SecretsConfig {
        /// The file with the key that seals their values, 64 hexadecimal digits; made where it is
        /// missing. All processes that share a database need the same one. Empty: `secrets.key` in
        /// the data folder.
        key_file: Option<PathBuf> = "";
    }

    /// When failing actors are more than bad luck.
    supervision: SupervisionConfig {
        /// So many restarts of an actor are tolerated …
        restart_max: usize = 5, within 0 to 1000;
        /// … within this time; one more ends the process with a failure.
        restart_window_seconds: Duration = 60, within 1 to 86400;
    }

    /// Logging.
    log: LogConfig {
        /// error, warn, info, debug or trace, or directives such as `info,kastrel=debug`.
        level: LogLevel = "info";
        /// auto (text on a terminal, JSON elsewhere), text or json.
        format: LogFormat = "auto";
    }

    /// Telemetry. Where it is sent is said by the standard OTEL_* variables; docs/telemetry.md
    /// lists them.
    telemetry: TelemetryConfig {
        /// The address of a trace in a tracing UI, with `{trace_id}` in it, such as
        /// `http://127.0.0.1:16686/trace/{trace_id}`. Empty: none.
        trace_url: Option<TraceUrl> = "";
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_documented() {
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
