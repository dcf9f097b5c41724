//! Defines a plugin: its description, its contract, and the list of all plugins.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::issues::Issue;
use crate::plugins;
use crate::scan::Scan;
use crate::settings;

/// The description of a plugin, as `plugins list` shows it.
#[derive(Debug)]
pub struct Meta {
    /// The name in files and on the command line.
    pub name: &'static str,
    /// The display name.
    pub display_name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// A page that explains the subject.
    pub website_url: &'static str,
    /// The running order: lower values run first.
    pub priority: u16,
}

impl Meta {
    /// Returns the JSON schema of the plugin's settings.
    #[must_use]
    pub fn schema(&self) -> Value {
        settings::group_schema(
            self.name,
            &format!("{} Configuration", self.display_name),
            &format!("Settings of the {} plugin", self.name),
        )
    }

    /// Returns one row of `plugins list --json`.
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

/// The limit for the text of a site in one field of a report, in characters.
const MAX_TEXT: usize = 500;

/// The limit for the findings, and for the observations, of one plugin. Without it a hostile page
/// could fill the disk.
const MAX_ENTRIES: usize = 2000;

/// One weakness or fact that a check found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The issue.
    pub issue: &'static Issue,
    /// The location: an address, a cookie, a DNS name.
    pub location: String,
    /// The observation in words. It may contain text from the site.
    pub evidence: String,
}

impl Finding {
    /// Creates a finding with shortened texts.
    pub fn new(issue: &'static Issue, location: impl Into<String>, evidence: impl Into<String>) -> Self {
        Self { issue, location: clip(&location.into(), MAX_TEXT), evidence: clip(&evidence.into(), MAX_TEXT) }
    }
}

/// Shortens text to at most `limit` characters.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit { text.to_owned() } else { text.chars().take(limit).chain(['…']).collect() }
}

/// The report of a plugin that completed its check.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The findings, in any order.
    pub findings: Vec<Finding>,
    /// Facts that are not findings: the checks that passed.
    pub observations: Vec<String>,
    /// A sentence before the count of findings, such as a grade.
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

/// The result of a plugin.
#[derive(Debug, Clone)]
#[must_use]
pub enum Outcome {
    /// The check completed.
    Done(Report),
    /// A part of the check could not be completed, for this reason. The findings still count, but
    /// the plugin did not succeed.
    Partial(Report, String),
    /// The check could not be completed, for this reason. Never used for "found nothing".
    Failed(String),
    /// The check does not apply to this target, for this reason.
    Skipped(String),
}

impl Outcome {
    /// Returns the outcome with all lists and texts cut to their limits.
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
    /// Returns the description of the plugin.
    fn meta(&self) -> &'static Meta;
    /// Runs the check on its own thread. Dropping the future cancels it; it must not leave tasks
    /// behind.
    async fn run(&self, scan: &Scan) -> Outcome;
}

/// Returns all plugins in running order.
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

    /// The names of KAST's own plugins. This scanner must not use them.
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
    fn plugin_names_are_unique_and_not_kasts() {
        let names: Vec<_> = all().iter().map(|plugin| plugin.meta().name).collect();
        for (at, name) in names.iter().enumerate() {
            assert!(!KAST_NAMES.contains(name), "{name} is a plugin of KAST");
            assert!(!names[at + 1..].contains(name), "{name} is there twice");
            assert!(find(name).is_some());
        }
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn clip_cuts_on_character_boundaries() {
        assert_eq!(clip("äöü", 2), "äö…");
        assert_eq!(clip("äöü", 3), "äöü");
    }
}
