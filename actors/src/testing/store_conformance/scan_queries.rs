//! The contract of lists, counts and trends.

use super::*;
use crate::model::ScanNotes;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! scan_queries_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; scan_queries;
            a_list_is_newest_first_and_goes_on_below_a_key
            a_list_skips_limits_and_counts
            a_list_is_filtered_by_status
            a_list_is_filtered_by_target
            a_list_is_filtered_by_mode_and_day
            a_list_is_filtered_by_plugin_with_findings
            a_list_is_filtered_by_tag
            a_list_is_filtered_by_project
            filters_narrow_together
            pages_go_both_ways
            a_list_has_other_orders
            ends_are_counted_by_day
            past_runs_are_the_completed_ones
            stats_count_every_state
            numbers_are_those_of_the_projects
        }
    };
}

/// Newest first. A page continues where the previous one ended, even if scans were added in
/// between.
pub async fn a_list_is_newest_first_and_goes_on_below_a_key<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.listed(ListQuery::default()).await, [0_u64; 0]);
    let mut whole = Vec::new();
    for _ in 0..5 {
        whole.insert(0, world.scan("example.com").await);
    }
    assert_eq!(world.store.list(ListQuery::default()).await.unwrap().scans, whole);
    let below = |before, limit| ListQuery { before: Some(ScanId(before)), limit, ..ListQuery::default() };
    assert_eq!(world.listed(below(4, 2)).await, [3, 2]);
    world.scan("example.com").await;
    assert_eq!(world.listed(below(2, 2)).await, [1]);
    assert_eq!(world.listed(below(1, 2)).await, [0_u64; 0]);
    assert_eq!(world.listed(below(0, 2)).await, [0_u64; 0]);
    assert_eq!(world.listed(below(u64::MAX, 2)).await, [6, 5]);
}

/// Numbered pages: offset, limit, and the number of all matches on every page.
pub async fn a_list_skips_limits_and_counts<H: StoreHarness>(world: World<H>) {
    for _ in 0..5 {
        world.scan("example.com").await;
    }
    for (before, offset, limit, expected) in [
        (None, 0, 2, vec![5, 4]),
        (None, 2, 2, vec![3, 2]),
        (None, 4, 2, vec![1]),
        (None, 9, 2, vec![]),
        (None, 0, 0, vec![]),
        (None, usize::MAX, 20, vec![]),
        (None, 0, usize::MAX, vec![5, 4, 3, 2, 1]),
        (Some(ScanId(4)), 1, 1, vec![2]),
    ] {
        // All filters that match everything give the same pages.
        for (statuses, target) in [
            (vec![], None),
            (vec![ScanStatus::Pending, ScanStatus::Pending], None),
            (vec![], Some("example".to_owned())),
        ] {
            for count in [true, false] {
                let query = ListQuery {
                    statuses: statuses.clone(),
                    target: target.clone(),
                    before,
                    offset,
                    limit,
                    count,
                    ..ListQuery::default()
                };
                let page = world.store.list(query.clone()).await.unwrap();
                assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
                assert_eq!(page.total, count.then_some(5), "{query:?}");
            }
        }
    }
}

/// Only the requested states; an empty list means all.
pub async fn a_list_is_filtered_by_status<H: StoreHarness>(world: World<H>) {
    world.scan("example.com").await;
    world.running("a").await;
    let done = world.running("a").await;
    world.committed(done.id, complete(done.token)).await;
    let cancelled = world.scan("example.com").await;
    world.committed(cancelled.id, cancel()).await;
    world.scan("example.com").await;
    for (statuses, expected) in [
        (vec![ScanStatus::Pending], vec![5, 1]),
        (vec![ScanStatus::Running], vec![2]),
        (vec![ScanStatus::Completed, ScanStatus::Cancelled], vec![4, 3]),
        (vec![ScanStatus::Cancelled, ScanStatus::Pending, ScanStatus::Completed], vec![5, 4, 3, 1]),
        (vec![ScanStatus::Failed], vec![]),
        (ScanStatus::ALL.to_vec(), vec![5, 4, 3, 2, 1]),
    ] {
        let query = ListQuery { statuses, count: true, ..ListQuery::default() };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
        assert_eq!(page.total, Some(expected.len() as u64), "{query:?}");
    }
    let below =
        ListQuery { statuses: vec![ScanStatus::Pending], before: Some(ScanId(5)), count: true, ..ListQuery::default() };
    let page = world.store.list(below).await.unwrap();
    assert_eq!((page.scans.len(), page.total), (1, Some(2)));
}

/// Only targets that contain the text, taken literally.
pub async fn a_list_is_filtered_by_target<H: StoreHarness>(world: World<H>) {
    for target in ["Shop.Example.com", "https://example.com:444/App/50%25_off", "[::1]:8080", "other.test"] {
        world.scan(target).await;
    }
    world.committed(ScanId(1), cancel()).await;
    for (target, expected) in [
        ("example.com", vec![2, 1]),
        ("shop.", vec![1]),
        ("::1]", vec![3]),
        ("/app/50%25_off", vec![2]),
        ("exa%", vec![]),
        ("example_com", vec![]),
        ("example.c.m", vec![]),
        ("' OR true --", vec![]),
        ("\0", vec![]),
        ("", vec![4, 3, 2, 1]),
    ] {
        let query = ListQuery { target: Some(target.into()), count: true, ..ListQuery::default() };
        let page = world.store.list(query).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{target:?}");
        assert_eq!(page.total, Some(expected.len() as u64), "{target:?}");
    }
    let both = ListQuery {
        target: Some("example".into()),
        statuses: vec![ScanStatus::Pending],
        count: true,
        ..ListQuery::default()
    };
    let page = world.store.list(both).await.unwrap();
    assert_eq!((page.scans[0].id, page.scans.len(), page.total), (ScanId(2), 1, Some(1)));
}

/// Only that mode; only scans accepted within the days.
pub async fn a_list_is_filtered_by_mode_and_day<H: StoreHarness>(world: World<H>) {
    let mut times = Vec::new();
    for mode in [ScanMode::Passive, ScanMode::Active, ScanMode::Both, ScanMode::Active] {
        let mut scan = fixtures::new_scan("example.com");
        scan.request.options.mode = mode;
        times.push(world.submit(scan).await.created_at);
        world.harness.advance(Duration::from_secs(3600));
    }
    let all = ListQuery::default;
    for (query, expected) in [
        (ListQuery { mode: Some(ScanMode::Active), ..all() }, vec![4, 2]),
        (ListQuery { mode: Some(ScanMode::Both), ..all() }, vec![3]),
        (ListQuery { created_from: Some(times[1]), ..all() }, vec![4, 3, 2]),
        (ListQuery { created_until: Some(times[1]), ..all() }, vec![1]),
        (ListQuery { created_from: Some(times[1]), created_until: Some(times[3]), ..all() }, vec![3, 2]),
        (ListQuery { created_from: Some(times[1]), mode: Some(ScanMode::Active), ..all() }, vec![4, 2]),
        (ListQuery { created_from: Some(times[3] + SignedDuration::from_secs(1)), ..all() }, vec![]),
        (ListQuery { created_until: Some(times[0]), ..all() }, vec![]),
    ] {
        let query = ListQuery { count: true, ..query };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
        assert_eq!(
            (page.total, page.total_is_floor, page.next),
            (Some(expected.len() as u64), false, None),
            "{query:?}"
        );
    }
}

/// Only scans in which the plugin has results, by its full name, case-insensitive.
pub async fn a_list_is_filtered_by_plugin_with_findings<H: StoreHarness>(world: World<H>) {
    let second = Duration::from_secs(1);
    world.completed("a.test", second, &[("whatweb", 3), ("testssl", 0)]).await;
    world.completed("b.test", second, &[("whatweb", 0), ("testssl", 2)]).await;
    world.completed("c.test", second, &[("whatweb", 1), ("testssl", 1)]).await;
    world.scan("d.test").await;
    // A plugin may report an issue and collect nothing.
    let waits = world.scan("e.test").await;
    let running = world.committed(waits.id, lease("a")).await;
    let issue = IssueRef { id: "No WAF Detected".into(), severity: Severity::High, title: String::new() };
    let plugins = vec![
        PluginResult::new("WafW00f", PluginStatus::Completed).with_issues([issue]),
        PluginResult::new("testssl", PluginStatus::Completed),
    ];
    world.committed(running.id, finish(running.token, Resolution::Complete(Verdict { plugins, dry_run: false }))).await;
    for (plugin, expected) in [
        ("whatweb", vec![3, 1]),
        ("WhatWeb", vec![3, 1]),
        ("testssl", vec![3, 2]),
        ("wafw00f", vec![5]),
        ("WafW00f", vec![5]),
        ("what", vec![]),
        ("'; DELETE scan", vec![]),
        ("", vec![]),
    ] {
        let query = ListQuery { plugin: Some(plugin.into()), count: true, ..ListQuery::default() };
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{plugin}");
        assert_eq!(page.total, Some(expected.len() as u64), "{plugin}");
        let page = world.store.list(ListQuery { order: ScanOrder::Oldest, ..query }).await.unwrap();
        assert_eq!(
            page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(),
            expected.into_iter().rev().collect::<Vec<_>>(),
            "{plugin}"
        );
    }
}

/// Only scans with exactly this tag, with every other filter and in every order, while they have
/// it, and in the project in which they are.
pub async fn a_list_is_filtered_by_tag<H: StoreHarness>(world: World<H>) {
    world.register("a").await;
    for number in 1..=6_u64 {
        let scan = world.scan(&format!("h{}.test", number % 2)).await;
        if number <= 4 {
            let leased = world.committed(scan.id, lease("a")).await;
            world.harness.advance(Duration::from_secs(2));
            world.committed(scan.id, finish(leased.token, Resolution::Complete(found(&[("whatweb", number)])))).await;
        }
    }
    let set = async |scan: u64, tags: &[&str]| {
        let notes = ScanNotes { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), notes: String::new() };
        assert!(world.store.set_scan_notes(ScanId(scan), notes, &Principal::System).await.unwrap());
    };
    for (scan, tags) in [(1, &["release", "eu"][..]), (2, &["release"]), (3, &["Release", "release/2"]), (4, &["eu"])] {
        set(scan, tags).await;
    }
    set(6, &["release"]).await;
    let tagged = |tag: &str| ListQuery { tag: Some(tag.into()), count: true, ..ListQuery::default() };
    let failed = vec![ScanStatus::Failed];
    for (query, expected) in [
        (tagged("release"), vec![6, 2, 1]),
        (tagged("eu"), vec![4, 1]),
        (tagged("Release"), vec![3]),
        (tagged("rel"), vec![]),
        (tagged("'; DELETE scan"), vec![]),
        (ListQuery { order: ScanOrder::Oldest, ..tagged("release") }, vec![1, 2, 6]),
        (ListQuery { order: ScanOrder::Target, ..tagged("release") }, vec![6, 2, 1]),
        (ListQuery { order: ScanOrder::Findings, ..tagged("release") }, vec![2, 1]),
        (ListQuery { statuses: vec![ScanStatus::Pending], ..tagged("release") }, vec![6]),
        (ListQuery { statuses: failed, ..tagged("release") }, vec![]),
        (ListQuery { target: Some("h1".into()), ..tagged("release") }, vec![1]),
        (ListQuery { plugin: Some("whatweb".into()), ..tagged("release") }, vec![2, 1]),
    ] {
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
        if !query.order.is_of_ended() {
            assert_eq!(page.total, Some(expected.len() as u64), "{query:?}");
        }
        assert_eq!(world.pages_of_one(query.clone()).await, expected, "{query:?}");
    }
    // A tag that is taken away, and a scan that moves to another project or is deleted.
    set(1, &["eu"]).await;
    assert_eq!(world.listed(tagged("release")).await, [6, 2]);
    let team: ProjectId = "team".parse().unwrap();
    let transfer = Command::Transfer { from: ProjectId::default(), to: team.clone(), principal: Principal::System };
    world.committed(ScanId(2), transfer).await;
    let of = |project: ProjectId| ListQuery { projects: ProjectFilter::of(project), ..tagged("release") };
    assert_eq!(world.listed(of(team)).await, [2]);
    assert_eq!(world.listed(of(ProjectId::default())).await, [6]);
    assert!(matches!(world.store.delete(ScanId(2), &Principal::System).await.unwrap(), Deleted::Gone(_)));
    assert_eq!(world.listed(tagged("release")).await, [6]);
}

impl<H: StoreHarness> World<H> {
    /// The scans of all pages of one scan each.
    async fn pages_of_one(&self, query: ListQuery) -> Vec<u64> {
        let mut query = ListQuery { limit: 1, count: false, ..query };
        let mut seen = Vec::new();
        loop {
            let page = self.store.list(query.clone()).await.unwrap();
            seen.extend(page.scans.iter().map(|scan| scan.id.0));
            let Some(next) = page.next else { return seen };
            match query.order {
                ScanOrder::Newest => query.before = Some(next.id),
                ScanOrder::Oldest => query.after = Some(next.id),
                _ => query.from = Some(next),
            }
        }
    }
}

/// Only scans of these projects, with every other filter and in every order; without the filter,
/// those of all projects, in one order.
pub async fn a_list_is_filtered_by_project<H: StoreHarness>(world: World<H>) {
    let projects: Vec<ProjectId> = ["default", "a-team", "team"].iter().map(|name| name.parse().unwrap()).collect();
    world.register("a").await;
    let mut times = Vec::new();
    // Scans 1, 4 and 7 are of the first project, and so on. All but the last three have ended.
    for number in 0..9_u64 {
        let project = projects[usize::try_from(number % 3).unwrap()].clone();
        let scan = world.submit(NewScan { project, ..fixtures::new_scan(&format!("h{}.test", number / 3)) }).await;
        times.push(scan.created_at);
        if number < 6 {
            let leased = world.committed(scan.id, lease("a")).await;
            world.harness.advance(Duration::from_secs(2));
            let issue = IssueRef { id: "x".into(), severity: Severity::High, title: String::new() };
            let mut verdict = found(&[("whatweb", number + 1)]);
            verdict.plugins = verdict.plugins.into_iter().map(|plugin| plugin.with_issues([issue.clone()])).collect();
            world.committed(scan.id, finish(leased.token, Resolution::Complete(verdict))).await;
        } else {
            world.harness.advance(Duration::from_secs(2));
        }
    }
    let of = |places: &[usize]| ProjectFilter::Only(places.iter().map(|place| projects[*place].clone()).collect());
    let nobody: ProjectId = "nobody".parse().unwrap();
    let with_unknown = ProjectFilter::Only([projects[2].clone(), nobody.clone()].into());
    // Each filter, with the places of its projects.
    let filters = [
        (ProjectFilter::All, vec![0, 1, 2]),
        (of(&[2]), vec![2]),
        (of(&[0, 2]), vec![0, 2]),
        (of(&[0, 1, 2]), vec![0, 1, 2]),
        (with_unknown, vec![2]),
        (ProjectFilter::of(nobody), vec![]),
        (of(&[]), vec![]),
    ];
    let all = || ListQuery { count: true, ..ListQuery::default() };
    let pending = vec![ScanStatus::Pending];
    for (query, everywhere) in [
        (all(), vec![9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (ListQuery { order: ScanOrder::Oldest, ..all() }, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (ListQuery { order: ScanOrder::Target, ..all() }, vec![3, 2, 1, 6, 5, 4, 9, 8, 7]),
        (ListQuery { order: ScanOrder::Findings, ..all() }, vec![6, 5, 4, 3, 2, 1]),
        (ListQuery { order: ScanOrder::Worst, ..all() }, vec![6, 5, 4, 3, 2, 1]),
        (ListQuery { statuses: pending.clone(), ..all() }, vec![9, 8, 7]),
        (
            ListQuery { statuses: vec![ScanStatus::Pending, ScanStatus::Completed], ..all() },
            vec![9, 8, 7, 6, 5, 4, 3, 2, 1],
        ),
        (ListQuery { target: Some("h1".into()), ..all() }, vec![6, 5, 4]),
        (ListQuery { target: Some("h".into()), statuses: pending, ..all() }, vec![9, 8, 7]),
        (ListQuery { mode: Some(ScanMode::Active), ..all() }, vec![]),
        (ListQuery { plugin: Some("whatweb".into()), ..all() }, vec![6, 5, 4, 3, 2, 1]),
        (ListQuery { min_severity: Some(Severity::Low), ..all() }, vec![6, 5, 4, 3, 2, 1]),
        (ListQuery { created_from: Some(times[2]), ..all() }, vec![9, 8, 7, 6, 5, 4, 3]),
        (ListQuery { created_until: Some(times[2]), ..all() }, vec![2, 1]),
        (ListQuery { offset: 2, ..all() }, vec![9, 8, 7, 6, 5, 4, 3, 2, 1]),
    ] {
        for (filter, places) in &filters {
            let query = ListQuery { projects: filter.clone(), ..query.clone() };
            let mut matching: Vec<u64> = everywhere.clone();
            matching.retain(|id| places.iter().any(|place| (id - 1) % 3 == *place));
            let page = world.store.list(query.clone()).await.unwrap();
            let listed: Vec<u64> = page.scans.iter().map(|scan| scan.id.0).collect();
            assert_eq!(listed, matching[query.offset.min(matching.len())..], "{query:?}");
            if query.order.is_by_number() {
                assert_eq!((page.total, page.total_is_floor), (Some(matching.len() as u64), false), "{query:?}");
            }
            if query.offset == 0 {
                assert_eq!(world.pages_of_one(query.clone()).await, matching, "{query:?}");
            }
        }
    }
}

/// All filters apply at once, whichever index the store scans.
pub async fn filters_narrow_together<H: StoreHarness>(world: World<H>) {
    let second = Duration::from_secs(1);
    world.completed("a.example.com", second, &[("whatweb", 3)]).await;
    world.completed("b.example.com", second, &[("whatweb", 3)]).await;
    let cancelled = world.scan("a.example.com").await;
    world.committed(cancelled.id, cancel()).await;
    for target in ["a.example.com", "c.example.com"] {
        let mut scan = fixtures::new_scan(target);
        scan.request.options.mode = ScanMode::Active;
        world.submit(scan).await;
    }
    let all = ListQuery::default;
    for (query, expected) in [
        (
            ListQuery {
                target: Some("a.exa".into()),
                statuses: vec![ScanStatus::Cancelled, ScanStatus::Completed],
                ..all()
            },
            vec![3, 1],
        ),
        (ListQuery { target: Some("a.exa".into()), mode: Some(ScanMode::Active), ..all() }, vec![4]),
        (ListQuery { plugin: Some("whatweb".into()), target: Some("b.".into()), ..all() }, vec![2]),
        (ListQuery { plugin: Some("whatweb".into()), statuses: vec![ScanStatus::Failed], ..all() }, vec![]),
        (
            ListQuery {
                statuses: vec![ScanStatus::Pending],
                mode: Some(ScanMode::Active),
                before: Some(ScanId(5)),
                ..all()
            },
            vec![4],
        ),
        (ListQuery { target: Some("example".into()), mode: Some(ScanMode::Active), offset: 1, ..all() }, vec![4]),
        (
            ListQuery { target: Some("example".into()), statuses: vec![ScanStatus::Completed], limit: 1, ..all() },
            vec![2],
        ),
    ] {
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), expected, "{query:?}");
    }
}

/// A page has a cursor for the next one, and going back gives the same pages.
pub async fn pages_go_both_ways<H: StoreHarness>(world: World<H>) {
    for _ in 0..5 {
        world.scan("example.com").await;
    }
    let of_two = |query: ListQuery| ListQuery { limit: 2, ..query };
    let shown = |page: &ScanPage| page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>();
    let all = ListQuery::default;
    for (query, expected, next) in [
        (all(), vec![5, 4], Some(4)),
        (ListQuery { before: Some(ScanId(4)), ..all() }, vec![3, 2], Some(2)),
        (ListQuery { before: Some(ScanId(2)), ..all() }, vec![1], None),
        (ListQuery { after: Some(ScanId(2)), from_the_end: true, ..all() }, vec![4, 3], Some(4)),
        (ListQuery { after: Some(ScanId(3)), from_the_end: true, ..all() }, vec![5, 4], None),
        (ListQuery { order: ScanOrder::Oldest, ..all() }, vec![1, 2], Some(2)),
        (ListQuery { order: ScanOrder::Oldest, after: Some(ScanId(4)), ..all() }, vec![5], None),
        (
            ListQuery { order: ScanOrder::Oldest, before: Some(ScanId(4)), from_the_end: true, ..all() },
            vec![2, 3],
            Some(2),
        ),
        (
            ListQuery { statuses: vec![ScanStatus::Pending], after: Some(ScanId(2)), from_the_end: true, ..all() },
            vec![4, 3],
            Some(4),
        ),
    ] {
        let query = of_two(query);
        let page = world.store.list(query.clone()).await.unwrap();
        assert_eq!(
            (shown(&page), page.next.map(|next| next.id.0), page.is_partial),
            (expected, next, false),
            "{query:?}"
        );
    }
}

/// By target, by duration and by findings, page by page without gaps or duplicates.
pub async fn a_list_has_other_orders<H: StoreHarness>(world: World<H>) {
    let seconds = Duration::from_secs;
    world.completed("b.test", seconds(30), &[("x", 1)]).await;
    world.completed("a.test", seconds(90), &[("x", 7)]).await;
    world.completed("c.test", seconds(10), &[]).await;
    let cancelled = world.scan("a.test").await;
    world.committed(cancelled.id, cancel()).await;
    world.scan("b.test").await;
    for (order, target, expected) in [
        (ScanOrder::Target, None, vec![4, 2, 5, 1, 3]),
        (ScanOrder::Target, Some("b."), vec![5, 1]),
        (ScanOrder::Longest, None, vec![2, 1, 3]),
        (ScanOrder::Longest, Some("a."), vec![2]),
        (ScanOrder::Findings, None, vec![2, 1, 4, 3]),
    ] {
        for limit in [1, 2, 20] {
            let mut query = ListQuery { order, target: target.map(str::to_owned), limit, ..ListQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = world.store.list(query.clone()).await.unwrap();
                seen.extend(page.scans.iter().map(|scan| scan.id.0));
                let Some(next) = page.next else { break };
                query.from = Some(next);
            }
            assert_eq!(seen, expected, "{order} {target:?} {limit}");
        }
    }
}

/// Every end counts on its day, once, however many attempts the scan had.
pub async fn ends_are_counted_by_day<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap(), []);
    let day_of = |record: &ScanRecord| record.ended_at().unwrap().to_zoned_datetime(TimeZone::UTC).date();
    let mut ended = Vec::new();
    for (name, resolution) in [
        ("a", Resolution::Complete(Verdict::default())),
        ("a", Resolution::Fail(crash())),
        ("a", Resolution::Cancel(CancelledBy::User)),
    ] {
        for _ in 0..2 {
            let scan = world.running(name).await;
            ended.push(world.committed(scan.id, finish(scan.token, resolution.clone())).await);
        }
        world.harness.advance(Duration::from_secs(86_400));
    }
    world.deliver().await;
    let days = world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap();
    // The days come from the rows, because the store's own clock may pass midnight between two of
    // them.
    let mut by_day: BTreeMap<Date, DayOutcomes> = BTreeMap::new();
    for record in &ended {
        let outcomes = by_day.entry(day_of(record)).or_insert(DayOutcomes {
            day: day_of(record),
            completed: 0,
            failed: 0,
            cancelled: 0,
        });
        match record.status() {
            ScanStatus::Completed => outcomes.completed += 1,
            ScanStatus::Failed => outcomes.failed += 1,
            _ => outcomes.cancelled += 1,
        }
    }
    let expected: Vec<DayOutcomes> = by_day.into_values().collect();
    assert!(expected.len() >= 3);
    assert_eq!(days, expected);
    assert_eq!(world.store.outcomes(expected[1].day, &ProjectFilter::All).await.unwrap(), expected[1..]);
}

/// Newest first, filtered by target and mode if requested. Failed scans and dry runs do not count.
pub async fn past_runs_are_the_completed_ones<H: StoreHarness>(world: World<H>) {
    let seconds = Duration::from_secs;
    for (target, took) in [("a.test", 30), ("b.test", 60), ("a.test", 90)] {
        world.completed(target, seconds(took), &[]).await;
    }
    let failed = world.running("a").await;
    world.committed(failed.id, finish(failed.token, Resolution::Fail(crash()))).await;
    let dry = world.running("a").await;
    let verdict = Verdict { dry_run: true, ..Verdict::default() };
    world.committed(dry.id, finish(dry.token, Resolution::Complete(verdict))).await;
    let runs = world.store.past_runs(None, &ProjectFilter::All, 10).await.unwrap();
    assert_eq!(
        runs.iter().map(|run| (run.id.0, run.target.as_str())).collect::<Vec<_>>(),
        [(3, "a.test"), (2, "b.test"), (1, "a.test")]
    );
    for run in &runs {
        assert_eq!(took_ms(&world.get(run.id).await), Some(run.took.as_millis() as u64));
    }
    assert_eq!(world.store.past_runs(None, &ProjectFilter::All, 1).await.unwrap(), runs[..1]);
    let like = |mode| Some(RunsLike { target: "a.test".into(), mode });
    let of_a = world.store.past_runs(like(ScanMode::Passive), &ProjectFilter::All, 10).await.unwrap();
    assert_eq!(of_a.iter().map(|run| run.id.0).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(world.store.past_runs(like(ScanMode::Active), &ProjectFilter::All, 10).await.unwrap(), []);
}

/// The counts follow every change.
pub async fn stats_count_every_state<H: StoreHarness>(world: World<H>) {
    assert_eq!(world.store.stats(&ProjectFilter::All).await.unwrap(), StoreStats::default());
    for _ in 0..4 {
        world.scan("example.com").await;
    }
    assert_eq!(
        world.store.stats(&ProjectFilter::All).await.unwrap(),
        StoreStats { pending: 4, ..StoreStats::default() }
    );
    let (completed, failed) = (world.running("a").await, world.running("a").await);
    world.running("a").await;
    world.committed(completed.id, complete(completed.token)).await;
    world.committed(failed.id, finish(failed.token, Resolution::Fail(crash()))).await;
    world.committed(ScanId(1), cancel()).await;
    assert_eq!(
        world.store.stats(&ProjectFilter::All).await.unwrap(),
        StoreStats { pending: 3, running: 1, completed: 1, failed: 1, cancelled: 1, ..StoreStats::default() }
    );
}

/// Counts, outcomes and past runs are those of the projects, whatever happens in others.
pub async fn numbers_are_those_of_the_projects<H: StoreHarness>(world: World<H>) {
    let [one, two, nobody] = ["a-team", "team", "nobody"].map(|name| name.parse::<ProjectId>().unwrap());
    let default = ProjectId::default();
    let complete = || Some(Resolution::Complete(Verdict::default()));
    world.register("a").await;
    for (project, target, resolution) in [
        (&default, "a.test", complete()),
        (&default, "a.test", Some(Resolution::Fail(crash()))),
        (&one, "a.test", complete()),
        (&one, "b.test", complete()),
        (&one, "a.test", None),
        (&two, "a.test", Some(Resolution::Cancel(CancelledBy::User))),
        (&two, "a.test", complete()),
    ] {
        let scan = world.submit(NewScan { project: project.clone(), ..fixtures::new_scan(target) }).await;
        if let Some(resolution) = resolution {
            let leased = world.committed(scan.id, lease("a")).await;
            world.committed(scan.id, finish(leased.token, resolution)).await;
        }
    }
    let running = world.submit(NewScan { project: two.clone(), ..fixtures::new_scan("a.test") }).await;
    world.committed(running.id, lease("a")).await;
    world.deliver().await;
    let only = |projects: &[&ProjectId]| ProjectFilter::Only(projects.iter().copied().cloned().collect());
    for (filter, [pending, running, completed, failed, cancelled], runs, like) in [
        (ProjectFilter::All, [1, 1, 4, 1, 1], vec![7, 4, 3, 1], vec![7, 3, 1]),
        (ProjectFilter::of(one.clone()), [1, 0, 2, 0, 0], vec![4, 3], vec![3]),
        (only(&[&one, &two]), [1, 1, 3, 0, 1], vec![7, 4, 3], vec![7, 3]),
        (only(&[&default, &one, &two]), [1, 1, 4, 1, 1], vec![7, 4, 3, 1], vec![7, 3, 1]),
        (only(&[&two, &nobody]), [0, 1, 1, 0, 1], vec![7], vec![7]),
        (ProjectFilter::of(nobody.clone()), [0; 5], vec![], vec![]),
        (only(&[]), [0; 5], vec![], vec![]),
    ] {
        let stats = StoreStats { pending, running, completed, failed, cancelled, ..StoreStats::default() };
        assert_eq!(world.store.stats(&filter).await.unwrap(), stats, "{filter:?}");
        assert_eq!(world.ends(&filter).await, [completed, failed, cancelled], "{filter:?}");
        for (asked, expected) in
            [(None, runs), (Some(RunsLike { target: "a.test".into(), mode: ScanMode::Passive }), like)]
        {
            for limit in [1, 10] {
                let found = world.store.past_runs(asked.clone(), &filter, limit).await.unwrap();
                let found: Vec<u64> = found.iter().map(|run| run.id.0).collect();
                assert_eq!(found, expected[..limit.min(expected.len())], "{filter:?} {asked:?} {limit}");
            }
        }
    }
    // A deletion changes only the outcomes of its project.
    world.store.delete(ScanId(3), &Principal::System).await.unwrap();
    world.deliver().await;
    for (filter, expected) in [
        (ProjectFilter::of(one), [1, 0, 0]),
        (ProjectFilter::of(two), [1, 0, 1]),
        (ProjectFilter::of(default), [1, 1, 0]),
        (ProjectFilter::All, [3, 1, 1]),
    ] {
        assert_eq!(world.ends(&filter).await, expected, "{filter:?}");
    }
}

impl<H: StoreHarness> World<H> {
    /// The outcomes of all days: completed, failed, cancelled.
    async fn ends(&self, projects: &ProjectFilter) -> [u64; 3] {
        let days = self.store.outcomes(date(1970, 1, 1), projects).await.unwrap();
        let sum = |of: fn(&DayOutcomes) -> u64| days.iter().map(of).sum();
        [sum(|day| day.completed), sum(|day| day.failed), sum(|day| day.cancelled)]
    }
}
