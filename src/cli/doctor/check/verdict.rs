//! Returns the checks for all facts, in the order in which people read them.

use super::connections::{mail, provider, redis, skew, telemetry};
use super::machine::{accounts, clock, deliveries, held, leftovers, limit, listen, server_file, tls};
use super::scanner::scanner;
use super::storage::{self, backups, database, folder, open_folder, secrets};
use crate::cli::doctor::model::{Check, Facts};
use crate::cli::doctor::{isolation, surroundings};
use crate::config::Config;
use crate::connections::own_descriptors;

/// Returns the checks for all facts.
pub(in crate::cli::doctor) fn judge(config: &Config, facts: &Facts) -> Vec<Check> {
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
        let place = checks.iter().position(|check| check.name == name).map_or(checks.len(), |at| at + 1);
        checks.insert(place, open_folder(name, &dir, rights, readable));
    }
    checks.extend(tls(config, facts));
    checks.extend(secrets(config, facts));
    checks.extend(facts.rows.as_ref().map(|rows| storage::rows(config, rows)));
    if let (Some(url), Some(fact)) = (&config.redis.url, &facts.redis) {
        checks.extend(redis(&url.to_string(), fact));
    }
    checks.extend(mail(config, facts.mail.as_ref()));
    if let (Some(issuer), Some(fact)) = (&config.oidc.issuer, &facts.provider) {
        checks.push(provider(issuer.as_str(), fact));
    }
    checks.extend(facts.isolation.iter().map(isolation::judge));
    checks.extend(facts.surroundings.iter().flat_map(surroundings::judge));
    checks.extend(skew(facts));
    checks.extend(telemetry(&facts.collector));
    checks.extend(facts.held.iter().map(held));
    checks.extend(facts.dead_letters.map(deliveries));
    checks.extend(facts.lacks_admin.and_then(accounts));
    checks.extend(leftovers(facts.leftovers));
    checks.extend(server_file(&config.server_file(), facts.server_file));
    checks
}

fn capacity(config: &Config) -> u64 {
    u64::try_from(config.scans.concurrency).unwrap_or(u64::MAX / 128)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::testing::{config, good};
    use super::super::text::lines;
    use super::*;
    use crate::cli::doctor::model::{
        BackupFacts, Collector, Folder, Held, Level, Listen, ServerFileFact, Store, Tried,
    };
    use crate::telemetry::Signal;

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
    fn identity_provider_is_checked_where_people_sign_in_with_it() {
        let config = config(&[
            ("KASTREL_AUTH_MODE", "oidc"),
            ("KASTREL_OIDC__ISSUER", "https://id.example"),
            ("KASTREL_OIDC__CLIENT_ID", "kastrel"),
            ("KASTREL_PUBLIC_URL", "https://scans.example.com"),
        ]);
        let found = |fact: Option<Result<(), String>>| {
            let checks = judge(&config, &Facts { provider: fact, ..good() });
            checks.into_iter().find(|check| check.name == "sign-in").map(|check| (check.level, check.message))
        };
        assert_eq!(found(None), None);
        let (level, message) = found(Some(Ok(()))).unwrap();
        assert!(level == Level::Ok && message.contains("https://id.example"), "{message}");
        let (level, message) = found(Some(Err("no response".into()))).unwrap();
        assert!(level == Level::Failure && message.contains("no response"), "{message}");
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
}
