//! The rules of identity, as data.

use crate::place::Part;
use crate::sighting::{IssueKey, Sighting};

/// The issues that a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// All issues of the plugin.
    Any,
    /// These issues.
    Is(&'static [&'static str]),
    /// Issues with this beginning.
    StartsWith(&'static str),
    /// Numbers of rules, and their variants: `10055` and `10055-4`.
    Numbers(&'static [&'static str]),
}

impl Match {
    fn matches(self, issue: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Is(names) => names.contains(&issue),
            Self::StartsWith(start) => issue.starts_with(start),
            Self::Numbers(numbers) => numbers.contains(&issue.split('-').next().unwrap_or(issue)),
        }
    }
}

/// One rule: what makes sightings of some issues one finding.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The plugin, or `*`.
    pub plugin: &'static str,
    /// The issues.
    pub issues: Match,
    /// The issue key of the finding, where several issues are one finding.
    pub issue_as: Option<&'static str>,
    /// The title of the finding, where several issues are one finding.
    pub title: Option<&'static str>,
    /// The parts of the place that count. Sightings that differ only in others are members of one
    /// finding.
    pub parts: &'static [Part],
    /// The part that may change while the finding stays the same, if there is only one candidate.
    pub drift: Option<Part>,
    /// The reason, for explanations.
    pub why: &'static str,
}

impl Rule {
    /// Returns the issue key of the finding.
    #[must_use]
    pub fn issue_of<'a>(&self, sighting: &'a Sighting) -> &'a str {
        self.issue_as.unwrap_or(sighting.issue.as_str())
    }
}

/// A version of the rules. Once findings were stored with it, it does not change.
#[derive(Debug, Clone, Copy)]
pub struct RuleSet {
    /// The version, from 1.
    pub version: u32,
    /// The rules. The first that matches counts.
    pub rules: &'static [Rule],
}

impl RuleSet {
    /// Returns the rule for a sighting.
    #[must_use]
    pub fn rule_for(&self, sighting: &Sighting) -> &'static Rule {
        self.rule_of(&sighting.plugin, sighting.issue.as_str())
    }

    /// Returns the issue key of the finding for an issue of a plugin.
    #[must_use]
    pub fn issue_of(&self, plugin: &str, issue: &IssueKey) -> IssueKey {
        self.rule_of(plugin, issue.as_str()).issue_as.map_or_else(|| issue.clone(), IssueKey::new)
    }

    fn rule_of(&self, plugin: &str, issue: &str) -> &'static Rule {
        let matches = |rule: &&Rule| (rule.plugin == "*" || rule.plugin == plugin) && rule.issues.matches(issue);
        self.rules.iter().find(matches).unwrap_or(&EVERYTHING)
    }
}

/// All rule sets, the oldest first.
pub const RULE_SETS: &[RuleSet] = &[RuleSet { version: 1, rules: VERSION_1 }];

/// Returns the rule set for new findings.
#[must_use]
pub const fn current() -> &'static RuleSet {
    &RULE_SETS[RULE_SETS.len() - 1]
}

/// The rule where no other matches: every part counts, except the names of the query.
static EVERYTHING: Rule = Rule {
    plugin: "*",
    issues: Match::Any,
    issue_as: None,
    title: None,
    parts: &[
        Part::Scheme,
        Part::Host,
        Part::Port,
        Part::Path,
        Part::Parameter,
        Part::Header,
        Part::Cookie,
        Part::Protocol,
        Part::Suite,
        Part::ScriptOrigin,
        Part::ScriptPath,
        Part::Component,
        Part::Text,
    ],
    drift: None,
    why: "every part of the place counts, except the names of the query",
};

const SITE: &[Part] = &[Part::Scheme, Part::Host, Part::Port];
const PORT: &[Part] = &[Part::Host, Part::Port];
const PROTOCOL: &[Part] = &[Part::Host, Part::Port, Part::Protocol];
const HEADER: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::Header];
const COOKIE: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::Cookie];
const PAGE: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::Path];
const PARAMETER: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::Path, Part::Parameter, Part::Cookie];
const SCRIPT: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::ScriptOrigin, Part::ScriptPath, Part::Component];
const COMPONENT: &[Part] = &[Part::Scheme, Part::Host, Part::Port, Part::Component];

/// ZAP's passive rules about headers that a server sends with every answer.
const ZAP_SITE_WIDE: &[&str] = &[
    "10015", "10020", "10021", "10035", "10036", "10037", "10038", "10049", "10050", "10055", "10061", "10063",
    "10098", "90004",
];

const VERSION_1: &[Rule] = &[
    rule("testssl", Match::StartsWith("cipher-"), PORT, "the weak cipher suites of a port are one finding")
        .as_issue("weak-cipher-suites", "Weak cipher suites offered"),
    rule("testssl", Match::Any, PROTOCOL, "TLS belongs to the port of a host, whatever its IP address"),
    rule("mozilla_observatory", Match::Any, HEADER, "a header belongs to the site"),
    rule(
        "zap",
        Match::Numbers(ZAP_SITE_WIDE),
        SITE,
        "the site sends this header with every answer, so its pages are members",
    ),
    rule(
        "zap",
        Match::Any,
        PARAMETER,
        "page and parameter count; the method, the values and other names of the query do not",
    )
    .with_drift(Part::Path),
    rule("cors_analyzer", Match::Is(&["jsonp-endpoint-detected"]), PARAMETER, "page and parameter count"),
    rule("cors_analyzer", Match::Any, PAGE, "the policy belongs to the page"),
    rule("ftap", Match::Any, PAGE, "the page counts").with_drift(Part::Path),
    rule("script_detection", Match::Any, SCRIPT, "the site and the script count").with_drift(Part::ScriptPath),
    rule("whatweb", Match::Any, COMPONENT, "the software of the site counts, whatever its version"),
    rule("wafw00f", Match::Any, SITE, "a firewall stands in front of the site"),
    rule("related_sites", Match::Any, &[Part::Host], "the host counts"),
    rule(
        "ai_surface_detection",
        Match::Any,
        &[Part::Scheme, Part::Host, Part::Port, Part::Path, Part::Component],
        "the software of the site, or the open address, counts",
    ),
    rule("http_headers", Match::Any, HEADER, "a header belongs to the site"),
    rule("cookie_flags", Match::Any, COOKIE, "a cookie belongs to the site that sets it"),
    rule("cors_policy", Match::Any, PAGE, "the policy belongs to the page"),
    rule("exposed_files", Match::Any, PAGE, "the file counts"),
    rule("script_integrity", Match::Any, SCRIPT, "the site and the script count").with_drift(Part::ScriptPath),
    rule("tls_certificate", Match::Any, PORT, "TLS belongs to the port of a host"),
    rule("dns_posture", Match::Any, &[Part::Host], "the domain counts"),
    rule("technology_hints", Match::Any, COMPONENT, "the software of the site counts, whatever its version"),
];

const fn rule(plugin: &'static str, issues: Match, parts: &'static [Part], why: &'static str) -> Rule {
    Rule { plugin, issues, issue_as: None, title: None, parts, drift: None, why }
}

impl Rule {
    const fn as_issue(mut self, issue: &'static str, title: &'static str) -> Self {
        self.issue_as = Some(issue);
        self.title = Some(title);
        self
    }

    const fn with_drift(mut self, part: Part) -> Self {
        self.drift = Some(part);
        self
    }
}
