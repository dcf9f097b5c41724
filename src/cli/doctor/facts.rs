//! Collects the facts about this machine. A fact that cannot be determined is a fact too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{AccountKind, FaultKind, ListQuery, MailAddress, ServerRole, SettingValue};
use kastrel_actors::policy::backups::BackupMark;
use kastrel_actors::ports::{Clock as _, SystemClock};
use kastrel_actors::service::{NodeService, ScanService, Services};
use rustix::process::{Resource, getrlimit};

use super::model::{BackupFacts, Engine, Facts, Folder, Held, Listen, ServerFileFact, Store};
use super::{deep, isolation, probes, surroundings};
use crate::adapters::secret_box::{SecretBox, sealed_with};
use crate::adapters::surreal_store::FolderLock;
use crate::api_types::{AccountBody, Check, DeadLetterList};
use crate::app::backup_folder;
use crate::cli::backend::locate::ServerFile;
use crate::cli::backend::{AccessBackend, IdentityBackend, RemoteBackend, context};
use crate::cli::context::Opener;
use crate::cli::host::{AppHost, Role};
use crate::config::Config;
use crate::private;
use crate::tls::PairFiles;

/// The timeout of the scanner; KAST needs about a second.
const SCANNER_PATIENCE: Duration = Duration::from_secs(60);

/// How many of the newest scans are examined for the keys of their secrets.
const NEWEST: usize = 100;

/// The facts that the database contains.
struct Stored {
    store: Store,
    held: Vec<Held>,
    sealed_with: BTreeSet<String>,
    dead_letters: Option<u64>,
    lacks_admin: Option<bool>,
}

/// Returns the keys that sealed the secrets of the newest scans.
async fn keys_of(scans: &ScanService) -> BTreeSet<String> {
    let query = ListQuery { limit: NEWEST, ..ListQuery::default() };
    let newest = scans.list(&context(), query).await.map(|page| page.scans).unwrap_or_default();
    let overrides = newest.iter().flat_map(|scan| &scan.record.request.overrides);
    let sealed =
        overrides.filter_map(|one| if let SettingValue::Sealed(text) = &one.value { sealed_with(text) } else { None });
    sealed.map(str::to_owned).collect()
}

/// Collects all facts.
pub(super) async fn gather(
    config: &Config,
    env: &BTreeMap<String, String>,
    opener: &Opener,
    host: &Arc<dyn AppHost>,
    (deep, mail_to): (bool, Option<&MailAddress>),
) -> Facts {
    // Read the permissions before anything opens the folder.
    let allowed = if config.scans.run_as.is_some() { private::PASSAGE } else { 0 };
    let data_rights = private::rights_of_others(&config.data.dir, allowed);
    let outside = |path: &Path, allowed: u32| {
        private::rights_of_others(path, allowed).filter(|_| !is_within(path, &config.data.dir))
    };
    let results_rights = outside(&config.results_dir(), allowed);
    let backups_rights = outside(&config.backup_dir(), 0).filter(|_| config.makes_backups());
    let server = opener.holder(config).await;
    let stored = match server.as_ref().filter(|_| holds_the_database(config)) {
        Some(server) => Stored {
            store: Store::Held { url: server.address(), ready: server.is_ready().await },
            held: held_by_the_server(server).await,
            sealed_with: BTreeSet::new(),
            dead_letters: dead_letters_of_the_server(server).await,
            lacks_admin: lacks_admin(server).await,
        },
        None => opens(config, host).await,
    };
    let Stored { store, held, sealed_with, dead_letters, lacks_admin } = stored;
    let is_held = is_held(&config.data.dir);
    let scanner = match tokio::time::timeout(SCANNER_PATIENCE, host.scanner(config)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("the scanner did not list its plugins within {} s", SCANNER_PATIENCE.as_secs())),
    };
    Facts {
        data: folder(&config.data.dir),
        data_rights,
        results_rights,
        backups_rights,
        // A running node creates this folder once, at its start.
        results: if (server.is_some() || is_held) && !config.results_dir().exists() {
            Err("it was deleted, or its disk is gone".into())
        } else {
            folder(&config.results_dir())
        },
        store,
        backups: BackupFacts {
            files: backups(config).await,
            failure: match &server {
                Some(server) => server.backup_failure().await,
                None => None,
            },
        },
        rows: if deep { Some(deep::read(config, opener).await) } else { None },
        scanner,
        listen: listen(config.server.listen, server.is_some()),
        tls: PairFiles::of(config.server.tls_certificate.as_deref(), config.server.tls_key.as_deref())
            .map(|files| files.read().map(|pair| pair.validity)),
        // A server raises its own limit to the hard limit.
        open_files: getrlimit(Resource::Nofile).maximum,
        processes: getrlimit(Resource::Nproc).current,
        now: SystemClock.now(),
        server_file: if server.is_some() { ServerFileFact::Fits } else { server_file(&config.server_file()) },
        redis: match &config.redis.url {
            Some(url) => Some(probes::redis(url.expose()).await),
            None => None,
        },
        mail: probes::mail(config, mail_to).await,
        provider: probes::provider(config).await,
        collector: probes::collector(env).await,
        // Leftover processes (`leftovers`) are not counted while a server runs or a worker holds
        // the data folder: the processes are its own.
        held,
        dead_letters,
        lacks_admin,
        key: SecretBox::inspect(&config.secrets_key_file()).map_err(|error| error.to_string()),
        sealed_with,
        surroundings: surroundings::look(config).await,
        isolation: Some(isolation::look(config)),
        leftovers: if server.is_none() && !is_held { probes::leftovers(config).await } else { 0 },
    }
}

/// Returns whether the holder of the data folder also holds the database. A database on a server
/// accepts several processes.
const fn holds_the_database(config: &Config) -> bool {
    config.database.url.is_none()
}

async fn backups(config: &Config) -> Result<Vec<BackupMark>, String> {
    let files =
        backup_folder(config).map_err(|error| error.to_string())?.read().await.map_err(|error| error.to_string())?;
    Ok(files.iter().map(|file| file.mark).collect())
}

/// Returns the holds of the running server's own node.
async fn held_by_the_server(server: &RemoteBackend) -> Vec<Held> {
    let checks = server.readiness().await.map(|readiness| readiness.checks).unwrap_or_default();
    let held = |check: Check| {
        let kind: FaultKind = check.name.parse().ok().filter(|_| !check.ok)?;
        Some(Held { is_fault: kind != FaultKind::Failures, text: check.detail })
    };
    checks.into_iter().filter_map(held).collect()
}

/// Returns the number of dead letters that the running server lists.
async fn dead_letters_of_the_server(server: &RemoteBackend) -> Option<u64> {
    let list: DeadLetterList = server.read_at("api/dead-letters", &()).await.ok()?;
    Some(list.dead_letters.len() as u64)
}

/// Returns whether there are users, but no administrator who can sign in. Without users, nobody has
/// to sign in, or the server shows the link for its set-up.
async fn lacks_admin(backend: &(impl AccessBackend + IdentityBackend)) -> Option<bool> {
    let users = backend.accounts(AccountKind::User).await.ok()?.accounts;
    let is_admin = |user: &AccountBody| !user.disabled && user.server_role == Some(ServerRole::Admin);
    let (with_password, others): (Vec<_>, Vec<_>) =
        users.iter().filter(|user| is_admin(user)).partition(|user| user.has_password);
    if users.is_empty() || !with_password.is_empty() {
        return Some(false);
    }
    for user in others {
        // Such an administrator signs in with the identity provider.
        if backend.identity(&user.name.parse().ok()?).await.ok()?.is_some() {
            return Some(false);
        }
    }
    Some(true)
}

/// Returns the holds in the rows of living nodes.
async fn held_by_nodes(nodes: &NodeService) -> Vec<Held> {
    let nodes = nodes.list(&context()).await.unwrap_or_default();
    let alive = nodes.into_iter().filter(|node| node.is_alive);
    let held = alive.filter_map(|node| Some((node.registration.id, node.registration.hold.node?)));
    held.map(|(id, held)| Held {
        is_fault: held.faults.iter().any(|fault| fault.kind != FaultKind::Failures),
        text: format!("{id}: {held}"),
    })
    .collect()
}

async fn opens(config: &Config, host: &Arc<dyn AppHost>) -> Stored {
    match host.start(config, Role::Offline).await {
        Ok(app) => {
            let backend = app.backend();
            let Services { scans, nodes, audit, .. } = backend.services();
            let held = held_by_nodes(nodes).await;
            let sealed_with = keys_of(scans).await;
            let dead_letters = audit.backlog(&context()).await.ok().map(|backlog| backlog.dead_letters);
            let lacks_admin = lacks_admin(&backend).await;
            let probe = probes::write_and_read(nodes, config.database.url.is_some()).await;
            let engine = match &config.database.url {
                Some(url) => Engine::Server(probes::database_version(url.expose()).await),
                None => Engine::Embedded,
            };
            app.stop().await;
            Stored { store: Store::Opens { probe, engine }, held, sealed_with, dead_letters, lacks_admin }
        }
        Err(error) => Stored {
            store: Store::Fails(error.to_string()),
            held: Vec::new(),
            sealed_with: BTreeSet::new(),
            dead_letters: None,
            lacks_admin: None,
        },
    }
}

/// Returns the state of a file whose server has not proven itself.
fn server_file(path: &Path) -> ServerFileFact {
    match ServerFile::read(path) {
        Some(file) if file.has_process() => ServerFileFact::Unproven { pid: file.pid },
        None if !path.exists() => ServerFileFact::Fits,
        Some(_) | None => ServerFileFact::Stale,
    }
}

/// Returns whether a path is inside a folder: a user who may not enter the folder cannot reach the
/// path.
fn is_within(path: &Path, folder: &Path) -> bool {
    matches!((std::path::absolute(path), std::path::absolute(folder)), (Ok(path), Ok(folder)) if path.starts_with(&folder))
}

/// Returns whether another process uses the data folder: a worker, or a command that runs a scan.
fn is_held(dir: &Path) -> bool {
    dir.is_dir() && FolderLock::take(dir).is_err()
}

fn listen(address: SocketAddr, server_runs: bool) -> Listen {
    match TcpListener::bind(address) {
        Ok(_) => Listen::Free,
        Err(error) if server_runs && error.kind() == std::io::ErrorKind::AddrInUse => Listen::OurServer,
        Err(error) => Listen::Taken(error.to_string()),
    }
}

/// Tests whether a file can be created in a folder. If the folder does not exist yet, the nearest
/// existing parent is tested: the folder would be created there.
fn folder(path: &Path) -> Result<Folder, String> {
    let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
    let existing = absolute.ancestors().find(|path| path.exists()).ok_or("no folder above it exists")?;
    if !existing.is_dir() {
        return Err(format!("{} is not a folder", existing.display()));
    }
    let probe = existing.join(format!(".kastrel-doctor-{}", std::process::id()));
    std::fs::write(&probe, b"probe").map_err(|error| error.to_string())?;
    // A file that could be created can be removed.
    let _ = std::fs::remove_file(&probe);
    let space = rustix::fs::statvfs(existing).map_err(|error| error.to_string())?;
    Ok(Folder { free: space.f_bavail.saturating_mul(space.f_frsize) })
}

#[cfg(test)]
mod tests {
    use kastrel_actors::testing::Script;

    use super::*;
    use crate::cli::scan::tests::World;

    #[tokio::test]
    async fn administrator_must_be_able_to_sign_in() {
        let mut world = World::new(Script::Hang);
        let config = crate::config::Sources::of(&BTreeMap::new()).resolve().unwrap().config;
        let lacks = async |world: &World| {
            let app = world.context.host.start(&config, Role::Offline).await.unwrap();
            let lacks = lacks_admin(&app.backend()).await;
            app.stop().await;
            lacks
        };
        assert_eq!(lacks(&world).await, Some(false), "there are no users");
        let password = world.context.directory.join("password");
        std::fs::write(&password, "correct horse battery staple").unwrap();
        for (words, expected) in [
            (&["user", "create", "ana", "--admin"][..], true),
            (&["user", "create", "bo", "--password-file", &password.display().to_string()], true),
            (&["user", "role", "bo", "admin"], false),
            (&["user", "disable", "bo"], true),
        ] {
            world.run(words).await.unwrap();
            assert_eq!(lacks(&world).await, Some(expected), "{words:?}");
        }
    }

    #[test]
    fn folders_are_tested_by_writing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(folder(dir.path()).unwrap().free > 0);
        assert!(folder(&dir.path().join("not/yet/there")).is_ok());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder(&file).unwrap_err().contains("is not a folder"));
        assert!(folder(&file.join("below")).is_err());
        assert!(folder(Path::new("/proc/x")).is_err());
    }

    #[test]
    fn only_the_embedded_database_is_held_by_the_server_of_its_folder() {
        let config = |url: Option<&str>| {
            let env: BTreeMap<String, String> =
                url.map(|url| ("KASTREL_DATABASE_URL".to_owned(), url.to_owned())).into_iter().collect();
            crate::config::Sources::of(&env).resolve().unwrap().config
        };
        assert!(holds_the_database(&config(None)));
        assert!(!holds_the_database(&config(Some("ws://u:p@127.0.0.1:8000/kastrel/kastrel"))));
    }

    #[test]
    fn a_server_file_is_stale_only_when_its_process_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.json");
        let with = |text: &str| {
            std::fs::write(&path, text).unwrap();
            server_file(&path)
        };
        let of = |pid: u32| with(&serde_json::json!({ "pid": pid, "url": "http://127.0.0.1:1" }).to_string());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(of(std::process::id()), ServerFileFact::Unproven { pid: std::process::id() });
        assert_eq!(of(1), ServerFileFact::Unproven { pid: 1 }, "also that of another user");
        for gone in [child.id(), 0, u32::MAX] {
            assert_eq!(of(gone), ServerFileFact::Stale, "{gone}");
        }
        assert_eq!(with("{"), ServerFileFact::Stale);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(server_file(&path), ServerFileFact::Fits);
    }

    #[test]
    fn used_listen_address_is_detected() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        assert!(matches!(listen(address, false), Listen::Taken(_)));
        assert_eq!(listen(address, true), Listen::OurServer);
        drop(held);
        assert_eq!(listen("127.0.0.1:0".parse().unwrap(), false), Listen::Free);
    }
}
