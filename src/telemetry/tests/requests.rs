//! Tests of the trace from a request to the row that it creates.

use axum::response::Response;
use kastrel_actors::model::ScanId;
use kastrel_actors::ports::store::prelude::*;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;

use super::super::catalog::{event, span};
use super::super::filter::is_ours;
use super::super::{Telemetry, ids, observe};
use crate::web::testing::{TestApp, json_of};

/// Exports the spans of this thread, like `start` does for the program.
fn spans_of_this_thread(telemetry: &Telemetry) -> DefaultGuard {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(telemetry.tracer().unwrap())
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    tracing::subscriber::set_default(
        tracing_subscriber::registry()
            .with(layer.with_filter(FilterFn::new(is_ours).with_max_level_hint(LevelFilter::INFO))),
    )
}

fn app(telemetry: &Telemetry) -> TestApp {
    TestApp::with_telemetry(telemetry, |ports| {
        let observed = observe(telemetry, ports.clock.clone());
        ports.store = observed.store(ports.store.clone());
        ports.queue = observed.queue(ports.queue.clone(), false);
    })
}

fn one<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans
        .iter()
        .find(|one| one.name == name)
        .unwrap_or_else(|| panic!("no {name} in {:?}", spans.iter().map(|one| &one.name).collect::<Vec<_>>()))
}

async fn submitted(response: Response) -> (ScanId, String) {
    assert_eq!(response.status(), 201);
    let body = json_of(response).await;
    (ScanId(body["scan_id"].as_u64().unwrap()), body["trace_id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_scan_continues_the_trace_of_its_request_and_of_the_caller() {
    let (telemetry, exporter) = Telemetry::in_memory();
    let _guard = spans_of_this_thread(&telemetry);
    let app = app(&telemetry);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (id, trace_id) =
        submitted(app.post_json("/api/scans", &[("traceparent", caller)], &json!({ "target": "example.com" })).await)
            .await;
    assert_eq!(trace_id, &caller[3..35]);
    let spans = exporter.get_finished_spans().unwrap();
    let request = one(&spans, "POST /api/scans");
    assert_eq!(
        (request.parent_span_id, request.span_kind.clone()),
        (SpanId::from(0x00f0_67aa_0ba9_02b7), SpanKind::Server)
    );
    assert_eq!(one(&spans, span::SCAN_SUBMIT).parent_span_id, request.span_context.span_id());
    assert_eq!(one(&spans, span::QUEUE_PUBLISH).parent_span_id, one(&spans, span::SCAN_SUBMIT).span_context.span_id());
    let row = app.memory.get(id).await.unwrap().unwrap();
    assert_eq!(ids::stored(&one(&spans, span::SCAN_SUBMIT).span_context), Some(row.trace));
}

#[tokio::test]
async fn a_cancel_has_a_trace_of_its_own_to_which_the_scans_links() {
    let (telemetry, exporter) = Telemetry::in_memory();
    let _guard = spans_of_this_thread(&telemetry);
    let app = app(&telemetry);
    let (id, trace_id) = submitted(app.post_json("/api/scans", &[], &json!({ "target": "example.com" })).await).await;
    app.post_json(&format!("/api/scans/{id}/cancel"), &[], &json!({})).await;
    let spans = exporter.get_finished_spans().unwrap();
    let (request, cancel) = (one(&spans, "POST /api/scans/{id}/cancel"), one(&spans, span::SCAN_CANCEL));
    assert_ne!(request.span_context.trace_id().to_string(), trace_id);
    assert_eq!(cancel.span_context.trace_id().to_string(), trace_id);
    assert_eq!(cancel.links.links[0].span_context.span_id(), request.span_context.span_id());
}

#[tokio::test]
async fn polling_has_no_span_and_a_problem_has_its_kind() {
    let (telemetry, exporter) = Telemetry::in_memory();
    let _guard = spans_of_this_thread(&telemetry);
    let app = app(&telemetry);
    for path in ["/livez", "/metrics", "/api/scans/7/status", "/api/stats"] {
        app.get(path).await;
    }
    assert_eq!(app.send("GET", "/scans", &[("x-kastrel-poll", "1")], "").await.status(), 200);
    assert_eq!(app.post_form("/new/preview", "target=example.com").await.status(), 200);
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 0);
    assert!(
        include_str!("../../web/assets/live.js").contains(r#""x-kastrel-poll": "1""#),
        "the script says that it polls"
    );
    app.get("/scans").await;
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 1, "who opens the page has a span");
    app.store.fail_with("down");
    let answer = app.get("/api/scans/7").await;
    assert_eq!(answer.status(), 503);
    let body = json_of(answer).await;
    let spans = exporter.get_finished_spans().unwrap();
    let request = one(&spans, "GET /api/scans/{id}");
    assert_eq!(
        body["trace_id"],
        request.span_context.trace_id().to_string(),
        "the problem tells the trace that it is found by"
    );
    assert!(matches!(request.status, Status::Error { .. }));
    assert_eq!(
        (request.events.events[0].name.as_ref(), request.events.events[0].attributes[0].value.to_string().as_str()),
        (event::PROBLEM, "store-unavailable")
    );
}

#[tokio::test]
async fn span_of_a_public_link_has_its_route_and_not_its_secret() {
    let (telemetry, exporter) = Telemetry::in_memory();
    let _guard = spans_of_this_thread(&telemetry);
    let (app, secret) = (app(&telemetry), "5e".repeat(32));
    for path in ["", "/report", "/files/1/a.txt", "/nothing"] {
        assert_eq!(app.get(&format!("/shared/{secret}{path}")).await.status(), 404, "{path}");
    }
    let spans = exporter.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 4);
    one(&spans, "GET /shared/{secret}/report");
    assert!(!format!("{spans:?}").contains(&secret), "{spans:?}");
}

#[tokio::test]
async fn span_of_a_sign_in_with_the_provider_has_neither_code_nor_state() {
    let (telemetry, exporter) = Telemetry::in_memory();
    let _guard = spans_of_this_thread(&telemetry);
    let app = app(&telemetry);
    assert_eq!(app.get("/login/oidc/callback?code=code-hunter2&state=state-hunter2").await.status(), 404);
    let spans = exporter.get_finished_spans().unwrap();
    one(&spans, "GET /login/oidc/callback");
    assert!(!format!("{spans:?}").contains("hunter2"), "{spans:?}");
}

/// ractor opens a span for each actor, which lives as long as the actor.
#[tokio::test]
async fn spans_of_libraries_are_not_exported() {
    let (telemetry, exporter) = Telemetry::in_memory();
    let _guard = spans_of_this_thread(&telemetry);
    tracing::info_span!(target: "ractor::actor", "Actor").in_scope(|| tracing::info!("x"));
    tracing::debug_span!(target: "kastrel::trace", "too detailed").in_scope(|| ());
    assert_eq!(exporter.get_finished_spans().unwrap().len(), 0);
}
