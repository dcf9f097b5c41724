//! The contract of passkeys and of the challenges that they sign.

use jiff::Timestamp;

use super::*;
use crate::model::{
    AccountChange, AccountKind, AccountName, AuditQuery, DomainEvent, FactorChange, FactorUse, NewAccount,
    NewSecondFactor, Passkey, PasskeyAddition, PasskeyId, PasskeyUse, PendingSignIn, SecretDigest, Session,
    SessionRenewal, SignInEnd, SignedChallenge,
};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! passkey_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; passkeys;
            a_passkey_is_added_once_and_ends_the_other_sessions
            an_account_has_at_most_ten_passkeys
            two_additions_at_once_keep_the_limit
            a_passkey_is_a_second_factor
            a_passkey_gets_another_label
            a_passkey_is_removed_with_the_other_sessions
            a_challenge_is_accepted_once
            a_use_with_another_credential_is_refused
            a_sign_in_starts_a_session_and_notes_the_use
            a_sign_in_ends_the_pending_sign_in_of_its_account
            a_disabled_account_gets_no_session
            two_sign_ins_with_one_challenge_start_one_session
            all_factors_are_removed_at_once
            a_code_confirms_a_change_once
            challenges_that_expired_are_forgotten
            passkeys_outlive_the_process
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

fn id(number: u8) -> PasskeyId {
    format!("{number:032x}").parse().unwrap()
}

fn by(text: &str) -> Principal {
    Principal::User(name(text))
}

fn passkey(number: u8, account: &str) -> Passkey {
    Passkey {
        id: id(number),
        account: name(account),
        label: format!("Key \"{number}\""),
        user_handle: format!("handle of {account}"),
        credential: format!("{{\"counter\":{number}}}"),
        created_at: at(number.into()),
        used_at: None,
    }
}

fn challenge(byte: u8) -> SignedChallenge {
    SignedChallenge { digest: digest(byte), expires_at: at(300) }
}

/// The use of a passkey that [`passkey`] made, after which its credential is `after`.
fn used(number: u8, account: &str, of_challenge: u8, after: &str) -> PasskeyUse {
    PasskeyUse {
        id: id(number),
        account: name(account),
        challenge: challenge(of_challenge),
        before: passkey(number, account).credential,
        after: after.into(),
        at: at(100),
    }
}

fn session(byte: u8, account: &str) -> Session {
    Session {
        key: digest(byte),
        account: name(account),
        created_at: at(100),
        used_at: at(100),
        expires_at: at(1000),
        address: "192.0.2.7".into(),
        agent: "Browser".into(),
        with_provider: false,
    }
}

async fn with_accounts<H: StoreHarness>(world: &World<H>, accounts: &[&str]) {
    for account in accounts {
        let new = NewAccount {
            name: name(account),
            kind: AccountKind::User,
            server_role: None,
            password_hash: Some("$hash".into()),
            mail: None,
            memberships: BTreeMap::new(),
        };
        assert!(world.store.create_account(new, at(0), &Principal::System).await.unwrap());
    }
}

/// Adds a passkey, without an entry that the cases look at. Its challenge has the number plus 100.
async fn add<H: StoreHarness>(world: &World<H>, number: u8, account: &str) {
    let added = add_by(world, passkey(number, account), 100 + number, &Principal::System).await;
    assert_eq!(added, PasskeyAddition::Added);
}

async fn add_by<H: StoreHarness>(
    world: &World<H>,
    passkey: Passkey,
    of_challenge: u8,
    by: &Principal,
) -> PasskeyAddition {
    world.store.add_passkey(passkey, challenge(of_challenge), None, by).await.unwrap()
}

async fn begin<H: StoreHarness>(world: &World<H>, byte: u8, account: &str) {
    let pending = PendingSignIn { key: digest(byte), account: name(account), expires_at: at(300), tries: 0 };
    world.store.create_pending_sign_in(pending).await.unwrap();
}

async fn has_pending<H: StoreHarness>(world: &World<H>, byte: u8) -> bool {
    world.store.pending_sign_in(digest(byte), at(1)).await.unwrap().is_some()
}

async fn ids<H: StoreHarness>(world: &World<H>, account: &str) -> Vec<PasskeyId> {
    world.store.passkeys(&name(account)).await.unwrap().into_iter().map(|passkey| passkey.id).collect()
}

async fn has_factor<H: StoreHarness>(world: &World<H>, account: &str) -> bool {
    world.store.account(&name(account)).await.unwrap().unwrap().has_second_factor
}

/// Returns the sessions of an account, by the bytes of their keys.
async fn keys<H: StoreHarness>(world: &World<H>, account: &str) -> BTreeSet<u8> {
    world.store.sessions(&name(account)).await.unwrap().iter().map(|session| session.key.as_bytes()[0]).collect()
}

/// Returns the entries of an account in the audit log, oldest first.
async fn audited<H: StoreHarness>(world: &World<H>, account: &str) -> Vec<DomainEvent> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    entries.into_iter().filter(|entry| entry.principal == by(account)).map(|entry| entry.event).collect()
}

/// A passkey belongs to one account.
pub async fn a_passkey_is_added_once_and_ends_the_other_sessions<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    for (key, account) in [(1, "ana"), (2, "ana"), (9, "bob")] {
        world.store.create_session(session(key, account)).await.unwrap();
    }
    begin(&world, 3, "ana").await;
    begin(&world, 4, "bob").await;
    let before = audited(&world, "ana").await.len();
    let renewal = Some(SessionRenewal { old: digest(2), new: digest(12) });
    let added = world.store.add_passkey(passkey(7, "ana"), challenge(1), renewal, &by("ana")).await.unwrap();
    assert_eq!(added, PasskeyAddition::Added);
    assert_eq!(world.store.passkeys(&name("ana")).await.unwrap(), [passkey(7, "ana")]);
    assert_eq!(world.store.passkey(&id(7)).await.unwrap(), Some(passkey(7, "ana")));
    assert_eq!(world.store.passkey(&id(8)).await.unwrap(), None);
    assert_eq!((keys(&world, "ana").await, keys(&world, "bob").await), (BTreeSet::from([12]), BTreeSet::from([9])));
    assert_eq!((has_pending(&world, 3).await, has_pending(&world, 4).await), (false, true));
    for account in ["ana", "bob"] {
        let other = Passkey { credential: "other".into(), ..passkey(7, account) };
        assert_eq!(add_by(&world, other, 2, &by("ana")).await, PasskeyAddition::Taken, "{account}");
    }
    assert_eq!(add_by(&world, passkey(8, "ana"), 1, &by("ana")).await, PasskeyAddition::Used);
    assert_eq!(add_by(&world, passkey(8, "eve"), 2, &by("ana")).await, PasskeyAddition::NoAccount);
    assert_eq!(world.store.passkeys(&name("ana")).await.unwrap(), [passkey(7, "ana")]);
    assert_eq!((ids(&world, "bob").await, keys(&world, "bob").await), (Vec::new(), BTreeSet::from([9])));
    let event = DomainEvent::PasskeyAdded { account: name("ana"), passkey: id(7) };
    assert_eq!(audited(&world, "ana").await[before..], [event]);
}

/// The passkeys of another account do not count, also of one whose name begins with its name.
pub async fn an_account_has_at_most_ten_passkeys<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ana-2"]).await;
    add(&world, 50, "ana-2").await;
    for number in (0..10).rev() {
        add(&world, number, "ana").await;
    }
    assert_eq!(ids(&world, "ana").await, (0..10).map(id).collect::<Vec<_>>(), "oldest first");
    assert_eq!(add_by(&world, passkey(10, "ana"), 1, &by("ana")).await, PasskeyAddition::TooMany);
    assert!(world.store.remove_passkey(&name("ana"), &id(4), None, &by("ana")).await.unwrap());
    assert_eq!(add_by(&world, passkey(10, "ana"), 1, &by("ana")).await, PasskeyAddition::Added);
    assert_eq!(ids(&world, "ana-2").await, [id(50)]);
}

/// Two browsers add the tenth passkey.
pub async fn two_additions_at_once_keep_the_limit<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    for number in 0..9 {
        add(&world, number, "ana").await;
    }
    let administrator = Principal::System;
    let (one, other) = tokio::join!(
        add_by(&world, passkey(20, "ana"), 20, &administrator),
        add_by(&world, passkey(21, "ana"), 21, &administrator),
    );
    let mut results = [one, other].map(|result| format!("{result:?}"));
    results.sort();
    assert_eq!(results, ["Added", "TooMany"]);
    assert_eq!(ids(&world, "ana").await.len(), 10);
}

/// With and without an app beside it.
pub async fn a_passkey_is_a_second_factor<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ana-2", "ana+ci"]).await;
    add(&world, 1, "ana").await;
    world.store.create_session(session(9, "ana")).await.unwrap();
    assert!(world.store.session(digest(9)).await.unwrap().unwrap().1.has_second_factor);
    assert_eq!((has_factor(&world, "ana-2").await, has_factor(&world, "ana+ci").await), (false, false));
    let all = world.store.accounts().await.unwrap();
    assert_eq!(all.iter().filter(|account| account.has_second_factor).count(), 1);
    let app = NewSecondFactor {
        account: name("ana"),
        sealed_secret: "sealed".into(),
        last_step: 1,
        recovery_codes: Vec::new(),
        created_at: at(0),
    };
    assert!(world.store.add_second_factor(app.clone(), None, &Principal::System).await.unwrap());
    let removed = world.store.remove_second_factor(&name("ana"), None, None, &Principal::System).await.unwrap();
    assert_eq!((removed, has_factor(&world, "ana").await), (FactorChange::Changed, true));
    assert!(world.store.add_second_factor(app, None, &Principal::System).await.unwrap());
    assert!(world.store.remove_passkey(&name("ana"), &id(1), None, &Principal::System).await.unwrap());
    assert!(has_factor(&world, "ana").await, "the app");
    world.store.remove_second_factor(&name("ana"), None, None, &Principal::System).await.unwrap();
    assert!(!has_factor(&world, "ana").await);
}

/// The same label again is no change.
pub async fn a_passkey_gets_another_label<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, 1, "ana").await;
    world.store.create_session(session(9, "ana")).await.unwrap();
    let before = audited(&world, "ana").await.len();
    let rename = async |account: &str, number: u8, label: &str| {
        world.store.rename_passkey(&name(account), &id(number), label, &by("ana")).await.unwrap()
    };
    assert!(rename("ana", 1, "Phone").await);
    assert!(rename("ana", 1, "Phone").await);
    assert!(!rename("ana", 2, "Phone").await);
    assert!(!rename("bob", 1, "Mine").await, "it is another account's");
    let expected = Passkey { label: "Phone".into(), ..passkey(1, "ana") };
    assert_eq!(world.store.passkeys(&name("ana")).await.unwrap(), [expected]);
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([9]));
    let event = DomainEvent::PasskeyRenamed { account: name("ana"), passkey: id(1) };
    assert_eq!(audited(&world, "ana").await[before..], [event]);
}

/// Another account cannot remove it.
pub async fn a_passkey_is_removed_with_the_other_sessions<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, 1, "ana").await;
    add(&world, 2, "ana").await;
    for key in [5, 6] {
        world.store.create_session(session(key, "ana")).await.unwrap();
    }
    begin(&world, 3, "ana").await;
    let before = audited(&world, "ana").await.len();
    let remove = async |account: &str, number: u8| {
        let renewal = Some(SessionRenewal { old: digest(5), new: digest(15) });
        world.store.remove_passkey(&name(account), &id(number), renewal, &by("ana")).await.unwrap()
    };
    assert!(!remove("bob", 1).await && !remove("ana", 9).await);
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([5, 6]));
    assert!(remove("ana", 1).await);
    assert!(!remove("ana", 1).await);
    assert_eq!((ids(&world, "ana").await, keys(&world, "ana").await), (vec![id(2)], BTreeSet::from([15])));
    assert!(!has_pending(&world, 3).await);
    let event = DomainEvent::PasskeyRemoved { account: name("ana"), passkey: id(1) };
    assert_eq!(audited(&world, "ana").await[before..], [event]);
}

/// Also one that added a passkey.
pub async fn a_challenge_is_accepted_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, 1, "ana").await;
    let before = passkey(1, "ana").credential;
    let apply = async |of_challenge: u8| world.store.use_passkey(used(1, "ana", of_challenge, &before)).await.unwrap();
    assert!(!apply(101).await, "it was signed at the addition");
    assert!(apply(1).await);
    assert!(!apply(1).await);
    assert!(apply(2).await);
    let expected = Passkey { used_at: Some(at(100)), ..passkey(1, "ana") };
    assert_eq!(world.store.passkey(&id(1)).await.unwrap(), Some(expected));
}

/// Another server accepted a later signature meanwhile.
pub async fn a_use_with_another_credential_is_refused<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, 1, "ana").await;
    assert!(!world.store.use_passkey(used(2, "ana", 1, "later")).await.unwrap(), "there is none");
    let foreign = PasskeyUse { account: name("bob"), ..used(1, "ana", 1, "later") };
    assert!(!world.store.use_passkey(foreign).await.unwrap(), "it is another account's");
    assert!(world.store.use_passkey(used(1, "ana", 1, "later")).await.unwrap());
    assert_eq!(world.store.passkey(&id(1)).await.unwrap().unwrap().credential, "later");
    assert!(!world.store.use_passkey(used(1, "ana", 2, "earlier")).await.unwrap());
    let end = world.store.sign_in_with_passkey(used(1, "ana", 2, "earlier"), None, session(5, "ana")).await.unwrap();
    assert_eq!((end, keys(&world, "ana").await), (SignInEnd::Refused, BTreeSet::new()));
    assert_eq!(world.store.passkey(&id(1)).await.unwrap().unwrap().credential, "later");
}

/// The entries name the passkey and the sign-in.
pub async fn a_sign_in_starts_a_session_and_notes_the_use<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, 1, "ana").await;
    let sign_in = async |used: PasskeyUse, account: &str| {
        world.store.sign_in_with_passkey(used, None, session(5, account)).await.unwrap()
    };
    assert_eq!(sign_in(used(1, "ana", 1, "later"), "bob").await, SignInEnd::Refused, "it is another account's");
    assert_eq!(sign_in(used(1, "ana", 1, "later"), "ana").await, SignInEnd::Started);
    assert_eq!(world.store.session(digest(5)).await.unwrap().unwrap().0, session(5, "ana"));
    let found = world.store.passkey(&id(1)).await.unwrap().unwrap();
    assert_eq!((found.credential.as_str(), found.used_at), ("later", Some(at(100))));
    let event = DomainEvent::PasskeyUsed { account: name("ana"), passkey: id(1) };
    let signed_in = DomainEvent::SignedIn { account: name("ana"), address: "192.0.2.7".into() };
    assert_eq!(audited(&world, "ana").await, [event, signed_in]);
    assert_eq!(audited(&world, "bob").await, []);
}

/// One that does not exist, has expired or is another account's ends nothing.
pub async fn a_sign_in_ends_the_pending_sign_in_of_its_account<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, 1, "ana").await;
    begin(&world, 3, "ana").await;
    begin(&world, 4, "bob").await;
    let finish = async |key: u8, session: Session| {
        world.store.sign_in_with_passkey(used(1, "ana", 1, "later"), Some(digest(key)), session).await.unwrap()
    };
    assert_eq!(finish(9, session(5, "ana")).await, SignInEnd::NoSignIn);
    assert_eq!(finish(4, session(5, "ana")).await, SignInEnd::NoSignIn);
    let late = Session { created_at: at(300), ..session(5, "ana") };
    assert_eq!(finish(3, late).await, SignInEnd::NoSignIn);
    assert_eq!(world.store.passkey(&id(1)).await.unwrap(), Some(passkey(1, "ana")));
    assert_eq!(finish(3, session(5, "ana")).await, SignInEnd::Started);
    assert_eq!((has_pending(&world, 3).await, has_pending(&world, 4).await), (false, true));
    assert_eq!(finish(3, session(6, "ana")).await, SignInEnd::NoSignIn, "it was used");
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([5]));
}

/// Nothing is noted.
pub async fn a_disabled_account_gets_no_session<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, 1, "ana").await;
    world.store.change_account(&name("ana"), AccountChange::Disable, &Principal::System).await.unwrap();
    let end = world.store.sign_in_with_passkey(used(1, "ana", 1, "later"), None, session(5, "ana")).await.unwrap();
    assert_eq!((end, keys(&world, "ana").await), (SignInEnd::Refused, BTreeSet::new()));
    assert_eq!(world.store.passkey(&id(1)).await.unwrap(), Some(passkey(1, "ana")));
}

/// Somebody sends a recorded response at the same moment.
pub async fn two_sign_ins_with_one_challenge_start_one_session<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, 1, "ana").await;
    let same = passkey(1, "ana").credential;
    for round in 0..4_u8 {
        let one = session(10 + 2 * round, "ana");
        let other = session(11 + 2 * round, "ana");
        let (first, second) = tokio::join!(
            world.store.sign_in_with_passkey(used(1, "ana", round, &same), None, one),
            world.store.sign_in_with_passkey(used(1, "ana", round, &same), None, other),
        );
        let mut ends = [first.unwrap(), second.unwrap()].map(|end| format!("{end:?}"));
        ends.sort();
        assert_eq!(ends, ["Refused", "Started"], "{round}");
    }
    assert_eq!(keys(&world, "ana").await.len(), 4);
}

/// For a user who lost the devices.
pub async fn all_factors_are_removed_at_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob", "cy"]).await;
    for (number, account) in [(1, "ana"), (2, "ana"), (3, "bob")] {
        add(&world, number, account).await;
    }
    let app = |account: &str| NewSecondFactor {
        account: name(account),
        sealed_secret: "sealed".into(),
        last_step: 1,
        recovery_codes: vec![digest(1)],
        created_at: at(0),
    };
    for account in ["ana", "cy"] {
        assert!(world.store.add_second_factor(app(account), None, &Principal::System).await.unwrap());
    }
    world.store.create_session(session(5, "ana")).await.unwrap();
    begin(&world, 6, "ana").await;
    let before = audited(&world, "bob").await.len();
    let remove = async |account: &str| world.store.remove_all_factors(&name(account), &by("bob")).await.unwrap();
    assert!(remove("ana").await);
    assert!(!remove("ana").await && !remove("eve").await);
    assert_eq!((ids(&world, "ana").await, ids(&world, "bob").await), (Vec::new(), vec![id(3)]));
    assert_eq!(world.store.second_factor(&name("ana")).await.unwrap(), None);
    assert_eq!((has_factor(&world, "ana").await, has_factor(&world, "bob").await), (false, true));
    assert_eq!((keys(&world, "ana").await, has_pending(&world, 6).await), (BTreeSet::new(), false));
    assert!(remove("cy").await);
    let factor = |account: &str| DomainEvent::SecondFactorRemoved { account: name(account) };
    let passkey = |number: u8| DomainEvent::PasskeyRemoved { account: name("ana"), passkey: id(number) };
    let mut entries = audited(&world, "bob").await.split_off(before);
    entries.sort_by_key(DomainEvent::text);
    assert_eq!(entries, [passkey(1), passkey(2), factor("ana"), factor("cy")]);
    assert!(world.store.add_second_factor(app("ana"), None, &Principal::System).await.unwrap());
    assert_eq!(
        world.store.second_factor(&name("ana")).await.unwrap().unwrap().recovery_codes,
        1,
        "the codes were gone"
    );
}

/// A recovery code is gone, and the step of a code counts.
pub async fn a_code_confirms_a_change_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    let app = NewSecondFactor {
        account: name("ana"),
        sealed_secret: "sealed".into(),
        last_step: 40,
        recovery_codes: vec![digest(1)],
        created_at: at(0),
    };
    assert!(world.store.add_second_factor(app, None, &Principal::System).await.unwrap());
    world.store.try_second_factor(&name("ana")).await.unwrap();
    let apply = async |account: &str, used: FactorUse| {
        world.store.use_second_factor(&name(account), used, &by("ana")).await.unwrap()
    };
    assert_eq!(apply("bob", FactorUse::Step(41)).await, FactorChange::NoFactor);
    assert_eq!(apply("ana", FactorUse::Step(40)).await, FactorChange::Refused);
    assert_eq!(apply("ana", FactorUse::Step(41)).await, FactorChange::Changed);
    assert_eq!(apply("ana", FactorUse::Step(41)).await, FactorChange::Refused);
    assert_eq!(apply("ana", FactorUse::RecoveryCode(digest(2))).await, FactorChange::Refused);
    assert_eq!(apply("ana", FactorUse::RecoveryCode(digest(1))).await, FactorChange::Changed);
    assert_eq!(apply("ana", FactorUse::RecoveryCode(digest(1))).await, FactorChange::Refused);
    let factor = world.store.second_factor(&name("ana")).await.unwrap().unwrap();
    assert_eq!((factor.last_step, factor.tries, factor.recovery_codes), (41, 0, 0));
    assert_eq!(audited(&world, "ana").await, [DomainEvent::RecoveryCodeUsed { account: name("ana") }]);
}

/// Their signatures are refused by then.
pub async fn challenges_that_expired_are_forgotten<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, 1, "ana").await;
    let same = passkey(1, "ana").credential;
    let late = SignedChallenge { digest: digest(2), expires_at: at(301) };
    assert!(world.store.use_passkey(used(1, "ana", 1, &same)).await.unwrap());
    assert!(world.store.use_passkey(PasskeyUse { challenge: late, ..used(1, "ana", 2, &same) }).await.unwrap());
    world.store.delete_expired(at(300), at(0)).await.unwrap();
    assert!(world.store.use_passkey(used(1, "ana", 1, &same)).await.unwrap(), "it was forgotten");
    assert!(!world.store.use_passkey(used(1, "ana", 2, &same)).await.unwrap());
}

/// A store that is closed and opened again has the same rows.
pub async fn passkeys_outlive_the_process<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, 1, "ana").await;
    assert!(world.store.use_passkey(used(1, "ana", 1, "later")).await.unwrap());
    let before = world.store.passkeys(&name("ana")).await.unwrap();
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("nothing else uses the store") };
    let store = Arc::new(harness.reopen(store).await);
    let world = World { harness, store };
    assert_eq!(world.store.passkeys(&name("ana")).await.unwrap(), before);
    assert_eq!(add_by(&world, passkey(2, "ana"), 1, &by("ana")).await, PasskeyAddition::Used);
}
