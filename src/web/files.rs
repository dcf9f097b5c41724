//! The files of an attempt, through a directory handle that neither `..` nor a symbolic link can leave.
//!
//! Their content was chosen by scanned sites. They are served so that a browser runs nothing of it: sandboxed, without script, with the type that we name, and mostly as a download.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use kastrel_actors::model::{AttemptNumber, ScanRecord};
use rustix::fs::OFlags;
use tokio_util::io::ReaderStream;

use super::error::Problem;
use super::path::{FilePath, no_scan};
use super::state::{Web, WebInner};
use super::text::clean;
use super::viewer::Viewer;

/// The scanner's report.
pub(crate) const REPORT: &str = "kast_report.html";
/// The same, for printing.
pub(crate) const PDF_REPORT: &str = "kast_report.pdf";
/// What the scanner said.
pub(crate) const LOG: &str = "kast.log";
/// How it was called.
pub(crate) const COMMAND: &str = "command.sh";

/// What a file may do in a browser: show itself, with its own style and pictures.
const FILE_POLICY: &str = "sandbox; default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; form-action 'none'; \
                           base-uri 'none'; frame-ancestors 'self'";
const MAX_DEPTH: usize = 4;
const MAX_ENTRIES: usize = 1000;
const CHUNK: usize = 64 * 1024;
const TAIL_BYTES: u64 = 64 * 1024;
const TAIL_LINES: usize = 200;

/// A file of an attempt, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Relative, with `/` between.
    pub(crate) path: String,
    pub(crate) bytes: u64,
}

/// A part of a text file, as lines that are ready to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) lines: Vec<String>,
    /// Where the next part begins, in bytes.
    pub(crate) next: u64,
    /// Whether there was more before it that is left out.
    pub(crate) is_cut: bool,
}

/// The folder of an attempt.
pub(crate) struct AttemptFiles(Dir);

impl AttemptFiles {
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        Dir::open_ambient_dir(folder, ambient_authority()).map(Self)
    }

    /// Opens a regular file for reading; with its size.
    pub(crate) fn file(&self, path: &str) -> io::Result<(std::fs::File, u64)> {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut folder = self.0.try_clone()?;
        for part in folders.split('/').filter(|_| !folders.is_empty()) {
            if !is_plain(part) || !folder.symlink_metadata(part)?.is_dir() {
                return Err(io::ErrorKind::NotFound.into());
            }
            folder = folder.open_dir(part)?;
        }
        if !is_plain(name) || !folder.symlink_metadata(name)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Without waiting: what was a file a moment ago could be a pipe by now.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.union(OFlags::NOFOLLOW).bits().cast_signed());
        let file = folder.open_with(name, &options)?;
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file.into_std(), metadata.len())) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Whether a file is there.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.0.symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
    }

    /// The files, sorted, at most [`MAX_ENTRIES`].
    pub(crate) fn list(&self) -> Vec<FileEntry> {
        let mut entries = Vec::new();
        collect(&self.0, "", 0, &mut entries);
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    /// The last lines of a text file, ready to show.
    pub(crate) fn tail(&self, path: &str) -> io::Result<Tail> {
        self.last(path, TAIL_BYTES, TAIL_LINES)
    }

    /// At most so many of the last bytes and lines.
    pub(crate) fn last(&self, path: &str, most_bytes: u64, most_lines: usize) -> io::Result<Tail> {
        let (mut file, size) = self.file(path)?;
        let skip = size.saturating_sub(most_bytes);
        file.seek(SeekFrom::Start(skip))?;
        let mut bytes = Vec::new();
        file.take(most_bytes).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // The first line of a cut text is most likely not whole.
        let lines: Vec<&str> = text.lines().skip(usize::from(skip > 0)).collect();
        let left_out = lines.len().saturating_sub(most_lines);
        Ok(Tail { lines: lines.iter().skip(left_out).map(|line| clean(line)).collect(), next: skip + bytes.len() as u64, is_cut: skip > 0 || left_out > 0 })
    }

    /// What follows in a text file after `from`: whole lines, at most [`TAIL_BYTES`], unless the file is `complete` and its last line has no end.
    pub(crate) fn since(&self, path: &str, from: u64, complete: bool) -> io::Result<Tail> {
        let (mut file, size) = self.file(path)?;
        if from >= size {
            return Ok(Tail { next: from.min(size), ..Tail::default() });
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        let is_rest = from + bytes.len() as u64 >= size;
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            // A line that is longer than a part, or the last one.
            None if complete || !is_rest => bytes.len(),
            None => 0,
        };
        let whole = if complete && is_rest { bytes.len() } else { whole };
        let text = String::from_utf8_lossy(&bytes[..whole]);
        Ok(Tail { lines: text.lines().map(clean).collect(), next: from + whole as u64, is_cut: false })
    }
}

/// Does something with the files of an attempt, on a thread that may wait for a disk. `None`: the attempt has no folder here, or it failed.
pub(crate) async fn with_files<T: Send + 'static>(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    work: impl FnOnce(&AttemptFiles) -> T + Send + 'static,
) -> Option<T> {
    let folder = (web.state.attempt_dir)(record, attempt);
    tokio::task::spawn_blocking(move || AttemptFiles::open(folder).ok().map(|files| work(&files))).await.ok()?
}

/// Serves one file of an attempt; `?download=1` as a download whatever it is.
pub(crate) async fn serve(
    State(web): State<Web>,
    _viewer: Viewer,
    FilePath { id, attempt, path }: FilePath,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let name = path.clone();
    let (file, size) = with_files(&web, &scan.record, attempt, move |files| files.file(&name))
        .await
        .and_then(Result::ok)
        .ok_or_else(|| Problem::not_found("there is no such file"))?;
    let (content_type, inline) = kind_of(&path);
    let inline = inline && query.as_deref() != Some("download=1");
    let disposition = format!("{}; filename=\"{}\"", if inline { "inline" } else { "attachment" }, safe_name(&path));
    // No more than was there when it was opened, so that a growing log ends.
    let body = Body::from_stream(ReaderStream::with_capacity(tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), size), CHUNK));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    if let Ok(disposition) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

/// The type we name, and whether a browser may show it.
pub(crate) fn kind_of(path: &str) -> (&'static str, bool) {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("html" | "htm") => ("text/html; charset=utf-8", true),
        Some("css") => ("text/css; charset=utf-8", true),
        Some("txt" | "log" | "json" | "jsonl" | "md" | "csv" | "tsv" | "yaml" | "yml") => ("text/plain; charset=utf-8", true),
        Some("png") => ("image/png", true),
        Some("jpg" | "jpeg") => ("image/jpeg", true),
        Some("gif") => ("image/gif", true),
        Some("webp") => ("image/webp", true),
        Some("svg") => ("image/svg+xml", true),
        Some("pdf") => ("application/pdf", false),
        _ => ("application/octet-stream", false),
    }
}

/// A name that can stand in a header.
pub(crate) fn safe_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ' ') { c } else { '_' }).collect()
}

/// A visible name of one file or folder.
fn is_plain(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('.') && !part.contains(['\0', '\\', '/'])
}

fn collect(folder: &Dir, prefix: &str, depth: usize, entries: &mut Vec<FileEntry>) {
    let Ok(listing) = folder.entries() else { return };
    for entry in listing.flatten() {
        if entries.len() >= MAX_ENTRIES {
            return;
        }
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Ok(kind) = entry.file_type() else { continue };
        if !is_plain(&name) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if kind.is_file() {
            entries.push(FileEntry { path, bytes: entry.metadata().map(|metadata| metadata.len()).unwrap_or_default() });
        } else if kind.is_dir()
            && depth < MAX_DEPTH
            && let Ok(inner) = folder.open_dir(&name)
        {
            collect(&inner, &format!("{path}/"), depth + 1, entries);
        }
    }
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
    async fn the_list_holds_regular_visible_files_only() {
        let (app, _) = app_with_files().await;
        let scan = app.desk.board.get(kastrel_actors::model::ScanId(1)).unwrap();
        let files = AttemptFiles::open(app.attempt_folder(&scan.record)).unwrap();
        let paths: Vec<String> = files.list().into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, [REPORT, "odd\".bin", "sub/raw.json"]);
        assert!(files.has(REPORT) && !files.has("inner.html"));
    }

    #[test]
    fn a_tail_is_bounded_and_printable() {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = (0..40_000).map(|n| format!("line {n} \u{1b}[31mred\n")).collect();
        std::fs::write(folder.path().join(LOG), lines).unwrap();
        let tail = AttemptFiles::open(folder.path().into()).unwrap().tail(LOG).unwrap();
        assert_eq!((tail.lines.len(), tail.lines.last().map(String::as_str)), (TAIL_LINES, Some("line 39999 [31mred")));
        assert!(tail.is_cut);
    }

    #[test]
    fn a_growing_text_is_read_in_whole_lines_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG);
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let files = AttemptFiles::open(folder.path().into()).unwrap();
        let first = files.since(LOG, 0, false).unwrap();
        assert_eq!((first.lines.as_slice(), first.next), (["one".to_owned(), "two".into()].as_slice(), 8));
        assert_eq!(files.since(LOG, 8, false).unwrap(), Tail { next: 8, ..Tail::default() }, "half a line waits for its end");
        assert_eq!(files.since(LOG, 8, true).unwrap().lines, ["thr"], "the last line of a log that grows no more is whole");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert_eq!(files.since(LOG, 8, false).unwrap().lines, ["three"]);
        assert_eq!(files.since(LOG, 99, false).unwrap(), Tail { next: 14, ..Tail::default() });
        let long = "x".repeat(TAIL_BYTES as usize + 10);
        std::fs::write(&path, &long).unwrap();
        assert_eq!(files.since(LOG, 0, false).unwrap().next, TAIL_BYTES, "a line without an end does not hold up the rest");
    }
}
