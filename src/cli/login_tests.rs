use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use kastrel_actors::testing::Script;
use tokio::net::TcpListener;

use super::*;
use crate::api_types::{ProblemBody, SecretText};
use crate::cli::scan::tests::World;

const CODE: &str = "BCDF-GHJK";

fn json(status: u16, body: impl Into<String>) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("content-type", "application/json")], body.into()).into_response()
}

/// What a server was asked: the method, the path and the `Authorization` header.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Starts a server that answers each request with `answer`, by its method and path.
async fn serve(answer: impl Fn(&Method, &str) -> Response + Clone + Send + Sync + 'static) -> (Url, Seen) {
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let handle = move |request: Request| {
        let bearer = request.headers().get(AUTHORIZATION).map_or("", |value| value.to_str().unwrap()).to_owned();
        log.lock().unwrap().push((format!("{} {}", request.method(), request.uri()), bearer));
        let answer = answer(request.method(), request.uri().path());
        async move { answer }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handle)).await });
    (url, seen)
}

fn new_login(interval: u64) -> DeviceCode {
    DeviceCode {
        device_code: SecretText::new("0".repeat(64)),
        user_code: CODE.into(),
        verification_uri: "/device".into(),
        verification_uri_complete: format!("/device?code={CODE}"),
        expires_in: 600,
        interval,
    }
}

fn problem(kind: &str) -> String {
    format!(
        r#"{{"type":"urn:kastrel:problem:{kind}","title":"No","status":400,"detail":"No","instance":"/","trace_id":"0"}}"#
    )
}

fn token_json(token: &ApiToken) -> String {
    format!(
        r#"{{"access_token":"{}","token_type":"Bearer","expires_in":60,"token":{{"id":"{}","account":"ana","label":"x","role":"operator","project":null,"server_role":false,"networks":[],"created_at":"2026-01-01T00:00:00Z","expires_at":"2026-04-01T00:00:00Z","used_at":null}}}}"#,
        token.expose(),
        token.id()
    )
}

/// A world whose credentials file is in its own folder.
fn world() -> World {
    let mut world = World::new(Script::Hang);
    let home = world.context.directory.join("home").display().to_string();
    world.context.env.insert("HOME".into(), home);
    world
}

async fn log_in(world: &mut World, server: &Url) -> Result<Exit, CliError> {
    world.run(&["login", "--server", server.as_str()]).await
}

fn stored(world: &World, server: &Url) -> Option<StoredToken> {
    credentials::find(&credentials::path_of(&world.context.env).unwrap(), server).unwrap()
}

#[tokio::test]
async fn allowed_login_stores_the_token_and_later_commands_send_it() {
    let token = ApiToken::generate();
    let answer = token_json(&token);
    let (server, seen) = serve(move |_, path| match path {
        "/api/device/code" => json(200, serde_json::to_string(&new_login(0)).unwrap()),
        "/api/device/token" => json(200, answer.clone()),
        "/api/whoami" => {
            json(200, r#"{"principal":"user:ana","account":"ana","token":null,"server_role":null,"projects":{}}"#)
        }
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    let mut world = world();
    assert_eq!(log_in(&mut world, &server).await.unwrap(), Exit::Done);
    let (out, err) = (world.out.text(), world.err.text());
    assert!(err.contains(&format!("{server}device?code={CODE}")) && err.contains(&format!("Code: {CODE}")), "{err}");
    assert_eq!(
        out,
        format!("Logged in to {} as ana; the token expires 2026-04-01\n", server.as_str().trim_end_matches('/'))
    );
    assert!(!format!("{out}{err}").contains(token.expose()));
    assert_eq!(stored(&world, &server).unwrap().token.expose(), token.expose());
    assert!(seen.lock().unwrap().iter().all(|(_, bearer)| bearer.is_empty()), "nothing is sent before");
    let bearer = format!("Bearer {}", token.expose());
    assert_eq!(world.run(&["whoami", "--server", server.as_str()]).await.unwrap(), Exit::Done);
    assert_eq!(seen.lock().unwrap().pop(), Some(("GET /api/whoami".into(), bearer.clone())));
    // The next login replaces the token and revokes the earlier one with itself.
    assert_eq!(log_in(&mut world, &server).await.unwrap(), Exit::Done);
    let revoked = (format!("DELETE /api/accounts/ana/tokens/{}", token.id()), bearer);
    assert_eq!(seen.lock().unwrap().last(), Some(&revoked));
    assert_eq!(world.run(&["logout", "--server", server.as_str()]).await.unwrap(), Exit::Done);
    assert_eq!(seen.lock().unwrap().last(), Some(&revoked));
    assert!(world.out.text().contains("the token was revoked") && stored(&world, &server).is_none());
    let again = world.run(&["logout", "--server", server.as_str()]).await.unwrap_err();
    assert_eq!((again.exit(), matches!(again, CliError::NotLoggedIn(_))), (Exit::Failed, true));
}

#[tokio::test]
async fn login_that_was_refused_stores_nothing() {
    for (kind, exit) in [("access-denied", Exit::Failed), ("expired-token", Exit::Failed)] {
        let (server, _) = serve(move |_, path| match path {
            "/api/device/code" => json(200, serde_json::to_string(&new_login(0)).unwrap()),
            _ => json(400, problem(kind)),
        })
        .await;
        let mut world = world();
        let error = log_in(&mut world, &server).await.unwrap_err();
        assert_eq!(error.exit(), exit, "{error}");
        assert!(stored(&world, &server).is_none());
    }
    let mut world = world();
    let dead: Url = "http://127.0.0.1:9/".parse().unwrap();
    assert_eq!(log_in(&mut world, &dead).await.unwrap_err().exit(), Exit::Unreachable);
    let open = log_in(&mut world, &"http://192.0.2.1/".parse().unwrap()).await.unwrap_err();
    assert!(open.exit() == Exit::Usage && open.to_string().contains("without https"), "{open}");
    assert_eq!(world.run(&["login"]).await.unwrap_err().exit(), Exit::Usage, "no server is named");
    world.context.env.clear();
    assert_eq!(log_in(&mut world, &dead).await.unwrap_err().exit(), Exit::Usage, "no folder");
}

#[tokio::test]
async fn hostile_answers_of_a_server_are_not_printed() {
    for (page, code) in [
        ("javascript:alert(1)", CODE),
        ("file:///etc/passwd", CODE),
        ("", CODE),
        ("/device", "\u{1b}[2J"),
        ("/device", "run rm -rf"),
    ] {
        let new = DeviceCode {
            verification_uri: page.into(),
            verification_uri_complete: page.into(),
            user_code: code.into(),
            ..new_login(0)
        };
        let (server, _) = serve(move |_, _| json(200, serde_json::to_string(&new).unwrap())).await;
        let mut world = world();
        let error = log_in(&mut world, &server).await.unwrap_err();
        assert!(matches!(error, CliError::Backend(BackendError::Strange { .. })), "{error}");
        assert_eq!(world.err.text(), "");
    }
    let backend = RemoteBackend::new("https://scans.example.com/tools/".parse().unwrap()).unwrap();
    let escaped = DeviceCode { verification_uri: "https://x.example/\u{1b}[31m\u{202e}".into(), ..new_login(0) };
    let text = instructions(&escaped, &backend).unwrap();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(text.contains(&format!("https://scans.example.com/tools/device?code={CODE}")), "{text}");
}

#[tokio::test]
async fn login_follows_no_redirect() {
    let (other, seen) = serve(|_, _| StatusCode::NO_CONTENT.into_response()).await;
    let (server, _) =
        serve(move |_, _| axum::response::Redirect::temporary(&format!("{other}api/device/code")).into_response())
            .await;
    assert!(log_in(&mut world(), &server).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn server_without_accounts_needs_no_login() {
    let whoami = r#"{"principal":"anonymous","account":null,"token":null,"server_role":"admin","projects":{}}"#;
    let (server, _) =
        serve(move |_, path| if path == "/api/whoami" { json(200, whoami) } else { json(404, "{}") }).await;
    let mut world = world();
    assert_eq!(log_in(&mut world, &server).await.unwrap(), Exit::Done);
    assert!(world.out.text().contains("has no accounts and needs no login"), "{}", world.out.text());
    let (older, _) = serve(|_, path| json(if path == "/api/whoami" { 401 } else { 404 }, "{}")).await;
    let error = log_in(&mut world, &older).await.unwrap_err();
    assert!(error.to_string().contains("older version"), "{error}");
}

#[tokio::test]
async fn logout_removes_a_token_that_the_server_does_not_know_and_keeps_it_without_an_answer() {
    let mut world = world();
    let path = credentials::path_of(&world.context.env).unwrap();
    let store = async |server: &Url| {
        let new = StoredToken { account: "ana".into(), token: ApiToken::generate(), expires_at: String::new() };
        credentials::store(&path, server, &new).await.unwrap();
    };
    for status in [401, 404] {
        let (server, _) = serve(move |_, _| json(status, "{}")).await;
        store(&server).await;
        assert_eq!(world.run(&["logout", "--server", server.as_str()]).await.unwrap(), Exit::Done);
        assert!(world.out.text().contains("no longer valid") && stored(&world, &server).is_none());
    }
    let dead: Url = "http://127.0.0.1:9/".parse().unwrap();
    store(&dead).await;
    let error = world.run(&["logout", "--server", dead.as_str()]).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(stored(&world, &dead).is_some() && world.err.text().contains("--forget"), "{}", world.err.text());
    assert_eq!(world.run(&["logout", "--forget", "--server", dead.as_str(), "--json"]).await.unwrap(), Exit::Done);
    assert!(world.out.text().contains("\"revoked\": false") && stored(&world, &dead).is_none());
}

#[tokio::test]
async fn stored_token_that_is_refused_names_the_login() {
    let mut world = world();
    let (server, _) = serve(|_, _| json(401, "{}")).await;
    let path = credentials::path_of(&world.context.env).unwrap();
    let new = StoredToken { account: "ana".into(), token: ApiToken::generate(), expires_at: String::new() };
    credentials::store(&path, &server, &new).await.unwrap();
    let error = world.run(&["list", "--server", server.as_str()]).await.unwrap_err();
    let address = server.as_str().trim_end_matches('/');
    assert!(error.to_string().contains(&format!("run `kastrel login --server {address}` again")), "{error}");
    assert_eq!(error.exit(), Exit::Unauthorized);
}

/// The times of the polls in seconds, with these answers in a row and then `Pending`, and how the
/// wait ended.
async fn polls(new: DeviceCode, answers: Vec<Result<DeviceAnswer, BackendError>>) -> (Vec<u64>, String) {
    let (start, mut times, mut answers) = (Instant::now(), Vec::new(), answers.into_iter());
    let ended = wait(&new, || {
        times.push(start.elapsed().as_secs());
        std::future::ready(answers.next().unwrap_or(Ok(DeviceAnswer::Pending)))
    })
    .await;
    (times, ended.map_or_else(|error| error.to_string(), |waited| format!("{waited:?}")))
}

fn overloaded() -> Result<DeviceAnswer, BackendError> {
    Err(BackendError::Problem(Box::new(ProblemBody { status: 503, ..ProblemBody::default() })))
}

#[tokio::test(start_paused = true)]
async fn wait_keeps_to_the_interval_and_slows_down() {
    use DeviceAnswer::{Denied, Expired, Pending, SlowDown};
    for (answers, times) in [
        (vec![Ok(Pending), Ok(Pending), Ok(Denied)], vec![5, 10, 15]),
        (vec![Ok(SlowDown), Ok(Pending), Ok(SlowDown), Ok(Denied)], vec![5, 15, 25, 40]),
        (vec![overloaded(), Ok(Pending), Ok(Denied)], vec![5, 15, 25]),
    ] {
        assert_eq!(polls(new_login(5), answers).await, (times, "Denied".into()));
    }
    let (times, ended) = polls(DeviceCode { expires_in: 12, ..new_login(5) }, Vec::new()).await;
    assert_eq!((times, ended.as_str()), (vec![5, 10, 15], "Expired"));
    assert_eq!(polls(new_login(5), vec![Ok(Expired)]).await.1, "Expired");
    assert_eq!(polls(new_login(0), vec![Ok(Denied)]).await.0, [1], "a server cannot make it poll without a pause");
    assert_eq!(polls(new_login(9_999), vec![Ok(Denied)]).await.0, [60]);
    let refused = Err(BackendError::Other("no".into()));
    assert_eq!(polls(new_login(5), vec![refused]).await, (vec![5], "no".into()));
}

#[tokio::test]
async fn label_names_the_user_and_the_machine() {
    let mut world = world();
    world.context.env.insert("USER".into(), "ana".into());
    let label = label_of(&world.context);
    assert!(label.starts_with("ana@") && label.chars().count() <= 64, "{label}");
    world.context.env.insert("USER".into(), "a\u{1b}[31m".repeat(100));
    assert_eq!(label_of(&world.context).chars().count(), 64);
}
