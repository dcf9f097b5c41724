//! The contract of second factors, recovery codes and pending sign-ins.

use jiff::Timestamp;

use super::*;
use crate::model::{
    AccountChange, AccountKind, AccountName, AuditQuery, DomainEvent, FactorChange, FactorUse, LinkPurpose, NewAccount,
    NewSecondFactor, OneTimeLink, PendingSignIn, SecondFactor, SecretDigest, Session, SessionRenewal, SignInEnd,
};
use crate::policy::second_factor::MOST_PENDING_SIGN_INS;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! second_factor_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; second_factors;
            a_factor_is_added_once_and_ends_the_other_sessions
            an_account_shows_whether_it_has_a_factor
            a_try_of_a_code_is_counted_for_the_account
            a_factor_is_removed_with_its_codes_and_sessions
            the_removal_with_a_code_needs_one_that_was_not_used
            recovery_codes_are_replaced_with_a_code_that_was_not_used
            a_pending_sign_in_is_returned_until_it_expires
            a_try_of_a_pending_sign_in_is_counted
            a_new_password_and_a_change_of_the_account_end_pending_sign_ins
            a_sign_in_is_finished_once_with_a_new_code
            a_recovery_code_finishes_one_sign_in
            two_sign_ins_with_one_code_at_once_start_one_session
            an_enrolment_finishes_the_sign_in_that_needed_it
            the_oldest_pending_sign_in_of_an_account_makes_room
            pending_sign_ins_that_expired_are_deleted
            second_factors_outlive_the_process
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

fn by(text: &str) -> Principal {
    Principal::User(name(text))
}

fn session(byte: u8, account: &str, created: i64) -> Session {
    Session {
        key: digest(byte),
        account: name(account),
        created_at: at(created),
        used_at: at(created),
        expires_at: at(1000),
        address: "192.0.2.7".into(),
        agent: "Browser".into(),
        with_provider: false,
    }
}

fn renewal(old: u8, new: u8) -> SessionRenewal {
    SessionRenewal { old: digest(old), new: digest(new) }
}

fn factor(account: &str, step: u64, codes: &[u8]) -> NewSecondFactor {
    NewSecondFactor {
        account: name(account),
        sealed_secret: format!("sealed \"of\" {account}"),
        last_step: step,
        recovery_codes: codes.iter().copied().map(digest).collect(),
        created_at: at(7),
    }
}

fn pending(byte: u8, account: &str) -> PendingSignIn {
    PendingSignIn { key: digest(byte), account: name(account), expires_at: at(300), tries: 0 }
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

/// Adds a factor without an entry that the cases look at.
async fn add<H: StoreHarness>(world: &World<H>, account: &str, step: u64, codes: &[u8]) {
    assert!(world.store.add_second_factor(factor(account, step, codes), None, &Principal::System).await.unwrap());
}

async fn begin<H: StoreHarness>(world: &World<H>, account: &str, keys: &[u8]) {
    for key in keys {
        world.store.create_pending_sign_in(pending(*key, account)).await.unwrap();
    }
}

async fn read<H: StoreHarness>(world: &World<H>, account: &str) -> Option<SecondFactor> {
    world.store.second_factor(&name(account)).await.unwrap()
}

async fn has_pending<H: StoreHarness>(world: &World<H>, byte: u8) -> bool {
    world.store.pending_sign_in(digest(byte), at(1)).await.unwrap().is_some()
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

fn signed_in(account: &str) -> DomainEvent {
    DomainEvent::SignedIn { account: name(account), address: "192.0.2.7".into() }
}

/// A second factor does not replace the first one.
pub async fn a_factor_is_added_once_and_ends_the_other_sessions<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    for (key, account) in [(1, "ana"), (2, "ana"), (9, "bob")] {
        world.store.create_session(session(key, account, 0)).await.unwrap();
    }
    begin(&world, "ana", &[3]).await;
    begin(&world, "bob", &[4]).await;
    assert_eq!(read(&world, "ana").await, None);
    let before = audited(&world, "ana").await.len();
    assert!(world.store.add_second_factor(factor("ana", 40, &[5, 6]), Some(renewal(2, 12)), &by("ana")).await.unwrap());
    let expected = SecondFactor {
        sealed_secret: "sealed \"of\" ana".into(),
        created_at: at(7),
        last_step: 40,
        tries: 0,
        recovery_codes: 2,
    };
    assert_eq!(read(&world, "ana").await.as_ref(), Some(&expected));
    assert_eq!((keys(&world, "ana").await, keys(&world, "bob").await), (BTreeSet::from([12]), BTreeSet::from([9])));
    let renewed = Session { key: digest(12), ..session(2, "ana", 0) };
    assert_eq!(world.store.session(digest(12)).await.unwrap().unwrap().0, renewed, "it keeps its times");
    assert_eq!((has_pending(&world, 3).await, has_pending(&world, 4).await), (false, true));
    let other = NewSecondFactor { sealed_secret: "other".into(), ..factor("ana", 50, &[7]) };
    assert!(!world.store.add_second_factor(other, None, &by("ana")).await.unwrap());
    assert_eq!(read(&world, "ana").await, Some(expected));
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([12]));
    assert!(!world.store.add_second_factor(factor("eve", 1, &[8]), None, &by("eve")).await.unwrap());
    assert_eq!(read(&world, "eve").await, None);
    let added = DomainEvent::SecondFactorAdded { account: name("ana") };
    assert_eq!(audited(&world, "ana").await[before..], [added]);
    assert_eq!(audited(&world, "eve").await, []);
}

/// Each account has its own factor and codes, also beside one whose name begins with its name.
pub async fn an_account_shows_whether_it_has_a_factor<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ana-2", "ana+ci"]).await;
    add(&world, "ana-2", 1, &[1, 2, 3]).await;
    world.store.create_session(session(9, "ana-2", 0)).await.unwrap();
    for (account, has_factor) in [("ana", false), ("ana-2", true), ("ana+ci", false)] {
        assert_eq!(world.store.account(&name(account)).await.unwrap().unwrap().has_second_factor, has_factor);
    }
    let all = world.store.accounts().await.unwrap();
    assert_eq!(all.iter().filter(|account| account.has_second_factor).count(), 1);
    assert!(world.store.session(digest(9)).await.unwrap().unwrap().1.has_second_factor);
    add(&world, "ana", 1, &[1]).await;
    let left = async |account: &str| read(&world, account).await.unwrap().recovery_codes;
    assert_eq!((left("ana").await, left("ana-2").await), (1, 3));
    let removed = world.store.remove_second_factor(&name("ana"), None, None, &Principal::System).await.unwrap();
    assert_eq!(removed, FactorChange::Changed);
    assert_eq!(left("ana-2").await, 3);
}

/// The number is part of the answer.
pub async fn a_try_of_a_code_is_counted_for_the_account<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, "ana", 40, &[1]).await;
    for tries in 1..4 {
        let tried = world.store.try_second_factor(&name("ana")).await.unwrap().unwrap();
        assert_eq!((tried.tries, tried.recovery_codes), (tries, 1));
        assert_eq!(read(&world, "ana").await, Some(tried));
    }
    assert_eq!(world.store.try_second_factor(&name("bob")).await.unwrap(), None);
    assert_eq!(read(&world, "bob").await, None);
    begin(&world, "ana", &[3]).await;
    let end = world.store.finish_sign_in(digest(3), FactorUse::Step(41), session(2, "ana", 1)).await.unwrap();
    assert_eq!((end, read(&world, "ana").await.unwrap().tries), (SignInEnd::Started, 0));
}

/// An administrator needs no code for it.
pub async fn a_factor_is_removed_with_its_codes_and_sessions<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, "ana", 40, &[1, 2]).await;
    for (key, account) in [(1, "ana"), (2, "ana"), (9, "bob")] {
        world.store.create_session(session(key, account, 0)).await.unwrap();
    }
    begin(&world, "ana", &[3]).await;
    let remove =
        async |account: &str| world.store.remove_second_factor(&name(account), None, None, &by("boss")).await.unwrap();
    assert_eq!(remove("ana").await, FactorChange::Changed);
    assert_eq!((read(&world, "ana").await, has_pending(&world, 3).await), (None, false));
    assert_eq!((keys(&world, "ana").await, keys(&world, "bob").await), (BTreeSet::new(), BTreeSet::from([9])));
    for none in ["ana", "bob", "eve"] {
        assert_eq!(remove(none).await, FactorChange::NoFactor, "{none}");
    }
    assert_eq!(audited(&world, "boss").await, [DomainEvent::SecondFactorRemoved { account: name("ana") }]);
    add(&world, "ana", 10, &[5]).await;
    let again = read(&world, "ana").await.unwrap();
    assert_eq!((again.last_step, again.recovery_codes), (10, 1), "the earlier codes are gone");
}

/// A code that is refused changes nothing.
pub async fn the_removal_with_a_code_needs_one_that_was_not_used<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, "ana", 40, &[1]).await;
    world.store.create_session(session(7, "ana", 0)).await.unwrap();
    let remove = async |used: FactorUse| {
        world.store.remove_second_factor(&name("ana"), Some(used), Some(renewal(7, 17)), &by("ana")).await.unwrap()
    };
    let before = (read(&world, "ana").await, audited(&world, "ana").await);
    for used in [FactorUse::Step(40), FactorUse::Step(39), FactorUse::RecoveryCode(digest(2))] {
        assert_eq!(remove(used).await, FactorChange::Refused, "{used:?}");
    }
    assert_eq!((read(&world, "ana").await, audited(&world, "ana").await), before);
    assert_eq!(remove(FactorUse::RecoveryCode(digest(1))).await, FactorChange::Changed);
    assert_eq!((read(&world, "ana").await, keys(&world, "ana").await), (None, BTreeSet::from([17])));
    assert_eq!(remove(FactorUse::Step(50)).await, FactorChange::NoFactor);
    add(&world, "ana", 40, &[]).await;
    assert_eq!(remove(FactorUse::Step(41)).await, FactorChange::Changed);
    let account = || name("ana");
    let removed = || DomainEvent::SecondFactorRemoved { account: account() };
    let expected = [DomainEvent::RecoveryCodeUsed { account: account() }, removed(), removed()];
    assert_eq!(audited(&world, "ana").await[before.1.len()..], expected);
}

/// The earlier codes are gone, and the other sessions end.
pub async fn recovery_codes_are_replaced_with_a_code_that_was_not_used<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, "ana", 40, &[1, 2]).await;
    for key in [7, 8] {
        world.store.create_session(session(key, "ana", 0)).await.unwrap();
    }
    let before = audited(&world, "ana").await.len();
    let replace = async |account: &str, used: FactorUse, codes: &[u8]| {
        let codes: Vec<SecretDigest> = codes.iter().copied().map(digest).collect();
        let renewal = Some(renewal(7, 17));
        world.store.replace_recovery_codes(&name(account), used, &codes, renewal, &by("ana")).await.unwrap()
    };
    world.store.try_second_factor(&name("ana")).await.unwrap();
    for used in [FactorUse::Step(40), FactorUse::RecoveryCode(digest(3))] {
        assert_eq!(replace("ana", used, &[5]).await, FactorChange::Refused, "{used:?}");
    }
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([7, 8]));
    assert_eq!(replace("ana", FactorUse::Step(41), &[6, 3, 4]).await, FactorChange::Changed);
    let factor = read(&world, "ana").await.unwrap();
    assert_eq!((factor.last_step, factor.tries, factor.recovery_codes), (41, 0, 3));
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([17]));
    assert_eq!(replace("ana", FactorUse::RecoveryCode(digest(1)), &[5]).await, FactorChange::Refused);
    assert_eq!(keys(&world, "ana").await, BTreeSet::from([17]));
    assert_eq!(replace("ana", FactorUse::RecoveryCode(digest(4)), &[5]).await, FactorChange::Changed);
    assert_eq!(keys(&world, "ana").await, BTreeSet::new(), "the session to renew has ended");
    assert_eq!(read(&world, "ana").await.unwrap().recovery_codes, 1);
    assert_eq!(replace("bob", FactorUse::Step(41), &[5]).await, FactorChange::NoFactor);
    let account = || name("ana");
    let created = || DomainEvent::RecoveryCodesCreated { account: account() };
    let expected = [created(), DomainEvent::RecoveryCodeUsed { account: account() }, created()];
    assert_eq!(audited(&world, "ana").await[before..], expected);
}

/// A pending sign-in has no entry in the audit log.
pub async fn a_pending_sign_in_is_returned_until_it_expires<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    begin(&world, "ana", &[1, 2]).await;
    assert_eq!(world.store.pending_sign_in(digest(1), at(299)).await.unwrap(), Some(pending(1, "ana")));
    assert_eq!(world.store.pending_sign_in(digest(1), at(300)).await.unwrap(), None);
    assert_eq!(world.store.pending_sign_in(digest(3), at(0)).await.unwrap(), None);
    world.store.end_pending_sign_in(digest(1)).await.unwrap();
    world.store.end_pending_sign_in(digest(3)).await.unwrap();
    assert_eq!((has_pending(&world, 1).await, has_pending(&world, 2).await), (false, true));
    assert_eq!(audited(&world, "ana").await, []);
}

/// A try after the end of the sign-in is not one.
pub async fn a_try_of_a_pending_sign_in_is_counted<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    begin(&world, "ana", &[1, 2]).await;
    for tries in 1..4 {
        let tried = world.store.try_sign_in(digest(1), at(9)).await.unwrap();
        assert_eq!(tried, Some(PendingSignIn { tries, ..pending(1, "ana") }));
        assert_eq!(world.store.pending_sign_in(digest(1), at(9)).await.unwrap(), tried);
    }
    assert_eq!(world.store.try_sign_in(digest(1), at(300)).await.unwrap(), None);
    assert_eq!(world.store.try_sign_in(digest(3), at(9)).await.unwrap(), None);
    assert_eq!(world.store.pending_sign_in(digest(1), at(9)).await.unwrap().unwrap().tries, 3);
    assert_eq!(world.store.pending_sign_in(digest(2), at(9)).await.unwrap().unwrap().tries, 0);
}

/// The factor stays: a new password does not remove it.
pub async fn a_new_password_and_a_change_of_the_account_end_pending_sign_ins<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, "ana", 40, &[1]).await;
    begin(&world, "bob", &[9]).await;
    let link = OneTimeLink { key: digest(5), purpose: LinkPurpose::SetPassword(name("ana")), expires_at: at(1000) };
    for change in 0..4 {
        begin(&world, "ana", &[change]).await;
        assert!(has_pending(&world, change).await);
        let ana = name("ana");
        match change {
            0 => assert!(world.store.set_password(&ana, "$new", None, &Principal::System).await.unwrap()),
            1 => {
                world.store.create_link(link.clone(), &Principal::System).await.unwrap();
                let redeemed = world.store.redeem_password_link(link.key, "$newer", at(1)).await.unwrap();
                assert_eq!(redeemed, Some(ana));
            }
            2 => {
                world.store.change_account(&ana, AccountChange::Disable, &Principal::System).await.unwrap();
            }
            _ => {
                let role = AccountChange::SetServerRole(Some(crate::model::ServerRole::Auditor));
                world.store.change_account(&ana, role, &Principal::System).await.unwrap();
            }
        }
        assert!(!has_pending(&world, change).await, "{change}");
    }
    assert!(has_pending(&world, 9).await, "another account is not affected");
    let factor = read(&world, "ana").await.unwrap();
    assert_eq!((factor.last_step, factor.recovery_codes), (40, 1));
}

/// A code of a step that was used, or of an earlier one, leaves the sign-in pending.
pub async fn a_sign_in_is_finished_once_with_a_new_code<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, "ana", 40, &[1]).await;
    add(&world, "bob", 40, &[1]).await;
    begin(&world, "ana", &[3, 4]).await;
    let finish = async |key: u8, step: u64, session: Session| {
        world.store.finish_sign_in(digest(key), FactorUse::Step(step), session).await.unwrap()
    };
    assert_eq!(finish(3, 40, session(7, "ana", 1)).await, SignInEnd::Refused);
    assert_eq!(finish(3, 39, session(7, "ana", 1)).await, SignInEnd::Refused);
    assert_eq!(finish(3, 41, session(7, "ana", 300)).await, SignInEnd::NoSignIn, "it has expired");
    assert_eq!(finish(5, 41, session(7, "ana", 1)).await, SignInEnd::NoSignIn);
    assert_eq!(finish(3, 41, session(7, "bob", 1)).await, SignInEnd::NoSignIn, "it is another account's");
    assert_eq!((keys(&world, "ana").await, audited(&world, "ana").await), (BTreeSet::new(), Vec::new()));
    assert_eq!(finish(3, 41, session(7, "ana", 1)).await, SignInEnd::Started);
    assert_eq!(world.store.session(digest(7)).await.unwrap().unwrap().0, session(7, "ana", 1));
    assert_eq!(finish(3, 42, session(8, "ana", 1)).await, SignInEnd::NoSignIn, "it was used");
    assert_eq!(finish(4, 41, session(8, "ana", 1)).await, SignInEnd::Refused, "the code was used");
    assert_eq!(read(&world, "ana").await.unwrap().last_step, 41);
    assert_eq!((keys(&world, "ana").await, keys(&world, "bob").await), (BTreeSet::from([7]), BTreeSet::new()));
    assert_eq!(audited(&world, "ana").await, [signed_in("ana")]);
}

/// It does not change the last step.
pub async fn a_recovery_code_finishes_one_sign_in<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    add(&world, "ana", 40, &[1, 2]).await;
    add(&world, "bob", 40, &[3]).await;
    begin(&world, "ana", &[3, 4]).await;
    let finish = async |key: u8, code: u8, of_session: u8| {
        let used = FactorUse::RecoveryCode(digest(code));
        world.store.finish_sign_in(digest(key), used, session(of_session, "ana", 1)).await.unwrap()
    };
    assert_eq!(finish(3, 3, 7).await, SignInEnd::Refused, "it is another account's");
    assert_eq!(finish(3, 1, 7).await, SignInEnd::Started);
    assert_eq!(finish(4, 1, 8).await, SignInEnd::Refused, "it was used");
    let factor = read(&world, "ana").await.unwrap();
    assert_eq!((factor.last_step, factor.recovery_codes), (40, 1));
    assert_eq!(read(&world, "bob").await.unwrap().recovery_codes, 1);
    let used = DomainEvent::RecoveryCodeUsed { account: name("ana") };
    assert_eq!(audited(&world, "ana").await, [used, signed_in("ana")]);
}

/// Two browsers with pending sign-ins of their own send the same code.
pub async fn two_sign_ins_with_one_code_at_once_start_one_session<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, "ana", 40, &[1, 2, 3, 4]).await;
    for round in 0..4_u8 {
        let uses = [FactorUse::Step(41 + u64::from(round)), FactorUse::RecoveryCode(digest(1 + round))];
        for (used, first) in uses.into_iter().zip([100, 150]) {
            let [one, other] = [first + 2 * round, first + 2 * round + 1];
            begin(&world, "ana", &[one, other]).await;
            let (first, second) = tokio::join!(
                world.store.finish_sign_in(digest(one), used, session(one, "ana", 1)),
                world.store.finish_sign_in(digest(other), used, session(other, "ana", 1)),
            );
            let mut ends = [first.unwrap(), second.unwrap()].map(|end| format!("{end:?}"));
            ends.sort();
            assert_eq!(ends, ["Refused", "Started"], "{used:?}");
        }
    }
    assert_eq!(keys(&world, "ana").await.len(), 8);
    assert_eq!(read(&world, "ana").await.unwrap().recovery_codes, 0);
}

/// It adds the factor and starts the session, or neither.
pub async fn an_enrolment_finishes_the_sign_in_that_needed_it<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    world.store.create_session(session(6, "ana", 0)).await.unwrap();
    let before = audited(&world, "ana").await.len();
    begin(&world, "ana", &[3, 4]).await;
    let finish = async |key: u8, of_session: u8, created: i64| {
        let new = factor("ana", 40, &[1, 2]);
        world.store.finish_enrolment(digest(key), new, session(of_session, "ana", created)).await.unwrap()
    };
    assert_eq!(finish(5, 7, 1).await, SignInEnd::NoSignIn);
    assert_eq!(finish(3, 7, 300).await, SignInEnd::NoSignIn, "it has expired");
    assert_eq!((read(&world, "ana").await, keys(&world, "ana").await), (None, BTreeSet::from([6])));
    assert_eq!(finish(3, 7, 1).await, SignInEnd::Started);
    assert_eq!((keys(&world, "ana").await, has_pending(&world, 4).await), (BTreeSet::from([7]), false));
    assert_eq!(read(&world, "ana").await.unwrap().recovery_codes, 2);
    assert!(world.store.account(&name("ana")).await.unwrap().unwrap().has_second_factor);
    begin(&world, "ana", &[8]).await;
    assert_eq!(finish(8, 9, 1).await, SignInEnd::Refused, "it has a factor");
    assert_eq!((keys(&world, "ana").await, has_pending(&world, 8).await), (BTreeSet::from([7]), true));
    let added = DomainEvent::SecondFactorAdded { account: name("ana") };
    assert_eq!(audited(&world, "ana").await[before..], [added, signed_in("ana")]);
}

/// With the other credentials.
pub async fn pending_sign_ins_that_expired_are_deleted<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    begin(&world, "ana", &[1]).await;
    let late = PendingSignIn { expires_at: at(301), ..pending(2, "ana") };
    world.store.create_pending_sign_in(late).await.unwrap();
    world.store.delete_expired(at(300), at(0)).await.unwrap();
    assert_eq!((has_pending(&world, 1).await, has_pending(&world, 2).await), (false, true));
}

/// Those of another account stay.
pub async fn the_oldest_pending_sign_in_of_an_account_makes_room<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "bob"]).await;
    begin(&world, "bob", &[1]).await;
    let most = u8::try_from(MOST_PENDING_SIGN_INS).unwrap();
    // The later ones have the smaller keys.
    for (key, minute) in (100..=100 + most).rev().zip(5..) {
        let one = PendingSignIn { expires_at: at(60 * minute), ..pending(key, "ana") };
        world.store.create_pending_sign_in(one).await.unwrap();
        assert!(has_pending(&world, key).await, "{key}");
    }
    assert!(!has_pending(&world, 100 + most).await, "it was the oldest");
    for key in 100..100 + most {
        assert!(has_pending(&world, key).await, "{key}");
    }
    assert!(has_pending(&world, 1).await);
}

/// A store that is closed and opened again has the same rows.
pub async fn second_factors_outlive_the_process<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    add(&world, "ana", 40, &[1, 2]).await;
    begin(&world, "ana", &[3]).await;
    let before = read(&world, "ana").await;
    assert!(before.is_some());
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("nothing else uses the store") };
    let store = Arc::new(harness.reopen(store).await);
    let world = World { harness, store };
    assert_eq!(read(&world, "ana").await, before);
    assert!(has_pending(&world, 3).await);
}
