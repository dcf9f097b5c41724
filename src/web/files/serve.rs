//! Serves a file of an attempt so that a browser runs nothing in it: sandboxed, without scripts,
//! with a content type that the server chooses, and mostly as a download.

use std::net::IpAddr;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use kastrel_actors::model::{AttemptNumber, DomainEvent, RequestContext, ScanRecord};

use crate::config::BasePath;
use crate::ports::{ArtifactError, AttemptKey, OpenArtifact, content_kind};
use crate::service::access::LinkVisit;
use crate::web::base_path;
use crate::web::error::Problem;
use crate::web::hosts::host_of;
use crate::web::path::{FilePath, no_scan};
use crate::web::range::requested;
use crate::web::state::{Web, WebInner};
use crate::web::viewer::Viewer;

/// A style sheet that shows the parts that KAST's report hides behind buttons. The buttons need
/// scripts, and a report runs none here.
const OPENED: &str = concat!("\n<style>\n", include_str!("../assets/report.css"), "</style>\n");
/// The query that makes the server append that style sheet to a report.
const OPENED_QUERY: &str = "opened=1";

/// A request for a file of an attempt.
pub(crate) struct FileRequest<'a> {
    pub(crate) attempt: AttemptNumber,
    /// The path of the file below the folder of the attempt.
    pub(crate) path: &'a str,
    /// The path of that folder on this site, with a slash at its end.
    pub(crate) folder: String,
    pub(crate) query: Option<&'a str>,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// True if a token authenticates the request, which no browser sends.
    pub(crate) is_of_program: bool,
    /// The visit of the public link with which the file is requested, and the client's address.
    pub(crate) visit: Option<(&'a LinkVisit, IpAddr)>,
}

/// Serves a file of an attempt, or the part of it that a `Range` header requests. `?download=1`
/// forces a download, and `?opened=1` shows the hidden parts of an HTML file.
pub(crate) async fn serve(
    State(web): State<Web>,
    viewer: Viewer,
    FilePath { id, attempt, path }: FilePath,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let request = FileRequest {
        attempt,
        path: &path,
        folder: format!("/scans/{id}/attempts/{attempt}/files/"),
        query: query.as_deref(),
        method: &method,
        uri: &uri,
        headers: &headers,
        is_of_program: viewer.signed_in.as_ref().is_some_and(|who| who.token.is_some()),
        visit: None,
    };
    respond(&web, &viewer.context, &scan.record, &request).await
}

/// Serves a file of a scan that the client may read.
pub(crate) async fn respond(
    web: &WebInner,
    context: &RequestContext,
    record: &ScanRecord,
    request: &FileRequest<'_>,
) -> Result<Response, Problem> {
    let FileRequest { attempt, path, folder, query, method, uri, headers, is_of_program, visit } = request;
    let host = host_of(uri, headers).map(|host| web.state.hosts.in_policy(host));
    let policy = file_policy(host.as_deref(), &base_path::current(), folder);
    let is_opened = *query == Some(OPENED_QUERY) && path.ends_with(".html");
    let range = if is_opened { None } else { requested(headers) };
    let is_download = *query == Some("download=1");
    let file = web.state.artifacts.open(&AttemptKey::of(record, *attempt), path, range).await;
    // A report in a browser loads its images and styles by itself. A program with a token can send
    // the same header, but shows no reports. A part of a file counts like the file: it may leave
    // out only the first byte.
    let is_of_report = !is_of_program && is_loaded_by_reports(path) && is_part_of_page(headers) && !is_download;
    if file.is_ok() && !is_of_report {
        match visit {
            None => {
                web.record_download(context, method, DomainEvent::FilesDownloaded, Some(record.id)).await?;
            }
            Some((visit, address)) if **method != Method::HEAD => {
                web.access().record_link_download(visit, *address).await?;
            }
            Some(_) => {}
        }
    }
    let mut response = match file {
        Ok(file) if is_opened => content(opened(file), false, is_download, path),
        Ok(file) => content(file, range.is_some(), is_download, path),
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
    if is_loaded_by_reports(path) {
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

/// Returns whether the browser says that it loads an image or a style of a page, rather than a file
/// that somebody opens. Browsers say so over https and on loopback.
fn is_part_of_page(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-dest").is_some_and(|kind| kind == "image" || kind == "style")
}

/// Returns the content security policy of a file. The browser may show the file with the styles and
/// images beside it, and nothing else of this site. The scanned site chose the URLs in the file,
/// and must not make the viewer's browser send requests.
///
/// A path in a policy needs a host in front: the host of the request, which the guard has admitted.
/// It has no scheme, so the scheme of the file itself applies, even behind a proxy that terminates
/// TLS. If the policy syntax cannot express the host, such as an IPv6 address, the file may only
/// use its embedded content.
fn file_policy(host: Option<&str>, base: &BasePath, folder: &str) -> String {
    let can_be_named = |host: &&str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'*'))
    };
    let beside = host.filter(can_be_named).map(|host| format!("{host}{base}{folder} ")).unwrap_or_default();
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
    use crate::ports::HTML_REPORT_NAME as REPORT;
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
            !file_policy(Some("x;script-src *"), &BasePath::default(), "/scans/1/attempts/1/files/")
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
}
