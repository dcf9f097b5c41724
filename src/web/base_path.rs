//! The path that the dashboard and the API are under, where a proxy does not give them a host name
//! of their own.
//!
//! Inside, all paths begin at the root. The path is taken off a request before it is routed, and
//! put before every link, form and redirect on the way out. It is known to what runs within the
//! request, so that nothing has to hand it on.

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

use crate::config::BasePath;

tokio::task_local! {
    static CURRENT: BasePath;
}

/// The base path of the request that is being answered.
pub(crate) fn current() -> BasePath {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// The path for which a browser keeps our cookies: with other programs on the same host, each has
/// its own.
pub(crate) fn of_cookies() -> String {
    let base = current();
    if base.is_none() { "/".to_owned() } else { base.to_string() }
}

/// Answers a request under a base path.
pub(crate) async fn under<T>(base: BasePath, answer: impl Future<Output = T>) -> T {
    if base.is_none() { answer.await } else { CURRENT.scope(base, answer).await }
}

/// A path of ours as it comes from outside, such as that of a `Referer`.
pub(crate) fn taken_off(path: &str) -> &str {
    // The part of `path` that is left lives as long as `path` does.
    CURRENT.try_with(|base| base.off(path)).unwrap_or(path)
}

/// The address to route by: without the base path, and without a slash at its end, which people add
/// and which means the same.
pub(crate) fn routed(uri: &Uri, base: &BasePath) -> Option<Uri> {
    let path = base.off(uri.path());
    // The path of a file is the file's own.
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

/// The attributes of our pages that hold an address.
const ATTRIBUTES: &[&str] = &["href", "src", "action", "formaction", "data-events", "data-log-url", "data-preview-url"];

/// A page with the base path before each address that begins at the root. A quote in what users or
/// scanned sites wrote is escaped, so that `="/` only stands where a template has it.
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

/// Puts the base path before a redirect of ours.
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
    async fn only_addresses_of_ours_are_changed() {
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
