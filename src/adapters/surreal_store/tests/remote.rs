//! Tests that need a database server: signing in, many concurrent processes, and server outages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{
    Command, ListQuery, PluginResult, PluginStatus, ProjectFilter, Resolution, ScanId, Submitted, Verdict,
};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{Applied, StoreError};
use kastrel_actors::testing::fixtures;
use rustix::process::Signal;
use surrealdb::types::SurrealValue;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::super::calls::{self, Nothing};
use super::super::migrate::STEPS;
use super::super::{OpenError, SurrealStore};
use super::surreal_server::{PASSWORD, PASSWORD_IN_URL, SurrealServer, USER};
use super::{connect, run};
use crate::config::RemoteDatabase;

const TTL: Duration = Duration::from_secs(300);

#[derive(SurrealValue)]
struct Versions {
    versions: Vec<i64>,
}

async fn refusal(url: &str) -> String {
    let address: RemoteDatabase = url.parse().unwrap();
    let error = SurrealStore::connect(&address).await.unwrap_err();
    let text = format!("{} {error:?}", crate::error_chain::chain(&error));
    for secret in [PASSWORD, PASSWORD_IN_URL] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

#[test]
fn server_errors_are_reported_immediately() {
    run(async {
        let server = SurrealServer::in_memory().await;
        let started = Instant::now();
        let wrong = refusal(&format!("ws://{USER}:wrong@{}", server.address())).await;
        assert!(wrong.contains("the server refused the user `root` as a root user"), "{wrong}");
        let nobody = refusal(&format!("ws://nobody:{PASSWORD_IN_URL}@{}", server.address())).await;
        assert!(nobody.contains("the user `nobody`"), "{nobody}");
        let level = refusal(&format!("{}?auth=database", server.url("a", "b"))).await;
        assert!(level.contains("as a database user"), "{level}");
        let tls = refusal(&server.url("a", "b").replace("ws://", "wss://")).await;
        assert!(tls.contains("TLS was refused"), "{tls}");
        // A web server of another kind.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = listener.local_addr().unwrap();
        let web = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            stream
        });
        let stranger = refusal(&format!("ws://{USER}:{PASSWORD_IN_URL}@{other}")).await;
        assert!(stranger.contains("is not a SurrealDB of version 3"), "{stranger}");
        web.await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(10), "none of this is worth waiting for");
    });
}

/// Time is paused, so that half a minute of attempts takes none.
#[tokio::test(start_paused = true)]
async fn an_unreachable_server_is_given_up_after_half_a_minute() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let started = Instant::now();
    let text = refusal(&format!("ws://{USER}:{PASSWORD_IN_URL}@{nobody}")).await;
    assert!(text.contains("the server cannot be reached"), "{text}");
    assert!((25..=35).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[test]
fn users_of_a_namespace_and_of_a_database_sign_in() {
    run(async {
        let server = SurrealServer::in_memory().await;
        let root = connect(&server.url("team", "scans")).await;
        let users =
            "DEFINE USER n ON NAMESPACE PASSWORD 'n' ROLES OWNER; DEFINE USER d ON DATABASE PASSWORD 'd' ROLES OWNER;";
        calls::execute(&root.inner.db, users, Nothing {}).await.unwrap();
        let id = root.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        for url in [
            format!("ws://d:d@{}/team/scans?auth=database", server.address()),
            format!("ws://n:n@{}/team/scans?auth=namespace", server.address()),
        ] {
            assert_eq!(connect(&url).await.get(id).await.unwrap().unwrap().id, id, "{url}");
        }
        // A namespace user creates databases.
        let other = connect(&format!("ws://n:n@{}/team/other?auth=namespace", server.address())).await;
        assert_eq!(other.get(id).await.unwrap(), None);
    });
}

#[test]
fn tls_works_with_a_private_authority() {
    run(async {
        let folder = TempDir::new().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let server = SurrealServer::with_tls(&certificate, &key).await;
        let url = server.url("a", "b");
        let store = connect(&format!("{url}?ca={}", certificate.display())).await;
        store.submit(fixtures::new_scan("example.com")).await.unwrap();
        let untrusted = refusal(&url).await;
        assert!(untrusted.contains("TLS was refused"), "{untrusted}");
        let missing = refusal(&format!("{url}?ca={}", folder.path().join("none.pem").display())).await;
        assert!(missing.contains("none.pem"), "{missing}");
        let empty = refusal(&format!("{url}?ca={}", key.display())).await;
        assert!(empty.contains("holds no certificate"), "{empty}");
    });
}

/// Simulates eight web nodes that start at once and receive submissions at once: eight connections,
/// eight queues, one counter.
#[test]
fn eight_processes_migrate_and_submit_at_once() {
    run(async {
        let server = SurrealServer::on_disk().await;
        let url = server.url("many", "processes");
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { connect(&url).await })
            })
            .collect();
        let mut stores = Vec::new();
        for start in starts {
            stores.push(start.await.unwrap());
        }
        let started = Instant::now();
        let submissions: Vec<_> = (0..400)
            .map(|number| {
                let store = stores[number % 8].clone();
                tokio::spawn(async move {
                    store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id.0
                })
            })
            .collect();
        let mut ids = BTreeSet::new();
        for submission in submissions {
            ids.insert(submission.await.unwrap());
        }
        println!("400 submissions of 8 processes: {:?}", started.elapsed());
        assert_eq!(ids, (1..=400).collect());
        // One after the other in each process, so that batches do not hide the conflicts.
        let started = Instant::now();
        let processes: Vec<_> = stores
            .iter()
            .cloned()
            .map(|store| {
                tokio::spawn(async move {
                    let mut ids = Vec::new();
                    for _ in 0..50 {
                        ids.push(store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id.0);
                    }
                    ids
                })
            })
            .collect();
        let mut ids = BTreeSet::new();
        for process in processes {
            ids.extend(process.await.unwrap());
        }
        println!("400 submissions of 8 processes, one after the other in each: {:?}", started.elapsed());
        assert_eq!(ids, (401..=800).collect());
        let sql = "RETURN { versions: (SELECT VALUE version FROM migration ORDER BY version) };";
        let applied: Versions = calls::call(&stores[0].inner.db, sql, Nothing {}).await.unwrap();
        assert_eq!(applied.versions, STEPS.iter().map(|step| step.version).collect::<Vec<_>>());
    });
}

/// Renewals, leases, progress and ends of fifty concurrent nodes conflict in many places. No caller
/// gets an error.
#[test]
fn collisions_of_fifty_nodes_are_not_surfaced() {
    run(async {
        let server = SurrealServer::on_disk().await;
        let url = server.url("fifty", "nodes");
        let store = connect(&url).await;
        let other = connect(&url).await;
        for _ in 0..100 {
            store.submit(fixtures::new_scan("example.com")).await.unwrap();
        }
        let started = Instant::now();
        let nodes: Vec<_> = (0..50_u64)
            .map(|number| {
                let store = if number.is_multiple_of(2) { store.clone() } else { other.clone() };
                tokio::spawn(async move {
                    let name = format!("node-{number}");
                    let registration = fixtures::registration(&name);
                    store.register(registration.clone(), TTL).await.unwrap();
                    let renewals = {
                        let store = store.clone();
                        tokio::spawn(async move {
                            for _ in 0..10 {
                                store.renew(registration.clone(), TTL).await.unwrap().unwrap();
                            }
                        })
                    };
                    for id in [number * 2 + 1, number * 2 + 2].map(ScanId) {
                        let lease = store.apply(id, Command::Lease { node: name.parse().unwrap() }).await.unwrap();
                        let Applied::Committed(running) = lease else { panic!("{lease:?}") };
                        let plugins = vec![PluginResult::new("whatweb", PluginStatus::InProgress)];
                        let progress = store
                            .apply(id, Command::Progress { token: running.token, scanner: None, plugins })
                            .await
                            .unwrap();
                        assert!(matches!(progress, Applied::Committed(_)), "{progress:?}");
                        // Reconcilers take turns, so few of them look for orphans at a time.
                        if number.is_multiple_of(10) {
                            store.orphans().await.unwrap();
                        }
                        let end = Command::Finish {
                            token: running.token,
                            resolution: Resolution::Complete(Verdict::default()),
                            plugins: None,
                        };
                        let ended = store.apply(id, end).await.unwrap();
                        assert!(matches!(ended, Applied::Committed(_)), "{ended:?}");
                    }
                    renewals.await.unwrap();
                })
            })
            .collect();
        for node in nodes {
            node.await.unwrap();
        }
        println!("50 nodes with 10 renewals and 2 scans each: {:?}", started.elapsed());
        assert_eq!(store.stats(&ProjectFilter::All).await.unwrap().completed, 100);
        assert_eq!(store.all().await.unwrap().len(), 50);
    });
}

#[test]
fn a_restarted_server_is_used_again_at_once() {
    run(async {
        let mut server = SurrealServer::on_disk().await;
        let store = connect(&server.url("a", "b")).await;
        store.register(fixtures::registration("a"), TTL).await.unwrap();
        let id = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        for _ in 0..3 {
            server.kill();
            let reading = tokio::spawn({
                let store = store.clone();
                async move { store.get(id).await }
            });
            server.restart().await;
            let back = Instant::now();
            // A call that was made during the outage returns its result, and new reads and writes
            // work.
            assert_eq!(reading.await.unwrap().unwrap().unwrap().id, id);
            store.submit(fixtures::new_scan("example.com")).await.unwrap();
            assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        }
        assert_eq!(store.stats(&ProjectFilter::All).await.unwrap().pending, 4);
    });
}

#[test]
fn a_long_outage_fails_calls_soon_and_then_at_once() {
    run(async {
        let mut server = SurrealServer::on_disk().await;
        let store = connect(&server.url("a", "b")).await;
        server.kill();
        let started = Instant::now();
        let error = store.stats(&ProjectFilter::All).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(started.elapsed() < calls::CALL_TIMEOUT, "{:?}", started.elapsed());
        let started = Instant::now();
        for _ in 0..100 {
            assert!(matches!(store.submit(fixtures::new_scan("example.com")).await, Err(StoreError::Unavailable(_))));
            assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        server.restart().await;
        let back = Instant::now();
        while store.ping().await.is_err() {
            assert!(back.elapsed() < Duration::from_secs(7), "longer than the longest pause");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A call that failed during the outage was not stored and executed later.
        assert_eq!(store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id, ScanId(1));
    });
}

/// The server is stopped, not dead: the connection stays open and no request is answered.
#[test]
fn a_frozen_server_is_noticed() {
    run(async {
        let server = SurrealServer::in_memory().await;
        let store = connect(&server.url("a", "b")).await;
        server.signal(Signal::STOP);
        let started = Instant::now();
        let error = store.submit(fixtures::new_scan("example.com")).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
        server.signal(Signal::CONT);
        let back = Instant::now();
        let created = loop {
            match store.submit(fixtures::new_scan("example.com")).await {
                Ok(submitted) => break submitted.into_record().id,
                Err(error) => assert!(back.elapsed() < Duration::from_secs(20), "{error:?}"),
            }
        };
        // The first submission reached the frozen server, and may or may not have been committed;
        // no other was.
        let ids: Vec<u64> =
            store.list(ListQuery::default()).await.unwrap().scans.iter().map(|scan| scan.id.0).collect();
        assert_eq!(ids, (1..=created.0).rev().collect::<Vec<_>>());
        assert!(created.0 <= 2, "{created}");
    });
}

/// Each submission is stored once or was reported as an error, and one that is repeated with its
/// key is stored once.
#[test]
fn a_server_that_is_killed_among_submissions_makes_none_twice() {
    run(async {
        let mut server = SurrealServer::on_disk().await;
        let store = connect(&server.url("a", "b")).await;
        let other = connect(&server.url("a", "b")).await;
        let mut accepted = BTreeMap::new();
        let mut failed = 0;
        for round in 0..6 {
            let submissions: Vec<_> = (0..60)
                .map(|number| {
                    let store = if number % 2 == 0 { store.clone() } else { other.clone() };
                    tokio::spawn(async move {
                        let mut scan = fixtures::new_scan(&format!("round-{round}-{number}.example.com"));
                        if number % 3 == 0 {
                            scan.idempotency_key = Some(format!("{round} {number}"));
                        }
                        (scan.clone(), store.submit(scan).await)
                    })
                })
                .collect();
            // The first response shows that the other submissions were sent.
            let mut submissions = submissions.into_iter();
            let first = submissions.next().unwrap().await.unwrap();
            server.kill();
            server.restart().await;
            let mut answers = vec![first];
            for submission in submissions {
                answers.push(submission.await.unwrap());
            }
            for (scan, answer) in answers {
                let record = match answer {
                    Ok(submitted) => submitted.into_record(),
                    Err(error) => {
                        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
                        failed += 1;
                        if scan.idempotency_key.is_none() {
                            continue;
                        }
                        store.submit(scan.clone()).await.unwrap().into_record()
                    }
                };
                assert_eq!(record.request, scan.request);
                assert!(
                    accepted.insert(record.id, record.request.target.to_string()).is_none(),
                    "{} was given out twice",
                    record.id
                );
            }
        }
        println!("{} accepted, {failed} reported as errors", accepted.len());
        let there = store.list(ListQuery { limit: 1000, ..ListQuery::default() }).await.unwrap().scans;
        let targets: BTreeSet<String> = there.iter().map(|scan| scan.request.target.to_string()).collect();
        assert_eq!(targets.len(), there.len(), "a submission was made twice");
        for (id, target) in &accepted {
            assert!(
                there.iter().any(|scan| scan.id == *id && scan.request.target.to_string() == *target),
                "{id} was accepted and is lost"
            );
        }
        assert!(there.len() - accepted.len() <= failed, "what nobody was told of");
    });
}

/// The same for changes: a node that got a committed lease holds it, and a node that was refused
/// does not.
#[test]
fn a_server_that_is_killed_among_leases_reports_them_correctly() {
    run(async {
        let mut server = SurrealServer::on_disk().await;
        let store = connect(&server.url("a", "b")).await;
        for name in ["a", "b"] {
            store.register(fixtures::registration(name), TTL).await.unwrap();
        }
        for _ in 0..40 {
            store.submit(fixtures::new_scan("example.com")).await.unwrap();
        }
        let leases: Vec<_> = (0..80)
            .map(|number: u64| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (id, name) = (ScanId(number / 2 + 1), if number.is_multiple_of(2) { "a" } else { "b" });
                    (id, name, store.apply(id, Command::Lease { node: name.parse().unwrap() }).await)
                })
            })
            .collect();
        let mut leases = leases.into_iter();
        let mut answers = vec![leases.next().unwrap().await.unwrap()];
        server.kill();
        server.restart().await;
        for lease in leases {
            answers.push(lease.await.unwrap());
        }
        let mut holders = BTreeMap::new();
        for (id, name, answer) in answers {
            match answer {
                Ok(Applied::Committed(record)) => {
                    assert_eq!(record.attempts[0].node.as_str(), name);
                    assert!(holders.insert(id, name).is_none(), "{id} was leased twice");
                }
                Ok(Applied::Refused(..)) | Err(StoreError::Unavailable(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        for id in (1..=40).map(ScanId) {
            let record = store.get(id).await.unwrap().unwrap();
            let holder = record.attempts.first().map(|attempt| attempt.node.to_string());
            assert_eq!(holder.as_deref(), holders.get(&id).copied(), "{id}");
        }
    });
}

/// A database that is emptied while the store uses it, for example because a server without
/// persistence restarts. Continuing to use it would hide the loss.
#[test]
fn an_emptied_database_is_not_used_until_a_restart() {
    run(async {
        let mut server = SurrealServer::in_memory().await;
        let store = connect(&server.url("a", "b")).await;
        store.submit(fixtures::new_scan("example.com")).await.unwrap();
        server.kill();
        server.restart().await;
        let error = store.submit(fixtures::new_scan("example.com")).await.unwrap_err();
        assert!(text(&error).contains("the database has been emptied"), "{error:?}");
        // A restarted program uses the database as it is; the one that used the old database does
        // not.
        let other = connect(&server.url("a", "b")).await;
        assert_eq!(other.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id, ScanId(1));
        assert!(matches!(store.get(ScanId(1)).await.unwrap_err(), StoreError::Unavailable(_)));
        calls::execute(&other.inner.db, "REMOVE DATABASE b;", Nothing {}).await.unwrap();
        let error = other.get(ScanId(1)).await.unwrap_err();
        assert!(text(&error).contains("the database has been emptied"), "{error:?}");
    });
}

fn text(error: &StoreError) -> String {
    crate::error_chain::chain(error)
}

#[test]
fn a_server_on_an_engine_that_loses_rows_is_refused_unless_it_is_allowed() {
    run(async {
        let server = SurrealServer::on_surrealkv().await;
        let address: RemoteDatabase = server.url("a", "b").parse().unwrap();
        for _ in 0..3 {
            let error = SurrealStore::connect(&address).await.unwrap_err();
            assert!(matches!(error, OpenError::UnsafeEngine), "{error:?}");
        }
        let store = SurrealStore::connect_with(&address, true).await.unwrap();
        store.submit(fixtures::new_scan("example.com")).await.unwrap();
        // The safe engine is recognized, and the detection leaves no row behind.
        let server = SurrealServer::on_disk().await;
        let store = connect(&server.url("a", "b")).await;
        let rows: Versions =
            calls::call(&store.inner.db, "RETURN { versions: (SELECT VALUE batch FROM submitter) };", Nothing {})
                .await
                .unwrap();
        assert!(rows.versions.is_empty(), "{:?}", rows.versions);
    });
}

#[test]
fn a_newer_schema_is_refused() {
    run(async {
        let server = SurrealServer::in_memory().await;
        let store = connect(&server.url("a", "b")).await;
        calls::execute(
            &store.inner.db,
            "CREATE migration:9000 SET version = 9000, checksum = '', applied_at = time::now();",
            Nothing {},
        )
        .await
        .unwrap();
        let address: RemoteDatabase = server.url("a", "b").parse().unwrap();
        let error = SurrealStore::connect(&address).await.unwrap_err();
        assert!(matches!(error, OpenError::TooNew { found: 9000, .. }), "{error:?}");
    });
}

#[test]
fn a_backup_goes_from_a_server_to_a_folder_and_back() {
    run(async {
        let server = SurrealServer::in_memory().await;
        let store = connect(&server.url("from", "here")).await;
        for number in 0..300 {
            let mut scan = fixtures::new_scan(&format!("host-{number}.example.com"));
            scan.idempotency_key = Some(number.to_string());
            store.submit(scan).await.unwrap();
        }
        let now = jiff::Timestamp::UNIX_EPOCH;
        let mut file = Vec::new();
        crate::backup::write(&store, &mut file, now).await.unwrap();
        let local = SurrealStore::in_memory().await.unwrap();
        crate::backup::read(&local, file.as_slice()).await.unwrap();
        let mut again = Vec::new();
        crate::backup::write(&local, &mut again, now).await.unwrap();
        assert!(again == file, "the backup of the embedded copy differs");
        let address: RemoteDatabase = server.url("to", "there").parse().unwrap();
        let target = SurrealStore::connect_to_restore(&address, false).await.unwrap();
        assert_eq!(crate::backup::read(&target, again.as_slice()).await.unwrap().scans, 300);
        let target = Arc::new(connect(&server.url("to", "there")).await);
        let mut known = fixtures::new_scan("other.example");
        known.idempotency_key = Some("7".into());
        assert!(matches!(target.submit(known).await.unwrap(), Submitted::Existing(record) if record.id == ScanId(8)));
    });
}
