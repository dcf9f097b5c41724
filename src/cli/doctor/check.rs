//! Turns the facts into checks with a level and a fix.

use std::path::Path;

use jiff::Timestamp;
use kastrel_actors::policy::backups::is_overdue;

use super::model::{
    Check, Collector, Engine, Facts, Folder, Level, Listen, Probe, RedisFacts, Rows, ServerFileFact, Store,
};
use super::{isolation, surroundings};
use crate::adapters::secret_box::KeyFile;
use crate::adapters::surreal_store::ENGINE_VERSION;
use crate::cli::backup::missing;
use crate::cli::text::{brief, bytes, count, duration};
use crate::config::{Config, ScannerChoice};
use crate::connections::own_descriptors;
use crate::sentence::sentence;
use crate::telemetry::Signal;
use crate::telemetry::variables::Silence;

/// The free space below which a warning is shown, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// The free space below which the next scan will fail, in bytes.
const NO_SPACE: u64 = 100 << 20;
/// The Unix time of 2025 in UTC: this version did not exist before.
const TOO_EARLY: i64 = 1_735_689_600;
/// A clock skew below this is harmless, in seconds.
const SKEW: f64 = 2.0;
/// The Unix time of 2100 in UTC.
const TOO_LATE: i64 = 4_102_444_800;

/// Formats the checks as lines for people.
pub(super) fn lines(checks: &[Check]) -> Vec<String> {
    let mut lines = Vec::new();
    for check in checks {
        let word = match check.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failure => "failure",
        };
        lines.push(format!("{word:<8} {:<12} {}", check.name, sentence(&brief(&check.message, 1000))));
        lines.extend(check.fix.iter().map(|fix| format!("{:<21} fix: {}", "", brief(fix, 1000))));
    }
    lines
}

/// Returns the checks for all facts.
pub(super) fn judge(config: &Config, facts: &Facts) -> Vec<Check> {
    let mut checks = vec![
        folder("data folder", "KASTREL_DATA_DIR", &config.data.dir, &facts.data),
        folder("results", "KAST_RESULTS_DIR", &config.results_dir(), &facts.results),
        database(facts),
        scanner(config, facts),
        listen(config, facts),
        limit("open files", "ulimit -n", facts.open_files, own_descriptors(config.scans.concurrency)),
        limit("processes", "ulimit -u", facts.processes, 256 + 64 * capacity(config)),
        clock(facts.now),
    ];
    if config.database.url.is_none() {
        checks.insert(3, backups(config, facts));
    }
    let open_to_others = [
        ("data folder", config.data.dir.clone(), facts.data_rights, "scans, logs and keys"),
        ("results", config.results_dir(), facts.results_rights, "what scans found"),
        ("backups", config.backup_dir(), facts.backups_rights, "everything that the database keeps"),
    ];
    for (name, dir, rights, readable) in open_to_others {
        let Some(rights) = rights else { continue };
        let message = format!(
            "the folder {} can be entered by other users of this machine (mode {rights:o}): they could read {readable}",
            dir.display()
        );
        let place = checks.iter().position(|check| check.name == name).map_or(checks.len(), |at| at + 1);
        checks.insert(place, Check::warning(name, message, format!("chmod 700 {}", quoted(&dir))));
    }
    checks.extend(secrets(config, facts));
    checks.extend(facts.rows.as_ref().map(|rows| self::rows(config, rows)));
    if let (Some(url), Some(fact)) = (&config.redis.url, &facts.redis) {
        checks.extend(redis(&url.to_string(), fact));
    }
    checks.extend(facts.isolation.iter().map(isolation::judge));
    checks.extend(facts.surroundings.iter().flat_map(surroundings::judge));
    checks.extend(skew(facts));
    checks.extend(telemetry(&facts.collector));
    checks.extend(facts.held.iter().map(|held| {
        let message = format!("starts no scans: {}", held.text);
        if held.is_fault {
            Check::failure("node", message, "follow the advice; waiting scans lose no attempt and start automatically")
        } else {
            Check::warning("node", message, "see the failed attempts; scans start again automatically")
        }
    }));
    checks.extend(facts.dead_letters.map(deliveries));
    if facts.leftovers > 0 {
        let message = format!("scanner processes without an owner: {}", facts.leftovers);
        checks.push(Check::warning(
            "leftovers",
            message,
            "start `kastrel serve` or `kastrel worker` on this data folder: it kills them before it starts a scan",
        ));
    }
    let path = config.server_file();
    match facts.server_file {
        ServerFileFact::Fits => {}
        ServerFileFact::Stale => {
            let message = format!("the file {} names a server that does not respond; it was killed", path.display());
            checks.push(Check::warning("leftovers", message, format!("rm {}", quoted(&path))));
        }
        ServerFileFact::Unproven { pid } => {
            let message = format!(
                "the file {} names process {pid}, which did not prove that it is this folder's server: it hangs, or is an earlier version",
                path.display()
            );
            checks.push(Check::warning("server", message, format!("restart the server, process {pid}")));
        }
    }
    checks
}

fn deliveries(dead_letters: u64) -> Check {
    const NAME: &str = "deliveries";
    if dead_letters == 0 {
        return Check::ok(NAME, "no event was given up");
    }
    Check::warning(
        NAME,
        format!("{} could not be delivered", count(dead_letters, "event")),
        "see the reasons with `kastrel dead-letters list`, repair the cause, then `kastrel dead-letters resend ID`",
    )
}

/// Checks the key for secrets. Without a key and without secrets, there is no check.
fn secrets(config: &Config, facts: &Facts) -> Option<Check> {
    const NAME: &str = "secrets";
    let path = config.secrets_key_file();
    let shown = path.display();
    let keys = facts.sealed_with.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let cure = || {
        "copy the key file there from the process that accepted those scans, or from where their backup was made; or enter the secrets again".to_owned()
    };
    Some(match &facts.key {
        Err(why) => Check::failure(
            NAME,
            format!("the key file {shown} cannot be used: {why}"),
            "correct it, or set secrets.key_file to another one",
        ),
        Ok(None) if keys.is_empty() => return None,
        Ok(None) => Check::failure(
            NAME,
            format!("there is no key file {shown}, and stored secrets are sealed with {keys}"),
            cure(),
        ),
        Ok(Some(key)) if facts.sealed_with.iter().any(|id| *id != key.id) => Check::warning(
            NAME,
            format!("the key in {shown} is {}, and stored secrets are sealed with {keys}", key.id),
            cure(),
        ),
        Ok(Some(KeyFile { open_to_others: Some(mode), .. })) => Check::warning(
            NAME,
            format!("other users of this machine may read the key file {shown} (mode {mode:o})"),
            format!("chmod 600 {}", quoted(&path)),
        ),
        Ok(Some(key)) => Check::ok(NAME, format!("the key {} in {shown} can be read by its owner only", key.id)),
    })
}

fn capacity(config: &Config) -> u64 {
    u64::try_from(config.scans.concurrency).unwrap_or(u64::MAX / 128)
}

fn folder(name: &'static str, variable: &str, path: &Path, fact: &Result<Folder, String>) -> Check {
    let shown = path.display();
    match fact {
        Err(why) => Check::failure(
            name,
            format!("the folder {shown} cannot be written: {why}"),
            format!("mkdir -p {0} && chown \"$USER\" {0}, or set {variable}", quoted(path)),
        ),
        Ok(Folder { free }) if *free < NO_SPACE => Check::failure(
            name,
            format!("the folder {shown} has only {} left", bytes(*free)),
            format!("free some space, or set {variable} to a larger disk"),
        ),
        Ok(Folder { free }) if *free < LITTLE_SPACE => Check::warning(
            name,
            format!("the folder {shown} has only {} left", bytes(*free)),
            format!("free some space, or set {variable} to a larger disk"),
        ),
        Ok(Folder { free }) => Check::ok(name, format!("the folder {shown} is writable, {} free", bytes(*free))),
    }
}

fn database(facts: &Facts) -> Check {
    match &facts.store {
        Store::Opens { probe: Err(why), .. } => Check::failure(
            "database",
            format!("opens, but a test record could not be read back: {why}"),
            "check the database's log and the space on its disk",
        ),
        Store::Opens { engine, .. } => {
            let engine = match engine {
                Engine::Embedded => format!("embedded SurrealDB {ENGINE_VERSION}"),
                Engine::Server(Some(version)) => format!("SurrealDB {version} on a server"),
                Engine::Server(None) => "a server of unknown version".to_owned(),
            };
            Check::ok("database", format!("opens ({engine}); a test record was written and read back"))
        }
        Store::Held { url, ready: true } => {
            Check::ok("database", format!("in use by the server at {url}, which is ready"))
        }
        Store::Held { url, ready: false } => Check::failure(
            "database",
            format!("in use by the server at {url}, which is not ready"),
            format!("curl {url}/readyz"),
        ),
        Store::Fails(why) => Check::failure(
            "database",
            format!("does not open: {why}"),
            "stop other processes that use it, or check KASTREL_DATABASE_URL and KASTREL_DATA_DIR",
        ),
    }
}

fn rows(config: &Config, rows: &Result<Rows, String>) -> Check {
    let fix = if config.database.url.is_none() {
        "restore a backup: kastrel restore --latest --replace"
    } else {
        "restore a backup of the database: kastrel restore FILE, into an empty database"
    };
    match rows {
        Err(why) => Check::failure("rows", format!("the database cannot be read completely: {why}"), fix),
        Ok(Rows { scans, unreadable, keys }) => {
            let keys = keys.map(|keys| format!(" ({})", count(keys, "key"))).unwrap_or_default();
            match missing(unreadable) {
                None => Check::ok("rows", format!("{} read{keys}", count(*scans, "scan"))),
                Some(names) => {
                    Check::failure("rows", format!("{names} cannot be read; {} can{keys}", count(*scans, "scan")), fix)
                }
            }
        }
    }
}

fn backups(config: &Config, facts: &Facts) -> Check {
    let folder = config.backup_dir().display().to_string();
    if !config.backup.enabled {
        return Check::warning(
            "backups",
            "none are made: backup.enabled is off",
            "set backup.enabled = true, or run `kastrel backup` regularly",
        );
    }
    if let Some(why) = &facts.backups.failure {
        return Check::warning(
            "backups",
            format!("the last automatic backup failed: {why}"),
            "free some space, or set backup.dir to another disk",
        );
    }
    let files = match &facts.backups.files {
        Ok(files) => files,
        Err(why) => {
            return Check::warning(
                "backups",
                format!("the folder {folder} cannot be read: {why}"),
                "make the folder readable, or set backup.dir",
            );
        }
    };
    let Some(newest) = files.iter().map(|file| file.made_at).max() else {
        return Check::ok(
            "backups",
            format!("none in {folder} yet: a running server makes the first one when there is a scan"),
        );
    };
    let age = duration(facts.now.duration_since(newest).as_secs_f64());
    let message = format!("{} in {folder}, the newest {age} old", files.len());
    if is_overdue(files, config.backup_interval(), facts.now) {
        return Check::warning(
            "backups",
            message,
            "run `kastrel serve`, which makes them; its log says why one was not made",
        );
    }
    Check::ok("backups", message)
}

fn redis(url: &str, fact: &Result<RedisFacts, String>) -> Vec<Check> {
    let facts = match fact {
        Err(why) => {
            let message = format!("{url} does not respond: {why}; scans start late, but none is lost");
            return vec![Check::failure("redis", message, "start Redis, or check REDIS_URL and its password")];
        }
        Ok(facts) => facts,
    };
    let mut checks = vec![Check::ok(
        "redis",
        format!("{} responds at {url}", facts.version.as_deref().unwrap_or("a server of unknown version")),
    )];
    if facts.keeps_a_log == Some(false) {
        let message = "keeps no append-only file: after a restart of Redis waiting scans start seconds late";
        checks.push(Check::warning(
            "redis log",
            message,
            "redis-cli CONFIG SET appendonly yes, and the same in redis.conf",
        ));
    }
    match facts.eviction.as_deref() {
        Some("noeviction") | None => {}
        Some(policy) => {
            let message =
                format!("the maxmemory-policy is {policy}: Redis may discard the queue when its memory is full");
            checks.push(Check::warning(
                "redis memory",
                message,
                "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
            ));
        }
    }
    checks
}

/// Checks the clock skew. Leases use the database's clock; certificates, schedules and displayed
/// times use this machine's.
fn skew(facts: &Facts) -> Option<Check> {
    let Store::Opens { probe: Ok(Probe { skew: Some(skew) }), .. } = facts.store else { return None };
    let message = format!("differs from the database's by {}{skew:.1} s", if skew > 0.0 { "at least " } else { "" });
    Some(if skew < SKEW {
        Check::ok("clock skew", message)
    } else {
        Check::warning("clock skew", message, "timedatectl set-ntp true, here and where the database is")
    })
}

fn telemetry(facts: &Collector) -> Vec<Check> {
    let ok = |message: &str| Some(Check::ok("telemetry", message));
    let silence = match facts.silence {
        None => None,
        Some(Silence::Disabled) => ok("nothing is exported: OTEL_SDK_DISABLED is true"),
        Some(Silence::NotAsked) => ok("nothing is exported: no OTEL_EXPORTER_OTLP_ENDPOINT is set"),
        Some(Silence::Declined) => ok(
            "nothing is exported: OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER do not request it",
        ),
        Some(Silence::NoAddress) => Some(Check::warning(
            "telemetry",
            "nothing is exported: no valid address is set",
            "check OTEL_EXPORTER_OTLP_ENDPOINT",
        )),
    };
    let tried = facts.tried.iter().map(|tried| {
        let (endpoint, what) = (&tried.endpoint, tried.signal.what());
        match &tried.answer {
            Ok(()) => Check::ok("telemetry", format!("the collector at {endpoint} accepted {what}")),
            Err(why) => Check::warning(
                "telemetry",
                format!("the collector at {endpoint} did not accept {what}: {why}"),
                "start it, or check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL (grpc is mostly port 4317, http/protobuf 4318)",
            ),
        }
    });
    let is_tried = |signal: &Signal| facts.tried.iter().any(|tried| tried.signal == *signal);
    let left_out: Vec<String> = Signal::ALL
        .iter()
        .filter(|signal| !is_tried(signal))
        .map(|signal| format!("{}=otlp", signal.variable()))
        .collect();
    let left_out = (facts.silence.is_none() && !left_out.is_empty()).then(|| {
        Check::ok("telemetry", format!("partly exported; to export the rest, set {}", left_out.join(" and ")))
    });
    let warnings = facts.warnings.iter().map(|warning| {
        Check::warning("telemetry", warning.clone(), "docs/telemetry.md lists what each variable takes")
    });
    silence.into_iter().chain(tried).chain(left_out).chain(warnings).collect()
}

fn scanner(config: &Config, facts: &Facts) -> Check {
    const INSTALL: &str = "install KAST and put `kast` on the PATH, or set KAST_CLI_PATH";
    let list = match &facts.scanner {
        Ok(list) => list,
        Err(why) if config.kast.scanner == ScannerChoice::Builtin => {
            return Check::failure("scanner", why.clone(), "install Kastrel again");
        }
        Err(why) => return Check::failure("scanner", why.clone(), format!("{INSTALL}; or use --scanner builtin")),
    };
    let label = list
        .scanner
        .as_ref()
        .map_or_else(|| "a scanner of unknown version".to_owned(), kastrel_actors::model::ScannerInfo::label);
    let missing: Vec<&str> =
        list.plugins.iter().filter(|plugin| !plugin.available).map(|plugin| plugin.name.as_str()).collect();
    let builtin =
        list.scanner.as_ref().is_some_and(|scanner| scanner.kind == kastrel_actors::model::ScannerKind::Builtin);
    if !missing.is_empty() {
        let message = format!("{label}; unavailable, because their tools are missing: {}", missing.join(", "));
        return Check::warning("scanner", message, "install the tools of these plugins, as KAST's installer does");
    }
    if builtin && config.kast.scanner == ScannerChoice::Auto {
        return Check::warning(
            "scanner",
            format!("{label}: KAST was not found, so scans are small and passive"),
            INSTALL,
        );
    }
    Check::ok(
        "scanner",
        format!("{label} with {}", count(u64::try_from(list.plugins.len()).unwrap_or(u64::MAX), "plugin")),
    )
}

fn listen(config: &Config, facts: &Facts) -> Check {
    let address = config.server.listen;
    match &facts.listen {
        Listen::Free if address.ip().is_loopback() => Check::ok("address", format!("{address} is free")),
        Listen::Free => Check::failure(
            "address",
            format!("{address} can be reached from other machines, and this version has no user accounts"),
            "listen on 127.0.0.1 or [::1], and put a proxy that requires a password in front of it",
        ),
        Listen::OurServer => Check::ok("address", format!("{address} is used by the running server")),
        Listen::Taken(why) => Check::failure(
            "address",
            format!("cannot listen on {address}: {why}"),
            "choose another one: kastrel serve --listen 127.0.0.1:5001",
        ),
    }
}

fn limit(name: &'static str, command: &str, limit: Option<u64>, wanted: u64) -> Check {
    match limit {
        None => Check::ok(name, "no limit"),
        Some(limit) if limit >= wanted => {
            Check::ok(name, format!("at most {limit}; {wanted} are enough for this configuration"))
        }
        Some(limit) => {
            let fix = format!("{command} {wanted}, or lower scans.concurrency");
            Check::warning(name, format!("at most {limit}, but {wanted} may be needed with this configuration"), fix)
        }
    }
}

fn clock(now: Timestamp) -> Check {
    if (TOO_EARLY..TOO_LATE).contains(&now.as_second()) {
        Check::ok("clock", format!("shows {now:.0}"))
    } else {
        Check::failure(
            "clock",
            format!("shows {now:.0}, which is implausible; certificates and leases would be evaluated wrongly"),
            "timedatectl set-ntp true",
        )
    }
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let harmless = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if harmless { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use kastrel_actors::model::{PluginInfo, PluginKind, ScanId, ScannerInfo, ScannerKind};

    use kastrel_actors::policy::backups::BackupMark;

    use super::super::model::{BackupFacts, Held, Tried};
    use super::*;
    use crate::cli::backend::PluginList;
    use crate::config::Sources;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let env: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Sources::of(&env).resolve().unwrap().config
    }

    fn list(kind: ScannerKind, available: bool) -> PluginList {
        let plugin = PluginInfo {
            name: "testssl".into(),
            display_name: "x".into(),
            description: "x".into(),
            kind: PluginKind::Passive,
            available,
            dependencies: vec![],
        };
        PluginList { scanner: Some(ScannerInfo { kind, version: "3.0.40".into() }), plugins: vec![plugin] }
    }

    fn made(sequence: u64, second: i64) -> BackupMark {
        BackupMark { sequence, made_at: Timestamp::from_second(second).unwrap(), before_migration_of: None, missing: 0 }
    }

    #[test]
    fn missing_late_and_failed_backups_are_warnings() {
        let with = |files: Result<Vec<BackupMark>, String>, failure: Option<&str>| {
            let facts = Facts { backups: BackupFacts { files, failure: failure.map(str::to_owned) }, ..good() };
            let check = backups(&config(&[]), &facts);
            (check.level, check.message)
        };
        assert_eq!(with(Ok(vec![]), None).0, Level::Ok);
        assert_eq!(
            with(Ok(vec![made(1, 1_799_800_000)]), None),
            (Level::Warning, "1 in data/backups, the newest 2 d 7 h old".into())
        );
        assert_eq!(with(Err("no".into()), None).0, Level::Warning);
        assert_eq!(
            with(Ok(vec![made(1, 1_799_999_000)]), Some("disk full")),
            (Level::Warning, "the last automatic backup failed: disk full".into())
        );
        assert_eq!(backups(&config(&[("KASTREL_BACKUP__ENABLED", "false")]), &good()).level, Level::Warning);
        let remote = config(&[("KASTREL_DATABASE_URL", "ws://u:p@db:8000/a/b")]);
        assert!(judge(&remote, &good()).iter().all(|check| check.name != "backups"));
    }

    fn good() -> Facts {
        Facts {
            data: Ok(Folder { free: 50 << 30 }),
            data_rights: None,
            results_rights: None,
            backups_rights: None,
            results: Ok(Folder { free: 50 << 30 }),
            store: Store::Opens { probe: Ok(Probe { skew: None }), engine: Engine::Embedded },
            backups: BackupFacts { files: Ok(vec![made(2, 1_799_996_400), made(1, 1_799_910_000)]), failure: None },
            rows: None,
            redis: None,
            collector: Collector { tried: Vec::new(), silence: Some(Silence::NotAsked), warnings: Vec::new() },
            leftovers: 0,
            surroundings: None,
            isolation: None,
            held: Vec::new(),
            dead_letters: Some(0),
            key: Ok(None),
            sealed_with: BTreeSet::new(),
            scanner: Ok(list(ScannerKind::Kast, true)),
            listen: Listen::Free,
            open_files: Some(1024),
            processes: None,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            server_file: ServerFileFact::Fits,
        }
    }

    #[test]
    fn missing_wrong_and_readable_keys_are_named() {
        let key = |open_to_others| Ok(Some(KeyFile { id: "0a0a0a0a".into(), open_to_others }));
        for (key, sealed_with, level, part) in [
            (Ok(None), vec![], None, ""),
            (Ok(None), vec!["0b0b0b0b"], Some(Level::Failure), "there is no key file data/secrets.key"),
            (Err("expected 64 hexadecimal digits".to_owned()), vec![], Some(Level::Failure), "expected 64"),
            (key(None), vec!["0a0a0a0a"], Some(Level::Ok), "0a0a0a0a"),
            (key(None), vec!["0a0a0a0a", "0b0b0b0b"], Some(Level::Warning), "sealed with 0a0a0a0a, 0b0b0b0b"),
            (key(Some(0o644)), vec![], Some(Level::Warning), "mode 644"),
        ] {
            let facts = Facts { key, sealed_with: sealed_with.into_iter().map(str::to_owned).collect(), ..good() };
            let check = secrets(&config(&[]), &facts);
            assert_eq!(check.as_ref().map(|check| check.level), level, "{facts:?}");
            assert!(check.is_none_or(|check| check.message.contains(part)), "{part}");
        }
    }

    #[test]
    fn a_sound_machine_passes() {
        insta::assert_snapshot!(lines(&judge(&config(&[]), &good())).join("\n"), @r##"
        ok       data folder  The folder data is writable, 50 GiB free
        ok       results      The folder data/results is writable, 50 GiB free
        ok       database     Opens (embedded SurrealDB 3.3.5); a test record was written and read back
        ok       backups      2 in data/backups, the newest 1 h 0 min old
        ok       scanner      KAST 3.0.40 with 1 plugin
        ok       address      127.0.0.1:5000 is free
        ok       open files   At most 1024; 384 are enough for this configuration
        ok       processes    No limit
        ok       clock        Shows 2027-01-15T08:00:00Z
        ok       telemetry    Nothing is exported: no OTEL_EXPORTER_OTLP_ENDPOINT is set
        ok       deliveries   No event was given up
        "##);
    }

    #[test]
    fn every_problem_is_shown_with_its_fix() {
        let config = config(&[
            ("REDIS_URL", "redis://:hunter2@r"),
            ("KASTREL_DATA_DIR", "/srv/my data"),
            ("KASTREL_SCANS__CONCURRENCY", "100"),
        ]);
        let facts = Facts {
            data: Err("permission denied".into()),
            data_rights: Some(0o755),
            results_rights: Some(0o750),
            backups_rights: Some(0o777),
            results: Ok(Folder { free: 200 << 20 }),
            store: Store::Fails("it is locked".into()),
            backups: BackupFacts { files: Ok(Vec::new()), failure: Some("disk full".into()) },
            scanner: Err("/opt/kast does not exist".into()),
            listen: Listen::Taken("address in use".into()),
            processes: Some(100),
            now: Timestamp::UNIX_EPOCH,
            server_file: ServerFileFact::Stale,
            redis: Some(Err("connection refused".into())),
            collector: Collector {
                tried: vec![Tried {
                    signal: Signal::Traces,
                    endpoint: "http://c:4318/v1/traces".into(),
                    answer: Err("refused".into()),
                }],
                silence: None,
                warnings: vec!["OTEL_SDK_DISABLED: expected true or false".into()],
            },
            leftovers: 2,
            dead_letters: Some(2),
            ..good()
        };
        let checks = judge(&config, &facts);
        assert!(checks.iter().all(|check| check.level == Level::Ok || check.fix.is_some()));
        let text = lines(&checks).join("\n");
        assert!(!text.contains("hunter2"));
        insta::assert_snapshot!(text, @r##"
        failure  data folder  The folder /srv/my data cannot be written: permission denied
                              fix: mkdir -p '/srv/my data' && chown "$USER" '/srv/my data', or set KASTREL_DATA_DIR
        warning  data folder  The folder /srv/my data can be entered by other users of this machine (mode 755): they could read scans, logs and keys
                              fix: chmod 700 '/srv/my data'
        warning  results      The folder /srv/my data/results has only 200 MiB left
                              fix: free some space, or set KAST_RESULTS_DIR to a larger disk
        warning  results      The folder /srv/my data/results can be entered by other users of this machine (mode 750): they could read what scans found
                              fix: chmod 700 '/srv/my data/results'
        failure  database     Does not open: it is locked
                              fix: stop other processes that use it, or check KASTREL_DATABASE_URL and KASTREL_DATA_DIR
        warning  backups      The last automatic backup failed: disk full
                              fix: free some space, or set backup.dir to another disk
        warning  backups      The folder /srv/my data/backups can be entered by other users of this machine (mode 777): they could read everything that the database keeps
                              fix: chmod 700 '/srv/my data/backups'
        failure  scanner      /opt/kast does not exist
                              fix: install KAST and put `kast` on the PATH, or set KAST_CLI_PATH; or use --scanner builtin
        failure  address      Cannot listen on 127.0.0.1:5000: address in use
                              fix: choose another one: kastrel serve --listen 127.0.0.1:5001
        warning  open files   At most 1024, but 3456 may be needed with this configuration
                              fix: ulimit -n 3456, or lower scans.concurrency
        warning  processes    At most 100, but 6656 may be needed with this configuration
                              fix: ulimit -u 6656, or lower scans.concurrency
        failure  clock        Shows 1970-01-01T00:00:00Z, which is implausible; certificates and leases would be evaluated wrongly
                              fix: timedatectl set-ntp true
        failure  redis        redis://:***@r does not respond: connection refused; scans start late, but none is lost
                              fix: start Redis, or check REDIS_URL and its password
        warning  telemetry    The collector at http://c:4318/v1/traces did not accept a span: refused
                              fix: start it, or check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL (grpc is mostly port 4317, http/protobuf 4318)
        ok       telemetry    Partly exported; to export the rest, set OTEL_METRICS_EXPORTER=otlp and OTEL_LOGS_EXPORTER=otlp
        warning  telemetry    OTEL_SDK_DISABLED: expected true or false
                              fix: docs/telemetry.md lists what each variable takes
        warning  deliveries   2 events could not be delivered
                              fix: see the reasons with `kastrel dead-letters list`, repair the cause, then `kastrel dead-letters resend ID`
        warning  leftovers    Scanner processes without an owner: 2
                              fix: start `kastrel serve` or `kastrel worker` on this data folder: it kills them before it starts a scan
        warning  leftovers    The file /srv/my data/server.json names a server that does not respond; it was killed
                              fix: rm '/srv/my data/server.json'
        "##);
    }

    #[test]
    fn server_without_a_proof_needs_a_restart_and_its_file_stays() {
        let checks = judge(&config(&[]), &Facts { server_file: ServerFileFact::Unproven { pid: 4711 }, ..good() });
        let check = checks.iter().find(|check| check.name == "server").unwrap();
        assert_eq!((check.level, check.fix.as_deref()), (Level::Warning, Some("restart the server, process 4711")));
        assert!(check.message.contains("earlier version"), "{check:?}");
    }

    #[test]
    fn a_node_that_holds_scans_back_fails_the_check_unless_only_scans_failed() {
        for (is_fault, level) in [(true, Level::Failure), (false, Level::Warning)] {
            let facts = Facts {
                held: vec![Held { is_fault, text: "a-1: the results folder /r is missing (make it again)".into() }],
                ..good()
            };
            let checks = judge(&config(&[]), &facts);
            let check = checks.iter().find(|check| check.name == "node").unwrap();
            assert_eq!(
                (check.level, check.message.as_str()),
                (level, "starts no scans: a-1: the results folder /r is missing (make it again)")
            );
        }
    }

    #[test]
    fn each_scanner_is_checked_against_the_configuration() {
        for (choice, scanner, level) in [
            ("auto", Ok(list(ScannerKind::Kast, true)), Level::Ok),
            ("auto", Ok(list(ScannerKind::Kast, false)), Level::Warning),
            ("auto", Ok(list(ScannerKind::Builtin, true)), Level::Warning),
            ("builtin", Ok(list(ScannerKind::Builtin, true)), Level::Ok),
            ("kast", Err("no kast".to_owned()), Level::Failure),
        ] {
            let facts = Facts { scanner, ..good() };
            assert_eq!(
                super::scanner(&config(&[("KASTREL_KAST__SCANNER", choice)]), &facts).level,
                level,
                "{choice} {:?}",
                facts.scanner
            );
        }
    }

    #[test]
    fn redis_and_the_clock_of_the_database_are_checked() {
        let redis = |keeps_a_log, eviction: &str| {
            Some(Ok(RedisFacts {
                version: Some("Redis 7.4.7".into()),
                keeps_a_log: Some(keeps_a_log),
                eviction: Some(eviction.into()),
            }))
        };
        let configured = config(&[("REDIS_URL", "redis://r")]);
        let worst = |facts: Facts| judge(&configured, &facts).iter().map(|check| check.level).max().unwrap();
        for (keeps_a_log, eviction, level) in [
            (true, "noeviction", Level::Ok),
            (false, "noeviction", Level::Warning),
            (true, "allkeys-lru", Level::Warning),
        ] {
            assert_eq!(
                worst(Facts { redis: redis(keeps_a_log, eviction), ..good() }),
                level,
                "{keeps_a_log} {eviction}"
            );
        }
        for (skew, level) in [(0.0, Level::Ok), (1.9, Level::Ok), (2.5, Level::Warning)] {
            let store =
                Store::Opens { probe: Ok(Probe { skew: Some(skew) }), engine: Engine::Server(Some("3.3.5".into())) };
            assert_eq!(worst(Facts { redis: redis(true, "noeviction"), store, ..good() }), level, "{skew}");
        }
        let store = Store::Opens { probe: Err("read-only".into()), engine: Engine::Embedded };
        assert_eq!(worst(Facts { redis: redis(true, "noeviction"), store, ..good() }), Level::Failure);
    }

    #[test]
    fn deep_check_reports_every_row() {
        let judged = |rows: Result<Rows, String>, database: &[(&str, &str)]| {
            let checks = judge(&config(database), &Facts { rows: Some(rows), ..good() });
            checks.into_iter().find(|check| check.name == "rows").unwrap()
        };
        let rows = |unreadable: &[u64], keys| Rows {
            scans: 1_234,
            unreadable: unreadable.iter().copied().map(ScanId).collect(),
            keys,
        };
        assert_eq!(judged(Ok(rows(&[], Some(9_000))), &[]).message, "1234 scans read (9000 keys)");
        let odd = judged(Ok(rows(&[4, 8], None)), &[]);
        assert_eq!(
            (odd.level, odd.message.as_str()),
            (Level::Failure, "2 scans (4, 8) cannot be read; 1234 scans can")
        );
        assert!(odd.fix.unwrap().ends_with("--latest --replace"));
        let failed =
            judged(Err("block 7".into()), &[("KASTREL_DATABASE_URL", "ws://u:p@127.0.0.1:8000/kastrel/kastrel")]);
        assert_eq!(
            (failed.level, failed.message.as_str()),
            (Level::Failure, "the database cannot be read completely: block 7")
        );
        assert!(failed.fix.unwrap().ends_with("into an empty database"));
        assert!(judge(&config(&[]), &good()).iter().all(|check| check.name != "rows"));
    }

    #[test]
    fn a_running_server_explains_a_taken_address_and_a_held_database() {
        let facts = Facts {
            listen: Listen::OurServer,
            store: Store::Held { url: "http://127.0.0.1:5000".into(), ready: true },
            ..good()
        };
        assert!(judge(&config(&[]), &facts).iter().all(|check| check.level == Level::Ok));
        let facts = Facts { store: Store::Held { url: "http://127.0.0.1:5000".into(), ready: false }, ..facts };
        assert_eq!(database(&facts).level, Level::Failure);
    }

    #[test]
    fn each_telemetry_signal_is_shown_with_its_state() {
        let told = |silence, tried| {
            telemetry(&Collector { tried, silence, warnings: Vec::new() })
                .into_iter()
                .map(|check| check.message)
                .collect::<Vec<_>>()
        };
        for (silence, reason) in [
            (Silence::Disabled, "OTEL_SDK_DISABLED is true"),
            (Silence::NotAsked, "no OTEL_EXPORTER_OTLP_ENDPOINT"),
            (Silence::Declined, "do not request it"),
            (Silence::NoAddress, "no valid address"),
        ] {
            let lines = told(Some(silence), Vec::new());
            assert!(lines.len() == 1 && lines[0].contains(reason), "{lines:?}");
        }
        let tried = Signal::ALL.map(|signal| Tried { signal, endpoint: "http://c".into(), answer: Ok(()) });
        assert_eq!(
            told(None, tried.to_vec()),
            ["a span", "a metric", "a log record"].map(|what| format!("the collector at http://c accepted {what}"))
        );
    }

    #[test]
    fn database_server_without_a_version_is_not_called_embedded() {
        for (engine, expected) in [
            (Engine::Embedded, "opens (embedded SurrealDB "),
            (Engine::Server(Some("3.3.5".into())), "opens (SurrealDB 3.3.5 on a server)"),
            (Engine::Server(None), "opens (a server of unknown version)"),
        ] {
            let facts = Facts { store: Store::Opens { probe: Ok(Probe { skew: None }), engine }, ..good() };
            assert!(database(&facts).message.starts_with(expected), "{}", database(&facts).message);
        }
    }
}
