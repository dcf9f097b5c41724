use kastrel_actors::model::{AccountChange, DomainEvent, Principal, ServerRole};
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::{AccessStore as _, Clock as _};
use tokio::time::advance;

use super::super::AccessSettings;
use super::super::testing::{Calls, Fixture, OTHER_PASSWORD};
use super::*;

const ADDRESS: &str = "192.0.2.1";
const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn request(label: &str) -> DeviceRequest {
    DeviceRequest { label: label.into(), role: None, has_server_role: false, days: None, address: address(ADDRESS) }
}

async fn start(all: &Fixture) -> NewDeviceLogin {
    all.service.start_device_login(request("ana@laptop")).await.unwrap()
}

/// The account of a new session.
async fn session(all: &Fixture, name: &AccountName) -> SignedIn {
    let secret = all.session(name).await;
    all.service.by_session(&secret).await.unwrap().unwrap()
}

/// Creates a user with a session.
async fn signed_in(all: &Fixture, name: &str) -> SignedIn {
    let name = all.user(name, &[("default", ProjectRole::Scanner)]).await;
    session(all, &name).await
}

async fn decide(
    all: &Fixture,
    who: &SignedIn,
    new: &NewDeviceLogin,
    decision: DeviceDecision,
) -> Result<DeviceLogin, DeviceCodeError> {
    all.service.decide_device_login(who, &new.user_code.to_string(), decision, address(ADDRESS)).await
}

async fn allow(all: &Fixture, who: &SignedIn, new: &NewDeviceLogin) {
    decide(all, who, new, DeviceDecision::Allow).await.unwrap();
}

async fn poll(all: &Fixture, new: &NewDeviceLogin) -> DevicePoll {
    all.service.poll_device_login(&new.device_code).await.unwrap()
}

/// Enters a code that nobody has.
async fn guess(all: &Fixture, who: &SignedIn, from: &str) -> DeviceCodeError {
    let typed = UserCode::generate().to_string();
    all.service.waiting_device_login(who, &typed, address(from)).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn allowed_command_line_gets_a_token_once() {
    let all = Fixture::new();
    let ana = signed_in(&all, "ana").await;
    let new = start(&all).await;
    assert_eq!((new.lifetime, new.interval), (Duration::from_mins(10), 5));
    assert!(matches!(poll(&all, &new).await, DevicePoll::Pending));
    let typed = new.user_code.to_string().to_lowercase().replace('-', " ");
    let (code, login) = all.service.waiting_device_login(&ana, &typed, address(ADDRESS)).await.unwrap();
    assert_eq!((&code, login.label.as_str(), login.address.as_str()), (&new.user_code, "ana@laptop", ADDRESS));
    let before = all.audit().await.len();
    allow(&all, &ana, &new).await;
    assert!(all.store.tokens(&ana.account).await.unwrap().is_empty(), "the poll creates the token");
    advance(5 * SECOND).await;
    let DevicePoll::Token(token, record) = poll(&all, &new).await else { panic!("no token") };
    assert_eq!((record.label.as_str(), record.created_at), ("kastrel login on ana@laptop", all.clock.now()));
    assert_eq!(record.expires_at.duration_since(record.created_at), SignedDuration::from_hours(90 * 24));
    let scope = TokenScope { role: ProjectRole::Operator, project: None, has_server_role: false };
    assert_eq!((&record.scope, &record.networks), (&scope, &Vec::new()));
    assert_eq!(all.store.tokens(&ana.account).await.unwrap(), std::slice::from_ref(&*record));
    let who = all.service.by_token(token.expose(), None).await.unwrap().unwrap();
    assert_eq!((&who.account, who.grants.highest_role()), (&ana.account, Some(ProjectRole::Scanner)));
    let by = Principal::User(ana.account.clone());
    let allowed = DomainEvent::DeviceLoginAllowed {
        account: ana.account.clone(),
        label: "ana@laptop".into(),
        address: ADDRESS.into(),
    };
    let created = DomainEvent::TokenCreated { account: ana.account.clone(), token: record.id.clone() };
    assert_eq!(all.audit().await[before..], [(by.clone(), allowed), (by, created)]);
    for _ in 0..2 {
        assert!(matches!(poll(&all, &new).await, DevicePoll::Expired), "it was used");
        advance(5 * SECOND).await;
    }
    assert_eq!(all.store.tokens(&ana.account).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn poll_that_comes_too_early_gets_nothing_and_must_wait_for_longer() {
    let all = Fixture::new();
    let ana = signed_in(&all, "ana").await;
    let new = start(&all).await;
    assert!(matches!(poll(&all, &new).await, DevicePoll::Pending));
    allow(&all, &ana, &new).await;
    advance(5 * SECOND - Duration::from_millis(1)).await;
    assert!(matches!(poll(&all, &new).await, DevicePoll::SlowDown { interval: 10 }));
    advance(5 * SECOND).await;
    assert!(matches!(poll(&all, &new).await, DevicePoll::SlowDown { interval: 15 }));
    for _ in 0..20 {
        poll(&all, &new).await;
    }
    assert_eq!(all.calls.of("note_device_poll"), 12, "the first poll, and up to 60 seconds in steps of 5");
    advance(60 * SECOND).await;
    assert!(matches!(poll(&all, &new).await, DevicePoll::Token(..)));
}

#[tokio::test(start_paused = true)]
async fn denied_command_line_gets_nothing() {
    let all = Fixture::new();
    let ana = signed_in(&all, "ana").await;
    let new = start(&all).await;
    decide(&all, &ana, &new, DeviceDecision::Deny).await.unwrap();
    let denied = DomainEvent::DeviceLoginDenied {
        account: ana.account.clone(),
        label: "ana@laptop".into(),
        address: ADDRESS.into(),
    };
    assert_eq!(all.audit().await.last(), Some(&(Principal::User(ana.account.clone()), denied)));
    assert!(matches!(poll(&all, &new).await, DevicePoll::Denied));
    let second = decide(&all, &ana, &new, DeviceDecision::Allow).await;
    assert!(matches!(second, Err(DeviceCodeError::NotValid)), "{second:?}");
    advance(5 * SECOND).await;
    assert!(matches!(poll(&all, &new).await, DevicePoll::Denied));
    assert!(all.store.tokens(&ana.account).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn device_login_expires_after_10_minutes_in_each_state() {
    let all = Fixture::new();
    let ana = signed_in(&all, "ana").await;
    let (waiting, allowed) = (start(&all).await, start(&all).await);
    allow(&all, &ana, &allowed).await;
    advance(LIFETIME - Duration::from_millis(1)).await;
    assert!(matches!(poll(&all, &waiting).await, DevicePoll::Pending));
    advance(Duration::from_millis(1)).await;
    for new in [&waiting, &allowed] {
        assert!(matches!(poll(&all, new).await, DevicePoll::Expired));
        let late = decide(&all, &ana, new, DeviceDecision::Allow).await;
        assert!(matches!(late, Err(DeviceCodeError::NotValid)), "{late:?}");
    }
    let unknown = all.service.poll_device_login(&RandomSecret::generate()).await.unwrap();
    assert!(matches!(unknown, DevicePoll::Expired));
    assert!(all.store.tokens(&ana.account).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn command_line_that_gave_up_gets_nothing_later() {
    let all = Fixture::new();
    let ana = signed_in(&all, "ana").await;
    let new = start(&all).await;
    all.service.cancel_device_login(&new.device_code).await.unwrap();
    all.service.cancel_device_login(&new.device_code).await.unwrap();
    let late = decide(&all, &ana, &new, DeviceDecision::Allow).await;
    assert!(matches!(late, Err(DeviceCodeError::NotValid)), "{late:?}");
    assert!(matches!(poll(&all, &new).await, DevicePoll::Expired));
}

#[tokio::test(start_paused = true)]
async fn account_that_changes_between_the_decision_and_the_poll_gets_no_token() {
    for change in 0..3 {
        let all = Fixture::new();
        let ana = signed_in(&all, "ana").await;
        let new = start(&all).await;
        allow(&all, &ana, &new).await;
        let by = Principal::System;
        match change {
            0 => {
                all.store.change_account(&ana.account, AccountChange::Disable, &by).await.unwrap();
                all.store.change_account(&ana.account, AccountChange::Enable, &by).await.unwrap();
            }
            1 => {
                let role = AccountChange::SetServerRole(Some(ServerRole::Auditor));
                all.store.change_account(&ana.account, role, &by).await.unwrap();
            }
            _ => all.set_password(&ana.account, OTHER_PASSWORD).await,
        }
        assert!(matches!(poll(&all, &new).await, DevicePoll::Expired), "{change}");
        assert!(all.store.tokens(&ana.account).await.unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn account_that_is_disabled_during_the_poll_gets_no_token() {
    let all = Fixture::new();
    let ana = signed_in(&all, "ana").await;
    let new = start(&all).await;
    allow(&all, &ana, &new).await;
    let (store, name) = (std::sync::Arc::clone(&all.store), ana.account.clone());
    all.calls.run_before("finish_device_login", async move {
        store.change_account(&name, AccountChange::Disable, &Principal::System).await.unwrap();
    });
    assert!(matches!(poll(&all, &new).await, DevicePoll::Expired));
    assert_eq!(all.calls.of("finish_device_login"), 1);
    assert!(all.store.tokens(&ana.account).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn account_without_the_factor_that_it_must_have_gets_no_token() {
    let settings = AccessSettings { second_factor: FactorRule::All, ..AccessSettings::default() };
    let all = Fixture::with(settings, std::sync::Arc::default());
    let name = all.user("ana", &[]).await;
    let new = start(&all).await;
    let login = all.service.device_logins.device_login(new.device_code.digest(), all.clock.now()).await.unwrap();
    let (login, now) = (login.unwrap(), all.clock.now());
    // A decision of a session that existed before the rule.
    let decided = all.service.device_logins.decide_device_login(&login, &name, DeviceDecision::Allow, now).await;
    assert!(decided.unwrap());
    assert!(matches!(poll(&all, &new).await, DevicePoll::Denied));
    advance(5 * SECOND).await;
    assert!(matches!(poll(&all, &new).await, DevicePoll::Expired), "it was ended");
}

#[tokio::test(start_paused = true)]
async fn two_polls_at_once_create_one_device_token() {
    let all = Fixture::with(AccessSettings::default(), Calls::slow(Duration::from_millis(10)));
    let ana = signed_in(&all, "ana").await;
    let new = start(&all).await;
    allow(&all, &ana, &new).await;
    let (one, other) = tokio::join!(poll(&all, &new), poll(&all, &new));
    let tokens = [&one, &other].iter().filter(|answer| matches!(answer, DevicePoll::Token(..))).count();
    assert_eq!(tokens, 1, "{one:?} {other:?}");
    assert_eq!(all.store.tokens(&ana.account).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn token_allows_no_device_login() {
    let all = Fixture::new();
    let name = all.user("ana", &[]).await;
    let scope = TokenScope { role: ProjectRole::Owner, project: None, has_server_role: true };
    let token = all.token(&name, scope).await;
    let who = all.service.by_token(token.expose(), None).await.unwrap().unwrap();
    let new = start(&all).await;
    let refused = decide(&all, &who, &new, DeviceDecision::Allow).await;
    assert!(matches!(refused, Err(DeviceCodeError::NotValid)), "{refused:?}");
    assert!(matches!(poll(&all, &new).await, DevicePoll::Pending));
}

#[tokio::test(start_paused = true)]
async fn wrong_user_codes_are_throttled_by_account_and_network() {
    let all = Fixture::new();
    let (ana, ben) = (signed_in(&all, "ana").await, signed_in(&all, "ben").await);
    let new = start(&all).await;
    let enter = async |who: &SignedIn, from: &str| {
        all.service.waiting_device_login(who, &new.user_code.to_string(), address(from)).await
    };
    for _ in 0..3 {
        // A right code does not make further guesses free.
        enter(&ana, ADDRESS).await.unwrap();
        assert!(matches!(guess(&all, &ana, ADDRESS).await, DeviceCodeError::NotValid));
    }
    assert!(matches!(guess(&all, &ana, ADDRESS).await, DeviceCodeError::Throttled { .. }));
    let waits = enter(&ana, ADDRESS).await;
    assert!(matches!(waits, Err(DeviceCodeError::Throttled { .. })), "the right code is not looked at: {waits:?}");
    enter(&ben, ADDRESS).await.unwrap();
    advance(SECOND).await;
    enter(&ana, ADDRESS).await.unwrap();
    // Texts of another form are not looked up.
    let before = all.calls.of("device_login_of_code");
    for typed in ["", "BCDF", "AAAA-AAAA", "' OR 1=1"] {
        let refused = all.service.waiting_device_login(&ana, typed, address(ADDRESS)).await;
        assert!(matches!(refused, Err(DeviceCodeError::NotValid)), "{refused:?}");
    }
    assert_eq!(all.calls.of("device_login_of_code"), before);
    // One network, with an account for each guess.
    for number in 0..80 {
        let who = signed_in(&all, &format!("guest{number}")).await;
        guess(&all, &who, "198.51.100.7").await;
    }
    assert!(matches!(enter(&ben, "198.51.100.8").await, Err(DeviceCodeError::Throttled { .. })));
    enter(&ben, "203.0.113.1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wrong_user_code_does_not_delay_a_sign_in() {
    let all = Fixture::new();
    let name = all.user_with_password("ana").await;
    let ana = session(&all, &name).await;
    for _ in 0..5 {
        guess(&all, &ana, ADDRESS).await;
    }
    all.sign_in("ana", super::super::testing::PASSWORD).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn device_logins_of_a_network_and_of_all_are_limited() {
    let all = Fixture::new();
    let from = async |text: &str| {
        let request = DeviceRequest { address: address(text), ..request("laptop") };
        all.service.start_device_login(request).await
    };
    let first = from("192.0.2.1").await.unwrap();
    advance(SECOND).await;
    for host in 2..=20 {
        from(&format!("192.0.2.{host}")).await.unwrap();
    }
    let full = from("192.0.2.99").await;
    let Err(DeviceLoginError::Full { retry_after }) = full else { panic!("{full:?}") };
    assert_eq!(retry_after, LIFETIME - SECOND, "the first one expires then");
    all.service.cancel_device_login(&first.device_code).await.unwrap();
    from("192.0.2.99").await.unwrap();
    for network in 0..24 {
        for host in 1..=20 {
            from(&format!("198.18.{network}.{host}")).await.unwrap();
        }
    }
    let full = from("203.0.113.1").await;
    assert!(matches!(full, Err(DeviceLoginError::Full { .. })), "{full:?}");
    advance(LIFETIME).await;
    from("203.0.113.1").await.unwrap();
    all.service.delete_expired().await.unwrap();
    from("192.0.2.1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn parallel_requests_do_not_exceed_the_limit() {
    let all = Fixture::with(AccessSettings::default(), Calls::slow(Duration::from_millis(1)));
    let all_at_once = (0..40).map(|_| all.service.start_device_login(request("laptop")));
    let created = futures_util::future::join_all(all_at_once).await;
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 20);
}

#[tokio::test(start_paused = true)]
async fn invalid_fields_of_a_device_login_are_named() {
    let all = Fixture::new();
    let fields = async |label: &str, days: Option<u32>| match all
        .service
        .start_device_login(DeviceRequest { days, ..request(label) })
        .await
    {
        Err(DeviceLoginError::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(fields(" \u{0}\u{202e}", Some(0)).await, ["label", "days"]);
    assert_eq!(fields(&"a".repeat(65), Some(367)).await, ["label", "days"]);
    let ana = signed_in(&all, "ana").await;
    let hostile = DeviceRequest { days: Some(366), ..request("lap\u{1b}[31mtop\r\nserver\u{202e}") };
    let new = all.service.start_device_login(hostile).await.unwrap();
    let typed = new.user_code.to_string();
    let (_, login) = all.service.waiting_device_login(&ana, &typed, address(ADDRESS)).await.unwrap();
    assert_eq!((login.label.as_str(), login.request.days), ("laptop server", 366));
    assert!(!format!("{new:?}").contains(new.device_code.expose()));
}
