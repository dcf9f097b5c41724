//! The contract of mail addresses, of new ones that wait for their confirmation, and of mailed
//! links.

use jiff::Timestamp;

use super::*;
use crate::model::{
    AccountChange, AccountKind, AccountName, AuditQuery, DomainEvent, LinkPurpose, MailAddress, MailRequest,
    MailedLink, NewAccount, OneTimeLink, SecretDigest,
};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! mail_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; mail;
            a_mail_address_is_set_changed_and_removed
            a_waiting_address_replaces_the_earlier_one
            a_waiting_address_is_confirmed_once
            a_waiting_address_is_returned_until_it_expires
            two_confirmations_at_once_change_the_address_once
            a_new_password_and_the_end_of_an_account_end_its_waiting_address
            a_mailed_link_needs_the_address_of_an_account_that_is_not_disabled
            an_account_has_so_many_mailed_links
            a_changed_address_ends_the_mailed_links_alone
            waiting_addresses_that_expired_are_deleted
            mail_addresses_outlive_the_process
        }
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn mail(text: &str) -> MailAddress {
    format!("{text}@example.com").parse().unwrap()
}

const fn digest(byte: u8) -> SecretDigest {
    SecretDigest::new([byte; 32])
}

fn boss() -> Principal {
    Principal::User(name("boss"))
}

fn request(byte: u8, account: &str, local: &str) -> MailRequest {
    MailRequest { key: digest(byte), account: name(account), mail: mail(local), expires_at: at(100) }
}

fn link(byte: u8, account: &str, local: &str, expires: i64) -> MailedLink {
    MailedLink {
        key: digest(byte),
        account: name(account),
        mail: mail(local),
        expires_at: at(expires),
        address: Some("192.0.2.7".into()),
    }
}

/// Creates users with the address of their name.
async fn with_accounts<H: StoreHarness>(world: &World<H>, accounts: &[&str]) {
    for account in accounts {
        let new = NewAccount {
            name: name(account),
            kind: AccountKind::User,
            server_role: None,
            password_hash: Some("$hash".into()),
            mail: Some(mail(account)),
            memberships: BTreeMap::new(),
        };
        assert!(world.store.create_account(new, at(0), &Principal::System).await.unwrap());
    }
}

async fn mail_of<H: StoreHarness>(world: &World<H>, account: &str) -> Option<MailAddress> {
    world.store.account(&name(account)).await.unwrap().unwrap().mail
}

async fn ask<H: StoreHarness>(world: &World<H>, request: MailRequest) {
    assert!(world.store.request_mail(request, &boss()).await.unwrap());
}

async fn create<H: StoreHarness>(world: &World<H>, link: MailedLink, most: u32, now: i64) -> bool {
    world.store.create_mailed_link(link, most, at(now), &Principal::Anonymous).await.unwrap()
}

async fn waits<H: StoreHarness>(world: &World<H>, byte: u8) -> bool {
    world.store.mail_request(digest(byte), at(1)).await.unwrap().is_some()
}

async fn has_link<H: StoreHarness>(world: &World<H>, byte: u8) -> bool {
    world.store.link(digest(byte), at(1)).await.unwrap().is_some()
}

/// Returns the entries of the audit log without those of new accounts, oldest first.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<(DomainEvent, Principal)> {
    let mut entries = world.store.audit(&AuditQuery::newest(1000)).await.unwrap().entries;
    entries.reverse();
    let is_new = |event: &DomainEvent| event.action() == "account_created";
    entries.into_iter().map(|entry| (entry.event, entry.principal)).filter(|(event, _)| !is_new(event)).collect()
}

fn changed(account: &str) -> DomainEvent {
    DomainEvent::MailChanged { account: name(account) }
}

/// A change to the address that the account has already writes no entry.
pub async fn a_mail_address_is_set_changed_and_removed<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ana-2"]).await;
    assert_eq!(mail_of(&world, "ana").await, Some(mail("ana")));
    for (new, entries) in [(Some(mail("ana")), 0), (Some(mail("a")), 1), (None, 2), (None, 2), (Some(mail("A")), 3)] {
        assert!(world.store.set_mail(&name("ana"), new.as_ref(), &boss()).await.unwrap());
        assert_eq!(mail_of(&world, "ana").await, new);
        assert_eq!(audited(&world).await, vec![(changed("ana"), boss()); entries]);
    }
    assert!(!world.store.set_mail(&name("ben"), None, &boss()).await.unwrap());
    assert_eq!(mail_of(&world, "ana-2").await, Some(mail("ana-2")));
}

/// The address of the account stays until the new one is confirmed.
pub async fn a_waiting_address_replaces_the_earlier_one<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    for one in [request(1, "ana", "new"), request(2, "ana", "newer"), request(3, "ben", "new")] {
        ask(&world, one).await;
    }
    assert_eq!((waits(&world, 1).await, waits(&world, 2).await, waits(&world, 3).await), (false, true, true));
    assert_eq!(mail_of(&world, "ana").await, Some(mail("ana")));
    assert!(!world.store.request_mail(request(4, "cy", "new"), &boss()).await.unwrap());
    let requested = |account: &str| (DomainEvent::MailRequested { account: name(account) }, boss());
    assert_eq!(audited(&world).await, ["ana", "ana", "ben"].map(requested));
}

/// The entry of the audit log names the account as its principal.
pub async fn a_waiting_address_is_confirmed_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    let waiting = request(1, "ana", "new");
    ask(&world, waiting.clone()).await;
    assert!(!world.store.confirm_mail(&request(9, "ana", "other"), at(1)).await.unwrap(), "nobody made it");
    assert!(world.store.confirm_mail(&waiting, at(1)).await.unwrap());
    assert_eq!(mail_of(&world, "ana").await, Some(mail("new")));
    assert!(!waits(&world, 1).await);
    world.store.set_mail(&name("ana"), Some(&mail("ana")), &boss()).await.unwrap();
    assert!(!world.store.confirm_mail(&waiting, at(1)).await.unwrap());
    assert_eq!(mail_of(&world, "ana").await, Some(mail("ana")));
    let entries = audited(&world).await;
    assert_eq!(entries[1..], [(changed("ana"), Principal::User(name("ana"))), (changed("ana"), boss())]);
}

/// From then on it can be neither read nor confirmed.
pub async fn a_waiting_address_is_returned_until_it_expires<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    let waiting = request(1, "ana", "new");
    ask(&world, waiting.clone()).await;
    assert_eq!(world.store.mail_request(digest(1), at(99)).await.unwrap().as_ref(), Some(&waiting));
    assert_eq!(world.store.mail_request(digest(1), at(100)).await.unwrap(), None);
    assert_eq!(world.store.mail_request(digest(9), at(1)).await.unwrap(), None);
    assert!(!world.store.confirm_mail(&waiting, at(100)).await.unwrap());
    assert_eq!(mail_of(&world, "ana").await, Some(mail("ana")));
}

/// Each one is another person with the same link.
pub async fn two_confirmations_at_once_change_the_address_once<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    let waiting = request(1, "ana", "new");
    ask(&world, waiting.clone()).await;
    let (one, other) =
        tokio::join!(world.store.confirm_mail(&waiting, at(1)), world.store.confirm_mail(&waiting, at(1)));
    assert_ne!(one.unwrap(), other.unwrap());
    assert_eq!(audited(&world).await.len(), 2, "the request and one change");
}

/// Somebody else may have entered it with a stolen session or password. A disabled account confirms
/// nothing.
pub async fn a_new_password_and_the_end_of_an_account_end_its_waiting_address<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben", "cy", "di"]).await;
    for (byte, account) in [(1, "ana"), (2, "ben"), (3, "cy"), (4, "di")] {
        ask(&world, request(byte, account, "new")).await;
    }
    world.store.set_password(&name("ana"), "$new", None, &boss()).await.unwrap();
    world.store.change_account(&name("ben"), AccountChange::Disable, &boss()).await.unwrap();
    world.store.set_mail(&name("cy"), None, &boss()).await.unwrap();
    for (byte, is_left) in [(1, false), (2, false), (3, false), (4, true)] {
        assert_eq!(waits(&world, byte).await, is_left, "{byte}");
    }
    ask(&world, request(5, "ben", "new")).await;
    assert!(!world.store.confirm_mail(&request(5, "ben", "new"), at(1)).await.unwrap(), "it is disabled");
}

/// It works like a link that an administrator passes on.
pub async fn a_mailed_link_needs_the_address_of_an_account_that_is_not_disabled<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    world.store.change_account(&name("ben"), AccountChange::Disable, &boss()).await.unwrap();
    let before = audited(&world).await.len();
    for wrong in [link(1, "ana", "old", 100), link(1, "ben", "ben", 100), link(1, "cy", "cy", 100)] {
        assert!(!create(&world, wrong, 3, 1).await);
    }
    assert!(!has_link(&world, 1).await);
    assert_eq!(audited(&world).await.len(), before);
    assert!(create(&world, link(1, "ana", "ana", 100), 3, 1).await);
    let by_admin = MailedLink { address: None, ..link(2, "ana", "ana", 100) };
    assert!(world.store.create_mailed_link(by_admin, 3, at(1), &boss()).await.unwrap());
    let stored = world.store.link(digest(1), at(99)).await.unwrap().unwrap();
    let purpose = LinkPurpose::SetPassword(name("ana"));
    assert_eq!(stored, OneTimeLink { key: digest(1), purpose, expires_at: at(100) });
    let mailed = |address: Option<&str>| DomainEvent::PasswordLinkMailed {
        account: name("ana"),
        address: address.map(str::to_owned),
    };
    let expected = [(mailed(Some("192.0.2.7")), Principal::Anonymous), (mailed(None), boss())];
    assert_eq!(audited(&world).await[before..], expected);
    assert_eq!(world.store.redeem_password_link(digest(1), "$new", at(2)).await.unwrap(), Some(name("ana")));
    assert!(!has_link(&world, 2).await, "a new password ends the others");
}

/// Links that expired, other accounts and links that were not mailed do not count.
pub async fn an_account_has_so_many_mailed_links<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    let shown = OneTimeLink { key: digest(9), purpose: LinkPurpose::SetPassword(name("ana")), expires_at: at(900) };
    world.store.create_link(shown, &boss()).await.unwrap();
    assert!(create(&world, link(8, "ben", "ben", 900), 3, 0).await);
    for (byte, expires) in [(1, 100), (2, 200), (3, 300)] {
        assert!(create(&world, link(byte, "ana", "ana", expires), 3, 0).await, "{byte}");
    }
    assert!(!create(&world, link(4, "ana", "ana", 400), 3, 99).await);
    assert!(create(&world, link(4, "ana", "ana", 400), 3, 100).await);
    assert!(!create(&world, link(5, "ana", "ana", 500), 3, 100).await);
    assert!(create(&world, link(5, "ben", "ben", 500), 3, 100).await);
}

/// A link that an administrator passes on by hand has nothing to do with the address.
pub async fn a_changed_address_ends_the_mailed_links_alone<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    let shown = OneTimeLink { key: digest(3), purpose: LinkPurpose::SetPassword(name("ana")), expires_at: at(900) };
    world.store.create_link(shown, &boss()).await.unwrap();
    assert!(create(&world, link(1, "ana", "ana", 900), 3, 0).await);
    assert!(create(&world, link(2, "ben", "ben", 900), 3, 0).await);
    world.store.set_mail(&name("ana"), Some(&mail("ana")), &boss()).await.unwrap();
    assert!(has_link(&world, 1).await, "nothing was changed");
    world.store.set_mail(&name("ana"), Some(&mail("new")), &boss()).await.unwrap();
    assert_eq!((has_link(&world, 1).await, has_link(&world, 2).await, has_link(&world, 3).await), (false, true, true));
    let waiting = request(7, "ben", "new");
    ask(&world, waiting.clone()).await;
    assert!(world.store.confirm_mail(&waiting, at(1)).await.unwrap());
    assert!(!has_link(&world, 2).await);
}

/// The others stay.
pub async fn waiting_addresses_that_expired_are_deleted<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana", "ben"]).await;
    ask(&world, request(1, "ana", "new")).await;
    ask(&world, MailRequest { expires_at: at(101), ..request(2, "ben", "new") }).await;
    world.store.delete_expired(at(100), at(0)).await.unwrap();
    assert_eq!((waits(&world, 1).await, waits(&world, 2).await), (false, true));
}

/// The limit of mailed links does, too.
pub async fn mail_addresses_outlive_the_process<H: StoreHarness>(world: World<H>) {
    with_accounts(&world, &["ana"]).await;
    ask(&world, request(1, "ana", "new")).await;
    assert!(create(&world, link(2, "ana", "ana", 900), 1, 0).await);
    let World { harness, store } = world;
    let store = harness.reopen(Arc::into_inner(store).unwrap()).await;
    let world = World { harness, store: Arc::new(store) };
    assert_eq!(mail_of(&world, "ana").await, Some(mail("ana")));
    assert!(waits(&world, 1).await);
    assert!(!create(&world, link(3, "ana", "ana", 900), 1, 0).await);
}
