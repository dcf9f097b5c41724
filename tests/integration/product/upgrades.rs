//! Tests of the upgrade of an earlier version's database by a server that is killed again and
//! again: every scan, plugin result and count is there exactly once afterwards.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use kastrel::adapters::surreal_store::SurrealStore;
use kastrel_actors::model::{
    AuditQuery, Command, DayOutcomes, FencingToken, ListQuery, PluginResult, PluginStatus, ProjectFilter, Resolution,
    ScanId, ScanRecord, ScanState, Verdict,
};
use kastrel_actors::policy::transition::{Transition, transition};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::testing::fixtures;
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::app::TestApp;
use crate::kast_runner::stage::PATIENCE;
use crate::surreal_server::{PASSWORD, SurrealServer, USER};

/// The number of scans: several chunks of the upgrade.
const SCANS: u64 = 400;
/// The number of plugins of an ended scan.
const PLUGINS: u64 = 12;
/// How often the server is killed at most.
const KILLS: usize = 8;
/// The last migration of version 0.1.0.
const EARLIER: usize = 10;

/// A table that the program itself defines before its migrations.
const MIGRATIONS: &str = "
    DEFINE TABLE IF NOT EXISTS migration SCHEMAFULL;
    DEFINE FIELD IF NOT EXISTS version    ON migration TYPE int;
    DEFINE FIELD IF NOT EXISTS checksum   ON migration TYPE string;
    DEFINE FIELD IF NOT EXISTS applied_at ON migration TYPE datetime;";

/// Runs statements in the database `kastrel`, and returns their results.
async fn sql(server: &SurrealServer, text: String) -> Vec<Value> {
    let answer = reqwest::Client::new()
        .post(format!("http://{}/sql", server.address()))
        .basic_auth(USER, Some(PASSWORD))
        .header("accept", "application/json")
        .header("surreal-ns", "kastrel")
        .header("surreal-db", "kastrel")
        .body(text)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let results: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{status} {results}");
    let results = results.as_array().unwrap().clone();
    assert!(results.iter().all(|result| result["status"] == "OK"), "{results:?}");
    results.into_iter().map(|mut result| result["result"].take()).collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn after(record: &ScanRecord, command: &Command, now: Timestamp) -> ScanRecord {
    match transition(record, command, now) {
        Transition::Changed(next) => *next,
        Transition::Refused(refusal) => panic!("{command:?}: {refusal}"),
    }
}

/// Every fourth scan waits; the others have completed, on three days.
fn records() -> Vec<ScanRecord> {
    (1..=SCANS)
        .map(|id| {
            let mut scan = fixtures::record(id, at(0));
            // Rows of that version have no owner.
            scan.owner = None;
            if id % 4 == 0 {
                return scan;
            }
            let plugins: Vec<PluginResult> = (0..PLUGINS)
                .map(|one| PluginResult {
                    findings_count: id + one,
                    message: Some("m".repeat(500)),
                    ..PluginResult::new(format!("plugin-{one}"), PluginStatus::Completed)
                })
                .collect();
            let day = i64::try_from(id % 3).unwrap() * 86_400;
            let leased = after(&scan, &Command::Lease { node: "a".parse().unwrap() }, at(day));
            let finish = Command::Finish {
                token: FencingToken(1),
                resolution: Resolution::Complete(Verdict { plugins: plugins.clone(), dry_run: false }),
                plugins: Some(plugins),
            };
            after(&leased, &finish, at(day + 10))
        })
        .collect()
}

/// The statement that creates the row of a scan as version 0.1.0 wrote it: one document, with the
/// plugins of a completed scan in its verdict as well.
fn earlier_row(record: &ScanRecord) -> String {
    let mut document = serde_json::to_value(record).unwrap();
    let verdict = json!({ "plugins": record.plugins, "dry_run": false });
    if let (ScanState::Completed { .. }, Some(state)) = (&record.state, document["state"].as_object_mut()) {
        state.remove("summary");
        state.insert("verdict".into(), verdict);
    }
    let (rank, due) = match record.state {
        ScanState::Pending { .. } => ("1", "0"),
        _ => ("NONE", "NONE"),
    };
    format!(
        "CREATE scan:{id} SET number = {id}, status = '{status}', target = '{target}', mode = 'passive', created_at = 0, \
         version = {version}, token = {token}, failures = 0, trace = '{trace}', rank = {rank}, due = {due}, cancel = false, \
         document = {document} RETURN NONE;",
        id = record.id,
        status = record.status(),
        target = record.request.target,
        version = record.version,
        token = record.token,
        trace = record.trace,
        document = Value::from(document.to_string()),
    )
}

/// Writes the database of version 0.1.0. Its queue is paused, so that no scan starts.
async fn write_earlier(server: &SurrealServer, records: &[ScanRecord]) {
    let define = "DEFINE NAMESPACE IF NOT EXISTS kastrel; USE NS kastrel; DEFINE DATABASE IF NOT EXISTS kastrel;";
    sql(server, define.into()).await;
    sql(server, MIGRATIONS.into()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters/surreal_store/migrations");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for (file, version) in files.iter().zip(1..=EARLIER) {
        let text = std::fs::read_to_string(file).unwrap();
        let checksum = format!("{:x}", Sha256::digest(&text));
        let step = format!(
            "BEGIN; CREATE migration:{version} SET version = {version}, checksum = '{checksum}', applied_at = time::now() RETURN NONE;
            {text}
            COMMIT;"
        );
        sql(server, step).await;
    }
    for chunk in records.chunks(20) {
        sql(server, chunk.iter().map(earlier_row).collect()).await;
    }
    let others =
        format!("CREATE counter:scan SET value = {SCANS}; CREATE pause:queue SET since = 5, reason = 'upgrade';");
    sql(server, others).await;
}

/// The database under a server of Kastrel.
enum Place {
    Embedded,
    Server(SurrealServer),
}

impl Place {
    /// How far the upgrade is: bytes that the process has written, or scans.
    async fn progress(&self, process: u32) -> u64 {
        match self {
            Self::Embedded => written(process),
            Self::Server(server) => {
                let walked = "RETURN (SELECT VALUE upto FROM ONLY backfill:walked) ?? 0;";
                sql(server, walked.into()).await[0].as_u64().unwrap()
            }
        }
    }

    /// The largest distance from one kill to the next.
    const fn most(&self) -> u64 {
        match self {
            Self::Embedded => 1_200_000,
            Self::Server(_) => 100,
        }
    }

    async fn store(&self, app: &TestApp) -> SurrealStore {
        match self {
            Self::Embedded => SurrealStore::open(&app.data()).await.unwrap(),
            Self::Server(server) => {
                SurrealStore::connect(&server.url("kastrel", "kastrel").parse().unwrap()).await.unwrap()
            }
        }
    }
}

/// The bytes that a process has written to files; 0 after its end.
fn written(process: u32) -> u64 {
    let counts = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    counts.lines().find_map(|line| line.strip_prefix("wchar: ")).map_or(0, |bytes| bytes.parse().unwrap())
}

/// Starts a server and kills it as soon as the upgrade has progressed by `distance`. Returns false
/// if the server listened before.
async fn kill_after(app: &TestApp, place: &Place, distance: u64) -> bool {
    let mut child = app.command(&["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
    let process = child.id().unwrap();
    let goal = place.progress(process).await + distance;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let listening = async {
        let mut output = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(" listens on ") {
                return;
            }
            output.push_str(&line);
            output.push('\n');
        }
        panic!("the server ended: {output}");
    };
    let reached = async {
        let mut often = tokio::time::interval(Duration::from_millis(2));
        while place.progress(process).await < goal {
            often.tick().await;
        }
    };
    let was_killed = tokio::select! {
        () = listening => false,
        () = reached => true,
        () = tokio::time::sleep(PATIENCE) => panic!("the server neither progressed nor listened"),
    };
    child.kill().await.unwrap();
    was_killed
}

#[expect(clippy::print_stdout, reason = "every failure shows the seed")]
async fn upgrade_under_kills(mut app: TestApp, place: Place, records: &[ScanRecord]) {
    let seed = std::env::var("UPGRADE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("UPGRADE_SEED={seed} repeats the distances");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut kills = 0;
    while kills < KILLS && kill_after(&app, &place, random.random_range(1..=place.most())).await {
        kills += 1;
    }
    assert!(kills > 1, "the server was killed {kills} times during the upgrade");
    app.restart().await;
    app.kill_server().await;
    let store = place.store(&app).await;
    for record in records {
        assert_eq!(store.get(record.id).await.unwrap().as_ref(), Some(record));
    }
    let stats = store.stats(&ProjectFilter::All).await.unwrap();
    assert_eq!((stats.pending, stats.completed, stats.all()), (SCANS / 4, SCANS / 4 * 3, SCANS));
    let completed_on = |day: i64| {
        let is_of_day = |record: &&ScanRecord| record.ended_at() == Some(at(day * 86_400 + 10));
        records.iter().filter(is_of_day).count() as u64
    };
    let days: Vec<DayOutcomes> = (0..3)
        .map(|day| DayOutcomes {
            day: jiff::civil::date(1970, 1, 1 + i8::try_from(day).unwrap()),
            completed: completed_on(day),
            failed: 0,
            cancelled: 0,
        })
        .collect();
    assert_eq!(store.outcomes(jiff::civil::date(1970, 1, 1), &ProjectFilter::All).await.unwrap(), days);
    let query = ListQuery { plugin: Some("plugin-7".into()), limit: 1_000, count: true, ..ListQuery::default() };
    let listed: Vec<ScanId> = store.list(query).await.unwrap().scans.iter().map(|scan| scan.id).collect();
    let expected: Vec<ScanId> =
        records.iter().rev().filter(|record| record.ended_at().is_some()).map(|record| record.id).collect();
    assert_eq!(listed, expected);
    assert!(store.audit(&AuditQuery::newest(10)).await.unwrap().entries.is_empty(), "an upgrade is no command");
    assert!(store.lease_entries("test", 10, PATIENCE).await.unwrap().is_empty(), "and has no event");
    assert_eq!(store.paused().await.unwrap().and_then(|pause| pause.reason).as_deref(), Some("upgrade"));
    store.close().await;
}

#[tokio::test]
async fn embedded_database_is_upgraded_by_a_server_that_is_killed_again_and_again() {
    // A backup before the migration would be most of what the process writes.
    let (app, records) = (TestApp::prepare(&[("KASTREL_BACKUP__ENABLED", "false")]), records());
    let mut server = SurrealServer::on_disk().await;
    write_earlier(&server, &records).await;
    server.kill();
    let database = app.data().join("database");
    std::fs::create_dir_all(&database).unwrap();
    for file in std::fs::read_dir(server.folder()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), database.join(file.file_name())).unwrap();
    }
    upgrade_under_kills(app, Place::Embedded, &records).await;
}

#[tokio::test]
async fn database_on_a_server_is_upgraded_by_a_process_that_is_killed_again_and_again() {
    let server = SurrealServer::on_disk().await;
    let app = TestApp::prepare(&[("KASTREL_DATABASE_URL", &server.url("kastrel", "kastrel"))]);
    let records = records();
    write_earlier(&server, &records).await;
    upgrade_under_kills(app, Place::Server(server), &records).await;
}
