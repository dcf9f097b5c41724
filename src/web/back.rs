//! The way back to the page that a form was on.

use axum::http::{HeaderMap, header};

use super::base_path::taken_off;
use super::query::ScanListQuery;

/// Where the list of scans is.
const LIST: &str = "/scans";

/// The path of that page, never another site's; `otherwise` where the browser does not say.
pub(crate) fn back(headers: &HeaderMap, otherwise: &str) -> String {
    let referer =
        headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| url::Url::parse(text).ok());
    let path = referer.map(|url| match (taken_off(url.path()), url.query()) {
        // What only answers a form cannot be gone back to.
        ("/new/preview", _) => "/new".to_owned(),
        (path, Some(query)) => format!("{path}?{query}"),
        (path, None) => path.to_owned(),
    });
    path.filter(|path| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'))
        .unwrap_or_else(|| otherwise.to_owned())
}

/// The list of scans that a form was on, with its filter, as the form's `back` says. It is put
/// together anew from what is understood of it, so that it leads nowhere else; `None` where the
/// form was elsewhere.
pub(crate) fn to_list(form: &[u8]) -> Option<String> {
    let (_, given) = url::form_urlencoded::parse(form).find(|(name, _)| name == "back")?;
    let (path, query) = given.split_once('?').unwrap_or((&given, ""));
    (path == LIST).then(|| ScanListQuery::parse(Some(query)).0.link(LIST))
}

/// The list, which then tells what was done.
pub(crate) fn with_flash(list: Option<String>, done: &str) -> String {
    let list = list.unwrap_or_else(|| LIST.to_owned());
    let sign = if list.contains('?') { '&' } else { '?' };
    format!("{list}{sign}{done}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_to_a_list_is_a_list_of_ours() {
        for (form, list) in [
            ("scan=1&back=%2Fscans%3Fstatus%3Dfailed%26done%3Dcancel%26n%3D3", Some("/scans?status=failed")),
            ("back=%2Fscans", Some("/scans")),
            ("back=%2Fscans%3Ftarget%3D%250d%250aset-cookie", Some("/scans?target=set-cookie")),
            ("back=https%3A%2F%2Fevil.example%2Fscans", None),
            ("back=%2F%2Fevil.example", None),
            ("back=", None),
            ("scan=1", None),
        ] {
            assert_eq!(to_list(form.as_bytes()).as_deref(), list, "{form}");
        }
        assert_eq!(
            with_flash(Some("/scans?status=failed".into()), "done=delete&n=1"),
            "/scans?status=failed&done=delete&n=1"
        );
        assert_eq!(with_flash(None, "done=delete&n=1"), "/scans?done=delete&n=1");
    }

    #[test]
    fn the_way_back_is_a_path_of_ours() {
        let back =
            |referer: &str| back(&HeaderMap::from_iter([(header::REFERER, referer.parse().unwrap())]), "/otherwise");
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
