//! The redirect back to the page that a form was on.

use axum::http::{HeaderMap, header};

use super::base_path::taken_off;
use super::query::ScanListQuery;

/// The path of the scan list.
const LIST: &str = "/scans";

/// Returns the path of the page that the form was on, from the `Referer` header and never on
/// another site. Returns `otherwise` if the browser sends no `Referer`.
pub(crate) fn back(headers: &HeaderMap, otherwise: &str) -> String {
    let referer =
        headers.get(header::REFERER).and_then(|value| value.to_str().ok()).and_then(|text| url::Url::parse(text).ok());
    let path = referer.map(|url| match (taken_off(url.path()), url.query()) {
        // This path only responds to a form, so return to the form's page.
        ("/new/preview", _) => "/new".to_owned(),
        (path, Some(query)) => format!("{path}?{query}"),
        (path, None) => path.to_owned(),
    });
    path.filter(|path| path.starts_with('/') && !path.starts_with("//") && !path.contains('\\'))
        .unwrap_or_else(|| otherwise.to_owned())
}

/// Returns the link to the scan list that the form was on, with its filter, from the form's `back`
/// field. The link is built from the parsed filter, so that it cannot lead to another page. Returns
/// `None` if the form was on another page.
pub(crate) fn to_list(form: &[u8]) -> Option<String> {
    let (_, given) = url::form_urlencoded::parse(form).find(|(name, _)| name == "back")?;
    let (path, query) = given.split_once('?').unwrap_or((&given, ""));
    (path == LIST).then(|| ScanListQuery::parse(Some(query)).0.link(LIST))
}

/// Returns the path of the list with the parameter that makes the list show what was done.
pub(crate) fn with_flash(list: Option<String>, done: &str) -> String {
    let list = list.unwrap_or_else(|| LIST.to_owned());
    let sign = if list.contains('?') { '&' } else { '?' };
    format!("{list}{sign}{done}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_back_to_a_list_stays_on_the_list() {
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
    fn link_back_is_a_path_of_this_site() {
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
