//! The issue registry of a scanner: `registry list --json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{self, Fault, Node};
use crate::limits::{MOST_PROSE_CHARS, MOST_REGISTRY_ENTRIES, MOST_TITLE_CHARS};
use crate::severity::Severity;
use crate::sighting::Sighting;
use crate::text::clean;

/// How an issue is best fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approach {
    /// By a rule of a web application firewall.
    Waf,
    /// By a change of the application.
    Code,
    /// By both.
    Combined,
    /// By a change of the servers.
    Infrastructure,
}

impl Approach {
    /// Reads the word of a registry, in any case. `None`: the word is no approach.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "waf" => Self::Waf,
            "code" => Self::Code,
            "combined" => Self::Combined,
            "infrastructure" => Self::Infrastructure,
            _ => return None,
        })
    }
}

/// One issue of the registry. A field that the scanner leaves out, or for which it writes `N/A`, is
/// empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryEntry {
    /// The id.
    pub id: String,
    /// The title for people.
    pub title: String,
    /// The meaning.
    pub description: Option<String>,
    /// What to do.
    pub remediation: Option<String>,
    /// The severity.
    pub severity: Severity,
    /// The category.
    pub category: Option<String>,
    /// True if a web application firewall can stop attacks on it.
    pub waf_addressable: Option<bool>,
    /// How it is best fixed.
    pub approach: Option<Approach>,
    /// The usual time for a change of the application, in words.
    pub code_fix_time: Option<String>,
    /// The usual time for a rule of a firewall, in words.
    pub waf_time: Option<String>,
    /// The usual time for a change of the servers, in words.
    pub infrastructure_time: Option<String>,
}

/// The issues that a scanner knows, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Registry(BTreeMap<String, RegistryEntry>);

impl Registry {
    /// Parses the output of `registry list --json`. Entries without an id are dropped; of two with
    /// one id, the last counts.
    ///
    /// # Errors
    /// The output is no JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let (document, _) = json::parse(bytes, &[])?;
        let entries = match document.list() {
            [] => document.get("registry").list(),
            entries => entries,
        };
        Ok(Self::of(entries.iter().filter_map(entry).take(MOST_REGISTRY_ENTRIES)))
    }

    /// Creates the registry of these issues. Of two with one id, the last counts.
    #[must_use]
    pub fn of(entries: impl IntoIterator<Item = RegistryEntry>) -> Self {
        Self(entries.into_iter().map(|entry| (entry.id.clone(), entry)).collect())
    }

    /// Returns the issue with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&RegistryEntry> {
        self.0.get(id)
    }

    /// Returns the issue of a sighting: the first of its ids that the registry has.
    #[must_use]
    pub fn entry_of(&self, sighting: &Sighting) -> Option<&RegistryEntry> {
        sighting.registry_ids.iter().find_map(|id| self.get(id))
    }

    /// Returns the severity of a sighting: its own, or else that of the registry. A plugin that saw
    /// the case itself knows more than the registry.
    #[must_use]
    pub fn severity_of(&self, sighting: &Sighting) -> Severity {
        let own = sighting.severity.filter(|severity| *severity != Severity::Unknown);
        own.or_else(|| self.entry_of(sighting).map(|entry| entry.severity)).unwrap_or(Severity::Unknown)
    }

    /// Returns the title of a sighting: its own, or that of the registry where the sighting has
    /// only the issue key.
    #[must_use]
    pub fn title_of<'a>(&'a self, sighting: &'a Sighting) -> &'a str {
        let own = Some(sighting.title.as_str()).filter(|title| *title != sighting.issue.as_str());
        own.or_else(|| self.entry_of(sighting).map(|entry| entry.title.as_str())).unwrap_or(&sighting.title)
    }

    /// Returns the number of issues.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no issue.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn entry(node: &Node) -> Option<RegistryEntry> {
    let text = |key: &str, most: usize| {
        let text = clean(node.word_of(key)?, most);
        Some(text).filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case("n/a"))
    };
    let id = text("id", MOST_TITLE_CHARS)?;
    Some(RegistryEntry {
        title: text("display_name", MOST_TITLE_CHARS).unwrap_or_else(|| id.clone()),
        description: text("description", MOST_PROSE_CHARS),
        remediation: text("remediation", MOST_PROSE_CHARS),
        severity: text("severity", 40).and_then(|word| Severity::read(&word)).unwrap_or(Severity::Unknown),
        category: text("category", MOST_TITLE_CHARS),
        waf_addressable: node.word_of("waf_addressable").and_then(|word| word.to_ascii_lowercase().parse().ok()),
        approach: text("remediation_approach", 40).and_then(|word| Approach::read(&word)),
        code_fix_time: text("code_fix_timeframe", 80),
        waf_time: text("waf_deployment_timeframe", 80),
        infrastructure_time: text("infrastructure_fix_timeframe", 80),
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    const OUTPUT: &str = r#"{"registry": [
        {"id": "cert-expired", "display_name": "Expired Certificate", "description": "d", "remediation": "r",
         "severity": "Critical", "category": "Certificate", "waf_addressable": true, "remediation_approach": "combined",
         "code_fix_timeframe": "1-2 days", "waf_deployment_timeframe": "N/A", "infrastructure_fix_timeframe": "1 week"},
        {"id": "odd", "severity": "Dreadful", "waf_addressable": "no", "remediation_approach": "magic"},
        {"display_name": "without an id"}, 7, null], "count": 3}"#;

    #[test]
    fn all_fields_of_the_registry_are_read() {
        let registry = Registry::parse(OUTPUT.as_bytes()).unwrap();
        assert_eq!(registry.len(), 2);
        let entry = registry.get("cert-expired").unwrap();
        assert_eq!((entry.title.as_str(), entry.severity), ("Expired Certificate", Severity::Critical));
        assert_eq!(entry.category.as_deref(), Some("Certificate"));
        assert_eq!((entry.waf_addressable, entry.approach), (Some(true), Some(Approach::Combined)));
        assert_eq!(entry.code_fix_time.as_deref(), Some("1-2 days"));
        assert_eq!((entry.waf_time.as_deref(), entry.infrastructure_time.as_deref()), (None, Some("1 week")));
        let odd = registry.get("odd").unwrap();
        assert_eq!((odd.severity, odd.waf_addressable, odd.approach), (Severity::Unknown, None, None));
        assert_eq!(odd.title, "odd");
    }

    #[test]
    fn the_severity_of_the_plugin_comes_before_that_of_the_registry() {
        let registry = Registry::parse(OUTPUT.as_bytes()).unwrap();
        let sighting = Sighting::new("testssl", "cert-expired", Place::Target);
        assert_eq!(registry.severity_of(&sighting), Severity::Critical);
        assert_eq!(registry.title_of(&sighting), "Expired Certificate");
        assert_eq!(registry.title_of(&sighting.clone().title("Own")), "Own");
        assert_eq!(registry.title_of(&Sighting::new("p", "other", Place::Target)), "other");
        assert_eq!(registry.severity_of(&sighting.clone().severity(Some(Severity::Low))), Severity::Low);
        assert_eq!(registry.severity_of(&sighting.clone().severity(Some(Severity::Unknown))), Severity::Critical);
        let other = sighting.registry_ids(["a", "odd"]);
        assert_eq!(
            (registry.severity_of(&other), registry.entry_of(&other).unwrap().id.as_str()),
            (Severity::Unknown, "odd")
        );
    }

    #[test]
    fn other_output_gives_no_issue_or_a_fault() {
        assert!(Registry::parse(b"{}").unwrap().is_empty());
        assert_eq!(Registry::parse(br#"[{"id": "a"}]"#).unwrap().len(), 1);
        assert_eq!(Registry::parse(b"Usage: kast").unwrap_err(), Fault::Malformed(0));
    }

    proptest::proptest! {
        #[test]
        fn any_output_is_read_without_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Registry::parse(&bytes);
            let _ = Registry::parse(&[b"{\"registry\":[{\"id\":".as_slice(), &bytes].concat());
        }
    }
}
