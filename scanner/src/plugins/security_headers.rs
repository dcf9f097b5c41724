//! `http_headers`: the security headers of the landing page, and a grade.

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use crate::http::joined;
use crate::issues::{self, Severity};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report, clip};
use crate::scan::Scan;
use crate::target::{Redirect, judge_redirect};

static META: Meta = Meta {
    name: "http_headers",
    display_name: "Security Headers",
    description: "Grades the security headers of the landing page and checks that plain HTTP leads to HTTPS.",
    website_url: "https://owasp.org/www-project-secure-headers/",
    priority: 10,
};

/// HSTS policies shorter than this are worth a finding: 180 days, in seconds.
const HSTS_ENOUGH_SECONDS: u64 = 15_552_000;

/// The plugin.
#[derive(Debug)]
pub struct HttpHeaders;

#[async_trait]
impl Plugin for HttpHeaders {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        let landing = match scan.landing().await {
            Ok(landing) => landing,
            Err(reason) => return Outcome::Failed(reason),
        };
        let page = landing.visit.page();
        let url = page.url.as_str();
        let context = Context { https: landing.is_https(), ip_host: scan.target.ip().is_some() };
        let mut report = Report { findings: judge(&page.headers, context, url), ..Report::default() };
        let grade = grade(&report.findings);
        report.headline = format!("Grade {grade} for {url} (HTTP {})", page.status);
        if let Some(place) = &landing.visit.left_for {
            report.findings = of_redirect(report.findings, place);
            report.headline = format!("No page to grade: {url} redirects to {}, which was not scanned", clip(place, 200));
            report.findings.push(Finding::new(&issues::REDIRECT_OFF_HOST, url, format!("HTTP {} with Location {place}", page.status)));
        }
        report.observations = present(&page.headers);
        if landing.is_https() {
            match redirect_check(scan).await {
                Some(Ok(finding)) => report.findings.extend(finding),
                Some(Err(reason)) => report.observations.push(format!("plain HTTP was not checked: {reason}")),
                None => {}
            }
        }
        Outcome::Done(report)
    }
}

/// Whether plain HTTP on port 80 leads to HTTPS; `None` where the target names one port and the other is out of bounds.
async fn redirect_check(scan: &Scan) -> Option<Result<Option<Finding>, String>> {
    let url = scan.target.plain_sibling()?;
    let client = match scan.client().await {
        Ok(client) => client,
        Err(reason) => return Some(Err(reason)),
    };
    Some(match client.get(&url, &[]).await {
        Ok(page) => {
            let location = page.header("location").unwrap_or_default();
            let upgraded = (300..400).contains(&page.status)
                && match judge_redirect(&url, &location) {
                    Redirect::Follow(to) => to.scheme() == "https",
                    Redirect::Leaves(place) => place.starts_with("https://"),
                    Redirect::Unreadable(_) => false,
                };
            Ok((!upgraded).then(|| Finding::new(&issues::HTTP_NOT_REDIRECTED, url.as_str(), format!("HTTP {} without a redirect to HTTPS", page.status))))
        }
        Err(error) => Err(error.to_string()),
    })
}

/// What remains of the findings where the answer is only a redirect away: it shows no content that a policy could protect,
/// but how it travels still matters.
#[must_use]
pub fn of_redirect(findings: Vec<Finding>, place: &str) -> Vec<Finding> {
    let upgrades = place.starts_with("https://");
    let matters = |finding: &Finding| finding.issue.category == issues::PLAIN_HTTP.category && !(upgrades && finding.issue == &issues::PLAIN_HTTP);
    findings.into_iter().filter(matters).collect()
}

/// What the headers alone do not tell.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The page came over TLS.
    pub https: bool,
    /// The host is an address, for which HSTS has no meaning (RFC 6797, 8.1.1).
    pub ip_host: bool,
}

/// Judges the headers of one response.
#[must_use]
pub fn judge(headers: &HeaderMap, context: Context, url: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |issue, evidence: &str| findings.push(Finding::new(issue, url, evidence));
    if context.https {
        if !context.ip_host {
            match joined(headers, "strict-transport-security") {
                None => add(&issues::HSTS_MISSING, "the header is absent"),
                Some(value) => match hsts_max_age(&value) {
                    Some(seconds) if seconds >= HSTS_ENOUGH_SECONDS => {}
                    _ => add(&issues::HSTS_WEAK, &format!("Strict-Transport-Security: {value}")),
                },
            }
        }
    } else {
        add(&issues::PLAIN_HTTP, "the page was delivered over http");
    }
    let csp = joined(headers, "content-security-policy");
    match &csp {
        None => {
            let report_only = headers.contains_key("content-security-policy-report-only");
            add(&issues::CSP_MISSING, if report_only { "only a report-only policy, which blocks nothing" } else { "the header is absent" });
        }
        Some(policy) => {
            if let Some(weakness) = csp_weakness(policy) {
                add(&issues::CSP_WEAK, &format!("{weakness} in: {policy}"));
            }
        }
    }
    let frame_ancestors = csp.as_deref().is_some_and(|policy| directive(policy, "frame-ancestors").is_some());
    let frame_options = joined(headers, "x-frame-options").map(|value| value.to_ascii_lowercase());
    if !frame_ancestors && !matches!(frame_options.as_deref(), Some("deny" | "sameorigin")) {
        add(
            &issues::FRAMING_ALLOWED,
            &frame_options.map_or_else(|| "neither header is set".to_owned(), |value| format!("X-Frame-Options: {value} is no value that browsers know")),
        );
    }
    match joined(headers, "x-content-type-options") {
        Some(value) if value.eq_ignore_ascii_case("nosniff") => {}
        Some(value) => add(&issues::NOSNIFF_MISSING, &format!("X-Content-Type-Options: {value}")),
        None => add(&issues::NOSNIFF_MISSING, "the header is absent"),
    }
    match joined(headers, "referrer-policy") {
        // The last value that a browser knows wins; an unknown one is skipped (Referrer Policy, 8.1).
        Some(value) if value.split(',').next_back().is_some_and(|last| last.trim().eq_ignore_ascii_case("unsafe-url")) => {
            add(&issues::REFERRER_POLICY_MISSING, &format!("Referrer-Policy: {value}"));
        }
        Some(_) => {}
        None => add(&issues::REFERRER_POLICY_MISSING, "the header is absent"),
    }
    if !headers.contains_key("permissions-policy") {
        add(&issues::PERMISSIONS_POLICY_MISSING, "the header is absent");
    }
    if !headers.contains_key("cross-origin-opener-policy") {
        add(&issues::COOP_MISSING, "the header is absent");
    }
    findings
}

/// The `max-age` of an HSTS header, in seconds (RFC 6797, 6.1.1).
#[must_use]
pub fn hsts_max_age(value: &str) -> Option<u64> {
    value.split([';', ',']).find_map(|part| {
        let (name, age) = part.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("max-age") { age.trim().trim_matches('"').parse().ok() } else { None }
    })
}

/// The sources of one CSP directive, or `None` when it is not in the policy.
fn directive<'a>(policy: &'a str, name: &str) -> Option<Vec<&'a str>> {
    policy.split([';', ',']).find_map(|part| {
        let mut words = part.split_ascii_whitespace();
        if words.next()?.eq_ignore_ascii_case(name) { Some(words.collect()) } else { None }
    })
}

/// The weakness of a policy's script sources, if there is one.
#[must_use]
pub fn csp_weakness(policy: &str) -> Option<&'static str> {
    let Some(sources) = directive(policy, "script-src").or_else(|| directive(policy, "default-src")) else {
        return Some("neither script-src nor default-src");
    };
    let has = |word: &str| sources.iter().any(|source| source.eq_ignore_ascii_case(word));
    // A nonce or hash makes browsers ignore 'unsafe-inline' (CSP level 3, 6.7.3.2).
    let has_nonce = sources.iter().any(|source| source.starts_with("'nonce-") || source.starts_with("'sha"));
    if has("'unsafe-inline'") && !has_nonce {
        Some("'unsafe-inline' for scripts")
    } else if has("'unsafe-eval'") {
        Some("'unsafe-eval' for scripts")
    } else if !has("'strict-dynamic'") && (has("*") || has("http:") || has("https:") || has("data:")) {
        Some("scripts from anywhere")
    } else {
        None
    }
}

/// The grade: A+ for nothing to say but what is informational, one step down for each weight of findings.
#[must_use]
pub fn grade(findings: &[Finding]) -> &'static str {
    let points: u32 = findings
        .iter()
        .map(|finding| match finding.issue.severity {
            Severity::Critical | Severity::High => 40,
            Severity::Medium => 20,
            Severity::Low => 10,
            Severity::Informational => 0,
        })
        .sum();
    match points {
        0 => "A+",
        1..=10 => "A",
        11..=25 => "B",
        26..=45 => "C",
        46..=65 => "D",
        66..=85 => "E",
        _ => "F",
    }
}

fn present(headers: &HeaderMap) -> Vec<String> {
    const NAMES: [&str; 9] = [
        "strict-transport-security",
        "content-security-policy",
        "x-frame-options",
        "x-content-type-options",
        "referrer-policy",
        "permissions-policy",
        "cross-origin-opener-policy",
        "cross-origin-embedder-policy",
        "cross-origin-resource-policy",
    ];
    NAMES.iter().filter_map(|name| joined(headers, name).map(|value| format!("{name}: {}", clip(&value, 300)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    const HTTPS: Context = Context { https: true, ip_host: false };

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())).collect()
    }

    fn ids(list: &[(&str, &str)], context: Context) -> Vec<&'static str> {
        judge(&headers(list), context, "u").iter().map(|finding| finding.issue.id).collect()
    }

    const GOOD: [(&str, &str); 7] = [
        ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ("content-security-policy", "default-src 'self'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("permissions-policy", "camera=()"),
        ("cross-origin-opener-policy", "same-origin"),
        ("server", "x"),
    ];

    #[test]
    fn a_good_site_has_nothing_and_an_a_plus() {
        assert_eq!(ids(&GOOD, HTTPS), Vec::<&str>::new());
        assert_eq!(grade(&[]), "A+");
    }

    #[test]
    fn a_bare_site_gets_everything_and_an_f() {
        let found = judge(&headers(&[]), Context { https: false, ip_host: false }, "u");
        let ids: Vec<_> = found.iter().map(|finding| finding.issue.id).collect();
        assert_eq!(
            ids,
            ["plain_http", "csp_missing", "framing_allowed", "nosniff_missing", "referrer_policy_missing", "permissions_policy_missing", "coop_missing"]
        );
        assert_eq!(grade(&found), "F");
    }

    #[test]
    fn each_header_is_judged_alone() {
        let cases = [
            ("strict-transport-security", "max-age=60", "hsts_weak"),
            ("strict-transport-security", "nonsense", "hsts_weak"),
            ("strict-transport-security", "", "hsts_weak"),
            ("content-security-policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'", "csp_weak"),
            ("content-security-policy", "img-src 'self'; frame-ancestors 'none'", "csp_weak"),
            ("x-content-type-options", "sniff", "nosniff_missing"),
            ("referrer-policy", "no-referrer, unsafe-url", "referrer_policy_missing"),
        ];
        for (name, value, id) in cases {
            let list: Vec<_> = GOOD.iter().filter(|(other, _)| *other != name).copied().chain([(name, value)]).collect();
            assert_eq!(ids(&list, HTTPS), [id], "{name}: {value}");
        }
    }

    #[test]
    fn hsts_means_nothing_for_an_address() {
        assert!(!ids(&[], Context { https: true, ip_host: true }).contains(&"hsts_missing"));
    }

    #[test]
    fn a_redirect_away_is_judged_by_its_transport_only() {
        let bare = |https, place| {
            let found = judge(&headers(&[]), Context { https, ip_host: false }, "u");
            of_redirect(found, place).iter().map(|finding| finding.issue.id).collect::<Vec<_>>()
        };
        assert_eq!(bare(false, "https://www.a.test/"), Vec::<&str>::new());
        assert_eq!(bare(false, "http://www.a.test/"), ["plain_http"]);
        assert_eq!(bare(true, "https://www.a.test/"), ["hsts_missing"]);
    }

    #[test]
    fn csp_weaknesses() {
        let cases = [
            ("script-src 'self'", None),
            ("script-src 'nonce-abc' 'unsafe-inline'", None),
            ("script-src 'strict-dynamic' 'nonce-abc' https:", None),
            ("default-src *", Some("scripts from anywhere")),
            ("default-src *; script-src 'self'", None),
            ("SCRIPT-SRC 'UNSAFE-EVAL'", Some("'unsafe-eval' for scripts")),
            ("script-src https:", Some("scripts from anywhere")),
        ];
        for (policy, weakness) in cases {
            assert_eq!(csp_weakness(policy), weakness, "{policy}");
        }
    }

    #[test]
    fn reads_max_age() {
        assert_eq!(hsts_max_age("includeSubDomains; Max-Age=\"31536000\""), Some(31_536_000));
        assert_eq!(hsts_max_age("max-age=-1"), None);
        assert_eq!(hsts_max_age(""), None);
    }
}
