//! Tests with complete and incomplete backup files. The store's tests cover a round trip over a
//! database server.

mod findings;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{
    AccountChange, AccountKind, AccountName, AuditQuery, Clearance, ClearanceLevel, Command, DomainEvent, Failure,
    FailureKind, LinkPurpose, LinkResult, ListQuery, NewAccount, NewSecondFactor, OneTimeLink, Passkey,
    PasskeyAddition, PendingSignIn, PluginResult, PluginStatus, Principal, Priority, Project, ProjectFilter, ProjectId,
    ProjectRole, ProviderIdentity, ProviderSignIn, Pruning, PublicLink, Resolution, ScanId, ScanRecord, ScanState,
    SealContent, SecretDigest, ServerRole, Session, Share, ShareCreated, ShareRight, SignedChallenge, Submitted,
    TokenRecord, TokenScope, Verdict,
};
use kastrel_actors::policy::audit_chain::{ChainCheck, ChainReport, ChainTrust};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, StoreError, SystemClock};
use kastrel_actors::service::AuditSealer;
use kastrel_actors::testing::{TestSigner, fixtures};
use tempfile::TempDir;

use super::format::{Checksum, Counts, Footer, Header, Line, MissingScan, earlier_line, line};
use super::{BackupError, Summary, check, copy, read, write};
use crate::adapters::surreal_store::{ImportError, Metadata, OpenError, SurrealStore};

const TTL: Duration = Duration::from_secs(30);

/// Runs `case` on threads with large stacks, which the embedded database needs.
fn run(case: impl Future<Output = ()> + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(8 << 20)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn(case)).unwrap();
}

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A store with one scan in each state, with a key, hostile text and a paused queue.
async fn full() -> SurrealStore {
    let store = SurrealStore::in_memory().await.unwrap();
    store.register(fixtures::registration("a"), TTL).await.unwrap();
    for number in 1..=6 {
        let mut scan = fixtures::new_scan(&format!("Host-{number}.example.com"));
        scan.idempotency_key = Some(format!("key\0 {number}\n\"é"));
        scan.request.options.priority = [Priority::High, Priority::Normal, Priority::Low][number % 3];
        store.submit(scan).await.unwrap();
    }
    let lease = |id| apply(&store, id, Command::Lease { node: "a".parse().unwrap() });
    let finish = |record: ScanRecord, resolution| {
        let mut plugin = PluginResult::new("whatweb", PluginStatus::Completed);
        plugin.message = Some("\u{2028}</script>\0\n".into());
        apply(&store, record.id.0, Command::Finish { token: record.token, resolution, plugins: Some(vec![plugin]) })
    };
    let crash = || Failure::new(FailureKind::Crashed, "exit code 1");
    lease(2).await;
    finish(lease(3).await, Resolution::Complete(Verdict::default())).await;
    finish(lease(4).await, Resolution::Fail(crash())).await;
    finish(lease(5).await, Resolution::Retry { failure: crash(), after: Duration::from_secs(1_000_000_000) }).await;
    apply(&store, 6, Command::Cancel { by: kastrel_actors::model::CancelledBy::User, principal: Principal::System })
        .await;
    store.pause(Some("moving house".into()), &Principal::System).await.unwrap();
    store
}

/// Adds two accounts with a membership, a project, two clearances, tokens, a second factor, a
/// session, a pending sign-in and one-time links.
async fn add_accounts(store: &SurrealStore) {
    let by = Principal::System;
    let name = |text: &str| text.parse::<AccountName>().unwrap();
    let team: ProjectId = "team".parse().unwrap();
    for (text, server_role) in [("ana", Some(ServerRole::Admin)), ("ana+ci", None)] {
        let account = NewAccount {
            name: name(text),
            kind: AccountKind::User,
            server_role,
            password_hash: server_role.map(|_| "$hash\"".to_owned()),
            mail: server_role.map(|_| "Ana@example.com".parse().unwrap()),
            memberships: BTreeMap::from([(team.clone(), ProjectRole::Owner)]),
        };
        assert!(store.create_account(account, at(), &by).await.unwrap());
    }
    let project = Project { id: team.clone(), title: "The \"team\"".into(), created_at: at() };
    assert!(store.create_project(project, &by).await.unwrap());
    for (pattern, level, until) in
        [("*.example.com", ClearanceLevel::None, None), ("example.com", ClearanceLevel::Active, Some(at()))]
    {
        let clearance = Clearance {
            project: team.clone(),
            pattern: pattern.parse().unwrap(),
            level,
            authorised_by: Principal::User(name("ana")),
            at: at(),
            until,
            text: "The \"contract\"".into(),
        };
        store.set_clearance(clearance).await.unwrap();
    }
    store.set_member(&ProjectId::default(), &name("ana"), Some(ProjectRole::Viewer), &by).await.unwrap();
    store.change_account(&name("ana+ci"), AccountChange::Disable, &by).await.unwrap();
    for (id, project, used_at) in [("a1B2c3D4e5", None, Some(at())), ("zzzzzzzzzz", Some(team), None)] {
        let token = TokenRecord {
            id: id.parse().unwrap(),
            digest: SecretDigest::new([7; 32]),
            account: name("ana"),
            label: "build".into(),
            scope: TokenScope { role: ProjectRole::Scanner, project, has_server_role: used_at.is_some() },
            networks: used_at.map(|_| "192.0.2.0/24".parse().unwrap()).into_iter().collect(),
            created_at: at(),
            expires_at: at(),
            used_at,
        };
        assert!(store.create_token(token, &by).await.unwrap());
    }
    let factor = NewSecondFactor {
        account: name("ana"),
        sealed_secret: "v1.sealed".into(),
        last_step: 41,
        recovery_codes: [4, 5].map(|byte| SecretDigest::new([byte; 32])).into(),
        created_at: at(),
    };
    assert!(store.add_second_factor(factor, None, &by).await.unwrap());
    store.try_second_factor(&name("ana")).await.unwrap();
    let passkey = Passkey {
        id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        account: name("ana"),
        label: "The \"phone\"".into(),
        user_handle: "handle".into(),
        credential: "{\"counter\":7}".into(),
        created_at: at(),
        used_at: Some(at()),
    };
    let challenge = SignedChallenge { digest: SecretDigest::new([10; 32]), expires_at: at() };
    assert_eq!(store.add_passkey(passkey, challenge, None, &by).await.unwrap(), PasskeyAddition::Added);
    let pending = PendingSignIn { key: SecretDigest::new([6; 32]), account: name("ana"), expires_at: at(), tries: 0 };
    store.create_pending_sign_in(pending).await.unwrap();
    let session = Session {
        key: SecretDigest::new([1; 32]),
        account: name("ana"),
        created_at: at(),
        used_at: at(),
        expires_at: at(),
        address: "::1".into(),
        agent: String::new(),
        with_provider: false,
    };
    store.create_session(session).await.unwrap();
    for (byte, purpose) in [(2, LinkPurpose::SetUp), (3, LinkPurpose::SetPassword(name("ana")))] {
        let link = OneTimeLink { key: SecretDigest::new([byte; 32]), purpose, expires_at: at() };
        store.create_link(link, &by).await.unwrap();
    }
}

/// Links an identity to an account, and adds a sign-in that waits for the provider.
async fn add_identity(store: &SurrealStore) {
    let ana: AccountName = "ana".parse().unwrap();
    assert_eq!(store.link_identity(&ana, &identity(), at(), &Principal::System).await.unwrap(), LinkResult::Linked);
    let waiting = ProviderSignIn {
        key: SecretDigest::new([10; 32]),
        next: "/".into(),
        expires_at: Timestamp::from_second(1_900_000_000).unwrap(),
    };
    store.create_provider_sign_in(waiting).await.unwrap();
}

fn identity() -> ProviderIdentity {
    ProviderIdentity::new("https://id.example", "auth0|\"7'").unwrap()
}

/// Adds a share and a public link of scan 3, which was opened once.
async fn add_shares(store: &SurrealStore) {
    let scan = store.get(ScanId(3)).await.unwrap().unwrap();
    let link = PublicLink {
        id: "a1B2c3D4e5".parse().unwrap(),
        key: SecretDigest::new([8; 32]),
        scan: ScanId(3),
        label: "For \"them\"".into(),
        created_by: Principal::User("ana".parse().unwrap()),
        created_at: at(),
        expires_at: Timestamp::from_second(1_900_000_000).unwrap(),
        password_hash: Some("$hash\"".into()),
        opened: 0,
        opened_at: None,
    };
    assert!(store.create_public_link(link.clone(), &scan.project).await.unwrap());
    assert!(store.open_public_link(&link, at(), Some("::1")).await.unwrap());
    let share = Share {
        scan: ScanId(3),
        grantee: "user:ana".parse().unwrap(),
        right: ShareRight::Edit,
        created_by: Principal::System,
        created_at: at(),
        expires_at: None,
    };
    assert_eq!(store.create_share(share, &scan.project, 1).await.unwrap(), ShareCreated::Created);
}

/// Also over several pages, of which each ends at another row.
#[test]
fn accounts_projects_tokens_and_clearances_are_restored_without_sessions_and_links() {
    run(async {
        let store = full().await;
        add_accounts(&store).await;
        add_shares(&store).await;
        add_identity(&store).await;
        let (file, written) = backup(&store).await;
        let text = String::from_utf8(file.clone()).unwrap();
        assert!(!text.contains(&SecretDigest::new([1; 32]).to_string()), "it has no session");
        assert!(!text.contains(&SecretDigest::new([3; 32]).to_string()), "it has no link");
        assert!(!text.contains(&SecretDigest::new([6; 32]).to_string()), "it has no pending sign-in");
        assert!(!text.contains(&SecretDigest::new([10; 32]).to_string()), "it has no challenge");
        assert!(text.contains("v1.sealed"), "the secret of a second factor stays sealed");
        let restored = SurrealStore::in_memory().await.unwrap();
        let set_up = OneTimeLink {
            key: SecretDigest::new([9; 32]),
            purpose: LinkPurpose::SetUp,
            expires_at: Timestamp::from_second(1_900_000_000).unwrap(),
        };
        restored.create_link(set_up, &Principal::System).await.unwrap();
        assert_eq!(read(&restored, file.as_slice()).await.unwrap(), written);
        let ana: AccountName = "ana".parse().unwrap();
        assert_eq!(restored.accounts().await.unwrap(), store.accounts().await.unwrap());
        assert_eq!(restored.accounts().await.unwrap().len(), 2);
        assert_eq!(restored.projects().await.unwrap(), store.projects().await.unwrap());
        assert_eq!(restored.tokens(&ana).await.unwrap(), store.tokens(&ana).await.unwrap());
        assert_eq!(restored.password_hash(&ana).await.unwrap().as_deref(), Some("$hash\""));
        let team: ProjectId = "team".parse().unwrap();
        assert_eq!(restored.clearances(&team).await.unwrap(), store.clearances(&team).await.unwrap());
        assert_eq!(restored.clearances(&team).await.unwrap().len(), 2);
        let links = restored.public_links(ScanId(3)).await.unwrap();
        assert_eq!(links, store.public_links(ScanId(3)).await.unwrap());
        assert_eq!(links.iter().map(|link| link.opened).collect::<Vec<_>>(), [1]);
        assert_eq!(restored.identity_of(&ana).await.unwrap(), store.identity_of(&ana).await.unwrap());
        assert_eq!(restored.account_of_identity(&identity()).await.unwrap(), Some(ana.clone()));
        let waiting = restored.take_provider_sign_in(SecretDigest::new([10; 32]), at()).await.unwrap();
        assert_eq!(waiting, None, "sign-ins are not exported");
        let shares = restored.shares_of_scan(ScanId(3)).await.unwrap();
        assert_eq!(shares, store.shares_of_scan(ScanId(3)).await.unwrap());
        assert_eq!(shares.len(), 1);
        assert_eq!(restored.sessions(&ana).await.unwrap(), []);
        let factor = restored.second_factor(&ana).await.unwrap();
        assert_eq!(factor, store.second_factor(&ana).await.unwrap());
        assert_eq!(factor.map(|factor| (factor.last_step, factor.recovery_codes)), Some((41, 2)));
        let passkeys = restored.passkeys(&ana).await.unwrap();
        assert_eq!((passkeys.len(), &passkeys), (1, &store.passkeys(&ana).await.unwrap()));
        assert_eq!(restored.passkey(&passkeys[0].id).await.unwrap().as_ref(), passkeys.first());
        for byte in [2, 3, 9] {
            let link = restored.link(SecretDigest::new([byte; 32]), Timestamp::UNIX_EPOCH).await.unwrap();
            assert_eq!(link, None, "{byte}");
        }
        let schema = SurrealStore::schema_version();
        let whole = store.export_access(schema, None, 100).await.unwrap().remove(0);
        let mut rows = vec![store.export_access(schema, None, 1).await.unwrap()];
        while let Some(last) = rows.last().and_then(|page| page.last()).cloned() {
            rows.push(store.export_access(schema, Some(&last), 1).await.unwrap());
        }
        assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), 1 + 2 + 1 + 1 + 2 + 3 + 1 + 2 + 2 + 1 + 1);
        assert_eq!(rows[0], [whole]);
        let of_14 = store.export_access(14, rows[rows.len() - 6].last(), 100).await.unwrap();
        assert_eq!(of_14, [], "schema 14 has neither clearances nor public links nor shares");
        assert_eq!(store.export_access(10, None, 100).await.unwrap(), [], "an earlier schema has no accounts");
        let earlier = store.export_access(16, None, 100).await.unwrap();
        assert!(!earlier.is_empty() && earlier != rows[0], "a schema with accounts has no second factors");
    });
}

/// Seals what waits, with the key of this byte.
async fn seal(store: &SurrealStore, byte: u8) -> u64 {
    let (signer, clock) = (Arc::new(TestSigner::new(byte)), Arc::new(SystemClock));
    AuditSealer::new(Arc::new(store.clone()), signer, clock, None).seal().await.unwrap()
}

/// Checks the chain of the audit log with all its keys.
async fn chain(store: &SurrealStore) -> ChainReport {
    let head = store.sealing_state().await.unwrap().seals;
    let keys = store.seal_keys().await.unwrap();
    let mut checked = ChainCheck::new(TestSigner::check, &keys, ChainTrust::default());
    for SealContent { seal, entries } in store.seals(0, 1000).await.unwrap() {
        checked.seal(seal);
        entries.iter().for_each(|(listed, stored)| checked.entry(listed, stored.as_ref()));
    }
    let loose = store.loose_entries(head, None, 1000).await.unwrap();
    loose.entries.iter().for_each(|loose| checked.loose(loose));
    checked.finish(head)
}

#[test]
fn restored_audit_log_has_its_chain_and_continues_it_with_the_key_of_the_new_server() {
    run(async {
        let store = full().await;
        assert_eq!(seal(&store, 1).await, 11);
        store.resume(&Principal::System).await.unwrap();
        seal(&store, 1).await;
        let pruning = Pruning { after: 0, through: 1, count: 11, at: at() };
        assert!(store.prune_entries(&pruning).await.unwrap());
        seal(&store, 1).await;
        store.pause(None, &Principal::System).await.unwrap();
        let before = chain(&store).await;
        assert!(before.is_verified(), "{before:?}");
        assert_eq!((before.seals, before.pruned, before.entries, before.waiting), (3, 1, 2, 1));
        let (file, written) = backup(&store).await;
        // The database that it is restored into has a chain of its own.
        let restored = SurrealStore::in_memory().await.unwrap();
        restored.record(DomainEvent::ScansExported, None, &Principal::System).await.unwrap();
        seal(&restored, 2).await;
        assert_eq!(read(&restored, file.as_slice()).await.unwrap(), written);
        let after = chain(&restored).await;
        assert!(after.is_verified(), "{after:?}");
        assert_eq!((after.last, &after.keys), (before.last, &before.keys));
        assert_eq!((after.seals, after.pruned, after.entries, after.waiting), (3, 1, 2, 2));
        assert_eq!(seal(&restored, 3).await, 2);
        let later = chain(&restored).await;
        assert!(later.is_verified(), "{later:?}");
        assert_eq!((later.seals, later.keys.len(), later.waiting), (4, 2, 0));
    });
}

/// The entries of a backup from before the seals, and of one during which entries were sealed.
#[test]
fn restored_entries_without_a_seal_of_the_backup_are_sealed_again() {
    run(async {
        let store = full().await;
        let (file, _) = backup(&store).await;
        let restored = SurrealStore::in_memory().await.unwrap();
        read(&restored, file.as_slice()).await.unwrap();
        assert_eq!(seal(&restored, 1).await, 11);
        seal(&store, 1).await;
        let text = String::from_utf8(backup(&store).await.0).unwrap();
        let without_chain: Vec<String> =
            lines(text.as_bytes()).into_iter().filter(|line| !line.starts_with("{\"chain\":")).collect();
        let mut checksum = Checksum::default();
        let (last, rest) = without_chain.split_last().unwrap();
        rest.iter().for_each(|line| checksum.add(line.as_bytes()));
        let Line::End(footer) = serde_json::from_str(last).unwrap() else { panic!("{last}") };
        let Footer { scans, results, audit, .. } = footer;
        let counts = Counts { scans, results, audit, ..Counts::default() };
        let mut file = rest.concat().into_bytes();
        file.extend(line(&Line::End(checksum.footer(counts))).unwrap());
        let restored = SurrealStore::in_memory().await.unwrap();
        read(&restored, file.as_slice()).await.unwrap();
        assert_eq!(chain(&restored).await.waiting, 11);
        assert_eq!(seal(&restored, 1).await, 11);
        assert!(chain(&restored).await.is_verified());
    });
}

#[test]
fn database_with_an_account_is_not_restored_into() {
    run(async {
        let (file, _) = backup(&full().await).await;
        let store = SurrealStore::in_memory().await.unwrap();
        add_accounts(&store).await;
        match read(&store, file.as_slice()).await {
            Err(BackupError::Import(ImportError::HasAccounts { account })) => assert_eq!(account, "ana"),
            other => panic!("{other:?}"),
        }
        assert_eq!(store.accounts().await.unwrap().len(), 2);
    });
}

async fn apply(store: &SurrealStore, id: u64, command: Command) -> ScanRecord {
    match store.apply(ScanId(id), command).await.unwrap() {
        Applied::Committed(record) => record,
        other => panic!("{other:?}"),
    }
}

async fn backup(store: &SurrealStore) -> (Vec<u8>, Summary) {
    let mut file = Vec::new();
    let summary = write(store, &mut file, at()).await.unwrap();
    (file, summary)
}

async fn all(store: &SurrealStore) -> Vec<ScanRecord> {
    store.list(ListQuery { limit: 1000, ..ListQuery::default() }).await.unwrap().scans
}

fn lines(file: &[u8]) -> Vec<String> {
    String::from_utf8(file.to_vec()).unwrap().lines().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_restored_database_is_the_one_that_was_backed_up() {
    run(async {
        let store = full().await;
        let (file, written) = backup(&store).await;
        assert_eq!(
            (written.scans, written.last, written.paused, written.bytes, written.written_at),
            (6, ScanId(6), true, file.len() as u64, at())
        );
        let folder = TempDir::new().unwrap();
        let restored = SurrealStore::open_to_restore(folder.path()).await.unwrap();
        assert_eq!(read(&restored, file.as_slice()).await.unwrap(), written);
        drop(restored);
        let restored = SurrealStore::open(folder.path()).await.unwrap();
        assert_eq!(all(&restored).await, all(&store).await);
        assert_eq!(restored.stats(&ProjectFilter::All).await.unwrap(), store.stats(&ProjectFilter::All).await.unwrap());
        assert_eq!(restored.paused().await.unwrap(), store.paused().await.unwrap());
        let audit = restored.audit(&AuditQuery::newest(100)).await.unwrap().entries;
        assert_eq!(audit, store.audit(&AuditQuery::newest(100)).await.unwrap().entries);
        assert_eq!(audit.len(), 11, "six submissions, three ends of attempts, a cancel and a pause");
        assert_eq!(restored.all().await.unwrap(), []);
        let waiting: Vec<ScanId> =
            store.due(Duration::from_secs(1), 10).await.unwrap().iter().map(|scan| scan.id).collect();
        assert_eq!(
            restored.due(Duration::from_secs(1), 10).await.unwrap().iter().map(|scan| scan.id).collect::<Vec<_>>(),
            waiting
        );
        // A running scan becomes an orphan, and its node cannot renew its lease.
        assert_eq!(restored.orphans().await.unwrap().iter().map(|scan| scan.id).collect::<Vec<_>>(), [ScanId(2)]);
        assert!(restored.renew(fixtures::registration("a"), TTL).await.unwrap().is_err());
        // Keys still refer to the same scans, and new ids follow the old ones.
        let mut known = fixtures::new_scan("example.com");
        known.idempotency_key = Some("key\0 3\n\"é".into());
        assert_eq!(
            restored.submit(known).await.unwrap(),
            Submitted::Existing(restored.get(ScanId(3)).await.unwrap().unwrap())
        );
        assert_eq!(restored.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id, ScanId(7));
        // A backup of the restored database before these changes would be identical. A second
        // restore into it is refused.
        assert!(matches!(
            read(&restored, file.as_slice()).await,
            Err(BackupError::Import(ImportError::NotEmpty { last: 7 }))
        ));
    });
}

#[test]
fn a_copied_backup_is_identical() {
    run(async {
        let (file, written) = backup(&full().await).await;
        let mut passed = Vec::new();
        assert_eq!(copy(file.as_slice(), &mut passed).await.unwrap(), written);
        assert_eq!(passed, file);
        assert_eq!(check(file.as_slice()).await.unwrap(), written);
    });
}

#[test]
fn an_empty_database_has_a_backup_too() {
    run(async {
        let (file, written) = backup(&SurrealStore::in_memory().await.unwrap()).await;
        assert_eq!((written.scans, written.last, written.paused, lines(&file).len()), (0, ScanId(0), false, 2));
        let restored = SurrealStore::in_memory().await.unwrap();
        read(&restored, file.as_slice()).await.unwrap();
        assert_eq!(restored.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id, ScanId(1));
    });
}

/// More than one page and one batch, submitted concurrently.
#[test]
fn many_scans_are_backed_up_and_restored() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        let submissions: Vec<_> = (0..700)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.submit(fixtures::new_scan("example.com")).await.unwrap() })
            })
            .collect();
        for one in submissions {
            one.await.unwrap();
        }
        let (file, written) = backup(&store).await;
        assert_eq!(written.scans, 700);
        let restored = SurrealStore::in_memory().await.unwrap();
        read(&restored, file.as_slice()).await.unwrap();
        assert_eq!(all(&restored).await, all(&store).await);
        assert_eq!(backup(&restored).await.0, file, "a backup of what was restored is the same file");
    });
}

#[test]
fn an_incomplete_file_is_refused() {
    run(async {
        let (file, _) = backup(&full().await).await;
        let whole = lines(&file);
        let joined = |lines: &[String]| lines.concat().into_bytes();
        let without = |at: usize| {
            let mut lines = whole.clone();
            lines.remove(at);
            joined(&lines)
        };
        let changed = |at: usize, from: &str, to: &str| {
            let mut lines = whole.clone();
            assert!(lines[at].contains(from), "{}", lines[at]);
            lines[at] = lines[at].replace(from, to);
            joined(&lines)
        };
        let twice = {
            let mut lines = whole.clone();
            lines.insert(2, lines[1].clone());
            joined(&lines)
        };
        let cut_off = format!("the backup is cut off after line {}", whole.len() - 1);
        let follows = format!("line {} of the backup is damaged: it follows the last line", whole.len() + 1);
        for (file, expected) in [
            (Vec::new(), "the file is not a backup of Kastrel: it is empty"),
            (b"\x1f\x8b\0\0".to_vec(), "the file is not a backup of Kastrel: its first line has no end"),
            (b"hello\n".to_vec(), "the file is not a backup of Kastrel: expected value at line 1 column 1"),
            (without(0), "the file is not a backup of Kastrel: missing field `kastrel_backup`"),
            (
                changed(0, "\"kastrel_backup\":2", "\"kastrel_backup\":3"),
                "the backup has format 3, but this program reads formats up to 2",
            ),
            (changed(0, "\"schema\":", "\"schema\":900"), "schema version 900"),
            (joined(&whole[..5]), "the backup is cut off after line 5"),
            (file[..file.len() - 1].to_vec(), cut_off.as_str()),
            (file[..whole[0].len() + 20].to_vec(), "the backup is cut off after line 1"),
            (without(2), "the backup is damaged: its lines do not have the checksum"),
            (without(4), "the backup is damaged: its lines do not have the checksum"),
            (without(3), "line 4 of the backup is damaged: a plugin of scan 3 is not in its place"),
            (changed(2, "host-2", "host-9"), "the backup is damaged: its lines do not have the checksum"),
            (
                changed(whole.len() - 1, "\"scans\":6", "\"scans\":5"),
                "the backup is damaged: its lines do not have the checksum",
            ),
            (changed(3, "{\"scan\"", "{\"scam\""), "line 4 of the backup is damaged: unknown variant `scam`"),
            (twice, "line 3 of the backup is damaged: scan 1 comes after scan 1 of 6"),
            ([file.clone(), whole[1].clone().into_bytes()].concat(), follows.as_str()),
        ] {
            let store = SurrealStore::in_memory().await.unwrap();
            for error in [read(&store, file.as_slice()).await.unwrap_err(), check(file.as_slice()).await.unwrap_err()] {
                assert!(error.to_string().contains(expected), "{error} is not {expected}");
            }
            assert_eq!(store.metadata().await.unwrap().last, ScanId(0), "{expected}: it counts as restored");
        }
    });
}

/// A scan with plugins of two attempts.
#[test]
fn plugins_of_all_attempts_are_backed_up_and_restored() {
    run(async {
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        store.submit(fixtures::new_scan("example.com")).await.unwrap();
        let lease = || Command::Lease { node: "a".parse().unwrap() };
        let plugins = |names: &[&str]| {
            Some(names.iter().map(|name| PluginResult::new(*name, PluginStatus::Completed)).collect::<Vec<_>>())
        };
        let finish =
            |record: &ScanRecord, resolution, plugins| Command::Finish { token: record.token, resolution, plugins };
        let first = apply(&store, 1, lease()).await;
        let requeue = Resolution::Requeue(kastrel_actors::model::Interruption::Shutdown);
        apply(&store, 1, finish(&first, requeue, plugins(&["a", "b"]))).await;
        let second = apply(&store, 1, lease()).await;
        let end = Resolution::Complete(Verdict::default());
        apply(&store, 1, finish(&second, end, plugins(&["c"]))).await;
        let (file, written) = backup(&store).await;
        let keys: Vec<String> =
            lines(&file).iter().filter_map(|line| line.split(",\"result\"").next().map(str::to_owned)).collect();
        assert_eq!(
            keys[2..5],
            [
                "{\"plugin_result\":{\"scan\":1,\"attempt\":1,\"ordinal\":0",
                "{\"plugin_result\":{\"scan\":1,\"attempt\":1,\"ordinal\":1",
                "{\"plugin_result\":{\"scan\":1,\"attempt\":2,\"ordinal\":0"
            ]
        );
        let restored = SurrealStore::in_memory().await.unwrap();
        assert_eq!(read(&restored, file.as_slice()).await.unwrap(), written);
        assert_eq!(restored.get(ScanId(1)).await.unwrap(), store.get(ScanId(1)).await.unwrap());
        assert_eq!(backup(&restored).await.0, file);
    });
}

/// A file as versions up to 0.1.0 wrote it: a scan is one line, which has its plugins three times
/// if it is completed.
#[test]
fn a_backup_of_the_first_format_is_restored() {
    run(async {
        let scan = r#"{"scan":{"id":1,"request":REQUEST,"state":{"status":"completed","at":"2026-11-01T00:00:09Z","verdict":{"plugins":[{"name":"whatweb","status":"completed","findings_count":2,"issues":[],"message":"m","started_at":null,"ended_at":null}],"dry_run":false}},"token":1,"version":2,"failures":0,"cancel_requested":null,"attempts":[{"number":1,"token":1,"node":"a","started_at":"2026-11-01T00:00:01Z","ended_at":"2026-11-01T00:00:09Z","end":{"end":"completed","plugins":[{"name":"whatweb","status":"completed","findings_count":2,"issues":[],"message":"m","started_at":null,"ended_at":null}],"dry_run":false},"scanner":null}],"plugins":[{"name":"whatweb","status":"completed","findings_count":2,"issues":[],"message":"m","started_at":null,"ended_at":null}],"created_at":"2026-11-01T00:00:00Z","started_at":"2026-11-01T00:00:01Z","idempotency_key":null,"trace":TRACE,"rerun_of":null}}"#;
        let record = fixtures::record(1, at());
        let scan = scan
            .replace("REQUEST", &serde_json::to_string(&record.request).unwrap())
            .replace("TRACE", &serde_json::to_string(&record.trace).unwrap());
        let header = Header::new(Metadata { last: ScanId(1), pause: None }, 10, at());
        let mut file = line(&header).unwrap();
        assert!(file.starts_with(b"{\"kastrel_backup\":1,\"schema\":10,"));
        file.extend_from_slice(format!("{scan}\n").as_bytes());
        let mut checksum = Checksum::default();
        checksum.add(&file);
        file.extend(line(&Line::End(checksum.footer(Counts { scans: 1, ..Counts::default() }))).unwrap());
        let store = SurrealStore::in_memory().await.unwrap();
        assert_eq!(read(&store, file.as_slice()).await.unwrap().scans, 1);
        let restored = store.get(ScanId(1)).await.unwrap().unwrap();
        assert_eq!(restored.plugins.len(), 1);
        assert_eq!((restored.plugins[0].findings_count, restored.plugins[0].message.as_deref()), (2, Some("m")));
        let ScanState::Completed { summary, .. } = &restored.state else { panic!("{:?}", restored.state) };
        assert_eq!((summary.findings, summary.count(PluginStatus::Completed)), (2, 1));
        // The backup before a migration is in the same format, for the program that made the
        // database.
        let again = earlier_line(&restored).unwrap();
        let plugins = &again["scan"]["plugins"];
        assert_eq!(&again["scan"]["state"]["verdict"]["plugins"], plugins);
        assert_eq!(&again["scan"]["attempts"][0]["end"]["plugins"], plugins);
        assert_eq!(again["scan"]["attempts"][0]["end"]["end"], "completed");
    });
}

/// The second of three scans is unreadable.
#[test]
fn an_unreadable_scan_is_left_out_and_reported() {
    run(async {
        let now = at();
        let mut checksum = Checksum::default();
        let header = Header::new(Metadata { last: ScanId(3), pause: None }, SurrealStore::schema_version(), now);
        let missing = MissingScan { id: ScanId(2), why: "expected value at line 1 column 1".into() };
        let scan = |number| Line::Scan(Box::new(fixtures::record(number, now)));
        let mut file = line(&header).unwrap();
        for one in [scan(1), Line::Missing(missing), scan(3)] {
            file.extend(line(&one).unwrap());
        }
        checksum.add(&file);
        let footer = line(&Line::End(checksum.footer(Counts { scans: 2, missing: 1, ..Counts::default() }))).unwrap();
        file.extend_from_slice(&footer);
        let text = String::from_utf8(footer).unwrap();
        assert!(text.starts_with("{\"end\":{\"scans\":2,\"missing\":1,\"sha256\":"), "{text}");
        let mut passed = Vec::new();
        let summary = copy(file.as_slice(), &mut passed).await.unwrap();
        assert_eq!((summary.scans, &summary.missing, &passed), (2, &vec![ScanId(2)], &file));
        let restored = SurrealStore::in_memory().await.unwrap();
        assert_eq!(read(&restored, file.as_slice()).await.unwrap(), summary);
        assert_eq!(all(&restored).await.iter().map(|record| record.id).collect::<Vec<_>>(), [ScanId(3), ScanId(1)]);
        assert_eq!(restored.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id, ScanId(4));
        // A removed line is detected.
        let without = lines(&file).into_iter().filter(|line| !line.starts_with("{\"missing\"")).collect::<String>();
        assert!(matches!(check(without.as_bytes()).await, Err(BackupError::Checksum)));
    });
}

#[test]
fn a_failed_restore_is_detected_and_can_be_repeated() {
    run(async {
        let (file, written) = backup(&full().await).await;
        let folder = TempDir::new().unwrap();
        let store = SurrealStore::open_to_restore(folder.path()).await.unwrap();
        // All scans are imported before the file turns out to be invalid.
        let mut longer = file.clone();
        longer.extend_from_slice(b"more\n");
        let after = lines(&file).len() as u64 + 1;
        match read(&store, longer.as_slice()).await {
            Err(BackupError::Damaged { line, .. }) => assert_eq!(line, after),
            other => panic!("{other:?}"),
        }
        // A process that stayed connected cannot use the unfinished database.
        let error = store.submit(fixtures::new_scan("example.com")).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Unavailable(cause) if format!("{cause:?}").contains("being restored")),
            "{error:?}"
        );
        assert!(store.register(fixtures::registration("b"), TTL).await.is_err());
        drop(store);
        match SurrealStore::open(folder.path()).await {
            Err(OpenError::HalfRestored { .. }) => {}
            other => panic!("{other:?}"),
        }
        let store = SurrealStore::open_to_restore(folder.path()).await.unwrap();
        assert_eq!(read(&store, file.as_slice()).await.unwrap(), written);
        drop(store);
        assert_eq!(all(&SurrealStore::open(folder.path()).await.unwrap()).await.len(), 6);
    });
}

#[test]
fn a_database_in_use_is_not_restored_into() {
    run(async {
        let (file, _) = backup(&full().await).await;
        let store = SurrealStore::in_memory().await.unwrap();
        store.register(fixtures::registration("busy"), TTL).await.unwrap();
        match read(&store, file.as_slice()).await {
            Err(BackupError::Import(ImportError::InUse { node })) => assert_eq!(node, "busy"),
            other => panic!("{other:?}"),
        }
        store.remove(&"busy".parse().unwrap()).await.unwrap();
        read(&store, file.as_slice()).await.unwrap();
    });
}
