//! Counts ZAP's alerts from its findings.
//!
//! KAST lists the first fifty alerts as `Name [Risk]`, after its own issues for the same alerts. In
//! that list, further alerts are missing, an alert on many pages occurs many times, and an alert
//! for which KAST has an issue occurs twice. So this module counts the issues from the alerts: each
//! combination of name and risk is one issue.

use std::collections::BTreeSet;
use std::io::Read;

use kastrel_actors::model::{IssueCollector, IssueRef, Severity, SeverityCounts};

use super::super::catalogue::Catalogue;
use super::super::json::{Fault, JsonReader};
use super::super::text::clean;

/// The plugin with these alerts.
pub(super) const ZAP: &str = "zap";
/// The maximum number of different alerts that are deduplicated. Every later alert counts.
const MOST_DIFFERENT: usize = 5_000;
const MOST_NAME_BYTES: usize = 1 << 10;
const MOST_NAME_CHARS: usize = 120;

/// ZAP's rules for which KAST has an issue.
const RULES: &[(&str, &str)] = &[
    ("10062", "zap-pii-disclosure"),
    ("90022", "zap-application-error-disclosure"),
    ("10023", "zap-application-error-disclosure"),
    ("10040", "zap-mixed-content"),
    ("10040-1", "zap-mixed-content"),
    ("10028", "zap-open-redirect"),
    ("20019", "zap-open-redirect"),
];

/// The alerts that were read.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    seen: BTreeSet<(Severity, String)>,
    issues: IssueCollector,
}

impl Alerts {
    /// Returns true if there was no alert.
    pub(super) fn is_empty(&self) -> bool {
        self.issues.is_empty()
    }

    /// The issues: each alert once.
    pub(super) fn into_issues(self) -> IssueCollector {
        self.issues
    }

    /// Reads a list of alerts, or a single alert.
    pub(super) fn read<R: Read>(
        &mut self,
        reader: &mut JsonReader<R>,
        catalogue: Option<&Catalogue>,
    ) -> Result<(), Fault> {
        if reader.is_list()? {
            reader.list(|reader| self.alert(reader, catalogue)).map(drop)
        } else if reader.is_object()? {
            self.alert(reader, catalogue)
        } else {
            reader.skip()
        }
    }

    /// Reads a list of sites with their alerts, or a single site.
    pub(super) fn read_sites<R: Read>(
        &mut self,
        reader: &mut JsonReader<R>,
        catalogue: Option<&Catalogue>,
    ) -> Result<(), Fault> {
        if reader.is_list()? {
            reader.list(|reader| self.site(reader, catalogue)).map(drop)
        } else {
            self.site(reader, catalogue)
        }
    }

    fn site<R: Read>(&mut self, reader: &mut JsonReader<R>, catalogue: Option<&Catalogue>) -> Result<(), Fault> {
        reader
            .object(|reader, key| if key == "alerts" { self.read(reader, catalogue) } else { reader.skip() })
            .map(drop)
    }

    fn alert<R: Read>(&mut self, reader: &mut JsonReader<R>, catalogue: Option<&Catalogue>) -> Result<(), Fault> {
        let (mut alert, mut name, mut risk, mut code, mut rule) = (None, None, None, None, None);
        reader.object(|reader, key| {
            let place = match key {
                "alert" => &mut alert,
                "name" => &mut name,
                "risk" => &mut risk,
                "riskcode" => &mut code,
                "pluginId" | "pluginid" => &mut rule,
                _ => return reader.skip(),
            };
            *place = reader.value(MOST_NAME_BYTES)?.into_name();
            Ok(())
        })?;
        // Like KAST: an alert without a risk is informational.
        let severity = match code.as_deref().map(str::trim) {
            Some("3") => Severity::High,
            Some("2") => Severity::Medium,
            Some("1") => Severity::Low,
            Some(_) => Severity::Informational,
            None => {
                risk.as_deref().map_or(Severity::Informational, |risk| risk_word(risk).unwrap_or(Severity::Unknown))
            }
        };
        let registered = rule
            .and_then(|rule| RULES.iter().find(|(number, _)| *number == rule.trim()))
            .and_then(|(_, id)| Some((id, catalogue?.registry.get(*id)?)));
        let issue = if let Some((id, kind)) = registered {
            IssueRef { id: (*id).to_owned(), severity: kind.severity, title: kind.title.clone() }
        } else {
            let name = Some(clean(&alert.or(name).unwrap_or_default(), MOST_NAME_CHARS))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "(unnamed alert)".into());
            IssueRef { id: name.clone(), severity, title: name }
        };
        let is_new = self.seen.len() >= MOST_DIFFERENT || self.seen.insert((issue.severity, issue.id.clone()));
        if is_new {
            self.issues.push(issue);
        }
        Ok(())
    }
}

/// The issues of KAST's list, for a result without the alerts themselves. Each issue counts once.
/// The ids in `repeated` are removed, because they stand for other issues of the list. The counts
/// come from `summary`, if it has any.
pub(super) fn from_list(
    listed: IssueCollector,
    repeated: &[String],
    summary: Option<&str>,
    count: Option<u64>,
) -> IssueCollector {
    let (all, issues) = listed.into_parts();
    let mut seen = BTreeSet::new();
    let has_alerts = issues.iter().any(|issue| !repeated.contains(&issue.id));
    let (mut found, before) = (IssueCollector::default(), issues.len() as u64);
    for issue in issues {
        if seen.insert(issue.id.clone()) && !(has_alerts && repeated.contains(&issue.id)) {
            found.push(issue);
        }
    }
    if let Some(counts) = summary.and_then(|summary| counted(summary, count)) {
        return found.with_counts_of(counts);
    }
    found.count(Severity::Unknown, all.total().saturating_sub(before));
    found
}

/// Parses "Found 60 issues: 3 High, 20 Medium, 30 Low — …". The rest of the total is informational.
fn counted(summary: &str, count: Option<u64>) -> Option<SeverityCounts> {
    let (total, rest) = summary.strip_prefix("Found ")?.split_once(" issues: ")?;
    let total: u64 = total.parse().ok()?;
    let (mut counts, mut named) = (SeverityCounts::default(), 0_u64);
    for part in rest.split(" \u{2014} ").next()?.split(", ") {
        let (number, word) = part.trim().split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        counts.add(risk_word(word)?, number);
        named = named.saturating_add(number);
    }
    (named <= total && count.is_none_or(|count| count == total)).then(|| {
        counts.add(Severity::Informational, total - named);
        counts
    })
}

/// Parses ZAP's word for a risk.
pub(super) fn risk_word(word: &str) -> Option<Severity> {
    Some(match word.trim().to_lowercase().as_str() {
        "critical" => Severity::Critical,
        "high" => Severity::High,
        "medium" => Severity::Medium,
        "low" => Severity::Low,
        "informational" | "info" => Severity::Informational,
        _ => return None,
    })
}

/// Splits an issue id with its own severity, `Name [Risk]`, into the name and the severity.
pub(super) fn with_risk(id: &str) -> Option<(&str, Severity)> {
    let (name, risk) = id.trim_end().strip_suffix(']')?.rsplit_once('[')?;
    Some((name.trim(), risk_word(risk)?)).filter(|(name, _)| !name.is_empty())
}
