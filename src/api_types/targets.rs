//! Targets: lists, and one target with its scans, assets and coverage.

use std::collections::BTreeMap;

use kastrel_actors::model::{LastCheck, ProjectId, SeenAsset};
use kastrel_findings::asset::AssetKind;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::Check;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::compare::ScanResultBody;
use super::finding_words::CheckName;
use super::findings::{FacetValueBody, SeenBody};
use super::moment::Moment;
use crate::service::findings::{TargetDetail, TargetEdit, TargetPage, TargetRow};

/// The filter and the page of a list of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TargetParams {
    /// Words that scheme, host and port must have.
    #[param(max_length = 500)]
    pub q: Option<String>,
    /// Only targets with these tags. Repeat the parameter, or separate the tags by commas.
    #[param(max_length = 1000)]
    pub tag: Option<String>,
    /// Only targets of this project, which the caller must be allowed to see.
    pub project: Option<String>,
    /// The number of matches to leave out.
    #[param(minimum = 0, maximum = 10_000_000, default = 0)]
    pub skip: Option<u32>,
    /// The maximum number of targets.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub limit: Option<u32>,
}

/// A target in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetBody {
    /// The id of the target.
    #[schema(value_type = String)]
    pub id: TargetId,
    /// The target: scheme, host and port.
    #[schema(example = "https://shop.example")]
    pub target: String,
    /// The project.
    #[schema(value_type = String)]
    pub project: ProjectId,
    /// Its tags.
    pub tags: Vec<String>,
    /// The numbers of open and confirmed findings by severity, without zeros.
    pub open: BTreeMap<String, usize>,
    /// The number of open findings that the newest scan saw first, or that came back in it.
    pub new: usize,
    /// The number of findings that the newest scan proved fixed.
    pub fixed: usize,
    /// The number of plugins whose newest check was not complete.
    pub unchecked: usize,
    /// Whether a check was ever complete. If false, a target without open findings is not clean:
    /// nothing is known of it.
    pub checked: bool,
    /// The newest scan.
    pub last_scan: SeenBody,
}

impl From<&TargetRow> for TargetBody {
    fn from(row: &TargetRow) -> Self {
        let open = row.open.iter().filter(|(_, count)| **count > 0);
        Self {
            id: row.id,
            target: row.origin.to_string(),
            project: row.project.clone(),
            tags: row.tags.clone(),
            open: open.map(|(severity, count)| (severity.name().to_owned(), *count)).collect(),
            new: row.new,
            fixed: row.fixed,
            unchecked: row.unchecked,
            checked: row.is_checked,
            last_scan: row.last_scan.into(),
        }
    }
}

/// A page of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetList {
    /// The targets: those with the worst open findings first.
    pub targets: Vec<TargetBody>,
    /// The number of all matches.
    pub total: usize,
    /// All tags with their numbers of targets.
    pub tags: Vec<FacetValueBody>,
}

impl From<&TargetPage> for TargetList {
    fn from(page: &TargetPage) -> Self {
        Self {
            targets: page.rows.iter().map(Into::into).collect(),
            total: page.total,
            tags: FacetValueBody::all(&page.tags),
        }
    }
}

/// What plugins collected about a target. Its texts come from scanned sites: escape them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Asset)]
pub struct AssetBody {
    /// The kind: `url`, `technology`, `host`, `certificate`, `waf`, `script` or `service`.
    pub kind: String,
    /// What identifies it.
    pub name: String,
    /// The plugin that collected it.
    pub plugin: String,
    /// Further facts, such as versions.
    pub attributes: BTreeMap<String, String>,
    /// When it ends to be valid: certificates.
    pub valid_until: Option<Moment>,
    /// The end of the first scan that saw it.
    pub first_seen: Moment,
    /// The end of the newest scan that saw it.
    pub last_seen: Moment,
    /// The number of the newest scan that saw it.
    pub scan_id: u64,
}

impl From<&SeenAsset> for AssetBody {
    fn from(seen: &SeenAsset) -> Self {
        let (kind, name) = asset_name(&seen.asset.kind);
        Self {
            kind: kind.to_owned(),
            name,
            plugin: seen.asset.plugin.clone(),
            attributes: seen.asset.attributes.clone(),
            valid_until: seen.asset.valid_until.map(Moment::of),
            first_seen: Moment::of(seen.first_seen),
            last_seen: Moment::of(seen.last_seen),
            scan_id: seen.scan.0,
        }
    }
}

fn asset_name(kind: &AssetKind) -> (&'static str, String) {
    match kind {
        AssetKind::Url { address } => ("url", address.to_string()),
        AssetKind::Technology { origin, name } => ("technology", format!("{name} on {origin}")),
        AssetKind::Host { host } => ("host", host.to_string()),
        AssetKind::Certificate { endpoint, number } => ("certificate", format!("{endpoint} #{number}")),
        AssetKind::Waf { origin, name } => ("waf", format!("{name} on {origin}")),
        AssetKind::Script { origin, script } => ("script", format!("{script} on {origin}")),
        AssetKind::Service { endpoint } => ("service", endpoint.to_string()),
    }
}

/// The newest checks of a target by one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TargetCheck)]
pub struct TargetCheckBody {
    /// The plugin.
    pub plugin: String,
    /// The newest scan in which it ran to its end and its result was read completely; null without
    /// one.
    pub complete: Option<SeenBody>,
    /// The newest scan that had the plugin.
    pub newest: SeenBody,
    /// How the plugin ended in it.
    #[schema(value_type = CheckName)]
    pub check: Check,
}

impl TargetCheckBody {
    fn of(plugin: &str, check: &LastCheck) -> Self {
        Self {
            plugin: plugin.to_owned(),
            complete: check.complete.map(Into::into),
            newest: check.newest.0.into(),
            check: check.newest.1,
        }
    }
}

/// A target with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TargetDetail)]
pub struct TargetDetailBody {
    /// The target, as in a list.
    #[serde(flatten)]
    pub target: TargetBody,
    /// The notes of people.
    pub notes: String,
    /// The end of its first scan.
    pub first_scan: Moment,
    /// The newest check of each plugin.
    pub coverage: Vec<TargetCheckBody>,
    /// Its newest scans, newest first; at most 60.
    pub scans: Vec<ScanResultBody>,
    /// Its assets, by kind and name.
    pub assets: Vec<AssetBody>,
    /// Whether the caller may change tags and notes.
    pub may_edit: bool,
}

impl From<&TargetDetail> for TargetDetailBody {
    fn from(detail: &TargetDetail) -> Self {
        Self {
            target: (&detail.row).into(),
            notes: detail.record.notes.clone(),
            first_scan: Moment::of(detail.record.first_scan),
            coverage: detail.coverage.iter().map(|(plugin, check)| TargetCheckBody::of(plugin, check)).collect(),
            scans: detail.scans.iter().map(Into::into).collect(),
            assets: detail.assets.iter().map(Into::into).collect(),
            may_edit: detail.may_edit,
        }
    }
}

/// The change of a target. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TargetEdit)]
pub struct TargetEditBody {
    /// Its tags: at most 20, each of 1 to 40 letters, digits and `-_./`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 20)]
    pub tags: Option<Vec<String>>,
    /// Its notes: at most 4,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4000)]
    pub notes: Option<String>,
}

impl From<TargetEditBody> for TargetEdit {
    fn from(body: TargetEditBody) -> Self {
        Self { tags: body.tags, notes: body.notes }
    }
}

/// A new check of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TargetRecheck)]
pub struct RecheckBody {
    /// The only plugin that runs; all plugins of the newest scan if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub plugin: Option<String>,
    /// Confirms that you have permission to run active plugins against the target. Required if an
    /// active plugin is to run.
    #[serde(default)]
    #[schema(required = false, default = false)]
    pub confirm_active: bool,
}
