//! The limits of requests, and the permits that are reserved for health checks.

use std::time::Duration;

use axum::extract::Request;
use axum::http::Version;

use super::hosts::named_hosts;
use crate::config::BasePath;
use crate::connections::ReservedUse;

/// The liveness check, which needs no permit.
const LIVENESS: &str = "/livez";
/// The checks that have permits of their own. Commands request the proof to find out whether this
/// is the server of their data folder.
const HEALTH_CHECKS: &[&str] = &["/readyz", "/api/proof"];

/// The limits of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// How many requests are handled in parallel.
    pub requests: usize,
    /// The deadline for the begin of a response.
    pub timeout: Duration,
    /// How long a body may take, in addition to the time for its size.
    pub body_timeout: Duration,
    /// How many event streams may be open.
    pub event_streams: usize,
    /// How often an idle event stream sends a keep-alive comment.
    pub keep_alive: Duration,
    /// How much memory the bodies that are being received may use together, not counting the first
    /// bytes of each; at least that of four bodies.
    pub arriving_bytes: usize,
    /// How many health checks are handled in parallel; the others wait.
    pub health_checks: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            requests: 512,
            timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(10),
            event_streams: 512,
            keep_alive: Duration::from_secs(15),
            arriving_bytes: 64 << 20,
            health_checks: 16,
        }
    }
}

/// Returns which of the permits and connections that are reserved for health checks a path may use.
/// A process under load must not look dead.
pub(crate) fn reserved_use(path: &str) -> ReservedUse {
    match path {
        LIVENESS => ReservedUse::Liveness,
        path if HEALTH_CHECKS.contains(&path) => ReservedUse::Health,
        _ => ReservedUse::Nothing,
    }
}

/// The same for the path of a request before routing, with or without the base path.
pub fn reserved_use_under(base: &BasePath, path: &str) -> ReservedUse {
    let path = base.off(path);
    reserved_use(path.strip_suffix('/').unwrap_or(path))
}

/// Returns whether a request is an HTTP/1.0 health check, which needs no `Host`. Load balancers
/// send such requests. Browsers do not, so no page of another site can.
pub(crate) fn is_old_health_check(request: &Request) -> bool {
    let is_check = reserved_use(request.uri().path()) != ReservedUse::Nothing;
    is_check && request.method().is_safe() && request.version() <= Version::HTTP_10 && named_hosts(request) == 0
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::web::testing::TestApp;

    #[tokio::test]
    async fn an_old_health_check_needs_no_host() {
        let app = TestApp::new();
        for (version, path, hosts, status) in [
            (Version::HTTP_10, "/livez", &[][..], 200),
            (Version::HTTP_09, "/livez", &[], 200),
            (Version::HTTP_10, "/livez", &["localhost"], 200),
            (Version::HTTP_11, "/livez", &[], 400),
            (Version::HTTP_10, "/livez", &["a@localhost"], 400),
            (Version::HTTP_10, "/livez", &["localhost", "localhost"], 400),
            (Version::HTTP_10, "/livez", &["evil.example"], 421),
            (Version::HTTP_10, "/", &[], 400),
            (Version::HTTP_10, "/api/scans", &[], 400),
            (Version::HTTP_10, "/api/scans/1/status", &[], 400),
        ] {
            let mut request = Request::builder().uri(path).version(version);
            for host in hosts {
                request = request.header("host", *host);
            }
            assert_eq!(
                app.answer(request.body(Body::empty()).unwrap()).await.status(),
                status,
                "{version:?} {path} {hosts:?}"
            );
        }
    }

    #[test]
    fn only_health_checks_use_the_reserved_permits() {
        let (none, base) = (BasePath::default(), BasePath::parse("/kastrel").unwrap());
        for (base, path, expected) in [
            (&none, "/livez", ReservedUse::Liveness),
            (&none, "/livez/", ReservedUse::Liveness),
            (&none, "/readyz", ReservedUse::Health),
            (&none, "/api/proof", ReservedUse::Health),
            (&base, "/kastrel/livez", ReservedUse::Liveness),
            (&base, "/livez", ReservedUse::Liveness),
            (&base, "/kastrel/readyz/", ReservedUse::Health),
            (&none, "/kastrel/livez", ReservedUse::Nothing),
            (&base, "/other/livez", ReservedUse::Nothing),
            (&none, "/scans/1/attempts/1/files/livez", ReservedUse::Nothing),
            (&none, "/livezz", ReservedUse::Nothing),
            (&none, "/", ReservedUse::Nothing),
            (&none, "", ReservedUse::Nothing),
        ] {
            assert_eq!(reserved_use_under(base, path), expected, "{base:?} {path}");
        }
    }
}
