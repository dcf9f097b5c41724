//! The page of a problem.

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::layout::{Here, Layout};
use crate::web::headers::page;
use crate::web::text::clean;
use crate::web::viewer::Theme;

/// What went wrong, for people.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    layout: Layout,
    status: u16,
    title: String,
    detail: String,
    trace_id: String,
}

impl ErrorPage {
    pub(crate) fn new(status: u16, title: &str, detail: &str, trace_id: String, theme: Theme) -> Self {
        Self { layout: Layout::bare(theme, Here::Elsewhere, title), status, title: title.into(), detail: clean(detail), trace_id }
    }
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

    impl ErrorPage {
        fn sample() -> Self {
            let page = Self::new(404, "Not found", HOSTILE, "4bf92f3577b34da6a3ce929d0e0e4736".into(), Theme::System);
            Self { layout: Layout::sample("Not found"), ..page }
        }
    }

    #[test]
    fn looks_as_it_should() {
        insta::assert_snapshot!(ErrorPage::sample().render().unwrap());
    }
}
