use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use jiff::Timestamp;
use kastrel_actors::model::{
    AccountKind, AccountName, IssueRef, PluginResult, PluginStatus, ProjectId, ProjectRole, ScanSnapshot, ScanStatus,
    Severity,
};
use kastrel_actors::testing::fixtures;
use tokio::net::TcpListener;

use super::*;
use crate::api_types::{
    AccountChangeBody, AuditList, AuditParams, DeadLetterList, NewAccountBody, NewPublicLinkBody, NewShareBody,
    NewTokenBody, SecretText,
};
use crate::cli::backend::{AccessBackend as _, EventBackend as _, LinkBackend as _, ShareBackend as _};

fn status(word: &str) -> String {
    format!(r#"{{"scan_id":7,"status":"{word}","target":"example.com","results":[]}}"#)
}

fn json(code: u16, body: impl Into<String>) -> axum::response::Response {
    (StatusCode::from_u16(code).unwrap(), [(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

async fn serve(router: Router) -> RemoteBackend {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    RemoteBackend::new(url.parse().unwrap()).unwrap()
}

async fn words(backend: &RemoteBackend) -> Vec<ScanStatus> {
    let mut views = backend.watch(ScanId(7)).await.unwrap().unwrap();
    let mut words = Vec::new();
    while let Some(view) = views.recv().await {
        words.push(view.unwrap().summary.status);
    }
    words
}

#[tokio::test]
async fn submission_is_retried_with_the_same_key_only() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let submit = move |headers: HeaderMap, body: String| async move {
        log.lock().unwrap().push((headers.get("idempotency-key").cloned(), body));
        ([(header::LOCATION, "/api/scans/9")], json(201, r#"{"warning":"slow"}"#))
    };
    let backend = serve(Router::new().route("/api/scans", post(submit))).await;
    let draft = ScanRequestDraft { target: "example.com".into(), max_workers: Some(3), ..ScanRequestDraft::default() };
    let answer = backend.submit(&draft).await.unwrap();
    assert_eq!(answer, SubmitAnswer { id: ScanId(9), warning: Some("slow".into()) });
    let seen = seen.lock().unwrap();
    assert!(seen[0].0.is_some());
    assert_eq!(seen[0].1, r#"{"max_workers":3,"overrides":[],"plugins":[],"target":"example.com"}"#);
}

#[tokio::test]
async fn batch_is_sent_in_one_request_and_each_scan_has_its_result() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let submit = move |headers: HeaderMap, body: String| async move {
        log.lock().unwrap().push((headers.contains_key("idempotency-key"), body));
        let full = r#"{"title":"The queue is full","detail":"try later","status":503}"#;
        json(
            207,
            format!(
                r#"{{"accepted":1,"scans":[
                {{"target":"a.test","scan_id":4,"created":true,"warnings":["one","two"],"problem":null}},
                {{"target":"b.test","scan_id":null,"created":false,"warnings":[],"problem":{full}}}]}}"#
            ),
        )
    };
    let backend = serve(Router::new().route("/api/scans/batch", post(submit))).await;
    let drafts = ["a.test", "b.test"].map(|target| ScanRequestDraft { target: target.into(), ..Default::default() });
    let results = backend.submit_all(&drafts).await.unwrap();
    let answer = SubmitAnswer { id: ScanId(4), warning: Some("one; two".into()) };
    assert_eq!(results[0].as_ref().unwrap(), &answer);
    let error = results[1].as_ref().unwrap_err().to_string();
    assert_eq!(error, "the server refused: The queue is full: try later (HTTP 503)");
    let body = r#"{"scans":[{"overrides":[],"plugins":[],"target":"a.test"},{"overrides":[],"plugins":[],"target":"b.test"}]}"#;
    assert_eq!(*seen.lock().unwrap(), [(true, body.to_owned())]);
    // One result for two scans is no answer; a server without the route is an earlier version.
    let short = r#"{"accepted":0,"scans":[]}"#;
    let backend = serve(Router::new().route("/api/scans/batch", post(move || async move { json(201, short) }))).await;
    assert!(backend.submit_all(&drafts).await.unwrap_err().to_string().contains("not one result for each scan"));
    let backend = serve(Router::new().route("/api/scans/{id}", get(|| async { json(200, "{}") }))).await;
    assert!(backend.submit_all(&drafts).await.unwrap_err().to_string().contains("earlier version"));
}

#[tokio::test]
async fn invalid_fields_of_a_submission_are_named() {
    let body = r#"{"title":"Wrong fields","errors":[{"field":"target","message":"the target is private"}]}"#;
    let backend = serve(Router::new().route("/api/scans", post(move || async move { json(422, body) }))).await;
    let error = backend.submit(&ScanRequestDraft::default()).await.unwrap_err();
    assert_eq!(
        (error.exit().code(), error.to_string().as_str()),
        (2, "the request was not accepted:\n  target: the target is private")
    );
}

#[tokio::test]
async fn a_live_stream_is_followed_over_a_break() {
    let tries = Arc::new(AtomicU32::new(0));
    let events = {
        let tries = tries.clone();
        move |headers: HeaderMap| async move {
            let body = match tries.fetch_add(1, Ordering::SeqCst) {
                0 => format!("id: 1\nevent: status\ndata: {}\n\nevent: status\ndata: {{\"cut", status("running")),
                _ => {
                    assert_eq!(headers["last-event-id"], "1");
                    format!(": alive\n\nid: 2\nevent: status\ndata: {}\n\nevent: end\ndata: x\n\n", status("completed"))
                }
            };
            ([(header::CONTENT_TYPE, "text/event-stream")], body)
        }
    };
    let router = Router::new()
        .route("/api/scans/7/events", get(events))
        .route("/api/scans/7/status", get(|| async { json(200, status("pending")) }));
    let backend = serve(router).await;
    assert_eq!(words(&backend).await, [ScanStatus::Pending, ScanStatus::Running, ScanStatus::Completed]);
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn status_is_polled_without_an_event_stream() {
    let asked = Arc::new(AtomicU32::new(0));
    let answer = {
        let asked = asked.clone();
        move || async move {
            json(200, status(if asked.fetch_add(1, Ordering::SeqCst) == 0 { "running" } else { "failed" }))
        }
    };
    let backend = serve(
        Router::new()
            .route("/api/scans/7/events", get(|| async { json(503, "{}") }))
            .route("/api/scans/7/status", get(answer)),
    )
    .await;
    assert_eq!(words(&backend).await, [ScanStatus::Running, ScanStatus::Failed]);
}

#[tokio::test]
async fn views_of_an_ended_scan_end_at_once() {
    let backend =
        serve(Router::new().route("/api/scans/7/status", get(|| async { json(200, status("completed")) }))).await;
    assert_eq!(
        backend.get(ScanId(7)).await.unwrap().unwrap().report,
        None,
        "only the scan in full says whether there is one"
    );
    assert_eq!(words(&backend).await, [ScanStatus::Completed]);
}

#[tokio::test]
async fn scan_details_have_the_issues_and_an_existing_report() {
    let missing = "No PDF report: it was requested, but the scanner wrote none.";
    let issue = IssueRef { id: "x".into(), severity: Severity::High, title: "X".into() };
    let mut scan = ScanSnapshot::of(fixtures::record(7, Timestamp::UNIX_EPOCH));
    scan.plugins = vec![PluginResult::new("testssl", PluginStatus::Completed).with_issues([issue])];
    for (reports, has_report, missing) in [
        (r#"{"html":true,"pdf":false,"missing":null}"#.to_owned(), true, None),
        (r#"{"html":false,"pdf":true,"missing":null}"#.to_owned(), true, None),
        (format!(r#"{{"html":true,"pdf":false,"missing":"{missing}"}}"#), true, Some(missing)),
        (format!(r#"{{"html":false,"pdf":false,"missing":"{missing}"}}"#), false, Some(missing)),
        ("null".to_owned(), false, None),
    ] {
        let mut sent = ScanDetail::new(&scan, None, 3, |_| None);
        sent.reports = serde_json::from_str(&reports).unwrap();
        let body = serde_json::to_string(&sent).unwrap();
        let router = Router::new().route("/api/scans/7", get(move || async move { json(200, body) })).route(
            "/api/scans/7/log",
            get(|| async { json(200, r#"{"lines":["one","two"],"next":8,"running":false,"window":false}"#) }),
        );
        let backend = serve(router).await;
        let read = backend.details(ScanId(7)).await.unwrap().unwrap();
        assert_eq!(
            (read.results[0].issues.as_ref().unwrap()[0].title.as_str(), read.report.is_some()),
            ("X", has_report)
        );
        assert_eq!(read.missing_report.as_deref(), missing);
        assert_eq!(backend.log(ScanId(7)).await.unwrap(), ["one", "two"]);
    }
}

#[tokio::test]
async fn missing_ended_and_running_scans_differ_when_cancelled() {
    let router = Router::new()
        .route("/api/scans/1/cancel", post(|| async { json(404, "{}") }))
        .route("/api/scans/7/cancel", post(|| async { json(409, "{}") }))
        .route("/api/scans/8/cancel", post(|| async { json(202, "{}") }))
        .route("/api/scans/{id}/status", get(|| async { json(200, status("completed")) }));
    let backend = serve(router).await;
    let cancel = |id| backend.cancel(ScanId(id), CancelledBy::User);
    assert_eq!(cancel(1).await.unwrap(), CancelAnswer::Missing);
    assert!(matches!(cancel(7).await.unwrap(), CancelAnswer::AlreadyEnded(_)));
    assert!(matches!(cancel(8).await.unwrap(), CancelAnswer::Accepted(_)));
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let pages = |uri: axum::http::Uri| async move {
        let query = uri.query().unwrap_or_default().to_owned();
        assert!(
            ["per_page=100", "status=failed", "target=a+b", "tag=eu"].iter().all(|part| query.contains(part)),
            "{query}"
        );
        let count = if query.starts_with("page=1&") { 100 } else { 50 };
        let scans = vec![status("failed"); count].join(",");
        json(200, format!(r#"{{"scans":[{scans}],"total":150}}"#))
    };
    let backend = serve(Router::new().route("/api/scans", get(pages))).await;
    let filter = |limit| ListFilter {
        status: Some(ScanStatus::Failed),
        target: Some("a b".into()),
        tag: Some("eu".into()),
        limit,
    };
    assert_eq!(backend.list(&filter(1000)).await.unwrap().scans.len(), 150);
    assert_eq!(backend.list(&filter(120)).await.unwrap().scans.len(), 120);
}

#[tokio::test]
async fn unreachable_and_unexpected_servers_are_different_errors() {
    let nobody = RemoteBackend::new("http://127.0.0.1:9/".parse().unwrap()).unwrap();
    assert_eq!(nobody.holds(Path::new("/nowhere")).await, Holder::Silent);
    assert_eq!(nobody.get(ScanId(1)).await.unwrap_err().exit().code(), 4);
    let html = serve(Router::new().fallback(|| async { "<html>" })).await;
    assert!(html.get(ScanId(1)).await.unwrap_err().to_string().contains("expected JSON"));
}

#[tokio::test]
async fn only_a_server_with_the_key_of_the_folder_holds_it() {
    use axum::extract::Query;

    let (ours, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prove = |dir: &Path, url: String| {
        let key = ServerKey::open(dir).unwrap();
        get(move |Query(query): Query<std::collections::HashMap<String, String>>| async move {
            let challenge = Challenge::parse(&query["challenge"]).unwrap();
            json(200, format!(r#"{{"proof":"{}"}}"#, key.prove(&challenge, &url)))
        })
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/proof", prove(ours.path(), url.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let server = RemoteBackend::new(url.parse().unwrap()).unwrap();
    assert_eq!(server.holds(ours.path()).await, Holder::Proven);
    assert_eq!(server.holds(others.path()).await, Holder::Stranger, "another folder's server");
    // A program at another port relays the challenge, by a redirect or by itself.
    let there = format!("{url}/api/proof");
    let redirect = move |uri: axum::http::Uri| async move {
        axum::response::Redirect::temporary(&format!("{there}?{}", uri.query().unwrap()))
    };
    let endless = || async {
        axum::body::Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(1000))))
    };
    for stranger in [
        Router::new().route("/api/proof", get(redirect)),
        Router::new().route("/api/proof", prove(ours.path(), url)),
        Router::new().route("/api/proof", get(endless)),
        Router::new().fallback(|| async { "alive" }),
    ] {
        assert_eq!(serve(stranger).await.holds(ours.path()).await, Holder::Stranger);
    }
    let older = serve(Router::new().route("/api/scans", get(|| async { "[]" }))).await;
    assert_eq!(older.holds(ours.path()).await, Holder::WithoutProof);
    assert_eq!(
        older.holds(Path::new("/nowhere")).await,
        Holder::WithoutProof,
        "a server of an earlier version made no key"
    );
}

#[tokio::test]
async fn dead_letters_are_listed_and_sent_again() {
    let list =
        r#"{"dead_letters":[{"id":"7-3","at":"2026-01-01T00:00:00Z","scan":7,"event":"{","tries":1,"reason":"no"}]}"#;
    let router = Router::new()
        .route("/api/dead-letters", get(move || async move { json(200, list) }))
        .route("/api/dead-letters/7-3/resend", post(|| async { StatusCode::NO_CONTENT }))
        .route("/api/dead-letters/7-4/resend", post(|| async { json(404, "{}") }))
        .route("/api/dead-letters/7-5/resend", post(|| async { json(503, r#"{"title":"Database not responding"}"#) }));
    let backend = serve(router).await;
    let letters = backend.read_at::<DeadLetterList>("api/dead-letters", &()).await.unwrap().dead_letters;
    assert_eq!((letters[0].id.as_str(), letters[0].action.as_deref(), letters[0].event.as_str()), ("7-3", None, "{"));
    assert!(backend.resend("7-3".parse().unwrap()).await.unwrap());
    assert!(!backend.resend("7-4".parse().unwrap()).await.unwrap());
    assert!(backend.resend("7-5".parse().unwrap()).await.is_err());
}

#[tokio::test]
async fn audit_log_is_read_with_its_filters() {
    let entries = |request: axum::extract::RawQuery| async move {
        let query = request.0.unwrap_or_default();
        json(
            200,
            format!(
                r#"{{"entries":[{{"at":"2026-01-01T00:00:00Z","principal":"{query}","action":"queue_resumed","scan":null,"event":{{}}}}]}}"#
            ),
        )
    };
    let backend = serve(Router::new().route("/api/audit", get(entries))).await;
    let query = async |scan| {
        let params = AuditParams { scan, limit: Some(5), ..AuditParams::default() };
        backend.read_at::<AuditList>("api/audit", &params).await.unwrap().entries.remove(0).principal
    };
    assert_eq!(query(None).await, "limit=5");
    assert_eq!(query(Some(7)).await, "limit=5&scan=7");
}

/// Returns a server that lists the `Authorization` header of each request, with its path.
async fn listing_server() -> (RemoteBackend, Arc<Mutex<Vec<(String, String)>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let note = move |uri: axum::http::Uri, headers: HeaderMap| async move {
        let value = headers.get(AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
        log.lock().unwrap().push((uri.path_and_query().unwrap().to_string(), value.to_owned()));
        json(404, "{}")
    };
    (serve(Router::new().fallback(note)).await, seen)
}

#[tokio::test]
async fn token_is_sent_with_every_request() {
    let (server, seen) = listing_server().await;
    let token = ApiToken::generate();
    let backend = RemoteBackend::with_token(server.base.clone(), token.clone()).unwrap();
    let _ = backend.submit(&ScanRequestDraft::default()).await;
    let _ = backend.cancel(ScanId(7), CancelledBy::User).await;
    let _ = backend.details(ScanId(7)).await;
    let _ = backend.resend("7-3".parse().unwrap()).await;
    let _ = backend.download("api/backup").await;
    let _ = backend.readiness().await;
    let _ = backend.is_ready().await;
    let _ = backend.stream(ScanId(7), &mut EventReader::default(), &mpsc::channel(1).0).await;
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 8, "{seen:?}");
    let expected = format!("Bearer {}", token.expose());
    assert!(seen.iter().all(|(_, value)| *value == expected), "{seen:?}");
}

#[tokio::test]
async fn no_credential_is_sent_without_one_or_for_a_proof() {
    let (server, seen) = listing_server().await;
    let _ = server.get(ScanId(7)).await;
    let token = RemoteBackend::with_token(server.base.clone(), ApiToken::generate()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    ServerKey::open(folder.path()).unwrap();
    let _ = token.holds(folder.path()).await;
    let seen = seen.lock().unwrap();
    assert!(seen.len() == 2 && seen.iter().all(|(_, value)| value.is_empty()), "{seen:?}");
}

#[tokio::test]
async fn token_is_not_sent_over_http_to_another_machine() {
    let with = |url: &str| RemoteBackend::with_token(url.parse().unwrap(), ApiToken::generate());
    for url in
        ["http://192.0.2.1/", "http://kastrel.example:5000/", "http://localhost.example/", "http://[2001:db8::1]/"]
    {
        let error = with(url).unwrap_err();
        assert!(matches!(error, BackendError::OpenToken { .. }) && error.exit().code() == 2, "{url}: {error}");
        assert!(!error.to_string().contains("kst_"), "{error}");
    }
    for url in ["https://kastrel.example/", "http://127.0.0.1:5000/", "http://[::1]:5000/", "http://localhost:5000/"] {
        assert!(with(url).is_ok(), "{url}");
    }
}

#[tokio::test]
async fn token_follows_no_redirect() {
    let (other, seen) = listing_server().await;
    let there = other.page(ScanId(7));
    let redirect = move || async move { axum::response::Redirect::temporary(&there) };
    let server = serve(Router::new().route("/api/scans/7/status", get(redirect))).await;
    let backend = RemoteBackend::with_token(server.base, ApiToken::generate()).unwrap();
    assert!(backend.get(ScanId(7)).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn server_of_the_folder_gets_a_new_proof_with_each_request() {
    let (server, seen) = listing_server().await;
    let folder = tempfile::tempdir().unwrap();
    let key = ServerKey::open(folder.path()).unwrap();
    let base = server.base.to_string();
    let backend = server.with_folder(folder.path()).unwrap();
    let _ = backend.get(ScanId(7)).await;
    let _ = backend.read_at::<AuditList>("api/audit", &AuditParams { scan: Some(7), ..AuditParams::default() }).await;
    let _ = backend.resend("7-3".parse().unwrap()).await;
    let seen = seen.lock().unwrap();
    let now = SystemClock.now();
    for ((path, value), method) in seen.iter().zip(["GET", "GET", "POST"]) {
        assert!(key.accepts_command(value, &base, method, path, now), "{method} {path} {value}");
        assert!(!key.accepts_command(value, &base, method, path, now), "each proof is valid once");
    }
    assert_eq!((seen.len(), seen[1].0.as_str()), (3, "/api/audit?scan=7"));
}

#[tokio::test]
async fn server_that_knows_nobody_says_what_to_set() {
    let router = || Router::new().fallback(|| async { json(401, r#"{"title":"Sign in"}"#) });
    let anonymous = serve(router()).await;
    let error = anonymous.get(ScanId(7)).await.unwrap_err();
    assert_eq!(error.exit().code(), 6);
    assert!(error.to_string().contains("set KASTREL_TOKEN") && !error.may_pass(), "{error}");
    let token = RemoteBackend::with_token(anonymous.base.clone(), ApiToken::generate()).unwrap();
    let error = token.get(ScanId(7)).await.unwrap_err();
    assert!(error.to_string().contains("has expired or was revoked"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    ServerKey::open(folder.path()).unwrap();
    let error = anonymous.with_folder(folder.path()).unwrap().get(ScanId(7)).await.unwrap_err();
    assert!(error.to_string().contains("does not accept commands of its data folder"), "{error}");
}

#[tokio::test]
async fn accounts_are_read_and_changed_over_the_api() {
    let account = r#"{"name":"ana","kind":"user","server_role":null,"disabled":true,"has_password":false,"created_at":"2026-01-01T00:00:00Z","memberships":{"default":"viewer"}}"#;
    let created = format!(r#"{{"account":{account},"link":{{"path":"/set-password?link=ab","lifetime_seconds":60}}}}"#);
    let echo = move |request: axum::extract::Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1000).await.unwrap();
        let wanted = match parts.method.as_str() {
            "PATCH" => r#"{"disabled":true}"#,
            _ => r#"{"role":"owner"}"#,
        };
        assert_eq!(std::str::from_utf8(&body).unwrap(), wanted);
        if parts.method == "PATCH" { json(200, account) } else { StatusCode::NO_CONTENT.into_response() }
    };
    let router = Router::new()
        .route(
            "/api/accounts",
            get(move || async move { json(200, format!(r#"{{"accounts":[{account}]}}"#)) })
                .post(move || async move { json(201, created) }),
        )
        .route("/api/accounts/ana", axum::routing::patch(echo))
        .route("/api/accounts/bo", get(|| async { json(404, "{}") }))
        .route("/api/projects/default/members/ana", axum::routing::put(echo).delete(|| async { json(404, "{}") }))
        .route("/api/accounts/ana/tokens/abcdefghij", axum::routing::delete(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/api/accounts/ana/tokens",
            post(|| async { json(422, r#"{"errors":[{"field":"label","message":"empty"}]}"#) }),
        );
    let backend = serve(router).await;
    let (ana, bo): (AccountName, AccountName) = ("ana".parse().unwrap(), "bo".parse().unwrap());
    assert_eq!(backend.accounts(AccountKind::User).await.unwrap().accounts[0].name, "ana");
    assert!(backend.account(&bo).await.unwrap().is_none());
    let new = NewAccountBody { name: "ana".into(), ..NewAccountBody::default() };
    let link = backend.create_account(new).await.unwrap().link.unwrap();
    assert_eq!(backend.page_at(link.path.expose()), format!("{}set-password?link=ab", backend.base));
    let change = AccountChangeBody { disabled: Some(true), ..AccountChangeBody::default() };
    assert!(backend.change_account(&ana, change).await.unwrap().unwrap().disabled);
    let project = ProjectId::default();
    assert!(backend.set_member(&project, &ana, Some(ProjectRole::Owner)).await.unwrap());
    assert!(!backend.set_member(&project, &ana, None).await.unwrap());
    assert!(backend.revoke_token(&ana, &"abcdefghij".parse().unwrap()).await.unwrap());
    let error = backend.create_token(&ana, NewTokenBody::default()).await.unwrap_err();
    assert_eq!((error.to_string().as_str(), error.exit().code()), ("the request was not accepted:\n  label: empty", 2));
}

#[tokio::test]
async fn public_links_are_managed_over_the_api() {
    let link = r#"{"id":"a1B2c3D4e5","label":"","created_by":"user:ana","created_at":"2026-01-01T00:00:00Z","expires_at":"2026-01-02T00:00:00Z","has_password":true,"opened":0,"opened_at":null}"#;
    let create = move |request: axum::extract::Request| async move {
        let body = axum::body::to_bytes(request.into_body(), 1000).await.unwrap();
        assert_eq!(std::str::from_utf8(&body).unwrap(), r#"{"days":1,"password":"correct horse battery"}"#);
        json(201, format!(r#"{{"path":"/shared/ab","link":{link}}}"#))
    };
    let list = move || async move { json(200, format!(r#"{{"links":[{link}]}}"#)) };
    let router = Router::new()
        .route("/api/scans/7/links", get(list).post(create))
        .route("/api/scans/7/links/a1B2c3D4e5", axum::routing::delete(|| async { StatusCode::NO_CONTENT }))
        .route("/api/scans/8/status", get(|| async { json(200, status("completed")) }))
        .fallback(|| async { json(404, "{}") });
    let backend = serve(router).await;
    let list = backend.public_links(ScanId(7)).await.unwrap().unwrap();
    let password = Some(SecretText::new("correct horse battery"));
    let new = NewPublicLinkBody { days: Some(1), password, ..NewPublicLinkBody::default() };
    let created = backend.create_public_link(ScanId(7), new).await.unwrap().unwrap();
    assert_eq!((created.path.expose(), &list.links[..]), ("/shared/ab", &[created.link.clone()][..]));
    assert!(backend.revoke_public_link(ScanId(7), &created.link.id).await.unwrap());
    assert!(!backend.revoke_public_link(ScanId(7), &"abcdefghij".parse().unwrap()).await.unwrap());
    assert!(backend.public_links(ScanId(9)).await.unwrap().is_none(), "there is no such scan");
    let without = backend.public_links(ScanId(8)).await.unwrap_err();
    assert!(without.to_string().contains("it has no public links; its accounts are off"), "{without}");
}

#[tokio::test]
async fn shares_are_managed_over_the_api() {
    const SHARE: &str = r#"{"grantee":"user:ana","right":"edit","created_by":"user:ben","created_at":"2026-01-01T00:00:00Z","expires_at":null}"#;
    let create = |body: String| async move {
        assert_eq!(body, r#"{"grantee":"user:ana","right":"edit"}"#);
        json(201, SHARE)
    };
    let page = |axum::extract::RawQuery(query): axum::extract::RawQuery| async move {
        let (id, next) = match query.as_deref() {
            Some("limit=2") => (9, "9"),
            Some("before=9&limit=1") => (8, "8"),
            other => panic!("{other:?}"),
        };
        let scan = format!(r#"{{"scan_id":{id},"status":"failed","target":"example.com"}}"#);
        json(200, format!(r#"{{"scans":[{{"scan":{scan},"right":"view","share":{SHARE}}}],"next_before":{next}}}"#))
    };
    let router = Router::new()
        .route("/api/scans/7/shares", get(|| async { json(200, format!(r#"{{"shares":[{SHARE}]}}"#)) }).post(create))
        .route("/api/scans/7/shares/user:ana", axum::routing::delete(|| async { StatusCode::NO_CONTENT }))
        .route("/api/scans/8/status", get(|| async { json(200, status("completed")) }))
        .route("/api/shared-scans", get(page))
        .fallback(|| async { json(404, "{}") });
    let backend = serve(router).await;
    let list = backend.shares(ScanId(7)).await.unwrap().unwrap();
    let new = NewShareBody { grantee: "user:ana".into(), right: Some("edit".into()), days: None };
    let created = backend.create_share(ScanId(7), new).await.unwrap().unwrap();
    assert_eq!(list.shares, std::slice::from_ref(&created));
    assert!(backend.revoke_share(ScanId(7), &created.grantee).await.unwrap());
    assert!(!backend.revoke_share(ScanId(7), &"user:ben".parse().unwrap()).await.unwrap());
    assert!(backend.shares(ScanId(9)).await.unwrap().is_none(), "there is no such scan");
    let without = backend.shares(ScanId(8)).await.unwrap_err();
    assert!(without.to_string().contains("it has no shares; its accounts are off"), "{without}");
    let shared = backend.shared_scans(2).await.unwrap();
    assert_eq!(shared.iter().map(|one| one.scan.scan_id).collect::<Vec<_>>(), [ScanId(9), ScanId(8)]);
    assert_eq!(backend.transfer(ScanId(9), &ProjectId::default()).await.unwrap(), None);
}

#[test]
fn printed_address_of_a_page_has_no_credentials() {
    let backend = RemoteBackend::new("https://ana:hunter2@scans.example.com/tools/".parse().unwrap()).unwrap();
    assert_eq!(backend.page_at("/device?code=x"), "https://scans.example.com/tools/device?code=x");
}
