//! Benchmarks of a server with accounts: the list of a member of one small project, the status API
//! with a token, and parallel sign-ins.

use std::time::Duration;

use futures_util::future::join_all;

use crate::dashboard::{ANSWERS, grouped, pattern, write_past};
use crate::report::{self, Report};
use crate::server::Server;
use crate::{TURN, TURNS, load};

/// The number of scans in the database of the lists.
const SCANS: u64 = 100_000;
/// The number of projects, of which the last one is small: it has one scan in 1,000.
const PROJECTS: u64 = 50;
/// The number of accounts that sign in at the same time. It is below the limit of the throttle for
/// one network.
const SIGN_INS: usize = 50;
const PASSWORD: &str = "seven green ladders under rain";

/// The variables of a server with accounts.
fn with_accounts() -> [(&'static str, String); 1] {
    [("KASTREL_AUTH_MODE", "local".to_owned())]
}

/// Measures the list for a member of one small project among many.
pub(crate) async fn lists(report: &mut Report) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kastrel.backup");
    let project_of = |scan: u64| match scan % 1_000 {
        0 => format!("project-{}", PROJECTS - 1),
        number => format!("project-{}", number % (PROJECTS - 1)),
    };
    write_past(&pattern(dir.path()).await, SCANS, &file, project_of);
    let mut server = Server::start_restored(&file, &with_accounts()).await;
    for number in 0..PROJECTS {
        server.command(&["project", "create", &format!("project-{number}")]).await;
    }
    let small = format!("project-{}", PROJECTS - 1);
    server.command(&["service-account", "create", "member", "--role", "viewer", "--project", &small]).await;
    let token = server.command(&["token", "create", "--account", "member", "--label", "bench"]).await;
    server.use_token(&token);
    server.settle().await;
    for (name, path) in [
        ("list of scans", "/scans".to_owned()),
        ("list with a project filter", format!("/scans?project={small}")),
        ("API with a project filter", format!("/api/scans?project={small}")),
    ] {
        // The first request fills the database's caches.
        server.page(&path).await;
        let mut samples = Vec::new();
        for _ in 0..ANSWERS {
            samples.push(server.page(&path).await);
        }
        let name = format!("{} scans, 1 of {PROJECTS} projects: {name}", grouped(SCANS));
        report.latencies(&name, &samples, Some("20 ms"));
    }
}

/// Measures the status API with a token against a server without accounts, in alternation.
pub(crate) async fn token(report: &mut Report) {
    let open = Server::start(1).await;
    let mut closed = Server::serve(&["--concurrency", "1"], &with_accounts()).await;
    closed.command(&["service-account", "create", "scanner", "--role", "operator"]).await;
    let token =
        closed.command(&["token", "create", "--account", "scanner", "--label", "bench", "--role", "operator"]).await;
    closed.use_token(&token);
    let mut paths = Vec::new();
    for server in [&open, &closed] {
        let (id, _) = server.submit("hang.test").await;
        server.started(id, 1).await;
        paths.push((id, format!("/api/scans/{id}/status")));
    }
    let [(open_id, open_path), (closed_id, closed_path)] = &paths[..] else { unreachable!("there are two servers") };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    load::run_as(closed.address, closed_path, Some(&token), TURN / 3).await;
    load::run(open.address, open_path, TURN / 3).await;
    for _ in 0..TURNS {
        with.push(load::run_as(closed.address, closed_path, Some(&token), TURN).await);
        without.push(load::run(open.address, open_path, TURN).await);
    }
    let (with, without) = (report::median(&with), report::median(&without));
    report.add("status API with a token", with, "requests/s", None);
    report.add("status API with a token against without accounts", with / without, "", Some("at least 0.8"));
    open.cancel_all(&[*open_id]).await;
    closed.cancel_all(&[*closed_id]).await;
}

/// Measures parallel sign-ins, each of another account. The hashes of their passwords take most of
/// the time and of the memory.
pub(crate) async fn sign_ins(report: &mut Report) {
    let server = Server::serve(&["--concurrency", "4"], &with_accounts()).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, PASSWORD).unwrap();
    let file = file.display().to_string();
    let names: Vec<String> = (0..SIGN_INS).map(|number| format!("user-{number}")).collect();
    for name in &names {
        server.command(&["user", "create", name, "--role", "viewer", "--password-file", &file]).await;
    }
    // The commands have ended; what they used is free again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.forget_peak();
    let start = crate::server::now_ms();
    join_all(names.iter().map(|name| server.sign_in(name, PASSWORD))).await;
    report.add(format!("{SIGN_INS} parallel sign-ins: all after"), crate::server::now_ms() - start, "ms", None);
    report.add(
        format!("{SIGN_INS} parallel sign-ins: peak memory of the server"),
        server.peak_mb(),
        "MB",
        Some("at most 150"),
    );
}
