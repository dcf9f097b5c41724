use jiff::Timestamp;

use super::*;
use crate::model::{
    AttemptNumber, AttemptReport, CancelledBy, ExitKind, Failure, InfoFile, NodeId, PluginKind, PluginStatus::*,
    ResultSummary, ScanMode, ScannerKind,
};
use crate::testing::fixtures;

fn result(name: &str, status: PluginStatus) -> PluginResult {
    PluginResult::new(name, status)
}

/// A complete result of attempt `attempt`.
fn of(attempt: u32, name: &str) -> PluginResult {
    PluginResult { attempt: Some(AttemptNumber(attempt)), ..result(name, Completed) }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn scanner(version: &str) -> ScannerInfo {
    ScannerInfo { kind: ScannerKind::Kast, version: version.into(), configuration: None }
}

fn attempt(number: u32, scanner: Option<ScannerInfo>, end: Option<AttemptEnd>) -> AttemptRecord {
    AttemptRecord {
        number: AttemptNumber(number),
        token: FencingToken(u64::from(number) * 10),
        node: "a".parse::<NodeId>().unwrap(),
        due: None,
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
        end,
        scanner,
    }
}

/// The plugins of `samples/plugins-deps.txt` that have dependencies, with those, and two others.
fn offered() -> Vec<PluginInfo> {
    let plugin = |name: &str, kind, dependencies: &[&str]| PluginInfo {
        name: name.into(),
        display_name: name.into(),
        description: String::new(),
        kind,
        available: name != "mozilla_observatory",
        dependencies: names(dependencies),
    };
    vec![
        plugin("mozilla_observatory", PluginKind::Passive, &[]),
        plugin("script_detection", PluginKind::Passive, &["mozilla_observatory"]),
        plugin("whatweb", PluginKind::Passive, &[]),
        plugin("testssl", PluginKind::Passive, &[]),
        plugin("katana", PluginKind::Passive, &[]),
        plugin("ai_surface_detection", PluginKind::Passive, &["katana", "whatweb", "script_detection"]),
        plugin("zap", PluginKind::Active, &[]),
    ]
}

fn request(plugins: &[&str]) -> ScanRequest {
    let mut request = fixtures::request("example.com");
    request.options.plugins = names(plugins);
    request
}

#[test]
fn only_complete_results_of_sound_attempts_are_carried() {
    let failed = |kind| AttemptEnd::Failed(Failure::new(kind, ""));
    let interrupted = |why| AttemptEnd::Interrupted { why, detail: None };
    let sound: Vec<AttemptEnd> = [
        FailureKind::Crashed,
        FailureKind::KilledBySignal,
        FailureKind::NoResult,
        FailureKind::Stalled,
        FailureKind::TimedOut,
        FailureKind::ActorCrashed,
        FailureKind::NodeLost,
    ]
    .map(failed)
    .into_iter()
    .chain(
        [
            Interruption::Shutdown,
            Interruption::Drained,
            Interruption::LeaseLost,
            Interruption::Unowned,
            Interruption::NeverStarted,
        ]
        .map(interrupted),
    )
    .chain([AttemptEnd::Completed(ResultSummary::default())])
    .collect();
    // The node lacked something, for example room on the disk; or the result file was damaged.
    let suspect = [
        failed(FailureKind::UnreadableResult),
        failed(FailureKind::SpawnFailed),
        failed(FailureKind::NothingChecked),
        interrupted(Interruption::Infrastructure),
        AttemptEnd::Cancelled,
    ];
    let record = |end: &AttemptEnd, dry_run| {
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        record.request.options.dry_run = dry_run;
        record.attempts = vec![attempt(1, None, None), attempt(2, None, Some(end.clone()))];
        record.plugins = vec![of(1, "early"), result("done", Completed)];
        let others = [Pending, InProgress, Failed, Skipped, Unavailable, Interrupted, NotRun];
        record.plugins.extend(others.map(|status| result("no", status)));
        record
    };
    for end in &sound {
        assert_eq!(carried(&record(end, false)), [of(1, "early"), of(2, "done")], "{end:?}");
        assert_eq!(carried(&record(end, true)), [], "a dry run keeps nothing");
    }
    for end in &suspect {
        assert_eq!(carried(&record(end, false)), [of(1, "early")], "{end:?}: only its own results are suspect");
    }
    assert_eq!(carried(&fixtures::record(1, Timestamp::UNIX_EPOCH)), []);
}

#[test]
fn results_of_another_version_of_the_scanner_are_no_candidates() {
    let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
    record.attempts = vec![
        attempt(1, Some(scanner("3.0.40")), None),
        attempt(2, Some(scanner("3.0.41")), None),
        attempt(3, None, None),
        attempt(4, None, None),
    ];
    record.plugins = vec![
        of(1, "one"),
        of(2, "two"),
        of(3, "without a scanner"),
        of(9, "no such attempt"),
        of(4, "of the last attempt"),
        result("own", Completed),
        PluginResult { status: Failed, ..of(2, "failed") },
    ];
    let found = |version: &str| -> Vec<(String, u64)> {
        candidates(&record, &scanner(version)).into_iter().map(|one| (one.plugin.name, one.token.0)).collect()
    };
    assert_eq!(found("3.0.40"), [("one".to_owned(), 10)]);
    assert_eq!(found("3.0.41"), [("two".to_owned(), 20)]);
    assert_eq!(found("4"), []);
    let builtin = ScannerInfo { kind: ScannerKind::Builtin, version: "3.0.40".into(), configuration: None };
    assert_eq!(candidates(&record, &builtin), []);
    // The offer of a node has no configuration, and the result keeps that of its attempt.
    record.attempts[0].scanner.as_mut().unwrap().configuration = Some("0123456789abcdef".into());
    let kept = candidates(&record, &scanner("3.0.40"));
    assert_eq!(kept.into_iter().map(|one| one.plugin.name).collect::<Vec<_>>(), ["one"]);
}

#[test]
fn result_that_is_older_than_a_day_is_no_candidate() {
    let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
    let hours = |hours| Some(Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours));
    let known = scanner("3.0.40");
    let earlier = |number, ended_at| AttemptRecord { ended_at, ..attempt(number, Some(known.clone()), None) };
    let last = AttemptRecord { started_at: hours(30).unwrap(), ..attempt(4, None, None) };
    record.attempts = vec![earlier(1, hours(5)), earlier(2, hours(6)), earlier(3, hours(29)), last];
    record.plugins = vec![of(1, "old"), of(2, "of a day ago"), of(3, "new")];
    let found: Vec<String> = candidates(&record, &known).into_iter().map(|one| one.plugin.name).collect();
    assert_eq!(found, names(&["of a day ago", "new"]));
}

#[test]
fn adopted_result_brings_only_results_of_the_scanner_of_its_attempt() {
    let row = |last: Option<ScannerInfo>| {
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        let (old, new) = (Some(scanner("3.0.40")), Some(scanner("3.0.41")));
        record.attempts = vec![attempt(1, old, None), attempt(2, new, None), attempt(3, last, None)];
        record.plugins = vec![of(1, "one"), of(2, "two"), result("own", Completed)];
        record
    };
    assert_eq!(adopted(&row(Some(scanner("3.0.41")))), Some(vec![of(2, "two")]));
    assert_eq!(adopted(&row(Some(scanner("3.0.42")))), Some(vec![]));
    assert_eq!(adopted(&row(None)), None, "nobody knows which scanner ran the last attempt");
    let without = ScanRecord { plugins: vec![result("own", Completed)], ..row(None) };
    assert_eq!(adopted(&without), Some(vec![]), "and nothing is kept");
}

#[test]
fn plan_runs_what_has_no_result_and_what_that_depends_on() {
    let all = ["mozilla_observatory", "script_detection", "whatweb", "testssl", "katana", "ai_surface_detection"];
    let anew = None;
    let done = Some(names(&[]));
    // selected, kept, what runs.
    for (selected, kept, only) in [
        // 50 minutes of testssl are not repeated.
        (
            &[][..],
            &["testssl"][..],
            Some(names(&["mozilla_observatory", "script_detection", "whatweb", "katana", "ai_surface_detection"])),
        ),
        (
            &[],
            &["mozilla_observatory", "script_detection", "whatweb", "katana", "ai_surface_detection"],
            Some(names(&["testssl"])),
        ),
        // A dependency runs again although it has a result, because its files are read.
        (
            &[],
            &["mozilla_observatory", "whatweb", "testssl", "katana", "ai_surface_detection"],
            Some(names(&["mozilla_observatory", "script_detection"])),
        ),
        (
            &[],
            &["mozilla_observatory", "script_detection", "whatweb", "testssl", "katana"],
            Some(names(&["mozilla_observatory", "script_detection", "whatweb", "katana", "ai_surface_detection"])),
        ),
        // What nothing else needs does not.
        (
            &[],
            &["script_detection", "testssl", "ai_surface_detection", "katana", "whatweb"],
            Some(names(&["mozilla_observatory"])),
        ),
        (&["whatweb", "testssl"], &["testssl"], Some(names(&["whatweb"]))),
        (&["whatweb", "testssl"], &["TESTSSL"], Some(names(&["whatweb"]))),
        // The selection brings its dependencies, as in the first attempt.
        (&["script_detection"], &["script_detection"], Some(names(&["mozilla_observatory"]))),
        (&["script_detection", "testssl"], &["testssl"], Some(names(&["mozilla_observatory", "script_detection"]))),
        // A plugin of another mode is no part of the scan.
        (&["whatweb", "zap"], &["whatweb"], done.clone()),
        // The scanner reports a plugin that it does not have.
        (&["whatweb", "novel"], &["whatweb"], Some(names(&["novel"]))),
        (&["whatweb"], &["whatweb"], done.clone()),
        (&[], &all, done),
        (&[], &[], anew),
    ] {
        let results: Vec<PluginResult> = kept.iter().map(|name| of(1, name)).collect();
        let expected = match only {
            None => Plan::Anew,
            Some(only) if only.is_empty() => Plan::Done(results.clone()),
            Some(only) => Plan::Rest { only, kept: results.clone() },
        };
        assert_eq!(plan(&request(selected), &offered(), results), expected, "{selected:?} {kept:?}");
    }
}

#[test]
fn plan_runs_everything_if_it_cannot_tell_what_is_missing() {
    let kept = || vec![of(1, "testssl")];
    assert_eq!(plan(&request(&[]), &[], kept()), Plan::Anew, "the plugins are not known");
    let mut dry = request(&[]);
    dry.options.dry_run = true;
    assert_eq!(plan(&dry, &offered(), kept()), Plan::Anew);
    let mut active = request(&[]);
    active.options.mode = ScanMode::Active;
    assert_eq!(
        plan(&active, &offered(), kept()),
        Plan::Rest { only: names(&["zap"]), kept: kept() },
        "the mode decides what the scan runs"
    );
}

#[test]
fn newest_complete_result_counts_and_none_is_lost() {
    let kept = || vec![of(1, "testssl"), of(1, "whatweb")];
    for (own, expected) in [
        (vec![], kept()),
        (vec![result("cors", Pending)], [kept(), vec![result("cors", Pending)]].concat()),
        // A dependency that runs again.
        (
            vec![result("whatweb", InProgress), result("cors", Pending)],
            [kept(), vec![result("cors", Pending)]].concat(),
        ),
        (
            vec![result("whatweb", Completed), result("cors", Completed)],
            vec![of(1, "testssl"), result("whatweb", Completed), result("cors", Completed)],
        ),
        (vec![result("WhatWeb", Failed)], kept()),
        (vec![result("testssl", Skipped)], kept()),
    ] {
        assert_eq!(merge(&kept(), own.clone()), expected, "{own:?}");
    }
    let twice = vec![result("a", Completed), result("a", Failed)];
    assert_eq!(merge(&[], twice.clone()), twice, "without kept results nothing changes");
}

#[test]
fn results_that_a_dead_node_did_not_write_are_read_from_its_files() {
    let remains = |is_marked, processes, plugins: &[PluginResult]| Remains {
        is_marked,
        processes,
        report: AttemptReport {
            exit: ExitKind::Unknown,
            info: InfoFile::Missing,
            plugins: plugins.to_vec(),
            last_words: String::new(),
            notes: Vec::new(),
        },
    };
    let found = [result("testssl", Completed), result("whatweb", InProgress)];
    let row = |plugins: Vec<PluginResult>| {
        let mut record = fixtures::record(1, Timestamp::UNIX_EPOCH);
        record.attempts = vec![attempt(1, None, None), attempt(2, None, None)];
        record.plugins = plugins;
        record
    };
    let (unwritten, written) = (row(vec![of(1, "cors"), result("testssl", InProgress)]), row(found.to_vec()));
    let both = [vec![of(1, "cors")], found.to_vec()].concat();
    for (remains, record, expected) in [
        (Some(remains(true, 0, &found)), &unwritten, Some(both)),
        (Some(remains(true, 0, &found)), &written, None),
        (Some(remains(true, 0, &found[1..])), &unwritten, None),
        (Some(remains(false, 0, &found)), &unwritten, None),
        (Some(remains(true, 1, &found)), &unwritten, None),
        (None, &unwritten, None),
    ] {
        assert_eq!(salvaged(remains.as_ref(), record), expected, "{remains:?}");
    }
    let mut cancelled = unwritten.clone();
    cancelled.cancel_requested = Some(CancelledBy::User);
    let mut dry = unwritten;
    dry.request.options.dry_run = true;
    for record in [cancelled, dry] {
        assert_eq!(salvaged(Some(&remains(true, 0, &found)), &record), None);
    }
}

#[test]
fn checks_without_a_result_are_named_for_another_scan() {
    let coverage = |states: &[(&str, PluginStatus)], dry_run| {
        let mut coverage = Coverage::new(dry_run, Vec::new());
        states.iter().for_each(|(name, status)| coverage.add(*status, (*name).to_owned()));
        coverage
    };
    for (states, expected) in [
        (&[("whatweb", Completed)][..], &[][..]),
        (&[("whatweb", Completed), ("testssl", Failed), ("katana", NotRun)], &["testssl", "katana"]),
        (&[("testssl", Interrupted)], &["testssl"]),
        (&[("whatweb", Skipped)], &[]),
        // The tool is still missing, or there by now.
        (&[("mozilla_observatory", Unavailable)], &[]),
        (&[("katana", Unavailable)], &["katana"]),
        (&[("novel", Unavailable), ("gone", Failed)], &[]),
    ] {
        assert_eq!(without_result(&coverage(states, false), &offered()), names(expected), "{states:?}");
        assert_eq!(without_result(&coverage(states, true), &offered()), names(&[]), "a dry run has no checks");
    }
}
