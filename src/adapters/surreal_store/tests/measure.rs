//! Measurements for `docs/`:
//! `cargo test --release -p kastrel --lib surreal_store::tests::measure -- --ignored --nocapture`.

use std::time::Duration;

use kastrel_actors::model::{
    Command, FencingToken, IssueRef, ListQuery, PluginResult, PluginStatus, ProjectFilter, Resolution, ScanId,
    ScanMode, ScanOrder, ScanStatus, Severity, Verdict,
};
use kastrel_actors::ports::Applied;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use tempfile::TempDir;
use tokio::time::Instant;

use super::super::SurrealStore;
use super::super::calls::{self, Nothing};
use super::surreal_server::SurrealServer;
use super::{connect, run};

const TRIES: u32 = 30;

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon"))
        .map(|line| line.replace('\t', " "))
        .collect::<Vec<_>>()
        .join(", ")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The progress of a scan with fifteen plugins of some kilobytes each, of which one runs.
fn progress_of(token: FencingToken, running: usize) -> Command {
    let issue = |number: usize| IssueRef {
        id: format!("issue_{number}"),
        severity: Severity::Low,
        title: "A header is missing from the response of the server".into(),
    };
    let plugin = |at: usize| PluginResult {
        issues: (0..20).map(issue).collect(),
        ..PluginResult::new(
            format!("plugin-{at}"),
            if at == running { PluginStatus::InProgress } else { PluginStatus::Completed },
        )
    };
    Command::Progress { token, scanner: None, plugins: (0..15).map(plugin).collect() }
}

async fn page(store: &SurrealStore, name: &str, query: ListQuery) {
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        store.list(query.clone()).await.unwrap();
        times.push(start.elapsed());
    }
    println!("list {name}: {:?}", median(times));
}

#[test]
#[ignore = "a measurement, not a test"]
fn latencies_and_memory() {
    let rows: u64 = std::env::var("KASTREL_MEASURE_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(20_000);
    run(async move {
        let folder =
            TempDir::new_in(std::env::var_os("KASTREL_MEASURE_DIR").unwrap_or_else(|| std::env::temp_dir().into()))
                .unwrap();
        println!("before: {}", resident());
        let start = Instant::now();
        let store = SurrealStore::open(folder.path()).await.unwrap();
        println!("open: {:?}, {}", start.elapsed(), resident());
        store.register(fixtures::registration("a"), Duration::from_secs(36_000)).await.unwrap();
        let node = || "a".parse().unwrap();
        let [mut submit, mut lease, mut progress, mut get, mut finish] = [const { Vec::new() }; 5];
        for _ in 0..TRIES {
            let start = Instant::now();
            let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
            submit.push(start.elapsed());
            let start = Instant::now();
            let Applied::Committed(record) = store.apply(id, Command::Lease { node: node() }).await.unwrap() else {
                panic!()
            };
            lease.push(start.elapsed());
            // Fifteen plugins with issues, of which one changes.
            for running in [0, 1] {
                let start = Instant::now();
                store.apply(id, progress_of(record.token, running)).await.unwrap();
                if running > 0 {
                    progress.push(start.elapsed());
                }
            }
            let start = Instant::now();
            store.get(id).await.unwrap();
            get.push(start.elapsed());
            let start = Instant::now();
            let end = Command::Finish {
                token: record.token,
                resolution: Resolution::Complete(Verdict::default()),
                plugins: None,
            };
            store.apply(id, end).await.unwrap();
            finish.push(start.elapsed());
        }
        println!(
            "median of {TRIES}: submit {:?}, lease {:?}, progress {:?}, get {:?}, finish {:?}",
            median(submit),
            median(lease),
            median(progress),
            median(get),
            median(finish)
        );
        let start = Instant::now();
        let burst: Vec<_> = (0..300)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    store.submit(fixtures::new_scan("example.com")).await.unwrap();
                })
            })
            .collect();
        for one in burst {
            one.await.unwrap();
        }
        println!("burst of 300: {:?}", start.elapsed());
        let start = Instant::now();
        let burst: Vec<_> = (31..=330)
            .map(|id| {
                let store = store.clone();
                tokio::spawn(async move {
                    store.apply(ScanId(id), Command::Lease { node: "a".parse().unwrap() }).await.unwrap();
                })
            })
            .collect();
        for one in burst {
            one.await.unwrap();
        }
        println!("300 leases at once: {:?}, {}", start.elapsed(), resident());
        let start = Instant::now();
        fill(&store, 331, rows).await;
        println!("filled to {rows} in {:?}, {}", start.elapsed(), resident());
        let of =
            |statuses: &[ScanStatus]| ListQuery { statuses: statuses.to_vec(), count: true, ..ListQuery::default() };
        page(&store, "all + count", of(&[])).await;
        page(&store, "all, last page + count", ListQuery { offset: usize::try_from(rows).unwrap() - 20, ..of(&[]) })
            .await;
        page(&store, "running (rare) + count", of(&[ScanStatus::Running])).await;
        page(&store, "completed (most) + count", of(&[ScanStatus::Completed])).await;
        page(&store, "completed, offset 2000 + count", ListQuery { offset: 2000, ..of(&[ScanStatus::Completed]) })
            .await;
        page(&store, "completed and failed + count", of(&[ScanStatus::Completed, ScanStatus::Failed])).await;
        page(&store, "target, no count", ListQuery { target: Some("host-7".into()), ..ListQuery::default() }).await;
        page(
            &store,
            "a whole target, page 3",
            ListQuery { target: Some("host-77.example.com".into()), offset: 40, ..ListQuery::default() },
        )
        .await;
        page(&store, "target that is nowhere", ListQuery { target: Some("nowhere".into()), ..ListQuery::default() })
            .await;
        page(&store, "mode active (none)", ListQuery { mode: Some(ScanMode::Active), ..ListQuery::default() }).await;
        page(
            &store,
            "mode passive (all), in the middle",
            ListQuery { mode: Some(ScanMode::Passive), before: Some(ScanId(rows / 2)), ..ListQuery::default() },
        )
        .await;
        page(
            &store,
            "running of mode active (none)",
            ListQuery { mode: Some(ScanMode::Active), ..of(&[ScanStatus::Running]) },
        )
        .await;
        page(&store, "plugin with findings (none)", ListQuery { plugin: Some("zap".into()), ..ListQuery::default() })
            .await;
        page(
            &store,
            "oldest, in the middle",
            ListQuery { order: ScanOrder::Oldest, after: Some(ScanId(rows / 2)), ..ListQuery::default() },
        )
        .await;
        page(&store, "by target", ListQuery { order: ScanOrder::Target, ..ListQuery::default() }).await;
        page(&store, "longest", ListQuery { order: ScanOrder::Longest, ..ListQuery::default() }).await;
        page(&store, "most findings", ListQuery { order: ScanOrder::Findings, ..ListQuery::default() }).await;
        page(
            &store,
            "since a moment",
            ListQuery { created_from: Some(jiff::Timestamp::UNIX_EPOCH), ..ListQuery::default() },
        )
        .await;
        let start = Instant::now();
        store.outcomes(jiff::civil::date(1970, 1, 1), &ProjectFilter::All).await.unwrap();
        println!("outcomes: {:?}", start.elapsed());
        let start = Instant::now();
        store.past_runs(None, &ProjectFilter::All, 40).await.unwrap();
        println!("past runs: {:?}", start.elapsed());
        page(&store, "target + count", ListQuery { target: Some("host-7".into()), ..of(&[]) }).await;
        for (name, start) in [("stats", Instant::now())] {
            store.stats(&ProjectFilter::All).await.unwrap();
            println!("{name}: {:?}", start.elapsed());
        }
        let start = Instant::now();
        store.due(Duration::ZERO, 100).await.unwrap();
        println!("due: {:?}", start.elapsed());
        let start = Instant::now();
        let orphans = store.orphans().await.unwrap().len();
        println!("orphans ({orphans} among 300 running): {:?}", start.elapsed());
        let start = Instant::now();
        store.renew(fixtures::registration("a"), Duration::from_secs(36_000)).await.unwrap().unwrap();
        println!("renew (300 running): {:?}", start.elapsed());
        drop(store);
        let start = Instant::now();
        let store = SurrealStore::open(folder.path()).await.unwrap();
        println!("reopen: {:?}, {}", start.elapsed(), resident());
        page(&store, "all + count after reopen", of(&[])).await;
        println!("at the end: {}", resident());
    });
}

/// Compares the embedded store with one on a server in the same run: the duration of each step, and
/// the share of the round trip.
#[test]
#[ignore = "a measurement, not a test"]
fn round_trips() {
    run(async {
        let folder = TempDir::new().unwrap();
        let embedded = SurrealStore::open(folder.path()).await.unwrap();
        let server = SurrealServer::on_disk().await;
        let remote = connect(&server.url("measure", "measure")).await;
        for (name, store) in [("embedded", embedded), ("remote", remote)] {
            store.register(fixtures::registration("a"), Duration::from_secs(36_000)).await.unwrap();
            let [mut nothing, mut ping, mut get, mut submit, mut keyed, mut lease, mut finish, mut renew] =
                [const { Vec::new() }; 8];
            for number in 0..300 {
                let start = Instant::now();
                calls::execute(&store.inner.db, "RETURN NONE;", Nothing {}).await.unwrap();
                nothing.push(start.elapsed());
                let start = Instant::now();
                store.ping().await.unwrap();
                ping.push(start.elapsed());
                let mut scan = fixtures::new_scan("example.com");
                scan.idempotency_key = Some(number.to_string());
                let start = Instant::now();
                store.submit(scan).await.unwrap();
                keyed.push(start.elapsed());
                let start = Instant::now();
                let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
                submit.push(start.elapsed());
                let start = Instant::now();
                store.get(id).await.unwrap();
                get.push(start.elapsed());
                let start = Instant::now();
                let Applied::Committed(record) =
                    store.apply(id, Command::Lease { node: "a".parse().unwrap() }).await.unwrap()
                else {
                    panic!()
                };
                lease.push(start.elapsed());
                let start = Instant::now();
                let end = Command::Finish {
                    token: record.token,
                    resolution: Resolution::Complete(Verdict::default()),
                    plugins: None,
                };
                store.apply(id, end).await.unwrap();
                finish.push(start.elapsed());
                let start = Instant::now();
                store.renew(fixtures::registration("a"), Duration::from_secs(36_000)).await.unwrap().unwrap();
                renew.push(start.elapsed());
            }
            println!(
                "{name}: nothing {:?}, ping {:?}, get (1 call) {:?}, submit (1) {:?}, submit with a key (2) {:?}, lease (2) {:?}, finish (2) {:?}, renew (1) {:?}",
                median(nothing),
                median(ping),
                median(get),
                median(submit),
                median(keyed),
                median(lease),
                median(finish),
                median(renew)
            );
            let start = Instant::now();
            let reads: Vec<_> = (0..2000)
                .map(|_| {
                    let store = store.clone();
                    tokio::spawn(async move { store.get(ScanId(1)).await.unwrap() })
                })
                .collect();
            for read in reads {
                read.await.unwrap();
            }
            println!("{name}: 2000 reads at once: {:?}", start.elapsed());
        }
    });
}

/// Inserts copies of a finished row, spread over 500 targets.
async fn fill(store: &SurrealStore, first: u64, last: u64) {
    let aims = "FOR $n IN 0..500 { CREATE type::record('aim', ['host-' + <string>$n + '.example.com']) SET first = 331 + $n RETURN NONE; };";
    calls::execute(&store.inner.db, aims, Nothing {}).await.unwrap();
    for start in (first..=last).step_by(200) {
        let end = (start + 199).min(last);
        let sql = format!(
            "BEGIN; LET $row = SELECT * OMIT id, body, number, target FROM ONLY scan:1; LET $body = (SELECT VALUE body FROM ONLY scan:1);
            FOR $number IN {start}..={end} {{
                CREATE type::record('scan', $number) CONTENT $row + {{
                    number: $number, target: 'host-' + <string>($number % 500) + '.example.com',
                    body: string::replace($body, '\"id\":1,', '\"id\":' + <string>$number + ','),
                }} RETURN NONE;
                CREATE type::record('ended', $number) SET number = $number, target = 'host-' + <string>($number % 500) + '.example.com', mode = 'passive', run = true, took = $number % 9000,
                    findings = $number % 90, severity = $number % 7 RETURN NONE;
            }};
            UPSERT counter:scan SET value = {end} RETURN NONE; COMMIT;"
        );
        calls::execute(&store.inner.db, sql, Nothing {}).await.unwrap();
    }
}
