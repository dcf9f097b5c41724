//! The outermost layer: it reads the headers of trusted proxies, removes and adds the base path,
//! and sets the headers of every response.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tower::Layer;

use super::base_path;
use super::forwarded::{self, TrustedProxies};
use crate::config::BasePath;

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
    response
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
