//! Fragments of live pages: when scans have changed, a page of many scans requests the part of
//! itself that changes, and viewers of the same page share one rendering of each change.

use std::time::Duration;

use axum::body::to_bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::base_path;
use super::error::Problem;
use super::renderings::Fragment;
use super::state::WebInner;
use super::viewer::Viewer;

/// How long a fragment is shared. It also shows nodes, queue and times, whose changes have no
/// revision.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// Returns the page, or, if the request is for a fragment, a rendering that may be shared: it is at
/// most a second old, and contains the change that the request names. `address` is the path and
/// query; `page` renders the page.
pub(crate) async fn shared(
    web: &WebInner,
    viewer: &Viewer,
    address: &str,
    page: impl Future<Output = Result<Response, Problem>> + Send,
) -> Result<Response, Problem> {
    let Some(part) = viewer.part else { return page.await };
    let wanted = part.seen.filter(|seen| seen.run == web.run).map_or_else(|| revision(web), |seen| seen.revision);
    let slot = web.fragments.slot(format!("{} {address}", key_of(viewer)));
    let mut kept = slot.lock().await;
    if let Some(fragment) = kept.as_ref().filter(|kept| kept.revision >= wanted && kept.made_at.elapsed() < SHARED_FOR)
    {
        return Ok(response(fragment));
    }
    // Taken before the page is read: a change in between is in the page, or causes an event.
    let (revision, made_at) = (revision(web), tokio::time::Instant::now());
    let rendered = page.await?;
    if rendered.status() != StatusCode::OK {
        return Ok(rendered);
    }
    let (head, body) = rendered.into_parts();
    let html = to_bytes(body, usize::MAX).await.map_err(Problem::internal)?;
    let fragment = kept.insert(Fragment { revision, made_at, headers: head.headers, html });
    Ok(response(fragment))
}

/// Returns what a rendering depends on besides its page: the rights, the time zone and the base
/// path of the viewer. The theme and the name of the viewer are parts of the frame.
pub(crate) fn key_of(viewer: &Viewer) -> String {
    format!("{:?} {} {}", viewer.context.grants, viewer.zone.name(), base_path::current())
}

fn revision(web: &WebInner) -> u64 {
    *web.scans().follow_changes().borrow()
}

fn response(fragment: &Fragment) -> Response {
    (fragment.headers.clone(), fragment.html.clone()).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::web::testing::{TestApp, text_of};

    const PART: (&str, &str) = ("x-kastrel-part", "live");

    #[tokio::test]
    async fn fragment_is_the_changing_part_of_the_page() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        for path in ["/", "/scans", "/scans/1"] {
            let whole = text_of(app.get(path).await).await;
            let part = text_of(app.send("GET", path, &[PART], "").await).await;
            for there in ["<title>", "id=\"standing\"", "id=\"live\"", "example.com"] {
                assert!(whole.contains(there) && part.contains(there), "{path}: {there}: {part}");
            }
            for gone in ["<!doctype", "<nav aria-label=\"Main\"", "class=\"sprite\"", "<footer"] {
                assert!(whole.contains(gone) && !part.contains(gone), "{path}: {gone}: {part}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn viewers_share_the_rendering_of_a_change() {
        let app = TestApp::new();
        app.submitted("a.example.com").await;
        let shown = async |headers: &[(&str, &str)]| text_of(app.send("GET", "/scans", headers, "").await).await;
        let first = shown(&[PART]).await;
        app.store.fail_with("down");
        assert_eq!(shown(&[PART]).await, first, "rendered once");
        assert_ne!(shown(&[PART, ("cookie", "kastrel-zone=Pacific/Auckland")]).await, first, "for its zone only");
        assert_ne!(shown(&[]).await, first, "a whole page is not shared");
        tokio::time::advance(Duration::from_millis(1_001)).await;
        assert_ne!(shown(&[PART]).await, first, "for a second only");
    }

    #[tokio::test]
    async fn fragment_contains_the_change_that_the_viewer_has_seen() {
        let app = TestApp::new();
        app.submitted("a.example.com").await;
        let shown = async || text_of(app.send("GET", "/scans", &[PART], "").await).await;
        assert!(!shown().await.contains("b.example.com"));
        app.submitted("b.example.com").await;
        assert!(shown().await.contains("b.example.com"), "the change has a newer revision");
    }
}
