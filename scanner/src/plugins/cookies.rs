//! `cookie_flags`: the attributes of the cookies that the landing page sets (RFC 6265 and its
//! successor draft).

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;

use crate::issues::{self, Issue};
use crate::plugin::{Finding, Meta, Outcome, Plugin, Report};
use crate::scan::Scan;
use crate::text::clip;

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
                let Some(cookie) = Cookie::parse(&line, scan.now) else { continue };
                count += 1;
                report.observations.push(format!(
                    "cookie {} {} by {}",
                    cookie.label(),
                    if cookie.deletes { "deleted" } else { "set" },
                    page.url
                ));
                report.findings.extend(judge(&cookie, page.url.scheme() == "https").into_iter().map(
                    |(issue, evidence)| Finding::new(issue, format!("{} at {}", cookie.label(), page.url), evidence),
                ));
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

/// One `Set-Cookie` line, without the cookie's value, because a report must not contain a session
/// token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cookie {
    /// The name, shortened if it is very long. Empty if the cookie has no name.
    pub name: String,
    /// True if `Secure` is set.
    pub secure: bool,
    /// True if `HttpOnly` is set.
    pub http_only: bool,
    /// The value of `SameSite`, in lower case.
    pub same_site: Option<String>,
    /// The value of `Domain`.
    pub domain: Option<String>,
    /// The value of `Path`.
    pub path: Option<String>,
    /// True if the line deletes the cookie.
    pub deletes: bool,
}

impl Cookie {
    /// Parses one `Set-Cookie` value (RFC 6265bis, 5.6). Returns `None` for a line that browsers
    /// ignore. `now` decides whether an expiry date deletes the cookie.
    #[must_use]
    pub fn parse(line: &str, now: Timestamp) -> Option<Self> {
        let mut parts = line.split(';');
        let pair = parts.next()?;
        // Browsers keep a cookie without a name: `=value`, or a single word, which is the value.
        let (name, value) = pair.split_once('=').map_or(("", pair.trim()), |(name, value)| (name.trim(), value.trim()));
        // The value of such a cookie may not begin with a name prefix that demands attributes (RFC
        // 6265bis, 5.7).
        let is_posing =
            |value: &str| ["__secure-", "__host-"].iter().any(|prefix| value.to_ascii_lowercase().starts_with(prefix));
        if name.is_empty() && (value.is_empty() || is_posing(value)) {
            return None;
        }
        let mut cookie = Self { name: clip(name, 80), ..Self::default() };
        let (mut max_age, mut expires) = (None, None);
        for part in parts {
            let (key, value) =
                part.split_once('=').map_or((part.trim(), ""), |(key, value)| (key.trim(), value.trim()));
            match key.to_ascii_lowercase().as_str() {
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => cookie.same_site = Some(value.to_ascii_lowercase()),
                "domain" if !value.is_empty() => cookie.domain = Some(value.trim_start_matches('.').to_owned()),
                "path" => cookie.path = Some(value.to_owned()),
                "max-age" => max_age = deletes_by_age(value).or(max_age),
                "expires" => expires = cookie_date(value).map(|time| time <= now).or(expires),
                _ => {}
            }
        }
        // Max-Age takes precedence over Expires, and the last valid one of each counts (RFC 6265,
        // 5.3).
        cookie.deletes = max_age.or(expires).unwrap_or(false);
        Some(cookie)
    }

    /// Returns the name, or "without a name" if it is empty.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.name.is_empty() { "without a name" } else { &self.name }
    }

    /// Returns true if the name looks like a session or login token.
    fn looks_like_session(&self) -> bool {
        const WORDS: [&str; 8] = ["sess", "auth", "token", "login", "jwt", "remember", "connect.sid", "identity"];
        let name = self.name.to_ascii_lowercase();
        // A script must be able to read a CSRF token in the usual double-submit pattern.
        !name.contains("csrf")
            && !name.contains("xsrf")
            && (name == "sid" || name.ends_with("sid") || WORDS.iter().any(|word| name.contains(word)))
    }
}

/// Returns true if a `Max-Age` deletes the cookie, and `None` for a value that browsers ignore (RFC
/// 6265, 5.2.2).
fn deletes_by_age(value: &str) -> Option<bool> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.starts_with('-') || digits.bytes().all(|byte| byte == b'0'))
}

/// Parses the date of an `Expires` attribute as browsers do. They accept almost any order and
/// separators (RFC 6265, 5.1.1).
#[must_use]
pub fn cookie_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    // ASCII characters other than digits, letters, the colon and control characters separate words.
    // Non-ASCII characters belong to words.
    let is_separator = |c: char| {
        c.is_ascii() && !c.is_ascii_alphanumeric() && c != ':' && !('\u{0}'..='\u{8}').contains(&c) && c != '\u{7f}'
    };
    for word in text.split(is_separator).filter(|word| !word.is_empty()) {
        if time.is_none() && word.contains(':') {
            time = clock_time(word);
            if time.is_some() {
                continue;
            }
        }
        // A number may be followed by letters, but not by more digits.
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let number = word[..digits].parse::<i16>().ok();
        let lower = word.to_ascii_lowercase();
        let named = MONTHS.iter().position(|name| lower.starts_with(name)).and_then(|at| i8::try_from(at + 1).ok());
        if day.is_none() && matches!(digits, 1 | 2) {
            day = number.and_then(|number| i8::try_from(number).ok());
        } else if month.is_none() && named.is_some() {
            month = named;
        } else if year.is_none() && matches!(digits, 2..=4) {
            year = number.map(|number| match number {
                70..=99 => number + 1900,
                0..=69 => number + 2000,
                _ => number,
            });
        }
    }
    let year = year.filter(|year| *year >= 1601)?;
    let moment = Date::new(year, month?, day?).ok()?.to_datetime(time?);
    TimeZone::UTC.to_timestamp(moment).ok()
}

/// Parses `h:m:s`, each of one or two digits.
fn clock_time(word: &str) -> Option<Time> {
    let mut parts = word.splitn(3, ':').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        (part[..digits].parse::<i8>().ok().filter(|_| matches!(digits, 1 | 2)), digits == part.len())
    });
    let ((hour, true), (minute, true), (second, _)) = (parts.next()?, parts.next()?, parts.next()?) else {
        return None;
    };
    Time::new(hour?, minute?, second?, 0).ok()
}

/// Checks one cookie.
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
    if lower.starts_with("__host-")
        && !(cookie.secure && https && cookie.domain.is_none() && cookie.path.as_deref() == Some("/"))
    {
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

    fn now() -> Timestamp {
        "2030-01-01T00:00:00Z".parse().unwrap()
    }

    fn ids(line: &str, https: bool) -> Vec<&'static str> {
        judge(&Cookie::parse(line, now()).unwrap(), https).iter().map(|(issue, _)| issue.id).collect()
    }

    #[test]
    fn cookie_findings_match_the_table() {
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
            (
                "__Host-id=1; Secure; HttpOnly; SameSite=Lax; Path=/; Domain=a.test",
                &["cookie_prefix_violation", "cookie_wide_domain"],
            ),
            ("__Secure-id=1; HttpOnly; SameSite=Lax", &["cookie_without_secure", "cookie_prefix_violation"]),
            ("id=; Max-Age=0", &[]),
            ("sessionid", &["cookie_without_secure", "cookie_without_httponly", "cookie_without_samesite"]),
            ("=token; path=/; Secure; SameSite=Lax", &["cookie_without_httponly"]),
            ("token; Secure; HttpOnly; SameSite=None", &[]),
            (" = token ; HttpOnly; SameSite=None", &["cookie_samesite_none_insecure"]),
            ("token; Max-Age=0", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(&ids(line, true), expected, "{line}");
        }
    }

    #[test]
    fn a_cookie_is_deleted_by_its_age_or_its_date() {
        for (attributes, deletes) in [
            ("Max-Age=0", true),
            ("Max-Age=-1", true),
            ("max-age=3600", false),
            ("Max-Age=", false),
            ("Max-Age=soon", false),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("expires=Thu, 01-Jan-1970 00:00:01 GMT", true),
            ("Expires=Thu, 01-Jan-70 00:00:00 GMT", true),
            ("Expires=Tue, 01 Jan 2030 00:00:00 GMT", true),
            ("Expires=Tue, 01 Jan 2030 00:00:01 GMT", false),
            ("Expires=Wed, 09 Jun 2031 10:18:14 GMT", false),
            ("Expires=0", false),
            ("Expires=soon", false),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=3600", false),
            ("Max-Age=0; Expires=Wed, 09 Jun 2031 10:18:14 GMT", true),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=soon", true),
            ("Expires=Wed, 09 Jun 2031 10:18:14 GMT; Expires=Thu, 01 Jan 1970 00:00:00 GMT", true),
            ("Path=/", false),
        ] {
            assert_eq!(Cookie::parse(&format!("id=1; {attributes}"), now()).unwrap().deletes, deletes, "{attributes}");
        }
    }

    #[test]
    fn cookie_dates_are_parsed_as_browsers_do() {
        for (text, expected) in [
            ("Wed, 09 Jun 2021 10:18:14 GMT", Some("2021-06-09T10:18:14Z")),
            ("Wednesday, 09-Jun-21 10:18:14 GMT", Some("2021-06-09T10:18:14Z")),
            ("Wed Jun  9 10:18:14 2021", Some("2021-06-09T10:18:14Z")),
            ("2021 june 9 1:2:3", Some("2021-06-09T01:02:03Z")),
            ("09 Jun 69 00:00:00", Some("2069-06-09T00:00:00Z")),
            ("09 Jun 70 00:00:00", Some("1970-06-09T00:00:00Z")),
            ("31 Feb 2021 00:00:00", None),
            ("09 Jun 1600 00:00:00", None),
            ("09 Jun 2021 24:00:00", None),
            ("09 Jun 2021", None),
            ("09 Jun 2021 10:18", None),
            ("1970-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(cookie_date(text), expected.map(|time| time.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn secure_flag_is_not_required_on_plain_http() {
        assert_eq!(ids("id=1; HttpOnly; SameSite=Lax", false), Vec::<&str>::new());
    }

    #[test]
    fn cookie_parser_ignores_what_browsers_ignore_and_keeps_no_value() {
        for line in ["", "=", " = ; Secure", "; Secure", "__Host-id; Secure", "=__secure-id=1; Secure"] {
            assert_eq!(Cookie::parse(line, now()), None, "{line}");
        }
        for line in ["s3cret", "=s3cret", "s3cret; Secure"] {
            let cookie = Cookie::parse(line, now()).unwrap();
            assert_eq!((cookie.name.as_str(), cookie.label()), ("", "without a name"), "{line}");
            assert!(!format!("{cookie:?}").contains("s3cret"), "{line}");
        }
        assert!(!format!("{:?}", Cookie::parse("sid=s3cret; Secure", now())).contains("s3cret"));
    }
}
