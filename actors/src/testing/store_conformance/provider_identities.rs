//! The contract of the identities of an identity provider, and of sign-ins that wait for it.

use jiff::Timestamp;

use super::*;
use crate::model::{
    AccountKind, AccountName, AuditQuery, DomainEvent, LinkResult, LinkedIdentity, NewAccount, PendingSignIn,
    ProviderIdentity, ProviderSignIn, SecretDigest, Session,
};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! provider_identities_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; provider_identities;
            an_account_is_created_with_its_identity_or_not_at_all
            an_identity_is_linked_to_one_account_and_an_account_to_one_identity
            two_accounts_that_get_one_identity_at_once_do_not_share_it
            an_unlinked_identity_ends_the_sessions_and_can_be_linked_again
            a_sign_in_that_waits_is_taken_once
            of_two_takes_at_once_one_gets_the_sign_in
            sign_ins_that_wait_expire_and_are_deleted
            a_session_remembers_that_it_began_with_the_provider
            identities_outlive_the_process
        }
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

const fn digest(byte: u8) -> SecretDigest {
    SecretDigest::new([byte; 32])
}

fn boss() -> Principal {
    Principal::User(name("boss"))
}

/// The subject has characters that have a meaning in queries and keys.
fn identity(subject: &str) -> ProviderIdentity {
    ProviderIdentity::new("https://id.example/realms/team", format!("auth0|\"{subject}'~")).unwrap()
}

fn linked(account: &str, subject: &str, linked_at: i64) -> LinkedIdentity {
    LinkedIdentity { account: name(account), identity: identity(subject), linked_at: at(linked_at) }
}

fn account(text: &str, kind: AccountKind) -> NewAccount {
    NewAccount {
        name: name(text),
        kind,
        server_role: None,
        password_hash: None,
        mail: None,
        memberships: BTreeMap::new(),
    }
}

async fn with_accounts<H: StoreHarness>(world: &World<H>, accounts: &[&str]) {
    for text in accounts {
        let new = account(text, AccountKind::User);
        assert!(world.store.create_account(new, at(0), &Principal::System).await.unwrap());
    }
}

async fn link<H: StoreHarness>(world: &World<H>, account: &str, subject: &str) -> LinkResult {
    world.store.link_identity(&name(account), &identity(subject), at(7), &boss()).await.unwrap()
}

async fn create<H: StoreHarness>(world: &World<H>, text: &str, subject: &str) -> LinkResult {
    let new = account(text, AccountKind::User);
    world.store.create_with_identity(new, &identity(subject), at(3), &boss()).await.unwrap()
}

async fn of<H: StoreHarness>(world: &World<H>, account: &str) -> Option<LinkedIdentity> {
    world.store.identity_of(&name(account)).await.unwrap()
}

async fn account_of<H: StoreHarness>(world: &World<H>, subject: &str) -> Option<AccountName> {
    world.store.account_of_identity(&identity(subject)).await.unwrap()
}

/// Returns what `boss` did, oldest first.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<DomainEvent> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    entries.into_iter().filter(|entry| entry.principal == boss()).map(|entry| entry.event).collect()
}

fn linked_event(account: &str, subject: &str) -> DomainEvent {
    let identity = identity(subject);
    DomainEvent::IdentityLinked {
        account: name(account),
        issuer: identity.issuer().into(),
        subject: identity.subject().into(),
    }
}

fn session(byte: u8, account: &str, with_provider: bool) -> Session {
    Session {
        key: digest(byte),
        account: name(account),
        created_at: at(1),
        used_at: at(1),
        expires_at: at(1000),
        address: "192.0.2.7".into(),
        agent: "Browser".into(),
        with_provider,
    }
}

fn waiting(byte: u8, expires: i64) -> ProviderSignIn {
    ProviderSignIn { key: digest(byte), next: "/scans?status=failed&x='\"".into(), expires_at: at(expires) }
}

/// The name and the identity must both be free.
pub async fn an_account_is_created_with_its_identity_or_not_at_all<H: StoreHarness>(world: World<H>) {
    assert_eq!(create(&world, "ana", "1").await, LinkResult::Linked);
    assert_eq!(of(&world, "ana").await, Some(linked("ana", "1", 3)));
    assert_eq!(account_of(&world, "1").await, Some(name("ana")));
    let read = world.store.account(&name("ana")).await.unwrap().unwrap();
    assert_eq!((read.kind, read.has_password, read.created_at), (AccountKind::User, false, at(3)));
    assert_eq!(create(&world, "ana", "2").await, LinkResult::AccountTaken);
    assert_eq!(create(&world, "ben", "1").await, LinkResult::IdentityTaken);
    assert_eq!((account_of(&world, "2").await, of(&world, "ben").await), (None, None));
    assert_eq!(world.store.account(&name("ben")).await.unwrap(), None);
    let created = DomainEvent::AccountCreated { account: name("ana"), kind: AccountKind::User, role: None };
    assert_eq!(audited(&world).await, [created, linked_event("ana", "1")]);
}

/// The issuer and the subject are compared byte by byte.
pub async fn an_identity_is_linked_to_one_account_and_an_account_to_one_identity<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    let program = account("ci", AccountKind::Service);
    assert!(world.store.create_account(program, at(0), &Principal::System).await.unwrap());
    assert_eq!((of(&world, "ana").await, account_of(&world, "a").await), (None, None));
    assert_eq!(link(&world, "ana", "a").await, LinkResult::Linked);
    assert_eq!(link(&world, "ana", "a").await, LinkResult::Linked, "it is so already");
    assert_eq!(link(&world, "ana", "b").await, LinkResult::AccountTaken);
    assert_eq!(link(&world, "ben", "a").await, LinkResult::IdentityTaken);
    assert_eq!(link(&world, "nobody", "c").await, LinkResult::NoAccount);
    assert_eq!(link(&world, "ci", "c").await, LinkResult::NoAccount, "a program has no identity");
    assert_eq!(of(&world, "ana").await, Some(linked("ana", "a", 7)));
    let other_issuer = ProviderIdentity::new("https://id.example/realms/tea", identity("a").subject()).unwrap();
    for other in [identity("A"), other_issuer] {
        assert_eq!(world.store.account_of_identity(&other).await.unwrap(), None, "{other}");
    }
    assert_eq!(link(&world, "ben", "A").await, LinkResult::Linked);
    assert_eq!(audited(&world).await, [linked_event("ana", "a"), linked_event("ben", "A")]);
}

/// Both writers see a free identity.
pub async fn two_accounts_that_get_one_identity_at_once_do_not_share_it<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    let results = tokio::join!(link(&world, "ana", "1"), link(&world, "ben", "1"), create(&world, "cy", "1"));
    let results = [results.0, results.1, results.2];
    assert_eq!(results.iter().filter(|result| **result == LinkResult::Linked).count(), 1, "{results:?}");
    let mut with_identity = Vec::new();
    for account in ["ana", "ben", "cy"] {
        with_identity.extend(of(&world, account).await);
    }
    assert_eq!(with_identity.len(), 1);
    assert_eq!(account_of(&world, "1").await, Some(with_identity[0].account.clone()));
    let results = tokio::join!(create(&world, "di", "2"), create(&world, "di", "3"));
    let taken = [results.0, results.1].iter().filter(|result| **result == LinkResult::AccountTaken).count();
    assert_eq!(taken, 1, "{results:?}");
}

/// Also the pending sign-ins end.
pub async fn an_unlinked_identity_ends_the_sessions_and_can_be_linked_again<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    link(&world, "ana", "1").await;
    world.store.create_session(session(1, "ana", true)).await.unwrap();
    world.store.create_session(session(2, "ben", false)).await.unwrap();
    let pending = PendingSignIn { key: digest(3), account: name("ana"), expires_at: at(300), tries: 0 };
    world.store.create_pending_sign_in(pending).await.unwrap();
    assert!(world.store.unlink_identity(&name("ana"), &boss()).await.unwrap());
    assert_eq!((of(&world, "ana").await, account_of(&world, "1").await), (None, None));
    assert_eq!(world.store.sessions(&name("ana")).await.unwrap(), []);
    assert_eq!(world.store.sessions(&name("ben")).await.unwrap().len(), 1);
    assert_eq!(world.store.pending_sign_in(digest(3), at(1)).await.unwrap(), None);
    assert!(!world.store.unlink_identity(&name("ana"), &boss()).await.unwrap());
    assert!(!world.store.unlink_identity(&name("nobody"), &boss()).await.unwrap());
    assert_eq!(link(&world, "ben", "1").await, LinkResult::Linked);
    let unlinked = DomainEvent::IdentityUnlinked { account: name("ana") };
    assert_eq!(audited(&world).await, [linked_event("ana", "1"), unlinked, linked_event("ben", "1")]);
}

/// Its deletion has no entry in the audit log.
pub async fn a_sign_in_that_waits_is_taken_once<H: StoreHarness>(world: World<H>) {
    world.store.create_provider_sign_in(waiting(1, 100)).await.unwrap();
    world.store.create_provider_sign_in(waiting(2, 100)).await.unwrap();
    assert_eq!(world.store.take_provider_sign_in(digest(1), at(1)).await.unwrap(), Some(waiting(1, 100)));
    assert_eq!(world.store.take_provider_sign_in(digest(1), at(1)).await.unwrap(), None);
    assert_eq!(world.store.take_provider_sign_in(digest(3), at(1)).await.unwrap(), None);
    assert_eq!(world.store.take_provider_sign_in(digest(2), at(1)).await.unwrap(), Some(waiting(2, 100)));
    assert_eq!(world.store.audit(&AuditQuery::newest(9)).await.unwrap().entries, []);
}

/// A callback that is sent twice starts one session at most.
pub async fn of_two_takes_at_once_one_gets_the_sign_in<H: StoreHarness>(world: World<H>) {
    world.store.create_provider_sign_in(waiting(1, 100)).await.unwrap();
    let take = || world.store.take_provider_sign_in(digest(1), at(1));
    let (one, two, three) = tokio::join!(take(), take(), take());
    let taken = [one.unwrap(), two.unwrap(), three.unwrap()];
    assert_eq!(taken.iter().flatten().count(), 1, "{taken:?}");
}

/// An expired one is not returned, also before its deletion.
pub async fn sign_ins_that_wait_expire_and_are_deleted<H: StoreHarness>(world: World<H>) {
    for (byte, expires) in [(1, 50), (2, 50), (3, 100)] {
        world.store.create_provider_sign_in(waiting(byte, expires)).await.unwrap();
    }
    assert_eq!(world.store.take_provider_sign_in(digest(1), at(50)).await.unwrap(), None);
    assert_eq!(world.store.delete_expired(at(50), at(0)).await.unwrap(), 0, "the number is that of sessions");
    assert_eq!(world.store.take_provider_sign_in(digest(2), at(49)).await.unwrap(), None);
    assert_eq!(world.store.take_provider_sign_in(digest(3), at(99)).await.unwrap(), Some(waiting(3, 100)));
}

/// The audit log has it, too.
pub async fn a_session_remembers_that_it_began_with_the_provider<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    for (byte, with_provider) in [(1, true), (2, false)] {
        world.store.create_session(session(byte, "ana", with_provider)).await.unwrap();
        let (read, _) = world.store.session(digest(byte)).await.unwrap().unwrap();
        assert_eq!(read, session(byte, "ana", with_provider));
    }
    let entries = world.store.audit(&AuditQuery::newest(2)).await.unwrap().entries;
    let actions: Vec<&str> = entries.iter().map(|entry| entry.event.action()).collect();
    assert_eq!(actions, ["signed_in", "signed_in_with_provider"]);
}

/// A store that is opened again has the identities.
pub async fn identities_outlive_the_process<H: StoreHarness>(world: World<H>) {
    create(&world, "ana", "1").await;
    world.store.create_provider_sign_in(waiting(1, 100)).await.unwrap();
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the store is in use") };
    let store = harness.reopen(store).await;
    assert_eq!(store.identity_of(&name("ana")).await.unwrap(), Some(linked("ana", "1", 3)));
    assert_eq!(store.account_of_identity(&identity("1")).await.unwrap(), Some(name("ana")));
    assert_eq!(store.take_provider_sign_in(digest(1), at(1)).await.unwrap(), Some(waiting(1, 100)));
}
