//! The contract of the clearances of targets.

use jiff::Timestamp;

use super::*;
use crate::model::{AuditQuery, Clearance, ClearanceLevel, DomainEvent, Host, HostPattern, Target};

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! clearances_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; clearances;
            a_clearance_is_read_as_it_was_written
            a_clearance_replaces_the_earlier_one_of_its_pattern
            clearances_of_a_host_are_those_whose_patterns_cover_it
            a_clearance_is_removed_once
            clearances_outlive_the_process
        }
    };
}

fn project(text: &str) -> ProjectId {
    text.parse().unwrap()
}

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

fn host(text: &str) -> Host {
    text.parse::<Target>().unwrap().host().clone()
}

fn owner() -> Principal {
    Principal::User("ana".parse().unwrap())
}

fn clearance(id: &str, hosts: &str, level: ClearanceLevel) -> Clearance {
    Clearance {
        project: project(id),
        pattern: pattern(hosts),
        level,
        authorised_by: owner(),
        at: Timestamp::from_nanosecond(1_800_000_000_123_456_789).unwrap(),
        until: None,
        text: "Contract \"7\" of \u{e4}".into(),
    }
}

async fn set<H: StoreHarness>(world: &World<H>, all: &[Clearance]) {
    for clearance in all {
        world.store.set_clearance(clearance.clone()).await.unwrap();
    }
}

/// Returns what was audited, oldest first.
async fn audited<H: StoreHarness>(world: &World<H>) -> Vec<(DomainEvent, Principal)> {
    let mut entries = world.store.audit(&AuditQuery::newest(100)).await.unwrap().entries;
    entries.reverse();
    entries.into_iter().map(|entry| (entry.event, entry.principal)).collect()
}

/// Clearances are returned by pattern, those of each project alone.
pub async fn a_clearance_is_read_as_it_was_written<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.clearances(&project("team")).await.unwrap(), []);
    let until = Some(Timestamp::from_second(1_900_000_000).unwrap());
    let active = Clearance { until, ..clearance("team", "example.com", ClearanceLevel::Active) };
    let below = clearance("team", "*.example.com", ClearanceLevel::None);
    let address = Clearance { text: String::new(), ..clearance("team", "::1", ClearanceLevel::Passive) };
    // The id of this project begins with that of the other one.
    let other = Clearance { authorised_by: Principal::System, ..clearance("team-b", "a.test", ClearanceLevel::Active) };
    set(&world, &[active.clone(), other.clone(), below.clone(), address.clone()]).await;
    assert_eq!(world.store.clearances(&project("team")).await.unwrap(), [below, address, active]);
    assert_eq!(world.store.clearances(&project("team-b")).await.unwrap(), [other]);
    assert_eq!(world.store.clearances(&project("tea")).await.unwrap(), []);
    let event = |id: &str, hosts: &str, level, until| DomainEvent::ClearanceSet {
        project: project(id),
        pattern: pattern(hosts),
        level,
        until,
        text: if hosts == "[::1]" { String::new() } else { clearance(id, hosts, level).text },
    };
    let expected = [
        (event("team", "example.com", ClearanceLevel::Active, until), owner()),
        (event("team-b", "a.test", ClearanceLevel::Active, None), Principal::System),
        (event("team", "*.example.com", ClearanceLevel::None, None), owner()),
        (event("team", "[::1]", ClearanceLevel::Passive, None), owner()),
    ];
    assert_eq!(audited(&world).await, expected);
}

/// An equal clearance is an authorisation of its own.
pub async fn a_clearance_replaces_the_earlier_one_of_its_pattern<H: StoreHarness>(world: World<H>) {
    let until = Some(Timestamp::from_second(1_900_000_000).unwrap());
    let first = Clearance { until, ..clearance("team", "example.com", ClearanceLevel::Active) };
    let second = Clearance {
        authorised_by: Principal::System,
        text: String::new(),
        ..clearance("team", "example.com", ClearanceLevel::None)
    };
    set(&world, &[first, second.clone(), second.clone()]).await;
    assert_eq!(world.store.clearances(&project("team")).await.unwrap(), [second]);
    assert_eq!(audited(&world).await.len(), 3);
}

/// Neither a host whose name ends in the same letters nor another project counts.
pub async fn clearances_of_a_host_are_those_whose_patterns_cover_it<H: StoreHarness>(world: World<H>) {
    let team = |hosts: &str| clearance("team", hosts, ClearanceLevel::Active);
    let all = ["*.com", "*.example.com", "a.example.com", "example.com", "192.0.2.1", "[2001:db8::1]"].map(team);
    set(&world, &all).await;
    set(&world, &[clearance("other", "a.example.com", ClearanceLevel::None)]).await;
    for (target, expected) in [
        ("https://a.example.com:8443/x", &["*.com", "*.example.com", "a.example.com"][..]),
        ("b.a.example.com", &["*.com", "*.example.com"]),
        ("example.com", &["*.com", "example.com"]),
        ("badexample.com.", &["*.com"]),
        ("example.org", &[]),
        ("192.0.2.1:80", &["192.0.2.1"]),
        ("[::ffff:192.0.2.1]", &["192.0.2.1"]),
        ("[2001:db8::1]:443", &["[2001:db8::1]"]),
    ] {
        let found = world.store.clearances_for(&project("team"), &host(target)).await.unwrap();
        let found: Vec<&str> = found.iter().map(|clearance| clearance.pattern.as_str()).collect();
        assert_eq!(found, expected, "{target}");
    }
    let of_other = world.store.clearances_for(&project("other"), &host("a.example.com")).await.unwrap();
    assert_eq!(of_other, [clearance("other", "a.example.com", ClearanceLevel::None)]);
    let of_none = world.store.clearances_for(&project("none"), &host("a.example.com")).await.unwrap();
    assert_eq!(of_none, []);
}

/// Only the removal of a clearance that is there writes an entry of the audit log.
pub async fn a_clearance_is_removed_once<H: StoreHarness>(world: World<H>) {
    set(&world, &[clearance("team", "*.example.com", ClearanceLevel::Active)]).await;
    set(&world, &[clearance("other", "*.example.com", ClearanceLevel::Active)]).await;
    let before = audited(&world).await.len();
    let remove = async |hosts: &str| {
        world.store.remove_clearance(&project("team"), &pattern(hosts), &Principal::System).await.unwrap()
    };
    assert!(!remove("example.com").await);
    assert!(remove("*.example.com").await);
    assert!(!remove("*.example.com").await);
    assert_eq!(world.store.clearances(&project("team")).await.unwrap(), []);
    assert_eq!(world.store.clearances(&project("other")).await.unwrap().len(), 1);
    let event = DomainEvent::ClearanceRemoved { project: project("team"), pattern: pattern("*.example.com") };
    assert_eq!(audited(&world).await[before..], [(event, Principal::System)]);
}

/// A store that is opened again has the clearances.
pub async fn clearances_outlive_the_process<H: StoreHarness>(world: World<H>) {
    let all = [clearance("team", "*.example.com", ClearanceLevel::Active)];
    set(&world, &all).await;
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the store is in use") };
    let store = harness.reopen(store).await;
    assert_eq!(store.clearances(&project("team")).await.unwrap(), all);
}
