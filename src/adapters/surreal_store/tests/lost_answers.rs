//! Tests of lost responses, one by one. A relay between the store and the server cuts the
//! connection on request.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    AccountKind, AccountName, AuditQuery, CancelledBy, Clearance, ClearanceLevel, Command, DeviceDecision, DeviceLogin,
    DeviceLoginCreated, DeviceLoginLimits, DeviceLoginState, DevicePolls, DeviceTokenRequest, DomainEvent, Failure,
    FailureKind, LinkResult, ListQuery, NewAccount, Passkey, PasskeyAddition, PasskeyId, PasskeyUse, Principal,
    ProjectId, ProjectRole, ProviderIdentity, Pruning, PublicLink, Put, Resolution, SavedFilter, ScanId, ScanNotes,
    ScanStatus, SecretDigest, Session, Share, ShareCreated, ShareRight, SignInEnd, SignedChallenge, Submitted,
    TokenRecord, TokenScope, TriageKind,
};
use kastrel_actors::policy::audit_chain::seal_of;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, SealSigner as _};
use kastrel_actors::testing::{TestSigner, fixtures};
use kastrel_findings::lifecycle::SlaPolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify};

use super::super::SurrealStore;
use super::surreal_server::{PASSWORD_IN_URL, SurrealServer, USER};
use super::{connect, run};

const TTL: Duration = Duration::from_secs(300);

/// How the relay handles a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Forwards the request and its response.
    Pass,
    /// Forwards the request, drops the response and cuts the connection.
    LoseAnswer,
    /// Holds the request back and cuts the connection to the store; [`Relay::deliver`] forwards it
    /// later.
    Hold,
}

struct Shared {
    server: SocketAddr,
    /// The number of requests to pass first, and the handling of the next one.
    fate: Mutex<(usize, Fate)>,
    held: Mutex<Option<(OwnedWriteHalf, OwnedReadHalf, Vec<u8>)>>,
    cut: Notify,
}

impl Shared {
    async fn next_fate(&self) -> Fate {
        let mut fate = self.fate.lock().await;
        if fate.0 > 0 {
            fate.0 -= 1;
            return Fate::Pass;
        }
        std::mem::replace(&mut *fate, (0, Fate::Pass)).1
    }
}

struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    async fn before(server: &SurrealServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: server.address(),
            fate: Mutex::new((0, Fate::Pass)),
            held: Mutex::default(),
            cut: Notify::new(),
        });
        let relaying = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, Arc::clone(&relaying)));
            }
        });
        Self { address, shared }
    }

    fn url(&self) -> String {
        format!("ws://{USER}:{PASSWORD_IN_URL}@{}/lost/answers", self.address)
    }

    /// Sets the handling of the request after the next `after` requests.
    async fn let_pass(&self, after: usize, fate: Fate) {
        *self.shared.fate.lock().await = (after, fate);
    }

    /// Forwards the held request, and waits for the server's response.
    async fn deliver(&self) -> usize {
        let (mut to_server, mut from_server, bytes) = self.shared.held.lock().await.take().unwrap();
        to_server.write_all(&bytes).await.unwrap();
        from_server.read(&mut [0; 1 << 16]).await.unwrap()
    }
}

async fn relay(client: TcpStream, shared: Arc<Shared>) {
    let server = TcpStream::connect(shared.server).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut lose = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(read @ 1..) = read else { return };
                let fate = shared.next_fate().await;
                lose = fate == Fate::LoseAnswer;
                if fate == Fate::Hold {
                    asked.truncate(read);
                    *shared.held.lock().await = Some((to_server, from_server, asked));
                    shared.cut.notify_one();
                    return;
                }
                to_server.write_all(&asked[..read]).await.unwrap();
            }
            read = from_server.read(&mut answered) => {
                let Ok(read @ 1..) = read else { return };
                if lose {
                    shared.cut.notify_one();
                    return;
                }
                if to_client.write_all(&answered[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn stage() -> (SurrealServer, Relay, SurrealStore) {
    let server = SurrealServer::in_memory().await;
    let relay = Relay::before(&server).await;
    let store = connect(&relay.url()).await;
    store.register(fixtures::registration("a"), TTL).await.unwrap();
    store.register(fixtures::registration("b"), TTL).await.unwrap();
    (server, relay, store)
}

async fn ids(store: &SurrealStore) -> Vec<u64> {
    store.list(ListQuery::default()).await.unwrap().scans.iter().map(|scan| scan.id.0).collect()
}

fn lease(name: &str) -> Command {
    Command::Lease { node: name.parse().unwrap() }
}

#[test]
fn a_submission_whose_answer_was_lost_was_made_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        for id in 1..=3 {
            relay.let_pass(0, Fate::LoseAnswer).await;
            let submitted = store.submit(fixtures::new_scan("example.com")).await.unwrap();
            relay.shared.cut.notified().await;
            assert!(matches!(&submitted, Submitted::Created(record) if record.id == ScanId(id)), "{submitted:?}");
            assert_eq!(store.get(ScanId(id)).await.unwrap(), Some(submitted.into_record()));
        }
        assert_eq!(ids(&store).await, [3, 2, 1]);
    });
}

#[test]
fn a_submission_that_was_held_up_is_made_once_and_not_again_when_it_arrives() {
    run(async {
        let (_server, relay, store) = stage().await;
        relay.let_pass(0, Fate::Hold).await;
        let submitted = store.submit(fixtures::new_scan("example.com")).await.unwrap();
        relay.shared.cut.notified().await;
        assert!(matches!(&submitted, Submitted::Created(record) if record.id == ScanId(1)), "{submitted:?}");
        assert!(relay.deliver().await > 0);
        assert_eq!(ids(&store).await, [1]);
        assert_eq!(store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id, ScanId(2));
    });
}

#[test]
fn a_lease_whose_answer_was_lost_is_held() {
    run(async {
        let (_server, relay, store) = stage().await;
        for _ in 0..3 {
            let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
            relay.let_pass(0, Fate::LoseAnswer).await;
            let leased = store.apply(id, lease("a")).await.unwrap();
            relay.shared.cut.notified().await;
            let Applied::Committed(record) = leased else { panic!("{leased:?}") };
            assert_eq!((record.version, store.get(id).await.unwrap()), (1, Some(record.clone())));
            let refused = store.apply(id, lease("b")).await.unwrap();
            assert!(matches!(&refused, Applied::Refused(_, found) if *found == record), "{refused:?}");
        }
    });
}

/// The lease is delayed while its sender retries. Both must be the same lease, whichever is
/// committed.
#[test]
fn a_lease_that_was_held_up_is_granted_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        relay.let_pass(0, Fate::Hold).await;
        let Applied::Committed(running) = store.apply(id, lease("a")).await.unwrap() else { panic!() };
        relay.shared.cut.notified().await;
        assert!(relay.deliver().await > 0);
        let found = store.get(id).await.unwrap().unwrap();
        assert_eq!((found.version, found.attempts.len(), &found), (1, 1, &running));
    });
}

/// A change is a read and a write, and either response may be lost.
#[test]
fn an_end_whose_answer_was_lost_has_happened() {
    run(async {
        let (_server, relay, store) = stage().await;
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let Applied::Committed(running) = store.apply(id, lease("a")).await.unwrap() else { panic!() };
        let retry =
            Resolution::Retry { failure: Failure::new(FailureKind::Crashed, "exit code 1"), after: Duration::ZERO };
        relay.let_pass(1, Fate::LoseAnswer).await;
        let ended =
            store.apply(id, Command::Finish { token: running.token, resolution: retry, plugins: None }).await.unwrap();
        assert!(matches!(&ended, Applied::Committed(record) if record.status() == ScanStatus::Pending), "{ended:?}");
        relay.let_pass(1, Fate::LoseAnswer).await;
        let cancelled =
            store.apply(id, Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous }).await.unwrap();
        assert!(
            matches!(&cancelled, Applied::Committed(record) if record.status() == ScanStatus::Cancelled),
            "{cancelled:?}"
        );
    });
}

#[test]
fn idempotent_calls_are_retried() {
    run(async {
        let (_server, relay, store) = stage().await;
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.get(id).await.unwrap().unwrap().id, id);
        relay.let_pass(0, Fate::LoseAnswer).await;
        store.renew(fixtures::registration("a"), TTL).await.unwrap().unwrap();
        relay.let_pass(0, Fate::LoseAnswer).await;
        store.pause(None, &Principal::System).await.unwrap();
        let audit = store.audit(&AuditQuery::newest(9)).await.unwrap();
        assert_eq!(audit.entries.len(), 2, "the submission, and one pause");
        relay.let_pass(0, Fate::LoseAnswer).await;
        // A retry would report that there was no pause.
        assert!(store.resume(&Principal::System).await.is_err());
        assert_eq!(store.paused().await.unwrap(), None);
    });
}

/// A removal is a read and a write.
#[test]
fn a_clearance_whose_answer_was_lost_was_set_and_removed_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let clearance = Clearance {
            project: ProjectId::default(),
            pattern: "example.com".parse().unwrap(),
            level: ClearanceLevel::Active,
            authorised_by: Principal::System,
            at: jiff::Timestamp::UNIX_EPOCH,
            until: None,
            text: "contract".into(),
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        store.set_clearance(clearance.clone()).await.unwrap();
        relay.shared.cut.notified().await;
        let id = &clearance.project;
        assert_eq!(store.clearances(id).await.unwrap(), std::slice::from_ref(&clearance));
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.remove_clearance(id, &clearance.pattern, &Principal::System).await.unwrap());
        assert_eq!(store.clearances(id).await.unwrap(), []);
        assert!(!store.remove_clearance(id, &clearance.pattern, &Principal::System).await.unwrap());
        let actions: Vec<&str> = store
            .audit(&AuditQuery::newest(9))
            .await
            .unwrap()
            .entries
            .iter()
            .map(|entry| entry.event.action())
            .collect();
        assert_eq!(actions, ["clearance_removed", "clearance_set"]);
    });
}

/// A removal is a read and a write.
#[test]
fn a_passkey_whose_answer_was_lost_was_added_used_and_removed_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let ana: AccountName = "ana".parse().unwrap();
        let (id, start) = ("0".repeat(32).parse::<PasskeyId>().unwrap(), jiff::Timestamp::UNIX_EPOCH);
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        assert!(store.create_account(new, start, &Principal::System).await.unwrap());
        let passkey = Passkey {
            id: id.clone(),
            account: ana.clone(),
            label: "Phone".into(),
            user_handle: "handle".into(),
            credential: "{}".into(),
            created_at: start,
            used_at: None,
        };
        let challenge = |byte: u8| SignedChallenge {
            digest: SecretDigest::new([byte; 32]),
            expires_at: jiff::Timestamp::from_second(1_900_000_000).unwrap(),
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        let added = store.add_passkey(passkey, challenge(1), None, &Principal::System).await.unwrap();
        assert_eq!(added, PasskeyAddition::Added);
        let used = |byte: u8| PasskeyUse {
            id: id.clone(),
            account: ana.clone(),
            challenge: challenge(byte),
            before: "{}".into(),
            after: "{}".into(),
            at: start,
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.use_passkey(used(2)).await.unwrap());
        let session = Session {
            key: SecretDigest::new([3; 32]),
            account: ana.clone(),
            created_at: start,
            used_at: start,
            expires_at: start,
            address: "::1".into(),
            agent: String::new(),
            with_provider: false,
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.sign_in_with_passkey(used(3), None, session).await.unwrap(), SignInEnd::Started);
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.remove_passkey(&ana, &id, None, &Principal::System).await.unwrap());
        assert!(!store.remove_passkey(&ana, &id, None, &Principal::System).await.unwrap());
        let entries = store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
        let actions: Vec<&str> = entries.iter().map(|entry| entry.event.action()).collect();
        let expected = ["passkey_removed", "signed_in", "passkey_used", "passkey_added", "account_created"];
        assert_eq!(BTreeSet::from_iter(actions.clone()), BTreeSet::from(expected));
        assert_eq!(actions.len(), expected.len());
    });
}

/// An unlinking is a read and a write.
#[test]
fn an_identity_whose_answer_was_lost_was_linked_and_unlinked_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let (by, at) = (Principal::System, jiff::Timestamp::UNIX_EPOCH);
        let identity = ProviderIdentity::new("https://id.example", "7").unwrap();
        let account = |name: &str| NewAccount {
            name: name.parse().unwrap(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        let created = store.create_with_identity(account("ana"), &identity, at, &by).await.unwrap();
        assert_eq!(created, LinkResult::Linked);
        let ana = "ana".parse().unwrap();
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.unlink_identity(&ana, &by).await.unwrap());
        assert_eq!(store.identity_of(&ana).await.unwrap(), None);
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.link_identity(&ana, &identity, at, &by).await.unwrap(), LinkResult::Linked);
        let audit = store.audit(&AuditQuery::newest(9)).await.unwrap();
        let mut actions: Vec<&str> = audit.entries.iter().map(|entry| entry.event.action()).collect();
        actions.sort_unstable();
        assert_eq!(actions, ["account_created", "identity_linked", "identity_linked", "identity_unlinked"]);
    });
}

/// A revocation is a read and a write.
#[test]
fn a_public_link_whose_answer_was_lost_was_created_opened_and_revoked_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let scan = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let link = PublicLink {
            id: "a1B2c3D4e5".parse().unwrap(),
            key: SecretDigest::new([1; 32]),
            scan,
            label: String::new(),
            created_by: Principal::System,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            expires_at: jiff::Timestamp::from_second(1_900_000_000).unwrap(),
            password_hash: None,
            opened: 0,
            opened_at: None,
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.create_public_link(link.clone(), &ProjectId::default()).await.unwrap());
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.open_public_link(&link, jiff::Timestamp::UNIX_EPOCH, Some("::1")).await.unwrap());
        assert_eq!(store.public_links(scan).await.unwrap()[0].opened, 1);
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.revoke_public_link(scan, &link.id, &Principal::System).await.unwrap());
        assert_eq!(store.public_links(scan).await.unwrap(), []);
        let audit = store.audit(&AuditQuery::of_scan(scan, 9)).await.unwrap();
        let actions: Vec<&str> = audit.entries.iter().map(|entry| entry.event.action()).collect();
        assert_eq!(actions, ["public_link_revoked", "public_link_opened", "public_link_created", "scan_submitted"]);
    });
}

/// A revocation is a read and a write.
#[test]
fn a_share_whose_answer_was_lost_was_created_and_revoked_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let scan = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let share = Share {
            scan,
            grantee: "user:ana".parse().unwrap(),
            right: ShareRight::Edit,
            created_by: Principal::System,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            expires_at: None,
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        let created = store.create_share(share.clone(), &ProjectId::default(), 1).await.unwrap();
        assert_eq!(created, ShareCreated::Created);
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.revoke_share(scan, &share.grantee, &Principal::System).await.unwrap());
        assert_eq!(store.shares_of_scan(scan).await.unwrap(), []);
        let audit = store.audit(&AuditQuery::of_scan(scan, 9)).await.unwrap();
        let actions: Vec<&str> = audit.entries.iter().map(|entry| entry.event.action()).collect();
        assert_eq!(actions, ["share_revoked", "scan_shared", "scan_submitted"]);
    });
}

/// The changes of people are recognized; the ones of a scan are read again and repeated.
#[test]
fn edits_of_findings_whose_answers_were_lost_were_made_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let by = Principal::System;
        let scan = store.submit(fixtures::new_scan("shop.example")).await.unwrap().into_record().id;
        let target = fixtures::target_record(&ProjectId::default(), "shop.example");
        let finding = fixtures::finding_record(&target, 1);
        let result = fixtures::scan_result(&target, fixtures::scan_order(1, 0), 0);
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.put_findings(vec![finding.clone()]).await.unwrap(), Put::Changed, "it was stored before");
        let finding = store.finding(finding.id).await.unwrap().unwrap();
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.put_result(result, target.clone(), Vec::new()).await.unwrap(), Put::Changed);
        let target = store.target(target.id).await.unwrap().unwrap();
        assert_eq!((finding.version, target.version), (1, 1));

        let triaged = DomainEvent::FindingTriaged {
            project: ProjectId::default(),
            finding: finding.id,
            did: TriageKind::Confirmed,
            text: None,
            until: None,
        };
        let changed = DomainEvent::TargetChanged { project: ProjectId::default(), target: target.id };
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.edit_finding(finding.clone(), &triaged, &by).await.unwrap(), Put::Stored);
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert_eq!(store.edit_target(target.clone(), &changed, &by).await.unwrap(), Put::Stored);
        relay.let_pass(0, Fate::LoseAnswer).await;
        store.set_sla_policy(&ProjectId::default(), SlaPolicy::default(), &by).await.unwrap();
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.set_scan_notes(scan, ScanNotes::default(), &by).await.unwrap());
        let filter = SavedFilter { name: "open".into(), filter: "state:open".into() };
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.save_filter("user:ana", filter.clone(), 1).await.unwrap());
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.delete_filter("user:ana", &filter.name).await.unwrap());

        assert_eq!(store.finding(finding.id).await.unwrap().unwrap().version, 2);
        assert_eq!(store.target(target.id).await.unwrap().unwrap().version, 2);
        assert_eq!(store.changes(0, 9).await.unwrap().mark, 4);
        let audit = store.audit(&AuditQuery::newest(9)).await.unwrap();
        let mut actions: Vec<&str> = audit.entries.iter().map(|entry| entry.event.action()).collect();
        actions.sort_unstable();
        let expected = ["finding_triaged", "scan_notes_changed", "scan_submitted", "sla_policy_set", "target_changed"];
        assert_eq!(actions, expected);
    });
}

#[test]
fn a_device_login_whose_answer_was_lost_was_created_allowed_and_used_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let (ana, now): (AccountName, _) = ("ana".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH);
        let new = NewAccount {
            name: ana.clone(),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        assert!(store.create_account(new, now, &Principal::System).await.unwrap());
        let login = DeviceLogin {
            key: SecretDigest::new([1; 32]),
            user_code: SecretDigest::new([2; 32]),
            label: "laptop".into(),
            address: "::1".into(),
            network: "::".into(),
            request: DeviceTokenRequest { role: ProjectRole::Viewer, has_server_role: false, days: 1 },
            created_at: now,
            expires_at: jiff::Timestamp::from_second(600).unwrap(),
            state: DeviceLoginState::Pending,
            polls: DevicePolls { last_at: None, interval: 5 },
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        let limits = DeviceLoginLimits { of_network: 1, total: 1 };
        let created = store.create_device_login(login.clone(), limits).await.unwrap();
        assert_eq!(created, DeviceLoginCreated::Created);
        relay.shared.cut.notified().await;
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.decide_device_login(&login, &ana, DeviceDecision::Allow, now).await.unwrap());
        relay.shared.cut.notified().await;
        let token = TokenRecord {
            id: "a1B2c3D4e5".parse().unwrap(),
            digest: SecretDigest::new([3; 32]),
            account: ana.clone(),
            label: "laptop".into(),
            scope: TokenScope { role: ProjectRole::Viewer, project: None, has_server_role: false },
            networks: Vec::new(),
            created_at: now,
            expires_at: jiff::Timestamp::from_second(900).unwrap(),
            used_at: None,
        };
        relay.let_pass(0, Fate::LoseAnswer).await;
        assert!(store.finish_device_login(login.key, token.clone()).await.unwrap());
        relay.shared.cut.notified().await;
        assert_eq!(store.tokens(&ana).await.unwrap(), [token]);
        let entries = store.audit(&AuditQuery::newest(9)).await.unwrap().entries;
        let actions: Vec<&str> = entries.iter().map(|entry| entry.event.action()).collect();
        assert_eq!(actions, ["token_created", "device_login_allowed", "account_created"]);
    });
}

#[test]
fn a_seal_whose_answer_was_lost_is_added_once() {
    run(async {
        let (_server, relay, store) = stage().await;
        let signer = TestSigner::new(7);
        for number in 1..=2 {
            store.record(DomainEvent::ScansExported, None, &Principal::System).await.unwrap();
            let unsealed = store.unsealed(9).await.unwrap();
            let at = unsealed.entries[0].key.at;
            let sealed = seal_of(&unsealed.head, &unsealed.entries, at, signer.key().id(), |bytes| signer.sign(bytes));
            let (seal, entries) = sealed.unwrap();
            relay.let_pass(0, Fate::LoseAnswer).await;
            assert!(store.add_seal(&seal, &entries).await.unwrap());
            relay.shared.cut.notified().await;
            let state = store.sealing_state().await.unwrap();
            assert_eq!((state.seals, state.waiting), (number, 0));
        }
        let pruning = Pruning { after: 0, through: 1, count: 1, at: jiff::Timestamp::UNIX_EPOCH };
        relay.let_pass(1, Fate::LoseAnswer).await;
        assert!(store.prune_entries(&pruning).await.unwrap());
        relay.shared.cut.notified().await;
        assert_eq!(
            store.audit(&AuditQuery::newest(9)).await.unwrap().entries.len(),
            2,
            "an entry of the second seal, and one of the pruning"
        );
    });
}
