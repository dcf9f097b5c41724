use std::collections::BTreeMap;

use clap::CommandFactory as _;
use clap::Parser as _;
use kastrel_actors::model::{
    AccountKind, ClearanceLevel, ProjectRole, ScanRequestDraft, ScanStatus, ServerRole, Severity,
};

use super::*;
use crate::api_types::{NewClearanceBody, NewPublicLinkBody, NewShareBody, NewTokenBody};
use crate::cli::exit::Exit;
use crate::cli::gate::{Gate, Require};
use crate::cli::{Cli, Command};
use crate::config::Key;

fn scan(args: &[&str]) -> ScanArgs {
    match Cli::try_parse_from(["kastrel", "scan"].iter().chain(args)).unwrap().command {
        Command::Scan(args) => *args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_of_a_key_is_a_flag_of_serve() {
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let long: Vec<String> =
        serve.get_arguments().filter_map(|arg| arg.get_long().map(|long| format!("--{long}"))).collect();
    for flag in crate::config::KEYS.iter().filter_map(|key| key.flag) {
        assert!(long.contains(&flag.to_owned()), "{flag}");
    }
}

#[test]
fn flags_reach_their_keys() {
    let all = [
        "kastrel",
        "serve",
        "--listen=[::1]:1",
        "--data-dir=d",
        "--allow-private-targets",
        "--concurrency=9",
        "--kast=/k",
        "--scanner=kast",
        "--accept-loss",
    ];
    let Command::Serve(args) = Cli::try_parse_from(all).unwrap().command else { panic!("serve") };
    let flags = args.flags();
    assert_eq!(flags.len(), crate::config::KEYS.iter().filter(|key| key.flag.is_some()).count());
    for flag in flags {
        assert!(Key::find(flag.key).is_some_and(|key| key.flag.is_some()), "{}", flag.key);
    }
}

#[test]
fn secrets_come_from_files_and_those_on_the_command_line_are_named() {
    let args = scan(&[
        "a.test",
        "--set-secret",
        "zap.remote.api_key=/k",
        "--set",
        "zap.remote.api_key=x",
        "--set",
        "whatweb.timeout=5",
        "--set",
        "secret:a.b=x",
    ]);
    let read =
        |file: &str| if file == "/k" { Ok("hunter2\r\n".to_owned()) } else { Err(std::io::ErrorKind::NotFound.into()) };
    assert_eq!(args.secrets(read).unwrap(), ["secret:zap.remote.api_key=hunter2"]);
    assert_eq!(args.exposed(), ["zap.remote.api_key", "a.b"]);
    for bad in ["zap.remote.api_key", "api_key=/k", "zap.key=", "zap.key=/missing"] {
        assert!(scan(&["a.test", "--set-secret", bad]).secrets(read).is_err(), "{bad}");
    }
    for bad in ["zap.remote.api_key=hunter2", "zap hunter2=/k", "hunter2", "api_key=hunter2"] {
        let why = scan(&["a.test", "--set-secret", bad]).secrets(read).unwrap_err();
        assert!(!why.contains("hunter2"), "{why}");
    }
}

#[test]
fn targets_of_a_file_replace_the_target_and_are_not_waited_for() {
    let args = scan(&["-f", "targets.txt", "--no-wait", "--mode", "passive"]);
    assert_eq!((args.file.as_deref(), args.target.as_deref()), (Some("targets.txt"), None));
    for wrong in
        [&["-f", "x"][..], &[], &["a.test", "-f", "x", "--no-wait"], &["-f", "x", "--no-wait", "--output", "y"]]
    {
        assert!(Cli::try_parse_from(["kastrel", "scan"].iter().chain(wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_scan_is_what_the_words_say() {
    assert_eq!(
        scan(&["example.com"]).draft(),
        ScanRequestDraft { target: "example.com".into(), ..ScanRequestDraft::default() }
    );
    let all = scan(&[
        "example.com",
        "-m",
        "both",
        "--run-only",
        "a,b",
        "--no-parallel",
        "--max-workers",
        "3",
        "-v",
        "--dry-run",
        "--format",
        "pdf",
        "--set",
        "a.b=c,d",
        "--set",
        "a.e=f",
        "--priority",
        "low",
        "--fail-on",
        "high",
        "--require-coverage",
        "any",
        "--allow-failed",
        "testssl, zap",
    ]);
    let gate = Gate {
        fail_on: Some(Severity::High),
        require: Some(Require::Any),
        allowed: vec!["testssl".into(), "zap".into()],
    };
    assert_eq!(all.gate(), gate);
    assert!(!scan(&["example.com"]).gate().is_set());
    let draft = all.draft();
    assert_eq!(draft.plugins, ["a", "b"]);
    assert_eq!(draft.overrides, ["a.b=c,d", "a.e=f"]);
    assert_eq!(
        (draft.parallel, draft.max_workers, draft.verbose, draft.dry_run),
        (Some(false), Some(3), Some(true), Some(true))
    );
    assert!(draft.check().is_ok());
    assert_eq!(scan(&["x", "-p"]).draft().parallel, Some(true));
    assert_eq!(scan(&["x", "--no-parallel", "-p"]).draft().parallel, Some(true), "the last word counts");
}

#[test]
fn wrong_words_are_refused() {
    for args in [
        &["scan"][..],
        &["scan", "x", "-m", "loud"],
        &["scan", "x", "--fail-on", "worst"],
        &["scan", "x", "--no-wait", "--fail-on", "high"],
        &["scan", "x", "--no-wait", "--require-coverage", "all"],
        &["scan", "x", "--require-coverage", "some"],
        &["status", "0"],
        &["scan", "-oX"],
        &["status", "first"],
        &["list", "--limit", "0"],
        &["nothing"],
        &[],
    ] {
        let error = Cli::try_parse_from(["kastrel"].iter().chain(args)).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{args:?}");
    }
}

#[test]
fn an_active_scan_needs_a_confirmation_each_time() {
    for (args, lacks) in [
        (&["x"][..], false),
        (&["x", "-m", "passive"], false),
        (&["x", "-m", "active"], true),
        (&["x", "-m", "both"], true),
        (&["x", "-m", "both", "--confirm-active"], false),
        (&["x", "-m", "active", "--dry-run"], true),
    ] {
        assert_eq!(scan(args).lacks_permission(), lacks, "{args:?}");
    }
}

#[test]
fn scan_is_submitted_to_the_named_project() {
    assert_eq!(scan(&["x"]).draft().project, None);
    assert_eq!(scan(&["x", "--project", "shop"]).draft().project.as_deref(), Some("shop"));
    assert!(Cli::try_parse_from(["kastrel", "scan", "x", "--project", "Shop"]).is_err());
}

#[test]
fn a_scan_is_named_by_its_number() {
    let error = Cli::try_parse_from(["kastrel", "status", "abc"]).unwrap_err().to_string();
    assert!(error.contains("invalid value 'abc' for '<ID>': expected a scan number, such as 12"), "{error}");
    assert!(Cli::try_parse_from(["kastrel", "status", "12"]).is_ok());
}

#[test]
fn states_have_the_words_of_people_and_of_the_api() {
    for (word, status) in
        [("queued", ScanStatus::Pending), ("pending", ScanStatus::Pending), ("failed", ScanStatus::Failed)]
    {
        let Command::List(args) = Cli::try_parse_from(["kastrel", "list", "--status", word]).unwrap().command else {
            panic!("list")
        };
        assert_eq!(args.status(), Some(status), "{word}");
    }
    for status in ScanStatus::ALL {
        assert!(Cli::try_parse_from(["kastrel", "list", "--status", status.as_str()]).is_ok(), "{status}");
    }
}

#[test]
fn help_is_a_command_as_well() {
    for words in [&["help"][..], &["help", "scan"], &["scan", "--help"], &["help", "status"]] {
        let error = Cli::try_parse_from(["kastrel"].iter().chain(words)).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (clap::error::ErrorKind::DisplayHelp, 0), "{words:?}");
    }
}

#[test]
fn the_scanners_arguments_stay_untouched() {
    let args = |texts: &[&str]| texts.iter().map(OsString::from).collect::<Vec<_>>();
    assert_eq!(
        scanner_arguments(&args(&["kastrel", "scanner", "-h", "--version", "--odd", "--", "x"])),
        Some(args(&["kastrel scanner", "-h", "--version", "--odd", "--", "x"]))
    );
    assert_eq!(scanner_arguments(&args(&["kastrel", "scan", "scanner"])), None);
    assert_eq!(scanner_arguments(&args(&["kastrel"])), None);
}

#[test]
fn the_help_lists_the_exit_codes() {
    let help = Cli::command().render_help().to_string();
    for exit in Exit::ALL {
        assert!(help.contains(exit.meaning()), "{help}");
    }
}

#[test]
fn pause_reason_follows_the_rule_of_the_api() {
    let pause = |reason: &str| Cli::try_parse_from(["kastrel", "pause", "--reason", reason]);
    let Command::Pause(args) = pause(" an\u{1b} upgrade ").unwrap().command else { panic!() };
    assert_eq!(args.reason.as_deref(), Some("an upgrade"));
    let error = pause(&"x".repeat(201)).unwrap_err().to_string();
    assert!(error.contains("--reason") && error.contains("expected at most 200 characters"), "{error}");
}

#[test]
fn event_commands_take_scans_limits_and_ids() {
    let parsed = |args: &[&str]| Cli::try_parse_from(["kastrel"].iter().chain(args)).map(|cli| cli.command);
    match parsed(&["audit", "list", "--scan", "12", "--limit", "1000", "--json"]) {
        Ok(Command::Audit(AuditCommand::List(args))) => {
            assert_eq!((args.scan.map(|scan| scan.0), args.limit, args.common.json), (Some(12), 1000, true));
        }
        other => panic!("{other:?}"),
    }
    let filters = [
        "--principal",
        "user:ana",
        "--action",
        "signed_in",
        "--since",
        "2026-11-23",
        "--until",
        "2026-11-23T08:00:00Z",
        "--before",
        "10000000000.4f-2a",
    ];
    match parsed(&[&["audit", "list"][..], &filters[..]].concat()) {
        Ok(Command::Audit(AuditCommand::List(args))) => {
            let (principal, action) = (args.principal.map(|principal| principal.to_string()), args.action);
            assert_eq!((principal.as_deref(), action.as_deref()), (Some("user:ana"), Some("signed_in")));
            assert_eq!(args.before.unwrap().to_string(), "10000000000.4f-2a");
            let moment = |text: &str| Some(text.parse().unwrap());
            assert_eq!((args.since, args.until), (moment("2026-11-23T00:00:00Z"), moment("2026-11-23T08:00:00Z")));
        }
        other => panic!("{other:?}"),
    }
    match parsed(&["dead-letters", "resend", "12-3"]) {
        Ok(Command::DeadLetters(DeadLettersCommand::Resend(args))) => assert_eq!(args.id.to_string(), "12-3"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        parsed(&["dead-letters", "list"]),
        Ok(Command::DeadLetters(DeadLettersCommand::List(args))) if !args.json
    ));
    for wrong in [
        &["audit", "list", "--scan", "0"][..],
        &["audit", "list", "--limit", "1001"],
        &["audit", "list", "--principal", "ana"],
        &["audit", "list", "--action", "scan_moved"],
        &["audit", "list", "--since", "yesterday"],
        &["audit", "list", "--until", "2026-13-01"],
        &["audit", "list", "--before", "2026-11-23"],
        &["dead-letters", "resend", "12"],
        &["dead-letters", "resend"],
    ] {
        assert!(parsed(wrong).is_err(), "{wrong:?}");
    }
}

fn parsed(words: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(["kastrel"].into_iter().chain(words.split(' '))).map(|cli| cli.command)
}

#[test]
fn new_accounts_have_the_rights_of_the_words() {
    let account = |words: &str| match parsed(words).unwrap() {
        Command::User(UserCommand::Create(args)) => args.account(),
        Command::ServiceAccount(ServiceAccountCommand::Create(args)) => args.account(),
        other => panic!("{other:?}"),
    };
    let memberships = |id: &str, role: &str| [(id.parse().unwrap(), role.parse().unwrap())].into();
    for (words, role, of_projects) in [
        ("user create ana", None, BTreeMap::new()),
        ("user create ana --admin", Some(ServerRole::Admin), BTreeMap::new()),
        ("user create ana --auditor --role scanner", Some(ServerRole::Auditor), memberships("default", "scanner")),
        ("user create ana --project shop", None, memberships("shop", "viewer")),
        ("service-account create ci --project shop --role owner", None, memberships("shop", "owner")),
    ] {
        let account = account(words);
        assert_eq!((account.server_role, account.memberships), (role, of_projects), "{words}");
    }
    assert_eq!(account("service-account create ci").kind, Some(AccountKind::Service));
    for wrong in [
        "user create",
        "user create Ana",
        "user create ana --admin --auditor",
        "user create ana --role king",
        "service-account create ci --password-file f",
        "user role ana owner",
        "project create Shop",
        "project grant shop ana",
        "project grant shop ana king",
        "token create",
        "token create --label x --days 0",
        "token revoke short",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn role_of_an_account_can_be_removed() {
    for (word, role) in [("admin", Some(ServerRole::Admin)), ("auditor", Some(ServerRole::Auditor)), ("none", None)] {
        let Command::User(UserCommand::Role(args)) = parsed(&format!("user role ana {word}")).unwrap() else {
            panic!("role")
        };
        assert_eq!(args.server_role(), role);
    }
}

#[test]
fn token_is_what_the_words_say() {
    let token = |words: &str| match parsed(words).unwrap() {
        Command::Token(TokenCommand::Create(args)) => (args.account.clone(), args.token()),
        other => panic!("{other:?}"),
    };
    assert_eq!(token("token create --label x"), (None, NewTokenBody { label: "x".into(), ..NewTokenBody::default() }));
    let (account, body) = token(
        "token create --account ci --label x --role scanner --project shop --days 7 --server-role --network 192.0.2.0/24 --network ::1",
    );
    assert_eq!(account, "ci".parse().ok());
    let expected = NewTokenBody {
        label: "x".into(),
        role: Some(ProjectRole::Scanner),
        project: "shop".parse().ok(),
        server_role: true,
        networks: vec!["192.0.2.0/24".into(), "::1".into()],
        days: Some(7),
    };
    assert_eq!(body, expected);
}

#[test]
fn clearance_is_what_the_words_say() {
    let set = |words: &str| match parsed(words).unwrap() {
        Command::Clearance(ClearanceCommand::Set(args)) => {
            (args.pattern.to_string(), args.project.to_string(), args.clearance())
        }
        other => panic!("{other:?}"),
    };
    let (host, project, body) = set("clearance set *.Example.com active --text contract --until 2026-12-31");
    assert_eq!((host.as_str(), project.as_str()), ("*.example.com", "default"));
    let (until, text) = (Some("2026-12-31".into()), Some("contract".into()));
    assert_eq!(body, NewClearanceBody { level: Some(ClearanceLevel::Active), until, text });
    let (host, project, body) = set("clearance set ::1 none --project shop");
    assert_eq!((host.as_str(), project.as_str()), ("[::1]", "shop"));
    assert_eq!(body, NewClearanceBody { level: Some(ClearanceLevel::None), ..NewClearanceBody::default() });
    for wrong in [
        "clearance set example.com",
        "clearance set example.com king",
        "clearance set * active",
        "clearance set https://example.com active",
        "clearance remove",
        "clearance list --project Shop",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn public_link_is_what_the_words_say() {
    let create = |words: &str| match parsed(words).unwrap() {
        Command::Link(LinkCommand::Create(args)) => (args.scan.0, args.password_file.clone(), args.link()),
        other => panic!("{other:?}"),
    };
    assert_eq!(create("link create 7"), (7, None, NewPublicLinkBody::default()));
    let (scan, file, body) = create("link create 7 --label x --days 365 --password-file -");
    assert_eq!((scan, file.as_deref()), (7, Some("-")));
    assert_eq!(body, NewPublicLinkBody { label: Some("x".into()), days: Some(365), password: None });
    for wrong in [
        "link create",
        "link create 0",
        "link create 7 --days 0",
        "link create 7 --days 366",
        "link list",
        "link list first",
        "link revoke 7",
        "link revoke 7 short",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn share_is_what_the_words_say() {
    let create = |words: &str| match parsed(words).unwrap() {
        Command::Share(ShareCommand::Create(args)) => (args.scan.0, args.share()),
        other => panic!("{other:?}"),
    };
    let share = |grantee: &str| NewShareBody { grantee: grantee.into(), ..NewShareBody::default() };
    assert_eq!(create("share create 7 user:ana"), (7, share("user:ana")));
    let body = NewShareBody { right: Some("edit".into()), days: Some(365), ..share("project:web") };
    assert_eq!(create("share create 7 project:web --right edit --days 365"), (7, body));
    for wrong in [
        "share create 7",
        "share create 0 user:ana",
        "share create 7 ana",
        "share create 7 user:ana --days 0",
        "share create 7 user:ana --right own",
        "share list",
        "share revoke 7",
        "share revoke 7 service:ci",
        "transfer 7",
        "transfer 7 Team",
        "list --shared --status failed",
        "list --shared --tag release",
    ] {
        assert!(parsed(wrong).is_err(), "{wrong}");
    }
}
