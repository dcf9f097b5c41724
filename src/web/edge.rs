//! The outermost layer: it reads the headers of trusted proxies, notes the scheme of the request,
//! removes and adds the base path, and sets the headers of every response.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tower::Layer;

use super::base_path;
use super::forwarded::{self, TrustedProxies};
use super::hosts::{host_of, without_port};
use crate::config::BasePath;
use crate::connections::OverTls;

/// How long a browser requests nothing but https from a server that speaks TLS itself: one year.
const HTTPS_ONLY: &str = "max-age=31536000";

/// The configuration of the layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    /// The base path of all routes.
    pub base: BasePath,
    /// The proxies whose headers are trusted.
    pub trusted: TrustedProxies,
}

/// Wraps a router in the layer, which runs before routing.
pub(crate) fn around(router: Router, edge: Edge) -> Router {
    Router::new().fallback_service(from_fn_with_state(edge, pass).layer(router))
}

async fn pass(State(edge): State<Edge>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let said = forwarded::read(request.headers_mut(), peer.map(|peer| peer.ip()), &edge.trusted);
    if let (Some(client), Some(peer)) = (said.client, peer) {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(client, peer.port())));
    }
    let is_direct = request.extensions().get::<OverTls>().is_some();
    if is_direct {
        forwarded::arrived_over_tls(request.headers_mut());
    }
    let is_https = forwarded::is_https(request.headers());
    let stays_https = is_direct && is_https && !names_localhost(request.uri(), request.headers());
    let base = said.base.unwrap_or(edge.base);
    if let Some(uri) = base_path::routed(request.uri(), &base) {
        *request.uri_mut() = uri;
    }
    let mut response = base_path::under(base.clone(), next.run(request)).await;
    let headers = response.headers_mut();
    base_path::in_headers(headers, &base);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if is_https {
        secure_cookies(headers);
    }
    if stays_https {
        headers.entry(header::STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static(HTTPS_ONLY));
    }
    response
}

/// Returns whether a request is for `localhost`. A browser applies `Strict-Transport-Security` to
/// all ports of a name, and other programs of the machine use that name too.
fn names_localhost(uri: &Uri, headers: &HeaderMap) -> bool {
    host_of(uri, headers).is_some_and(|host| without_port(host).eq_ignore_ascii_case("localhost"))
}

/// Adds `Secure` to the cookies of a response: a browser sends them back over https alone.
fn secure_cookies(headers: &mut HeaderMap) {
    for (name, cookie) in headers.iter_mut() {
        if *name != header::SET_COOKIE {
            continue;
        }
        let Ok(text) = cookie.to_str() else { continue };
        let is_secure = text.split(';').skip(1).any(|part| part.trim().eq_ignore_ascii_case("secure"));
        if !is_secure && let Ok(secure) = HeaderValue::try_from(format!("{text}; Secure")) {
            *cookie = secure;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::testing::{TestApp, header_of, json_of, text_of};

    #[tokio::test]
    async fn every_response_has_the_nosniff_and_resource_policy_headers() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["kast_report.html", "shot.png", "raw.json", "x.bin"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        let file = |name: &str| format!("/scans/1/attempts/1/files/{name}");
        let gets = [
            "/",
            "/nothing",
            "/scans",
            "/scans/1",
            "/new",
            "/settings",
            "/assets/app.css",
            "/assets/nothing",
            "/api/scans",
            "/api/scans/1",
            "/api/scans/1/status",
            "/api/scans/9/status",
            "/api/scans/1/events",
            "/api/events",
            "/api/scans/1/log",
            "/api/openapi.json",
            "/api/nothing",
            "/api/scans/export.csv",
            "/api/scans/export.json",
            "/api/backup",
            "/api/plugins",
            "/scans/1/files.zip",
            "/livez",
            "/readyz",
            "/metrics",
        ];
        let mut all: Vec<(String, Response)> = Vec::new();
        for path in gets.iter().map(ToString::to_string).chain([
            file("kast_report.html"),
            file("shot.png"),
            file("raw.json"),
            file("x.bin"),
            file("none"),
        ]) {
            for (method, headers) in [
                ("GET", &[][..]),
                ("GET", &[("host", "evil.example")]),
                ("GET", &[("host", "a@localhost")]),
                ("DELETE", &[]),
                ("HEAD", &[]),
            ] {
                all.push((format!("{method} {path} {headers:?}"), app.send(method, &path, headers, "").await));
            }
        }
        all.push(("a range".into(), app.send("GET", &file("raw.json"), &[("range", "bytes=7-")], "").await));
        all.push(("not modified".into(), app.send("GET", "/assets/app.css", &[("if-none-match", "*")], "").await));
        all.push(("a redirect".into(), app.post_form("/scans", "target=example.com").await));
        for (what, response) in all {
            let policy = header_of(&response, "cross-origin-resource-policy");
            assert_eq!(header_of(&response, "x-content-type-options"), "nosniff", "{what}");
            assert!(matches!(policy, "same-origin" | "cross-origin"), "{what}: {policy}");
            assert_eq!(
                policy == "cross-origin",
                what.contains("/files/shot.png") && response.status() == 200,
                "{what}"
            );
        }
    }

    /// Sends a request that arrived over TLS of this server.
    async fn over_tls(app: &TestApp, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let peer: SocketAddr = "127.0.0.1:4711".parse().unwrap();
        let mut request = Request::builder().method(method).uri(path).extension(OverTls).extension(ConnectInfo(peer));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.answer(request.body(body.to_owned().into()).unwrap()).await
    }

    #[tokio::test]
    async fn origin_of_a_request_over_tls_is_https() {
        let form = |origin| {
            [
                ("content-type", "application/x-www-form-urlencoded"),
                ("host", "scans.test:5000"),
                ("origin", origin),
                // No trusted proxy: what a client says does not count.
                ("x-forwarded-proto", "http"),
            ]
        };
        let app = TestApp::new();
        for (origin, status) in [
            ("https://scans.test:5000", 303),
            ("http://scans.test:5000", 403),
            ("https://scans.test:5001", 403),
            ("https://evil.example", 403),
        ] {
            let response = over_tls(&app, "POST", "/scans", &form(origin), "target=example.com").await;
            assert_eq!(response.status(), status, "{origin}");
        }
        let edge = Edge { trusted: TrustedProxies(vec!["127.0.0.1".parse().unwrap()]), ..Edge::default() };
        let behind = TestApp::with_edge(edge);
        let response = over_tls(&behind, "POST", "/scans", &form("http://scans.test:5000"), "target=example.com").await;
        assert_eq!(response.status(), 303, "a trusted proxy says that the browser used http");
    }

    #[tokio::test]
    async fn cookies_over_https_are_secure_and_own_tls_is_strict() {
        let headers = |host, scheme| {
            [
                ("content-type", "application/x-www-form-urlencoded"),
                ("sec-fetch-site", "same-origin"),
                ("host", host),
                ("x-forwarded-proto", scheme),
            ]
        };
        let edge = Edge { trusted: TrustedProxies(vec!["127.0.0.1".parse().unwrap()]), ..Edge::default() };
        let (app, behind) = (TestApp::new(), TestApp::with_edge(edge));
        let strict = "max-age=31536000";
        for (app, is_direct, host, scheme, is_secure, policy) in [
            (&app, true, "scans.test", "", true, strict),
            (&app, true, "localhost:5000", "", true, ""),
            (&app, false, "scans.test", "https", false, ""),
            (&behind, false, "scans.test", "https", true, ""),
            (&behind, false, "scans.test", "http", false, ""),
            (&behind, true, "scans.test", "https", true, strict),
            (&behind, true, "scans.test", "http", false, ""),
        ] {
            let headers = headers(host, scheme);
            let response = if is_direct {
                over_tls(app, "POST", "/theme", &headers, "theme=dark").await
            } else {
                app.send_from("127.0.0.1:4711", "POST", "/theme", &headers, "theme=dark").await
            };
            let cookie = header_of(&response, "set-cookie");
            assert_eq!(cookie.matches("; Secure").count(), usize::from(is_secure), "{host} {scheme}: {cookie}");
            assert_eq!(header_of(&response, "strict-transport-security"), policy, "{host} {scheme}");
        }
        let mut headers = HeaderMap::new();
        for cookie in ["a=1; Path=/; secure", "b=secure", "c=3"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        secure_cookies(&mut headers);
        let cookies: Vec<&str> =
            headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap()).collect();
        assert_eq!(cookies, ["a=1; Path=/; secure", "b=secure; Secure", "c=3; Secure"]);
    }

    #[tokio::test]
    async fn trailing_slash_is_ignored() {
        let app = TestApp::new();
        app.running("example.com").await;
        for path in
            ["/scans/", "/scans/1/", "/new/", "/api/scans/", "/api/scans/1/status/", "/livez/", "/settings/?x=1"]
        {
            assert_eq!(app.get(path).await.status(), 200, "{path}");
        }
        assert_eq!(app.post_form("/scans/", "target=example.com").await.status(), 303);
        for path in ["//evil.example/", "//", "/nothing/"] {
            let response = app.get(path).await;
            assert!(
                matches!(response.status().as_u16(), 200 | 404) && header_of(&response, "location").is_empty(),
                "{path}"
            );
        }
    }

    #[tokio::test]
    async fn without_a_base_path_cookies_are_for_all_pages() {
        let app = TestApp::new();
        for (path, body) in [("/theme", "theme=dark"), ("/zone", "zone=Pacific%2FAuckland"), ("/zone", "zone=local")] {
            let cookie = header_of(&app.post_form(path, body).await, "set-cookie").to_owned();
            assert!(cookie.contains("; Path=/; "), "{path}: {cookie}");
        }
    }

    /// Returns the URLs of a page that begin at the root. The value of a form field is not one of
    /// them: the browser sends it back, and the server validates it then.
    fn addresses(html: &str) -> Vec<&str> {
        let parts: Vec<&str> = html.split("=\"/").collect();
        let addresses = parts.windows(2).filter(|pair| !pair[0].ends_with(" value"));
        addresses.map(|pair| pair[1].split('"').next().unwrap()).collect()
    }

    #[tokio::test]
    async fn under_a_base_path_every_link_form_and_redirect_is_under_it() {
        let edge = Edge { base: BasePath::parse("/kastrel").unwrap(), ..Edge::default() };
        let app = TestApp::with_edge(edge);
        app.load_catalogue();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("kast_report.html"), "<a href=\"/own\">").unwrap();
        std::fs::write(folder.join("kast.log"), "line\n").unwrap();
        for path in [
            "/kastrel",
            "/kastrel/",
            "/kastrel/scans",
            "/kastrel/scans/1",
            "/kastrel/scans/1/report",
            "/kastrel/scans/1/log",
            "/kastrel/scans/1/files",
            "/kastrel/scans/1/trace",
            "/kastrel/scans/1/delete",
            "/kastrel/new?target=%22/x",
            "/kastrel/settings",
            "/kastrel/supervision",
            "/kastrel/nothing",
            "/kastrel/scans/1/attempts/1/view/kast_report.html",
            // A request from a proxy that removes the prefix.
            "/scans",
        ] {
            let response = app.get(path).await;
            let html = text_of(response).await;
            let found = addresses(&html);
            assert!(found.len() > 5, "{path}: {html}");
            for address in found {
                assert!(address.starts_with("kastrel/"), "{path}: /{address}");
            }
            assert!(!html.contains("/kastrel/kastrel"), "{path}");
        }
        let file = app.get("/kastrel/scans/1/attempts/1/files/kast_report.html").await;
        assert!(
            header_of(&file, "content-security-policy").contains("localhost:5000/kastrel/scans/1/attempts/1/files/ ")
        );
        assert_eq!(text_of(file).await, "<a href=\"/own\">", "a file is as it is");
        for (path, body, location) in [
            ("/kastrel/scans", "target=example.com", "/kastrel/scans/2?submitted=1"),
            ("/kastrel/queue/pause", "", "/kastrel/supervision"),
            ("/scans/1/cancel", "", "/kastrel/scans/1?notice="),
        ] {
            let response = app.post_form(path, body).await;
            assert!(
                response.status() == 303 && header_of(&response, "location").starts_with(location),
                "{path}: {response:?}"
            );
        }
        let theme = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("referer", "http://localhost:5000/kastrel/scans?status=failed"),
        ];
        assert_eq!(
            header_of(&app.send("POST", "/kastrel/theme", &theme, "theme=dark").await, "location"),
            "/kastrel/scans?status=failed"
        );
        for (path, body) in
            [("/kastrel/theme", "theme=dark"), ("/kastrel/zone", "zone=Pacific%2FAuckland"), ("/zone", "zone=local")]
        {
            let cookie = header_of(&app.post_form(path, body).await, "set-cookie").to_owned();
            assert!(cookie.contains("; Path=/kastrel; "), "{path}: {cookie}");
        }
        let accepted = app
            .send("POST", "/kastrel/api/scans", &[("content-type", "application/json")], r#"{"target":"example.com"}"#)
            .await;
        assert_eq!((accepted.status().as_u16(), header_of(&accepted, "location")), (201, "/kastrel/api/scans/3"));
        assert_eq!(json_of(app.get("/kastrel/api/openapi.json").await).await["servers"][0]["url"], "/kastrel");
        assert_eq!(app.get("/kastrel/livez").await.status(), 200);
    }

    #[tokio::test]
    async fn a_proxy_that_drops_the_port_breaks_no_form() {
        let app = TestApp::new();
        let form =
            |host, origin| [("content-type", "application/x-www-form-urlencoded"), ("host", host), ("origin", origin)];
        for (host, origin, status) in [
            ("scans.test", "http://scans.test:8080", 303),
            ("scans.test", "https://scans.test:8443", 303),
            ("scans.test:8080", "http://scans.test:8080", 303),
            ("127.0.0.1:5000", "http://scans.test:8080", 303),
            ("scans.test", "http://evil.example", 403),
            ("evil.example", "http://evil.example", 421),
        ] {
            assert_eq!(
                app.send("POST", "/scans", &form(host, origin), "target=example.com&mode=passive").await.status(),
                status,
                "{host} {origin}"
            );
        }
    }

    #[tokio::test]
    async fn a_trusted_proxy_says_host_client_and_prefix() {
        let edge = Edge { trusted: TrustedProxies(vec!["127.0.0.1".parse().unwrap()]), ..Edge::default() };
        let app = TestApp::with_edge(edge);
        let said = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("host", "127.0.0.1:5000"),
            ("origin", "https://scans.test"),
            ("x-forwarded-host", "scans.test"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/kastrel"),
            ("x-forwarded-for", "203.0.113.7"),
        ];
        let from = async |peer: &str| app.send_from(peer, "POST", "/scans", &said, "target=example.com").await;
        let trusted = from("127.0.0.1:4711").await;
        assert_eq!((trusted.status().as_u16(), header_of(&trusted, "location")), (303, "/kastrel/scans/1?submitted=1"));
        let other = from("127.0.0.2:4711").await;
        assert_eq!(header_of(&other, "location"), "/scans/2?submitted=1", "what it says counts for nothing");
        let strange = [("host", "127.0.0.1:5000"), ("x-forwarded-host", "evil.example")];
        assert_eq!(app.send_from("127.0.0.1:4711", "GET", "/", &strange, "").await.status(), 421);
        let two = [("host", "127.0.0.1:5000"), ("x-forwarded-host", "a@scans.test")];
        assert_eq!(app.send_from("127.0.0.1:4711", "GET", "/", &two, "").await.status(), 400);
    }
}
