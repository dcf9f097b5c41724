//! The base path of the dashboard and the API, for a proxy that serves them below a path and not
//! under a host name of their own.
//!
//! Internally, all paths begin at the root. The server removes the base path from each request
//! before routing, and adds it to each link, form and redirect of the response. A task-local
//! variable holds the base path during a request, so that functions do not have to pass it on.

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

use crate::config::BasePath;

tokio::task_local! {
    static CURRENT: BasePath;
}

/// Returns the base path of the current request.
pub(crate) fn current() -> BasePath {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Returns the path attribute of our cookies, so that several programs on the same host each have
/// their own cookies.
pub(crate) fn of_cookies() -> String {
    let base = current();
    if base.is_none() { "/".to_owned() } else { base.to_string() }
}

/// Runs a future with a current base path.
pub(crate) async fn under<T>(base: BasePath, answer: impl Future<Output = T>) -> T {
    if base.is_none() { answer.await } else { CURRENT.scope(base, answer).await }
}

/// Removes the base path from a path that a browser sends, such as the one of a `Referer`.
pub(crate) fn taken_off(path: &str) -> &str {
    // The closure may return a part of `path`, because `path` outlives the call.
    CURRENT.try_with(|base| base.off(path)).unwrap_or(path)
}

/// Returns the URI to route by: without the base path, and without a trailing slash, which people
/// add and which has no meaning here. Returns `None` if the URI needs no change.
pub(crate) fn routed(uri: &Uri, base: &BasePath) -> Option<Uri> {
    let path = base.off(uri.path());
    // The path of a file of an attempt is kept as it is.
    let bare = if super::same_origin::is_file_of_attempt(path) {
        path
    } else {
        path.strip_suffix('/').filter(|bare| !bare.is_empty()).unwrap_or(path)
    };
    if bare == uri.path() {
        return None;
    }
    let text = uri.query().map_or_else(|| bare.to_owned(), |query| format!("{bare}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// The attributes of our pages that contain a URL.
const ATTRIBUTES: &[&str] =
    &["href", "src", "action", "formaction", "data-events", "data-log-url", "data-passkey-url", "data-preview-url"];

/// Adds the base path to each URL of a page that begins at the root. Quotes in text of users or
/// scanned sites are escaped, so `="/` occurs only where a template has it.
pub(crate) fn in_page(html: String) -> String {
    let base = current();
    if base.is_none() {
        return html;
    }
    let mut page = String::with_capacity(html.len() + html.len() / 8);
    let mut rest = html.as_str();
    while let Some(at) = rest.find("=\"/") {
        let (before, after) = rest.split_at(at + "=\"".len());
        page.push_str(before);
        let name = before[..at].rsplit([' ', '\n']).next().unwrap_or_default();
        if ATTRIBUTES.contains(&name) && !after.starts_with("//") {
            page.push_str(base.as_str());
        }
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Adds the base path to a redirect to this site.
pub(crate) fn in_headers(headers: &mut HeaderMap, base: &BasePath) {
    if base.is_none() {
        return;
    }
    let ours = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .filter(|path| path.starts_with('/') && !path.starts_with("//"));
    if let Some(location) = ours.and_then(|path| HeaderValue::try_from(format!("{base}{path}")).ok()) {
        headers.insert(header::LOCATION, location);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_routed_without_the_base_path_and_without_a_slash_at_the_end() {
        let base = BasePath::parse("/kastrel").unwrap();
        for (uri, routed_to) in [
            ("/kastrel", "/"),
            ("/kastrel/", "/"),
            ("/kastrel?x=1", "/?x=1"),
            ("/kastrel/scans", "/scans"),
            ("/kastrel/scans/", "/scans"),
            ("/kastrel/scans/?status=failed", "/scans?status=failed"),
            ("/kastrel/kastrel/x", "/kastrel/x"),
            ("/scans/1/", "/scans/1"),
            ("/scans", "/scans"),
            ("/", "/"),
            ("/kastrelx/", "/kastrelx"),
            ("/kastrel/scans/1/attempts/1/files/sub/", "/scans/1/attempts/1/files/sub/"),
            ("//", "/"),
            ("http://localhost/kastrel/scans/", "http://localhost/scans"),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(routed(&uri, &base).unwrap_or_else(|| uri.clone()).to_string(), routed_to, "{uri}");
        }
        assert_eq!(routed(&"/scans".parse().unwrap(), &BasePath::default()), None);
    }

    #[tokio::test]
    async fn base_path_is_added_to_urls_of_this_site_only() {
        let html = r#"<a class="x" href="/scans">/scans href=&#34;/x</a><form action="/new"><input value="/x" data-keep="/y"><a href="//evil" href="https://x/"><pre data-log-url="/api/x">"#;
        let changed = r#"<a class="x" href="/k/scans">/scans href=&#34;/x</a><form action="/k/new"><input value="/x" data-keep="/y"><a href="//evil" href="https://x/"><pre data-log-url="/k/api/x">"#;
        assert_eq!(in_page(html.to_owned()), html);
        let base = BasePath::parse("/k").unwrap();
        assert_eq!(
            under(base, async { (in_page(html.to_owned()), taken_off("/k/scans").to_owned()) }).await,
            (changed.to_owned(), "/scans".to_owned())
        );
    }
}
