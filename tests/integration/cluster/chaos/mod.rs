//! A chaos test: random faults in a cluster while scans are submitted. At the end every scan has
//! ended exactly once, and nothing is left.
//!
//! The short form runs with all tests; `make chaos` is longer. `CHAOS_SCANS`, `CHAOS_SECONDS`,
//! `CHAOS_ROUNDS` and `CHAOS_SEED` set the size and the seed.

mod judge;
mod plan;
mod tally;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kastrel::adapters::surreal_store::SurrealStore;
use kastrel_actors::model::{ListQuery, ProjectFilter, ScanRecord};
use kastrel_actors::ports::store::prelude::*;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use self::judge::{History, wrong_end, wrong_processes};
use self::plan::{Event, Size, plan};
use self::tally::Tally;
use super::harness::{Cluster, poll_within};
use super::member::Member;

/// The number of attempts that may fail; more than random faults should cause.
const MAX_ATTEMPTS: u32 = 6;
/// The limit for the end of all scans after the last fault is repaired.
const RECOVERY: Duration = Duration::from_secs(120);

#[tokio::test]
async fn chaos() {
    let number = |name: &str, default| {
        std::env::var(name)
            .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
    };
    let size = Size {
        scans: number("CHAOS_SCANS", 60) as usize,
        workers: 3,
        during: Duration::from_secs(number("CHAOS_SECONDS", 20)),
    };
    let first = number("CHAOS_SEED", rand::random_range(0..1_000_000));
    for seed in first..first + number("CHAOS_ROUNDS", 1) {
        // Printed first, so that every failure shows the seed.
        println!(
            "chaos with seed {seed}: CHAOS_SEED={seed} CHAOS_SCANS={} CHAOS_SECONDS={} repeats the plan",
            size.scans,
            size.during.as_secs()
        );
        round(size, seed).await;
    }
}

#[expect(clippy::print_stdout, reason = "the table of faults and outcomes, for whoever asked for it")]
async fn round(size: Size, seed: u64) {
    let mut cluster = Cluster::with_short_lease().await;
    let settings =
        [("KASTREL_SCANS__MAX_ATTEMPTS", &*MAX_ATTEMPTS.to_string()), ("KASTREL_SCANS__BACKOFF_CAP_SECONDS", "1")];
    let webs = [cluster.web("web-a"), cluster.web("web-b")];
    let workers: Vec<_> =
        (0..size.workers).map(|number| cluster.worker_with(&format!("worker-{number}"), 4, &settings)).collect();
    futures_util::future::join_all(webs.iter().chain(&workers).map(|member| member.start())).await;
    let store = Arc::new(cluster.store().await);
    let (history, watching) = watch(Arc::clone(&store));
    let mut run =
        Run { cluster, webs, workers, accepted: Arc::default(), tasks: JoinSet::new(), tally: Tally::default() };
    let begun = Instant::now();
    for step in plan(size, seed) {
        tokio::time::sleep_until(begun + step.at).await;
        run.perform(step.event).await;
    }
    let answered = async {
        while let Some(told) = run.tasks.join_next().await {
            told.unwrap().into_iter().for_each(|what| run.tally.count("answer", what));
        }
    };
    tokio::time::timeout(RECOVERY, answered).await.expect("a request is answered");
    let mended = Instant::now();
    poll_within(RECOVERY, "all scans have ended", async || {
        let counts = store.stats(&ProjectFilter::All).await.ok()?;
        (counts.pending + counts.running == 0).then_some(())
    })
    .await;
    let recovered = mended.elapsed();
    for worker in &run.workers {
        worker.listening().await;
    }
    drop(watching);
    let rows = all(&store).await.unwrap();
    let mut history = std::mem::take(&mut *history.lock().unwrap());
    for row in &rows {
        history.see(row);
        run.tally.count_scan(row);
        let wrong =
            wrong_end(row, MAX_ATTEMPTS).into_iter().chain(wrong_processes(row, &run.cluster.journal(row.id.0)));
        history.problems.extend(wrong.map(|what| format!("scan {} ({}): {what}", row.id, row.request.target)));
    }
    println!("{}\nall scans had ended {recovered:.1?} after the last submission and fault", run.tally.table());
    let mut accepted = run.accepted.lock().unwrap().clone();
    accepted.sort_unstable();
    let mut stored: Vec<u64> = rows.iter().map(|row| row.id.0).collect();
    stored.sort_unstable();
    assert_eq!(
        (stored.len(), &stored),
        (size.scans, &accepted),
        "every submission was accepted once, and no scan is lost"
    );
    assert!(history.problems.is_empty(), "seed {seed}: {}", history.problems.join("\n"));
}

/// Reads all rows several times a second while the handle lives.
fn watch(store: Arc<SurrealStore>) -> (Arc<Mutex<History>>, AbortOnDropHandle<()>) {
    let history = Arc::new(Mutex::new(History::default()));
    let seen = Arc::clone(&history);
    let watching = tokio::spawn(async move {
        let mut again = tokio::time::interval(Duration::from_millis(250));
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            again.tick().await;
            // The database may not answer; that is one of the faults.
            let rows = all(&store).await.unwrap_or_default();
            let mut history = seen.lock().unwrap();
            rows.iter().for_each(|row| history.see(row));
        }
    });
    (history, AbortOnDropHandle::new(watching))
}

async fn all(store: &SurrealStore) -> Result<Vec<ScanRecord>, kastrel_actors::ports::StoreError> {
    Ok(store.list(ListQuery { limit: 10_000, ..ListQuery::default() }).await?.scans)
}

struct Run {
    cluster: Cluster,
    webs: [Arc<Member>; 2],
    workers: Vec<Arc<Member>>,
    accepted: Arc<Mutex<Vec<u64>>>,
    /// The running requests, which may wait for the end of an outage. Each returns its responses.
    tasks: JoinSet<Vec<String>>,
    tally: Tally,
}

impl Run {
    async fn perform(&mut self, event: Event) {
        if let Some(fault) = event.fault() {
            self.tally.count("fault", fault);
        }
        match event {
            Event::Submit { target } => {
                let number = self.tasks.len() + self.accepted.lock().unwrap().len();
                let web = Arc::clone(&self.webs[number % self.webs.len()]);
                self.tasks.spawn(submit(web, target, Arc::clone(&self.accepted)));
            }
            Event::Cancel { share } => {
                let chosen = pick(&self.accepted.lock().unwrap(), share);
                if let Some(id) = chosen {
                    self.tasks.spawn(cancel(Arc::clone(&self.webs[0]), id));
                }
            }
            Event::KillKast { worker, share } => {
                let pids: Vec<i32> = self.workers[worker]
                    .marked()
                    .iter()
                    .filter_map(|text| text.split(' ').next()?.parse().ok())
                    .collect();
                if let Some(pid) = pick(&pids, share).and_then(Pid::from_raw) {
                    // The process may have ended in the meantime.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            Event::KillWorker(worker) => self.workers[worker].kill(),
            Event::StartWorker(worker) => self.workers[worker].spawn(),
            Event::FreezeWorker(worker) => self.workers[worker].signal(Signal::STOP),
            Event::ThawWorker(worker) => self.workers[worker].signal(Signal::CONT),
            Event::StopRedis(_) => self.cluster.redis.kill().await,
            Event::StartRedis(data) => self.cluster.redis.restart(data).await,
            Event::StopDatabase => self.cluster.database.kill(),
            Event::StartDatabase => self.cluster.database.restart().await,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a small number"
)]
fn pick<T: Copy>(all: &[T], share: f64) -> Option<T> {
    all.get((share * all.len() as f64) as usize).copied()
}

/// Submits a scan until it is accepted, always with the same key.
async fn submit(web: Arc<Member>, target: String, accepted: Arc<Mutex<Vec<u64>>>) -> Vec<String> {
    let (key, body) = (uuid::Uuid::new_v4().to_string(), json!({ "target": target }));
    let mut told = Vec::new();
    loop {
        let answer =
            web.request(Method::POST, "/api/scans").header("idempotency-key", &key).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        let warning = if body["warning"].is_string() { ", with a warning" } else { "" };
        told.push(format!("submission: {status}{warning}"));
        assert!(matches!(status, 200 | 201 | 503), "{status} {body}");
        if status != 503 {
            accepted.lock().unwrap().push(body["scan_id"].as_u64().unwrap());
            return told;
        }
    }
}

/// Requests a cancel until the server responds.
async fn cancel(web: Arc<Member>, id: u64) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let (status, body) = web.cancel(id).await;
        told.push(format!("cancel: {status}"));
        assert!(matches!(status, 200 | 202 | 409 | 503), "{status} {body}");
        if status != 503 {
            return told;
        }
    }
}
