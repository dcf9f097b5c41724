//! The files of an attempt, from wherever they are kept.
//!
//! Their content was chosen by scanned sites. They are served so that a browser runs nothing of it: sandboxed, without script, with the type that we name, and mostly as a download. Their paths
//! are checked by the store; a path that leads elsewhere is answered like one that leads nowhere.

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::{AttemptNumber, ScanRecord};

use super::error::Problem;
use super::path::{FilePath, no_scan};
use super::range::requested;
use super::state::{Web, WebInner};
use super::text::clean;
use crate::adapters::artifacts::{ArtifactError, AttemptKey, Listing, LogTail, OpenArtifact, content_kind};

/// The scanner's report.
pub(crate) const REPORT: &str = "kast_report.html";
/// The same, for printing.
pub(crate) const PDF_REPORT: &str = "kast_report.pdf";

/// What a file may do in a browser: show itself, with its own style and pictures.
const FILE_POLICY: &str = "sandbox; default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; form-action 'none'; \
                           base-uri 'none'; frame-ancestors 'self'";
const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_LINES: usize = 200;
/// A page does not wait longer for the store of files: it has more to show than that.
const PATIENCE: Duration = Duration::from_secs(3);

/// The files of an attempt, for a page.
pub(crate) async fn list(web: &WebInner, record: &ScanRecord, attempt: AttemptNumber) -> Result<Listing, ArtifactError> {
    let key = AttemptKey::of(record, attempt);
    let listing = tokio::time::timeout(PATIENCE, web.state.artifacts.list(&key)).await.unwrap_or_else(|late| Err(ArtifactError::Unavailable(late.into())));
    if let Err(error @ (ArtifactError::Unavailable(_) | ArtifactError::Broken(_))) = &listing {
        tracing::warn!(scan.id = record.id.0, error = error as &dyn std::error::Error, "the files of a scan cannot be listed");
    }
    listing
}

/// The last lines of an attempt's log, ready to show; none where there is no log, or not now.
pub(crate) async fn log_tail(web: &WebInner, record: &ScanRecord, attempt: AttemptNumber) -> Vec<String> {
    let key = AttemptKey::of(record, attempt);
    match tokio::time::timeout(PATIENCE, web.state.artifacts.log_tail(&key, TAIL_BYTES)).await {
        Ok(Ok(tail)) => last_lines(&tail),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

fn last_lines(tail: &LogTail) -> Vec<String> {
    let text = String::from_utf8_lossy(&tail.bytes);
    // The first line of a cut text is most likely not whole.
    let lines: Vec<&str> = text.lines().skip(usize::from(tail.cut)).collect();
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).map(|line| clean(line)).collect()
}

/// Serves one file of an attempt, or the part of it that a `Range` asks for.
pub(crate) async fn serve(State(web): State<Web>, FilePath { id, attempt, path }: FilePath, headers: HeaderMap) -> Result<Response, Problem> {
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let range = requested(&headers);
    let mut response = match web.state.artifacts.open(&AttemptKey::of(&scan.record, attempt), &path, range).await {
        Ok(file) => content(file, range.is_some(), &path),
        Err(ArtifactError::OutOfRange { size }) => (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{size}"))]).into_response(),
        Err(error) => return Err(error.into()),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn content(file: OpenArtifact, is_part: bool, path: &str) -> Response {
    let OpenArtifact { size, range, bytes, .. } = file;
    let kind = content_kind(path);
    let disposition = format!("{}; filename=\"{}\"", if kind.inline { "inline" } else { "attachment" }, safe_name(path));
    let mut response = Body::from_stream(bytes).into_response();
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        // The end of an HTTP range is its last byte.
        let shown = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        response.headers_mut().extend(HeaderValue::try_from(shown).ok().map(|shown| (header::CONTENT_RANGE, shown)));
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.extend(HeaderValue::try_from(disposition).ok().map(|disposition| (header::CONTENT_DISPOSITION, disposition)));
    response
}

/// A name that can stand in a header.
fn safe_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ') { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::web::testing::{TestApp, header_of, text_of};

    async fn app_with_files() -> (TestApp, String) {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(folder.join("sub")).unwrap();
        std::fs::write(app.results.path().join("secret.txt"), "secret").unwrap();
        std::fs::write(folder.join(REPORT), "<script>alert(1)</script>").unwrap();
        std::fs::write(folder.join("sub/raw.json"), "{}").unwrap();
        std::fs::write(folder.join("odd\".bin"), [0, 1]).unwrap();
        std::fs::write(folder.join(".hidden"), "x").unwrap();
        symlink(app.results.path().join("secret.txt"), folder.join("link.txt")).unwrap();
        symlink("kast_report.html", folder.join("inner.html")).unwrap();
        symlink(app.results.path(), folder.join("out")).unwrap();
        (app, format!("/scans/{}/attempts/1/files", scan.id))
    }

    #[tokio::test]
    async fn a_report_shows_but_runs_nothing() {
        let (app, base) = app_with_files().await;
        let response = app.get(&format!("{base}/{REPORT}")).await;
        assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "text/html; charset=utf-8"));
        let policy = header_of(&response, "content-security-policy");
        assert!(policy.starts_with("sandbox;") && policy.contains("default-src 'none'") && !policy.contains("allow-scripts") && !policy.contains("script-src"));
        assert_eq!((header_of(&response, "x-content-type-options"), header_of(&response, "content-length")), ("nosniff", "25"));
        assert_eq!(text_of(response).await, "<script>alert(1)</script>");
    }

    #[tokio::test]
    async fn data_is_plain_text_and_the_rest_a_download() {
        let (app, base) = app_with_files().await;
        let json = app.get(&format!("{base}/sub/raw.json")).await;
        assert_eq!((header_of(&json, "content-type"), header_of(&json, "content-disposition")), ("text/plain; charset=utf-8", "inline; filename=\"raw.json\""));
        let other = app.get(&format!("{base}/odd%22.bin")).await;
        assert_eq!(
            (header_of(&other, "content-type"), header_of(&other, "content-disposition")),
            ("application/octet-stream", "attachment; filename=\"odd_.bin\"")
        );
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_can_be_reached() {
        let (app, base) = app_with_files().await;
        for path in [
            "../../secret.txt",
            "%2e%2e/%2e%2e/secret.txt",
            "..%2f..%2fsecret.txt",
            "sub/../../../secret.txt",
            "%2fetc%2fpasswd",
            "/etc/passwd",
            "link.txt",
            "inner.html",
            "out/secret.txt",
            ".hidden",
            "sub",
            "sub/",
            "nothing.txt",
            "x%00.txt",
            "sub%5craw.json",
        ] {
            let response = app.get(&format!("{base}/{path}")).await;
            assert_eq!(response.status(), 404, "{path}");
            assert!(!text_of(response).await.contains("secret."), "{path}");
        }
    }

    #[tokio::test]
    async fn a_part_of_a_file_can_be_had() {
        let (app, base) = app_with_files().await;
        let url = format!("{base}/{REPORT}");
        let whole = "<script>alert(1)</script>";
        for (range, status, content_range, body) in [
            ("bytes=0-3", 206, "bytes 0-3/25", &whole[..4]),
            ("bytes=-9", 206, "bytes 16-24/25", &whole[16..]),
            ("bytes=20-", 206, "bytes 20-24/25", &whole[20..]),
            ("bytes=25-", 416, "bytes */25", ""),
            ("bytes=0-1,3-4", 200, "", whole),
            ("lines=1-2", 200, "", whole),
        ] {
            let response = app.send("GET", &url, &[("range", range)], "").await;
            assert_eq!((response.status().as_u16(), header_of(&response, "content-range")), (status, content_range), "{range}");
            assert!(header_of(&response, "content-security-policy").starts_with("sandbox;") && header_of(&response, "x-content-type-options") == "nosniff");
            let length = body.len().to_string();
            assert!(status == 416 || header_of(&response, "content-length") == length, "{range}");
            assert_eq!(text_of(response).await, body, "{range}");
        }
        let unsure = app.send("GET", &url, &[("range", "bytes=0-3"), ("if-range", "\"x\"")], "").await;
        assert_eq!(unsure.status(), 200, "nobody can say whether that is still the same file");
    }

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_said_and_costs_only_the_files() {
        let app = TestApp::with_artifacts(std::sync::Arc::new(crate::web::testing::NoArtifacts));
        let scan = app.running("example.com").await;
        let base = format!("/scans/{}", scan.id);
        for path in ["/attempts/1/files/kast_report.html", "/report"] {
            let response = app.get(&format!("{base}{path}")).await;
            assert_eq!((response.status().as_u16(), header_of(&response, "retry-after")), (503, "5"), "{path}");
            let html = text_of(response).await;
            assert!(html.contains("files does not answer") && !html.contains("10.1.2.3"), "{html}");
        }
        assert_eq!(app.get(&base).await.status(), 200);
        assert!(text_of(app.get(&format!("{base}/files")).await).await.contains("does not answer"));
    }

    #[test]
    fn a_tail_is_bounded_and_printable() {
        let lines: String = (0..40_000).map(|n| format!("line {n} \u{1b}[31mred\n")).collect();
        let tail = last_lines(&LogTail { bytes: lines.into_bytes(), cut: true });
        assert_eq!((tail.len(), tail.last().map(String::as_str)), (TAIL_LINES, Some("line 39999 [31mred")));
        let cut = |cut| last_lines(&LogTail { bytes: b"ne 1\nline 2\n".to_vec(), cut });
        assert_eq!((cut(true), cut(false)), (vec!["line 2".to_owned()], vec!["ne 1".to_owned(), "line 2".to_owned()]));
    }
}
