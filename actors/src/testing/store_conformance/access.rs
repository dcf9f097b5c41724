//! The contract of accounts, projects and credentials.

use jiff::Timestamp;

use super::*;
use crate::model::{
    Account, AccountChange, AccountChanged, AccountKind, AccountName, AuditQuery, DomainEvent, LinkPurpose,
    MemberChanged, NewAccount, OneTimeLink, Project, ProjectRole, SecretDigest, ServerRole, Session, SessionRenewal,
    SetUpResult, TokenId, TokenRecord, TokenScope,
};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! access_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; access;
            an_account_is_created_once_and_read_as_it_was_written
            accounts_are_returned_by_name
            a_change_of_an_account_ends_its_sessions_unless_it_enables_it
            the_last_active_administrator_is_neither_disabled_nor_demoted
            only_an_active_administrator_with_a_password_counts_as_one
            two_changes_that_meet_leave_an_administrator
            a_new_password_ends_the_other_sessions_and_deletes_the_links
            a_rehash_replaces_only_the_hash_that_it_expects
            a_project_is_created_once_and_the_default_one_always_exists
            a_membership_is_set_changed_and_ended
            a_session_is_read_with_its_account
            a_use_is_noted_unless_a_later_one_is
            sessions_and_tokens_are_returned_newest_first
            sessions_end_alone_or_all_but_one
            credentials_that_expired_are_deleted
            a_token_is_read_with_its_account_and_revoked_once
            a_link_is_returned_until_it_expires
            a_link_for_the_set_up_replaces_the_earlier_one
            a_link_for_a_password_works_once
            a_link_for_the_set_up_works_once
            a_link_that_is_used_twice_at_once_works_for_one
            an_event_that_changed_no_row_is_recorded
            accounts_and_credentials_outlive_the_process
        }
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn project(text: &str) -> ProjectId {
    text.parse().unwrap()
}

const fn digest(byte: u8) -> SecretDigest {
    SecretDigest::new([byte; 32])
}

fn boss() -> Principal {
    Principal::User(name("boss"))
}

fn user(text: &str, server_role: Option<ServerRole>) -> NewAccount {
    NewAccount {
        name: name(text),
        kind: AccountKind::User,
        server_role,
        password_hash: Some(format!("$hash of {text}")),
        mail: None,
        memberships: BTreeMap::new(),
    }
}

fn session(byte: u8, account: &str, created: i64) -> Session {
    Session {
        key: digest(byte),
        account: name(account),
        created_at: at(created),
        used_at: at(created),
        expires_at: at(1000),
        address: "192.0.2.7".into(),
        agent: "Browser \"1\"".into(),
        with_provider: false,
    }
}

fn renewal(old: u8, new: u8) -> SessionRenewal {
    SessionRenewal { old: digest(old), new: digest(new) }
}

fn token(id: &str, account: &str, created: i64) -> TokenRecord {
    TokenRecord {
        id: id.parse().unwrap(),
        digest: digest(u8::try_from(id.len()).unwrap()),
        account: name(account),
        label: "build 'main'".into(),
        scope: TokenScope { role: ProjectRole::Scanner, project: Some(project("team")), has_server_role: true },
        networks: vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::7".parse().unwrap()],
        created_at: at(created),
        expires_at: at(1000),
        used_at: None,
    }
}

fn password_link(byte: u8, account: &str) -> OneTimeLink {
    OneTimeLink { key: digest(byte), purpose: LinkPurpose::SetPassword(name(account)), expires_at: at(1000) }
}

fn set_up_link(byte: u8) -> OneTimeLink {
    OneTimeLink { key: digest(byte), purpose: LinkPurpose::SetUp, expires_at: at(1000) }
}

/// Creates accounts, and forgets how.
async fn with_accounts<H: StoreHarness>(world: &World<H>, accounts: &[(&str, Option<ServerRole>)]) {
    for (name, role) in accounts {
        assert!(world.store.create_account(user(name, *role), at(0), &Principal::System).await.unwrap());
    }
}

/// Returns what was audited, oldest first, without the entries of the system.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<(DomainEvent, Principal)> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    let of = entries.into_iter().filter(|entry| entry.principal != Principal::System);
    of.map(|entry| (entry.event, entry.principal)).collect()
}

async fn get<H: StoreHarness>(world: &World<H>, account: &str) -> Account {
    world.store.account(&name(account)).await.unwrap().unwrap()
}

/// Returns the sessions of an account, by the bytes of their keys.
async fn keys<H: StoreHarness>(world: &World<H>, account: &str) -> BTreeSet<u8> {
    world.store.sessions(&name(account)).await.unwrap().iter().map(|session| session.key.as_bytes()[0]).collect()
}

async fn sign_in<H: StoreHarness>(world: &World<H>, account: &str, keys: &[u8]) {
    for key in keys {
        world.store.create_session(session(*key, account, 0)).await.unwrap();
    }
}

async fn has_link<H: StoreHarness>(world: &World<H>, byte: u8) -> bool {
    world.store.link(digest(byte), at(1)).await.unwrap().is_some()
}

/// A name that is taken changes nothing, and writes no entry of the audit log.
pub async fn an_account_is_created_once_and_read_as_it_was_written<H: StoreHarness>(world: World<H>) {
    let memberships =
        BTreeMap::from([(ProjectId::default(), ProjectRole::Viewer), (project("team"), ProjectRole::Owner)]);
    let ana = NewAccount { memberships: memberships.clone(), ..user("ana", Some(ServerRole::Auditor)) };
    assert!(world.store.create_account(ana, at(5), &boss()).await.unwrap());
    let expected = Account {
        name: name("ana"),
        kind: AccountKind::User,
        server_role: Some(ServerRole::Auditor),
        is_disabled: false,
        has_password: true,
        has_second_factor: false,
        mail: None,
        created_at: at(5),
        memberships,
    };
    assert_eq!(get(&world, "ana").await, expected);
    let other = NewAccount { kind: AccountKind::Service, password_hash: None, ..user("ana", None) };
    assert!(!world.store.create_account(other, at(6), &boss()).await.unwrap());
    assert_eq!(get(&world, "ana").await, expected);
    assert_eq!(world.store.password_hash(&name("ana")).await.unwrap().as_deref(), Some("$hash of ana"));
    let event =
        DomainEvent::AccountCreated { account: name("ana"), kind: AccountKind::User, role: Some(ServerRole::Auditor) };
    assert_eq!(audited(&world).await, [(event, boss())]);
    assert_eq!(world.store.account(&name("bob")).await.unwrap(), None);
    assert_eq!(world.store.password_hash(&name("bob")).await.unwrap(), None);
}

/// Each account has its own memberships, also beside one whose name begins with its name.
pub async fn accounts_are_returned_by_name<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.accounts().await.unwrap(), []);
    let names = ["ana+ci", "bob", "ana", "0", "ana-2"];
    for text in names {
        let account = NewAccount {
            kind: AccountKind::Service,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::from([(project(&text.replace('+', "")), ProjectRole::Operator)]),
            ..user(text, None)
        };
        assert!(world.store.create_account(account, at(0), &boss()).await.unwrap());
    }
    let accounts = world.store.accounts().await.unwrap();
    let mut sorted: Vec<AccountName> = names.into_iter().map(name).collect();
    sorted.sort();
    assert_eq!(accounts.iter().map(|account| account.name.clone()).collect::<Vec<_>>(), sorted);
    for account in accounts {
        assert_eq!((account.kind, account.has_password), (AccountKind::Service, false));
        let own = project(&account.name.as_str().replace('+', ""));
        assert_eq!(account.memberships, BTreeMap::from([(own, ProjectRole::Operator)]));
        assert_eq!(world.store.account(&account.name).await.unwrap(), Some(account));
    }
}

/// A change to the present state changes nothing, and writes no entry of the audit log.
pub async fn a_change_of_an_account_ends_its_sessions_unless_it_enables_it<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None), ("bob", None)]).await;
    sign_in(&world, "bob", &[9]).await;
    let ana = name("ana");
    let role = AccountChange::SetServerRole;
    let mut expected: Vec<DomainEvent> = Vec::new();
    for (key, change, is_disabled, server_role, event) in [
        (1, AccountChange::Disable, true, None, Some(DomainEvent::AccountDisabled { account: ana.clone() })),
        (2, AccountChange::Disable, true, None, None),
        (2, AccountChange::Enable, false, None, Some(DomainEvent::AccountEnabled { account: ana.clone() })),
        (2, AccountChange::Enable, false, None, None),
        (
            2,
            role(Some(ServerRole::Auditor)),
            false,
            Some(ServerRole::Auditor),
            Some(DomainEvent::ServerRoleChanged { account: ana.clone(), role: Some(ServerRole::Auditor) }),
        ),
        (3, role(Some(ServerRole::Auditor)), false, Some(ServerRole::Auditor), None),
        (3, role(None), false, None, Some(DomainEvent::ServerRoleChanged { account: ana.clone(), role: None })),
    ] {
        sign_in(&world, "ana", &[key]).await;
        assert_eq!(world.store.change_account(&ana, change, &boss()).await.unwrap(), AccountChanged::Changed);
        let account = get(&world, "ana").await;
        assert_eq!((account.is_disabled, account.server_role), (is_disabled, server_role), "{change:?}");
        let stays = event.is_none() || change == AccountChange::Enable;
        assert_eq!(keys(&world, "ana").await.contains(&key), stays, "{change:?}");
        expected.extend(event);
    }
    assert_eq!(keys(&world, "bob").await, BTreeSet::from([9]), "another account is not affected");
    let by_boss: Vec<DomainEvent> =
        audited(&world).await.into_iter().filter(|(_, by)| *by == boss()).map(|(event, _)| event).collect();
    assert_eq!(by_boss, expected);
    let missing = world.store.change_account(&name("eve"), AccountChange::Disable, &boss()).await.unwrap();
    assert_eq!(missing, AccountChanged::Missing);
}

/// A disabled administrator, an auditor and a service account do not count.
pub async fn the_last_active_administrator_is_neither_disabled_nor_demoted<H: StoreHarness>(world: World<H>) {
    let admin = Some(ServerRole::Admin);
    with_accounts(&world, &[("ana", admin), ("bob", admin), ("eve", Some(ServerRole::Auditor))]).await;
    let service = NewAccount { kind: AccountKind::Service, ..user("ci", admin) };
    assert!(world.store.create_account(service, at(0), &Principal::System).await.unwrap());
    let change = async |account: &str, change| {
        world.store.change_account(&name(account), change, &Principal::System).await.unwrap()
    };
    assert_eq!(change("ci", AccountChange::SetServerRole(None)).await, AccountChanged::Changed);
    assert_eq!(change("ci", AccountChange::SetServerRole(admin)).await, AccountChanged::Changed);
    assert_eq!(change("bob", AccountChange::Disable).await, AccountChanged::Changed);
    sign_in(&world, "ana", &[1]).await;
    let before = (get(&world, "ana").await, audited(&world).await);
    for refused in [
        AccountChange::Disable,
        AccountChange::SetServerRole(None),
        AccountChange::SetServerRole(Some(ServerRole::Auditor)),
    ] {
        assert_eq!(change("ana", refused).await, AccountChanged::LastAdmin, "{refused:?}");
    }
    assert_eq!((get(&world, "ana").await, audited(&world).await), before);
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([1]));
    assert_eq!(change("ana", AccountChange::SetServerRole(admin)).await, AccountChanged::Changed);
    assert_eq!(change("bob", AccountChange::Enable).await, AccountChanged::Changed);
    assert_eq!(change("ana", AccountChange::Disable).await, AccountChanged::Changed);
}

/// Each of the two changes would leave the other administrator.
pub async fn two_changes_that_meet_leave_an_administrator<H: StoreHarness>(world: World<H>) {
    let admin = Some(ServerRole::Admin);
    with_accounts(&world, &[("ana", admin), ("bob", admin)]).await;
    let (ana, bob, by) = (name("ana"), name("bob"), boss());
    for _ in 0..5 {
        let (one, other) = tokio::join!(
            world.store.change_account(&ana, AccountChange::Disable, &by),
            world.store.change_account(&bob, AccountChange::SetServerRole(None), &by),
        );
        let mut answers = [one.unwrap(), other.unwrap()].map(|answer| format!("{answer:?}"));
        answers.sort();
        assert_eq!(answers, ["Changed", "LastAdmin"]);
        let active = world.store.accounts().await.unwrap().iter().filter(|account| account.is_active_admin()).count();
        assert_eq!(active, 1);
        for (account, change) in [(&ana, AccountChange::Enable), (&bob, AccountChange::SetServerRole(admin))] {
            world.store.change_account(account, change, &by).await.unwrap();
        }
    }
}

/// With any other account, the server still needs its first administrator.
pub async fn only_an_active_administrator_with_a_password_counts_as_one<H: StoreHarness>(world: World<H>) {
    let admin = Some(ServerRole::Admin);
    let has_one = async || world.store.has_admin_with_password().await.unwrap();
    assert!(!has_one().await);
    with_accounts(&world, &[("bob", None), ("eve", Some(ServerRole::Auditor))]).await;
    let service = NewAccount { kind: AccountKind::Service, ..user("ci", admin) };
    let without = NewAccount { password_hash: None, ..user("ana", admin) };
    for account in [service, without] {
        assert!(world.store.create_account(account, at(0), &Principal::System).await.unwrap());
    }
    assert!(!has_one().await);
    let change = async |change| world.store.change_account(&name("bob"), change, &Principal::System).await.unwrap();
    for (made, expected) in [
        (AccountChange::SetServerRole(admin), true),
        (AccountChange::Disable, false),
        (AccountChange::Enable, true),
        (AccountChange::SetServerRole(None), false),
    ] {
        assert_eq!(change(made).await, AccountChanged::Changed);
        assert_eq!(has_one().await, expected, "{made:?}");
    }
    assert!(world.store.set_password(&name("ana"), "$new", None, &boss()).await.unwrap());
    assert!(has_one().await);
}

/// A session that the caller keeps gets its new secret, with the times that it had; a session of
/// another account is not taken.
pub async fn a_new_password_ends_the_other_sessions_and_deletes_the_links<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None), ("bob", None)]).await;
    sign_in(&world, "ana", &[1, 2]).await;
    sign_in(&world, "bob", &[9]).await;
    for link in [password_link(5, "ana"), password_link(6, "bob"), set_up_link(7)] {
        world.store.create_link(link, &Principal::System).await.unwrap();
    }
    let ana = name("ana");
    assert!(world.store.set_password(&ana, "$new", Some(renewal(2, 12)), &boss()).await.unwrap());
    assert_eq!(world.store.password_hash(&ana).await.unwrap().as_deref(), Some("$new"));
    assert_eq!((keys(&world, "ana").await, keys(&world, "bob").await), (BTreeSet::from([12]), BTreeSet::from([9])));
    assert_eq!((has_link(&world, 5).await, has_link(&world, 6).await, has_link(&world, 7).await), (false, true, true));
    let (renewed, account) = world.store.session(digest(12)).await.unwrap().unwrap();
    assert_eq!((renewed, account.name), (Session { key: digest(12), ..session(2, "ana", 0) }, ana.clone()));
    for (hash, renewal) in [("$newer", Some(renewal(9, 19))), ("$newest", None)] {
        sign_in(&world, "ana", &[3]).await;
        assert!(world.store.set_password(&ana, hash, renewal, &boss()).await.unwrap());
        assert_eq!((keys(&world, "ana").await, keys(&world, "bob").await), (BTreeSet::new(), BTreeSet::from([9])));
    }
    assert!(!world.store.set_password(&name("eve"), "$new", None, &boss()).await.unwrap());
    let changed = (DomainEvent::PasswordChanged { account: ana }, boss());
    assert_eq!(audited(&world).await.into_iter().filter(|entry| *entry == changed).count(), 3);
}

/// A hash that was replaced meanwhile stays, and no entry of the audit log is written.
pub async fn a_rehash_replaces_only_the_hash_that_it_expects<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    sign_in(&world, "ana", &[1]).await;
    let (ana, before) = (name("ana"), audited(&world).await);
    world.store.rehash_password(&ana, "$another", "$new").await.unwrap();
    assert_eq!(world.store.password_hash(&ana).await.unwrap().as_deref(), Some("$hash of ana"));
    world.store.rehash_password(&ana, "$hash of ana", "$new").await.unwrap();
    assert_eq!(world.store.password_hash(&ana).await.unwrap().as_deref(), Some("$new"));
    assert_eq!((keys(&world, "ana").await, audited(&world).await), (BTreeSet::from([1]), before));
}

/// Projects are returned by id. An id that is taken changes nothing.
pub async fn a_project_is_created_once_and_the_default_one_always_exists<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.projects().await.unwrap(), [Project::default()]);
    let of = |id: &str, title: &str| Project { id: project(id), title: title.into(), created_at: at(3) };
    for id in ["team", "alpha"] {
        assert!(world.store.create_project(of(id, "A \"title\""), &boss()).await.unwrap());
    }
    for id in ["team", "default"] {
        assert!(!world.store.create_project(of(id, "another"), &boss()).await.unwrap(), "{id}");
    }
    let expected = [of("alpha", "A \"title\""), Project::default(), of("team", "A \"title\"")];
    assert_eq!(world.store.projects().await.unwrap(), expected);
    let created = |id: &str| (DomainEvent::ProjectCreated { project: project(id) }, boss());
    assert_eq!(audited(&world).await, [created("team"), created("alpha")]);
}

/// A membership that is already as requested writes no entry of the audit log.
pub async fn a_membership_is_set_changed_and_ended<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    let team = Project { id: project("team"), title: "Team".into(), created_at: at(0) };
    assert!(world.store.create_project(team, &Principal::System).await.unwrap());
    let ana = name("ana");
    let mut expected = Vec::new();
    for (id, role, is_change) in [
        ("team", None, false),
        ("team", Some(ProjectRole::Viewer), true),
        ("default", Some(ProjectRole::Owner), true),
        ("team", Some(ProjectRole::Operator), true),
        ("team", Some(ProjectRole::Operator), false),
        ("team", None, true),
        ("team", None, false),
    ] {
        let id = project(id);
        assert_eq!(world.store.set_member(&id, &ana, role, &boss()).await.unwrap(), MemberChanged::Changed);
        assert_eq!(get(&world, "ana").await.memberships.get(&id).copied(), role);
        if is_change {
            expected.push((DomainEvent::MemberChanged { project: id, account: ana.clone(), role }, boss()));
        }
    }
    let left = BTreeMap::from([(ProjectId::default(), ProjectRole::Owner)]);
    assert_eq!(get(&world, "ana").await.memberships, left);
    let role = Some(ProjectRole::Viewer);
    let refused = world.store.set_member(&project("none"), &ana, role, &boss()).await.unwrap();
    assert_eq!(refused, MemberChanged::NoProject);
    let refused = world.store.set_member(&project("team"), &name("eve"), role, &boss()).await.unwrap();
    assert_eq!(refused, MemberChanged::NoAccount);
    assert_eq!(audited(&world).await, expected);
}

/// The account is as it is now. The entry of the audit log says that the account signed in.
pub async fn a_session_is_read_with_its_account<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", Some(ServerRole::Auditor))]).await;
    let one = session(1, "ana", 0);
    world.store.create_session(one.clone()).await.unwrap();
    let role = Some(ProjectRole::Scanner);
    world.store.set_member(&ProjectId::default(), &name("ana"), role, &Principal::System).await.unwrap();
    let account = get(&world, "ana").await;
    assert_eq!(account.memberships.len(), 1);
    assert_eq!(world.store.session(digest(1)).await.unwrap(), Some((one, account)));
    assert_eq!(world.store.session(digest(2)).await.unwrap(), None);
    let event = DomainEvent::SignedIn { account: name("ana"), address: "192.0.2.7".into() };
    assert_eq!(audited(&world).await, [(event, Principal::User(name("ana")))]);
}

/// The uses of sessions and of tokens. The use of a credential that is gone changes nothing.
pub async fn a_use_is_noted_unless_a_later_one_is<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    sign_in(&world, "ana", &[1]).await;
    let record = token("a1B2c3D4e5", "ana", 0);
    assert!(world.store.create_token(record.clone(), &Principal::System).await.unwrap());
    for (used, noted) in [(7, 7), (5, 7), (9, 9)] {
        world.store.use_session(digest(1), at(used)).await.unwrap();
        world.store.use_token(&record.id, at(used)).await.unwrap();
        assert_eq!(world.store.session(digest(1)).await.unwrap().unwrap().0.used_at, at(noted));
        assert_eq!(world.store.token(&record.id).await.unwrap().unwrap().0.used_at, Some(at(noted)));
    }
    let gone: TokenId = "0000000000".parse().unwrap();
    world.store.use_session(digest(2), at(9)).await.unwrap();
    world.store.use_token(&gone, at(9)).await.unwrap();
    assert_eq!(world.store.session(digest(2)).await.unwrap(), None);
    assert_eq!(world.store.token(&gone).await.unwrap(), None);
}

/// Those of other accounts are not among them.
pub async fn sessions_and_tokens_are_returned_newest_first<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None), ("bob", None)]).await;
    let sessions = [session(1, "ana", 5), session(2, "ana", 7), session(3, "ana", 5)];
    let tokens = [token("aaaaaaaaaa", "ana", 5), token("bbbbbbbbbb", "ana", 7), token("cccccccccc", "ana", 5)];
    for one in sessions.iter().cloned().chain([session(4, "bob", 6)]) {
        world.store.create_session(one).await.unwrap();
    }
    for one in tokens.iter().cloned().chain([token("dddddddddd", "bob", 6)]) {
        assert!(world.store.create_token(one, &Principal::System).await.unwrap());
    }
    let order = [1, 0, 2];
    assert_eq!(world.store.sessions(&name("ana")).await.unwrap(), order.map(|at| sessions[at].clone()));
    assert_eq!(world.store.tokens(&name("ana")).await.unwrap(), order.map(|at| tokens[at].clone()));
    assert_eq!(world.store.sessions(&name("eve")).await.unwrap(), []);
    assert_eq!(world.store.tokens(&name("eve")).await.unwrap(), []);
}

/// No session is no change, and writes no entry of the audit log.
pub async fn sessions_end_alone_or_all_but_one<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None), ("bob", None)]).await;
    sign_in(&world, "ana", &[1, 2, 3, 4]).await;
    sign_in(&world, "bob", &[9]).await;
    let (ana, before) = (name("ana"), audited(&world).await.len());
    let mut expected = Vec::new();
    for (only, keep, count, left) in [
        (Some(2), None, 1, vec![1, 3, 4]),
        (Some(2), None, 0, vec![1, 3, 4]),
        (Some(9), None, 0, vec![1, 3, 4]),
        (Some(3), Some(3), 0, vec![1, 3, 4]),
        (None, Some(3), 2, vec![3]),
        (None, None, 1, vec![]),
        (None, None, 0, vec![]),
    ] {
        let ended = world.store.end_sessions(&ana, only.map(digest), keep.map(digest), &boss()).await.unwrap();
        assert_eq!((ended, keys(&world, "ana").await), (count, left.into_iter().collect()), "{only:?} {keep:?}");
        if count > 0 {
            expected.push((DomainEvent::SessionsEnded { account: ana.clone(), count }, boss()));
        }
    }
    assert_eq!(keys(&world, "bob").await, BTreeSet::from([9]));
    assert_eq!(audited(&world).await[before..], expected);
}

/// Expired sessions, tokens and links, and sessions that were not used for long.
pub async fn credentials_that_expired_are_deleted<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    let of = |key, used, expires| Session { used_at: at(used), expires_at: at(expires), ..session(key, "ana", 0) };
    for one in [of(1, 60, 100), of(2, 60, 101), of(3, 49, 200), of(4, 50, 200), of(5, 49, 100)] {
        world.store.create_session(one).await.unwrap();
    }
    for (id, expires) in [("aaaaaaaaaa", 100), ("bbbbbbbbbb", 101)] {
        let one = TokenRecord { expires_at: at(expires), ..token(id, "ana", 0) };
        assert!(world.store.create_token(one, &Principal::System).await.unwrap());
    }
    for (key, expires) in [(1, 100), (2, 101)] {
        let link = OneTimeLink { expires_at: at(expires), ..password_link(key, "ana") };
        world.store.create_link(link, &Principal::System).await.unwrap();
    }
    let before = audited(&world).await;
    assert_eq!(world.store.delete_expired(at(100), at(50)).await.unwrap(), 3);
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([2, 4]));
    let tokens = world.store.tokens(&name("ana")).await.unwrap();
    assert_eq!(tokens.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), ["bbbbbbbbbb"]);
    assert_eq!((has_link(&world, 1).await, has_link(&world, 2).await), (false, true));
    assert_eq!(world.store.delete_expired(at(100), at(50)).await.unwrap(), 0);
    assert_eq!(audited(&world).await, before);
}

/// A token of another account is not revoked.
pub async fn a_token_is_read_with_its_account_and_revoked_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None), ("bob", None)]).await;
    let scope = TokenScope { role: ProjectRole::Owner, project: None, has_server_role: false };
    let record = token("a1B2c3D4e5", "ana", 0);
    let wide = TokenRecord { scope, networks: Vec::new(), used_at: Some(at(2)), ..token("zzzzzzzzzz", "ana", 1) };
    for one in [&record, &wide] {
        assert!(world.store.create_token(one.clone(), &boss()).await.unwrap());
        let account = get(&world, "ana").await;
        assert_eq!(world.store.token(&one.id).await.unwrap(), Some((one.clone(), account)));
    }
    assert!(!world.store.create_token(token("eeeeeeeeee", "eve", 0), &boss()).await.unwrap());
    assert_eq!(world.store.token(&"eeeeeeeeee".parse().unwrap()).await.unwrap(), None);
    assert!(!world.store.revoke_token(&name("bob"), &record.id, &boss()).await.unwrap());
    assert!(world.store.revoke_token(&name("ana"), &record.id, &boss()).await.unwrap());
    assert!(!world.store.revoke_token(&name("ana"), &record.id, &boss()).await.unwrap());
    assert_eq!(world.store.token(&record.id).await.unwrap(), None);
    assert_eq!(world.store.tokens(&name("ana")).await.unwrap(), std::slice::from_ref(&wide));
    let created = |token: &TokenRecord| DomainEvent::TokenCreated { account: name("ana"), token: token.id.clone() };
    let revoked = DomainEvent::TokenRevoked { account: name("ana"), token: record.id.clone() };
    let expected = [created(&record), created(&wide), revoked].map(|event| (event, boss()));
    assert_eq!(audited(&world).await, expected);
}

/// Only a link for a password has an entry in the audit log.
pub async fn a_link_is_returned_until_it_expires<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    for link in [password_link(1, "ana"), set_up_link(2)] {
        world.store.create_link(link.clone(), &boss()).await.unwrap();
        assert_eq!(world.store.link(link.key, at(999)).await.unwrap(), Some(link.clone()));
        assert_eq!(world.store.link(link.key, at(1000)).await.unwrap(), None);
    }
    assert_eq!(world.store.link(digest(3), at(0)).await.unwrap(), None);
    assert_eq!(audited(&world).await, [(DomainEvent::PasswordLinkCreated { account: name("ana") }, boss())]);
}

/// Also of two links that are made at once, one is left. Links for passwords stay.
pub async fn a_link_for_the_set_up_replaces_the_earlier_one<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    world.store.create_link(password_link(9, "ana"), &boss()).await.unwrap();
    world.store.create_link(set_up_link(1), &boss()).await.unwrap();
    world.store.create_link(set_up_link(2), &boss()).await.unwrap();
    assert_eq!((has_link(&world, 1).await, has_link(&world, 2).await, has_link(&world, 9).await), (false, true, true));
    let by = boss();
    let (one, other) =
        tokio::join!(world.store.create_link(set_up_link(3), &by), world.store.create_link(set_up_link(4), &by));
    one.unwrap();
    other.unwrap();
    assert!(!has_link(&world, 2).await);
    assert_ne!(has_link(&world, 3).await, has_link(&world, 4).await);
}

/// It sets the password, ends the sessions of the account, and deletes its links.
pub async fn a_link_for_a_password_works_once<H: StoreHarness>(world: World<H>) {
    let new = NewAccount { password_hash: None, ..user("ana", None) };
    assert!(world.store.create_account(new, at(0), &Principal::System).await.unwrap());
    for link in [password_link(1, "ana"), password_link(2, "ana"), set_up_link(3)] {
        world.store.create_link(link, &Principal::System).await.unwrap();
    }
    sign_in(&world, "ana", &[7]).await;
    let before = audited(&world).await.len();
    let redeem =
        async |byte: u8, hash: &str, now| world.store.redeem_password_link(digest(byte), hash, at(now)).await.unwrap();
    assert_eq!(redeem(3, "$set-up", 1).await, None, "a link for the set-up sets no password");
    assert_eq!(redeem(1, "$late", 1000).await, None);
    assert!(!get(&world, "ana").await.has_password);
    assert_eq!(redeem(1, "$first", 1).await, Some(name("ana")));
    assert_eq!(redeem(1, "$again", 1).await, None);
    assert_eq!(redeem(2, "$other", 1).await, None);
    assert_eq!(world.store.password_hash(&name("ana")).await.unwrap().as_deref(), Some("$first"));
    assert!(get(&world, "ana").await.has_password);
    assert_eq!(keys(&world, "ana").await, BTreeSet::new());
    let event = DomainEvent::PasswordChanged { account: name("ana") };
    assert_eq!(audited(&world).await[before..], [(event, Principal::User(name("ana")))]);
}

/// It creates the account and deletes the link. A name that is taken leaves the link.
pub async fn a_link_for_the_set_up_works_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    for link in [set_up_link(1), password_link(2, "ana")] {
        world.store.create_link(link, &Principal::System).await.unwrap();
    }
    let redeem = async |byte: u8, text: &str, now| {
        let account = user(text, Some(ServerRole::Admin));
        world.store.redeem_setup_link(digest(byte), account, at(now)).await.unwrap()
    };
    assert_eq!(redeem(1, "boss", 1000).await, SetUpResult::NoLink);
    assert_eq!(redeem(2, "boss", 1).await, SetUpResult::NoLink, "a link for a password creates no account");
    assert_eq!(redeem(1, "ana", 1).await, SetUpResult::NameTaken);
    assert_eq!(redeem(1, "boss", 1).await, SetUpResult::Done);
    assert_eq!(redeem(1, "another", 1).await, SetUpResult::NoLink);
    assert_eq!(world.store.account(&name("another")).await.unwrap(), None);
    let account = get(&world, "boss").await;
    assert!(account.is_active_admin() && account.has_password);
    assert_eq!((account.created_at, get(&world, "ana").await.server_role), (at(1), None));
    let role = Some(ServerRole::Admin);
    let event = DomainEvent::AccountCreated { account: name("boss"), kind: AccountKind::User, role };
    assert_eq!(audited(&world).await, [(event, boss())]);
}

/// Two browsers use the same link at the same time.
pub async fn a_link_that_is_used_twice_at_once_works_for_one<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", None)]).await;
    for round in 0..4 {
        world.store.create_link(password_link(round, "ana"), &Principal::System).await.unwrap();
        let (one, other) = (format!("$one {round}"), format!("$other {round}"));
        let (first, second) = tokio::join!(
            world.store.redeem_password_link(digest(round), &one, at(1)),
            world.store.redeem_password_link(digest(round), &other, at(1)),
        );
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_ne!(first.is_some(), second.is_some(), "{first:?} {second:?}");
        let hash = world.store.password_hash(&name("ana")).await.unwrap().unwrap();
        assert_eq!(hash, if first.is_some() { one } else { other });

        world.store.create_link(set_up_link(100 + round), &Principal::System).await.unwrap();
        let account = |text: &str| user(&format!("{text}-{round}"), Some(ServerRole::Admin));
        let (first, second) = tokio::join!(
            world.store.redeem_setup_link(digest(100 + round), account("one"), at(1)),
            world.store.redeem_setup_link(digest(100 + round), account("other"), at(1)),
        );
        let mut answers = [first.unwrap(), second.unwrap()].map(|answer| format!("{answer:?}"));
        answers.sort();
        assert_eq!(answers, ["Done", "NoLink"]);
        let accounts = world.store.accounts().await.unwrap();
        assert_eq!(accounts.iter().filter(|account| account.is_active_admin()).count(), usize::from(round) + 1);
    }
}

/// With its scan, if it is about one; nothing waits for a consumer.
pub async fn an_event_that_changed_no_row_is_recorded<H: StoreHarness>(world: World<H>) {
    let denied = DomainEvent::AccessDenied { operation: "delete_scans".into(), project: None };
    world.store.record(denied.clone(), None, &Principal::Anonymous).await.unwrap();
    world.store.record(DomainEvent::FilesDownloaded, Some(ScanId(7)), &boss()).await.unwrap();
    let expected = [(denied, Principal::Anonymous), (DomainEvent::FilesDownloaded, boss())];
    assert_eq!(audited(&world).await, expected);
    let of_scan = world.store.audit(&AuditQuery::of_scan(ScanId(7), 9)).await.unwrap().entries;
    assert_eq!(of_scan.iter().map(|entry| entry.scan).collect::<Vec<_>>(), [Some(ScanId(7))]);
    assert_eq!(world.store.backlog().await.unwrap().waiting, 0);
}

/// A store that is closed and opened again has the same rows.
pub async fn accounts_and_credentials_outlive_the_process<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &[("ana", Some(ServerRole::Admin))]).await;
    let team = Project { id: project("team"), title: "Team".into(), created_at: at(0) };
    assert!(world.store.create_project(team, &boss()).await.unwrap());
    world.store.set_member(&project("team"), &name("ana"), Some(ProjectRole::Owner), &boss()).await.unwrap();
    sign_in(&world, "ana", &[1]).await;
    let record = token("a1B2c3D4e5", "ana", 0);
    assert!(world.store.create_token(record.clone(), &boss()).await.unwrap());
    world.store.create_link(password_link(2, "ana"), &boss()).await.unwrap();
    let before = (world.store.projects().await.unwrap(), world.store.session(digest(1)).await.unwrap());
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("nothing else uses the store") };
    let store = Arc::new(harness.reopen(store).await);
    let world = World { harness, store };
    assert_eq!((world.store.projects().await.unwrap(), world.store.session(digest(1)).await.unwrap()), before);
    assert_eq!(world.store.token(&record.id).await.unwrap().map(|(token, _)| token), Some(record));
    assert_eq!(world.store.password_hash(&name("ana")).await.unwrap().as_deref(), Some("$hash of ana"));
    assert!(has_link(&world, 2).await);
}
