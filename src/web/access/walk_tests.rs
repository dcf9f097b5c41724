//! The walk: every route, with every role, with objects of the own project, of another project, and
//! with objects that do not exist.
//!
//! The routes come from the OpenAPI description and from the routes of the pages. A new route needs
//! a line in the table of this test.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use futures_util::StreamExt as _;
use kastrel_actors::model::{
    AccountChange, AccountChanged, AttemptPhase, CancelledBy, MemberChanged, Principal, ProjectRole, ScanId,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;

use crate::service::findings::samples::Sample;
use crate::web::error::is_for_programs;
use crate::web::testing::{header_of, text_of};

mod table;
mod world;

use table::{ACCOUNTS, PUBLIC, TABLE, address, body, is_of_an_object, is_of_findings, is_stream, possible_routes};
use world::{NO_PROJECT, NO_SCAN, Reply, UNKNOWN, World, name, project};

/// Senders that may not read the project `blue`.
const BLIND: [&str; 12] = [
    "unknown",
    "disabled",
    "expired",
    "nobody",
    "viewer",
    "scanner",
    "operator",
    "owner",
    "mixed",
    "red-token",
    "guest",
    "editor",
];

/// Texts of the project `blue` in responses: its targets and results, its member, its name and
/// address.
const OF_BLUE: [&str; 5] = ["blue-secret", "blue-owner", "\"blue\"", "team blue", "/projects/blue"];

fn shows_blue(reply: &Reply) -> bool {
    let text = format!("{} {}", reply.headers, reply.body).to_lowercase();
    OF_BLUE.iter().any(|of_blue| text.contains(of_blue))
}

/// Returns whether a client that is not known was sent away as it should be.
fn is_sent_to_login(path: &str, response: &Response) -> bool {
    if is_for_programs(path) {
        response.status() == 401 && header_of(response, "www-authenticate").starts_with("Bearer")
    } else {
        response.status() == 303 && header_of(response, "location").starts_with("/login")
    }
}

#[tokio::test(start_paused = true)]
async fn table_has_exactly_the_existing_routes() {
    let world = World::new().await;
    let mut found = BTreeSet::new();
    for route in possible_routes() {
        let (method, path) = address(&route, NO_SCAN, NO_PROJECT);
        // 405: this page does not support the method. The guard sends the others to the login page.
        if world.send("unknown", &method, &path, String::new(), false).await.status() != 405 {
            found.insert(route);
        }
    }
    let in_table: BTreeSet<String> = TABLE.iter().map(|(route, _)| (*route).to_owned()).collect();
    let missing: Vec<&String> = found.difference(&in_table).collect();
    let gone: Vec<&String> = in_table.difference(&found).collect();
    assert!(missing.is_empty() && gone.is_empty(), "no line in the table: {missing:?}; no such route: {gone:?}");
}

#[tokio::test(start_paused = true)]
async fn each_route_admits_the_accounts_of_its_line_and_a_denial_changes_nothing() {
    let mut world = World::new().await;
    let mut before = world.state().await;
    for (route, admitted) in TABLE.iter().filter(|(_, admitted)| *admitted != PUBLIC) {
        for (letter, account) in ACCOUNTS {
            let denials = world.denials(account).await;
            let response = world.ask(account, route, world.red[2], "red").await;
            let status = response.status().as_u16();
            let after = world.state().await;
            let is_hidden = is_of_an_object(route) && status == 404;
            if admitted.contains(letter) {
                assert!(![401, 403].contains(&status) && !is_hidden && status < 500, "{account}: {route}: {status}");
                let is_unknown = header_of(&response, "location").starts_with("/login");
                assert!(!is_unknown || *route == "POST /logout", "{account}: {route}");
            } else {
                assert!(status == 403 || (is_hidden && account == "nobody"), "{account}: {route}: {status}");
                assert_eq!(after, before, "{account}: {route} was denied and changed something");
                let recorded = world.denials(account).await - denials;
                assert_eq!(recorded, usize::from(status == 403), "{account}: {route}: entries of the audit log");
            }
            if after != before {
                world = World::new().await;
                before = world.state().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_not_known_open_public_routes_alone() {
    let world = World::new().await;
    let before = world.state().await;
    // A failed sign-in is in the audit log.
    let sign_ins = ["POST /login", "POST /login/passkey"];
    for (route, admitted) in TABLE.iter().filter(|(route, _)| !sign_ins.contains(route)) {
        for sender in UNKNOWN {
            let (method, path) = address(route, world.red[2], "red");
            let response = world.send(sender, &method, &path, String::new(), false).await;
            if *admitted == PUBLIC {
                assert_ne!(response.status(), 401, "{sender}: {route}");
            } else {
                assert!(is_sent_to_login(&path, &response), "{sender}: {route}: {response:?}");
            }
            assert!(!shows_blue(&world.read(response, &path).await), "{sender}: {route}");
        }
    }
    let part = world.send("unknown", "GET", "/scans", String::new(), true).await;
    assert_eq!(part.status(), 401, "a script is not sent to a page");
    assert_eq!(world.state().await, before);
}

#[tokio::test(start_paused = true)]
async fn object_of_another_project_looks_like_one_that_does_not_exist() {
    let world = World::new().await;
    let before = world.state().await;
    for (route, _) in TABLE.iter().filter(|(route, _)| is_of_an_object(route)) {
        for sender in BLIND {
            let (method, nowhere) = address(route, NO_SCAN, NO_PROJECT);
            let request = body(route, NO_SCAN);
            let missing = world.send(sender, &method, &nowhere, request.clone(), false).await;
            let missing = world.read(missing, &nowhere).await;
            assert!([303, 401, 403, 404].contains(&missing.status), "{sender}: {route}: {missing:?}");
            for scan in &world.blue {
                let (_, path) = address(route, *scan, "blue");
                let foreign = world.send(sender, &method, &path, request.clone(), false).await;
                let foreign = world.read(foreign, &path).await;
                let plain = |reply: &Reply, scan: u64, project: &str| {
                    let own = format!("%2Fscans%2F{scan}");
                    let of_project = format!("%2Fprojects%2F{project}");
                    // An error page below a scan links back to it, whether or not it exists.
                    let back = format!("\"/scans/{scan}\"");
                    let plain =
                        |text: &str| text.replace(&own, "SCAN").replace(&of_project, "PROJECT").replace(&back, "SCAN");
                    (reply.status, plain(&reply.headers), plain(&reply.body))
                };
                assert_eq!(
                    plain(&foreign, *scan, "blue"),
                    plain(&missing, NO_SCAN, NO_PROJECT),
                    "{sender}: {route} of scan {scan}"
                );
            }
        }
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test(start_paused = true)]
async fn finding_and_target_of_another_project_look_like_ones_that_do_not_exist() {
    let world = World::new().await;
    let sample = |project: &str| {
        let origin = format!("https://completed.{project}-secret.example.com");
        let sample = Sample::new(&world.app.memory, project, &origin);
        (sample.finding("whatweb", "issue", &format!("/{project}-secret")).to_string(), sample.target.to_string())
    };
    let before = world.state().await;
    let routes: Vec<&str> = TABLE.iter().map(|(route, _)| *route).filter(|route| is_of_findings(route)).collect();
    assert!(routes.len() >= 6, "{routes:?}");
    for route in routes {
        let ask = async |sender: &str, project: &str| {
            let (method, path) = route.split_once(' ').unwrap();
            let (finding, target) = sample(project);
            let path = path.replace("{id}", if path.contains("/targets/") { &target } else { &finding });
            let response = world.send(sender, method, &path, body(route, NO_SCAN), false).await;
            let reply = world.read(response, &path).await;
            // Pages name the path to which they lead back.
            (reply.status, reply.headers.replace(&path, "PATH"), reply.body.replace(&path, "PATH"))
        };
        for sender in BLIND {
            let (foreign, missing) = (ask(sender, "blue").await, ask(sender, NO_PROJECT).await);
            assert!([303, 401, 403, 404].contains(&missing.0), "{sender}: {route}: {missing:?}");
            assert_eq!(foreign, missing, "{sender}: {route}");
        }
        if route.starts_with("GET ") {
            assert_eq!(ask("viewer", "red").await.0, 200, "{route}");
        }
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test(start_paused = true)]
async fn bulk_action_and_copy_pass_over_scans_of_other_projects() {
    let world = World::new().await;
    let before = world.state().await;
    for sender in ["operator", "owner", "mixed"] {
        for action in ["cancel", "rerun", "delete"] {
            let ask = async |scans: &[u64]| {
                let scans: String = scans.iter().map(|scan| format!("&scan={scan}")).collect();
                let confirmed =
                    world.send(sender, "POST", "/scans/bulk", format!("action={action}{scans}"), false).await;
                let done = format!("action={action}&confirmed=yes&confirm=yes{scans}");
                let done = world.send(sender, "POST", "/scans/bulk", done, false).await;
                (world.read(confirmed, "/scans/bulk").await, world.read(done, "/scans/bulk").await)
            };
            let foreign = ask(world.blue.as_slice()).await;
            assert_eq!(foreign, ask([NO_SCAN, NO_SCAN + 1, NO_SCAN + 2].as_slice()).await, "{sender}: {action}");
        }
    }
    for sender in ["scanner", "owner"] {
        let copy = async |scan: u64| {
            let path = format!("/new?from={scan}");
            world.read(world.send(sender, "GET", &path, String::new(), false).await, &path).await
        };
        assert_eq!(copy(world.blue[2]).await, copy(NO_SCAN).await, "{sender}");
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test(start_paused = true)]
async fn response_to_a_member_is_that_of_a_world_without_other_projects() {
    let (world, alone) = (World::new().await, World::without_blue().await);
    assert_eq!(world.red, alone.red);
    for is_part in [false, true] {
        for (route, _) in TABLE.iter().filter(|(route, _)| route.starts_with("GET ") && !is_stream(route)) {
            // An archive has the times of its files, and three pages have parts.
            if route.ends_with(".zip")
                || route.starts_with("GET /assets/")
                || (is_part && !["GET /", "GET /scans", "GET /scans/{id}"].contains(route))
            {
                continue;
            }
            for scan in world.red {
                let (method, path) = address(route, scan, "red");
                // Who sees everything comes first, and fills the shared renderings.
                for sender in std::iter::once("admin").chain(BLIND) {
                    let reply = async |world: &World| {
                        let response = world.send(sender, &method, &path, String::new(), is_part).await;
                        world.read(response, &path).await
                    };
                    let reply = (reply(&world).await, reply(&alone).await);
                    if sender != "admin" {
                        assert_eq!(reply.0, reply.1, "{sender}: {route}");
                        assert!(!shows_blue(&reply.0), "{sender}: {route}: {:?}", reply.0);
                    }
                }
                if !is_of_an_object(route) {
                    break;
                }
            }
        }
    }
    let all = world.send("admin", "GET", "/scans", String::new(), false).await;
    assert!(shows_blue(&world.read(all, "/scans").await), "the search finds what there is");
}

#[tokio::test(start_paused = true)]
async fn lists_with_filters_count_own_scans_alone() {
    let (world, alone) = (World::new().await, World::without_blue().await);
    for query in [
        "target=secret",
        "status=completed",
        "plugin=whatweb",
        "order=target",
        "order=longest",
        "per_page=1",
        "page=2",
        "order=oldest&per_page=1",
    ] {
        for base in ["/scans", "/api/scans", "/api/scans/export.csv", "/api/scans/export.json"] {
            for sender in ["nobody", "viewer", "owner", "red-token"] {
                let path = format!("{base}?{query}");
                let reply = async |world: &World| {
                    world.read(world.send(sender, "GET", &path, String::new(), false).await, &path).await
                };
                let reply = (reply(&world).await, reply(&alone).await);
                assert_eq!(reply.0, reply.1, "{sender}: {path}");
                assert!(!shows_blue(&reply.0), "{sender}: {path}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn role_in_another_project_gives_no_right_in_this_one() {
    let world = World::new().await;
    let before = world.state().await;
    for (route, admitted) in TABLE.iter().filter(|(route, _)| is_of_an_object(route)) {
        for scan in world.red {
            let status = world.ask("mixed", route, scan, "red").await.status().as_u16();
            if admitted.contains('v') {
                assert!(![401, 403].contains(&status), "{route}: {status}");
            } else {
                assert_eq!(status, 403, "{route} of scan {scan}");
            }
        }
    }
    // A download is in the audit log.
    let changes = |state: &str| {
        state.lines().filter(|line| !line.ends_with("FilesDownloaded")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(changes(&world.state().await), changes(&before));
}

#[tokio::test(start_paused = true)]
async fn token_has_at_most_the_rights_of_its_scope() {
    let world = World::new().await;
    let before = world.state().await;
    for sender in ["red-token", "limited-admin"] {
        for (route, _) in TABLE.iter().filter(|(_, admitted)| *admitted != PUBLIC && !admitted.contains('v')) {
            let status = world.ask(sender, route, world.red[2], "red").await.status();
            assert_eq!(status, 403, "{sender}: {route}");
        }
        // A token that leaks must not lead to further credentials.
        for route in [
            "GET /device",
            "POST /device",
            "POST /profile/mail",
            "POST /profile/passkeys",
            "POST /profile/passkeys/confirm",
            "POST /profile/passkeys/remove",
            "POST /profile/passkeys/rename",
            "POST /profile/password",
            "POST /profile/second-factor",
            "POST /profile/second-factor/confirm",
            "POST /profile/second-factor/recovery-codes",
            "POST /profile/second-factor/remove",
            "POST /profile/tokens",
        ] {
            assert_eq!(world.ask(sender, route, 0, "").await.status(), 403, "{sender}: {route}");
        }
    }
    let blue = format!("/api/scans/{}", world.blue[0]);
    for (sender, status) in [("red-token", 404), ("limited-admin", 200)] {
        assert_eq!(world.send(sender, "GET", &blue, String::new(), false).await.status(), status, "{sender}");
    }
    assert_eq!(world.state().await, before);
}

/// The routes of a scan that a share with the right `edit` opens beside those of `view`.
const OF_EDIT: [&str; 3] = ["POST /api/scans/{id}/cancel", "POST /scans/{id}/cancel", "POST /scans/{id}/render"];

#[tokio::test(start_paused = true)]
async fn share_opens_its_scan_with_its_right_and_nothing_else() {
    let mut world = World::new().await;
    for sender in ["guest", "editor"] {
        for (route, admitted) in TABLE.iter().filter(|(_, admitted)| *admitted != PUBLIC) {
            // The account signs out.
            if *route == "POST /logout" {
                continue;
            }
            let before = world.state().await;
            let response = world.ask(sender, route, world.red[2], "red").await;
            let (_, path) = address(route, world.red[2], "red");
            let reply = world.read(response, &path).await;
            let may_edit = sender == "editor" && OF_EDIT.contains(route);
            if *route == "GET /api/scans/{id}/notes" {
                // Tags and notes belong to the team.
                assert_eq!(reply.status, 404, "{sender}: {route}");
            } else if route.contains("/scans/{id}") {
                if admitted.contains('v') || may_edit {
                    assert!(![401, 403, 404].contains(&reply.status) && reply.status < 500, "{sender}: {route}");
                } else {
                    assert_eq!(reply.status, 403, "{sender}: {route}");
                }
            } else if route.contains("/projects/{id}") {
                assert_eq!(reply.status, 404, "{sender}: {route}");
            } else if admitted.contains('n') {
                assert!(![401, 403].contains(&reply.status), "{sender}: {route}: {}", reply.status);
                let shows_red = reply.body.contains("red-secret") || reply.body.to_lowercase().contains("team red");
                let is_own_list = ["GET /shared-with-me", "GET /api/shared-scans"].contains(route);
                assert_eq!(shows_red, is_own_list, "{sender}: {route}: {}", reply.body);
            } else {
                assert_eq!(reply.status, 403, "{sender}: {route}");
            }
            let after = world.state().await;
            if reply.status == 403 || reply.status == 404 {
                assert_eq!(after, before, "{sender}: {route} was denied and changed something");
            }
            if after != before {
                world = World::new().await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn share_that_is_revoked_or_expires_ends_streams_and_reads_within_a_second() {
    for expires in [false, true] {
        let world = World::new().await;
        let running = world.red[1];
        let path = format!("/api/scans/{running}/events");
        let mut reader = stream(world.send("guest", "GET", &path, String::new(), false).await);
        let (_, has_ended) = read_for(&mut reader, Duration::from_secs(5)).await;
        assert!(!has_ended, "the stream is open while nothing changes");
        if expires {
            tokio::time::advance(Duration::from_hours(1) - Duration::from_secs(5)).await;
        } else {
            let by = Principal::System;
            let grantee = "user:guest".parse().unwrap();
            assert!(world.app.memory.revoke_share(ScanId(running), &grantee, &by).await.unwrap());
        }
        let (_, has_ended) = read_for(&mut reader, Duration::from_secs(1)).await;
        assert!(has_ended, "expired: {expires}");
        for path in [path, format!("/scans/{running}"), format!("/api/scans/{running}/status")] {
            assert_eq!(world.send("guest", "GET", &path, String::new(), false).await.status(), 404, "{path}");
        }
        let list = text_of(world.send("guest", "GET", "/api/shared-scans", String::new(), false).await).await;
        assert!(!list.contains(&format!(r#""scan_id":{running},"#)), "{list}");
    }
}

fn stream(response: Response) -> BodyDataStream {
    assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "text/event-stream"));
    Body::into_data_stream(response.into_body())
}

/// Reads what a stream sends within a time, and whether it ended.
async fn read_for(stream: &mut BodyDataStream, time: Duration) -> (String, bool) {
    let mut text = String::new();
    let read = async {
        while let Some(chunk) = stream.next().await {
            text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    };
    let has_ended = tokio::time::timeout(time, read).await.is_ok();
    (text, has_ended)
}

#[tokio::test(start_paused = true)]
async fn stream_of_changes_names_scans_of_own_projects_alone() {
    let world = World::new().await;
    let open = async |sender| stream(world.send(sender, "GET", "/api/events", String::new(), false).await);
    let (mut of_viewer, mut of_nobody, mut of_admin) =
        (open("viewer").await, open("nobody").await, open("admin").await);
    for reader in [&mut of_viewer, &mut of_nobody, &mut of_admin] {
        read_for(reader, Duration::from_millis(10)).await;
    }
    let cancel = async |scan: u64| {
        world.app.service.cancel(&fixtures::context(), ScanId(scan), CancelledBy::User).await.unwrap();
    };
    cancel(world.blue[0]).await;
    let submitted = world.submit("blue", "new.blue-secret.example.com").await;
    let nothing = (String::new(), false);
    assert_eq!(read_for(&mut of_viewer, Duration::from_secs(2)).await, nothing, "not even an empty event");
    assert_eq!(read_for(&mut of_nobody, Duration::from_secs(2)).await, nothing);
    let (all, _) = read_for(&mut of_admin, Duration::from_secs(2)).await;
    assert!(all.contains(&format!(r#""scans":[{},{submitted}]"#, world.blue[0])), "{all}");
    cancel(world.red[0]).await;
    cancel(world.blue[1]).await;
    let (own, _) = read_for(&mut of_viewer, Duration::from_secs(2)).await;
    assert!(own.contains(&format!(r#"{{"scans":[{}],"all":false}}"#, world.red[0])), "{own}");
    assert_eq!(read_for(&mut of_nobody, Duration::from_secs(2)).await, nothing);
}

/// The event streams that a viewer can have open.
fn streams_of(world: &World) -> [String; 3] {
    let running = world.red[1];
    ["/api/events".to_owned(), format!("/api/scans/{running}/events"), format!("/scans/{running}/live")]
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_scan_show_nothing_of_other_scans() {
    let world = World::new().await;
    for path in &streams_of(&world)[1..] {
        let mut reader = stream(world.send("viewer", "GET", path, String::new(), false).await);
        for scan in [world.blue[1], world.red[1]] {
            let record = world.app.memory.get(ScanId(scan)).await.unwrap().unwrap();
            world.app.snapshots.update_attempt(record.id, record.token, |live| {
                live.phase(AttemptPhase::Stopping);
            });
        }
        let (text, has_ended) = read_for(&mut reader, Duration::from_secs(2)).await;
        assert!(!text.is_empty() && !has_ended, "{path}");
        assert!(!OF_BLUE.iter().any(|of_blue| text.to_lowercase().contains(of_blue)), "{path}: {text}");
        assert!(!text.contains(&format!("/scans/{}", world.blue[1])), "{path}: {text}");
    }
}

/// What ends the right to read, in another process: this one learns it from the store.
#[derive(Debug, Clone, Copy)]
enum Loss {
    IsDisabled,
    LeavesTheProject,
    SignsOut,
}

async fn lose(world: &World, account: &str, loss: Loss) {
    let (memory, account, by) = (&world.app.memory, name(account), Principal::System);
    match loss {
        Loss::IsDisabled => {
            let changed = memory.change_account(&account, AccountChange::Disable, &by).await.unwrap();
            assert_eq!(changed, AccountChanged::Changed);
        }
        Loss::LeavesTheProject => set_role(world, account.as_str(), None).await,
        Loss::SignsOut => assert_eq!(memory.end_sessions(&account, None, None, &by).await.unwrap(), 1),
    }
}

async fn set_role(world: &World, account: &str, role: Option<ProjectRole>) {
    let changed = world.app.memory.set_member(&project("red"), &name(account), role, &Principal::System).await;
    assert_eq!(changed.unwrap(), MemberChanged::Changed);
}

#[tokio::test(start_paused = true)]
async fn open_streams_end_within_a_second_after_the_right_is_lost() {
    for (sender, account, losses) in [
        ("viewer", "viewer", &[Loss::IsDisabled, Loss::LeavesTheProject, Loss::SignsOut][..]),
        ("red-token", "robot", &[Loss::IsDisabled, Loss::LeavesTheProject][..]),
    ] {
        for loss in losses {
            let world = World::new().await;
            for path in streams_of(&world) {
                let mut reader = stream(world.send(sender, "GET", &path, String::new(), false).await);
                let (_, has_ended) = read_for(&mut reader, Duration::from_secs(5)).await;
                assert!(!has_ended, "{path} is open while nothing changes");
            }
            let mut readers = Vec::new();
            for path in streams_of(&world) {
                let response = world.send(sender, "GET", &path, String::new(), false).await;
                readers.push((path, stream(response)));
            }
            lose(&world, account, *loss).await;
            let ends = readers.iter_mut().map(|(path, reader)| async move {
                let (_, has_ended) = read_for(reader, Duration::from_secs(1)).await;
                assert!(has_ended, "{path} is still open: {sender}, {loss:?}");
            });
            futures_util::future::join_all(ends).await;
            for (path, _) in &readers {
                let again = world.send(sender, "GET", path, String::new(), false).await;
                assert!(
                    [401, 404].contains(&again.status().as_u16())
                        || is_sent_to_login(path, &again)
                        || path == "/api/events",
                    "{path}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn token_of_a_demoted_user_has_the_lower_rights_within_a_second() {
    let world = World::new().await;
    let delete = format!("/api/scans/{}", world.red[2]);
    let status = async |method: &str, path: &str| {
        world.send("operator-token", method, path, String::new(), false).await.status().as_u16()
    };
    assert_eq!(status("GET", &delete).await, 200);
    // An operator may delete it: the scan has not ended.
    assert_eq!(status("DELETE", &format!("/api/scans/{}", world.red[1])).await, 409);
    set_role(&world, "operator", Some(ProjectRole::Viewer)).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!((status("GET", &delete).await, status("DELETE", &delete).await), (200, 403));
    set_role(&world, "operator", None).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(status("GET", &delete).await, 404);
    let list = text_of(world.send("operator-token", "GET", "/api/scans", String::new(), false).await).await;
    assert!(list.contains(r#""total":0"#) && !list.contains("secret"), "{list}");
}
