//! Tests of endless, slow, deeply nested and huge pages: each check ends in time, uses little
//! memory, and reports what it left out.

use std::fmt::Write as _;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Server, issues, processed, response, scan, status};

const PAGE_PLUGINS: [&str; 4] = ["http_headers", "cookie_flags", "script_integrity", "technology_hints"];

/// Starts a server that passes each connection to a test, after the head of the first request.
async fn raw<F: Future<Output = io::Result<()>> + Send + 'static>(
    answer: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                // The client closes the connection when it has read enough.
                let _ = answer(stream).await;
            });
        }
    });
    target
}

async fn endless(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\ncontent-type: text/html\r\n\r\n<html>").await?;
    loop {
        stream.write_all(&[b'x'; 65_536]).await?;
    }
}

async fn drop_by_drop(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000000\r\n\r\n").await?;
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    loop {
        pace.tick().await;
        stream.write_all(b"x").await?;
    }
}

async fn endless_headers(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\n").await?;
    let field = format!("x: {}\r\n", "y".repeat(1000));
    loop {
        stream.write_all(field.as_bytes()).await?;
    }
}

/// Redirects after a delay. These tests are about slow sites, so the server has to wait.
async fn slow_redirect(mut stream: TcpStream) -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(800)).await;
    stream.write_all(b"HTTP/1.1 302 X\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
}

async fn just_in_time(mut stream: TcpStream) -> io::Result<()> {
    tokio::time::sleep(Duration::from_millis(900)).await;
    stream.write_all(response(404, "", "").as_bytes()).await
}

async fn compressed(mut stream: TcpStream, body: Arc<Vec<u8>>) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await
}

fn size_of(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn an_endless_page_is_cut() {
    let target = raw(endless).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &PAGE_PLUGINS, folder.path(), &["http.timeout_seconds=5"]).await;
    for plugin in PAGE_PLUGINS {
        assert_eq!(status(&info, plugin), "success", "{plugin}");
    }
    assert!(
        processed(folder.path(), "script_integrity")["details"]
            .as_str()
            .unwrap()
            .contains("only the first 512 KiB of the page were parsed")
    );
    assert!(info.duration_seconds < 5.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn a_page_that_comes_drop_by_drop_ends_with_the_time_limit() {
    let target = raw(drop_by_drop).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &[], folder.path(), &["http.timeout_seconds=1", "http.connect_timeout_seconds=1"]).await;
    for plugin in PAGE_PLUGINS {
        assert_eq!(status(&info, plugin), "fail", "{plugin}");
        assert!(
            processed(folder.path(), plugin)["summary"].as_str().unwrap().contains("no answer within 1 s"),
            "{plugin}"
        );
    }
    assert!(info.duration_seconds < 8.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn endless_headers_are_refused() {
    let target = raw(endless_headers).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &PAGE_PLUGINS, folder.path(), &["http.timeout_seconds=5"]).await;
    assert_eq!(status(&info, "http_headers"), "fail");
    assert!(info.duration_seconds < 6.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn a_chain_of_slow_redirects_costs_every_plugin_together_one_limit() {
    let target = raw(slow_redirect).await;
    let folder = tempdir().unwrap();
    let info =
        scan(&target, &PAGE_PLUGINS, folder.path(), &["http.timeout_seconds=1", "http.plugin_timeout_seconds=5"]).await;
    for plugin in PAGE_PLUGINS {
        assert_eq!(status(&info, plugin), "fail", "{plugin}");
        assert!(
            processed(folder.path(), plugin)["summary"]
                .as_str()
                .unwrap()
                .contains("the landing page did not arrive within 2 s"),
            "{plugin}"
        );
    }
    assert!(info.duration_seconds < 5.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn the_limit_of_the_scan_holds_for_all_plugins_together() {
    // Each response arrives just in time, so that no request fails.
    let target = raw(just_in_time).await;
    let folder = tempdir().unwrap();
    let settings = ["http.timeout_seconds=2", "http.scan_timeout_seconds=5"];
    let info = scan(&target, &["http_headers", "cors_policy", "exposed_files"], folder.path(), &settings).await;
    assert_eq!(status(&info, "http_headers"), "success");
    assert_eq!(status(&info, "exposed_files"), "fail");
    assert!(
        processed(folder.path(), "exposed_files")["summary"].as_str().unwrap().contains("http.scan_timeout_seconds")
    );
    assert!(info.duration_seconds < 7.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn deep_and_tangled_pages_are_read_in_no_time() {
    let mut tangled = String::new();
    for n in 0..40_000 {
        write!(tangled, "<b a={n}><p>x").unwrap();
    }
    for page in [
        "<div>".repeat(100_000),
        "<b><i>".repeat(80_000),
        "<svg><template>".repeat(30_000),
        "<script><!--".repeat(40_000),
        tangled,
    ] {
        let server = Server::start(move |_| response(200, "", &page)).await;
        let folder = tempdir().unwrap();
        let info = scan(&format!("http://{}", server.address), &PAGE_PLUGINS, folder.path(), &[]).await;
        for plugin in PAGE_PLUGINS {
            assert_eq!(status(&info, plugin), "success", "{plugin}");
        }
        assert!(info.duration_seconds < 5.0, "{} s", info.duration_seconds);
    }
}

#[tokio::test]
async fn a_policy_of_ninety_thousand_directives_is_cut() {
    let policy: String = (0..90_000).map(|n| format!("{n:x};")).collect();
    let page = format!("<html><head><meta http-equiv=content-security-policy content=\"{policy}\"></head>");
    let server = Server::start(move |_| response(200, "", &page)).await;
    let folder = tempdir().unwrap();
    let info = scan(&format!("http://{}", server.address), &PAGE_PLUGINS, folder.path(), &[]).await;
    for plugin in PAGE_PLUGINS {
        assert_eq!(status(&info, plugin), "success", "{plugin}");
    }
    for plugin in ["http_headers", "script_integrity"] {
        assert!(
            processed(folder.path(), plugin)["details"].as_str().unwrap().contains("100 directives of each, were read"),
            "{plugin}"
        );
    }
    assert!(info.duration_seconds < 5.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn a_compressed_page_counts_by_what_it_becomes() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..256 {
        encoder.write_all(&[b' '; 1024 * 1024]).unwrap();
    }
    let body = Arc::new(encoder.finish().unwrap());
    let target = raw(move |stream| compressed(stream, Arc::clone(&body))).await;
    let folder = tempdir().unwrap();
    let info = scan(&target, &PAGE_PLUGINS, folder.path(), &[]).await;
    assert_eq!(status(&info, "script_integrity"), "success");
    assert!(processed(folder.path(), "script_integrity")["details"].as_str().unwrap().contains("only the first"));
    assert!(info.duration_seconds < 5.0, "{} s", info.duration_seconds);
}

#[tokio::test]
async fn what_a_site_writes_cannot_fill_the_disk() {
    let server = Server::start(|request| {
        if request.path == "/" {
            let mut headers = format!("location: /{}\r\n", "a".repeat(40_000));
            for n in 0..80 {
                write!(headers, "set-cookie: c{n}={}; SameSite={}\r\n", "v".repeat(1000), "z".repeat(1000)).unwrap();
            }
            response(302, &headers, "")
        } else {
            response(
                200,
                &format!("server: {}\r\n", "s".repeat(50_000)),
                &"<script src=//cdn.test/x></script>".repeat(15_000),
            )
        }
    })
    .await;
    let folder = tempdir().unwrap();
    let info = scan(&format!("http://{}", server.address), &PAGE_PLUGINS, folder.path(), &[]).await;
    assert_eq!(status(&info, "cookie_flags"), "success");
    assert!(!issues(folder.path(), "script_integrity").is_empty());
    assert!(size_of(folder.path()) < 4 * 1024 * 1024, "{} bytes", size_of(folder.path()));
}
