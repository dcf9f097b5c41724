//! Tests of nodes on separate machines that share only Redis, the database and a bucket.

use super::harness::{Cluster, poll, start};
use crate::product::artifacts::{in_bucket, is_served};
use crate::s3_server::S3Server;

#[tokio::test]
async fn web_node_shows_the_files_of_a_worker_on_another_machine() {
    let (mut cluster, s3) = tokio::join!(Cluster::new(), S3Server::start("scans"));
    let endpoint = s3.endpoint();
    // Each node has its own results folder, as on a separate machine.
    let on_machine = |folder| [in_bucket(&endpoint), vec![("KAST_RESULTS_DIR", folder)]].concat();
    let web =
        cluster.member("web", &["serve", "--no-worker", "--listen", "127.0.0.1:0"], &on_machine("results-of-web"));
    let worker = cluster.worker_with("worker", 2, &on_machine("results-of-worker"));
    start([&web, &worker]).await;
    let running = web.submit("hang-1p.test").await;
    web.until_busy(running).await;
    let page = poll("the log of the running scan arrives", async || {
        let page = web.text(&format!("/scans/{running}")).await;
        page.contains("hanging").then_some(page)
    });
    let page = page.await;
    assert!(page.contains("so far"), "{page}");
    web.cancel(running).await;
    web.until_status(running, "cancelled").await;
    let id = web.submit("ok-2p.test").await;
    web.until_status(id, "completed").await;
    is_served(&web, id).await;
    let files = |folder: &str| {
        std::fs::read_dir(cluster.path("web").parent().unwrap().join(folder)).map(Iterator::count).unwrap_or_default()
    };
    assert_eq!((files("web/results-of-web"), files("worker/results-of-worker")), (0, 2));
}
