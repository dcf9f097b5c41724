//! Compares header evaluation with Mozilla's HTTP Observatory (`@mdn/mdn-http-observatory` 1.4.8).
//! The values are those of Observatory's tests plus some others, with its results for an HTTPS
//! page. Intentional differences are listed with their reasons.

use kastrel_scanner::csp::Policies;
use kastrel_scanner::markup::elements;
use kastrel_scanner::plugins::security_headers::{framing, referrer_policy};
use reqwest::header::{HeaderMap, HeaderValue};

/// Content-Security-Policy values and Observatory's result.
static POLICIES: &[(&str, &str)] = &[
    ("default-src 'none'; default-src 'none'", "header-invalid"),
    ("default-src 'none'; img-src 'self'; default-src 'none'", "header-invalid"),
    ("default-src 'none'; script-src 'strict-dynamic'", "header-invalid"),
    ("defa", "header-invalid"),
    ("default-src 'none'; script-src https://*", "unsafe-inline"),
    ("default-src 'none'; script-src 'unsafe-inline'", "unsafe-inline"),
    ("default-src http://mozilla.org", "insecure-scheme"),
    ("default-src 'none'; script-src http://mozilla.org", "insecure-scheme"),
    ("default-src 'none'; script-src ftp://mozilla.org", "insecure-scheme"),
    ("default-src 'none'; img-src http://mozilla.org", "insecure-scheme-in-passive-content-only"),
    ("default-src 'self'; img-src ftp:", "insecure-scheme-in-passive-content-only"),
    ("default-src 'self'; img-src http:", "insecure-scheme-in-passive-content-only"),
    ("default-src 'none'; img-src https:; media-src http://mozilla.org", "insecure-scheme-in-passive-content-only"),
    (
        "default-src 'none'; img-src http: https:; script-src 'self'; style-src 'self'",
        "insecure-scheme-in-passive-content-only",
    ),
    (
        "default-src 'none'; img-src 'none'; media-src http:; script-src 'self'; style-src 'self'",
        "insecure-scheme-in-passive-content-only",
    ),
    (
        "default-src 'none'; img-src 'none'; media-src http:; script-src 'self'; style-src 'unsafe-inline'",
        "insecure-scheme-in-passive-content-only",
    ),
    ("script-src 'unsafe-inline'", "unsafe-inline"),
    ("script-src data:", "unsafe-inline"),
    ("script-src http:", "unsafe-inline"),
    ("script-src ftp:", "unsafe-inline"),
    ("default-src 'unsafe-inline'", "unsafe-inline"),
    ("default-src 'UNSAFE-INLINE'", "unsafe-inline"),
    ("upgrade-insecure-requests", "unsafe-inline"),
    ("script-src 'none'", "unsafe-inline"),
    ("script-src https:", "unsafe-inline"),
    ("script-src https://mozilla.org https:", "unsafe-inline"),
    ("default-src https://mozilla.org https:", "unsafe-inline"),
    ("default-src 'none'; script-src *", "unsafe-inline"),
    ("default-src *; script-src *; object-src 'none'", "unsafe-inline"),
    ("default-src 'none'; script-src 'none'; object-src *", "unsafe-inline"),
    ("default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'", "unsafe-inline"),
    ("default-src 'none'; script-src 'unsafe-inline' http:", "unsafe-inline"),
    ("object-src https:; script-src 'none'", "unsafe-inline"),
    ("object-src 'none'; script-src 'none'; style-src 'unsafe-inline'", "unsafe-inline-in-style-src-only"),
    (
        "default-src 'none'; script-src https://mozilla.org; style-src 'unsafe-inline'",
        "unsafe-inline-in-style-src-only",
    ),
    ("default-src 'unsafe-inline'; script-src https://mozilla.org", "unsafe-inline-in-style-src-only"),
    ("default-src 'none';;; ;;;style-src 'self' 'unsafe-inline'", "unsafe-inline-in-style-src-only"),
    ("default-src 'none'; style-src data:", "unsafe-inline-in-style-src-only"),
    ("default-src 'none'; style-src *", "unsafe-inline-in-style-src-only"),
    ("default-src 'none'; style-src https:", "unsafe-inline-in-style-src-only"),
    (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBB=' 'unsafe-inline'",
        "unsafe-inline-in-style-src-only",
    ),
    ("default-src https://mozilla.org", "no-unsafe"),
    ("default-src https://mozilla.org;;; ;;;script-src 'none'", "no-unsafe"),
    (
        "object-src 'none'; script-src https://mozilla.org; style-src https://mozilla.org; upgrade-insecure-requests;",
        "no-unsafe",
    ),
    ("object-src 'none'; script-src 'strict-dynamic' 'nonce-abc' 'unsafe-inline'; style-src 'none'", "no-unsafe"),
    (
        "object-src 'none'; style-src 'self';script-src 'sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBA='",
        "no-unsafe",
    ),
    (
        "object-src 'none'; style-src 'self'; script-src 'unsafe-inline' 'sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBA=''sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBB='",
        "no-unsafe",
    ),
    ("object-src 'none'; script-src 'unsafe-inline' 'nonce-abc123' 'unsafe-inline'; style-src 'none'", "no-unsafe"),
    ("default-src https://mozilla.org; style-src 'unsafe-inline' 'nonce-abc123' 'unsafe-inline'", "no-unsafe"),
    (
        "default-src https://mozilla.org; style-src 'unsafe-inline' 'sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBB=' 'unsafe-inline'",
        "no-unsafe",
    ),
    ("default-src", "no-unsafe-default-src-none"),
    ("default-src 'none'; script-src 'strict-dynamic' 'nonce-abc123' 'unsafe-inline'", "no-unsafe-default-src-none"),
    (
        "default-src 'none'; script-src https://mozilla.org; style-src https://mozilla.org; upgrade-insecure-requests;",
        "no-unsafe-default-src-none",
    ),
    ("default-src 'none'; object-src https://mozilla.org", "no-unsafe-default-src-none"),
    ("default-src 'none'; script-src 'strict-dynamic' 'nonce-abc123'", "no-unsafe-default-src-none"),
    ("default-src 'none'; script-src 'strict-dynamic' 'sha256-abc123'", "no-unsafe-default-src-none"),
    ("default-src 'none'; script-src 'strict-dynamic' 'sha256-abc123' https://*", "no-unsafe-default-src-none"),
    ("default-src 'none'; script-src 'strict-dynamic' 'sha256-abc123' 'unsafe-inline'", "no-unsafe-default-src-none"),
    ("default-src 'none'", "no-unsafe-default-src-none"),
    ("frame-ancestors *", "unsafe-inline"),
    ("frame-ancestors http:", "unsafe-inline"),
    ("frame-ancestors https:", "unsafe-inline"),
    ("default-src 'none'; base-uri *; object-src *", "unsafe-inline"),
    ("default-src 'none'; base-uri https:; object-src https:", "unsafe-inline"),
    ("default-src *", "unsafe-inline"),
    ("default-src *; base-uri 'none'", "unsafe-inline"),
    ("default-src 'none'; base-uri 'self'", "no-unsafe-default-src-none"),
    ("default-src 'none'; base-uri https://mozilla.org", "no-unsafe-default-src-none"),
    ("default-src * http: https: data: 'unsafe-inline' 'unsafe-eval'", "unsafe-inline"),
    ("default-src 'none'; img-src http:", "insecure-scheme-in-passive-content-only"),
    ("default-src 'none' https://mozilla.org; img-src http://mozilla.org", "insecure-scheme-in-passive-content-only"),
    ("default-src https:; media-src http://mozilla.org; script-src http:", "unsafe-inline"),
    ("default-src *; form-action 'none'", "unsafe-inline"),
    ("default-src *; form-action 'self'", "unsafe-inline"),
    ("default-src 'none'; form-action 'self' https://mozilla.org", "no-unsafe-default-src-none"),
    ("form-action 'self' https://mozilla.org", "unsafe-inline"),
];

/// Policies with an intentionally different result, and the reason.
static OTHER_POLICIES: &[(&str, &str)] = &[
    ("default-src 'none'; default-src 'none'", "browsers take the first directive of a name, so the policy works"),
    (
        "default-src 'none'; img-src 'self'; default-src 'none'",
        "browsers take the first directive of a name, so the policy works",
    ),
    ("default-src 'none'; script-src 'strict-dynamic'", "it blocks every script, which is no weakness"),
    (
        "object-src 'none'; style-src 'self'; script-src 'unsafe-inline' 'sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBA=''sha256-hqBEA/HXB3aJU2FgOnYN8rkAgEVgyfi3Vs1j2/XMPBB='",
        "two hashes without a space are one word that is no hash, so browsers heed 'unsafe-inline'",
    ),
];

/// Policies that Observatory passes although they cover sites of any owner.
static BROADER: &[&str] = &[
    "default-src 'self'; script-src *.com",
    "default-src 'self'; script-src *:443",
    "default-src 'self'; script-src *:*",
];

/// Referrer-Policy values and Observatory's result.
static REFERRER_POLICIES: &[(&str, &str)] = &[
    ("no-referrer", "private"),
    ("same-origin", "private"),
    ("strict-origin", "private"),
    ("STRICT-ORIGIN", "private"),
    ("strict-origin-when-cross-origin", "private"),
    ("origin", "unsafe"),
    ("origin-when-cross-origin", "unsafe"),
    ("unsafe-url", "unsafe"),
    ("no-referrer-when-downgrade", "unsafe"),
    ("origin-when-cross-origin, no-referrer, unsafe-url", "unsafe"),
    ("no-referrer, unsafe-url", "unsafe"),
    ("no-referrer, whimsy", "private"),
    ("unsafe-url, no-referrer", "private"),
    ("whimsy", "header-invalid"),
    ("whimsy, whimsy1, whimsy2", "header-invalid"),
    ("no-referrer,,", "private"),
    (" Same-Origin , whimsy", "private"),
];

/// X-Frame-Options values and Observatory's result.
static FRAME_OPTIONS: &[(&str, &str)] = &[
    ("DENY", "sameorigin-or-deny"),
    ("DENY ", "sameorigin-or-deny"),
    ("sameorigin", "sameorigin-or-deny"),
    ("SAMEORIGIN, SAMEORIGIN", "header-invalid"),
    ("ALLOW-FROM https://a.example", "allow-from-origin"),
    ("whimsy", "header-invalid"),
    ("", "not-implemented"),
];

fn policies(field: &str, html: &str) -> Policies {
    let mut headers = HeaderMap::new();
    if !field.is_empty() {
        headers.insert("content-security-policy", HeaderValue::from_str(field).unwrap());
    }
    Policies::read(&headers, &elements(html))
}

#[test]
fn policies_are_weak_where_observatory_fails_them() {
    for (policy, result) in POLICIES {
        let passes = !matches!(
            *result,
            "unsafe-inline" | "unsafe-eval" | "insecure-scheme" | "header-invalid" | "not-implemented"
        );
        let differs = OTHER_POLICIES.iter().any(|(other, _)| other == policy);
        assert_eq!(
            policies(policy, "").weakness(true).is_none(),
            passes != differs,
            "{policy}: {result}, {:?}",
            policies(policy, "").weakness(true)
        );
    }
    for policy in BROADER {
        assert_eq!(policies(policy, "").weakness(true), Some("scripts from anywhere"), "{policy}");
    }
}

#[test]
fn meta_elements_count_as_observatory_counts_them() {
    let meta = |policy: &str| {
        format!(
            "<head><meta charset=UTF-8><meta http-equiv=\"Content-SECURITY-Policy\" content=\"{policy}\"><title>Title</title></head>"
        )
    };
    // default-src-none, with and without an additional header.
    for field in ["", "default-src 'none'", "img-src 'none'", "default-src http:"] {
        assert_eq!(policies(field, &meta("default-src 'none'")).weakness(true), None, "{field}");
    }
    assert_eq!(policies("default-src 'none'", &meta("default-src https:")).weakness(true), None);
    // not-implemented: a page cannot set frame-ancestors in a `meta` element.
    assert!(policies("", &meta("frame-ancestors 'none'")).is_empty());
    // Several elements restrict each other.
    let several =
        meta("default-src 'none'; object-src 'none'; media-src 'none';") + &meta("script-src 'self' 'unsafe-inline'");
    assert_eq!(policies("", &several).weakness(true), None);
    // An intentional difference: `http:` also covers `https:` (CSP level 3, 6.7.2.8), so the two
    // policies together still permit every site. Observatory compares the words.
    assert_eq!(
        policies("default-src http:", &meta("default-src https:")).weakness(true),
        Some("scripts from anywhere")
    );
}

#[test]
fn framing_results_match_observatory() {
    for (policy, is_protected) in [
        ("default-src 'none'", false),
        ("frame-ancestors *", false),
        ("frame-ancestors http:", false),
        ("frame-ancestors https:", false),
        ("default-src *; frame-ancestors 'none'", true),
        ("default-src *; frame-ancestors 'self' https://mozilla.org", true),
    ] {
        assert_eq!(framing(&policies(policy, ""), None).is_none(), is_protected, "{policy}");
    }
    for (value, result) in FRAME_OPTIONS {
        // An intentional difference: browsers ignore ALLOW-FROM, and accept a repeated value.
        let differs = value.starts_with("ALLOW-FROM") || value.contains(',');
        let passes = matches!(*result, "sameorigin-or-deny" | "allow-from-origin");
        let given = Some(*value).filter(|value| !value.is_empty());
        assert_eq!(framing(&policies("", ""), given).is_none(), passes != differs, "{value}: {result}");
    }
}

#[test]
fn referrer_policies_are_safe_where_observatory_calls_them_private() {
    for (value, result) in REFERRER_POLICIES {
        assert_eq!(referrer_policy(Some(value), &[]).is_ok(), *result == "private", "{value}: {result}");
    }
    // The `meta` element of the page takes precedence over the header.
    assert!(referrer_policy(Some("unsafe-url"), &elements("<meta name=\"referRer\" content=\"no-referrer\">")).is_ok());
    // An intentional difference: a missing policy is a finding of low severity here, while
    // Observatory passes it. Browsers ignore a list in a `meta` element.
    assert!(referrer_policy(None, &[]).is_err());
    assert!(
        referrer_policy(Some("unsafe-url"), &elements("<meta name=referrer content=\"no-referrer, same-origin\">"))
            .is_err()
    );
}
