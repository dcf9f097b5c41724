//! The contract of the rows of scans: submission, state machine, deletion.

use super::*;

/// The cases of this suite.
#[macro_export]
#[doc(hidden)]
macro_rules! scan_repository_cases {
    ($harness:expr) => {
        $crate::store_conformance_tests! {
            $harness; scan_repository;
            a_submission_waits_and_is_due_at_once
            scan_keeps_its_owner_and_its_project
            ids_grow_from_one
            ids_are_unique_under_concurrency
            what_does_not_exist_is_missing
            a_key_makes_one_scan
            keys_are_compared_exactly
            one_of_many_concurrent_submissions_with_one_key_makes_the_scan
            a_lease_grants_the_first_attempt
            a_lease_needs_a_pending_scan
            a_lease_needs_a_due_scan
            a_lease_needs_a_good_node_lease
            one_of_many_concurrent_leases_wins
            concurrent_changes_are_all_kept
            progress_replaces_the_plugins_and_can_be_repeated
            a_stale_token_changes_nothing
            each_resolution_has_its_state
            a_result_is_adopted_under_its_token_unless_a_cancel_was_asked_for
            a_finish_keeps_the_plugins_unless_it_brings_new_ones
            a_pending_scan_is_cancelled_at_once
            a_running_scan_is_asked_to_cancel_once
            a_requested_cancel_wins_over_another_attempt
            an_ended_scan_refuses_a_cancel
            a_rescue_takes_the_scan_by_node_and_token
            only_what_has_ended_is_deleted
            a_deleted_scan_leaves_no_trace_and_its_id_stays_free
            hostile_text_comes_back_as_it_was
            everything_survives_a_reopen
        }
    };
}

/// A submitted scan is pending, due since it was accepted, unchanged, and readable.
pub async fn a_submission_waits_and_is_due_at_once<H: StoreHarness>(world: World<H>) {
    let asked = NewScan { rerun_of: Some(ScanId(7)), ..keyed("key") };
    let record = world.submit(asked.clone()).await;
    assert_eq!(record.state, ScanState::Pending { due: record.created_at, reason: PendingReason::Submitted });
    assert_eq!((record.token, record.version, record.failures), (FencingToken(0), 0, 0));
    assert_eq!(
        (&record.attempts, &record.plugins, record.cancel_requested, record.started_at),
        (&vec![], &vec![], None, None)
    );
    assert_eq!(
        (&record.request, &record.idempotency_key, record.trace, record.rerun_of),
        (&asked.request, &asked.idempotency_key, asked.trace, asked.rerun_of)
    );
    assert_eq!(world.get(record.id).await, record);
    assert_eq!(world.store.submitted("key").await.unwrap(), Some(record));
    assert_eq!(world.store.submitted("other").await.unwrap(), None);
}

/// The owner is who submitted the scan. Neither changes with the scan's state.
pub async fn scan_keeps_its_owner_and_its_project<H: StoreHarness>(world: World<H>) {
    let project: ProjectId = "team".parse().unwrap();
    world.register("a").await;
    for (submitted_by, project) in [(Principal::System, ProjectId::default()), (Principal::Anonymous, project)] {
        let owner = Some(submitted_by.to_string());
        let asked = NewScan { submitted_by, project: project.clone(), ..fixtures::new_scan("example.com") };
        let scan = world.submit(asked).await;
        let id = scan.id;
        let leased = world.committed(id, lease("a")).await;
        let ended = world.committed(id, complete(leased.token)).await;
        let listed = world.store.list(ListQuery::default()).await.unwrap().scans.remove(0);
        for record in [scan, leased, ended, world.get(id).await, listed] {
            assert_eq!((record.id, &record.owner, &record.project), (id, &owner, &project));
        }
    }
}

/// Ids are 1, 2, 3 and so on.
pub async fn ids_grow_from_one<H: StoreHarness>(world: World<H>) {
    for id in 1..=5 {
        assert_eq!(world.scan("example.com").await.id, ScanId(id));
    }
}

/// Concurrent submissions get different ids, and each scan can be read.
pub async fn ids_are_unique_under_concurrency<H: StoreHarness>(world: World<H>) {
    let submissions: Vec<_> = (0..150)
        .map(|number| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move {
                store.submit(fixtures::new_scan(&format!("host-{number}.example.com"))).await.unwrap().into_record()
            })
        })
        .collect();
    let mut ids = BTreeSet::new();
    for submission in submissions {
        let record = submission.await.unwrap();
        assert!(ids.insert(record.id), "{} was given out twice", record.id);
        assert_eq!(world.get(record.id).await, record);
    }
}

/// An id without a scan gives a result, not an error.
pub async fn what_does_not_exist_is_missing<H: StoreHarness>(world: World<H>) {
    for id in [0, 1, u64::MAX].map(ScanId) {
        assert_eq!(world.store.get(id).await.unwrap(), None);
        assert_eq!(world.store.apply(id, cancel()).await.unwrap(), Applied::Missing);
    }
}

/// A second submission with the same key returns the first one's scan in its current state. Scans
/// without a key are never the same.
pub async fn a_key_makes_one_scan<H: StoreHarness>(world: World<H>) {
    let first = world.submit(keyed("key")).await;
    assert_eq!(world.store.submit(keyed("key")).await.unwrap(), Submitted::Existing(first.clone()));
    let cancelled = world.committed(first.id, cancel()).await;
    let other_request = NewScan { request: fixtures::request("other.example"), ..keyed("key") };
    assert_eq!(world.store.submit(other_request).await.unwrap(), Submitted::Existing(cancelled));
    assert_eq!([world.scan("example.com").await.id, world.scan("example.com").await.id], [ScanId(2), ScanId(3)]);
}

/// Keys are any text: they are case-sensitive, and no text means "no key" or another kind of value.
pub async fn keys_are_compared_exactly<H: StoreHarness>(world: World<H>) {
    let keys =
        ["a", "A", " a", "system a", "", "1", "NONE", "null", "a\0b", "a\0", "'; DELETE scan; --", "é", "e\u{301}"];
    for (at, key) in (1..).zip(keys) {
        assert_eq!(world.submit(keyed(key)).await.id, ScanId(at), "{key:?}");
    }
    for (at, key) in (1..).zip(keys) {
        assert_eq!(world.store.submit(keyed(key)).await.unwrap().into_record().id, ScanId(at), "{key:?}");
    }
}

/// Any number of concurrent submissions with one key create one scan.
pub async fn one_of_many_concurrent_submissions_with_one_key_makes_the_scan<H: StoreHarness>(world: World<H>) {
    let submissions: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.submit(keyed("key")).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for submission in submissions {
        let submitted = submission.await.unwrap();
        created += usize::from(matches!(submitted, Submitted::Created(_)));
        assert_eq!(submitted.into_record().id, ScanId(1));
    }
    assert_eq!(created, 1);
    assert_eq!(world.listed(ListQuery::default()).await, [1]);
}

/// A lease starts an attempt on the node, with a new token.
pub async fn a_lease_grants_the_first_attempt<H: StoreHarness>(world: World<H>) {
    let record = world.running("a").await;
    let ScanState::Running { attempt, node: on, since } = record.state.clone() else { panic!("{}", record.status()) };
    assert_eq!((attempt, on, record.token, record.version), (AttemptNumber(1), node("a"), FencingToken(1), 1));
    assert_eq!(record.started_at, Some(since));
    assert!(since >= record.created_at);
    assert_eq!((record.attempts.len(), record.attempts[0].started_at, &record.attempts[0].end), (1, since, &None));
}

/// A running or ended scan cannot be leased.
pub async fn a_lease_needs_a_pending_scan<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    assert_eq!(world.refused(running.id, lease("a")).await, Refusal::NotPending(ScanStatus::Running));
    world.committed(running.id, complete(running.token)).await;
    assert_eq!(world.refused(running.id, lease("a")).await, Refusal::NotPending(ScanStatus::Completed));
}

/// A scan that waits for a later retry cannot be leased before that time of the store's clock.
pub async fn a_lease_needs_a_due_scan<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let after = Duration::from_secs(600);
    let waiting =
        world.committed(running.id, finish(running.token, Resolution::Retry { failure: crash(), after })).await;
    let ScanState::Pending { due, .. } = waiting.state else { panic!("{waiting:?}") };
    assert_eq!(Some(due), waiting.attempts[0].ended_at.map(|ended| ended + after), "by the store's clock");
    let Refusal::NotDue(wait) = world.refused(running.id, lease("a")).await else { panic!("leased too early") };
    assert!(wait <= after && wait > after / 2, "{wait:?}");
    world.harness.advance(Duration::from_secs(601));
    world.register("a").await;
    let again = world.committed(running.id, lease("a")).await;
    assert_eq!((again.token, again.attempts.len(), again.started_at), (FencingToken(2), 2, running.started_at));
}

/// A node gets no scans without a lease, with an expired one, or with one that was ended or
/// released.
pub async fn a_lease_needs_a_good_node_lease<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await;
    assert_eq!(world.refused(scan.id, lease("stranger")).await, Refusal::NodeLeaseEnded);
    world.register("a").await;
    world.expire();
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeLeaseEnded, "expired");
    world.orphans().await;
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeLeaseEnded, "ended");
    world.register("a").await;
    world.store.remove(&node("a")).await.unwrap();
    assert_eq!(world.refused(scan.id, lease("a")).await, Refusal::NodeLeaseEnded, "given back");
    world.register("a").await;
    assert_eq!(world.committed(scan.id, lease("a")).await.status(), ScanStatus::Running);
}

/// If many nodes lease the same scan at once, one gets it, and the others are refused because it
/// runs.
pub async fn one_of_many_concurrent_leases_wins<H: StoreHarness>(world: World<H>) {
    const NODES: [&str; 4] = ["a", "b", "c", "d"];
    for name in NODES {
        world.register(name).await;
    }
    let scan = world.scan("example.com").await;
    let leases: Vec<_> = (0..24)
        .map(|number| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.apply(scan.id, lease(NODES[number % NODES.len()])).await.unwrap() })
        })
        .collect();
    let mut granted = Vec::new();
    for one in leases {
        match one.await.unwrap() {
            Applied::Committed(record) => granted.push(record),
            Applied::Refused(refusal, _) => assert_eq!(refusal, Refusal::NotPending(ScanStatus::Running)),
            Applied::Missing => panic!("the scan is there"),
        }
    }
    assert_eq!(granted.len(), 1);
    assert_eq!(world.get(scan.id).await, granted[0]);
}

/// Concurrent changes of one row are serialised: none is lost, and each increments the version by
/// one.
pub async fn concurrent_changes_are_all_kept<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let changes: Vec<_> = (0..16)
        .map(|number| {
            let store = Arc::clone(&world.store);
            let command = if number % 4 == 0 {
                cancel()
            } else {
                progress(running.token, vec![PluginResult::new("whatweb", PluginStatus::InProgress)])
            };
            tokio::spawn(async move { store.apply(running.id, command).await.unwrap() })
        })
        .collect();
    let mut versions = BTreeSet::new();
    for change in changes {
        match change.await.unwrap() {
            Applied::Committed(record) => {
                assert!(versions.insert(record.version), "two changes made version {}", record.version);
            }
            Applied::Refused(refusal, _) => assert_eq!(refusal, Refusal::AlreadyDone, "a cancel after the first"),
            Applied::Missing => panic!("the scan is there"),
        }
    }
    assert_eq!(versions, (2..=14).collect(), "12 progresses and one cancel");
    let last = world.get(running.id).await;
    assert_eq!((last.version, last.cancel_requested, last.plugins.len()), (14, Some(CancelledBy::User), 1));
}

/// Progress replaces the plugins, keeps the scanner if it contains none, and may be repeated.
pub async fn progress_replaces_the_plugins_and_can_be_repeated<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let scanner = ScannerInfo { kind: ScannerKind::ALL[0], version: "1".into(), configuration: None };
    let plugin = |status| vec![PluginResult::new("whatweb", status)];
    let first = Command::Progress {
        token: running.token,
        scanner: Some(scanner.clone()),
        plugins: plugin(PluginStatus::Pending),
    };
    world.committed(running.id, first).await;
    for _ in 0..2 {
        let record = world.committed(running.id, progress(running.token, plugin(PluginStatus::Completed))).await;
        assert_eq!(record.plugins, plugin(PluginStatus::Completed));
        assert_eq!(record.attempts[0].scanner, Some(scanner.clone()));
        assert_eq!((record.status(), record.token), (ScanStatus::Running, running.token));
    }
}

/// The token of an earlier attempt, or one that was never granted, changes nothing.
pub async fn a_stale_token_changes_nothing<H: StoreHarness>(world: World<H>) {
    let first = world.running("a").await;
    world.committed(first.id, finish(first.token, Resolution::Requeue(Interruption::Shutdown))).await;
    assert_eq!(world.refused(first.id, complete(first.token)).await, Refusal::StaleToken, "nothing runs");
    let second = world.committed(first.id, lease("a")).await;
    for token in [FencingToken(0), first.token, second.token.next(), FencingToken(u64::MAX)] {
        assert_eq!(world.refused(first.id, progress(token, vec![])).await, Refusal::StaleToken);
        assert_eq!(world.refused(first.id, complete(token)).await, Refusal::StaleToken);
    }
    let done = world.committed(first.id, complete(second.token)).await;
    assert_eq!(
        world.refused(first.id, finish(second.token, Resolution::Fail(crash()))).await,
        Refusal::StaleToken,
        "it has ended"
    );
    assert_eq!(done.status(), ScanStatus::Completed);
}

/// Every resolution of an attempt sets its state and is added to the attempt's history.
pub async fn each_resolution_has_its_state<H: StoreHarness>(world: World<H>) {
    let verdict = Verdict { plugins: vec![PluginResult::new("whatweb", PluginStatus::Completed)], dry_run: false };
    let after = Duration::from_secs(600);
    for (resolution, status, end, failures) in [
        (
            Resolution::Complete(verdict.clone()),
            ScanStatus::Completed,
            AttemptEnd::Completed(ResultSummary::of(&verdict.plugins, false)),
            0,
        ),
        (Resolution::Retry { failure: crash(), after }, ScanStatus::Pending, AttemptEnd::Failed(crash()), 1),
        (Resolution::Fail(crash()), ScanStatus::Failed, AttemptEnd::Failed(crash()), 1),
        (
            Resolution::Requeue(Interruption::Shutdown),
            ScanStatus::Pending,
            AttemptEnd::Interrupted { why: Interruption::Shutdown, detail: None },
            0,
        ),
        (Resolution::Cancel(CancelledBy::Interrupt), ScanStatus::Cancelled, AttemptEnd::Cancelled, 0),
    ] {
        let running = world.running("a").await;
        let ended = world.committed(running.id, finish(running.token, resolution)).await;
        assert_eq!((ended.status(), ended.failures, ended.version), (status, failures, running.version + 1));
        assert_eq!(ended.attempts[0].end, Some(end));
        assert!(ended.attempts[0].ended_at >= running.started_at, "by the store's clock");
        if status.is_terminal() {
            assert_eq!(ended.ended_at(), ended.attempts[0].ended_at);
        }
    }
}

/// A result that is found later ends its attempt, whichever node writes it, as long as the row
/// still runs under its token. If a cancel was requested, the scan is cancelled.
pub async fn a_result_is_adopted_under_its_token_unless_a_cancel_was_asked_for<H: StoreHarness>(world: World<H>) {
    let verdict = Verdict { plugins: vec![PluginResult::new("whatweb", PluginStatus::Completed)], dry_run: false };
    let adopt = |token| Command::Finish {
        token,
        resolution: Resolution::Adopt(verdict.clone()),
        plugins: Some(verdict.plugins.clone()),
    };
    let (kept, cancelled, rescued) = (world.running("a").await, world.running("a").await, world.running("a").await);
    world.expire();
    assert_eq!(world.orphans().await.len(), 3, "the node's lease is over");
    for token in [FencingToken(0), kept.token.next()] {
        assert_eq!(world.refused(kept.id, adopt(token)).await, Refusal::StaleToken);
    }
    let ended = world.committed(kept.id, adopt(kept.token)).await;
    assert_eq!(
        (ended.status(), &ended.plugins, ended.failures, ended.token),
        (ScanStatus::Completed, &verdict.plugins, 0, kept.token)
    );
    assert_eq!(ended.attempts[0].end, Some(AttemptEnd::Completed(ResultSummary::of(&verdict.plugins, false))));
    assert_eq!(world.refused(kept.id, adopt(kept.token)).await, Refusal::StaleToken, "once");
    world.committed(cancelled.id, cancel()).await;
    let ended = world.committed(cancelled.id, adopt(cancelled.token)).await;
    assert_eq!((ended.status(), &ended.attempts[0].end), (ScanStatus::Cancelled, &Some(AttemptEnd::Cancelled)));
    let rescue = Command::Rescue {
        from: node("a"),
        token: rescued.token,
        resolution: Resolution::Requeue(Interruption::LeaseLost),
    };
    world.committed(rescued.id, rescue).await;
    assert_eq!(world.refused(rescued.id, adopt(rescued.token)).await, Refusal::StaleToken, "it is another's by now");
}

/// The recorded plugins are kept, even if the attempt failed, unless the end contains newer ones.
pub async fn a_finish_keeps_the_plugins_unless_it_brings_new_ones<H: StoreHarness>(world: World<H>) {
    let known = vec![PluginResult::new("whatweb", PluginStatus::Completed)];
    let newer = vec![PluginResult::new("whatweb", PluginStatus::Failed)];
    for (brought, kept) in [(None, known.clone()), (Some(newer.clone()), newer)] {
        let running = world.running("a").await;
        world.committed(running.id, progress(running.token, known.clone())).await;
        let end = Command::Finish { token: running.token, resolution: Resolution::Fail(crash()), plugins: brought };
        assert_eq!(world.committed(running.id, end).await.plugins, kept);
    }
}

/// A pending scan has no process, so it is cancelled at once.
pub async fn a_pending_scan_is_cancelled_at_once<H: StoreHarness>(world: World<H>) {
    let scan = world.scan("example.com").await;
    let cancelled = world.committed(scan.id, cancel()).await;
    assert!(matches!(cancelled.state, ScanState::Cancelled { by: CancelledBy::User, .. }));
    assert_eq!(world.refused(scan.id, cancel()).await, Refusal::AlreadyEnded(ScanStatus::Cancelled));
}

/// A running scan continues until its attempt has ended; the request is stored once.
pub async fn a_running_scan_is_asked_to_cancel_once<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let asked = world.committed(running.id, cancel()).await;
    assert_eq!(
        (asked.status(), asked.cancel_requested, asked.token),
        (ScanStatus::Running, Some(CancelledBy::User), running.token)
    );
    assert_eq!(
        world
            .refused(running.id, Command::Cancel { by: CancelledBy::Interrupt, principal: Principal::Anonymous })
            .await,
        Refusal::AlreadyDone
    );
    let ended = world.committed(running.id, finish(running.token, Resolution::Cancel(CancelledBy::User))).await;
    assert_eq!(ended.status(), ScanStatus::Cancelled);
}

/// A scan with a requested cancel is not retried.
pub async fn a_requested_cancel_wins_over_another_attempt<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    world.committed(running.id, cancel()).await;
    let ended = world.committed(running.id, finish(running.token, Resolution::Requeue(Interruption::Shutdown))).await;
    assert_eq!(ended.status(), ScanStatus::Cancelled);
    assert_eq!(world.store.due(Duration::ZERO, 10).await.unwrap(), []);
}

/// An ended scan keeps its state.
pub async fn an_ended_scan_refuses_a_cancel<H: StoreHarness>(world: World<H>) {
    for (resolution, status) in [
        (Resolution::Complete(Verdict::default()), ScanStatus::Completed),
        (Resolution::Fail(crash()), ScanStatus::Failed),
    ] {
        let running = world.running("a").await;
        world.committed(running.id, finish(running.token, resolution)).await;
        assert_eq!(world.refused(running.id, cancel()).await, Refusal::AlreadyEnded(status));
    }
}

/// A reconciler must pass the node and the token that it read. Afterwards the old token cannot
/// write.
pub async fn a_rescue_takes_the_scan_by_node_and_token<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let rescue = |from: &str, token| Command::Rescue {
        from: node(from),
        token,
        resolution: Resolution::Requeue(Interruption::LeaseLost),
    };
    assert_eq!(world.refused(running.id, rescue("b", running.token)).await, Refusal::StaleToken);
    assert_eq!(world.refused(running.id, rescue("a", running.token.next())).await, Refusal::StaleToken);
    let rescued = world.committed(running.id, rescue("a", running.token)).await;
    assert_eq!((rescued.status(), rescued.token), (ScanStatus::Pending, running.token.next()));
    assert_eq!(world.refused(running.id, complete(running.token)).await, Refusal::StaleToken);
    assert_eq!(world.refused(running.id, rescue("a", running.token)).await, Refusal::StaleToken);
}

/// A pending or running scan is not deleted; an id without a scan is missing.
pub async fn only_what_has_ended_is_deleted<H: StoreHarness>(world: World<H>) {
    let waiting = world.scan("example.com").await;
    let running = world.running("a").await;
    for scan in [waiting, running] {
        assert_eq!(world.store.delete(scan.id, &Principal::System).await.unwrap(), Deleted::Refused(scan.clone()));
        assert_eq!(world.get(scan.id).await, scan);
    }
    assert_eq!(world.store.delete(ScanId(99), &Principal::System).await.unwrap(), Deleted::Missing);
    assert_eq!(world.store.delete(ScanId(u64::MAX), &Principal::System).await.unwrap(), Deleted::Missing);
}

/// A deleted scan is gone from every list and count. Its key is free again; its id is not reused.
pub async fn a_deleted_scan_leaves_no_trace_and_its_id_stays_free<H: StoreHarness>(world: World<H>) {
    let first = world.completed("a.test", Duration::from_secs(5), &[("whatweb", 3)]).await;
    let keyed_scan = world.submit(keyed("once")).await;
    let ended = world.committed(keyed_scan.id, cancel()).await;
    assert_eq!(world.store.delete(ended.id, &Principal::System).await.unwrap(), Deleted::Gone(ended.clone()));
    let completed = world.get(first).await;
    assert_eq!(world.store.delete(first, &Principal::System).await.unwrap(), Deleted::Gone(completed));
    assert_eq!(world.store.delete(first, &Principal::System).await.unwrap(), Deleted::Missing);
    assert_eq!(world.store.get(first).await.unwrap(), None);
    assert_eq!(world.store.apply(first, cancel()).await.unwrap(), Applied::Missing);
    assert_eq!(world.store.stats(&ProjectFilter::All).await.unwrap(), StoreStats::default());
    world.deliver().await;
    assert_eq!(world.store.outcomes(date(1970, 1, 1), &ProjectFilter::All).await.unwrap(), []);
    assert_eq!(world.store.past_runs(None, &ProjectFilter::All, 10).await.unwrap(), []);
    for order in ScanOrder::ALL {
        assert_eq!(world.listed(ListQuery { order: *order, ..ListQuery::default() }).await, [0_u64; 0], "{order}");
    }
    assert_eq!(world.listed(ListQuery { plugin: Some("whatweb".into()), ..ListQuery::default() }).await, [0_u64; 0]);
    let again = world.submit(keyed("once")).await;
    assert_eq!(again.id, ScanId(3));
    for _ in 0..3 {
        world.scan("example.com").await;
    }
    let page = world.store.list(ListQuery { offset: 2, limit: 2, count: true, ..ListQuery::default() }).await.unwrap();
    assert_eq!((page.scans.iter().map(|scan| scan.id.0).collect::<Vec<_>>(), page.total), (vec![4, 3], Some(4)));
}

/// Text that a scanned site chose, and many plugins, are returned unchanged.
pub async fn hostile_text_comes_back_as_it_was<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let text = "\0 \u{1b}[31m ' \" ` \\ {} $x <script> --; \u{202e} \u{10ffff} \n\r\t NONE".to_owned();
    let mut plugins: Vec<_> =
        (0..300).map(|number| PluginResult::new(format!("plugin-{number}"), PluginStatus::Completed)).collect();
    for plugin in &mut plugins {
        plugin.message = Some(text.repeat(10));
        plugin.findings_count = 7;
        plugin.issues = vec![IssueRef { id: text.clone(), severity: Severity::High, title: String::new() }; 3];
    }
    let record = world.committed(running.id, progress(running.token, plugins.clone())).await;
    let counted: Vec<_> = plugins.into_iter().map(PluginResult::tidy).collect();
    assert_eq!(record.plugins, counted);
    let failure = Failure::new(FailureKind::Crashed, text);
    let ended = world.committed(running.id, finish(running.token, Resolution::Fail(failure.clone()))).await;
    assert_eq!(ended.last_failure(), Some(&failure));
    assert_eq!(world.listed(ListQuery { statuses: vec![ScanStatus::Failed], ..ListQuery::default() }).await, [1]);
}

/// Committed data exists after a restart: rows, keys, ids, leases and counts.
pub async fn everything_survives_a_reopen<H: StoreHarness>(world: World<H>) {
    let running = world.running("a").await;
    let mut expected = vec![world.submit(keyed("key")).await, running.clone()];
    let done = world.running("a").await;
    expected.insert(0, world.committed(done.id, complete(done.token)).await);
    let (nodes, stats) = (world.store.all().await.unwrap(), world.store.stats(&ProjectFilter::All).await.unwrap());
    let World { harness, store } = world;
    let Ok(store) = Arc::try_unwrap(store) else { panic!("the case shares the store with nobody") };
    let store = Arc::new(harness.reopen(store).await);
    let world = World { harness, store };
    assert_eq!(world.store.list(ListQuery::default()).await.unwrap().scans, expected);
    assert_eq!(
        (world.store.all().await.unwrap(), world.store.stats(&ProjectFilter::All).await.unwrap()),
        (nodes, stats)
    );
    assert_eq!(world.store.submit(keyed("key")).await.unwrap(), Submitted::Existing(expected[1].clone()));
    assert_eq!(world.scan("example.com").await.id, ScanId(4));
    assert!(world.renew("a").await.is_ok());
    assert_eq!(world.committed(running.id, complete(running.token)).await.status(), ScanStatus::Completed);
}
