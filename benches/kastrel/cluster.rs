//! Benchmarks of a cluster: a web node and workers on a real Redis and a real SurrealDB server,
//! each in its own process.

use tokio::process::Child;

use crate::SCANS;
use crate::redis_server::RedisServer;
use crate::report::Report;
use crate::server::{self, Server};
use crate::surreal_server::SurrealServer;

/// The number of workers in the fleet, each with concurrency 1.
const WORKERS: usize = 8;
/// The number of queued scans.
const QUEUE: usize = 400;
/// The target of a scan that takes one second.
const SECOND: &str = "1000ms-1p.test";

struct Cluster {
    web: Server,
    workers: Vec<Child>,
    _redis: RedisServer,
    _database: SurrealServer,
}

impl Cluster {
    async fn start(workers: usize, concurrency: usize) -> Self {
        let (redis, database) = (RedisServer::durable().await, SurrealServer::on_disk().await);
        let variables = [("REDIS_URL", redis.url()), ("KASTREL_DATABASE_URL", database.url("kastrel", "kastrel"))];
        let web = Server::serve(&["--no-worker"], &variables).await;
        let workers = (0..workers).map(|number| web.worker(number, concurrency, &variables)).collect::<Vec<_>>();
        web.nodes(workers.len()).await;
        web.settle().await;
        Self { web, workers, _redis: redis, _database: database }
    }
}

pub(crate) async fn latency(report: &mut Report) {
    let cluster = Cluster::start(1, 4).await;
    let mut samples = Vec::new();
    for _ in 0..SCANS {
        let (id, sent) = cluster.web.submit("1p.test").await;
        samples.push(cluster.web.started(id, 1).await - sent);
        cluster.web.ended(id).await;
    }
    report.latencies("with Redis and a database server: submission to process start", &samples, Some("4 ms median"));
    report.add("memory of an idle web node", cluster.web.resident_mb(), "MB", None);
    report.add("memory of an idle worker", server::resident_mb(&cluster.workers[0]), "MB", None);
}

/// Measures a fleet. The queue is paused while it fills, so that all scans are queued when the
/// workers start.
pub(crate) async fn fleet(report: &mut Report) {
    let cluster = Cluster::start(WORKERS, 1).await;
    cluster.web.order("/api/queue/pause").await;
    for _ in 0..QUEUE {
        cluster.web.submit(SECOND).await;
    }
    let start = server::now_ms();
    cluster.web.order("/api/queue/resume").await;
    while cluster.web.completed().await < QUEUE as u64 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let took = server::now_ms() - start;
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let ideal = QUEUE as f64 / WORKERS as f64 * 1_000.0;
    report.add(
        "8 workers of concurrency 1, 400 scans of 1 s: time against the ideal 50 s",
        took / ideal,
        "",
        Some("at most 1.1"),
    );
}
