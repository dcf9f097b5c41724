//! Decides what is not traced: polling requests, and spans that live as long as the process; and
//! which log records are not exported.

use tracing::{Level, Metadata};

/// The target of spans that become part of a trace. Other targets are excluded, such as ractor's
/// span of an actor, which ends only when the actor does.
pub(crate) const TARGET: &str = "kastrel::trace";

/// True if a `tracing` span becomes part of a trace.
pub(super) fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET && *metadata.level() <= Level::INFO
}

/// The target of log records with a secret: they are lines of the log, and are not exported.
pub(crate) const LOCAL_ONLY: &str = "kastrel::local_only";

/// True if the log records of a target are exported: Kastrel's own, because an exporter that logs
/// must not create more records to export.
pub(super) fn is_exported(target: &str) -> bool {
    target.starts_with("kastrel") && target != LOCAL_ONLY
}

/// The routes that clients poll.
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
    "/scans/{id}/live",
];

/// The route of the preview while the user types. It changes nothing, although its method is not
/// GET.
const TYPED: &str = "/new/preview";

/// True if a request has a span. Every request that changes data has one. `is_poll` marks the
/// periodic refresh of a page.
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
    fn records_with_a_secret_and_those_of_libraries_are_not_exported() {
        for (target, expected) in
            [("kastrel::app", true), ("kastrel_actors::live", true), ("opentelemetry", false), (LOCAL_ONLY, false)]
        {
            assert_eq!(is_exported(target), expected, "{target}");
        }
    }

    #[test]
    fn polled_requests_have_no_span() {
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
