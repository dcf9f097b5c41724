//! The choice of the colour theme, which the browser stores in a cookie.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use crate::web::api::submission::unreadable;
use crate::web::back::back;
use crate::web::error::{Problem, ProblemKind};
use crate::web::viewer::{Theme, Viewer};

/// Stores the choice in a cookie, and redirects back to the page.
pub(crate) async fn choose(
    _viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let theme =
        form_urlencoded::parse(&body).find(|(name, _)| name == "theme").and_then(|(_, value)| Theme::named(&value));
    let theme = theme.ok_or_else(|| Problem::new(ProblemKind::Malformed, "theme: expected system, light or dark"))?;
    let mut response = Redirect::to(&back(&headers, "/")).into_response();
    if let Ok(cookie) = HeaderValue::try_from(theme.cookie()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, header_of, text_of};

    #[tokio::test]
    async fn theme_choice_is_kept_and_shown() {
        let app = TestApp::new();
        let chosen = app.post_form("/theme", "theme=dark").await;
        assert_eq!((chosen.status().as_u16(), header_of(&chosen, "location")), (303, "/"));
        let cookie = header_of(&chosen, "set-cookie").split(';').next().unwrap().to_owned();
        assert!(
            text_of(app.send("GET", "/", &[("cookie", &cookie)], "").await)
                .await
                .contains(r#"<html lang="en" data-theme="dark">"#)
        );
        assert!(
            text_of(app.send("GET", "/nothing", &[("cookie", &cookie)], "").await)
                .await
                .contains(r#"data-theme="dark""#),
            "also on the page of a problem"
        );
        assert_eq!(app.post_form("/theme", "theme=pink").await.status(), 400);
    }
}
