//! `cors_policy`: the landing page's response to requests from foreign origins (Fetch standard,
//! "CORS protocol").

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use crate::http::joined;
use crate::issues;
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;

static META: Meta = Meta {
    name: "cors_policy",
    display_name: "CORS Policy",
    description: "Asks for the landing page as a foreign origin, a look-alike origin and the null origin, and judges what the answers permit.",
    website_url: "https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/CORS",
    priority: 40,
};

/// The plugin.
#[derive(Debug)]
pub struct CorsPolicy;

#[async_trait]
impl Plugin for CorsPolicy {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        let (client, landing) = match (scan.client().await, scan.landing().await) {
            (Ok(client), Ok(landing)) => (client, landing),
            (Err(reason), _) | (_, Err(reason)) => return Outcome::Failed(reason),
        };
        let url = landing.url();
        let mut report = Report::default();
        for origin in origins(&scan.target.host().to_string()) {
            let page = match client.get(url, &[("Origin", &origin)]).await {
                Ok(page) => page,
                Err(error) => return Outcome::Failed(format!("with Origin {origin}: {error}")),
            };
            let allowed = page.header("access-control-allow-origin");
            report.observations.push(format!(
                "Origin {origin}: {}",
                allowed
                    .map_or_else(|| "not allowed".to_owned(), |value| format!("Access-Control-Allow-Origin: {value}"))
            ));
            for finding in judge(&origin, &page.headers, url.as_str()) {
                // The same fault shows for every origin. It is one finding and is reported once.
                if !report.findings.iter().any(|known: &Finding| known.issue == finding.issue) {
                    report.findings.push(finding);
                }
            }
        }
        report.headline = format!("{} foreign origins tried at {url}", report.observations.len());
        Outcome::Done(report)
    }
}

/// Returns the origins to try: an unrelated one, two that pass a prefix or suffix comparison, and
/// `null`. The `.invalid` names do not exist (RFC 2606).
#[must_use]
pub fn origins(host: &str) -> Vec<String> {
    let mut list = vec!["https://kastrel-scanner.invalid".to_owned()];
    if host.bytes().any(|byte| byte.is_ascii_alphabetic()) && !host.starts_with('[') {
        list.push(format!("https://{host}.kastrel-scanner.invalid"));
        list.push(format!("https://kastrel-scanner-{host}"));
    }
    list.push("null".to_owned());
    list
}

/// Checks the response to a request that carried `origin`.
#[must_use]
pub fn judge(origin: &str, headers: &HeaderMap, url: &str) -> Vec<Finding> {
    let Some(allowed) = joined(headers, "access-control-allow-origin") else { return Vec::new() };
    // Only the exact word counts; browsers compare it byte by byte.
    let credentials = joined(headers, "access-control-allow-credentials").as_deref() == Some("true");
    let evidence = format!(
        "Origin: {origin} was answered with Access-Control-Allow-Origin: {allowed}{}",
        if credentials { " and Access-Control-Allow-Credentials: true" } else { "" }
    );
    let issue = match (allowed.as_str(), credentials) {
        ("*", false) => &issues::CORS_WILDCARD,
        ("*", true) => &issues::CORS_WILDCARD_CREDENTIALS,
        ("null", true) if origin == "null" => &issues::CORS_NULL_CREDENTIALS,
        ("null", false) if origin == "null" => &issues::CORS_NULL,
        (value, true) if value == origin => &issues::CORS_REFLECT_CREDENTIALS,
        (value, false) if value == origin => &issues::CORS_REFLECT,
        // A fixed origin that differs from the request's origin permits nothing.
        _ => return Vec::new(),
    };
    let mut findings = vec![Finding::new(issue, url, evidence)];
    let varies = joined(headers, "vary").is_some_and(|vary| {
        vary.split(',').any(|word| word.trim().eq_ignore_ascii_case("origin") || word.trim() == "*")
    });
    if allowed != "*" && !varies {
        findings.push(Finding::new(
            &issues::CORS_NO_VARY,
            url,
            "the answer changes with Origin, and Vary does not name it",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn ids(origin: &str, list: &[(&str, &str)]) -> Vec<&'static str> {
        let headers: HeaderMap = list
            .iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()))
            .collect();
        judge(origin, &headers, "u").iter().map(|finding| finding.issue.id).collect()
    }

    #[test]
    fn cors_findings_match_the_table() {
        const ACAO: &str = "access-control-allow-origin";
        const ACAC: &str = "access-control-allow-credentials";
        let evil = "https://evil.test";
        assert_eq!(ids(evil, &[]), Vec::<&str>::new());
        assert_eq!(ids(evil, &[(ACAO, "https://friend.test"), (ACAC, "true")]), Vec::<&str>::new());
        assert_eq!(ids(evil, &[(ACAO, "null")]), Vec::<&str>::new());
        assert_eq!(ids(evil, &[(ACAO, "*")]), ["cors_wildcard"]);
        assert_eq!(ids(evil, &[(ACAO, "*"), (ACAC, "true")]), ["cors_wildcard_with_credentials"]);
        assert_eq!(ids(evil, &[(ACAO, evil), ("vary", "Accept, origin")]), ["cors_reflects_origin"]);
        assert_eq!(
            ids(evil, &[(ACAO, evil), (ACAC, "true"), ("vary", "Origin")]),
            ["cors_reflects_origin_with_credentials"]
        );
        assert_eq!(ids(evil, &[(ACAO, evil), (ACAC, "True")]), ["cors_reflects_origin", "cors_missing_vary"]);
        assert_eq!(ids("null", &[(ACAO, "null"), ("vary", "Origin")]), ["cors_null_origin"]);
        assert_eq!(
            ids("null", &[(ACAO, "null"), (ACAC, "true"), ("vary", "*")]),
            ["cors_null_origin_with_credentials"]
        );
    }

    #[test]
    fn look_alike_origins_exist_for_names_only() {
        assert_eq!(origins("a.test").len(), 4);
        assert_eq!(origins("127.0.0.1").len(), 2);
        assert_eq!(origins("[::1]").len(), 2);
    }
}
