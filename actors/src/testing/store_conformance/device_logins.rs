//! The contract of device logins.

use jiff::Timestamp;

use super::*;
use crate::model::{
    AccountChange, AccountKind, AccountName, AuditQuery, DeviceDecision, DeviceLogin, DeviceLoginCreated,
    DeviceLoginLimits, DeviceLoginState, DevicePolls, DeviceTokenRequest, DomainEvent, LinkResult, NewAccount,
    NewSecondFactor, ProjectRole, ProviderIdentity, SecretDigest, ServerRole, TokenRecord, TokenScope,
};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! device_logins_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; device_logins;
            a_device_login_is_read_as_it_was_written_until_it_expires
            device_logins_are_limited_by_network_and_in_total
            a_user_code_belongs_to_one_device_login
            a_poll_is_noted
            a_decision_about_a_device_login_is_made_once
            two_decisions_at_once_make_one
            a_device_login_that_was_allowed_gets_one_token
            two_polls_at_once_create_one_token
            a_disabled_account_gets_no_token
            a_change_that_ends_sessions_ends_what_the_account_allowed
            a_device_login_is_ended_before_its_time
            device_logins_that_expired_are_deleted
            device_logins_outlive_the_process
        }
    };
}

const LIMITS: DeviceLoginLimits = DeviceLoginLimits { of_network: 2, total: 3 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

const fn digest(byte: u8) -> SecretDigest {
    SecretDigest::new([byte; 32])
}

/// A device login with these codes, which is valid for 100 seconds.
fn login(byte: u8, created: i64) -> DeviceLogin {
    DeviceLogin {
        key: digest(byte),
        user_code: digest(byte + 100),
        label: "ana@\"laptop\" \u{e4}".into(),
        address: "192.0.2.7".into(),
        network: "192.0.2.0".into(),
        request: DeviceTokenRequest { role: ProjectRole::Operator, has_server_role: true, days: 30 },
        created_at: at(created),
        expires_at: at(created + 100),
        state: DeviceLoginState::Pending,
        polls: DevicePolls { last_at: None, interval: 5 },
    }
}

fn token(id: &str, byte: u8, account: &str, created: i64) -> TokenRecord {
    TokenRecord {
        id: id.parse().unwrap(),
        digest: digest(byte),
        account: name(account),
        label: "kastrel login on laptop".into(),
        scope: TokenScope { role: ProjectRole::Operator, project: None, has_server_role: false },
        networks: Vec::new(),
        created_at: at(created),
        expires_at: at(10_000),
        used_at: None,
    }
}

async fn with_accounts<H: StoreHarness>(world: &World<H>, accounts: &[&str]) {
    for account in accounts {
        let new = NewAccount {
            name: name(account),
            kind: AccountKind::User,
            server_role: None,
            password_hash: None,
            mail: None,
            memberships: BTreeMap::new(),
        };
        assert!(world.store.create_account(new, at(0), &Principal::System).await.unwrap());
    }
}

async fn create<H: StoreHarness>(world: &World<H>, login: DeviceLogin) {
    assert_eq!(world.store.create_device_login(login, LIMITS).await.unwrap(), DeviceLoginCreated::Created);
}

async fn decide<H: StoreHarness>(world: &World<H>, byte: u8, account: &str, decision: DeviceDecision) -> bool {
    let login = login(byte, 0);
    world.store.decide_device_login(&login, &name(account), decision, at(10)).await.unwrap()
}

async fn state<H: StoreHarness>(world: &World<H>, byte: u8) -> Option<DeviceLoginState> {
    world.store.device_login(digest(byte), at(20)).await.unwrap().map(|login| login.state)
}

/// Returns the entries of the audit log, oldest first, without those of accounts.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<(DomainEvent, Principal)> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    let of_logins = entries.into_iter().filter(|entry| entry.event.action() != "account_created");
    of_logins.map(|entry| (entry.event, entry.principal)).collect()
}

/// The creation has no entry in the audit log: nobody is known yet.
pub async fn a_device_login_is_read_as_it_was_written_until_it_expires<H: StoreHarness>(world: World<H>) {
    let (one, other) = (login(1, 0), DeviceLogin { label: String::new(), ..login(2, 5) });
    create(&world, one.clone()).await;
    create(&world, other.clone()).await;
    let read = async |byte, second| world.store.device_login(digest(byte), at(second)).await.unwrap();
    assert_eq!((read(1, 99).await, read(1, 100).await), (Some(one.clone()), None));
    assert_eq!((read(2, 99).await, read(9, 0).await), (Some(other), None));
    let of_code = async |byte, second| world.store.device_login_of_code(digest(byte), at(second)).await.unwrap();
    assert_eq!((of_code(101, 99).await, of_code(101, 100).await), (Some(one), None));
    assert_eq!(of_code(1, 0).await, None, "the device code is no user code");
    assert!(audited(&world).await.is_empty());
}

/// What has expired does not count.
pub async fn device_logins_are_limited_by_network_and_in_total<H: StoreHarness>(world: World<H>) {
    let elsewhere = |byte, created, network: &str| DeviceLogin { network: network.into(), ..login(byte, created) };
    create(&world, login(1, 0)).await;
    create(&world, login(2, 7)).await;
    let full = |second| DeviceLoginCreated::Full { free_at: at(second) };
    let try_one = async |login| world.store.create_device_login(login, LIMITS).await.unwrap();
    assert_eq!(try_one(login(3, 8)).await, full(100));
    create(&world, elsewhere(4, 8, "2001:db8::")).await;
    assert_eq!(try_one(elsewhere(5, 9, "198.51.100.0")).await, full(100));
    assert_eq!(state(&world, 3).await, None);
    create(&world, elsewhere(5, 100, "198.51.100.0")).await;
    assert_eq!(try_one(login(6, 100)).await, full(107), "one of three is of another network");
    create(&world, login(6, 107)).await;
}

/// Two machines never show the same code.
pub async fn a_user_code_belongs_to_one_device_login<H: StoreHarness>(world: World<H>) {
    create(&world, login(1, 0)).await;
    let same = DeviceLogin { user_code: digest(101), ..login(2, 1) };
    let created = world.store.create_device_login(same.clone(), LIMITS).await.unwrap();
    assert_eq!((created, state(&world, 2).await), (DeviceLoginCreated::CodeTaken, None));
    let later = DeviceLogin { created_at: at(100), expires_at: at(200), ..same };
    create(&world, later.clone()).await;
    assert_eq!(world.store.device_login_of_code(digest(101), at(150)).await.unwrap(), Some(later));
}

/// A poll of a device login that is gone has no effect.
pub async fn a_poll_is_noted<H: StoreHarness>(world: World<H>) {
    create(&world, login(1, 0)).await;
    create(&world, login(2, 0)).await;
    let polls = DevicePolls { last_at: Some(at(3)), interval: 10 };
    for byte in [1, 9] {
        world.store.note_device_poll(digest(byte), polls).await.unwrap();
    }
    let read = async |byte| world.store.device_login(digest(byte), at(4)).await.unwrap().map(|login| login.polls);
    assert_eq!(read(1).await, Some(polls));
    assert_eq!(read(2).await, Some(login(2, 0).polls));
    assert_eq!(read(9).await, None);
}

/// After it, the user code leads to nothing.
pub async fn a_decision_about_a_device_login_is_made_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    create(&world, login(1, 0)).await;
    create(&world, login(2, 0)).await;
    assert!(decide(&world, 1, "ana", DeviceDecision::Allow).await);
    assert!(decide(&world, 2, "ben", DeviceDecision::Deny).await);
    for (byte, account, decision) in [
        (1, "ana", DeviceDecision::Allow),
        (1, "ben", DeviceDecision::Allow),
        (1, "ben", DeviceDecision::Deny),
        (2, "ben", DeviceDecision::Allow),
        (9, "ben", DeviceDecision::Allow),
    ] {
        assert!(!decide(&world, byte, account, decision).await, "{byte} {account} {decision:?}");
    }
    assert_eq!(state(&world, 1).await, Some(DeviceLoginState::Allowed(name("ana"))));
    assert_eq!(state(&world, 2).await, Some(DeviceLoginState::Denied));
    for byte in [101, 102] {
        assert_eq!(world.store.device_login_of_code(digest(byte), at(10)).await.unwrap(), None);
    }
    create(&world, DeviceLogin { network: "::".into(), ..login(3, 0) }).await;
    let late = world.store.decide_device_login(&login(3, 0), &name("ana"), DeviceDecision::Allow, at(100)).await;
    assert!(!late.unwrap(), "it has expired");
    let (label, address) = (login(1, 0).label, login(1, 0).address);
    let allowed =
        DomainEvent::DeviceLoginAllowed { account: name("ana"), label: label.clone(), address: address.clone() };
    let denied = DomainEvent::DeviceLoginDenied { account: name("ben"), label, address };
    let by = |account| Principal::User(name(account));
    assert_eq!(audited(&world).await, [(allowed, by("ana")), (denied, by("ben"))]);
}

/// Whose it is does not depend on the server that a person reached.
pub async fn two_decisions_at_once_make_one<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    create(&world, login(1, 0)).await;
    let (one, other) =
        tokio::join!(decide(&world, 1, "ana", DeviceDecision::Allow), decide(&world, 1, "ben", DeviceDecision::Allow));
    assert_ne!(one, other);
    let expected = if one { "ana" } else { "ben" };
    assert_eq!(state(&world, 1).await, Some(DeviceLoginState::Allowed(name(expected))));
    assert_eq!(audited(&world).await.len(), 1);
}

/// Only the account that allowed it gets one.
pub async fn a_device_login_that_was_allowed_gets_one_token<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    for byte in [1, 2, 3] {
        create(&world, DeviceLogin { network: byte.to_string(), ..login(byte, 0) }).await;
    }
    assert!(decide(&world, 1, "ana", DeviceDecision::Allow).await);
    assert!(decide(&world, 2, "ana", DeviceDecision::Deny).await);
    let finish = async |byte, token| world.store.finish_device_login(digest(byte), token).await.unwrap();
    let new = token("abcdefghi1", 50, "ana", 20);
    assert!(!finish(1, token("abcdefghi2", 51, "ben", 20)).await, "another account allowed it");
    assert!(!finish(2, token("abcdefghi3", 52, "ana", 20)).await, "it was denied");
    assert!(!finish(3, token("abcdefghi4", 53, "ana", 20)).await, "nothing was decided");
    assert!(!finish(9, token("abcdefghi5", 54, "ana", 20)).await, "it does not exist");
    assert!(!finish(1, token("abcdefghi6", 55, "ana", 100)).await, "it has expired");
    let before = audited(&world).await.len();
    assert!(finish(1, new.clone()).await);
    assert!(!finish(1, token("abcdefghi7", 56, "ana", 20)).await, "it was used");
    assert_eq!(world.store.tokens(&name("ana")).await.unwrap(), std::slice::from_ref(&new));
    assert!(world.store.tokens(&name("ben")).await.unwrap().is_empty());
    assert_eq!(state(&world, 1).await, None);
    let event = DomainEvent::TokenCreated { account: name("ana"), token: new.id };
    assert_eq!(audited(&world).await[before..], [(event, Principal::User(name("ana")))]);
}

/// One command line that polls two servers, or somebody who copied the device code.
pub async fn two_polls_at_once_create_one_token<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    create(&world, login(1, 0)).await;
    assert!(decide(&world, 1, "ana", DeviceDecision::Allow).await);
    let finish =
        async |id: &str, byte| world.store.finish_device_login(digest(1), token(id, byte, "ana", 20)).await.unwrap();
    let (one, other) = tokio::join!(finish("abcdefghi1", 50), finish("abcdefghi2", 51));
    assert_ne!(one, other);
    assert_eq!(world.store.tokens(&name("ana")).await.unwrap().len(), 1);
}

/// Also if it was disabled and enabled again since it allowed the login.
pub async fn a_disabled_account_gets_no_token<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    create(&world, login(1, 0)).await;
    create(&world, login(2, 0)).await;
    assert!(decide(&world, 1, "ana", DeviceDecision::Allow).await);
    let change = async |change| world.store.change_account(&name("ana"), change, &Principal::System).await.unwrap();
    change(AccountChange::Disable).await;
    // A decision that was stored right after the account was disabled.
    assert!(decide(&world, 2, "ana", DeviceDecision::Allow).await);
    for byte in [1, 2] {
        let id = format!("abcdefghi{byte}");
        assert!(!world.store.finish_device_login(digest(byte), token(&id, byte, "ana", 20)).await.unwrap(), "{byte}");
    }
    change(AccountChange::Enable).await;
    assert!(!world.store.finish_device_login(digest(1), token("abcdefghi3", 3, "ana", 20)).await.unwrap());
    assert!(world.store.tokens(&name("ana")).await.unwrap().is_empty());
}

/// What nobody decided about, and what others allowed, stays.
pub async fn a_change_that_ends_sessions_ends_what_the_account_allowed<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    let (ana, by) = (name("ana"), Principal::System);
    for change in 0..4 {
        let second = change * 200;
        for byte in [1, 2, 3] {
            create(&world, DeviceLogin { network: byte.to_string(), ..login(byte, second) }).await;
        }
        for (byte, account) in [(1, "ana"), (2, "ben")] {
            let (allow, at) = (DeviceDecision::Allow, at(second + 1));
            let login = login(byte, second);
            assert!(world.store.decide_device_login(&login, &name(account), allow, at).await.unwrap());
        }
        match change {
            0 => assert!(world.store.set_password(&ana, "$new", None, &by).await.unwrap()),
            1 => {
                let change = AccountChange::SetServerRole(Some(ServerRole::Auditor));
                world.store.change_account(&ana, change, &by).await.unwrap();
            }
            2 => {
                let identity = ProviderIdentity::new("https://id.example.com", "1").unwrap();
                let linked = world.store.link_identity(&ana, &identity, at(0), &by).await.unwrap();
                assert_eq!(linked, LinkResult::Linked);
                assert!(world.store.unlink_identity(&ana, &by).await.unwrap());
            }
            _ => {
                let factor = NewSecondFactor {
                    account: ana.clone(),
                    sealed_secret: "sealed".into(),
                    last_step: 0,
                    recovery_codes: Vec::new(),
                    created_at: at(0),
                };
                assert!(world.store.add_second_factor(factor, None, &by).await.unwrap());
            }
        }
        let mut left = Vec::new();
        for byte in [1, 2, 3] {
            left.push(world.store.device_login(digest(byte), at(second + 2)).await.unwrap().is_some());
        }
        assert_eq!(left, [false, true, true], "{change}");
        for byte in [2, 3] {
            world.store.end_device_login(digest(byte)).await.unwrap();
        }
    }
}

/// A second call has no effect.
pub async fn a_device_login_is_ended_before_its_time<H: StoreHarness>(world: World<H>) {
    create(&world, login(1, 0)).await;
    create(&world, login(2, 0)).await;
    for _ in 0..2 {
        world.store.end_device_login(digest(1)).await.unwrap();
        assert_eq!((state(&world, 1).await, state(&world, 2).await), (None, Some(DeviceLoginState::Pending)));
    }
}

/// Expired device logins are deleted with the other credentials, without entries of the audit log.
pub async fn device_logins_that_expired_are_deleted<H: StoreHarness>(world: World<H>) {
    create(&world, login(1, 0)).await;
    create(&world, login(2, 1)).await;
    assert_eq!(world.store.delete_expired(at(100), at(0)).await.unwrap(), 0, "the number is that of sessions");
    assert_eq!((state(&world, 1).await, state(&world, 2).await), (None, Some(DeviceLoginState::Pending)));
    assert!(audited(&world).await.is_empty());
}

/// A store that is opened again has them.
pub async fn device_logins_outlive_the_process<H: StoreHarness>(world: World<H>) {
    create(&world, login(1, 0)).await;
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the store is in use") };
    let store = harness.reopen(store).await;
    assert_eq!(store.device_login(digest(1), at(1)).await.unwrap(), Some(login(1, 0)));
}
