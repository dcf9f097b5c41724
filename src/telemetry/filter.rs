//! What has no span: what programs and pages ask for again and again, and what lives as long as the
//! process.

use tracing::{Level, Metadata};

/// The target of spans that become part of a trace. Nothing else does; so ractor's span of an
/// actor, which ends when the actor does, never gets there.
pub(crate) const TARGET: &str = "kastrel::trace";

/// Whether a span of the program is one of a trace.
pub(super) fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET && *metadata.level() <= Level::INFO
}

/// Routes that are asked for again and again while nothing happens.
const POLLED: &[&str] = &[
    "/livez",
    "/readyz",
    "/metrics",
    "/assets/{name}",
    "/api/events",
    "/api/openapi.json",
    "/api/stats",
    "/api/queue",
    "/api/nodes",
    "/api/supervision",
    "/api/scans/{id}/status",
    "/api/scans/{id}/events",
    "/api/scans/{id}/log",
];

/// What is asked for while somebody types; it changes nothing, although its method might.
const TYPED: &str = "/new/preview";

/// Whether a request has a span. What changes something always has; `is_poll`: a page asks for
/// itself again, to stay true.
#[must_use]
pub fn is_traced(method: &str, route: &str, is_poll: bool) -> bool {
    match method {
        "GET" | "HEAD" => !is_poll && !POLLED.contains(&route),
        _ => route != TYPED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_and_again_has_no_span() {
        for (method, route, is_poll, expected) in [
            ("GET", "/api/scans/{id}/status", false, false),
            ("HEAD", "/livez", false, false),
            ("GET", "/assets/{name}", false, false),
            ("GET", "/api/events", false, false),
            ("GET", "/scans/{id}", false, true),
            ("GET", "/scans/{id}", true, false),
            ("GET", "", false, true),
            ("POST", "/api/scans", false, true),
            ("POST", "/api/scans", true, true),
            ("POST", "/api/queue", false, true),
            ("POST", "/new/preview", false, false),
        ] {
            assert_eq!(is_traced(method, route, is_poll), expected, "{method} {route} {is_poll}");
        }
    }
}
