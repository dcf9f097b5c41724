//! Tests of the telemetry that a scan of the real program sends to a real receiver.

use std::collections::BTreeSet;

use serde_json::json;

use super::receiver::{Receiver, Span};
use crate::product::app::TestApp;

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Submits a scan that crashes once, waits for its end, and ends the server, which flushes its
/// telemetry.
async fn story(receiver: &Receiver, protocol: &'static str) -> (String, Vec<Span>) {
    let endpoint = format!("http://{}", receiver.address);
    let mut app = TestApp::with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=hunter2"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ("KASTREL_TELEMETRY__TRACE_URL", "http://traces.test/{trace_id}"),
    ])
    .await;
    let answer = app
        .request(reqwest::Method::POST, "/api/scans")
        .header("traceparent", TRACEPARENT)
        .json(&json!({ "target": "flaky-1p.test" }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let scan: serde_json::Value = answer.json().await.unwrap();
    let id = scan["scan_id"].as_u64().unwrap();
    app.until_status(id, "completed").await;
    let shown = app.json(&format!("/api/scans/{id}")).await;
    let trace_id = shown["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(trace_id, &TRACEPARENT[3..35], "the caller's trace goes on");
    assert_eq!(shown["trace_url"], format!("http://traces.test/{trace_id}"));
    // Polling requests have no spans.
    app.json(&format!("/api/scans/{id}/status")).await;
    app.text("/livez").await;
    assert_eq!(app.terminate_server().await, Some(0));
    let spans = receiver.received().spans.clone();
    (trace_id, spans)
}

fn check(receiver: &Receiver, trace_id: &str, spans: &[Span]) {
    let of_trace: Vec<&Span> = spans.iter().filter(|span| span.trace_id == trace_id).collect();
    let named = |name: &str| of_trace.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let ids: BTreeSet<&str> = of_trace.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), of_trace.len(), "two spans of one id");
    for span in &of_trace {
        assert!(span.end >= span.start, "{span:?}");
        assert!(
            span.parent == "00f067aa0ba902b7" || ids.contains(span.parent.as_str()),
            "the parent of {span:?} never arrived"
        );
        assert!(!span.attributes.values().any(|value| value.contains("hunter2")), "{span:?}");
    }
    for (name, count) in [
        ("POST /api/scans", 1),
        ("scan.submit", 1),
        ("queue.publish", 3),
        ("scan.lease", 3),
        ("scan.attempt.start", 3),
        ("kast.process.start", 3),
        ("kast.process.end", 3),
        ("scan.attempt.end", 3),
        ("scan.restart", 2),
        ("scan.verdict", 1),
    ] {
        assert_eq!(
            named(name).len(),
            count,
            "{name} in {:?}",
            of_trace.iter().map(|span| &span.name).collect::<Vec<_>>()
        );
    }
    // A repeated signal may arrive just when the original is taken. It causes a delivery without an
    // effect.
    assert!(named("queue.process").len() >= 3);
    let starts = named("scan.attempt.start");
    let of_attempt = |number: &str| starts.iter().find(|span| span.attributes["scan.attempt"] == number).unwrap();
    assert_eq!(of_attempt("3").links, [of_attempt("2").id.clone()]);
    assert_eq!(of_attempt("2").links, [of_attempt("1").id.clone()]);
    assert!(!named("kast.plugin").is_empty());
    assert_eq!(named("scan.submit")[0].parent, named("POST /api/scans")[0].id);
    assert!(
        !spans.iter().any(|span| span.name.contains("/status") || span.name.contains("/livez")),
        "polling has no spans"
    );
    assert!(
        !spans.iter().any(|span| span.name.contains("ractor") || span.name.contains("Actor")),
        "ractor's spans stay out"
    );

    let received = receiver.received();
    for metric in [
        "kastrel.attempts.started",
        "kastrel.restarts",
        "kastrel.dispatch.duration",
        "http.server.request.duration",
        "kastrel.scans",
        "kastrel.build.info",
    ] {
        assert!(received.metrics.iter().any(|name| name == metric), "{metric} is not in {:?}", received.metrics);
    }
    let logged = received.logs.iter().find(|(body, _)| body.contains("the node runs")).expect("no log record arrived");
    assert_eq!(logged.1.trim_matches('0'), "", "it belongs to no trace");
    let of_scan = received
        .logs
        .iter()
        .find(|(body, _)| body.contains("starting an attempt"))
        .expect("no record of the scan arrived");
    assert_eq!(of_scan.1, trace_id, "what actors log of a scan belongs to its trace");
    for resource in &received.resources {
        assert_eq!(
            (resource["service.name"].as_str(), resource["deployment.environment.name"].as_str()),
            ("kastrel", "test")
        );
        assert_eq!(resource["kastrel.role"], "serve");
    }
    assert!(
        !received.keys.is_empty() && received.keys.iter().all(|key| key == "hunter2"),
        "the headers go with each request"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scan_telemetry_is_exported_over_http() {
    let receiver = Receiver::http().await;
    let (trace_id, spans) = story(&receiver, "http/protobuf").await;
    check(&receiver, &trace_id, &spans);
}

#[tokio::test(flavor = "multi_thread")]
async fn scan_telemetry_is_exported_over_grpc() {
    let receiver = Receiver::grpc().await;
    let (trace_id, spans) = story(&receiver, "grpc").await;
    check(&receiver, &trace_id, &spans);
}

/// The server also ends cleanly if its terminal is closed.
#[tokio::test(flavor = "multi_thread")]
async fn telemetry_is_flushed_when_the_terminal_closes() {
    let receiver = Receiver::http().await;
    let endpoint = format!("http://{}", receiver.address);
    // The batch delay is longer than the test, so only the flush at the end sends spans.
    let mut app =
        TestApp::with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "600000")]).await;
    app.text("/scans").await;
    assert_eq!(receiver.received().spans.len(), 0);
    assert_eq!(app.end_server(rustix::process::Signal::HUP).await, Some(0));
    assert!(receiver.received().spans.iter().any(|span| span.name == "GET /scans"));
}

/// A command that ends by itself flushes its telemetry before it ends.
#[tokio::test(flavor = "multi_thread")]
async fn scan_command_is_the_root_of_its_trace() {
    let receiver = Receiver::http().await;
    let endpoint = format!("http://{}", receiver.address);
    let app = TestApp::prepare(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    let ended = app.run(&["scan", "1p.test"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let spans = receiver.received().spans.clone();
    let one =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:?}"));
    assert_eq!((one("cli.submit").parent.as_str(), &one("scan.submit").parent), ("", &one("cli.submit").id));
    assert_eq!(one("scan.verdict").trace_id, one("cli.submit").trace_id);
    assert_eq!(receiver.received().resources[0]["kastrel.role"], "scan");
}

/// Returns the telemetry checks of `kastrel doctor`: the level and the message of each.
async fn doctor(variables: &[(&'static str, &str)]) -> Vec<(String, String)> {
    let ended = TestApp::prepare(variables).run(&["doctor", "--json"]).await;
    let report: serde_json::Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{} {}", ended.stdout, ended.stderr));
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["name"] == "telemetry");
    checks.map(|check| (text(&check["level"]), text(&check["message"]))).collect()
}

/// An authority that the machine trusts is accepted without configuration, even if the address has
/// no scheme.
#[tokio::test(flavor = "multi_thread")]
async fn grpc_export_uses_tls_with_the_machines_authorities() {
    let (receiver, authority) = Receiver::grpc_with_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority).unwrap();
    let bare = receiver.address.to_string();
    let with_scheme = format!("https://{bare}");
    for endpoint in [&with_scheme, &bare] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
            ("OTEL_SERVICE_NAME", "probed"),
        ];
        let told = doctor(&[&variables[..], &[("SSL_CERT_FILE", file.to_str().unwrap())]].concat()).await;
        let taken = ["a span", "a metric", "a log record"]
            .map(|what| ("ok".to_owned(), format!("the collector at https://{bare} accepted {what}")));
        assert_eq!(told, taken);
    }
    {
        let received = receiver.received();
        assert_eq!((received.spans.len(), received.logs.len()), (2, 2));
        assert!(
            received.resources.iter().all(|resource| resource["service.name"] == "probed"),
            "{:?}",
            received.resources
        );
    }
    let stranger = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", with_scheme.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
    ];
    let told = doctor(&stranger).await;
    assert!(told[0].0 == "warning" && told[0].1.contains("did not accept a span"), "{told:?}");
}

/// `kastrel doctor` reports whether a span arrives.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_sends_a_test_span_to_the_collector() {
    for receiver in [Receiver::http().await, Receiver::grpc().await] {
        let endpoint = format!("http://{}", receiver.address);
        let (mut right, mut wrong) = (0, 0);
        for protocol in ["http/protobuf", "grpc"] {
            let app = TestApp::prepare(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
            ]);
            let ended = app.run(&["doctor", "--json"]).await;
            let report: serde_json::Value =
                serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{} {}", ended.stdout, ended.stderr));
            let check =
                report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "telemetry").unwrap().clone();
            match check["level"].as_str() {
                Some("ok") => right += 1,
                Some("warning") => {
                    assert!(check["fix"].as_str().unwrap().contains("OTEL_EXPORTER_OTLP_PROTOCOL"));
                    wrong += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((right, wrong), (1, 1), "only one of the two protocols is spoken there");
        assert_eq!(receiver.received().spans.iter().filter(|span| span.name == "doctor.check").count(), 1);
    }
}
