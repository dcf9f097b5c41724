//! The checks of folders, database, backups and keys.

use std::path::Path;

use kastrel_actors::policy::backups::is_overdue;

use super::text::quoted;
use crate::adapters::secret_box::KeyFile;
use crate::adapters::surreal_store::ENGINE_VERSION;
use crate::cli::backup::missing;
use crate::cli::doctor::model::{Check, Engine, Facts, Folder, Rows, Store};
use crate::cli::text::{bytes, count, duration};
use crate::config::Config;

/// The free space below which a warning is shown, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// The free space below which the next scan will fail, in bytes.
const NO_SPACE: u64 = 100 << 20;

pub(super) fn folder(name: &'static str, variable: &str, path: &Path, fact: &Result<Folder, String>) -> Check {
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

/// Reports a folder with the permissions `rights`, in which other users could read `readable`.
pub(super) fn open_folder(name: &'static str, dir: &Path, rights: u32, readable: &str) -> Check {
    let message = format!(
        "the folder {} can be entered by other users of this machine (mode {rights:o}): they could read {readable}",
        dir.display()
    );
    Check::warning(name, message, format!("chmod 700 {}", quoted(dir)))
}

pub(super) fn database(facts: &Facts) -> Check {
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

pub(super) fn rows(config: &Config, rows: &Result<Rows, String>) -> Check {
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

pub(super) fn backups(config: &Config, facts: &Facts) -> Check {
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

/// Checks the key for secrets. Without a key and without secrets, there is no check.
pub(super) fn secrets(config: &Config, facts: &Facts) -> Option<Check> {
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

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScanId;
    use kastrel_actors::policy::backups::BackupMark;

    use super::super::judge;
    use super::super::testing::{config, good, made};
    use super::*;
    use crate::cli::doctor::model::{BackupFacts, Level, Probe};

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
