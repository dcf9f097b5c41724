//! The proof that a request which changes something comes from our own pages, or from a program that no web page can steer.

use axum::http::{HeaderMap, Method, Uri, header};

use super::hosts::host_of;

/// Whether a request may change something.
pub(crate) fn is_proven(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    if method.is_safe() {
        return true;
    }
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    if let Some(origin) = text("origin") {
        return host_of(uri, headers).is_some_and(|host| is_same(origin, host));
    }
    // No browser of today sends such a request for another site, and an old one could send it as a form only.
    uri.path().starts_with("/api/") && text(header::CONTENT_TYPE.as_str()).is_none_or(is_json)
}

/// Whether a content type is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn is_same(origin: &str, host: &str) -> bool {
    let (rest, port) = match origin.split_once("://") {
        Some(("http", rest)) => (rest, ":80"),
        Some(("https", rest)) => (rest, ":443"),
        // Also `null`, the origin of sandboxed frames.
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    !rest.is_empty() && bare(rest) == bare(host)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::web::testing::TestApp;

    fn proven(path: &str, pairs: &[(&'static str, &str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap())).collect();
        is_proven(&Method::POST, &path.parse().unwrap(), &headers)
    }

    #[test]
    fn a_browser_must_say_that_it_comes_from_us() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert!(proven("/scans", &[form, ("sec-fetch-site", "same-origin")]));
        assert!(proven("/scans", &[form, ("sec-fetch-site", "none")]));
        assert!(proven("/scans", &[form, ("origin", "http://localhost:5000"), ("host", "localhost:5000")]));
        assert!(proven("/scans", &[form, ("origin", "https://kastrel.test"), ("host", "kastrel.test:443")]));
        for wrong in [
            vec![form],
            vec![form, ("sec-fetch-site", "cross-site")],
            vec![form, ("sec-fetch-site", "same-site"), ("origin", "http://localhost"), ("host", "localhost")],
            vec![form, ("origin", "null"), ("host", "localhost")],
            vec![form, ("origin", "http://localhost:5001"), ("host", "localhost:5000")],
            vec![form, ("origin", "http://evil.example"), ("host", "localhost")],
        ] {
            assert!(!proven("/scans", &wrong), "{wrong:?}");
            assert!(!proven("/api/scans", &wrong), "{wrong:?}");
        }
    }

    #[test]
    fn programs_need_no_origin_for_the_api() {
        assert!(proven("/api/scans", &[("content-type", "application/json; charset=utf-8")]));
        assert!(proven("/api/scans/1/cancel", &[]));
        assert!(!proven("/api/scans", &[("content-type", "text/plain")]));
        assert!(!proven("/scans/1/cancel", &[]));
    }

    #[tokio::test]
    async fn a_cross_site_request_changes_nothing() {
        let app = TestApp::new();
        let headers = [("content-type", "application/json"), ("sec-fetch-site", "cross-site")];
        let response = app.send("POST", "/api/scans", &headers, r#"{"target":"example.com"}"#).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://evil.example")];
        let response = app.send("POST", "/scans", &headers, "target=example.com").await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(app.memory.history().is_empty());
    }
}
