//! Serves the files of an attempt, from any artifact store.
//!
//! The scanned site chose the content of these files. They are served so that a browser runs
//! nothing in them: sandboxed, without scripts, with a content type that the server chooses, and
//! mostly as a download. The store validates their paths; an invalid path gets the same response as
//! a missing file.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt};
use kastrel_actors::model::{AttemptNumber, ReportFiles, ScanId, ScanRecord};
use kastrel_actors::policy::reports;

use super::base_path;
use super::error::Problem;
use super::hosts::host_of;
use super::path::{FilePath, no_scan};
use super::range::requested;
use super::state::{Web, WebInner};
use super::viewer::Viewer;
use crate::config::BasePath;
use crate::ports::{ArtifactError, AttemptKey, ByteRange, Listing, OpenArtifact, content_kind};
pub(crate) use crate::ports::{HTML_REPORT_NAME as REPORT, LOG_NAME, PDF_REPORT_NAME as PDF_REPORT};
use crate::terminal_text::{line, lines, safe_end};

/// The file with the scanner's command line.
pub(crate) const COMMAND: &str = "command.sh";

const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_LINES: usize = 200;

/// The notice for a list of files that is not complete.
pub(crate) const PARTIAL: &str =
    "Files received so far. The attempt is still running, or its node has not stored the rest yet.";
const UNAVAILABLE: &str = "File store not responding. The scan itself is not affected; try again in a moment.";
const BROKEN: &str = "The files of this attempt cannot be read; see the server's log. The scan itself is not affected.";

/// A part of a text file, as lines that are ready to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) lines: Vec<String>,
    /// The byte offset at which the next part begins.
    pub(crate) next: u64,
    /// Whether earlier lines are left out.
    pub(crate) is_cut: bool,
    /// Whether these lines replace all earlier ones: the log is on another machine, which uploads
    /// only its end from time to time.
    pub(crate) is_window: bool,
    /// The last line so far, if it has no end yet: the next part begins with it.
    pub(crate) growing: Option<String>,
}

/// How long a page waits for the artifact store: it has other content to show.
const PATIENCE: Duration = Duration::from_secs(3);

async fn in_time<T>(call: impl Future<Output = Result<T, ArtifactError>>) -> Result<T, ArtifactError> {
    tokio::time::timeout(PATIENCE, call).await.unwrap_or_else(|late| Err(ArtifactError::Unavailable(late.into())))
}

/// Returns the files of an attempt, for a page.
pub(crate) async fn list(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
) -> Result<Listing, ArtifactError> {
    let key = AttemptKey::of(record, attempt);
    let listing = in_time(web.state.artifacts.list(&key)).await;
    if let Err(error @ (ArtifactError::Unavailable(_) | ArtifactError::Broken(_))) = &listing {
        tracing::warn!(
            scan.id = record.id.0,
            error = error as &dyn std::error::Error,
            "the files of a scan cannot be listed"
        );
    }
    listing
}

/// Returns whether a file of an attempt exists, for a page. It opens the file, because the list of
/// files may be cut.
pub(crate) async fn has(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    path: &str,
) -> Result<bool, ArtifactError> {
    in_time(web.state.artifacts.has(&AttemptKey::of(record, attempt), path)).await
}

/// Returns which reports an attempt has.
pub(crate) async fn reports_of(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
) -> Result<ReportFiles, ArtifactError> {
    let (html, pdf) = tokio::join!(has(web, record, attempt, REPORT), has(web, record, attempt, PDF_REPORT));
    Ok(ReportFiles { html: html?, pdf: pdf? })
}

/// Returns which reports a scan has that has ended. `None` means unknown: the scan has not ended,
/// not all of its files have arrived, or the store does not respond.
pub(crate) async fn reports_at_end(web: &WebInner, record: &ScanRecord) -> Option<ReportFiles> {
    let attempt = record.last_attempt().filter(|_| record.status().is_terminal())?.number;
    let found = reports_of(web, record, attempt).await.ok()?;
    let is_sure = reports::missing_of(record, found).is_none()
        || list(web, record, attempt).await.is_ok_and(|listing| !listing.partial);
    is_sure.then_some(found)
}

/// Returns the notice that a page shows beside a list of files.
pub(crate) const fn notice_of(listing: &Result<Listing, ArtifactError>) -> Option<&'static str> {
    match listing {
        Ok(Listing { partial: true, .. }) => Some(PARTIAL),
        Err(ArtifactError::Unavailable(_)) => Some(UNAVAILABLE),
        Err(ArtifactError::Broken(_)) => Some(BROKEN),
        Ok(_) | Err(ArtifactError::NotFound | ArtifactError::Refused | ArtifactError::OutOfRange { .. }) => None,
    }
}

/// Returns the beginning of a file, at most `most` bytes, and the size of the file.
pub(crate) async fn head(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    path: &str,
    most: u64,
) -> Result<(Vec<u8>, u64), ArtifactError> {
    match part(web, record, attempt, path, ByteRange::From { first: 0, last: Some(most.saturating_sub(1)) }).await {
        Ok(part) => Ok((part.bytes, part.size)),
        Err(ArtifactError::OutOfRange { size }) => Ok((Vec::new(), size)),
        Err(error) => Err(error),
    }
}

/// A bounded part of a file, in memory.
struct Part {
    bytes: Vec<u8>,
    first: u64,
    size: u64,
}

async fn part(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    path: &str,
    range: ByteRange,
) -> Result<Part, ArtifactError> {
    let key = AttemptKey::of(record, attempt);
    in_time(async {
        let mut file = web.state.artifacts.open(&key, path, Some(range)).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = file.bytes.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(Part { bytes, first: file.range.start, size: file.size })
    })
    .await
}

/// Returns the last lines of an attempt's log, ready to show; `None` if there is no log or it is
/// not available.
pub(crate) async fn log_tail(web: &WebInner, record: &ScanRecord, attempt: AttemptNumber) -> Option<Tail> {
    log_end(web, record, attempt, TAIL_BYTES, TAIL_LINES).await
}

/// Returns the end of an attempt's log, at most `most_bytes` bytes and `most_lines` lines.
pub(crate) async fn log_end(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    most_bytes: u64,
    most_lines: usize,
) -> Option<Tail> {
    match part(web, record, attempt, LOG_NAME, ByteRange::Last(most_bytes)).await {
        Ok(part) => {
            let grows = record.attempts.iter().any(|one| one.number == attempt && one.end.is_none());
            // The next part begins with the bytes that are left out here.
            let end =
                if grows { end_of_lines(&part.bytes, part.bytes.len() as u64 >= most_bytes) } else { part.bytes.len() };
            let shown = last_lines(&part.bytes[..end], part.first > 0, most_lines);
            Some(Tail { next: part.first + end as u64, growing: state_of(&part.bytes[end..]), ..shown })
        }
        Err(ArtifactError::OutOfRange { .. }) => Some(Tail::default()),
        Err(ArtifactError::NotFound) => window(web, record, attempt, most_bytes, most_lines).await,
        Err(ArtifactError::Refused | ArtifactError::Unavailable(_) | ArtifactError::Broken(_)) => None,
    }
}

/// Returns the complete lines of an attempt's log after `from`, at most [`TAIL_BYTES`]. If the log
/// is `complete`, the last line is included even without an end.
pub(crate) async fn log_since(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    from: u64,
    complete: bool,
) -> Option<Tail> {
    let range = ByteRange::From { first: from, last: Some(from.saturating_add(TAIL_BYTES - 1)) };
    match part(web, record, attempt, LOG_NAME, range).await {
        Ok(part) => Some(whole_lines(&part, complete)),
        Err(ArtifactError::OutOfRange { size }) => Some(Tail { next: from.min(size), ..Tail::default() }),
        Err(ArtifactError::NotFound) => window(web, record, attempt, TAIL_BYTES, TAIL_LINES).await,
        Err(ArtifactError::Refused | ArtifactError::Unavailable(_) | ArtifactError::Broken(_)) => None,
    }
}

/// Returns the uploaded end of a log that is on another machine.
async fn window(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    most_bytes: u64,
    most_lines: usize,
) -> Option<Tail> {
    let key = AttemptKey::of(record, attempt);
    let tail = in_time(web.state.artifacts.log_tail(&key, most_bytes)).await.ok()?;
    Some(Tail { is_window: true, ..last_lines(&tail.bytes, tail.cut, most_lines) })
}

/// Returns how many of these bytes are complete lines. A line that is longer than the buffer
/// (`is_full`) is cut, so that it does not block the rest: after its last carriage return, or
/// between two characters.
fn end_of_lines(bytes: &[u8], is_full: bool) -> usize {
    let last = |wanted: u8| bytes.iter().rposition(|byte| *byte == wanted);
    match last(b'\n') {
        Some(end) => end + 1,
        None if is_full => match last(b'\r').filter(|end| *end > 0).unwrap_or_else(|| safe_end(bytes)) {
            // There is no safe cut, and waiting gives none.
            0 => bytes.len(),
            end => end,
        },
        None => 0,
    }
}

/// Returns the current state of a line without an end.
fn state_of(bytes: &[u8]) -> Option<String> {
    let state = line(&String::from_utf8_lossy(&bytes[..safe_end(bytes)]));
    (!state.trim().is_empty()).then_some(state)
}

fn last_lines(bytes: &[u8], is_cut: bool, most_lines: usize) -> Tail {
    let text = String::from_utf8_lossy(bytes);
    // The first line of a cut text is probably incomplete. If it was rewritten with a carriage
    // return, its last state is complete.
    let is_whole = |first: &str| first.trim_end().contains('\r');
    let skipped = usize::from(is_cut && !text.split('\n').next().is_some_and(is_whole));
    let count = text.split_terminator('\n').count().saturating_sub(skipped);
    let left_out = count.saturating_sub(most_lines);
    let kept: Vec<&str> = text.split_terminator('\n').skip(skipped + left_out).collect();
    Tail { lines: kept.into_iter().map(line).collect(), is_cut: is_cut || left_out > 0, ..Tail::default() }
}

fn whole_lines(part: &Part, complete: bool) -> Tail {
    let bytes = &part.bytes;
    let is_rest = part.first + bytes.len() as u64 >= part.size;
    let end = if complete && is_rest { bytes.len() } else { end_of_lines(bytes, !is_rest) };
    let growing = if is_rest { state_of(&bytes[end..]) } else { None };
    Tail {
        lines: lines(&String::from_utf8_lossy(&bytes[..end])).collect(),
        next: part.first + end as u64,
        growing,
        ..Tail::default()
    }
}

/// A style sheet that shows the parts that KAST's report hides behind buttons. The buttons need
/// scripts, and a report runs none here.
const OPENED: &str = concat!("\n<style>\n", include_str!("assets/report.css"), "</style>\n");
/// The query that makes the server append that style sheet to a report.
const OPENED_QUERY: &str = "opened=1";

/// Serves a file of an attempt, or the part of it that a `Range` header requests. `?download=1`
/// forces a download, and `?opened=1` shows the hidden parts of an HTML file.
pub(crate) async fn serve(
    State(web): State<Web>,
    viewer: Viewer,
    FilePath { id, attempt, path }: FilePath,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let host = host_of(&uri, &headers).map(|host| web.state.hosts.in_policy(host));
    let policy = file_policy(host.as_deref(), &base_path::current(), id, attempt);
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let is_opened = query.as_deref() == Some(OPENED_QUERY) && path.ends_with(".html");
    let range = if is_opened { None } else { requested(&headers) };
    let is_download = query.as_deref() == Some("download=1");
    let mut response = match web.state.artifacts.open(&AttemptKey::of(&scan.record, attempt), &path, range).await {
        Ok(file) if is_opened => content(opened(file), false, is_download, &path),
        Ok(file) => content(file, range.is_some(), is_download, &path),
        Err(ArtifactError::OutOfRange { size }) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{size}"))]).into_response()
        }
        Err(error) => return Err(error.into()),
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::try_from(policy).map_err(Problem::internal)?);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if is_loaded_by_reports(&path) {
        headers
            .insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    }
    Ok(response)
}

/// Returns whether a report may load a file. The browser regards the report's sandbox as another
/// site, and would not load a resource that is restricted to this site.
fn is_loaded_by_reports(path: &str) -> bool {
    let media_type = content_kind(path).media_type;
    media_type.starts_with("image/") || media_type.starts_with("text/css")
}

/// Returns the content security policy of a file. The browser may show the file with the styles and
/// images beside it, and nothing else of this site. The scanned site chose the URLs in the file,
/// and must not make the viewer's browser send requests.
///
/// A path in a policy needs a host in front: the host of the request, which the guard has admitted.
/// It has no scheme, so the scheme of the file itself applies, even behind a proxy that terminates
/// TLS. If the policy syntax cannot express the host, such as an IPv6 address, the file may only
/// use its embedded content.
fn file_policy(host: Option<&str>, base: &BasePath, id: ScanId, attempt: AttemptNumber) -> String {
    let can_be_named = |host: &&str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'*'))
    };
    let beside = host
        .filter(can_be_named)
        .map(|host| format!("{host}{base}/scans/{id}/attempts/{attempt}/files/ "))
        .unwrap_or_default();
    format!(
        "sandbox; default-src 'none'; style-src {beside}'unsafe-inline'; img-src {beside}data:; font-src {beside}data:; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'self'"
    )
}

/// Appends the style sheet to a file.
fn opened(file: OpenArtifact) -> OpenArtifact {
    let style = futures_util::stream::once(async { Ok(Bytes::from_static(OPENED.as_bytes())) });
    let size = file.size + OPENED.len() as u64;
    OpenArtifact { size, range: 0..size, modified: file.modified, bytes: file.bytes.chain(style).boxed() }
}

fn content(file: OpenArtifact, is_part: bool, is_download: bool, path: &str) -> Response {
    let OpenArtifact { size, range, bytes, .. } = file;
    let kind = content_kind(path);
    let disposition = format!(
        "{}; filename=\"{}\"",
        if kind.inline && !is_download { "inline" } else { "attachment" },
        safe_name(path)
    );
    let mut response = Body::from_stream(bytes).into_response();
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        // The end of an HTTP range is inclusive.
        let shown = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        response.headers_mut().extend(HeaderValue::try_from(shown).ok().map(|shown| (header::CONTENT_RANGE, shown)));
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind.media_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers
        .extend(HeaderValue::try_from(disposition).ok().map(|disposition| (header::CONTENT_DISPOSITION, disposition)));
    response
}

/// Returns a file name that is valid in a header.
pub(crate) fn safe_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ') { c } else { '_' })
        .collect()
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
    async fn report_is_shown_and_runs_no_script() {
        let (app, base) = app_with_files().await;
        let response = app.get(&format!("{base}/{REPORT}")).await;
        assert_eq!(
            (response.status().as_u16(), header_of(&response, "content-type")),
            (200, "text/html; charset=utf-8")
        );
        let policy = header_of(&response, "content-security-policy");
        assert!(
            policy.starts_with("sandbox;")
                && policy.contains("default-src 'none'")
                && !policy.contains("allow-scripts")
                && !policy.contains("script-src")
        );
        assert_eq!(
            (header_of(&response, "x-content-type-options"), header_of(&response, "content-length")),
            ("nosniff", "25")
        );
        assert_eq!(text_of(response).await, "<script>alert(1)</script>");
    }

    #[tokio::test]
    async fn report_can_show_its_details_without_script() {
        let (app, base) = app_with_files().await;
        let response = app.send("GET", &format!("{base}/{REPORT}?opened=1"), &[("range", "bytes=0-3")], "").await;
        let policy = header_of(&response, "content-security-policy").to_owned();
        assert!(policy.starts_with("sandbox;") && !policy.contains("script-src"), "{policy}");
        let length: usize = header_of(&response, "content-length").parse().unwrap();
        let html = text_of(response).await;
        assert_eq!(html.len(), length);
        assert!(
            html.starts_with("<script>alert(1)</script>\n<style>")
                && html.contains(".details-collapsible")
                && html.ends_with("</style>\n"),
            "{html}"
        );
        // The style sheet is appended to HTML only, and only on request.
        assert_eq!(text_of(app.get(&format!("{base}/sub/raw.json?opened=1")).await).await, "{}");
        assert_eq!(text_of(app.get(&format!("{base}/{REPORT}")).await).await, "<script>alert(1)</script>");
    }

    #[tokio::test]
    async fn report_loads_only_the_files_beside_it() {
        let (app, base) = app_with_files().await;
        for (host, beside) in [
            ("localhost:5000", "localhost:5000/scans/1/attempts/1/files/ "),
            ("127.0.0.1", "127.0.0.1/scans/1/attempts/1/files/ "),
            ("[::1]:5000", ""),
        ] {
            let response = app.send("GET", &format!("{base}/{REPORT}"), &[("host", host)], "").await;
            let policy = header_of(&response, "content-security-policy");
            for directive in [
                format!("style-src {beside}'unsafe-inline';"),
                format!("img-src {beside}data:;"),
                format!("font-src {beside}data:;"),
            ] {
                assert!(policy.contains(&directive), "{host}: {policy}");
            }
            assert!(!policy.replace("frame-ancestors 'self'", "").contains("'self'"), "{policy}");
        }
        assert!(
            !file_policy(Some("x;script-src *"), &BasePath::default(), ScanId(1), AttemptNumber(1))
                .contains("script-src")
        );
    }

    #[tokio::test]
    async fn data_files_are_plain_text_and_others_a_download() {
        let (app, base) = app_with_files().await;
        let json = app.get(&format!("{base}/sub/raw.json")).await;
        assert_eq!(
            (header_of(&json, "content-type"), header_of(&json, "content-disposition")),
            ("text/plain; charset=utf-8", "inline; filename=\"raw.json\"")
        );
        let other = app.get(&format!("{base}/odd%22.bin")).await;
        assert_eq!(
            (header_of(&other, "content-type"), header_of(&other, "content-disposition")),
            ("application/octet-stream", "attachment; filename=\"odd_.bin\"")
        );
    }

    #[tokio::test]
    async fn files_outside_the_folder_are_not_served() {
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
    async fn range_request_gets_a_part_of_a_file() {
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
            assert_eq!(
                (response.status().as_u16(), header_of(&response, "content-range")),
                (status, content_range),
                "{range}"
            );
            assert!(
                header_of(&response, "content-security-policy").starts_with("sandbox;")
                    && header_of(&response, "x-content-type-options") == "nosniff"
            );
            let length = body.len().to_string();
            assert!(status == 416 || header_of(&response, "content-length") == length, "{range}");
            assert_eq!(text_of(response).await, body, "{range}");
        }
        let unsure = app.send("GET", &url, &[("range", "bytes=0-3"), ("if-range", "\"x\"")], "").await;
        assert_eq!(unsure.status(), 200, "nobody can say whether that is still the same file");
    }

    #[tokio::test]
    async fn unavailable_store_hides_only_the_files() {
        let app = TestApp::with_artifacts(std::sync::Arc::new(crate::web::testing::NoArtifacts));
        let scan = app.running("example.com").await;
        let base = format!("/scans/{}", scan.id);
        for path in ["/attempts/1/files/kast_report.html", "/report"] {
            let response = app.get(&format!("{base}{path}")).await;
            assert_eq!((response.status().as_u16(), header_of(&response, "retry-after")), (503, "5"), "{path}");
            let html = text_of(response).await;
            assert!(html.contains("File store not responding") && !html.contains("10.1.2.3"), "{html}");
        }
        assert_eq!(app.get(&base).await.status(), 200);
        assert!(text_of(app.get(&format!("{base}/files")).await).await.contains("not responding"));
    }

    #[test]
    fn a_tail_is_bounded_and_printable() {
        let lines: String = (0..40_000).map(|n| format!("line {n} \u{1b}[31mred\n")).collect();
        let tail = last_lines(lines.as_bytes(), true, TAIL_LINES);
        assert_eq!(
            (tail.lines.len(), tail.lines.last().map(String::as_str), tail.is_cut),
            (TAIL_LINES, Some("line 39999 red"), true)
        );
        let cut = |cut| last_lines(b"ne 1\nline 2\n", cut, TAIL_LINES).lines;
        assert_eq!((cut(true), cut(false)), (vec!["line 2".to_owned()], vec!["ne 1".to_owned(), "line 2".to_owned()]));
    }

    #[tokio::test]
    async fn a_growing_log_is_read_in_whole_lines_without_a_gap() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        let path = app.attempt_folder(&scan).join(LOG_NAME);
        let since =
            async |from, complete| log_since(&app.web(), &scan, AttemptNumber(1), from, complete).await.unwrap();
        std::fs::write(&path, "").unwrap();
        assert_eq!(since(0, false).await, Tail::default());
        assert_eq!(log_tail(&app.web(), &scan, AttemptNumber(1)).await, Some(Tail::default()));
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let shown = log_tail(&app.web(), &scan, AttemptNumber(1)).await.unwrap();
        assert_eq!(
            (shown.lines.as_slice(), shown.next),
            (["one".to_owned(), "two".into()].as_slice(), 8),
            "the next part begins with the half line"
        );
        let first = since(0, false).await;
        assert_eq!((first.lines.as_slice(), first.next), (["one".to_owned(), "two".into()].as_slice(), 8));
        assert_eq!(
            since(8, false).await,
            Tail { next: 8, growing: Some("thr".into()), ..Tail::default() },
            "half a line waits for its end"
        );
        assert_eq!(since(8, true).await.lines, ["thr"], "the last line of a log that grows no more is whole");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(since(8, false).await.lines, ["three"]);
        assert_eq!(since(99, false).await, Tail { next: 14, ..Tail::default() });
        let long = "x".repeat(TAIL_BYTES as usize + 10);
        std::fs::write(&path, &long).unwrap();
        assert_eq!(since(0, false).await.next, TAIL_BYTES, "a line without an end does not hold up the rest");
    }

    #[test]
    fn a_tail_ends_with_a_line() {
        for (bytes, is_full, end) in [
            ("", false, 0),
            ("thr", false, 0),
            ("one\nthr", false, 4),
            ("one\n", false, 4),
            ("threefour", true, 9),
            ("10%\r20%\r30", true, 7),
            ("\r10% of it", true, 10),
            ("long \u{1b}[3", true, 5),
            ("long ü", true, 7),
        ] {
            assert_eq!(end_of_lines(bytes.as_bytes(), is_full), end, "{bytes}");
        }
        assert_eq!(end_of_lines(&"long ü".as_bytes()[..6], true), 5, "no character is cut");
    }

    #[tokio::test]
    async fn a_line_that_is_written_again_and_again_is_seen_while_it_grows() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        let path = app.attempt_folder(&scan).join(LOG_NAME);
        let since =
            async |from, complete| log_since(&app.web(), &scan, AttemptNumber(1), from, complete).await.unwrap();
        for (log, growing) in [
            ("start\n\rProgress: 1/40", Some("Progress: 1/40")),
            ("start\n\rProgress: 1/40\rProgress: 2/40 \u{1b}[3", Some("Progress: 2/40")),
            ("start\n\rProgress: 1/40\r", Some("Progress: 1/40")),
            ("start\n\u{1b}[2K", None),
            ("start\n", None),
        ] {
            std::fs::write(&path, log).unwrap();
            for tail in [since(0, false).await, log_tail(&app.web(), &scan, AttemptNumber(1)).await.unwrap()] {
                assert_eq!(
                    (tail.lines.as_slice(), tail.next, tail.growing.as_deref()),
                    (["start".to_owned()].as_slice(), 6, growing),
                    "{log:?}"
                );
            }
        }
        std::fs::write(&path, "start\n\rProgress: 1/40\rProgress: 40/40\nend\n").unwrap();
        assert_eq!(since(6, false).await.lines, ["Progress: 40/40", "end"]);
        // A progress display that is longer than a part arrives in several parts. Each part has the
        // last state of the display, and no text arrives twice.
        let many: String = (0..9000).map(|n| format!("\rProgress: {n}/9000")).collect();
        std::fs::write(&path, &many).unwrap();
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let tail = since(from, false).await;
            seen.extend(tail.lines);
            if tail.next == from {
                assert_eq!(tail.growing.as_deref(), Some("Progress: 8999/9000"));
                break;
            }
            from = tail.next;
        }
        assert!(
            (1..10).contains(&seen.len())
                && seen.iter().all(|line| line.starts_with("Progress: ") && line.ends_with("/9000")),
            "{seen:?}"
        );
        let shown = log_tail(&app.web(), &scan, AttemptNumber(1)).await.unwrap();
        assert!(shown.lines.len() == 1 && shown.lines[0].ends_with("/9000"), "{shown:?}");
    }

    #[tokio::test]
    async fn log_on_another_machine_shows_a_window_at_its_end() {
        let app = TestApp::with_artifacts(std::sync::Arc::new(crate::web::testing::LiveTail("ne 1\nline 2\n")));
        let scan = app.running("example.com").await;
        let expected = Tail { lines: vec!["line 2".into()], next: 0, is_cut: true, is_window: true, growing: None };
        assert_eq!(log_tail(&app.web(), &scan, AttemptNumber(1)).await, Some(expected.clone()));
        assert_eq!(log_since(&app.web(), &scan, AttemptNumber(1), 70, false).await, Some(expected));
    }
}
