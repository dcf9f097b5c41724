//! Tests of collectors that do not respond: scans run, and the end of the process is delayed only
//! briefly.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::product::app::TestApp;

/// The time limit of the flush, plus the time that a busy machine needs for the rest.
const BEARABLE: Duration = Duration::from_secs(20);

async fn a_scan_completes_and_the_server_ends(endpoint: &str, protocol: &'static str) {
    let mut app = TestApp::with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ])
    .await;
    let (status, scan) = app.post("/api/scans", &json!({ "target": "1p.test" })).await;
    assert_eq!(status, 201, "{scan}");
    let id = scan["scan_id"].as_u64().unwrap();
    app.until_status(id, "completed").await;
    assert_eq!(app.json(&format!("/api/scans/{id}/status")).await["status"], "completed");
    let asked = Instant::now();
    assert_eq!(app.terminate_server().await, Some(0));
    assert!(asked.elapsed() < BEARABLE, "the end took {:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn export_without_a_listener_does_not_block_the_server() {
    // A port that was free a moment before.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for protocol in ["http/protobuf", "grpc"] {
        a_scan_completes_and_the_server_ends(&format!("http://{address}"), protocol).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn export_to_a_silent_collector_does_not_block_the_server() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    for protocol in ["http/protobuf", "grpc"] {
        a_scan_completes_and_the_server_ends(&format!("http://{address}"), protocol).await;
    }
}
