//! Tests the isolation of a scanner: its user, its privileges, its limits, its temporary files.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use kastrel::adapters::kast_runner::{Limits, RunAs, ScannerCommand};
use kastrel_actors::ports::StopMode;

use super::stage::{PATIENCE, Stage, fake_kast_at};
use super::stops::is_alive;

/// Creates a stage whose scanner runs as another user. The user exists on no machine, and no other
/// test uses it. The tests run as root, as in CI.
async fn as_another(user: u32, limits: Limits) -> Stage {
    assert!(rustix::process::geteuid().is_root(), "these tests start scanners as another user, and must run as root");
    let stage = Stage::without_catalogue(|config| {
        let root = config.results_dir.parent().unwrap().to_owned();
        let program = root.join("fake-kast");
        // The other user can reach this path, independent of the build folder.
        fake_kast_at(&program);
        config.scanner = ScannerCommand::kast(program);
        config.env_extra = vec![("FAKE_KAST_SPY".into(), spied(&root).into())];
        let isolation = config.isolation.as_mut().unwrap();
        isolation.run_as = Some(RunAs::resolve(&user.to_string()).unwrap());
        isolation.limits = limits;
    });
    let mut catalogue = stage.runner.catalogue();
    tokio::time::timeout(PATIENCE, catalogue.wait_for(Option::is_some)).await.unwrap().unwrap();
    stage
}

/// Returns what such a scanner must not access: the server's environment and memory, a file of the
/// data folder, and the server process.
fn spied(root: &Path) -> String {
    let own = std::process::id();
    std::fs::create_dir(root.join("database")).unwrap();
    std::fs::write(root.join("database/rows"), "x").unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(root.join("database/rows"), open).unwrap();
    std::fs::set_permissions(root.join("database"), std::fs::Permissions::from_mode(0o700)).unwrap();
    for folder in [root, &root.join("results")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let root = root.display();
    format!(
        "/proc/{own}/environ,/proc/{own}/fd,/proc/{own}/maps,{root}/database/rows,{root}/database,{root},{root}/results,{own}"
    )
}

async fn look(stage: &Stage, target: &str) -> Vec<String> {
    let job = stage.job(target);
    let log = stage.runner.paths(&job).log;
    let ended = stage.start(job).await.unwrap().ended(None).await;
    assert_eq!(ended.name, "completed", "{}", ended.detail());
    std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect()
}

fn value<'a>(lines: &'a [String], name: &str) -> &'a str {
    let found = lines.iter().find_map(|line| line.strip_prefix("look ")?.strip_prefix(name));
    found.unwrap_or_else(|| panic!("{name}: {lines:#?}")).trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scanner_is_without_new_privileges_and_first_to_die() {
    let stage = Stage::new().await;
    let lines = look(&stage, "look-1p.test").await;
    assert_eq!(value(&lines, "NoNewPrivs:"), "1");
    assert_eq!(value(&lines, "oom_score_adj"), "500");
    assert_eq!(value(&lines, "core"), "Some(0)");
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_ne!(own.trim(), "500", "the server is not");
    let tmp = Path::new(value(&lines, "TMPDIR"));
    assert!(tmp.starts_with(stage.root.path().join("cache/tmp")), "{}", tmp.display());
    assert!(!tmp.exists(), "it is gone with the attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_scanner_gets_at_nothing_of_the_server_and_its_results_come_back() {
    const USER: u32 = 64_321;
    let stage = as_another(USER, Limits::default()).await;
    let lines = look(&stage, "look-spy-closed-2p.test").await;
    let id = USER.to_string();
    assert_eq!(value(&lines, "Uid:"), [id.as_str(); 4].join(" "));
    assert_eq!(value(&lines, "Gid:"), [id.as_str(); 4].join(" "));
    assert_eq!(
        (value(&lines, "Groups:"), value(&lines, "CapEff:"), value(&lines, "CapPrm:")),
        (id.as_str(), "0000000000000000", "0000000000000000")
    );
    assert_eq!(
        (value(&lines, "NoNewPrivs:"), value(&lines, "USER"), value(&lines, "oom_score_adj")),
        ("1", id.as_str(), "500")
    );
    assert_eq!(value(&lines, "HOME"), value(&lines, "TMPDIR"), "a user without a home");
    let spied: Vec<&String> = lines.iter().filter(|line| line.starts_with("spy ")).collect();
    assert!(spied.len() == 8 && spied.iter().all(|line| line.ends_with(" PermissionDenied")), "{spied:#?}");

    let scan = std::fs::read_dir(stage.root.path().join("results")).unwrap().next().unwrap().unwrap().path();
    let attempt = scan.join("attempt-1");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&attempt), 0o700, "ours alone again");
    assert_eq!((mode(&scan), mode(&stage.root.path().join("results"))), (0o710, 0o710));
    for (name, expected) in [("kast_info.json", 0o660), ("deep", 0o770), ("deep/file", 0o660)] {
        let metadata = std::fs::metadata(attempt.join(name)).unwrap();
        assert_eq!(
            (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o777),
            (USER, USER, expected),
            "{name}"
        );
    }
    assert_eq!(std::fs::metadata(attempt.join(".kastrel-attempt")).unwrap().uid(), 0, "what is ours stays ours");
    assert_eq!(std::fs::read_dir(stage.root.path().join("cache/tmp")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn scanner_of_another_user_is_ended_like_any_other() {
    let stage = as_another(64_322, Limits::default()).await;
    for mode in [StopMode::Graceful, StopMode::Kill] {
        let job = stage.job("escape-family-hang-stubborn.test");
        let log = stage.runner.paths(&job).log;
        let mut running = stage.start(job).await.unwrap();
        running.in_progress().await;
        running.control.as_ref().unwrap().stop(mode);
        running.ended(None).await;
        let log = std::fs::read_to_string(log).unwrap();
        let escaped = log.lines().find_map(|line| line.strip_prefix("escaped ")).unwrap();
        assert!(!is_alive(escaped), "{mode:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_bounded_and_ended() {
    const MOST: u64 = 40;
    const USER: u32 = 64_323;
    let stage = as_another(USER, Limits { processes: Some(MOST), ..Limits::default() }).await;
    let job = stage.job("bomb.test");
    let log = stage.runner.paths(&job).log;
    let running = stage.start(job).await.unwrap();
    let refused = async {
        let mut again = tokio::time::interval(std::time::Duration::from_millis(20));
        while !std::fs::read_to_string(&log).unwrap().contains("bomb refused") {
            again.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the system never refused a process");
    let of_user = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes.filter(|entry| entry.metadata().is_ok_and(|metadata| metadata.uid() == USER)).count() as u64
    };
    // Without a cgroup limit, the limit applies to the sum of all concurrent attempts.
    assert!(of_user() <= 4 * MOST + 4, "{}", of_user());
    running.control.as_ref().unwrap().stop(StopMode::Kill);
    running.ended(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_limited() {
    const MIB: u64 = 256;
    let stage = Stage::with(|config| config.isolation.as_mut().unwrap().limits.memory_bytes = Some(MIB << 20)).await;
    let job = stage.job("eat-1p.test");
    let log = stage.runner.paths(&job).log;
    let ended = stage.start(job).await.unwrap().ended(None).await;
    let log = std::fs::read_to_string(log).unwrap();
    // The scanner's own limit refuses the memory; a cgroup kills the scanner.
    let refused = log
        .lines()
        .find_map(|line| line.strip_prefix("memory refused after ")?.strip_suffix(" MiB")?.parse::<u64>().ok());
    match refused {
        Some(eaten) => assert!(eaten < MIB && ended.name == "completed", "{eaten}, {}", ended.name),
        None => assert_eq!(ended.name, "killed_by_signal", "{log}"),
    }
    assert!(!log.contains("memory was not refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_has_a_tmp_of_its_own_where_it_can() {
    assert!(rustix::process::geteuid().is_root(), "mounts need root, or CAP_SYS_ADMIN");
    // The scanner must not need any file in /tmp.
    let path = std::env::var("PATH").unwrap();
    let path = std::env::join_paths(std::env::split_paths(&path).filter(|folder| !folder.starts_with("/tmp"))).unwrap();
    let stage = Stage::below(Path::new("/var/tmp"), |config| {
        let program = config.results_dir.with_file_name("fake-kast");
        fake_kast_at(&program);
        config.scanner = ScannerCommand::kast(program);
        config.env_extra = vec![("PATH".into(), path), ("HOME".into(), "/".into())];
    });
    let lines = look(&stage, "look-1p.test").await;
    assert_eq!(value(&lines, "/tmp"), "", "nothing of the machine's, and nothing of an earlier attempt's");
    let lines = look(&stage, "look-1p.test").await;
    assert_eq!(value(&lines, "/tmp"), "");
    assert!(!Path::new("/tmp/kastrel-fake-kast").exists(), "what it writes there goes with it");
}
