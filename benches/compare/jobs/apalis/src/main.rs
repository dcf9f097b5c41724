//! The client and the worker of apalis for the comparison: `compare-apalis setup|client|worker`.
//!
//! `compare/client.py` describes the protocol of the client.

use std::fs::File;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage, queries};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio::process::Command;
use tokio::sync::Mutex;

const QUEUE: &str = "scan";
/// How long, and after which pause, a job tries again to store its result.
const STORE_LIMIT: Duration = Duration::from_secs(60);
const STORE_PAUSE: Duration = Duration::from_millis(200);

#[derive(Serialize, Deserialize)]
struct Scan {
    job: i64,
    target: String,
}

#[derive(Deserialize)]
struct Request {
    seq: u64,
    op: String,
    job: i64,
    target: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), BoxDynError> {
    let pool = PgPoolOptions::new().max_connections(10).connect(&variable("DATABASE_URL")).await?;
    match std::env::args().nth(1).as_deref() {
        Some("setup") => PostgresStorage::setup(&pool).await?,
        Some("client") => client(pool).await?,
        Some("worker") => worker(pool).await?,
        _ => return Err("usage: compare-apalis setup|client|worker".into()),
    }
    Ok(())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn is_no_loss() -> bool {
    variable("COMPARE_PROFILE") == "no-loss"
}

async fn worker(pool: PgPool) -> Result<(), BoxDynError> {
    let slots: usize = variable("COMPARE_SLOTS").parse()?;
    let config = Config::default().queue(QUEUE);
    // A worker with the name of a dead one is refused until that one counts as dead.
    let name = format!("worker-{}-{}", variable("COMPARE_WORKER"), std::process::id());
    let scan = {
        let pool = pool.clone();
        move |scan: Scan| run(pool.clone(), scan)
    };
    if is_no_loss() {
        let config = config.batch_size(slots).heartbeat_interval(Duration::from_secs(10)).missed_heartbeats(3);
        let backend =
            PostgresStorage::new(&pool).with_config(config).with_pubsub().poll_with_interval(Duration::from_secs(1));
        let worker = WorkerBuilder::new(name).backend(backend).concurrency(slots).parallelize(tokio::spawn);
        worker.build(scan).run().await?;
    } else {
        let backend = PostgresStorage::new(&pool).with_config(config);
        let worker = WorkerBuilder::new(name).backend(backend).concurrency(slots).parallelize(tokio::spawn);
        worker.build(scan).run().await?;
    }
    Ok(())
}

/// Spawns the scanner in a process group of its own, waits, and stores the result.
async fn run(pool: PgPool, scan: Scan) -> Result<(), BoxDynError> {
    if scan.target == "noop" {
        return Ok(());
    }
    let results = variable("COMPARE_RESULTS");
    let out = format!("{results}/scan-{}/attempt-{}-{}", scan.job, std::process::id(), monotonic_ns());
    let log = File::options().append(true).create(true).open(format!("{results}/scan-{}.log", scan.job))?;
    let mut child = Command::new(variable("COMPARE_SCANNER"))
        .args(["-t", &scan.target, "-m", "passive", "-o", &out])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let pid = i32::try_from(child.id().ok_or("the scanner has no process id")?)?;
    let status = child.wait().await?;
    // The scan is not thrown away because the database is away for a moment.
    let give_up = Instant::now() + STORE_LIMIT;
    loop {
        let insert = sqlx::query("insert into result (job, pid, exit_code) values ($1, $2, $3)")
            .bind(scan.job)
            .bind(pid)
            .bind(status.code().unwrap_or(128));
        match insert.execute(&pool).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > give_up => return Err(error.into()),
            Err(_) => tokio::time::sleep(STORE_PAUSE).await,
        }
    }
}

async fn client(pool: PgPool) -> Result<(), BoxDynError> {
    let out = Arc::new(Mutex::new(stdout()));
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Request = serde_json::from_str(&line)?;
        let (pool, out) = (pool.clone(), Arc::clone(&out));
        tokio::spawn(async move {
            let called = monotonic_ns();
            let answer = match submit(&pool, &request).await {
                Ok(()) => json!({
                    "seq": request.seq, "job": request.job, "called": called, "answered": monotonic_ns(),
                }),
                Err(error) => json!({ "seq": request.seq, "job": request.job, "error": error.to_string() }),
            };
            let mut out = out.lock().await;
            if out.write_all(format!("{answer}\n").as_bytes()).await.is_err() || out.flush().await.is_err() {
                eprintln!("the harness does not read the answers");
            }
        });
    }
    Ok(())
}

async fn submit(pool: &PgPool, request: &Request) -> Result<(), BoxDynError> {
    let target = request.target.clone().filter(|_| request.op == "submit");
    let target = target.ok_or("apalis has no call that ends a running job")?;
    let task = TaskBuilder::new(serde_json::to_vec(&Scan { job: request.job, target })?);
    let task = if is_no_loss() { task.max_attempts(3) } else { task };
    let mut connection = pool.acquire().await?;
    queries::push_tasks(&mut *connection, QUEUE, vec![task.build()]).await?;
    Ok(())
}

/// The clock that the scanner also uses.
fn monotonic_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
