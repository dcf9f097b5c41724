//! Tests that the program reports missing settings and a data folder in use at the start.

use super::harness::{Cluster, start};
use crate::product::app::TestApp;

#[tokio::test]
async fn worker_and_web_node_report_missing_settings() {
    let database = ("KASTREL_DATABASE_URL", "ws://root:hunter2@127.0.0.1:9/kastrel/kastrel");
    for (arguments, command) in
        [(&["worker"][..], "kastrel worker"), (&["serve", "--no-worker"], "kastrel serve --no-worker")]
    {
        for (variables, key, variable) in
            [(&[][..], "database.url", "KASTREL_DATABASE_URL"), (&[database], "redis.url", "REDIS_URL")]
        {
            let ended = TestApp::prepare(variables).run(arguments).await;
            assert_eq!(ended.code, Some(2), "{}", ended.stderr);
            for part in [command, key, variable] {
                assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
            }
        }
    }
    let wrong = TestApp::prepare(&[
        ("KASTREL_DATABASE_URL", "postgres://root:hunter2@127.0.0.1/x/y"),
        ("REDIS_URL", "redis://127.0.0.1:9/0"),
    ])
    .run(&["worker"])
    .await;
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("database.url (from environment variable KASTREL_DATABASE_URL) cannot be used")
            && !wrong.stderr.contains("hunter2"),
        "{}",
        wrong.stderr
    );
    let shown = TestApp::prepare(&[("REDIS_URL", "redis://127.0.0.1:9/jobs"), ("KASTREL_REDIS__PREFIX", "a b")])
        .run(&["config", "show"])
        .await;
    assert_eq!(shown.code, Some(2));
    assert!(
        shown.stderr.contains("redis.prefix (from environment variable KASTREL_REDIS__PREFIX)"),
        "{}",
        shown.stderr
    );
    let shown = TestApp::prepare(&[]).run(&["config", "show", "--no-worker"]).await;
    assert_eq!(shown.code, Some(2));
    assert!(shown.stderr.contains("database.url") && shown.stderr.contains("redis.url"), "{}", shown.stderr);
}

#[tokio::test]
async fn a_data_folder_has_one_worker() {
    let mut cluster = Cluster::new().await;
    let (web, worker) = (cluster.web("web"), cluster.worker("worker", 1));
    start([&web, &worker]).await;
    let data = worker.data().display().to_string();
    let second = cluster.run(&["worker", "--listen", "127.0.0.1:0", "--data-dir", &data]).await;
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains("in use by another Kastrel") && second.stderr.contains(&data), "{}", second.stderr);
    let id = web.submit("100ms-1p.test").await;
    web.until_status(id, "completed").await;
}
