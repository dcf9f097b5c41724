//! The cost of telemetry: two servers in one run, measured in alternation because machines are
//! noisy. One of them exports all telemetry.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::report::{Report, median};
use crate::server::Server;
use crate::{SCANS, TURN, TURNS, load};

/// A collector that accepts and discards all data.
struct Collector {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(|| async { ([("content-type", "application/x-protobuf")], "") });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _task: AbortOnDropHandle::new(task) }
    }
}

pub(crate) async fn cost(report: &mut Report) {
    let collector = Collector::start().await;
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address)),
        ("OTEL_METRIC_EXPORT_INTERVAL", "5000".to_owned()),
    ];
    let servers =
        [Server::serve(&["--concurrency", "4"], &[]).await, Server::serve(&["--concurrency", "4"], &variables).await];
    let mut latencies = [Vec::new(), Vec::new()];
    for server in &servers {
        server.settle().await;
    }
    for _ in 0..SCANS {
        for (server, samples) in servers.iter().zip(&mut latencies) {
            let (id, sent) = server.submit("1p.test").await;
            samples.push(server.started(id, 1).await - sent);
            server.ended(id).await;
        }
    }
    let mut paths = Vec::new();
    for server in &servers {
        let (id, _) = server.submit("hang.test").await;
        server.started(id, 1).await;
        paths.push((id, format!("/api/scans/{id}/status")));
        load::run(server.address, &paths[paths.len() - 1].1, TURN / 3).await;
    }
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for ((server, (_, path)), rates) in servers.iter().zip(&paths).zip(&mut rates) {
            rates.push(load::run(server.address, path, TURN).await);
        }
    }
    let [off, on] = rates.map(|rates| median(&rates));
    report.add("status API with telemetry exported", on, "requests/s", None);
    report.add("status API with telemetry exported, against without", on / off, "", Some("at least 0.95"));
    let [off, on] = latencies.map(|samples| median(&samples));
    report.add(format!("submission to process start with telemetry exported: median of {SCANS}"), on, "ms", None);
    report.add(
        "submission to process start with telemetry exported, against without",
        on / off,
        "",
        Some("at most 1.05"),
    );
    for (server, (id, _)) in servers.iter().zip(&paths) {
        server.cancel_all(&[*id]).await;
    }
}
