//! Tests of the passkeys of an account.

use std::time::Duration;

use kastrel_actors::model::{AccountName, DomainEvent, PasskeyId, Principal, ServerRole};
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::{AccessStore as _, PasskeyStore as _};
use tokio::time::advance;

use super::testing::{Fixture, ORIGIN, OTHER_PASSWORD, PASSWORD, fields, password, with_code, with_passkey};
use super::{AccessSettings, AccountError, Confirmation, PasskeyAnswer, SignedIn};
use crate::identity::passkey::NoPasskeys;
use crate::identity::passkey::testing::{Authenticator, Trick};

async fn with_account() -> (Fixture, SignedIn) {
    let all = Fixture::new();
    let ana = all.user_with_password("ana").await;
    let who = all.signed_in(&ana).await;
    (all, who)
}

async fn ids(all: &Fixture, account: &AccountName) -> Vec<PasskeyId> {
    all.store.passkeys(account).await.unwrap().into_iter().map(|passkey| passkey.id).collect()
}

#[tokio::test(start_paused = true)]
async fn new_passkey_needs_a_session_and_the_password_and_ends_the_other_sessions() {
    let (all, who) = with_account().await;
    let other = all.session(&who.account).await;
    assert!(all.service.by_session(&other).await.unwrap().is_some());
    let begin = async |who: &SignedIn, text: &str, label: &str| {
        all.service.begin_passkey(who, password(text).into(), label).await
    };
    let with_token = SignedIn { session: None, ..who.clone() };
    assert_eq!(fields(begin(&with_token, PASSWORD, "Phone").await), ["passkey"]);
    assert_eq!(fields(begin(&who, OTHER_PASSWORD, "Phone").await), ["current_password"]);
    for label in ["", " \u{0} ", &"a".repeat(61)] {
        assert_eq!(fields(begin(&who, PASSWORD, label).await), ["label"], "{label}");
    }
    let asked = begin(&who, PASSWORD, " My\u{1b}[31m phone ").await.unwrap();
    assert!(!all.read(&who.account).await.has_second_factor, "it was not made yet");
    let mut device = Authenticator::new(ORIGIN);
    let sent = PasskeyAnswer { answer: device.create(&asked.options), state: asked.state };
    all.service.finish_passkey(&who, &sent).await.unwrap();
    let context = all.context(&who.account).await;
    let listed = all.service.passkeys(&context, &who.account).await.unwrap();
    assert_eq!(listed.iter().map(|passkey| passkey.label.as_str()).collect::<Vec<_>>(), ["My phone"]);
    assert!(!listed[0].user_handle.contains("ana") && listed[0].used_at.is_none());
    assert!(all.read(&who.account).await.has_second_factor);
    assert_eq!(all.service.by_session(&other).await.unwrap(), None);
    assert_eq!(all.store.sessions(&who.account).await.unwrap().len(), 1);
    let added = DomainEvent::PasskeyAdded { account: who.account.clone(), passkey: listed[0].id.clone() };
    assert_eq!(all.audit().await.last(), Some(&(who.principal.clone(), added)));
}

#[tokio::test(start_paused = true)]
async fn creation_is_for_its_account_and_session_and_for_five_minutes_and_once() {
    let (all, who) = with_account().await;
    let bo = all.user_with_password("bo").await;
    let asked = all.service.begin_passkey(&who, password(PASSWORD).into(), "Phone").await.unwrap();
    let mut device = Authenticator::new(ORIGIN);
    let sent = PasskeyAnswer { answer: device.create(&asked.options), state: asked.state };
    for other in [all.signed_in(&who.account).await, all.signed_in(&bo).await] {
        assert_eq!(fields(all.service.finish_passkey(&other, &sent).await), ["passkey"]);
    }
    let request = all.service.passkey_request().unwrap().state;
    let mixed = PasskeyAnswer { state: request, ..sent.clone() };
    assert_eq!(fields(all.service.finish_passkey(&who, &mixed).await), ["passkey"], "it is no creation");
    advance(Duration::from_secs(299)).await;
    all.service.finish_passkey(&who, &sent).await.unwrap();
    let id = ids(&all, &who.account).await.remove(0);
    assert!(all.store.remove_passkey(&who.account, &id, None, &who.principal).await.unwrap());
    assert_eq!(fields(all.service.finish_passkey(&who, &sent).await), ["passkey"], "it was removed");
    let who = all.signed_in(&who.account).await;
    let asked = all.service.begin_passkey(&who, password(PASSWORD).into(), "Phone").await.unwrap();
    let sent = PasskeyAnswer { answer: device.create(&asked.options), state: asked.state };
    advance(Duration::from_mins(5)).await;
    assert_eq!(fields(all.service.finish_passkey(&who, &sent).await), ["passkey"], "the time is over");
    assert_eq!(ids(&all, &who.account).await, []);
}

#[tokio::test(start_paused = true)]
async fn new_passkey_of_another_place_is_refused() {
    let (all, who) = with_account().await;
    for trick in Trick::ALL.into_iter().filter(|trick| *trick != Trick::Signature) {
        let asked = all.service.begin_passkey(&who, password(PASSWORD).into(), "Phone").await.unwrap();
        let mut device = Authenticator { trick: Some(trick), ..Authenticator::new(ORIGIN) };
        let sent = PasskeyAnswer { answer: device.create(&asked.options), state: asked.state };
        assert_eq!(fields(all.service.finish_passkey(&who, &sent).await), ["passkey"], "{trick:?}");
    }
    assert_eq!(ids(&all, &who.account).await, []);
}

#[tokio::test(start_paused = true)]
async fn passkey_belongs_to_one_account() {
    let (all, mut who) = with_account().await;
    let mut device = all.passkey(&mut who).await;
    let bo = all.user_with_password("bo").await;
    let other = all.signed_in(&bo).await;
    let asked = all.service.begin_passkey(&other, password(PASSWORD).into(), "Mine").await.unwrap();
    let sent = PasskeyAnswer { answer: device.create(&asked.options), state: asked.state };
    assert_eq!(fields(all.service.finish_passkey(&other, &sent).await), ["passkey"]);
    assert_eq!((ids(&all, &bo).await.len(), ids(&all, &who.account).await.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn another_passkey_needs_the_first_one_and_the_eleventh_is_refused() {
    let (all, mut who) = with_account().await;
    let mut first = all.passkey(&mut who).await;
    let begun = all.service.begin_passkey(&who, password(PASSWORD).into(), "Phone").await;
    assert_eq!(fields(begun), ["passkey"]);
    for _ in 1..10 {
        let confirmation = with_passkey(all.answer(&mut first));
        all.passkey_confirmed(&mut who, confirmation, Authenticator::new(ORIGIN)).await;
    }
    let passkeys = all.store.passkeys(&who.account).await.unwrap();
    assert_eq!(passkeys.len(), 10);
    assert!(passkeys.iter().all(|passkey| passkey.user_handle == passkeys[0].user_handle));
    let begun = all.service.begin_passkey(&who, with_passkey(all.answer(&mut first)), "Phone").await;
    assert_eq!(fields(begun), ["passkey"]);
}

#[tokio::test(start_paused = true)]
async fn code_confirms_a_new_passkey_once() {
    let (all, who) = with_account().await;
    let factor = all.factor(&who.account).await;
    let who = SignedIn { session: all.signed_in(&who.account).await.session, ..who };
    let begin = async |code: &str| all.service.begin_passkey(&who, with_code(code), "Phone").await;
    assert_eq!(fields(begin("").await), ["code"]);
    assert_eq!(fields(begin(&all.wrong_code(&factor.secret)).await), ["code"]);
    let code = all.code(&factor.secret);
    begin(&code).await.unwrap();
    assert_eq!(fields(begin(&code).await), ["code"]);
    begin(factor.codes[0].expose()).await.unwrap();
    assert_eq!(fields(begin(factor.codes[0].expose()).await), ["code"]);
}

#[tokio::test(start_paused = true)]
async fn removal_needs_the_password_and_a_passkey_and_ends_the_other_sessions() {
    let (all, mut who) = with_account().await;
    let mut device = all.passkey(&mut who).await;
    let id = ids(&all, &who.account).await.remove(0);
    let other = all.session(&who.account).await;
    assert!(all.service.by_session(&other).await.unwrap().is_some());
    let remove = async |confirmation: Confirmation| all.service.remove_passkey(&who, &id, confirmation).await;
    assert_eq!(fields(remove(password(PASSWORD).into()).await), ["passkey"]);
    let wrong = Confirmation { current: password(OTHER_PASSWORD), ..with_passkey(all.answer(&mut device)) };
    assert_eq!(fields(remove(wrong).await), ["current_password"]);
    let mut foreign = Authenticator::new(ORIGIN);
    foreign.create(&all.service.begin_passkey(&who, with_passkey(all.answer(&mut device)), "x").await.unwrap().options);
    assert_eq!(fields(remove(with_passkey(all.answer(&mut foreign))).await), ["passkey"], "it was never added");
    let unknown = "0".repeat(32).parse().unwrap();
    let removed = all.service.remove_passkey(&who, &unknown, with_passkey(all.answer(&mut device))).await;
    assert_eq!(fields(removed), ["passkey"]);
    let answer = all.answer(&mut device);
    remove(with_passkey(answer.clone())).await.unwrap();
    assert!(!all.read(&who.account).await.has_second_factor);
    assert_eq!(all.service.by_session(&other).await.unwrap(), None);
    let removed = DomainEvent::PasskeyRemoved { account: who.account.clone(), passkey: id.clone() };
    assert_eq!(all.audit().await.last(), Some(&(who.principal.clone(), removed)));
    assert_eq!(fields(remove(with_passkey(answer)).await), ["passkey"]);
    all.sign_in("ana", PASSWORD).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn answer_confirms_one_change() {
    let (all, mut who) = with_account().await;
    let mut device = all.passkey_confirmed(&mut who, password(PASSWORD).into(), uncounted()).await;
    let answer = all.answer(&mut device);
    all.service.begin_passkey(&who, with_passkey(answer.clone()), "Phone").await.unwrap();
    let again = all.service.begin_passkey(&who, with_passkey(answer), "Phone").await;
    assert_eq!(fields(again), ["passkey"]);
}

fn uncounted() -> Authenticator {
    Authenticator { counts: false, ..Authenticator::new(ORIGIN) }
}

#[tokio::test(start_paused = true)]
async fn set_up_of_an_app_is_confirmed_with_the_passkey_of_the_account() {
    let (all, mut who) = with_account().await;
    let mut device = all.passkey(&mut who).await;
    assert_eq!(fields(all.service.begin_enrolment(&who, password(PASSWORD)).await), ["passkey"]);
    let enrolment = all.service.begin_enrolment(&who, with_passkey(all.answer(&mut device))).await.unwrap();
    let code = all.code(&enrolment.secret);
    all.service.confirm_enrolment(&who, &enrolment.sealed, &code).await.unwrap();
    let who = all.signed_in(&who.account).await;
    let answer = all.answer(&mut device);
    all.service.remove_app_with_passkey(&who, password(PASSWORD), answer).await.unwrap();
    let who = all.signed_in(&who.account).await;
    let again = all.service.remove_app_with_passkey(&who, password(PASSWORD), all.answer(&mut device)).await;
    assert_eq!(fields(again), ["second_factor"]);
    assert!(all.read(&who.account).await.has_second_factor, "the passkey");
}

#[tokio::test(start_paused = true)]
async fn passkey_gets_another_label() {
    let (all, mut who) = with_account().await;
    all.passkey(&mut who).await;
    let id = ids(&all, &who.account).await.remove(0);
    let bo = all.user_with_password("bo").await;
    let other = all.signed_in(&bo).await;
    assert_eq!(fields(all.service.rename_passkey(&other, &id, "Mine").await), ["passkey"]);
    assert_eq!(fields(all.service.rename_passkey(&who, &id, " ").await), ["label"]);
    all.service.rename_passkey(&who, &id, "Key").await.unwrap();
    assert_eq!(all.store.passkey(&id).await.unwrap().unwrap().label, "Key");
}

#[tokio::test(start_paused = true)]
async fn removal_of_a_required_passkey_ends_the_session() {
    let settings = AccessSettings { second_factor: FactorRule::All, ..AccessSettings::default() };
    let all = Fixture::with(settings, std::sync::Arc::default());
    let ana = all.user_with_password("ana").await;
    let factor = all.factor(&ana).await;
    let mut who = all.signed_in(&ana).await;
    let confirmation = with_code(&all.code(&factor.secret));
    let mut device = all.passkey_confirmed(&mut who, confirmation, Authenticator::new(ORIGIN)).await;
    let answer = all.answer(&mut device);
    let kept = all.service.remove_app_with_passkey(&who, password(PASSWORD), answer).await.unwrap();
    assert!(all.store.session(kept.secret.digest()).await.unwrap().is_some());
    let new = all.enter_passkey(&mut device).await.unwrap();
    assert!(all.service.by_session(&new.secret).await.unwrap().is_some(), "the passkey is the factor");
    let who = all.service.by_session(&new.secret).await.unwrap().unwrap();
    let id = ids(&all, &ana).await.remove(0);
    all.service.remove_passkey(&who, &id, with_passkey(all.answer(&mut device))).await.unwrap();
    assert_eq!(all.service.by_session(&new.secret).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn administrator_sees_and_removes_all_factors() {
    let (all, mut who) = with_account().await;
    let mut device = all.passkey(&mut who).await;
    let confirmation = with_passkey(all.answer(&mut device));
    all.passkey_confirmed(&mut who, confirmation, Authenticator::new(ORIGIN)).await;
    let admin = all.context_of("root", ServerRole::Admin).await;
    let auditor = all.context_of("eve", ServerRole::Auditor).await;
    let bo = all.user("bo", &[]).await;
    assert_eq!(all.service.passkeys(&auditor, &who.account).await.unwrap().len(), 2);
    let refused = all.service.passkeys(&all.context(&bo).await, &who.account).await;
    assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
    assert!(all.service.reset_second_factor(&admin, &who.account).await.unwrap());
    assert!(!all.read(&who.account).await.has_second_factor);
    assert!(all.store.sessions(&who.account).await.unwrap().is_empty());
    assert!(!all.service.reset_second_factor(&admin, &who.account).await.unwrap());
    let removed = |(by, event): &(Principal, DomainEvent)| {
        *by == admin.principal && matches!(event, DomainEvent::PasskeyRemoved { .. })
    };
    assert_eq!(all.audit().await.iter().filter(|entry| removed(entry)).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn server_without_an_address_says_which_setting_is_missing() {
    let (all, who) = with_account().await;
    let service = all.service.clone().with_passkeys(Err(NoPasskeys::NoAddress));
    let refused = service.begin_passkey(&who, password(PASSWORD).into(), "Phone").await.unwrap_err();
    let AccountError::Invalid(errors) = refused else { panic!("{refused:?}") };
    assert!(errors[0].message.contains("server.public_url"), "{errors:?}");
    assert_eq!(fields(service.passkey_request()), ["passkey"]);
    assert_eq!(service.relying_party().unwrap_err(), NoPasskeys::NoAddress);
}
