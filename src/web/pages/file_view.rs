//! The page with one file of an attempt: JSON is formatted, text is unchanged, images are images.
//! The page shows the content and runs nothing in it.

use askama::Template;
use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use kastrel_actors::model::DomainEvent;

use super::layout::{Here, Layout};
use crate::ports::{ContentKind, content_kind};
use crate::web::error::Problem;
use crate::web::files::head;
use crate::web::headers::page;
use crate::web::path::{FilePath, no_scan};
use crate::web::state::Web;
use crate::web::text::{clean, in_url, size};
use crate::web::viewer::Viewer;

/// How many bytes of a file are shown; the complete file can be downloaded.
const MOST_BYTES: u64 = 512 * 1024;

/// The page with one file.
#[derive(Template)]
#[template(path = "file_view.html")]
pub(crate) struct FileViewPage {
    layout: Layout,
    id: u64,
    attempt: u32,
    path: String,
    size: String,
    raw_url: String,
    content: Content,
}

/// The visible content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Text, and whether it is cut or formatted.
    Text { text: String, is_cut: bool, is_pretty: bool },
    /// An image.
    Image,
    /// An HTML page of the scanner, in a frame that runs no scripts.
    Frame,
    /// A file that a browser cannot show.
    Other,
}

/// Shows a file.
pub(crate) async fn show(
    State(web): State<Web>,
    viewer: Viewer,
    FilePath { id, attempt, path }: FilePath,
    method: Method,
) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    // Only the size is needed of a file that is not shown as text.
    let most = if content_kind(&path).media_type.starts_with("text/plain") { MOST_BYTES } else { 1 };
    let (start, bytes) = head(&web, &scan.record, attempt, &path, most).await?;
    let content = content_of(&path, &start, bytes);
    // The frame and the link of the page load the file themselves.
    if matches!(content, Content::Text { .. } | Content::Image) {
        web.record_download(&viewer.context, &method, DomainEvent::FilesDownloaded, Some(id)).await?;
    }
    Ok(page(&FileViewPage {
        layout: Layout::of(&web, &viewer, Here::Scans, clean(&path)).await,
        id: id.0,
        attempt: attempt.0,
        size: size(bytes),
        raw_url: format!("/scans/{id}/attempts/{attempt}/files/{}", in_url(&path)),
        content,
        path: clean(&path),
    }))
}

/// Returns what to show of a file of `bytes` bytes that begins with `start`.
pub(super) fn content_of(path: &str, start: &[u8], bytes: u64) -> Content {
    let ContentKind { media_type: kind, inline } = content_kind(path);
    match kind.split(['/', ';']).next() {
        Some("image") => Content::Image,
        _ if kind.starts_with("text/html") => Content::Frame,
        Some("text") if kind.starts_with("text/plain") => {
            let is_cut = bytes > start.len() as u64;
            let pretty = (path.ends_with(".json") && !is_cut).then(|| pretty(start)).flatten();
            let is_pretty = pretty.is_some();
            Content::Text {
                text: clean(&pretty.unwrap_or_else(|| String::from_utf8_lossy(start).into_owned())),
                is_cut,
                is_pretty,
            }
        }
        _ if inline => Content::Frame,
        _ => Content::Other,
    }
}

/// Formats JSON with one value per line; `None` if the bytes are not JSON.
fn pretty(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    impl FileViewPage {
        fn sample(content: Content) -> Self {
            Self {
                layout: Layout::sample("A file"),
                id: 17,
                attempt: 2,
                path: clean(HOSTILE),
                size: "412 bytes".into(),
                raw_url: format!("/scans/17/attempts/2/files/{}", in_url(HOSTILE)),
                content,
            }
        }
    }

    #[test]
    fn file_view_matches_snapshots() {
        let text = Content::Text { text: clean(HOSTILE), is_cut: true, is_pretty: false };
        for (name, content) in
            [("text", text), ("image", Content::Image), ("frame", Content::Frame), ("other", Content::Other)]
        {
            let html = FileViewPage::sample(content).render().unwrap();
            assert!(!html.contains("<script>"), "{name}");
            insta::assert_snapshot!(format!("file_view_{name}"), html);
        }
    }

    #[test]
    fn each_kind_of_file_has_its_view() {
        let text = |text: &str, is_cut, is_pretty| Content::Text { text: text.into(), is_cut, is_pretty };
        for (path, start, bytes, expected) in [
            ("a.json", "{\"a\":[1]}", 9, text("{\n  \"a\": [\n    1\n  ]\n}", false, true)),
            ("a.json", "{\"a\":", 5, text("{\"a\":", false, false)),
            ("a.json", "{}", 900_000, text("{}", true, false)),
            ("a.txt", "x\u{1b}[31m", 6, text("x", false, false)),
            ("a.png", "", 9, Content::Image),
            ("a.svg", "", 9, Content::Image),
            ("a.html", "", 9, Content::Frame),
            ("a.pdf", "", 9, Content::Other),
            ("a", "", 9, Content::Other),
        ] {
            assert_eq!(content_of(path, start.as_bytes(), bytes), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn file_view_shows_existing_files_and_none_from_outside() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        std::fs::create_dir_all(app.attempt_folder(&scan)).unwrap();
        std::fs::write(app.attempt_folder(&scan).join("evil.json"), r#"{"x":"</pre><script>alert(1)</script>"}"#)
            .unwrap();
        let html = text_of(app.get("/scans/1/attempts/1/view/evil.json").await).await;
        assert!(html.contains("&#60;script&#62;alert") && !html.contains("<script>"), "{html}");
        for path in ["../../secret.txt", "%2e%2e/secret.txt", "nothing.txt", ".hidden"] {
            assert_eq!(app.get(&format!("/scans/1/attempts/1/view/{path}")).await.status(), 404, "{path}");
        }
    }
}
