//! The arguments of the tools, and how they are read. A fault names the argument.

use kastrel_actors::model::{FieldError, ScanId, ScanRequestDraft};
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::access::{FindingsWanted, Sorting, TargetsWanted, Triage, TriageKind};
use super::fault::ToolFault;

/// The number of rows of a page, if a call does not say it.
const PAGE: u32 = 20;
/// The most rows of a page. That many are shown without a cut, if their texts are not too long.
const MOST_ROWS: u32 = 40;
/// The longest words and tags of `list_targets` in characters, and the most tags.
const MOST_WORDS_CHARS: usize = 500;
const MOST_TAG_CHARS: usize = 100;
const MOST_TAGS: usize = 20;
/// How long a call of `wait_for_scan` waits, if it does not say it, in seconds.
const WAIT: u32 = 30;

/// The arguments of `list_targets`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListTargets {
    /// Words that the address of the target must have, such as `shop.example`.
    #[schemars(length(max = 500))]
    words: String,
    /// Tags that the target must have.
    #[schemars(length(max = 20))]
    tags: Vec<String>,
    /// Only the targets of this project, by its id.
    #[schemars(length(max = 64))]
    project: Option<String>,
    /// The number of matches to leave out: `next_skip` of the last result gets the next ones.
    skip: u32,
    /// The most targets; 20 if left out.
    #[schemars(range(min = 1, max = 40))]
    limit: Option<u32>,
}

/// The arguments of `get_target`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetTarget {
    /// The id of the target: 16 hex digits, as `list_targets` shows it.
    #[schemars(extend("pattern" = "^[0-9a-f]{16}$"))]
    pub(super) id: String,
}

/// The mode of a scan.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Looks at the target as a visitor would.
    #[default]
    Passive,
    /// Sends attacks to the target.
    Active,
    /// Runs passive and active plugins.
    Both,
}

/// The arguments of `submit_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitScan {
    /// What to scan: a host, host:port, or an http or https URL.
    #[schemars(length(max = 2048))]
    target: String,
    /// The mode, which selects the plugins; passive if left out.
    #[serde(default)]
    mode: Mode,
    /// The names of the plugins to run; empty: all of the mode.
    #[serde(default)]
    #[schemars(length(max = 100))]
    plugins: Vec<String>,
    /// True only if the person you work for has said, for this scan, that the owner of the target
    /// permits attacks. The modes active and both need it.
    #[serde(default)]
    confirm_active: bool,
    /// The id of the project; left out: the default project, or the only one in which you may
    /// submit scans.
    #[serde(default)]
    #[schemars(length(max = 64))]
    project: Option<String>,
    /// True to list the steps of the scanner and to scan nothing.
    #[serde(default)]
    dry_run: bool,
}

/// The arguments of `get_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetScan {
    /// The number of the scan.
    #[schemars(range(min = 1))]
    scan: u64,
}

/// The arguments of `wait_for_scan`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitForScan {
    /// The number of the scan.
    #[schemars(range(min = 1))]
    scan: u64,
    /// How long to wait, in seconds; 30 if left out. The server may answer earlier.
    #[serde(default)]
    #[schemars(range(min = 1, max = 60))]
    seconds: Option<u32>,
}

/// The arguments of `list_findings`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListFindings {
    /// A line of tokens and free words, all of which must hold: `severity:high,critical`,
    /// `status:open` (`confirmed`, `accepted`, `false_positive`, `fixed`, `any`; open and confirmed
    /// if left out), `plugin:testssl`, `category:…`, `issue:…`, `target:shop.example`,
    /// `project:…`, `tag:prod`, `owner:ana` (`none`), `age:30d`, `new:7d`, `since:2026-11-23`,
    /// `is:regressed`, `is:overdue`, `is:unchecked`.
    #[schemars(length(max = 2000))]
    filter: String,
    /// The order; severity if left out.
    sort: Sorting,
    /// True for a list of issues with their numbers of findings and targets, in place of findings.
    group_by_issue: bool,
    /// The number of matches to leave out: `next_skip` of the last result gets the next ones.
    skip: u32,
    /// The most findings; 20 if left out.
    #[schemars(range(min = 1, max = 40))]
    limit: Option<u32>,
}

/// The arguments of `get_finding`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GetFinding {
    /// The id of the finding: 20 hex digits, as `list_findings` shows it.
    #[schemars(extend("pattern" = "^[0-9a-f]{20}$"))]
    pub(super) id: String,
}

/// The arguments of `triage_finding`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TriageFinding {
    /// The id of the finding: 20 hex digits, as `list_findings` shows it.
    #[schemars(extend("pattern" = "^[0-9a-f]{20}$"))]
    pub(super) id: String,
    /// What to do with it.
    action: TriageKind,
    /// Why, in the words of the person who decided.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    reason: Option<String>,
    /// `accept`: who answers for the risk. `assign`: the account that takes care of it; left out:
    /// nobody.
    #[serde(default)]
    #[schemars(length(max = 200))]
    owner: Option<String>,
    /// `accept`: the last day, such as `2026-12-31`, or a time such as `2026-12-31T18:00:00Z`.
    #[serde(default)]
    #[schemars(length(max = 40))]
    until: Option<String>,
}

/// The arguments of `compare_scans`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CompareScans {
    /// The number of the later scan.
    #[schemars(range(min = 1))]
    later: u64,
    /// The number of the earlier scan; left out: the last one of the same target.
    #[serde(default)]
    #[schemars(range(min = 1))]
    earlier: Option<u64>,
}

impl ListTargets {
    pub(super) fn wanted(self) -> Result<TargetsWanted, ToolFault> {
        let Self { words, tags, project, skip, limit } = self;
        at_most("words", words.chars().count(), MOST_WORDS_CHARS, "characters")?;
        at_most("tags", tags.len(), MOST_TAGS, "tags")?;
        let longest = tags.iter().map(|tag| tag.chars().count()).max();
        at_most("tags", longest.unwrap_or_default(), MOST_TAG_CHARS, "characters in a tag")?;
        Ok(TargetsWanted { words, tags, project, skip, limit: rows(limit)? })
    }
}

impl SubmitScan {
    pub(super) fn draft(self) -> ScanRequestDraft {
        let mode = match self.mode {
            Mode::Passive => "passive",
            Mode::Active => "active",
            Mode::Both => "both",
        };
        ScanRequestDraft {
            target: self.target,
            mode: Some(mode.into()),
            plugins: self.plugins,
            confirm_active: Some(self.confirm_active),
            project: self.project,
            dry_run: Some(self.dry_run),
            ..ScanRequestDraft::default()
        }
    }
}

impl GetScan {
    pub(super) fn scan(&self) -> Result<ScanId, ToolFault> {
        number("scan", self.scan)
    }
}

impl WaitForScan {
    pub(super) fn scan(&self) -> Result<ScanId, ToolFault> {
        number("scan", self.scan)
    }

    pub(super) fn seconds(&self) -> Result<u32, ToolFault> {
        within("seconds", self.seconds.unwrap_or(WAIT), 60)
    }
}

impl ListFindings {
    pub(super) fn wanted(self) -> Result<FindingsWanted, ToolFault> {
        let Self { filter, sort, group_by_issue, skip, limit } = self;
        Ok(FindingsWanted { filter, sort, grouped: group_by_issue, skip, limit: rows(limit)? })
    }
}

impl TriageFinding {
    pub(super) fn triage(self) -> Triage {
        Triage { kind: self.action, reason: self.reason, owner: self.owner, until: self.until }
    }
}

impl CompareScans {
    pub(super) fn scans(&self) -> Result<(Option<ScanId>, ScanId), ToolFault> {
        let earlier = self.earlier.map(|scan| number("earlier", scan)).transpose()?;
        Ok((earlier, number("later", self.later)?))
    }
}

fn rows(limit: Option<u32>) -> Result<u32, ToolFault> {
    within("limit", limit.unwrap_or(PAGE), MOST_ROWS)
}

fn at_most(field: &str, number: usize, most: usize, what: &str) -> Result<(), ToolFault> {
    if number <= most { Ok(()) } else { Err(ToolFault::of(field, format!("expected at most {most} {what}"))) }
}

fn within(field: &str, number: u32, most: u32) -> Result<u32, ToolFault> {
    if (1..=most).contains(&number) {
        return Ok(number);
    }
    Err(ToolFault::of(field, format!("expected a number from 1 to {most}")))
}

fn number(field: &str, scan: u64) -> Result<ScanId, ToolFault> {
    if scan == 0 { Err(ToolFault::of(field, "scans have numbers from 1")) } else { Ok(ScanId(scan)) }
}

/// Reads an identity.
///
/// # Errors
/// It has another form.
pub(super) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, ToolFault> {
    text.parse().map_err(|fault: T::Err| ToolFault::of("id", fault.to_string()))
}

/// Reads the arguments of a call.
///
/// # Errors
/// An argument is missing, unknown or of another type.
pub(super) fn read<T: DeserializeOwned>(arguments: Option<JsonObject>) -> Result<T, ToolFault> {
    serde_path_to_error::deserialize(Value::Object(arguments.unwrap_or_default())).map_err(|error| {
        let message = error.inner().to_string();
        let path = error.path().to_string();
        // The fault of a missing or unknown argument is one of the object, and quotes its name.
        let quoted = message.split('`').nth(1).unwrap_or_default();
        let field = if path == "." { quoted } else { path.as_str() };
        ToolFault::Invalid(vec![FieldError::new(field, message.clone())])
    })
}
