//! What a plugin is: its description, its contract, and the list of all of them.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::issues::Issue;
use crate::plugins;
use crate::scan::Scan;
use crate::settings;

/// What `plugins list` tells about a plugin.
#[derive(Debug)]
pub struct Meta {
    /// The name in files and on the command line.
    pub name: &'static str,
    /// The name for people.
    pub display_name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// Where the matter is explained.
    pub website_url: &'static str,
    /// Plugins run in rising order of this.
    pub priority: u16,
}

impl Meta {
    /// The JSON schema of the plugin's settings.
    #[must_use]
    pub fn schema(&self) -> Value {
        settings::group_schema(
            self.name,
            &format!("{} Configuration", self.display_name),
            &format!("Settings of the {} plugin", self.name),
        )
    }

    /// One row of `plugins list --json`.
    #[must_use]
    pub fn row(&self) -> Value {
        json!({
            "name": self.name,
            "display_name": self.display_name,
            "description": self.description,
            "scan_type": "passive",
            "priority": self.priority,
            "available": true,
            "website_url": self.website_url,
            "output_type": "file",
        })
    }
}

/// The longest text of a site in one field of a report, in characters.
const MAX_TEXT: usize = 500;

/// The most findings, and the most observations, of one plugin. A hostile page could fill the disk.
const MAX_ENTRIES: usize = 2000;

/// One weakness or fact that was found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What it is.
    pub issue: &'static Issue,
    /// Where: an address, a cookie, a DNS name.
    pub location: String,
    /// What was seen, in words. It may hold text that the site chose.
    pub evidence: String,
}

impl Finding {
    /// A finding.
    pub fn new(issue: &'static Issue, location: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { issue, location: clip(&location.into(), MAX_TEXT), evidence: clip(&evidence.into(), MAX_TEXT) }
    }
}

/// Shortens hostile text to a bearable length, on a character boundary.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit { text.to_owned() } else { text.chars().take(limit).chain(['…']).collect() }
}

/// What a plugin that did its check has to say.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The findings, in any order.
    pub findings: Vec<Finding>,
    /// Facts that are no findings: what was checked and was right.
    pub observations: Vec<String>,
    /// A sentence that comes before the count of findings, such as a grade.
    pub headline: String,
}

impl Report {
    fn bounded(mut self) -> Self {
        self.findings.truncate(MAX_ENTRIES);
        self.observations.truncate(MAX_ENTRIES);
        self.observations.iter_mut().for_each(|text| *text = clip(text, MAX_TEXT));
        self.headline = clip(&self.headline, MAX_TEXT);
        self
    }
}

/// How a plugin ended.
#[derive(Debug, Clone)]
#[must_use]
pub enum Outcome {
    /// The check was made.
    Done(Report),
    /// A part of the check could not be made, and this is why. What was found still counts, but the
    /// plugin did not succeed.
    Partial(Report, String),
    /// The check could not be made, and this is why. Never used for "found nothing".
    Failed(String),
    /// The check does not apply to this target, and this is why.
    Skipped(String),
}

impl Outcome {
    /// The outcome with every list and text cut to a bearable size.
    pub fn bounded(self) -> Self {
        match self {
            Self::Done(report) => Self::Done(report.bounded()),
            Self::Partial(report, reason) => Self::Partial(report.bounded(), clip(&reason, 4 * MAX_TEXT)),
            Self::Failed(reason) => Self::Failed(clip(&reason, 4 * MAX_TEXT)),
            Self::Skipped(reason) => Self::Skipped(clip(&reason, 4 * MAX_TEXT)),
        }
    }
}

/// One check.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// What it is.
    fn meta(&self) -> &'static Meta;
    /// Makes the check, on a thread of its own. Cancelled by dropping; must not leave tasks behind.
    async fn run(&self, scan: &Scan) -> Outcome;
}

/// All plugins, in the order in which they run.
#[must_use]
pub fn all() -> Vec<&'static dyn Plugin> {
    let mut list: Vec<&'static dyn Plugin> = vec![
        &plugins::dns_posture::DnsPosture,
        &plugins::security_headers::HttpHeaders,
        &plugins::cookies::CookieFlags,
        &plugins::scripts::ScriptIntegrity,
        &plugins::technology::TechnologyHints,
        &plugins::tls::TlsCertificate,
        &plugins::cors::CorsPolicy,
        &plugins::exposed_files::ExposedFiles,
    ];
    list.sort_by_key(|plugin| plugin.meta().priority);
    list
}

/// Finds a plugin by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Plugin> {
    all().into_iter().find(|plugin| plugin.meta().name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of KAST's own plugins, which ours may not take.
    const KAST_NAMES: [&str; 13] = [
        "org_discovery",
        "mozilla_observatory",
        "subfinder",
        "wafw00f",
        "script_detection",
        "whatweb",
        "cors_analyzer",
        "related_sites",
        "testssl",
        "ftap",
        "katana",
        "ai_surface_detection",
        "zap",
    ];

    #[test]
    fn names_are_our_own_and_unique() {
        let names: Vec<_> = all().iter().map(|plugin| plugin.meta().name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!KAST_NAMES.contains(name), "{name} is a plugin of KAST");
            assert!(!names[at + 1..].contains(name), "{name} is there twice");
            assert!(find(name).is_some());
        }
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn clips_on_characters() {
        assert_eq!(clip("äöü", 2), "äö…");
        assert_eq!(clip("äöü", 3), "äöü");
    }
}
