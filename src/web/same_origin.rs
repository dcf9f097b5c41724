//! Protection against cross-site requests: a request that changes something must come from our own
//! pages, or from a program that no web page controls.

use axum::http::{HeaderMap, Method, Uri, header};

use super::error::is_for_programs;
use super::forwarded::FORWARDED_PROTO;
use super::hosts::{HostRule, host_of, without_port};
use super::shared_path::is_shared_file;

/// The header in which a browser sends the relation between the requesting page and the requested
/// site.
const SITE: &str = "sec-fetch-site";

/// Returns whether a request may change something.
pub(crate) fn is_proven(method: &Method, uri: &Uri, headers: &HeaderMap, hosts: &HostRule) -> bool {
    if method.is_safe() {
        return true;
    }
    if let Some(site) = text(headers, SITE) {
        return matches!(site, "same-origin" | "none");
    }
    if let Some(origin) = text(headers, header::ORIGIN.as_str()) {
        let scheme = text(headers, FORWARDED_PROTO);
        return host_of(uri, headers).is_some_and(|host| is_same(origin, scheme, host, hosts));
    }
    // No current browser sends such a request for another site without these headers, and an old
    // one can only send it as a form.
    is_for_programs(uri.path()) && text(headers, header::CONTENT_TYPE.as_str()).is_none_or(is_json)
}

/// Returns whether a safe request may get its response. A page of another site may link to our
/// pages, but must not load anything of them: an image tag alone would take the only slot for
/// backups, and the result and the duration of a load would give that site information.
pub(crate) fn may_be_seen(uri: &Uri, headers: &HeaderMap, hosts: &HostRule) -> bool {
    let Some(site) = text(headers, SITE) else {
        return uri.path() != BACKUP || is_no_foreign_page(uri, headers, hosts);
    };
    if matches!(site, "same-origin" | "none") {
        return true;
    }
    let (mode, destination) =
        (text(headers, "sec-fetch-mode").unwrap_or_default(), text(headers, "sec-fetch-dest").unwrap_or_default());
    // Browsers of some years ago send no destination.
    if mode == "navigate" && matches!(destination, "document" | "") {
        return uri.path() != BACKUP;
    }
    // A report is shown in a sandbox, which the browser regards as another site, and loads the
    // files beside it. Other pages cannot frame these files, and can only show them as images.
    is_file_of_attempt(uri.path()) && matches!(destination, "iframe" | "image" | "style" | "font")
}

/// Returns whether a request without `Sec-Fetch-Site` comes from no page of another site. Browsers
/// omit that header for a plain `http` address of another machine. But they send `Accept-Language`,
/// which programs do not, and `Referer`, unless the page forbids it.
fn is_no_foreign_page(uri: &Uri, headers: &HeaderMap, hosts: &HostRule) -> bool {
    let Some(referer) = text(headers, header::REFERER.as_str()) else {
        return !headers.contains_key(header::ACCEPT_LANGUAGE);
    };
    let origin = url::Url::parse(referer).ok().map(|page| page.origin().ascii_serialization());
    let scheme = text(headers, FORWARDED_PROTO);
    origin.is_some_and(|origin| host_of(uri, headers).is_some_and(|host| is_same(&origin, scheme, host, hosts)))
}

/// The path of the backup, to which other sites may not even link: it downloads the complete
/// database.
const BACKUP: &str = "/api/backup";

/// Returns whether a path is that of a file of an attempt, also by a public link.
pub(crate) fn is_file_of_attempt(path: &str) -> bool {
    let of_scan = path.strip_prefix("/scans/").and_then(|rest| rest.split_once("/attempts/"));
    of_scan.is_some_and(|(_, rest)| rest.contains("/files/")) || is_shared_file(path)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// Returns whether a content type is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Returns whether an origin is our own. `scheme` is that of the browser's request, if a trusted
/// proxy sends it.
///
/// A proxy may omit the public port (`Host $host`), or send our own address as the host. Then only
/// the name decides, and it must be listed in server.allowed_hosts.
fn is_same(origin: &str, scheme: Option<&str>, host: &str, hosts: &HostRule) -> bool {
    let Some((of_origin, rest)) =
        origin.split_once("://").filter(|(of_origin, _)| matches!(*of_origin, "http" | "https"))
    else {
        // This includes `null`, the origin of sandboxed frames.
        return false;
    };
    if rest.is_empty() || scheme.is_some_and(|scheme| scheme != of_origin) {
        return false;
    }
    let port = if of_origin == "http" { ":80" } else { ":443" };
    let bare = |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
    if bare(rest) == bare(host) {
        return true;
    }
    let (name, host_name) = (without_port(rest), without_port(host));
    let hides_port = host_name == host || hosts.is_own_address(host);
    hides_port
        && hosts.hides_ports()
        && hosts.has_name(name)
        && (name.eq_ignore_ascii_case(host_name) || hosts.is_own_address(host))
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::web::testing::TestApp;

    fn rule(port: u16) -> HostRule {
        HostRule { loopback: true, names: vec!["scans.test".into()], port }
    }

    fn proven(path: &str, pairs: &[(&'static str, &str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        is_proven(&Method::POST, &path.parse().unwrap(), &headers, &rule(5000))
    }

    #[test]
    fn browser_request_must_prove_its_origin() {
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
    fn proxy_may_omit_the_port_of_a_configured_name() {
        for (origin, host, ours) in [
            ("http://scans.test:8080", "scans.test", true),
            ("https://SCANS.test:8443", "scans.test", true),
            ("http://scans.test", "scans.test", true),
            ("http://scans.test:8080", "scans.test:8080", true),
            // If a browser sends a port, the port counts.
            ("http://scans.test:8080", "scans.test:9090", false),
            ("http://scans.test:8080", "scans.test:5000", false),
            // nginx without a `Host` line sends our own address as the host.
            ("http://scans.test:8080", "127.0.0.1:5000", true),
            ("http://scans.test:8080", "localhost:5000", true),
            ("http://scans.test:8080", "127.0.0.1:5001", false),
            // Only configured names are accepted.
            ("http://other.test:8080", "other.test", false),
            ("http://other.test:8080", "scans.test", false),
            ("http://localhost:8080", "localhost", false),
            ("http://localhost:8080", "localhost:5000", false),
            ("http://scans.test.evil.example", "scans.test", false),
            ("http://evil.example", "127.0.0.1:5000", false),
            ("null", "scans.test", false),
            ("file://scans.test", "scans.test", false),
        ] {
            assert_eq!(is_same(origin, None, host, &rule(5000)), ours, "{origin} {host}");
        }
        // If the server's port is a default port, which browsers omit, a `Host` without a port is
        // the browser's own.
        assert!(!is_same("http://scans.test:8080", None, "scans.test", &rule(80)));
        assert!(
            is_same("https://scans.test", Some("https"), "scans.test", &rule(5000))
                && !is_same("http://scans.test", Some("https"), "scans.test", &rule(5000))
        );
    }

    #[test]
    fn other_sites_may_link_but_not_load() {
        let seen = |path: &str, site: &str, mode: &str, destination: &str| {
            let pairs = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)];
            let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
            let headers = pairs
                .map(|(name, value)| (axum::http::HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            may_be_seen(&path.parse().unwrap(), &headers, &rule(5000))
        };
        let file = "/scans/1/attempts/1/files/shot.png";
        for path in ["/", "/scans/1", "/api/backup", "/api/scans", "/scans/1/files.zip", "/api/scans/1/events", file] {
            assert!(
                seen(path, "", "", "")
                    && seen(path, "same-origin", "cors", "empty")
                    && seen(path, "none", "navigate", "document"),
                "{path}"
            );
            for site in ["cross-site", "same-site"] {
                assert_eq!(seen(path, site, "navigate", "document"), path != "/api/backup", "{path}");
                for (mode, destination) in [
                    ("no-cors", "script"),
                    ("cors", "empty"),
                    ("no-cors", "object"),
                    ("no-cors", "video"),
                    ("", ""),
                    ("no-cors", "empty"),
                ] {
                    assert!(!seen(path, site, mode, destination), "{path} {mode} {destination}");
                }
                for (mode, destination) in
                    [("no-cors", "image"), ("navigate", "iframe"), ("no-cors", "style"), ("cors", "font")]
                {
                    assert_eq!(seen(path, site, mode, destination), path == file, "{path} {mode} {destination}");
                }
            }
        }
        assert!(!is_file_of_attempt("/scans/1/attempts/1/view/a.png") && !is_file_of_attempt("/api/scans/1/log"));
    }

    #[tokio::test]
    async fn an_image_tag_of_another_site_starts_no_backup() {
        let app = TestApp::new();
        let tag = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        for path in ["/api/backup", "/api/scans/export.csv", "/api/scans", "/scans", "/api/scans/1/status", "/metrics"]
        {
            assert_eq!(app.send("GET", path, &tag, "").await.status(), StatusCode::FORBIDDEN, "{path}");
        }
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(app.send("GET", "/api/backup", &link, "").await.status(), StatusCode::FORBIDDEN);
        assert_eq!(app.send("GET", "/scans", &link, "").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn browser_without_sec_fetch_site_starts_no_backup_for_another_site() {
        let languages = ("accept-language", "en");
        for (headers, status) in [
            (&[][..], 200),
            (&[("user-agent", "curl/8.14.1"), ("accept", "*/*")], 200),
            (&[languages], 403),
            (&[languages, ("referer", "http://evil.example/page")], 403),
            (&[("referer", "http://evil.example/page")], 403),
            (&[("referer", "https://localhost:5001/")], 403),
            (&[("referer", "nonsense")], 403),
            (&[languages, ("referer", "http://localhost:5000/settings?x=1")], 200),
            (
                &[
                    languages,
                    ("sec-fetch-site", "none"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                200,
            ),
        ] {
            // Only one backup can run at a time, so each case has its own server.
            assert_eq!(TestApp::new().send("GET", "/api/backup", headers, "").await.status(), status, "{headers:?}");
        }
        assert_eq!(TestApp::new().send("GET", "/api/scans", &[languages], "").await.status(), 200);
    }

    #[tokio::test]
    async fn a_refusal_names_both_values_and_the_header() {
        let response =
            TestApp::new().send("POST", "/scans", &[("origin", "http://other.test:8080")], "target=example.com").await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let page = crate::web::testing::text_of(response).await;
        for part in
            ["http://other.test:8080", "localhost:5000", "proxy_set_header Host $http_host", "server.allowed_hosts"]
        {
            assert!(page.contains(part), "{part}: {page}");
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
