//! Tests of `kastrel scan` as a CI gate: exit codes and output.

use serde_json::Value;

use super::app::TestApp;

/// A way in which a check does not run; the target for the fake KAST; the exit code with
/// `--fail-on high`, and without options.
const WAYS: &[(&str, &str, i32, i32)] = &[
    ("everything ran and nothing was found", "clean-6p.test", 0, 0),
    ("a plugin failed", "failp-clean-6p.test", 11, 0),
    ("a result cannot be read", "ptruncated-clean-6p.test", 11, 0),
    ("a result was whole once, and cannot be read at the end", "pspoilt-clean-6p.test", 11, 0),
    ("a plugin ended with a word that nobody knows", "ptimeout-clean-6p.test", 11, 0),
    ("KAST ended a plugin with a word that nobody knows", "infotimeout-clean-6p.test", 11, 0),
    ("more plugins than are read", "manyp-clean-6p.test", 11, 0),
    ("a result is a link to elsewhere", "plinked-clean-6p.test", 11, 0),
    ("a tool is missing", "missingp-clean-6p.test", 11, 0),
    ("the scanner skipped a plugin", "skippedp-clean-6p.test", 11, 0),
    ("the scanner does not know how a plugin ended", "unknownp-clean-6p.test", 11, 0),
    ("the scanner wrote no report", "noreport-clean-6p.test", 11, 0),
    ("all plugins failed", "allfail-clean-6p.test", 11, 1),
    ("KAST ended with 0 and left nothing", "nofiles.test", 11, 1),
    ("KAST crashed", "crash.test", 11, 1),
    ("kast_info.json cannot be read", "truncated-clean-6p.test", 1, 1),
    ("issues, and kast_info.json cannot be read", "truncated-6p.test", 10, 1),
    ("KAST was killed", "signal.test", 11, 1),
    ("an issue of this severity, and one of unknown severity", "ok-1p.test", 10, 0),
    ("an issue is a text in place of a list", "pissuetext-clean-6p.test", 10, 0),
    ("an issue is a key in place of a list", "pissuekeys-clean-6p.test", 10, 0),
    ("issues, and a failed plugin", "failp-6p.test", 10, 0),
];

fn app() -> TestApp {
    TestApp::prepare(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")])
}

#[tokio::test]
async fn scan_with_an_unfinished_check_never_passes_the_gate() {
    for (what, target, gated, plain) in WAYS {
        let app = app();
        let ended = app.run(&["scan", target, "--fail-on", "high"]).await;
        assert_eq!(ended.code, Some(*gated), "{what}: {}{}", ended.stdout, ended.stderr);
        let is_said = ended.stdout.contains("Not passed: ");
        assert_eq!(is_said, matches!(gated, 10 | 11), "{what}: {}", ended.stdout);
        if *gated == 10 {
            assert!(ended.stdout.contains("high: A fake issue [FAKE-1]"), "{what}: {}", ended.stdout);
            let is_alone = target.starts_with("pissue");
            assert!(
                is_alone || ended.stdout.contains("unknown: novel"),
                "{what}: an issue of unknown severity counts: {}",
                ended.stdout
            );
        }
        assert!(ended.stdout.contains("Coverage: "), "{what}: {}", ended.stdout);
        let ended = app.run(&["scan", target]).await;
        assert_eq!(ended.code, Some(*plain), "{what}, without a gate: {}{}", ended.stdout, ended.stderr);
        // Both scans are in the list.
        let list: Value = serde_json::from_str(&app.run(&["list", "--json"]).await.stdout).unwrap();
        assert_eq!(list["scans"].as_array().map(Vec::len), Some(2), "{what}: {list:#}");
    }
}

#[tokio::test]
async fn required_coverage_is_configurable() {
    let app = app();
    for (args, code) in [
        (&["missingp-clean-6p.test", "--fail-on", "high", "--allow-failed", "ai_surface_detection"][..], 0),
        (&["missingp-clean-6p.test", "--fail-on", "high", "--allow-failed", "whatweb"], 11),
        (
            &[
                "missingp-clean-6p.test",
                "--fail-on",
                "high",
                "--allow-failed",
                "ai_surface_detection",
                "--require-coverage",
                "all",
            ],
            11,
        ),
        (&["missingp-clean-6p.test", "--fail-on", "high", "--require-coverage", "none"], 0),
        (&["missingp-clean-6p.test", "--require-coverage", "any"], 11),
        (&["clean-6p.test", "--require-coverage", "all"], 0),
        (&["failp-6p.test", "--fail-on", "high", "--require-coverage", "none"], 10),
    ] {
        let args: Vec<&str> = std::iter::once("scan").chain(args.iter().copied()).collect();
        let ended = app.run(&args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {}{}", ended.stdout, ended.stderr);
    }
}

#[tokio::test]
async fn issues_and_coverage_are_reported_and_issues_decide_the_exit_code() {
    let app = TestApp::with(&[("KASTREL_SCANS__MAX_ATTEMPTS", "1")]).await;
    let ended = app.run(&["scan", "failp-6p.test", "--fail-on", "high", "--server", &app.url()]).await;
    assert_eq!(ended.code, Some(10), "{}{}", ended.stdout, ended.stderr);
    for said in [
        "issues at or above high (exit code 10)",
        "high: A fake issue [FAKE-1]",
        "Not passed: coverage incomplete",
        "Failed: ai_surface_detection",
        "5 of 6 checks ran",
    ] {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    let report = ended.stdout.lines().find_map(|line| line.strip_prefix("Report:")).unwrap().trim();
    assert_eq!(report, format!("{}/scans/1/report", app.url()));
    assert_eq!(app.get("/scans/1/report").await.status(), 200);

    let json = app.run(&["scan", "failp-6p.test", "--fail-on", "high", "--json", "--server", &app.url()]).await;
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((document["exit_code"].as_u64(), document["status"].as_str()), (Some(10), Some("completed")));
    assert!(document["not_passed"].as_array().is_some_and(|lines| lines.len() > 3), "{document:#}");
    assert!(document["created_at"].is_string(), "{document:#}");
    let status = app.run(&["status", "1", "--json", "--server", &app.url()]).await;
    let document: Value = serde_json::from_str(&status.stdout).unwrap();
    assert!(
        document["created_at"].is_string() && document["coverage"]["failed"][0] == "ai_surface_detection",
        "{document:#}"
    );
}

#[tokio::test]
async fn dry_run_prints_its_plan_and_fails_the_gate() {
    let app = app();
    let ended = app.run(&["scan", "clean-6p.test", "--dry-run"]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("Plan:\n") && ended.stdout.contains("  [DRY RUN] would run the plugins\n"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("Issues:   not checked: dry run"), "{}", ended.stdout);
    let gated =
        app.run(&["scan", "clean-6p.test", "--dry-run", "--fail-on", "low", "--require-coverage", "none"]).await;
    assert_eq!(gated.code, Some(11), "{}{}", gated.stdout, gated.stderr);
    assert!(gated.stdout.contains("Dry run: nothing was checked"), "{}", gated.stdout);
}

#[tokio::test]
async fn first_command_on_a_new_data_folder_validates_its_plugins() {
    let app = || {
        TestApp::prepare(&[
            ("KASTREL_SCANS__MAX_ATTEMPTS", "1"),
            ("KASTREL_KAST__ENVIRONMENT", "FAKE_KAST_ACTIVE"),
            ("FAKE_KAST_ACTIVE", "zap"),
        ])
    };
    let refused = app().run(&["scan", "clean-6p.test", "--run-only", "zap"]).await;
    assert_eq!(refused.code, Some(2), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("`zap` is an active plugin; choose mode active or both"), "{}", refused.stderr);
    let mixed = app().run(&["scan", "clean-6p.test", "--run-only", "whatweb,zap"]).await;
    assert_eq!(mixed.code, Some(0), "{}{}", mixed.stdout, mixed.stderr);
    assert!(mixed.stderr.contains("`zap` is an active plugin and not part of this passive scan"), "{}", mixed.stderr);
}

#[tokio::test]
async fn wrong_scan_number_and_help_are_handled() {
    let app = app();
    let wrong = app.run(&["status", "abc"]).await;
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("expected a scan number"), "{}", wrong.stderr);
    let help = app.run(&["help"]).await;
    assert_eq!(help.code, Some(0), "{}", help.stderr);
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains(" 11  "), "{}", help.stdout);
}
