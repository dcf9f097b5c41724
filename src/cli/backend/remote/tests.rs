use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use jiff::Timestamp;
use kastrel_actors::model::{IssueRef, PluginResult, PluginStatus, ScanSnapshot, ScanStatus, Severity};
use kastrel_actors::testing::fixtures;
use tokio::net::TcpListener;

use super::*;
use crate::api_types::{AuditList, AuditParams, DeadLetterList};
use crate::cli::backend::EventBackend as _;

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
async fn invalid_fields_of_a_submission_are_named() {
    let body = r#"{"title":"Wrong fields","errors":[{"field":"target","message":"the target is private"}]}"#;
    let backend = serve(Router::new().route("/api/scans", post(move || async move { json(422, body) }))).await;
    let error = backend.submit(&ScanRequestDraft::default()).await.unwrap_err();
    assert_eq!(
        (error.exit().code(), error.to_string().as_str()),
        (2, "the scan was not accepted:\n  target: the target is private")
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
            query.contains("per_page=100") && query.contains("status=failed") && query.contains("target=a+b"),
            "{query}"
        );
        let count = if query.starts_with("page=1&") { 100 } else { 50 };
        let scans = vec![status("failed"); count].join(",");
        json(200, format!(r#"{{"scans":[{scans}],"total":150}}"#))
    };
    let backend = serve(Router::new().route("/api/scans", get(pages))).await;
    let filter = |limit| ListFilter { status: Some(ScanStatus::Failed), target: Some("a b".into()), limit };
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
        let params = AuditParams { scan, limit: Some(5) };
        backend.read_at::<AuditList>("api/audit", &params).await.unwrap().entries.remove(0).principal
    };
    assert_eq!(query(None).await, "limit=5");
    assert_eq!(query(Some(7)).await, "limit=5&scan=7");
}
