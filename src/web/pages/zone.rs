//! The choice of the time zone, which the browser stores in a cookie.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use url::form_urlencoded;

use crate::web::api::submission::unreadable;
use crate::web::back::back;
use crate::web::error::{Problem, ProblemKind};
use crate::web::viewer::Viewer;
use crate::web::zone::Zone;

/// The form value for the browser's own zone, which only its script can determine.
const LOCAL: &str = "local";

/// Stores the choice in a cookie, and redirects back to the page.
pub(crate) async fn choose(
    _viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let name = form_urlencoded::parse(&body)
        .find(|(name, _)| name == "zone")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let cookie = if name == LOCAL { Some(Zone::forget()) } else { Zone::named(&name).map(|zone| zone.cookie()) };
    let cookie = cookie.ok_or_else(|| {
        Problem::new(ProblemKind::Malformed, "zone: expected a time zone such as Europe/Berlin, UTC or local")
    })?;
    let mut response = Redirect::to(&back(&headers, "/")).into_response();
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use crate::web::testing::{TestApp, header_of, text_of};

    #[tokio::test]
    async fn zone_choice_is_kept_shown_on_every_page_and_reset() {
        let app = TestApp::new();
        app.submitted("example.com").await;
        let plain = text_of(app.get("/scans").await).await;
        assert!(
            plain.contains(r#"<b id="zone">UTC</b>"#)
                && plain.contains(r#"data-zone="UTC""#)
                && plain.contains(">00:00:00</time>"),
            "{plain}"
        );
        let chosen = app.post_form("/zone", "zone=Pacific%2FAuckland").await;
        assert_eq!((chosen.status().as_u16(), header_of(&chosen, "location")), (303, "/"));
        let cookie = header_of(&chosen, "set-cookie").split(';').next().unwrap().to_owned();
        for path in ["/", "/scans", "/scans/1", "/new", "/supervision", "/settings"] {
            let html = text_of(app.send("GET", path, &[("cookie", &cookie)], "").await).await;
            assert!(
                html.contains(r#"<b id="zone">Pacific/Auckland</b>"#) && html.matches(r#"id="zone">"#).count() == 1,
                "{path}: {html}"
            );
        }
        let there = text_of(app.send("GET", "/scans", &[("cookie", &cookie)], "").await).await;
        assert!(
            there.contains(">13:00:00</time>") && there.contains("2026-01-01 13:00:00 NZDT (2026-01-01 00:00:00 UTC)"),
            "{there}"
        );
        assert!(header_of(&app.post_form("/zone", "zone=local").await, "set-cookie").contains("Max-Age=0"));
        assert_eq!(app.post_form("/zone", "zone=Nowhere%2FTown").await.status(), 400);
    }
}
