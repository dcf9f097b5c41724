//! Sightings: one issue at one place in one scan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{
    MOST_ATTRIBUTE_CHARS, MOST_ATTRIBUTES, MOST_EVIDENCE_CHARS, MOST_KEY_CHARS, MOST_REFERENCES, MOST_TITLE_CHARS,
};
use crate::place::Place;
use crate::severity::Severity;
use crate::text::clean;

/// The stable name of an issue within its plugin, such as `cert-expired`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct IssueKey(String);

impl IssueKey {
    /// Reads the name: on one line, bounded. An empty one is `unnamed`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = clean(text, MOST_KEY_CHARS);
        Self(if text.is_empty() { "unnamed".to_owned() } else { text })
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for IssueKey {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<IssueKey> for String {
    fn from(key: IssueKey) -> Self {
        key.0
    }
}

impl std::fmt::Display for IssueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One issue at one place, as one plugin saw it in one scan. All texts come from the scanned site
/// or from a tool, so they are hostile; they are bounded and have no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The name of the plugin.
    pub plugin: String,
    /// The issue.
    pub issue: IssueKey,
    /// The severity in the plugin's own findings. `None`: only the registry has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The title in the plugin's own findings, or the issue key.
    pub title: String,
    /// The place in normal form.
    pub place: Place,
    /// The place as the plugin wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// What the plugin saw there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// CVE and CWE numbers, and addresses to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// Further facts, such as the IP address or the HTTP status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The ids under which the registry may have the issue, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registry_ids: Vec<String>,
}

impl Sighting {
    /// Creates a sighting. The issue is its own title and its own id in the registry.
    #[must_use]
    pub fn new(plugin: &str, issue: &str, place: Place) -> Self {
        let issue = IssueKey::new(issue);
        Self {
            plugin: clean(plugin, MOST_KEY_CHARS),
            severity: None,
            title: clean(issue.as_str(), MOST_TITLE_CHARS),
            place,
            location: String::new(),
            evidence: String::new(),
            references: Vec::new(),
            attributes: BTreeMap::new(),
            registry_ids: vec![issue.as_str().to_owned()],
            issue,
        }
    }

    /// Sets the severity.
    #[must_use]
    pub const fn severity(mut self, severity: Option<Severity>) -> Self {
        self.severity = severity;
        self
    }

    /// Sets the title, if it is not blank.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        let title = clean(title, MOST_TITLE_CHARS);
        if !title.is_empty() {
            self.title = title;
        }
        self
    }

    /// Sets the place as the plugin wrote it.
    #[must_use]
    pub fn location(mut self, location: &str) -> Self {
        self.location = clean(location, MOST_ATTRIBUTE_CHARS);
        self
    }

    /// Sets the evidence.
    #[must_use]
    pub fn evidence(mut self, evidence: &str) -> Self {
        self.evidence = clean(evidence, MOST_EVIDENCE_CHARS);
        self
    }

    /// Adds references, each once. `javascript:` and other addresses that are no web pages are
    /// dropped.
    #[must_use]
    pub fn references<'a>(mut self, references: impl IntoIterator<Item = &'a str>) -> Self {
        for reference in references {
            let reference = clean(reference, MOST_ATTRIBUTE_CHARS);
            let is_known =
                ["https://", "http://", "CVE-", "CWE-", "WASC-"].iter().any(|start| reference.starts_with(start));
            if is_known && self.references.len() < MOST_REFERENCES && !self.references.contains(&reference) {
                self.references.push(reference);
            }
        }
        self
    }

    /// Adds an attribute, if it is not blank.
    #[must_use]
    pub fn attribute(mut self, name: &'static str, value: Option<&str>) -> Self {
        let value = clean(value.unwrap_or_default(), MOST_ATTRIBUTE_CHARS);
        if !value.is_empty() && self.attributes.len() < MOST_ATTRIBUTES {
            self.attributes.insert(name.to_owned(), value);
        }
        self
    }

    /// Sets the ids under which the registry may have the issue.
    #[must_use]
    pub fn registry_ids<'a>(mut self, ids: impl IntoIterator<Item = &'a str>) -> Self {
        self.registry_ids.clear();
        for id in ids.into_iter().map(|id| clean(id, MOST_TITLE_CHARS)).filter(|id| !id.is_empty()).take(4) {
            if !self.registry_ids.contains(&id) {
                self.registry_ids.push(id);
            }
        }
        self
    }
}
