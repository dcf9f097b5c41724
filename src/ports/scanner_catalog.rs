//! The catalogue of the scanner: its plugins, its settings and the issues that it knows.

use std::collections::BTreeMap;

use kastrel_actors::model::{PluginInfo, ScannerInfo, ScannerOffer, SettingNatures, SettingsSchema, Severity};
use kastrel_findings::registry::Approach;
use serde::{Deserialize, Serialize};

/// A kind of issue, as the scanner's registry describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueText {
    /// The severity of the issue.
    pub severity: Severity,
    /// The title of the issue.
    pub title: String,
    /// The meaning of the issue.
    pub description: String,
    /// The remediation of the issue.
    pub remediation: String,
    /// The category of the issue.
    pub category: String,
    /// How it is best fixed, and how long that usually takes.
    pub fix: IssueFix,
}

/// How an issue is best fixed. What the registry does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IssueFix {
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

/// A scanner and its catalogue: that of this node, or the common one of all nodes.
///
/// It consists of a [`ScannerOffer`] and the data that is too large for the row of every node.
#[derive(Debug, Clone, PartialEq)]
pub struct ScannerCatalog {
    /// The scanner and its version.
    pub scanner: ScannerInfo,
    /// Its plugins.
    pub plugins: Vec<PluginInfo>,
    /// The issues that the scanner knows, by id; empty if this process does not run the scanner.
    pub issues: BTreeMap<String, IssueText>,
    /// The natures of its settings, where their names do not show them.
    pub natures: SettingNatures,
    /// The schema of its settings; `None` if the scanner does not provide it.
    pub settings: Option<SettingsSchema>,
}

impl From<&ScannerOffer> for ScannerCatalog {
    fn from(offer: &ScannerOffer) -> Self {
        Self {
            scanner: offer.scanner.clone(),
            plugins: offer.plugins.clone(),
            issues: BTreeMap::new(),
            natures: offer.settings.clone(),
            settings: offer.schema.clone(),
        }
    }
}
