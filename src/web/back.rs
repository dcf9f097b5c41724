//! The way back to the page that a form was on.

use axum::http::{HeaderMap, header};

/// The path of that page, never another site's; `otherwise` where the browser does not say.
pub(crate) fn back(headers: &HeaderMap, otherwise: &str) -> String {
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| url::Url::parse(text).ok());
    let path = referer.map(|url| match (url.path(), url.query()) {
        // What only answers a form cannot be gone back to.
        ("/new/preview", _) => "/new".to_owned(),
        (path, Some(query)) => format!("{path}?{query}"),
        (path, None) => path.to_owned(),
    });
    path.filter(|path| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\')).unwrap_or_else(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_a_path_of_ours() {
        let back = |referer: &str| back(&HeaderMap::from_iter([(header::REFERER, referer.parse().unwrap())]), "/otherwise");
        for (referer, path) in [
            ("http://localhost:5000/scans?status=failed", "/scans?status=failed"),
            ("http://localhost:5000/new/preview", "/new"),
            ("http://evil.example/x", "/x"),
            ("http://localhost//evil.example", "/otherwise"),
            ("javascript:alert(1)", "/otherwise"),
            ("", "/otherwise"),
        ] {
            assert_eq!(back(referer), path, "{referer}");
        }
    }
}
