//! Clearances: what the owners of a project allow to be done to a host.

use std::net::IpAddr;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{FieldError, Host, Principal, ProjectId, Target};

named_enum! {
    /// What may be done to a host. Each level includes the levels before it.
    pub enum ClearanceLevel {
        /// Nothing: no scan may run.
        None = "none",
        /// Scans with passive plugins may run.
        Passive = "passive",
        /// All scans may run.
        Active = "active",
    }
}

/// The hosts of a clearance: one host, such as `example.com` or `192.0.2.1`, or all names below a
/// domain, such as `*.example.com`. The text has its normal form, which is that of the host of a
/// target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

text_id!(HostPattern);

/// The text is not a valid pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a host such as example.com or 192.0.2.1, or all names below a domain such as *.example.com, not `{0}`"
)]
pub struct ParseHostPatternError(String);

/// The mark of a pattern that covers the names below a domain.
const BELOW: &str = "*.";

impl HostPattern {
    /// Returns all patterns that cover a host: the host itself, then the domains above it, the
    /// longest first.
    #[must_use]
    pub fn covering(host: &Host) -> Vec<Self> {
        let own = normal(host);
        let domains = match host {
            Host::Name(_) => own.match_indices('.').map(|(at, _)| Self(format!("{BELOW}{}", &own[at + 1..]))).collect(),
            Host::V4(_) | Host::V6(_) => Vec::new(),
        };
        std::iter::once(Self(own)).chain(domains).collect()
    }

    /// Returns true if the pattern covers a host. `*.example.com` covers `a.example.com` and
    /// `b.a.example.com`, but not `example.com`.
    #[must_use]
    pub fn covers(&self, host: &Host) -> bool {
        match (self.0.strip_prefix(BELOW), host) {
            (Some(domain), Host::Name(_)) => {
                normal(host).strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Some(_), Host::V4(_) | Host::V6(_)) => false,
            (None, _) => self.0 == normal(host),
        }
    }
}

impl FromStr for HostPattern {
    type Err = ParseHostPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (is_below, host) = text.strip_prefix(BELOW).map_or((false, text), |domain| (true, domain));
        match read_host(host) {
            Some(host @ Host::Name(_)) if is_below => Ok(Self(format!("{BELOW}{}", normal(&host)))),
            Some(host) if !is_below => Ok(Self(normal(&host))),
            Some(_) | None => Err(ParseHostPatternError(text.chars().take(100).collect())),
        }
    }
}

/// Returns the host of a text that is a host and nothing more.
fn read_host(text: &str) -> Option<Host> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Some(Host::V4(address)),
        Ok(IpAddr::V6(address)) => Some(Host::V6(address)),
        Err(_) => {
            let target: Target = text.parse().ok()?;
            (target.to_string() == target.host().to_string()).then(|| target.host().clone())
        }
    }
}

/// Returns the form in which a host is compared: without the dot at the end of a name, and with an
/// IPv4 address that is written as an IPv6 address as that IPv4 address.
fn normal(host: &Host) -> String {
    match host {
        Host::Name(name) => name.trim_end_matches('.').to_owned(),
        Host::V4(address) => address.to_string(),
        Host::V6(address) => {
            address.to_ipv4_mapped().map_or_else(|| format!("[{address}]"), |address| address.to_string())
        }
    }
}

/// What the owners of a project allow to be done to some hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearance {
    /// The project. A clearance says nothing about scans of other projects.
    pub project: ProjectId,
    /// The hosts.
    pub pattern: HostPattern,
    /// What may be done to them.
    pub level: ClearanceLevel,
    /// Who authorised it.
    pub authorised_by: Principal,
    /// When it was authorised.
    pub at: Timestamp,
    /// The time at which the level `active` ends; `None` if it does not end.
    pub until: Option<Timestamp>,
    /// Why, such as who gave the permission to attack the hosts; empty if nobody wrote it.
    pub text: String,
}

/// A clearance as a client sends it: unchecked texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClearanceDraft {
    /// The hosts.
    pub pattern: String,
    /// What may be done to them.
    pub level: String,
    /// The end of the level `active`: a time such as `2026-12-31T18:00:00Z`, or a day such as
    /// `2026-12-31`, which it includes, in UTC. Empty if it does not end.
    pub until: String,
    /// Why; required for the level `active`.
    pub text: String,
}

impl ClearanceDraft {
    /// The longest text, in characters.
    pub const MOST_OF_TEXT: usize = 500;

    /// The longest time until the end of a clearance, in days.
    pub const MOST_DAYS: i64 = 3660;

    /// Checks the fields, and returns the clearance that `by` gives at the time `now`.
    ///
    /// # Errors
    /// All invalid fields: `pattern`, `level`, `until` (its form, it is not in the future, it is
    /// more than [`MOST_DAYS`](Self::MOST_DAYS) away, or the level does not end) and `text` (it is
    /// too long, or missing for `active`).
    pub fn read(&self, project: &ProjectId, by: &Principal, now: Timestamp) -> Result<Clearance, Vec<FieldError>> {
        let mut errors = Vec::new();
        let pattern = self.pattern.trim().parse::<HostPattern>();
        let pattern = pattern.map_err(|error| errors.push(FieldError::new("pattern", error.to_string()))).ok();
        let level = match self.level.trim() {
            "" => Err("a level is needed: none, passive or active".to_owned()),
            text => text.parse::<ClearanceLevel>().map_err(|error| error.to_string()),
        };
        let level = level.map_err(|error| errors.push(FieldError::new("level", error))).ok();
        let until = match self.until.trim() {
            "" => None,
            _ if level.is_some_and(|level| level != ClearanceLevel::Active) => {
                errors.push(FieldError::new("until", "only the level `active` ends; leave this empty"));
                None
            }
            text => read_until(text, now).map_err(|error| errors.push(FieldError::new("until", error))).ok(),
        };
        let text = self.text.trim();
        let length = text.chars().count();
        if length > Self::MOST_OF_TEXT {
            errors.push(FieldError::new("text", format!("expected at most {} characters", Self::MOST_OF_TEXT)));
        } else if length == 0 && level == Some(ClearanceLevel::Active) {
            errors.push(FieldError::new("text", "write who gave the permission to attack the target"));
        }
        let (Some(pattern), Some(level), true) = (pattern, level, errors.is_empty()) else { return Err(errors) };
        Ok(Clearance {
            project: project.clone(),
            pattern,
            level,
            authorised_by: by.clone(),
            at: now,
            until,
            text: text.to_owned(),
        })
    }
}

/// Reads the end of a clearance, or returns what is wrong.
fn read_until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    // A text of a date with more behind it must not be read as the date.
    let of_day = || text.parse::<Date>().ok().filter(|_| text.len() == "2026-12-31".len());
    let until = match (text.parse::<Timestamp>(), of_day()) {
        (Ok(until), _) => until,
        (Err(_), Some(day)) => {
            let next = day.tomorrow().and_then(|next| next.to_zoned_datetime(TimeZone::UTC));
            next.map_err(|_| "the day is too far away".to_owned())?.timestamp()
        }
        (Err(_), None) => {
            return Err("expected a day such as 2026-12-31, or a time such as 2026-12-31T18:00:00Z".into());
        }
    };
    if until <= now {
        return Err("expected a time in the future".into());
    }
    if until.duration_since(now) > SignedDuration::from_hours(24 * ClearanceDraft::MOST_DAYS) {
        return Err(format!("expected a time within {} days", ClearanceDraft::MOST_DAYS));
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        text.parse::<Target>().unwrap().host().clone()
    }

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    fn read(draft: &ClearanceDraft) -> Result<Clearance, Vec<FieldError>> {
        draft.read(&ProjectId::default(), &Principal::System, now())
    }

    fn draft(level: &str) -> ClearanceDraft {
        ClearanceDraft {
            pattern: "example.com".into(),
            level: level.into(),
            until: String::new(),
            text: "contract 7".into(),
        }
    }

    fn fields(draft: &ClearanceDraft) -> Vec<String> {
        read(draft).err().unwrap_or_default().into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn pattern_has_the_normal_form_of_the_host_of_a_target() {
        for (text, normal) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:DB8::1", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("*.example.com", "*.example.com"),
            ("*.EXAMPLE.com", "*.example.com"),
            ("*.corp", "*.corp"),
        ] {
            let pattern: HostPattern = text.parse().unwrap();
            assert_eq!(pattern.as_str(), normal, "{text}");
            assert_eq!(normal.parse::<HostPattern>().as_ref(), Ok(&pattern));
            let json = serde_json::to_string(&pattern).unwrap();
            assert_eq!(
                (json.as_str(), serde_json::from_str(&json).ok()),
                (format!("\"{normal}\"").as_str(), Some(pattern))
            );
        }
        for text in [
            "",
            "*",
            "*.",
            "*.*.example.com",
            "a.*.com",
            "*example.com",
            "*.192.0.2.1",
            "*.[::1]",
            "example.com:443",
            "https://example.com",
            "https://example.com/a",
            "192.0.2.0/24",
            "192.0.2.*",
            "a b",
            "-oX",
            "a.test,b.test",
            "user@example.com",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        let long = "x".repeat(5_000).parse::<HostPattern>().unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn wildcard_covers_the_names_below_its_domain_alone() {
        for (pattern, covered, others) in [
            (
                "example.com",
                &["example.com", "example.com.", "https://example.com:8443/a"][..],
                &["a.example.com", "com"][..],
            ),
            (
                "*.example.com",
                &["a.example.com", "b.a.example.com", "a.example.com."],
                &["example.com", "badexample.com", "example.com.evil.test", "192.0.2.1"],
            ),
            ("192.0.2.1", &["192.0.2.1", "192.0.2.1:80", "[::ffff:192.0.2.1]"], &["192.0.2.10", "[::1]"]),
            ("[2001:db8::1]", &["[2001:db8:0::1]:443"], &["[2001:db8::2]", "192.0.2.1"]),
        ] {
            let pattern: HostPattern = pattern.parse().unwrap();
            for text in covered {
                assert!(pattern.covers(&host(text)), "{pattern} {text}");
                assert!(HostPattern::covering(&host(text)).contains(&pattern), "{pattern} {text}");
            }
            for text in others {
                assert!(!pattern.covers(&host(text)), "{pattern} {text}");
                assert!(!HostPattern::covering(&host(text)).contains(&pattern), "{pattern} {text}");
            }
        }
        let covering: Vec<String> =
            HostPattern::covering(&host("a.b.example.com")).into_iter().map(Into::into).collect();
        assert_eq!(covering, ["a.b.example.com", "*.b.example.com", "*.example.com", "*.com"]);
        assert_eq!(HostPattern::covering(&host("192.0.2.1")).len(), 1);
    }

    #[test]
    fn draft_is_read_with_the_time_and_the_party_that_authorises_it() {
        let draft = ClearanceDraft {
            pattern: " Example.com ".into(),
            until: "2026-12-31".into(),
            text: " contract 7 ".into(),
            ..draft("active")
        };
        let expected = Clearance {
            project: ProjectId::default(),
            pattern: "example.com".parse().unwrap(),
            level: ClearanceLevel::Active,
            authorised_by: Principal::System,
            at: now(),
            until: Some("2027-01-01T00:00:00Z".parse().unwrap()),
            text: "contract 7".into(),
        };
        assert_eq!(read(&draft), Ok(expected));
        let time = ClearanceDraft { until: "2026-06-01T14:00:01+02:00".into(), ..draft };
        assert_eq!(read(&time).unwrap().until, Some("2026-06-01T12:00:01Z".parse().unwrap()));
    }

    #[test]
    fn each_invalid_field_is_named_and_hides_no_other() {
        let with = |change: fn(&mut ClearanceDraft)| {
            let mut draft = draft("active");
            change(&mut draft);
            fields(&draft)
        };
        assert_eq!(with(|_| {}), Vec::<String>::new());
        assert_eq!(with(|draft| draft.text = " ".into()), ["text"]);
        assert_eq!(with(|draft| draft.text = "é".repeat(501)), ["text"]);
        assert_eq!(with(|draft| draft.text = "é".repeat(500)), Vec::<String>::new());
        assert_eq!(with(|draft| draft.pattern = "*".into()), ["pattern"]);
        for level in ["", "full", "Active", "active passive"] {
            let draft = ClearanceDraft { level: level.into(), ..draft("") };
            assert_eq!(fields(&draft), ["level"], "{level}");
        }
        for until in [
            "tomorrow",
            "2026-06-01",
            "2026-05-31",
            "2026-06-01T12:00:00Z",
            "2026-12-31T18:00",
            "2026-13-01",
            "2026-02-30",
            "31.12.2026",
            "9999-12-31",
            "2037-01-01",
            "-2026-12-31",
        ] {
            // The first of June ends with the day, which is in the future.
            let expected: &[&str] = if until == "2026-06-01" { &[] } else { &["until"] };
            assert_eq!(fields(&ClearanceDraft { until: until.into(), ..draft("active") }), expected, "{until}");
        }
        for level in ["none", "passive"] {
            assert_eq!(fields(&ClearanceDraft { until: "2026-12-31".into(), ..draft(level) }), ["until"], "{level}");
            assert_eq!(fields(&ClearanceDraft { text: String::new(), ..draft(level) }), Vec::<String>::new());
        }
        let all = ClearanceDraft { until: "x".into(), text: "x".repeat(501), ..ClearanceDraft::default() };
        assert_eq!(fields(&all), ["pattern", "level", "until", "text"]);
    }
}
