//! The row of a target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_findings::Asset;
use kastrel_findings::identity::TargetId;
use kastrel_findings::lifecycle::{Check, ScanOrder};
use kastrel_findings::place::Origin;
use serde::{Deserialize, Serialize};

use crate::model::{ProjectId, ScanId};

/// The limit for the assets of a target that are kept. The newest are kept.
pub const MOST_TARGET_ASSETS: usize = 5_000;

/// A target: a project and an origin, over all its scans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// Its identity.
    pub id: TargetId,
    /// The project.
    pub project: ProjectId,
    /// Scheme, host and port.
    pub origin: Origin,
    /// Names for groups, sorted, each at most 40 characters and once; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Notes of people, at most 4,000 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub notes: String,
    /// The end of its first scan.
    pub first_scan: Timestamp,
    /// Its newest scan.
    pub last_scan: ScanOrder,
    /// The plugins that ever checked it, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<String, LastCheck>,
    /// Incremented with every change; the store's compare-and-set key. 0: it is not stored yet.
    #[serde(default)]
    pub version: u64,
}

/// The newest checks of a target by one plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCheck {
    /// The newest scan in which the plugin ran to its end and its result was read completely.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<ScanOrder>,
    /// The newest scan that had the plugin, and how it ended.
    pub newest: (ScanOrder, Check),
}

/// An asset of a target, with the scans that saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAsset {
    /// The asset, as the newest scan saw it.
    pub asset: Asset,
    /// The end of the first scan that saw it.
    pub first_seen: Timestamp,
    /// The end of the newest scan that saw it.
    pub last_seen: Timestamp,
    /// The newest scan that saw it.
    pub scan: ScanId,
}
