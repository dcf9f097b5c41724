//! The contract of the shares of scans, and of transfers, which end them.

use jiff::Timestamp;

use super::*;
use crate::model::{AuditQuery, DomainEvent, Grantee, PublicLink, SecretDigest, Share, ShareCreated, ShareRight};
use crate::ports::ShareStore as _;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! shares_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; shares;
            a_share_is_read_as_it_was_written
            a_share_needs_its_scan_in_its_project
            a_second_share_with_a_grantee_replaces_the_first
            shares_are_found_by_their_grantees_until_they_expire
            a_grantee_has_a_bounded_number_of_shares
            a_share_is_revoked_once
            the_deletion_of_a_scan_deletes_its_shares
            shares_that_expired_are_deleted
            shares_outlive_the_process
            a_transfer_moves_the_scan_and_ends_its_shares_and_links
            a_transfer_moves_lists_and_counts
            only_a_scan_that_has_ended_is_transferred
        }
    };
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn with(text: &str) -> Grantee {
    text.parse().unwrap()
}

fn creator() -> Principal {
    Principal::User("ana".parse().unwrap())
}

fn share(scan: ScanId, grantee: &str, created: i64) -> Share {
    Share {
        scan,
        grantee: with(grantee),
        right: ShareRight::View,
        created_by: creator(),
        created_at: at(created),
        expires_at: Some(at(created + 100)),
    }
}

async fn create<H: StoreHarness>(world: &World<H>, all: &[Share]) {
    for share in all {
        let created = world.store.create_share(share.clone(), &ProjectId::default(), 100).await.unwrap();
        assert_eq!(created, ShareCreated::Created);
    }
}

/// Returns what was audited about shares and transfers, oldest first.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<(DomainEvent, Principal, Option<ScanId>)> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    let wanted = ["scan_shared", "share_revoked", "scan_transferred"];
    let entries = entries.into_iter().filter(|entry| wanted.contains(&entry.event.action()));
    entries.map(|entry| (entry.event, entry.principal, entry.scan)).collect()
}

fn shared(share: &Share) -> (DomainEvent, Principal, Option<ScanId>) {
    let event =
        DomainEvent::ScanShared { grantee: share.grantee.clone(), right: share.right, expires_at: share.expires_at };
    (event, share.created_by.clone(), Some(share.scan))
}

fn transfer(from: &str, to: &str) -> Command {
    Command::Transfer { from: from.parse().unwrap(), to: to.parse().unwrap(), principal: creator() }
}

/// Shares are returned newest first, those of each scan alone.
pub async fn a_share_is_read_as_it_was_written<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), []);
    let plain = share(scan, "user:ana", 0);
    let lasting = Share {
        right: ShareRight::Edit,
        expires_at: None,
        created_by: Principal::System,
        ..share(scan, "project:web", 1)
    };
    let foreign = share(other, "user:ana", 2);
    create(&world, &[plain.clone(), lasting.clone(), foreign.clone()]).await;
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), [lasting.clone(), plain.clone()]);
    assert_eq!(world.store.shares_of_scan(other).await.unwrap(), std::slice::from_ref(&foreign));
    assert_eq!(audited(&world).await, [shared(&plain), shared(&lasting), shared(&foreign)]);
}

/// Without the scan in the project, nothing is stored.
pub async fn a_share_needs_its_scan_in_its_project<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    for (scan, project) in [(ScanId(77), "default"), (scan, "web")] {
        let created = world.store.create_share(share(scan, "user:ana", 0), &project.parse().unwrap(), 100).await;
        assert_eq!(created.unwrap(), ShareCreated::NoScan);
        assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), []);
    }
    assert_eq!(world.store.shares_with(&[with("user:ana")], at(0)).await.unwrap(), []);
    assert!(audited(&world).await.is_empty());
}

/// It replaces the right, the expiry and the creator.
pub async fn a_second_share_with_a_grantee_replaces_the_first<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    let first = share(scan, "user:ana", 0);
    let second = Share {
        right: ShareRight::Edit,
        expires_at: None,
        created_by: Principal::System,
        ..share(scan, "user:ana", 5)
    };
    create(&world, &[first.clone(), second.clone()]).await;
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(audited(&world).await, [shared(&first), shared(&second)]);
}

/// Those of the newest scan come first.
pub async fn shares_are_found_by_their_grantees_until_they_expire<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    let lasting = Share { expires_at: None, ..share(other, "project:web", 0) };
    let all = [share(scan, "user:ana", 0), lasting.clone(), share(scan, "user:ben", 0), share(other, "user:anab", 0)];
    create(&world, &all).await;
    let found = async |grantees: &[&str], second| {
        let grantees: Vec<Grantee> = grantees.iter().map(|text| with(text)).collect();
        world.store.shares_with(&grantees, at(second)).await.unwrap()
    };
    assert_eq!(found(&["user:ana", "project:web", "project:none"], 99).await, [lasting.clone(), all[0].clone()]);
    assert_eq!(found(&["user:ana", "project:web"], 100).await, [lasting]);
    assert_eq!(found(&["user:ben"], 0).await, [all[2].clone()]);
    assert_eq!(found(&["user:cy"], 0).await, []);
    assert_eq!(found(&[], 0).await, []);
}

/// Expired shares do not count, and a replacement is no further one.
pub async fn a_grantee_has_a_bounded_number_of_shares<H: StoreHarness>(world: World<H>) {
    let mut scans = Vec::new();
    for _ in 0..4 {
        scans.push(world.scan("example.com").await.id);
    }
    let create = async |share: Share| world.store.create_share(share, &ProjectId::default(), 2).await.unwrap();
    assert_eq!(create(share(scans[0], "user:ana", 0)).await, ShareCreated::Created);
    assert_eq!(create(share(scans[1], "user:ana", 50)).await, ShareCreated::Created);
    assert_eq!(create(share(scans[2], "user:ana", 99)).await, ShareCreated::TooMany);
    assert_eq!(create(share(scans[2], "user:ben", 99)).await, ShareCreated::Created, "another grantee");
    assert_eq!(create(share(scans[1], "user:ana", 60)).await, ShareCreated::Created, "a replacement");
    assert_eq!(create(share(scans[2], "user:ana", 100)).await, ShareCreated::Created, "the first one has expired");
    assert_eq!(create(share(scans[3], "user:ana", 101)).await, ShareCreated::TooMany);
    assert_eq!(audited(&world).await.len(), 5);
}

/// A share of another scan, or with another grantee, is not revoked.
pub async fn a_share_is_revoked_once<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    create(&world, &[share(scan, "user:ana", 0), share(scan, "user:ben", 1)]).await;
    let before = audited(&world).await.len();
    let revoke = async |scan: ScanId, grantee: &str| {
        world.store.revoke_share(scan, &with(grantee), &Principal::System).await.unwrap()
    };
    assert!(!revoke(other, "user:ana").await);
    assert!(!revoke(scan, "project:ana").await);
    assert!(revoke(scan, "user:ana").await);
    assert!(!revoke(scan, "user:ana").await);
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), [share(scan, "user:ben", 1)]);
    assert_eq!(world.store.shares_with(&[with("user:ana")], at(0)).await.unwrap(), []);
    let event = DomainEvent::ShareRevoked { grantee: with("user:ana") };
    assert_eq!(audited(&world).await[before..], [(event, Principal::System, Some(scan))]);
}

/// The shares of other scans stay.
pub async fn the_deletion_of_a_scan_deletes_its_shares<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    create(&world, &[share(scan, "user:ana", 0), share(other, "user:ana", 0)]).await;
    world.committed(scan, cancel()).await;
    assert!(matches!(world.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), []);
    assert_eq!(world.store.shares_with(&[with("user:ana")], at(0)).await.unwrap(), [share(other, "user:ana", 0)]);
}

/// Expired shares are deleted with the credentials, without entries of the audit log.
pub async fn shares_that_expired_are_deleted<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    let lasting = Share { expires_at: None, ..share(scan, "user:cy", 0) };
    create(&world, &[share(scan, "user:ana", 0), share(scan, "user:ben", 1), lasting.clone()]).await;
    let before = audited(&world).await;
    world.store.delete_expired(at(100), at(0)).await.unwrap();
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), [share(scan, "user:ben", 1), lasting]);
    assert_eq!(audited(&world).await, before);
}

/// A store that is opened again has the shares.
pub async fn shares_outlive_the_process<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await.id;
    create(&world, &[share(scan, "user:ana", 0)]).await;
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the store is in use") };
    let store = harness.reopen(store).await;
    assert_eq!(store.shares_of_scan(scan).await.unwrap(), [share(scan, "user:ana", 0)]);
    assert_eq!(store.shares_with(&[with("user:ana")], at(0)).await.unwrap(), [share(scan, "user:ana", 0)]);
}

/// The destination decides anew who else may see the scan.
pub async fn a_transfer_moves_the_scan_and_ends_its_shares_and_links<H: StoreHarness>(world: World<H>) {
    let (scan, other) = (world.scan("example.com").await.id, world.scan("example.org").await.id);
    create(&world, &[share(scan, "user:ana", 0), share(other, "user:ana", 0)]).await;
    for (byte, scan) in [(1, scan), (2, other)] {
        let link = PublicLink {
            id: format!("{byte:010}").parse().unwrap(),
            key: SecretDigest::new([byte; 32]),
            scan,
            label: String::new(),
            created_by: creator(),
            created_at: at(0),
            expires_at: at(100),
            password_hash: None,
            opened: 0,
            opened_at: None,
        };
        assert!(world.store.create_public_link(link, &ProjectId::default()).await.unwrap());
    }
    let before = audited(&world).await.len();
    let ended = world.committed(scan, cancel()).await;
    let moved = world.committed(scan, transfer("default", "web")).await;
    let expected = ScanRecord { project: "web".parse().unwrap(), version: ended.version + 1, ..ended.clone() };
    assert_eq!(moved, expected);
    assert_eq!(world.store.shares_of_scan(scan).await.unwrap(), []);
    assert_eq!(world.store.public_links(scan).await.unwrap(), []);
    assert_eq!(world.store.shares_with(&[with("user:ana")], at(0)).await.unwrap().len(), 1);
    assert_eq!(world.store.public_links(other).await.unwrap().len(), 1);
    let event = DomainEvent::ScanTransferred {
        status: ended.status(),
        at: ended.ended_at().unwrap(),
        from: ProjectId::default(),
        to: "web".parse().unwrap(),
    };
    assert_eq!(audited(&world).await[before..], [(event, creator(), Some(scan))]);
    assert!(matches!(world.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
}

/// Lists by any order and filter, the outcomes of the day, the past runs and the counts.
pub async fn a_transfer_moves_lists_and_counts<H: StoreHarness>(world: World<H>) {
    let (first, second) = (Duration::from_secs(10), Duration::from_secs(20));
    let scan = world.completed("example.com", first, &[("whatweb", 2)]).await;
    let other = world.completed("example.org", second, &[("whatweb", 1)]).await;
    world.deliver().await;
    world.committed(scan, transfer("default", "web")).await;
    world.deliver().await;
    let of = |id: &str| ProjectFilter::of(id.parse().unwrap());
    for (project, expected) in [("default", other), ("web", scan)] {
        for order in [ScanOrder::Newest, ScanOrder::Target, ScanOrder::Longest, ScanOrder::Findings, ScanOrder::Worst] {
            for plugin in [None, Some("whatweb".to_owned())] {
                let query =
                    ListQuery { projects: of(project), order, plugin, limit: 10, count: true, ..ListQuery::default() };
                let page = world.store.list(query).await.unwrap();
                let ids: Vec<ScanId> = page.scans.iter().map(|scan| scan.id).collect();
                assert_eq!((ids, page.total), (vec![expected], Some(1)), "{project} {order:?}");
            }
        }
        let stats = world.store.stats(&of(project)).await.unwrap();
        assert_eq!(stats, StoreStats { completed: 1, ..StoreStats::default() }, "{project}");
        let runs = world.store.past_runs(None, &of(project), 10).await.unwrap();
        assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [expected], "{project}");
        let days = world.store.outcomes(date(2000, 1, 1), &of(project)).await.unwrap();
        assert_eq!(days.iter().map(|day| day.completed).sum::<u64>(), 1, "{project}");
    }
    assert!(matches!(world.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
    world.deliver().await;
    let days = world.store.outcomes(date(2000, 1, 1), &of("web")).await.unwrap();
    assert_eq!(days.iter().map(|day| day.completed).sum::<u64>(), 0);
}

/// A transfer from a project in which the scan is not any more changes nothing.
pub async fn only_a_scan_that_has_ended_is_transferred<H: StoreHarness>(world: World<H>) {
    let scan = world.running("a").await;
    let refusal = world.refused(scan.id, transfer("default", "web")).await;
    assert_eq!(refusal, Refusal::NotEnded(ScanStatus::Running));
    world.committed(scan.id, complete(scan.token)).await;
    assert_eq!(world.refused(scan.id, transfer("web", "app")).await, Refusal::InOtherProject);
    world.committed(scan.id, transfer("default", "web")).await;
    assert_eq!(world.refused(scan.id, transfer("default", "app")).await, Refusal::InOtherProject);
    let back = world.committed(scan.id, transfer("web", "default")).await;
    assert!(back.project.is_default());
}
