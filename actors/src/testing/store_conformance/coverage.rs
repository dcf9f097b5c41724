//! The contract of a store about the checks and issues in rows and lists.

use std::time::Duration;

use super::{StoreHarness, World, cancel, crash, finish, lease, progress};
use crate::model::{
    AttemptNumber, Command, Interruption, IssueRef, ListQuery, MAX_COUNT, PluginResult, PluginStatus, Resolution,
    ScanId, ScanOrder, ScanRecord, ScanStatus, Severity, SeverityCounts, Verdict,
};
use crate::ports::store::prelude::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! coverage_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; coverage;
            a_list_has_plugins_without_their_issues
            a_retry_is_leased_with_the_results_that_earlier_attempts_left
            no_plugin_is_unfinished_after_its_attempt
            counts_that_nobody_can_believe_are_kept_and_listed
            a_list_is_filtered_by_severity
            a_list_has_the_worst_first
        }
    };
}

fn issues(severity: Severity, count: usize) -> impl Iterator<Item = IssueRef> {
    (0..count).map(move |number| IssueRef { id: format!("{severity}-{number}"), severity, title: String::new() })
}

impl<H: StoreHarness> World<H> {
    /// Creates a scan that ended with these issues and this resolution.
    async fn ended_with(
        &self,
        counts: &[(Severity, usize)],
        resolution: impl FnOnce(Vec<PluginResult>) -> Resolution,
    ) -> ScanRecord {
        let running = self.running("a").await;
        let all = counts.iter().flat_map(|(severity, count)| issues(*severity, *count));
        let plugins = vec![PluginResult::new("whatweb", PluginStatus::Completed).with_issues(all)];
        let end =
            Command::Finish { token: running.token, resolution: resolution(plugins.clone()), plugins: Some(plugins) };
        self.committed(running.id, end).await
    }

    async fn pages(&self, mut query: ListQuery) -> Vec<u64> {
        let mut seen = Vec::new();
        loop {
            let page = self.store.list(query.clone()).await.unwrap();
            assert_eq!(page.unreadable, []);
            seen.extend(page.scans.iter().map(|scan| scan.id.0));
            let Some(next) = page.next else { return seen };
            query.from = Some(next);
        }
    }
}

fn complete(plugins: Vec<PluginResult>) -> Resolution {
    Resolution::Complete(Verdict { plugins, dry_run: false })
}

/// A list has the names, states and counts of a scan's plugins, at each moment.
pub async fn a_list_has_plugins_without_their_issues<H: StoreHarness>(world: World<H>) {
    let is_listed = async |record: ScanRecord| {
        let page = world.store.list(ListQuery::default()).await.unwrap();
        assert_eq!(page.scans, [record.listed()]);
        assert_eq!((page.scans[0].coverage(), page.scans[0].severities()), (record.coverage(), record.severities()));
    };
    let running = world.running("a").await;
    is_listed(running.clone()).await;
    let plugins = vec![
        PluginResult {
            message: Some("m".into()),
            findings_count: 3,
            ..PluginResult::new("one", PluginStatus::Completed)
        }
        .with_issues(issues(Severity::High, 2)),
        PluginResult::new("two", PluginStatus::InProgress),
    ];
    is_listed(world.committed(running.id, progress(running.token, plugins)).await).await;
    let retry = Resolution::Retry { failure: crash(), after: Duration::ZERO };
    is_listed(world.committed(running.id, finish(running.token, retry)).await).await;
    // The next attempt begins with the complete results.
    let again = world.committed(running.id, lease("a")).await;
    let kept: Vec<_> = again.plugins.iter().map(|plugin| (plugin.name.as_str(), plugin.attempt)).collect();
    assert_eq!(kept, [("one", Some(AttemptNumber(1)))]);
    assert_eq!(again.plugins[0].issues.len(), 2, "with all that is known of them");
    is_listed(again.clone()).await;
    is_listed(world.committed(running.id, finish(again.token, Resolution::Fail(crash()))).await).await;
}

/// A leased retry has the complete results of the earlier attempts, until its progress says which
/// of them it keeps.
pub async fn a_retry_is_leased_with_the_results_that_earlier_attempts_left<H: StoreHarness>(world: World<H>) {
    let plugin = |name: &str, status| PluginResult::new(name, status).with_issues(issues(Severity::Low, 2));
    let of_first =
        |name: &str| PluginResult { attempt: Some(AttemptNumber(1)), ..plugin(name, PluginStatus::Completed) };
    let running = world.running("a").await;
    let left = vec![
        plugin("done", PluginStatus::Completed),
        plugin("failed", PluginStatus::Failed),
        plugin("other", PluginStatus::Completed),
    ];
    world.committed(running.id, progress(running.token, left)).await;
    let retry = || Resolution::Retry { failure: crash(), after: Duration::ZERO };
    world.committed(running.id, finish(running.token, retry())).await;
    let is_stored = async |record: &ScanRecord| {
        assert_eq!(world.store.get(record.id).await.unwrap().as_ref(), Some(record));
    };
    let leased = world.committed(running.id, lease("a")).await;
    assert_eq!(leased.plugins, [of_first("done"), of_first("other")]);
    is_stored(&leased).await;
    // The node keeps one of them.
    let kept = vec![of_first("done"), plugin("failed", PluginStatus::Completed)];
    let second = world.committed(running.id, progress(leased.token, kept.clone())).await;
    assert_eq!(second.plugins, kept);
    is_stored(&second).await;
    // An attempt that never started keeps what the lease brought.
    world.committed(running.id, finish(leased.token, retry())).await;
    let third = world.committed(running.id, lease("a")).await;
    let all = [
        of_first("done"),
        PluginResult { attempt: Some(AttemptNumber(2)), ..plugin("failed", PluginStatus::Completed) },
    ];
    assert_eq!(third.plugins, all);
    let back = Resolution::Requeue(Interruption::NeverStarted);
    let waiting = world.committed(running.id, finish(third.token, back)).await;
    assert_eq!(waiting.plugins, all);
    is_stored(&waiting).await;
    let fourth = world.committed(running.id, lease("a")).await;
    assert_eq!(fourth.plugins, all);
    // The node keeps nothing.
    let anew = world.committed(running.id, progress(fourth.token, Vec::new())).await;
    assert_eq!(anew.plugins, []);
    is_stored(&anew).await;
}

/// When an attempt ends, for whatever reason, its unfinished plugins end with it in the row.
pub async fn no_plugin_is_unfinished_after_its_attempt<H: StoreHarness>(world: World<H>) {
    let plugins =
        || vec![PluginResult::new("one", PluginStatus::InProgress), PluginResult::new("two", PluginStatus::Pending)];
    let after = Duration::from_secs(600);
    for resolution in [
        complete(plugins()),
        Resolution::Retry { failure: crash(), after },
        Resolution::Fail(crash()),
        Resolution::Requeue(Interruption::Shutdown),
        Resolution::HoldBack("no disk".into()),
        Resolution::Cancel(crate::model::CancelledBy::User),
    ] {
        for is_rescue in [false, true] {
            let running = world.running("a").await;
            world.committed(running.id, progress(running.token, plugins())).await;
            let end = if is_rescue {
                Command::Rescue { from: "a".parse().unwrap(), token: running.token, resolution: resolution.clone() }
            } else {
                finish(running.token, resolution.clone())
            };
            let ended = world.committed(running.id, end).await;
            let states: Vec<_> = ended.plugins.iter().map(|plugin| (plugin.status, plugin.ended_at)).collect();
            let at = ended.attempts[0].ended_at;
            assert_eq!(states, [(PluginStatus::Interrupted, at), (PluginStatus::NotRun, at)], "{resolution:?}");
            assert!(at.is_some());
        }
    }
    let running = world.running("a").await;
    world.committed(running.id, progress(running.token, plugins())).await;
    world.committed(running.id, cancel()).await;
    assert_eq!(world.get(running.id).await.plugins, plugins(), "a cancel that is only requested ends nothing yet");
}

/// Implausible counts of a scanner are bounded, and neither a row nor a list fails because of them.
pub async fn counts_that_nobody_can_believe_are_kept_and_listed<H: StoreHarness>(world: World<H>) {
    let counts = SeverityCounts { critical: u64::MAX, low: u64::MAX, ..SeverityCounts::default() };
    let odd = |name: &str| PluginResult {
        findings_count: u64::MAX,
        severities: counts,
        ..PluginResult::new(name, PluginStatus::Completed)
    };
    let running = world.running("a").await;
    let plugins = vec![odd("one"), odd("two")];
    let end = Command::Finish { token: running.token, resolution: complete(plugins.clone()), plugins: Some(plugins) };
    let ended = world.committed(running.id, end).await;
    assert_eq!(
        (ended.plugins[0].findings_count, ended.severities().critical, ended.severities().total()),
        (MAX_COUNT, MAX_COUNT, MAX_COUNT)
    );
    world.ended_with(&[(Severity::High, 1)], complete).await;
    for order in ScanOrder::ALL {
        let query = ListQuery { order: *order, ..ListQuery::default() };
        let mut listed = if order.is_by_number() {
            world.listed(query).await
        } else {
            world.pages(ListQuery { limit: 1, ..query }).await
        };
        listed.sort_unstable();
        assert_eq!(listed, [1, 2], "{order}");
    }
}

/// Only ended scans with an issue of at least this severity, in either order and with other
/// filters.
pub async fn a_list_is_filtered_by_severity<H: StoreHarness>(world: World<H>) {
    world.ended_with(&[(Severity::High, 1), (Severity::Low, 3)], complete).await;
    world.ended_with(&[(Severity::Low, 1)], complete).await;
    world.ended_with(&[], complete).await;
    world.ended_with(&[(Severity::Critical, 1)], |_| Resolution::Fail(crash())).await;
    world.ended_with(&[(Severity::Unknown, 2)], complete).await;
    // A running scan has no final result.
    let running = world.running("a").await;
    let plugins =
        vec![PluginResult::new("whatweb", PluginStatus::Completed).with_issues(issues(Severity::Critical, 1))];
    world.committed(running.id, progress(running.token, plugins)).await;
    for (least, statuses, expected) in [
        (Severity::Critical, vec![], vec![4]),
        (Severity::High, vec![], vec![4, 1]),
        (Severity::Medium, vec![], vec![4, 1]),
        (Severity::Low, vec![], vec![4, 2, 1]),
        (Severity::Informational, vec![], vec![4, 2, 1]),
        (Severity::Unknown, vec![], vec![5, 4, 2, 1]),
        (Severity::Low, vec![ScanStatus::Completed], vec![2, 1]),
        (Severity::Critical, vec![ScanStatus::Running], vec![]),
    ] {
        let query = ListQuery { min_severity: Some(least), statuses, count: true, ..ListQuery::default() };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
        assert_eq!((page.total, page.total_is_floor), (Some(expected.len() as u64), false), "{query:?}");
        let oldest = world.listed(ListQuery { order: ScanOrder::Oldest, ..query.clone() }).await;
        assert_eq!(oldest, expected.iter().rev().copied().collect::<Vec<_>>(), "{query:?}");
        let below = world.listed(ListQuery { before: Some(ScanId(4)), ..query.clone() }).await;
        assert_eq!(below, expected.iter().filter(|id| **id < 4).copied().collect::<Vec<_>>(), "{query:?}");
    }
}

/// By the worst severity, then by how many issues have it, then by all others; among equal ones the
/// newest first. A deleted scan leaves no gap.
pub async fn a_list_has_the_worst_first<H: StoreHarness>(world: World<H>) {
    world.ended_with(&[(Severity::Low, 40)], complete).await;
    world.ended_with(&[(Severity::High, 1)], complete).await;
    world.ended_with(&[(Severity::High, 2)], |_| Resolution::Fail(crash())).await;
    world.ended_with(&[(Severity::High, 1), (Severity::Low, 9)], complete).await;
    world.ended_with(&[], complete).await;
    world.ended_with(&[(Severity::Critical, 1)], complete).await;
    world.ended_with(&[(Severity::High, 1)], complete).await;
    world.ended_with(&[(Severity::Unknown, 500)], complete).await;
    let waiting = world.scan("example.com").await;
    for (least, expected) in [(None, vec![6, 3, 4, 7, 2, 1, 8, 5]), (Some(Severity::High), vec![6, 3, 4, 7, 2])] {
        for limit in [1, 3, 20] {
            let query = ListQuery { order: ScanOrder::Worst, min_severity: least, limit, ..ListQuery::default() };
            assert_eq!(world.pages(query).await, expected, "{least:?} {limit}");
        }
    }
    world.store.delete(ScanId(3), &crate::model::Principal::System).await.unwrap();
    world.committed(waiting.id, lease("a")).await;
    assert_eq!(
        world.pages(ListQuery { order: ScanOrder::Worst, limit: 2, ..ListQuery::default() }).await,
        [6, 4, 7, 2, 1, 8, 5]
    );
}
