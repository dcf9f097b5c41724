//! Property test: each read of a principal is that of a slow filter over all scans, in which
//! `policy::access` decides about each scan. Shares open their scans alone: lists, counts and the
//! change log are those of the projects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::model::{
    CancelledBy, Command, Grants, ListQuery, NewScan, Operation, Principal, ProjectFilter, ProjectId, ProjectRole,
    RequestContext, ScanId, ScanRecord, ScanStatus, ServerRole, ShareRight, SharedScan, StoreStats, TokenScope,
};
use crate::policy::access::{decide, decide_scan};
use crate::ports::{Applied, NodeRegistry as _, ScanRepository as _};
use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

const PROJECTS: [&str; 4] = ["default", "red", "blue", "green"];

/// What happens to a scan after its submission.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Waits,
    Runs,
    IsCancelled,
}

fn project(index: usize) -> ProjectId {
    PROJECTS[index].parse().unwrap()
}

fn roles() -> impl Strategy<Value = ProjectRole> {
    prop::sample::select(ProjectRole::ALL)
}

/// The rights of a random account, or of a token of it, to which random scans are shared.
fn grants() -> impl Strategy<Value = Grants> {
    let server_role = prop::option::weighted(0.2, prop::sample::select(ServerRole::ALL));
    let members = prop::collection::btree_map(0..PROJECTS.len(), roles(), 0..PROJECTS.len());
    let scope = prop::option::of((roles(), prop::option::of(0..PROJECTS.len()), any::<bool>()));
    let shares = prop::collection::btree_map(1..22_u64, prop::sample::select(ShareRight::ALL), 0..4);
    (server_role, members, scope, shares).prop_map(|(server_role, members, scope, shares)| {
        let members: BTreeMap<ProjectId, ProjectRole> =
            members.into_iter().map(|(index, role)| (project(index), role)).collect();
        let account = Grants::new(server_role, members);
        let account = match scope {
            None => account,
            Some((role, only, has_server_role)) => {
                account.within(&TokenScope { role, project: only.map(project), has_server_role })
            }
        };
        let shares = shares.into_iter().map(|(id, right)| {
            let mut shared = SharedScan::default();
            shared.add(right, jiff::Timestamp::MAX);
            (ScanId(id), shared)
        });
        account.with_shares(shares.collect())
    })
}

/// A project, a fate, and whether the process has the scan in its snapshot cache.
fn scans() -> impl Strategy<Value = Vec<(usize, Fate, bool)>> {
    let fate = prop::sample::select(&[Fate::Waits, Fate::Runs, Fate::IsCancelled][..]);
    prop::collection::vec((0..PROJECTS.len(), fate, any::<bool>()), 0..20)
}

async fn create(cluster: &Cluster, project: ProjectId, fate: Fate) -> ScanRecord {
    let scan = NewScan { project, ..fixtures::new_scan("example.com") };
    let record = cluster.store.submit(scan).await.unwrap().into_record();
    let command = match fate {
        Fate::Waits => return record,
        Fate::Runs => Command::Lease { node: "a".parse().unwrap() },
        Fate::IsCancelled => Command::Cancel { by: CancelledBy::User, principal: Principal::System },
    };
    let Applied::Committed(record) = cluster.store.apply(record.id, command).await.unwrap() else {
        panic!("the command was refused")
    };
    record
}

fn ids(records: &[&ScanRecord]) -> Vec<ScanId> {
    records.iter().map(|record| record.id).collect()
}

async fn check(scans: &[(usize, Fate, bool)], principals: Vec<Grants>) {
    let cluster = Cluster::new(ScriptedRunner::new(|_| Script::Busy));
    cluster.store.register(fixtures::registration("a"), Duration::from_secs(3600)).await.unwrap();
    let mut all = Vec::new();
    for (index, fate, is_cached) in scans {
        let record = create(&cluster, project(*index), *fate).await;
        if *is_cached {
            cluster.snapshots.publish(record.clone());
        }
        all.push((record, *is_cached));
    }
    let contexts: Vec<RequestContext> = principals
        .into_iter()
        .map(|grants| RequestContext {
            principal: Principal::User("ana".parse().unwrap()),
            grants: Arc::new(grants),
            trace: fixtures::trace(),
        })
        .collect();
    let may_read = |context: &RequestContext, record: &ScanRecord| {
        decide(&context.grants, Operation::ReadScans, Some(&record.project)).is_ok()
    };
    let may_open = |context: &RequestContext, record: &ScanRecord| {
        decide_scan(&context.grants, Operation::ReadScans, record).is_ok()
    };
    // The changes come first: a read of a scan puts it into the cache, which is a change.
    for context in &contexts {
        let changed = cluster.service.changes_since(context, 0);
        let expected: Vec<ScanId> = all
            .iter()
            .filter(|(record, is_cached)| *is_cached && may_read(context, record))
            .map(|(record, _)| record.id)
            .collect();
        assert_eq!((changed.scans, changed.all), (expected, false), "{:?}", context.grants);
    }
    for context in &contexts {
        let visible: Vec<&ScanRecord> =
            all.iter().map(|(record, _)| record).filter(|record| may_read(context, record)).collect();
        check_lists(&cluster, context, &visible).await;
        let stats = cluster.services.reporting.stats(context).await.unwrap();
        let count = |status| visible.iter().filter(|record| record.status() == status).count() as u64;
        let expected = StoreStats {
            pending: count(ScanStatus::Pending),
            running: count(ScanStatus::Running),
            cancelled: count(ScanStatus::Cancelled),
            ..StoreStats::default()
        };
        assert_eq!(stats, expected, "{:?}", context.grants);
        for (record, _) in &all {
            let is_visible = may_open(context, record);
            let found = cluster.service.scan(context, record.id).await.unwrap();
            assert_eq!(found.map(|scan| scan.record.id), is_visible.then_some(record.id), "{:?}", context.grants);
            assert_eq!(cluster.service.watch(context, record.id).await.unwrap().is_some(), is_visible);
        }
        assert!(cluster.service.scan(context, ScanId(1_000)).await.unwrap().is_none());
    }
}

/// Compares the list of all scans, and that of each project.
async fn check_lists(cluster: &Cluster, context: &RequestContext, visible: &[&ScanRecord]) {
    let filters = (0..PROJECTS.len()).map(|index| ProjectFilter::of(project(index)));
    for projects in std::iter::once(ProjectFilter::All).chain(filters) {
        let expected: Vec<&ScanRecord> =
            visible.iter().rev().filter(|record| projects.holds(&record.project)).copied().collect();
        let query = ListQuery { projects, limit: 100, count: true, ..ListQuery::default() };
        let page = cluster.service.list(context, query).await.unwrap();
        let listed: Vec<ScanId> = page.scans.iter().map(|scan| scan.record.id).collect();
        assert_eq!(listed, ids(&expected), "{:?}", context.grants);
        assert_eq!(page.total, Some(expected.len() as u64), "{:?}", context.grants);
    }
}

proptest! {
    // Each case has 10 principals, so 1,000 of them are checked.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn reads_of_a_principal_are_those_of_a_slow_filter(
        scans in scans(),
        principals in prop::collection::vec(grants(), 10),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(&scans, principals));
    }
}
