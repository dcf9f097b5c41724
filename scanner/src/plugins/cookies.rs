//! `cookie_flags`: the attributes of the cookies that the landing page sets (RFC 6265 and its successor draft).

use async_trait::async_trait;

use crate::issues::{self, Issue};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report, clip};
use crate::scan::Scan;

static META: Meta = Meta {
    name: "cookie_flags",
    display_name: "Cookie Flags",
    description: "Checks Secure, HttpOnly, SameSite and the name prefixes of the cookies that the landing page sets.",
    website_url: "https://developer.mozilla.org/en-US/docs/Web/HTTP/Guides/Cookies",
    priority: 20,
};

/// The plugin.
#[derive(Debug)]
pub struct CookieFlags;

#[async_trait]
impl Plugin for CookieFlags {
    fn meta(&self) -> &'static Meta {
        &META
    }

    async fn run(&self, scan: &Scan) -> Outcome {
        let landing = match scan.landing().await {
            Ok(landing) => landing,
            Err(reason) => return Outcome::Failed(reason),
        };
        let mut report = Report::default();
        let mut count = 0;
        for page in &landing.visit.pages {
            for line in page.headers.get_all("set-cookie") {
                let line = String::from_utf8_lossy(line.as_bytes());
                let Some(cookie) = Cookie::parse(&line) else { continue };
                count += 1;
                report.observations.push(format!("cookie {} set by {}", cookie.name, page.url));
                report.findings.extend(
                    judge(&cookie, page.url.scheme() == "https")
                        .into_iter()
                        .map(|(issue, evidence)| Finding::new(issue, format!("{} at {}", cookie.name, page.url), evidence)),
                );
            }
        }
        report.headline = match count {
            0 => "The landing page sets no cookie".to_owned(),
            1 => "1 cookie looked at".to_owned(),
            n => format!("{n} cookies looked at"),
        };
        Outcome::Done(report)
    }
}

/// One `Set-Cookie` line, without the cookie's value: a report is no place for a session token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cookie {
    /// The name, shortened where it is very long.
    pub name: String,
    /// Whether `Secure` is there.
    pub secure: bool,
    /// Whether `HttpOnly` is there.
    pub http_only: bool,
    /// The value of `SameSite`, in lower case.
    pub same_site: Option<String>,
    /// The value of `Domain`.
    pub domain: Option<String>,
    /// The value of `Path`.
    pub path: Option<String>,
    /// Whether the line deletes the cookie rather than setting it.
    pub deletes: bool,
}

impl Cookie {
    /// Reads one `Set-Cookie` value (RFC 6265, 5.2). `None` for a line that browsers ignore.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';');
        let (name, _) = parts.next()?.split_once('=')?;
        if name.trim().is_empty() {
            return None;
        }
        let mut cookie = Self { name: clip(name.trim(), 80), ..Self::default() };
        for part in parts {
            let (key, value) = part.split_once('=').map_or((part.trim(), ""), |(key, value)| (key.trim(), value.trim()));
            match key.to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => cookie.same_site = Some(value.to_ascii_lowercase()),
                "domain" if !value.is_empty() => cookie.domain = Some(value.trim_start_matches('.').to_owned()),
                "path" => cookie.path = Some(value.to_owned()),
                "max-age" => cookie.deletes = value.parse::<i64>().is_ok_and(|age| age <= 0),
                _ => {}
            }
        }
        Some(cookie)
    }

    /// Whether the name looks like a session or login token.
    fn looks_like_session(&self) -> bool {
        const WORDS: [&str; 8] = ["sess", "auth", "token", "login", "jwt", "remember", "connect.sid", "identity"];
        let name = self.name.to_ascii_lowercase();
        // A CSRF token has to be readable by script in the usual double-submit pattern.
        !name.contains("csrf") && !name.contains("xsrf") && (name == "sid" || name.ends_with("sid") || WORDS.iter().any(|word| name.contains(word)))
    }
}

/// Judges one cookie.
#[must_use]
pub fn judge(cookie: &Cookie, https: bool) -> Vec<(&'static Issue, String)> {
    let mut findings: Vec<(&'static Issue, String)> = Vec::new();
    if cookie.deletes {
        return findings;
    }
    let mut add = |issue, evidence: &str| findings.push((issue, evidence.to_owned()));
    let none = cookie.same_site.as_deref() == Some("none");
    if none && !cookie.secure {
        add(&issues::COOKIE_NONE_INSECURE, "SameSite=None and no Secure");
    } else if https && !cookie.secure {
        add(&issues::COOKIE_NO_SECURE, "no Secure attribute");
    }
    if !cookie.http_only {
        if cookie.looks_like_session() {
            add(&issues::COOKIE_SESSION_NO_HTTPONLY, "no HttpOnly attribute, and the name looks like a session token");
        } else {
            add(&issues::COOKIE_NO_HTTPONLY, "no HttpOnly attribute");
        }
    }
    match cookie.same_site.as_deref() {
        Some("lax" | "strict" | "none") => {}
        Some(other) => add(&issues::COOKIE_NO_SAMESITE, &format!("SameSite={other} is no value that browsers know")),
        None => add(&issues::COOKIE_NO_SAMESITE, "no SameSite attribute"),
    }
    let lower = cookie.name.to_ascii_lowercase();
    if lower.starts_with("__secure-") && !(cookie.secure && https) {
        add(&issues::COOKIE_BAD_PREFIX, "__Secure- asks for Secure, set over HTTPS");
    }
    if lower.starts_with("__host-") && !(cookie.secure && https && cookie.domain.is_none() && cookie.path.as_deref() == Some("/")) {
        add(&issues::COOKIE_BAD_PREFIX, "__Host- asks for Secure, Path=/ and no Domain, set over HTTPS");
    }
    if let Some(domain) = &cookie.domain {
        add(&issues::COOKIE_WIDE_DOMAIN, &format!("Domain={domain}"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(line: &str, https: bool) -> Vec<&'static str> {
        judge(&Cookie::parse(line).unwrap(), https).iter().map(|(issue, _)| issue.id).collect()
    }

    #[test]
    fn table() {
        let cases: &[(&str, &[&str])] = &[
            ("id=1; Secure; HttpOnly; SameSite=Lax", &[]),
            ("id=1;secure;httponly;samesite=strict", &[]),
            ("id=1; HttpOnly; SameSite=Lax", &["cookie_without_secure"]),
            ("PHPSESSID=1; Secure; SameSite=Lax", &["session_cookie_without_httponly"]),
            ("theme=dark; Secure; SameSite=Lax", &["cookie_without_httponly"]),
            ("csrf_token=1; Secure; SameSite=Lax", &["cookie_without_httponly"]),
            ("id=1; Secure; HttpOnly", &["cookie_without_samesite"]),
            ("id=1; Secure; HttpOnly; SameSite=maybe", &["cookie_without_samesite"]),
            ("id=1; HttpOnly; SameSite=None", &["cookie_samesite_none_insecure"]),
            ("__Host-id=1; Secure; HttpOnly; SameSite=Lax; Path=/", &[]),
            ("__Host-id=1; Secure; HttpOnly; SameSite=Lax", &["cookie_prefix_violation"]),
            ("__Host-id=1; Secure; HttpOnly; SameSite=Lax; Path=/; Domain=a.test", &["cookie_prefix_violation", "cookie_wide_domain"]),
            ("__Secure-id=1; HttpOnly; SameSite=Lax", &["cookie_without_secure", "cookie_prefix_violation"]),
            ("id=; Max-Age=0", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(&ids(line, true), expected, "{line}");
        }
    }

    #[test]
    fn secure_cannot_be_asked_for_on_plain_http() {
        assert_eq!(ids("id=1; HttpOnly; SameSite=Lax", false), Vec::<&str>::new());
    }

    #[test]
    fn ignores_what_browsers_ignore_and_keeps_no_value() {
        assert_eq!(Cookie::parse("nonsense"), None);
        assert_eq!(Cookie::parse("=x"), None);
        assert!(!format!("{:?}", Cookie::parse("sid=s3cret; Secure")).contains("s3cret"));
    }
}
