//! The contract of the public links of scans.

use jiff::Timestamp;

use super::*;
use crate::model::{AuditQuery, DomainEvent, PublicLink, PublicLinkId, SecretDigest};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! public_links_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; public_links;
            a_public_link_is_read_as_it_was_written
            a_public_link_needs_its_scan
            a_public_link_is_found_until_it_expires
            openings_of_a_public_link_are_counted
            a_public_link_is_revoked_once
            the_deletion_of_a_scan_deletes_its_public_links
            public_links_that_expired_are_deleted
            public_links_outlive_the_process
        }
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

const fn digest(byte: u8) -> SecretDigest {
    SecretDigest::new([byte; 32])
}

fn id(text: &str) -> PublicLinkId {
    text.parse().unwrap()
}

fn creator() -> Principal {
    Principal::User("ana".parse().unwrap())
}

/// A link whose id has this byte's digits, and which is valid for 100 seconds from its creation.
fn link(byte: u8, scan: ScanId, created: i64) -> PublicLink {
    PublicLink {
        id: id(&format!("{byte:010}")),
        key: digest(byte),
        scan,
        label: "For \"them\" \u{e4}".into(),
        created_by: creator(),
        created_at: at(created),
        expires_at: at(created + 100),
        password_hash: None,
        opened: 0,
        opened_at: None,
    }
}

async fn create<H: StoreHarness>(world: &World<H>, all: &[PublicLink]) {
    for link in all {
        assert!(world.store.create_public_link(link.clone(), &ProjectId::default()).await.unwrap());
    }
}

/// Returns what was audited about links, oldest first.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<(DomainEvent, Principal, Option<ScanId>)> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    let of_links = entries.into_iter().filter(|entry| entry.event.action().starts_with("public_link"));
    of_links.map(|entry| (entry.event, entry.principal, entry.scan)).collect()
}

/// Links are returned newest first, those of each scan alone.
pub async fn a_public_link_is_read_as_it_was_written<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    assert_eq!(world.store.public_links(scan).await.unwrap(), []);
    let plain = link(1, scan, 0);
    let locked = PublicLink { password_hash: Some("$hash\"".into()), label: String::new(), ..link(2, scan, 1) };
    let foreign = PublicLink { created_by: Principal::System, ..link(3, other, 2) };
    create(&world, &[plain.clone(), locked.clone(), foreign.clone()]).await;
    assert_eq!(world.store.public_links(scan).await.unwrap(), [locked.clone(), plain.clone()]);
    assert_eq!(world.store.public_links(other).await.unwrap(), std::slice::from_ref(&foreign));
    assert_eq!(world.store.public_link(digest(2), at(1)).await.unwrap(), Some(locked));
    let event =
        |link: &PublicLink| DomainEvent::PublicLinkCreated { link: link.id.clone(), expires_at: link.expires_at };
    let all = audited(&world).await;
    assert_eq!(all.len(), 3);
    assert_eq!(all[0], (event(&plain), creator(), Some(scan)));
    assert_eq!(all[2], (event(&foreign), Principal::System, Some(other)));
}

/// Without the scan in the project, nothing is stored.
pub async fn a_public_link_needs_its_scan<H: StoreHarness>(world: World<H>) {
    let there = world.scan("example.com").await.id;
    for (scan, project) in [(ScanId(77), "default"), (there, "web")] {
        assert!(!world.store.create_public_link(link(1, scan, 0), &project.parse().unwrap()).await.unwrap());
    }
    assert_eq!(world.store.public_links(ScanId(77)).await.unwrap(), []);
    assert_eq!(world.store.public_link(digest(1), at(0)).await.unwrap(), None);
    assert!(audited(&world).await.is_empty());
}

/// A secret that nobody made has no link.
pub async fn a_public_link_is_found_until_it_expires<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    create(&world, &[link(1, scan, 0)]).await;
    assert_eq!(world.store.public_link(digest(1), at(99)).await.unwrap(), Some(link(1, scan, 0)));
    assert_eq!(world.store.public_link(digest(1), at(100)).await.unwrap(), None);
    assert_eq!(world.store.public_link(digest(9), at(0)).await.unwrap(), None);
}

/// An opening with an address has an entry of the audit log.
pub async fn openings_of_a_public_link_are_counted<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    let (one, other) = (link(1, scan, 0), link(2, scan, 0));
    create(&world, &[one.clone(), other.clone()]).await;
    let before = audited(&world).await.len();
    for (second, address) in [(5, Some("2001:db8::1")), (6, None), (7, Some("2001:db8::1"))] {
        assert!(world.store.open_public_link(&one, at(second), address).await.unwrap());
    }
    for address in [Some("::1"), None] {
        assert!(!world.store.open_public_link(&one, at(100), address).await.unwrap());
        assert!(!world.store.open_public_link(&link(9, scan, 0), at(5), address).await.unwrap());
    }
    let opened = PublicLink { opened: 3, opened_at: Some(at(7)), ..one.clone() };
    assert_eq!(world.store.public_link(digest(1), at(8)).await.unwrap(), Some(opened));
    assert_eq!(world.store.public_link(digest(2), at(8)).await.unwrap(), Some(other));
    let event = DomainEvent::PublicLinkOpened { link: one.id.clone(), address: "2001:db8::1".into() };
    let entry = (event, Principal::Link(one.id), Some(scan));
    assert_eq!(audited(&world).await[before..], [entry.clone(), entry]);
}

/// A link of another scan is not revoked.
pub async fn a_public_link_is_revoked_once<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    create(&world, &[link(1, scan, 0), link(2, scan, 1)]).await;
    let before = audited(&world).await.len();
    let revoke = async |scan: ScanId, link: &PublicLinkId| {
        world.store.revoke_public_link(scan, link, &Principal::System).await.unwrap()
    };
    let first = link(1, scan, 0).id;
    assert!(!revoke(other, &first).await);
    assert!(!revoke(scan, &id("zzzzzzzzzz")).await);
    assert!(revoke(scan, &first).await);
    assert!(!revoke(scan, &first).await);
    assert_eq!(world.store.public_link(digest(1), at(1)).await.unwrap(), None);
    assert_eq!(world.store.public_links(scan).await.unwrap(), [link(2, scan, 1)]);
    let event = DomainEvent::PublicLinkRevoked { link: first };
    assert_eq!(audited(&world).await[before..], [(event, Principal::System, Some(scan))]);
}

/// The links of other scans stay.
pub async fn the_deletion_of_a_scan_deletes_its_public_links<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    create(&world, &[link(1, scan, 0), link(2, other, 0)]).await;
    assert!(matches!(world.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Refused(_)));
    assert_eq!(world.store.public_links(scan).await.unwrap().len(), 1, "the scan has not ended");
    world.committed(scan, cancel()).await;
    assert!(matches!(world.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(world.store.public_links(scan).await.unwrap(), []);
    assert_eq!(world.store.public_link(digest(1), at(0)).await.unwrap(), None);
    assert_eq!(world.store.public_links(other).await.unwrap().len(), 1);
}

/// Expired links are deleted with the other credentials, without entries of the audit log.
pub async fn public_links_that_expired_are_deleted<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    create(&world, &[link(1, scan, 0), link(2, scan, 1)]).await;
    let before = audited(&world).await;
    assert_eq!(world.store.delete_expired(at(100), at(0)).await.unwrap(), 0, "the number is that of sessions");
    assert_eq!(world.store.public_links(scan).await.unwrap(), [link(2, scan, 1)]);
    assert_eq!(audited(&world).await, before);
}

/// A store that is opened again has the links.
pub async fn public_links_outlive_the_process<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    create(&world, &[link(1, scan, 0)]).await;
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the store is in use") };
    let store = harness.reopen(store).await;
    assert_eq!(store.public_links(scan).await.unwrap(), [link(1, scan, 0)]);
}
