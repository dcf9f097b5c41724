//! `http_headers`: the security headers of the landing page, and a grade.

use async_trait::async_trait;
use reqwest::header::HeaderMap;

use crate::csp::Policies;
use crate::http::joined;
use crate::issues::{self, Severity};
use crate::markup::{Element, elements};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::target::{Redirect, judge_redirect};
use crate::text::clip;

static META: Meta = Meta {
    name: "http_headers",
    display_name: "Security Headers",
    description: "Grades the security headers and policies of the landing page and checks that plain HTTP leads to HTTPS.",
    website_url: "https://owasp.org/www-project-secure-headers/",
    priority: 10,
};

/// The minimum duration of an HSTS policy without a finding: 180 days, in seconds.
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
        let (html, remark) = page.html();
        let elements = elements(&html);
        let mut report = Report { findings: judge(&page.headers, &elements, context, url), ..Report::default() };
        let grade = grade(&report.findings);
        report.headline = format!("Grade {grade} for {url} (HTTP {})", page.status);
        if let Some(place) = &landing.visit.left_for {
            report.findings = of_redirect(report.findings, place);
            report.headline =
                format!("No page to grade: {url} redirects to {}, which was not scanned", clip(place, 200));
            report.findings.push(Finding::new(
                &issues::REDIRECT_OFF_HOST,
                url,
                format!("HTTP {} with Location {place}", page.status),
            ));
        }
        report.observations = present(&page.headers);
        report.observations.extend(in_page(&elements));
        report.observations.extend(Policies::read(&page.headers, &elements).remark().map(str::to_owned));
        report.observations.extend(remark);
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

/// Returns the finding if plain HTTP on port 80 does not redirect to HTTPS. Returns `None` if the
/// target names a port or a scheme, because port 80 is then out of scope.
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
            Ok((!upgraded).then(|| {
                Finding::new(
                    &issues::HTTP_NOT_REDIRECTED,
                    url.as_str(),
                    format!("HTTP {} without a redirect to HTTPS", page.status),
                )
            }))
        }
        Err(error) => Err(error.to_string()),
    })
}

/// Filters the findings of a response that only redirects to another site. It has no content that a
/// policy could protect, but its transport still matters.
#[must_use]
pub fn of_redirect(findings: Vec<Finding>, place: &str) -> Vec<Finding> {
    let upgrades = place.starts_with("https://");
    let matters = |finding: &Finding| {
        finding.issue.category == issues::PLAIN_HTTP.category && !(upgrades && finding.issue == &issues::PLAIN_HTTP)
    };
    findings.into_iter().filter(matters).collect()
}

/// Facts that the headers do not contain.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// True if the page came over TLS.
    pub https: bool,
    /// True if the host is an address. HSTS does not apply to addresses (RFC 6797, 8.1.1).
    pub ip_host: bool,
}

/// Checks the headers of one response, and the policies in the page's `meta` elements.
#[must_use]
pub fn judge(headers: &HeaderMap, elements: &[Element], context: Context, url: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |issue, evidence: &str| findings.push(Finding::new(issue, url, evidence));
    if context.https {
        if !context.ip_host {
            // If there are several fields, the first counts (RFC 6797, 8.1).
            match headers.get("strict-transport-security").map(|value| String::from_utf8_lossy(value.as_bytes())) {
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
    let policies = Policies::read(headers, elements);
    if policies.is_empty() {
        let report_only = headers.contains_key("content-security-policy-report-only");
        add(
            &issues::CSP_MISSING,
            if report_only {
                "only a report-only policy, which blocks nothing"
            } else {
                "neither a header nor a meta element sets one"
            },
        );
    } else if let Some(weakness) = policies.weakness(context.https) {
        let remark = policies.remark().map(|remark| format!(" ({remark})")).unwrap_or_default();
        add(&issues::CSP_WEAK, &format!("{weakness}{remark} in: {}", policies.text()));
    }
    if let Some(reason) = framing(&policies, joined(headers, "x-frame-options").as_deref()) {
        add(&issues::FRAMING_ALLOWED, &reason);
    }
    match joined(headers, "x-content-type-options") {
        // If there are several values, the first counts (Fetch, 3.6).
        Some(value) if value.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("nosniff")) => {}
        Some(value) => add(&issues::NOSNIFF_MISSING, &format!("X-Content-Type-Options: {value}")),
        None => add(&issues::NOSNIFF_MISSING, "the header is absent"),
    }
    if let Err(reason) = referrer_policy(joined(headers, "referrer-policy").as_deref(), elements) {
        add(&issues::REFERRER_POLICY_MISSING, &reason);
    }
    if !headers.contains_key("permissions-policy") {
        add(&issues::PERMISSIONS_POLICY_MISSING, "the header is absent");
    }
    match joined(headers, "cross-origin-opener-policy") {
        None => add(&issues::COOP_MISSING, "the header is absent"),
        Some(value) if isolates_opener(&value) => {}
        Some(value) => add(&issues::COOP_MISSING, &format!("Cross-Origin-Opener-Policy: {value} keeps no opener out")),
    }
    findings
}

/// Returns the reason if other sites may frame the page. Browsers ignore `X-Frame-Options` if
/// `frame-ancestors` is present (CSP level 3, 6.4.2).
#[must_use]
pub fn framing(policies: &Policies, frame_options: Option<&str>) -> Option<String> {
    match policies.restricts_framing() {
        Some(true) => return None,
        Some(false) => {
            return Some("frame-ancestors permits every site, and X-Frame-Options is ignored beside it".to_owned());
        }
        None => {}
    }
    let Some(written) = frame_options else { return Some("neither header is set".to_owned()) };
    // Several different values block the page if one of them is valid; a single value must be known
    // (HTML, 7.5.1).
    let mut values: Vec<String> = written.split(',').map(|value| value.trim().to_ascii_lowercase()).collect();
    values.sort();
    values.dedup();
    let known = |value: &String| matches!(value.as_str(), "deny" | "sameorigin");
    let blocks = match values.as_slice() {
        [one] => known(one),
        many => many.iter().any(|value| known(value) || value == "allowall"),
    };
    (!blocks).then(|| format!("X-Frame-Options: {written} is no value that browsers know"))
}

/// The referrer policies that send other sites at most the origin, and only over HTTPS. Mozilla's
/// Observatory uses the same criterion.
const SAFE_REFERRER_POLICIES: [&str; 4] =
    ["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"];

/// The other policies that browsers accept (Referrer Policy, 3).
const UNSAFE_REFERRER_POLICIES: [&str; 4] =
    ["no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "unsafe-url"];

/// Returns the referrer policy of a page. In a header the last valid word counts (Referrer Policy,
/// 8.1). A valid `meta` element replaces it (HTML, 4.2.5.1).
///
/// # Errors
/// Returns the reason if the page has no safe policy.
pub fn referrer_policy(header: Option<&str>, elements: &[Element]) -> Result<&'static str, String> {
    let known = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        SAFE_REFERRER_POLICIES.iter().chain(&UNSAFE_REFERRER_POLICIES).copied().find(|policy| *policy == word)
    };
    let of_meta = |element: &Element| {
        let word = element.attr("content").unwrap_or_default();
        // The names of an earlier draft.
        match word.trim().to_ascii_lowercase().as_str() {
            "never" => Some("no-referrer"),
            "default" => Some("strict-origin-when-cross-origin"),
            "always" => Some("unsafe-url"),
            "origin-when-crossorigin" => Some("origin-when-cross-origin"),
            _ => known(word),
        }
    };
    let in_page = elements
        .iter()
        .filter(|element| element.name == "meta" && element.is("name", "referrer"))
        .filter_map(of_meta)
        .next_back();
    let in_header = header.and_then(|value| value.split(',').filter_map(known).next_back());
    match (in_page.or(in_header), header) {
        (Some(policy), _) if SAFE_REFERRER_POLICIES.contains(&policy) => Ok(policy),
        (Some(policy), _) => Err(format!(
            "the policy in force is {policy}{}",
            if in_page.is_some() { ", set by a meta element" } else { "" }
        )),
        (None, Some(value)) => Err(format!("Referrer-Policy: {value} holds no value that browsers know")),
        (None, None) => Err("the header is absent".to_owned()),
    }
}

/// Returns true if a Cross-Origin-Opener-Policy separates the page from openers of other origins.
/// The value is one token with parameters (HTML, 7.1.3.1); an invalid value means `unsafe-none`.
#[must_use]
pub fn isolates_opener(value: &str) -> bool {
    let token = value.split(';').next().unwrap_or_default().trim();
    matches!(token, "same-origin" | "same-origin-allow-popups" | "noopener-allow-popups")
}

/// Returns the `max-age` of an HSTS header, in seconds (RFC 6797, 6.1.1).
#[must_use]
pub fn hsts_max_age(value: &str) -> Option<u64> {
    value.split([';', ',']).find_map(|part| {
        let (name, age) = part.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("max-age") { age.trim().trim_matches('"').parse().ok() } else { None }
    })
}

/// Returns the grade. It is A+ if all findings are informational, and gets worse with the number
/// and the severity of the findings.
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

/// Returns the policies in the page's `meta` elements.
fn in_page(elements: &[Element]) -> Vec<String> {
    let metas = elements.iter().filter(|element| element.name == "meta");
    let policies =
        metas.filter(|element| element.is("http-equiv", "content-security-policy") || element.is("name", "referrer"));
    let describe = |element: &Element| {
        let what = if element.is("name", "referrer") { "referrer" } else { "content-security-policy" };
        format!("meta {what}: {}", clip(element.attr("content").unwrap_or_default(), 300))
    };
    policies.take(10).map(describe).collect()
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
    NAMES
        .iter()
        .filter_map(|name| joined(headers, name).map(|value| format!("{name}: {}", clip(&value, 300))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    const HTTPS: Context = Context { https: true, ip_host: false };

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap()))
            .collect()
    }

    fn ids(list: &[(&str, &str)], context: Context) -> Vec<&'static str> {
        judge(&headers(list), &[], context, "u").iter().map(|finding| finding.issue.id).collect()
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
    fn good_site_has_no_findings_and_grade_a_plus() {
        assert_eq!(ids(&GOOD, HTTPS), Vec::<&str>::new());
        assert_eq!(grade(&[]), "A+");
    }

    #[test]
    fn bare_site_has_all_findings_and_grade_f() {
        let found = judge(&headers(&[]), &[], Context { https: false, ip_host: false }, "u");
        let ids: Vec<_> = found.iter().map(|finding| finding.issue.id).collect();
        assert_eq!(
            ids,
            [
                "plain_http",
                "csp_missing",
                "framing_allowed",
                "nosniff_missing",
                "referrer_policy_missing",
                "permissions_policy_missing",
                "coop_missing"
            ]
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
            ("referrer-policy", "origin", "referrer_policy_missing"),
            ("cross-origin-opener-policy", "unsafe-none", "coop_missing"),
        ];
        for (name, value, id) in cases {
            let list: Vec<_> =
                GOOD.iter().filter(|(other, _)| *other != name).copied().chain([(name, value)]).collect();
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
            let found = judge(&headers(&[]), &[], Context { https, ip_host: false }, "u");
            of_redirect(found, place).iter().map(|finding| finding.issue.id).collect::<Vec<_>>()
        };
        assert_eq!(bare(false, "https://www.a.test/"), Vec::<&str>::new());
        assert_eq!(bare(false, "http://www.a.test/"), ["plain_http"]);
        assert_eq!(bare(true, "https://www.a.test/"), ["hsts_missing"]);
    }

    #[test]
    fn framing_is_decided_by_both_headers() {
        let found = |csp: &str, options: Option<&str>| {
            framing(&Policies::read(&headers(&[("content-security-policy", csp)]), &[]), options).is_some()
        };
        for (csp, options, expected) in [
            ("", None, true),
            ("", Some("DENY"), false),
            ("", Some("sameorigin "), false),
            ("", Some("SAMEORIGIN, SAMEORIGIN"), false),
            ("", Some("deny, sameorigin"), false),
            ("", Some("allow-from https://a.test"), true),
            ("", Some("whimsy, other"), true),
            ("frame-ancestors 'self'", None, false),
            ("frame-ancestors *", None, true),
            ("frame-ancestors *", Some("DENY"), true),
            ("frame-ancestors https:", Some("DENY"), true),
            ("default-src 'self'", Some("DENY"), false),
        ] {
            assert_eq!(found(csp, options), expected, "{csp} {options:?}");
        }
    }

    #[test]
    fn referrer_policies_are_checked() {
        for (header, html, expected) in [
            (None, "", None),
            (Some("no-referrer"), "", Some("no-referrer")),
            (Some("STRICT-ORIGIN"), "", Some("strict-origin")),
            (Some("no-referrer, strict-origin-when-cross-origin"), "", Some("strict-origin-when-cross-origin")),
            (Some("unsafe-url, same-origin, whimsy"), "", Some("same-origin")),
            (Some("no-referrer, unsafe-url"), "", None),
            (Some("no-referrer, origin"), "", None),
            (Some("origin-when-cross-origin"), "", None),
            (Some("no-referrer-when-downgrade"), "", None),
            (Some("whimsy"), "", None),
            (Some(""), "", None),
            (None, "<meta name=referrer content=no-referrer>", Some("no-referrer")),
            (None, "<META NAME=Referrer CONTENT=' Never '>", Some("no-referrer")),
            (Some("no-referrer"), "<meta name=referrer content=unsafe-url>", None),
            (
                Some("unsafe-url"),
                "<meta name=referrer content=always><meta name=referrer content=default>",
                Some("strict-origin-when-cross-origin"),
            ),
            (Some("same-origin"), "<meta name=referrer content=whimsy>", Some("same-origin")),
            (Some("same-origin"), "<template><meta name=referrer content=unsafe-url></template>", Some("same-origin")),
        ] {
            assert_eq!(referrer_policy(header, &elements(html)).ok(), expected, "{header:?} {html}");
        }
    }

    #[test]
    fn opener_policies_are_checked() {
        for good in ["same-origin", "same-origin-allow-popups", "noopener-allow-popups", "same-origin; report-to=\"x\""]
        {
            assert!(isolates_opener(good), "{good}");
        }
        for bad in ["", "unsafe-none", "same-site", "\"same-origin\"", "same-origin, same-origin", "Same-Origin"] {
            assert!(!isolates_opener(bad), "{bad}");
        }
    }

    #[test]
    fn a_page_can_set_its_policies() {
        let html = "<head><meta http-equiv=Content-Security-Policy content=\"default-src 'self'; frame-ancestors 'none'\"><meta name=referrer content=same-origin>";
        let list: Vec<_> = GOOD
            .iter()
            .filter(|(name, _)| !matches!(*name, "content-security-policy" | "referrer-policy"))
            .copied()
            .collect();
        let found: Vec<_> =
            judge(&headers(&list), &elements(html), HTTPS, "u").iter().map(|finding| finding.issue.id).collect();
        assert_eq!(found, ["framing_allowed"], "frame-ancestors does not count in a page");
    }

    #[test]
    fn hsts_max_age_is_parsed() {
        assert_eq!(hsts_max_age("includeSubDomains; Max-Age=\"31536000\""), Some(31_536_000));
        assert_eq!(hsts_max_age("max-age=-1"), None);
        assert_eq!(hsts_max_age(""), None);
    }
}
