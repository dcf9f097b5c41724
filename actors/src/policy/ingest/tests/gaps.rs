//! Dry runs, scans that ended early, and checks that a scan kept from an earlier attempt.

use kastrel_findings::lifecycle::ScanOrder;

use super::*;

#[test]
fn dry_run_without_rows_of_plugins_is_no_scan() {
    let mut store = Store::default();
    store.ingest(&scan(1, &[("testssl", Completed, 1, &["a"])]));
    let before = store.rows.clone();
    let mut dry = scan(2, &[]);
    dry.head.absent = Check::DryRun;
    let plan = store.ingest(&dry);
    assert!(dry.is_dry_run());
    assert_eq!((&plan.findings[..], plan.result.absent, &store.rows), (&[][..], Check::DryRun, &before));
    // It stays one for a scan that is ingested after it.
    store.ingest(&scan(0, &[("testssl", Completed, 1, &["b"])]));
    assert_eq!(store.row("b").life.unchecked, None, "a check by the scan after it proved it fixed");
}

#[test]
fn scan_that_ended_before_its_plugins_leaves_the_target_unchecked_in_any_order() {
    let failed = || {
        let mut failed = scan(2, &[]);
        failed.head.absent = Check::Cancelled;
        failed
    };
    let checked = scan(1, &[("testssl", Completed, 1, &["a"])]);
    for scans in [[&checked, &failed()], [&failed(), &checked]] {
        let mut store = Store::default();
        for scan in scans {
            store.ingest(scan);
        }
        assert_eq!(store.row("a").life.not_checked_since(), Some((order(1).at, Check::Cancelled)));
        let checks = &store.rows.target.as_ref().unwrap().checks["testssl"];
        assert_eq!((checks.complete, checks.newest), (Some(order(1)), (order(2), Check::Cancelled)));
    }
}

/// A scan whose last attempt kept the results of one that ended in the minute `ran`.
fn kept(minute: u64, ran: u64, seen: &[&str]) -> ScanReading {
    let mut reading = scan(minute, &[("testssl", Completed, 1, seen)]);
    let from = ScanOrder { scan: minute, token: 0, ..order(ran) };
    reading.checks.get_mut("testssl").unwrap().kept_from = Some(from);
    reading
}

#[test]
fn kept_check_proves_nothing_about_what_was_seen_after_it() {
    let (resumed, between) = (kept(12, 10, &[]), scan(11, &[("testssl", Completed, 1, &["a"])]));
    for scans in [[&between, &resumed], [&resumed, &between]] {
        let mut store = Store::default();
        let plans = scans.map(|scan| store.ingest(scan));
        assert_eq!(store.row("a").life.state, State::Open);
        assert_eq!((plans[0].result.fixed, plans[1].result.fixed), (0, 0));
        let last = &store.rows.target.as_ref().unwrap();
        assert_eq!((last.last_scan, last.checks["testssl"].complete), (order(12), Some(order(11))));
    }
    // It still proves what it saw before.
    let mut store = Store::default();
    store.ingest(&scan(9, &[("testssl", Completed, 1, &["a"])]));
    let plan = store.ingest(&resumed);
    assert!(is_fixed(store.row("a")));
    assert_eq!(plan.result.fixed, 1);
}

#[test]
fn sighting_of_a_kept_check_has_the_date_of_its_attempt_and_is_new_in_its_scan() {
    let (resumed, between) = (kept(12, 10, &["a"]), scan(11, &[("testssl", Completed, 1, &[])]));
    for scans in [[&between, &resumed], [&resumed, &between]] {
        let mut store = Store::default();
        let plans = scans.map(|scan| store.ingest(scan));
        assert!(is_fixed(store.row("a")), "a newer check did not see it");
        assert_eq!(store.row("a").life.first_seen.order.at, order(10).at);
        let of_resumed = plans.iter().find(|plan| plan.result.scan == resumed.head.scan).unwrap();
        assert_eq!(of_resumed.result.new, 1);
    }
}
