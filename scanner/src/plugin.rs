//! Defines a plugin: its description and its contract.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::issues::Issue;
use crate::scan::Scan;
use crate::settings;
use crate::text::clip;

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
