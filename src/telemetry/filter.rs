//! What has no span: what programs and pages ask for again and again, and what lives as long as the process.

use tracing::{Level, Metadata};

/// The target of spans that become part of a trace. Nothing else does; so ractor's span of an actor, which ends when the actor does, never gets there.
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

/// Whether a request has a span. What changes something always has.
#[must_use]
pub fn is_traced(method: &str, route: &str) -> bool {
    !matches!(method, "GET" | "HEAD") || !POLLED.contains(&route)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_and_again_has_no_span() {
        for (method, route, expected) in [
            ("GET", "/api/scans/{id}/status", false),
            ("HEAD", "/livez", false),
            ("GET", "/assets/{name}", false),
            ("GET", "/api/events", false),
            ("GET", "/scans/{id}", true),
            ("GET", "", true),
            ("POST", "/api/scans", true),
            ("POST", "/api/queue", true),
        ] {
            assert_eq!(is_traced(method, route), expected, "{method} {route}");
        }
    }
}
