//! Runs the conformance suite on each store: the folder, a bucket in memory, and a bucket of a real
//! S3 server. Real uploads fill the buckets.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::{FencingToken, ScanId};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Semaphore;

use super::conformance::{fill, holds, key, walked};
use super::manifest::About;
use super::upload::{Uploaded, upload};
use super::{ArtifactError, ArtifactStore, Bucket, BucketArtifacts, BucketSettings, FolderArtifacts};

#[path = "../../../tests/helpers/pypi.rs"]
mod pypi;
#[path = "../../../tests/helpers/s3_server.rs"]
mod s3_server;
use s3_server::S3Server;

fn about() -> About {
    About {
        scan: ScanId(7),
        attempt: key().attempt,
        token: FencingToken(3),
        node: "node-a".into(),
        started_at: None,
        ended_at: None,
    }
}

fn settings(endpoint: String) -> BucketSettings {
    BucketSettings {
        bucket: "scans".into(),
        prefix: "team/a".into(),
        endpoint: Some(endpoint),
        region: Some("eu-central-1".into()),
        access_key_id: Some("test".into()),
        secret_access_key: Some("test".into()),
        allow_http: true,
        path_style: true,
        timeout: Duration::from_secs(30),
        retries: 1,
    }
}

/// Uploads the files of `fill` from one machine and reads them from another.
async fn from_another_machine(bucket: Bucket) {
    let (worker, web) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(worker.path());
    let results: Arc<Path> = worker.path().into();
    let files = Semaphore::new(4);
    // Hidden files are not part of the results.
    assert_eq!(upload(&bucket, &results, &key(), &about(), &files).await.unwrap(), Uploaded::Stored { left_out: 0 });
    assert_eq!(
        upload(&bucket, &results, &key(), &about(), &files).await.unwrap(),
        Uploaded::Stored { left_out: 0 },
        "done again"
    );
    holds(&BucketArtifacts::new(bucket, FolderArtifacts::new(web.path()))).await;
}

/// Writes more files than a list shows, at the top or in a folder, plus the report.
fn fill_with_many(results: &Path, beneath: &str, most: usize) {
    let folder = results.join(key().scan.as_str()).join("attempt-1");
    std::fs::create_dir_all(folder.join(beneath)).unwrap();
    for number in 0..most {
        std::fs::write(folder.join(beneath).join(format!("resp_{number}.txt")), "x").unwrap();
    }
    for name in ["kast_report.html", "kast_info.json", "kast.log", "katana_processed.json", "zzz.txt", "zap_raw.json"] {
        std::fs::write(folder.join(name), name).unwrap();
    }
}

async fn shows_what_matters_and_walks_all(store: &dyn ArtifactStore, case: &str) {
    let listing = store.list(&key()).await.unwrap();
    assert_eq!(
        (listing.files.len(), listing.total, listing.cut().as_deref()),
        (1000, 1506, Some("1,000 of 1,506 shown")),
        "{case}"
    );
    for name in ["kast_report.html", "kast_info.json", "kast.log", "katana_processed.json"] {
        assert!(listing.has(name) && store.has(&key(), name).await.unwrap(), "{case} {name}");
    }
    assert!(store.has(&key(), "zzz.txt").await.unwrap(), "{case}: also where the list does not show it");
    let all = walked(store).await;
    assert_eq!((all.len(), all.iter().collect::<std::collections::BTreeSet<_>>().len()), (1506, 1506), "{case}");
}

#[tokio::test]
async fn files_beyond_the_list_limit_are_still_found_by_a_walk() {
    for beneath in ["", "katana_responses", "a/b/c"] {
        let root = tempfile::tempdir().unwrap();
        fill_with_many(root.path(), beneath, 1500);
        shows_what_matters_and_walks_all(&FolderArtifacts::new(root.path()), &format!("folder {beneath}")).await;
        let bucket = Bucket::new(Arc::new(InMemory::new()), "s3://scans", "");
        upload(&bucket, &root.path().into(), &key(), &about(), &Semaphore::new(4)).await.unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let store = BucketArtifacts::new(bucket.clone(), FolderArtifacts::new(elsewhere.path()));
        shows_what_matters_and_walks_all(&store, &format!("bucket {beneath}")).await;
        // Without its manifest the attempt is not final. The list and the walk still include the
        // uploaded files.
        bucket.store.delete(&bucket.manifest(&key())).await.unwrap();
        let store = BucketArtifacts::new(bucket, FolderArtifacts::new(elsewhere.path()));
        shows_what_matters_and_walks_all(&store, &format!("unfinished bucket {beneath}")).await;
        assert!(store.list(&key()).await.unwrap().partial);
    }
}

#[tokio::test]
async fn folder_store_passes_the_conformance_suite() {
    let root = tempfile::tempdir().unwrap();
    fill(root.path());
    holds(&FolderArtifacts::new(root.path())).await;
    assert!(root.path().join("secret.txt").exists(), "only the scan's folder is deleted");
}

#[tokio::test]
async fn link_in_place_of_a_folder_is_not_followed() {
    let (root, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fill(elsewhere.path());
    let scan = key().scan;
    std::os::unix::fs::symlink(elsewhere.path().join(scan.as_str()), root.path().join(scan.as_str())).unwrap();
    let store = FolderArtifacts::new(root.path());
    assert!(store.list(&key()).await.is_err() && store.open(&key(), "kast.log", None).await.is_err());
    store.delete(&scan).await.unwrap();
    assert!(
        !root.path().join(scan.as_str()).is_symlink()
            && elsewhere.path().join(scan.as_str()).join("attempt-1/kast.log").exists()
    );
}

#[tokio::test]
async fn bucket_in_memory_passes_the_conformance_suite() {
    from_another_machine(Bucket::new(Arc::new(InMemory::new()), "s3://scans", "team/a")).await;
}

#[tokio::test]
async fn bucket_of_a_real_server_passes_the_conformance_suite() {
    let server = S3Server::start("scans").await;
    let bucket = Bucket::connect(&settings(server.endpoint())).unwrap();
    from_another_machine(bucket).await;
}

#[tokio::test]
async fn real_server_takes_a_manifest_once_and_keeps_media_types() {
    let server = S3Server::start("scans").await;
    let bucket = Bucket::connect(&settings(server.endpoint())).unwrap();
    let worker = tempfile::tempdir().unwrap();
    fill(worker.path());
    let results: Arc<Path> = worker.path().into();
    let files = Semaphore::new(4);
    upload(&bucket, &results, &key(), &about(), &files).await.unwrap();
    let create = object_store::PutOptions::from(object_store::PutMode::Create);
    let again = bucket.store.put_opts(&bucket.manifest(&key()), "{}".into(), create).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })), "{again:?}");
    let report = bucket.store.get(&bucket.files(&key()).join("kast_report.html")).await.unwrap();
    let attribute = |name| report.attributes.get(&name).map(|value| value.as_ref().to_owned());
    assert_eq!(attribute(object_store::Attribute::ContentType).as_deref(), Some("text/html; charset=utf-8"));
    assert_eq!(attribute(object_store::Attribute::ContentDisposition).as_deref(), Some("attachment"));
}

#[tokio::test]
async fn absent_server_is_unavailable_until_it_is_back() {
    let server = S3Server::start("scans").await;
    let port = server.port();
    let store = BucketArtifacts::new(
        Bucket::connect(&settings(server.endpoint())).unwrap(),
        FolderArtifacts::new("nowhere".as_ref()),
    );
    drop(server);
    let down = [
        store.list(&key()).await.err(),
        store.open(&key(), "kast.log", None).await.err(),
        store.log_tail(&key(), 10).await.err(),
    ];
    assert!(down.iter().all(|error| matches!(error, Some(ArtifactError::Unavailable(_)))), "{down:?}");
    let _back = S3Server::start_on(port, "scans").await;
    assert!(matches!(store.list(&key()).await, Err(ArtifactError::NotFound)));
}
