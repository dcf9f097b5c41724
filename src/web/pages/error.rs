//! The HTML page of a problem.

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::layout::Layout;
use super::reader::Reader;
use crate::web::headers::page;
use crate::web::text::{clean, sentence};

/// The error page.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    layout: Layout,
    status: u16,
    title: String,
    detail: String,
    trace_id: String,
    /// The page of the scan to which the failed path belongs.
    scan_url: Option<String>,
}

impl ErrorPage {
    pub(crate) fn new(
        status: u16,
        title: &str,
        detail: &str,
        trace_id: String,
        reader: &Reader<'_>,
        path: &str,
    ) -> Self {
        Self {
            layout: Layout::of_error(reader, title),
            status,
            title: title.into(),
            detail: sentence(&clean(detail)),
            trace_id,
            scan_url: scan_of(path),
        }
    }
}

/// Returns the page of the scan of a path below it.
fn scan_of(path: &str) -> Option<String> {
    let (id, rest) = path.strip_prefix("/scans/")?.split_once('/')?;
    (!rest.is_empty() && id.parse::<u64>().is_ok_and(|id| id > 0)).then(|| format!("/scans/{id}"))
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        page(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::viewer::Theme;

    impl ErrorPage {
        fn sample() -> Self {
            let page = Self::new(
                404,
                "Not found",
                HOSTILE,
                "4bf92f3577b34da6a3ce929d0e0e4736".into(),
                &Reader { theme: Theme::System, sender: None, has_accounts: false },
                "/scans/17/report",
            );
            Self { layout: Layout::sample("Not found"), ..page }
        }
    }

    #[test]
    fn error_page_matches_snapshot() {
        insta::assert_snapshot!(ErrorPage::sample().render().unwrap());
    }

    #[test]
    fn error_below_a_scan_links_back_to_the_scan() {
        for (path, url) in [
            ("/scans/17/report", Some("/scans/17")),
            ("/scans/17", None),
            ("/scans/17/", None),
            ("/scans/bulk", None),
            ("/scans/x/report", None),
            ("/nothing", None),
        ] {
            assert_eq!(scan_of(path).as_deref(), url, "{path}");
        }
    }
}
