//! Tests of everything that is mailed: requests for a new password, mail addresses, first links and
//! notices.

use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    AccountChange, AccountKind, AccountName, DomainEvent, LinkPurpose, MailAddress, Principal, ServerRole,
};
use kastrel_actors::ports::{AccessStore as _, MailStore as _};
use tokio::time::advance;

use super::testing::{Fixture, OTHER_PASSWORD, PASSWORD, fields, password};
use super::{AccountRequest, MailChange, MailSettings, SignedIn};
use crate::identity::secret::RandomSecret;
use crate::ports::{Mail, MemoryMailer};

const URL: &str = "https://scans.example.com/kastrel";

fn mail(text: &str) -> MailAddress {
    format!("{text}@example.com").parse().unwrap()
}

/// A service with mails, and the mails that it sent.
fn with_mails() -> (Fixture, Arc<MemoryMailer>) {
    let mut all = Fixture::new();
    let mailer = Arc::<MemoryMailer>::default();
    let settings = MailSettings { mailer: Arc::<MemoryMailer>::clone(&mailer), url: URL.into() };
    let (service, jobs) = all.service.clone().with_mail(settings);
    tokio::spawn(service.clone().carry_out(jobs));
    all.service = service;
    (all, mailer)
}

async fn user(all: &Fixture, name: &str) -> AccountName {
    let account = all.user_with_password(name).await;
    assert!(all.store.set_mail(&account, Some(&mail(name)), &Principal::System).await.unwrap());
    account
}

/// Requests a link from an address, and returns the mails that follow.
async fn ask_from(all: &Fixture, mailer: &MemoryMailer, typed: &str, address: &str) -> Vec<Mail> {
    all.service.request_password_link(typed, address.parse().unwrap()).unwrap();
    sent(all, mailer).await
}

async fn ask(all: &Fixture, mailer: &MemoryMailer, typed: &str) -> Vec<Mail> {
    ask_from(all, mailer, typed, "192.0.2.1").await
}

async fn sent(all: &Fixture, mailer: &MemoryMailer) -> Vec<Mail> {
    all.service.finish_mails(Duration::from_secs(60)).await;
    mailer.take()
}

fn secret_of(mail: &Mail, path: &str) -> RandomSecret {
    let (_, rest) = mail.text.split_once(&format!("{URL}{path}?link=")).unwrap();
    RandomSecret::parse(&rest[..64]).unwrap()
}

fn subjects(mails: &[Mail]) -> Vec<(&str, &str)> {
    mails.iter().map(|mail| (mail.to.as_str(), mail.subject)).collect()
}

async fn session_of(all: &Fixture, name: &AccountName) -> SignedIn {
    let secret = all.session(name).await;
    all.service.by_session(&secret).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn mailed_link_sets_the_password_once_and_its_user_gets_a_notice() {
    let (all, mailer) = with_mails();
    let ana = user(&all, "ana").await;
    let session = all.session(&ana).await;
    let mails = ask(&all, &mailer, " ANA ").await;
    assert_eq!(subjects(&mails), [("ana@example.com", "Kastrel: set a new password")]);
    assert!(mails[0].text.contains("192.0.2.1") && mails[0].text.contains("60 minutes"), "{}", mails[0].text);
    let mailed = DomainEvent::PasswordLinkMailed { account: ana.clone(), address: Some("192.0.2.1".into()) };
    assert_eq!(all.audit().await.last(), Some(&(Principal::Anonymous, mailed)));
    let link = secret_of(&mails[0], "/set-password");
    assert!(!format!("{:?}", all.audit().await).contains(link.expose()));
    assert_eq!(all.service.link(&link).await.unwrap(), Some(LinkPurpose::SetPassword(ana.clone())));
    all.sign_in("ana", PASSWORD).await.unwrap();
    let set = async || all.service.set_password_by_link(&link, password(OTHER_PASSWORD)).await.unwrap();
    assert_eq!(set().await, Some(ana));
    assert_eq!(all.service.by_session(&session).await.unwrap(), None);
    assert_eq!(set().await, None);
    all.sign_in("ana", OTHER_PASSWORD).await.unwrap();
    let notices = sent(&all, &mailer).await;
    assert_eq!(subjects(&notices), [("ana@example.com", "Kastrel: your password was changed")]);
}

#[tokio::test(start_paused = true)]
async fn mailed_link_expires_after_an_hour() {
    let (all, mailer) = with_mails();
    user(&all, "ana").await;
    let mails = ask(&all, &mailer, "ana").await;
    let link = secret_of(&mails[0], "/set-password");
    advance(Duration::from_secs(3600) - Duration::from_millis(1)).await;
    assert!(all.service.link(&link).await.unwrap().is_some());
    advance(Duration::from_millis(1)).await;
    assert_eq!(all.service.set_password_by_link(&link, password(OTHER_PASSWORD)).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn mailed_link_leaves_the_second_factor() {
    let (all, mailer) = with_mails();
    let ana = user(&all, "ana").await;
    let factor = all.factor(&ana).await;
    let mails = ask(&all, &mailer, "ana").await;
    let link = secret_of(&mails[0], "/set-password");
    all.service.set_password_by_link(&link, password(OTHER_PASSWORD)).await.unwrap().unwrap();
    assert!(all.read(&ana).await.has_second_factor);
    all.set_password(&ana, PASSWORD).await;
    let pending = all.pending("ana").await;
    all.enter(&pending, &all.code(&factor.secret)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn request_has_one_answer_for_all_names_and_few_accounts_get_a_mail() {
    let (all, mailer) = with_mails();
    let off = user(&all, "off").await;
    all.store.change_account(&off, AccountChange::Disable, &Principal::System).await.unwrap();
    let robot = all.account("robot", AccountKind::Service, None, &[]).await;
    all.set_password(&robot, PASSWORD).await;
    all.store.set_mail(&robot, Some(&mail("robot")), &Principal::System).await.unwrap();
    let new = all.user("new", &[]).await;
    all.store.set_mail(&new, Some(&mail("new")), &Principal::System).await.unwrap();
    all.user_with_password("plain").await;
    let before = all.audit().await.len();
    for (number, typed) in [
        "off",
        "off@example.com",
        "robot",
        "new",
        "plain",
        "nobody",
        "no name",
        "x@y\r\nBcc: z@y",
        "\u{0}",
        &"a".repeat(9999),
    ]
    .into_iter()
    .enumerate()
    {
        // Each one from a network of its own, as far as the throttle is concerned.
        let mails = ask_from(&all, &mailer, typed, &format!("198.51.{number}.1")).await;
        assert!(mails.is_empty(), "{typed}: {mails:?}");
    }
    assert_eq!(all.audit().await.len(), before, "what nobody gets has no entry");
    assert_eq!(all.calls.of("create_mailed_link"), 0);
}

#[tokio::test(start_paused = true)]
async fn each_account_with_the_address_gets_a_mail_of_its_own() {
    let (all, mailer) = with_mails();
    user(&all, "ana").await;
    let second = all.user_with_password("ana-admin").await;
    let upper: MailAddress = "ANA@Example.com".parse().unwrap();
    all.store.set_mail(&second, Some(&upper), &Principal::System).await.unwrap();
    // A name that looks like an address is a name, too.
    let named = all.user_with_password("ana@example.com").await;
    all.store.set_mail(&named, Some(&mail("other")), &Principal::System).await.unwrap();
    let mails = ask(&all, &mailer, "ana@example.com").await;
    let mut found: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
    found.sort_unstable();
    assert_eq!(found, ["ANA@Example.com", "ana@example.com", "other@example.com"]);
    let links: Vec<_> = mails.iter().map(|mail| secret_of(mail, "/set-password").digest()).collect();
    assert!(links[0] != links[1] && links[1] != links[2]);
}

#[tokio::test(start_paused = true)]
async fn account_gets_three_mails_an_hour_and_the_caller_learns_nothing() {
    let (all, mailer) = with_mails();
    user(&all, "ana").await;
    for number in 0..5 {
        let mails = ask_from(&all, &mailer, "ana", &format!("198.51.{number}.1")).await;
        assert_eq!(mails.len(), usize::from(number < 3), "{number}");
    }
    advance(Duration::from_secs(3600)).await;
    let mails = ask(&all, &mailer, "ana").await;
    assert_eq!(mails.len(), 1);
    let link = secret_of(&mails[0], "/set-password");
    assert!(all.service.link(&link).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn network_with_many_requests_must_wait() {
    let (all, _mailer) = with_mails();
    let ask = |address: &str| all.service.request_password_link("nobody", address.parse().unwrap());
    for last in 0..10 {
        ask(&format!("192.0.2.{last}")).unwrap();
    }
    let wait = ask("192.0.2.99").unwrap_err();
    assert_eq!(wait, Duration::from_secs(3600));
    ask("198.51.100.1").unwrap();
    advance(wait).await;
    ask("192.0.2.99").unwrap();
}

#[tokio::test(start_paused = true)]
async fn requests_that_nobody_carries_out_are_bounded_and_accepted_all_the_same() {
    let all = Fixture::new();
    let mailer = Arc::<MemoryMailer>::default();
    let (service, _jobs) = all.service.clone().with_mail(MailSettings { mailer, url: URL.into() });
    for number in 0..200 {
        service.request_password_link("ana", format!("198.51.{number}.1").parse().unwrap()).unwrap();
    }
    // Nothing is carried out, so the wait ends at its limit.
    service.finish_mails(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn address_that_is_changed_meanwhile_gets_no_link() {
    let (all, mailer) = with_mails();
    let ana = user(&all, "ana").await;
    let (store, name) = (Arc::clone(&all.store), ana.clone());
    all.calls.run_before("create_mailed_link", async move {
        store.set_mail(&name, Some(&mail("new")), &Principal::System).await.unwrap();
    });
    assert!(ask(&all, &mailer, "ana").await.is_empty());
    let (store, name) = (Arc::clone(&all.store), ana.clone());
    all.calls.run_before("create_mailed_link", async move {
        store.change_account(&name, AccountChange::Disable, &Principal::System).await.unwrap();
    });
    assert!(ask(&all, &mailer, "ana").await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn changed_address_ends_the_mailed_links() {
    let (all, mailer) = with_mails();
    let admin = all.context_of("root", ServerRole::Admin).await;
    let ana = user(&all, "ana").await;
    let mails = ask(&all, &mailer, "ana").await;
    let link = secret_of(&mails[0], "/set-password");
    assert!(all.service.set_mail(&admin, &ana, Some("new@example.com")).await.unwrap());
    assert_eq!(all.service.link(&link).await.unwrap(), None);
    let notices = sent(&all, &mailer).await;
    assert_eq!(subjects(&notices), [("ana@example.com", "Kastrel: your mail address was changed")]);
}

#[tokio::test(start_paused = true)]
async fn own_address_needs_the_password_and_counts_when_it_is_confirmed() {
    let (all, mailer) = with_mails();
    let ana = user(&all, "ana").await;
    let who = session_of(&all, &ana).await;
    let change =
        async |who: &SignedIn, text: &str, mail: &str| all.service.change_mail(who, password(text), mail).await;
    let with_token = SignedIn { session: None, ..who.clone() };
    assert_eq!(fields(change(&with_token, PASSWORD, "new@example.com").await), ["current_password"]);
    assert_eq!(fields(change(&who, OTHER_PASSWORD, "new@example.com").await), ["current_password"]);
    for wrong in ["new", "new@example.com, x@example.com", "ana@example.com"] {
        assert_eq!(fields(change(&who, PASSWORD, wrong).await), ["mail"], "{wrong}");
    }
    assert_eq!(change(&who, PASSWORD, " new@example.com ").await.unwrap(), MailChange::Waits(mail("new")));
    assert_eq!(all.read(&ana).await.mail, Some(mail("ana")));
    let mails = sent(&all, &mailer).await;
    let expected = [
        ("new@example.com", "Kastrel: confirm your mail address"),
        ("ana@example.com", "Kastrel: a new mail address was entered"),
    ];
    assert_eq!(subjects(&mails), expected);
    let link = secret_of(&mails[0], "/confirm-mail");
    assert_eq!(all.service.waiting_mail(&link).await.unwrap().unwrap().mail, mail("new"));
    assert_eq!(all.service.link(&link).await.unwrap(), None, "it sets no password");
    let (one, other) = tokio::join!(all.service.confirm_mail(&link), all.service.confirm_mail(&link));
    assert_ne!(one.unwrap().is_some(), other.unwrap().is_some(), "it works once");
    assert_eq!(all.read(&ana).await.mail, Some(mail("new")));
    assert_eq!(all.service.confirm_mail(&link).await.unwrap(), None);
    let notices = sent(&all, &mailer).await;
    assert_eq!(subjects(&notices), [("ana@example.com", "Kastrel: your mail address was changed")]);
    assert_eq!(change(&who, PASSWORD, "").await.unwrap(), MailChange::Removed);
    assert_eq!(all.read(&ana).await.mail, None);
    let notices = sent(&all, &mailer).await;
    assert_eq!(subjects(&notices), [("new@example.com", "Kastrel: your mail address was changed")]);
}

#[tokio::test(start_paused = true)]
async fn confirmation_expires_after_a_day_and_ends_with_a_new_password() {
    let (all, mailer) = with_mails();
    let ana = user(&all, "ana").await;
    let who = session_of(&all, &ana).await;
    let begin = async |to: &str| {
        all.service.change_mail(&who, password(PASSWORD), to).await.unwrap();
        secret_of(&sent(&all, &mailer).await[0], "/confirm-mail")
    };
    let (replaced, link) = (begin("one@example.com").await, begin("two@example.com").await);
    assert_eq!(all.service.confirm_mail(&replaced).await.unwrap(), None);
    advance(Duration::from_hours(24)).await;
    assert_eq!(all.service.confirm_mail(&link).await.unwrap(), None);
    let who = session_of(&all, &ana).await;
    all.service.change_mail(&who, password(PASSWORD), "three@example.com").await.unwrap();
    let link = secret_of(&sent(&all, &mailer).await[0], "/confirm-mail");
    all.service.change_password(&who, password(PASSWORD), password(OTHER_PASSWORD)).await.unwrap();
    assert_eq!(all.service.confirm_mail(&link).await.unwrap(), None);
    assert_eq!(all.read(&ana).await.mail, Some(mail("ana")));
}

#[tokio::test(start_paused = true)]
async fn new_addresses_of_an_account_are_limited() {
    let (all, _mailer) = with_mails();
    let ana = user(&all, "ana").await;
    let who = session_of(&all, &ana).await;
    let change = async |number: u32| {
        all.service.change_mail(&who, password(PASSWORD), &format!("new-{number}@example.com")).await
    };
    for number in 0..5 {
        change(number).await.unwrap();
    }
    assert_eq!(fields(change(5).await), ["mail"]);
}

#[tokio::test(start_paused = true)]
async fn address_is_set_by_administrators_for_others_alone() {
    let (all, _mailer) = with_mails();
    let admin = all.context_of("root", ServerRole::Admin).await;
    let ana = user(&all, "ana").await;
    let robot = all.account("robot", AccountKind::Service, None, &[]).await;
    let own = all.context(&ana).await;
    let denied = all.service.set_mail(&own, &ana, Some("x@example.com")).await;
    assert!(matches!(denied, Err(super::AccountError::Denied(_))), "{denied:?}");
    let root = "root".parse().unwrap();
    assert_eq!(fields(all.service.set_mail(&admin, &root, Some("x@example.com")).await), ["name"]);
    assert_eq!(fields(all.service.set_mail(&admin, &robot, Some("x@example.com")).await), ["mail"]);
    assert_eq!(fields(all.service.set_mail(&admin, &ana, Some("x")).await), ["mail"]);
    assert!(!all.service.set_mail(&admin, &"nobody".parse().unwrap(), None).await.unwrap());
    assert!(all.service.set_mail(&admin, &ana, None).await.unwrap());
    let changed = DomainEvent::MailChanged { account: ana };
    assert_eq!(all.audit().await.last(), Some(&(admin.principal, changed)));
}

#[tokio::test(start_paused = true)]
async fn security_events_are_mailed_and_a_lost_notice_fails_nothing() {
    let (all, mailer) = with_mails();
    let admin = all.context_of("root", ServerRole::Admin).await;
    let ana = user(&all, "ana").await;
    let who = session_of(&all, &ana).await;
    all.service.change_password(&who, password(PASSWORD), password(OTHER_PASSWORD)).await.unwrap();
    all.factor(&ana).await;
    assert!(all.service.reset_second_factor(&admin, &ana).await.unwrap());
    let mails = sent(&all, &mailer).await;
    let expected = ["Kastrel: your password was changed", "Kastrel: your second factor was removed"];
    assert_eq!(subjects(&mails), expected.map(|subject| ("ana@example.com", subject)));
    mailer.refuse();
    let who = session_of(&all, &ana).await;
    all.service.change_password(&who, password(OTHER_PASSWORD), password(PASSWORD)).await.unwrap();
    assert!(sent(&all, &mailer).await.is_empty());
    all.sign_in("ana", PASSWORD).await.unwrap();
}

fn new_account(name: &str, mail: Option<&str>, send_link: bool) -> AccountRequest {
    AccountRequest {
        name: name.into(),
        kind: AccountKind::User,
        server_role: None,
        password: None,
        mail: mail.map(str::to_owned),
        send_link,
        memberships: std::collections::BTreeMap::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn first_link_is_mailed_or_returned_if_the_mail_server_refuses_it() {
    let (all, mailer) = with_mails();
    let admin = all.context_of("root", ServerRole::Admin).await;
    let create = async |request| all.service.create_account(&admin, request).await;
    let (account, shown) = create(new_account("ana", Some("ana@example.com"), true)).await.unwrap();
    assert!(shown.is_none());
    assert_eq!(account.mail, Some(mail("ana")));
    assert_eq!(all.read(&account.name).await, account);
    let mails = mailer.take();
    assert_eq!(subjects(&mails), [("ana@example.com", "Kastrel: your new account")]);
    let link = secret_of(&mails[0], "/set-password");
    assert_eq!(all.service.link(&link).await.unwrap(), Some(LinkPurpose::SetPassword(account.name)));
    let (_, shown) = create(new_account("ben", Some("ben@example.com"), false)).await.unwrap();
    assert!(shown.is_some() && mailer.take().is_empty());
    assert_eq!(fields(create(new_account("cy", None, true)).await), ["send_link"]);
    let with_password =
        AccountRequest { password: Some(password(PASSWORD)), ..new_account("cy", Some("cy@x.y"), true) };
    assert_eq!(fields(create(with_password).await), ["send_link"]);
    mailer.refuse();
    let (_, shown) = create(new_account("di", Some("di@example.com"), true)).await.unwrap();
    let shown = shown.expect("somebody passes it on");
    assert!(all.service.link(&shown).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn server_without_mails_refuses_what_needs_them() {
    let all = Fixture::new();
    let admin = all.context_of("root", ServerRole::Admin).await;
    let ana = all.user_with_password("ana").await;
    let who = session_of(&all, &ana).await;
    assert!(!all.service.has_mail());
    all.service.request_password_link("ana", "192.0.2.1".parse().unwrap()).unwrap();
    let refused = all.service.create_account(&admin, new_account("ben", Some("ben@example.com"), true)).await;
    assert_eq!(fields(refused), ["send_link"]);
    assert_eq!(fields(all.service.change_mail(&who, password(PASSWORD), "a@example.com").await), ["mail"]);
    assert!(all.service.set_mail(&admin, &ana, Some("a@example.com")).await.unwrap());
    assert_eq!(all.service.change_mail(&who, password(PASSWORD), "").await.unwrap(), MailChange::Removed);
}
