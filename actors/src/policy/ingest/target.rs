//! The row of a target: its coverage and its assets.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kastrel_findings::AssetKind;
use kastrel_findings::lifecycle::{Check, ScanOrder};

use super::reading::ScanReading;
use crate::model::{LastCheck, MOST_TARGET_ASSETS, ScanId, ScanResult, SeenAsset, TargetRecord};

/// Scans that may have ended before a plugin: their orders, and the plugins that they have.
pub(super) type Missed = Vec<(ScanOrder, Vec<String>)>;

/// Returns the scans among these that may have ended before a plugin that they do not have.
pub(super) fn missed_by(results: &[ScanResult]) -> Missed {
    let missed = results.iter().filter(|result| result.absent == Check::Cancelled);
    missed.map(|result| (result.order, result.checks.keys().cloned().collect())).collect()
}

/// Adds a scan to the row of its target. A dry run changes nothing of a known target. `missed` has
/// newer scans.
pub(super) fn target_with(stored: Option<TargetRecord>, reading: &ScanReading, missed: &Missed) -> TargetRecord {
    let head = &reading.head;
    let is_known = stored.is_some();
    let mut target = stored.unwrap_or_else(|| TargetRecord {
        id: head.target(),
        project: head.project.clone(),
        origin: head.origin.clone(),
        tags: Vec::new(),
        notes: String::new(),
        first_scan: head.order.at,
        last_scan: head.order,
        checks: BTreeMap::new(),
        version: 0,
    });
    if reading.is_dry_run() {
        return target;
    }
    if is_known {
        target.first_scan = target.first_scan.min(head.order.at);
        target.last_scan = target.last_scan.max(head.order);
    }
    for (plugin, check) in &reading.checks {
        let newest = (check.order(head.order), check.outcome());
        let last = target.checks.entry(plugin.clone()).or_insert(LastCheck { complete: None, newest });
        if newest.0 >= last.newest.0 {
            last.newest = newest;
        }
        if check.is_complete() {
            last.complete = last.complete.max(Some(newest.0));
        }
        for (order, has) in missed {
            if *order > last.newest.0 && !has.contains(plugin) {
                last.newest = (*order, Check::Cancelled);
            }
        }
    }
    if head.absent == Check::Cancelled {
        for (plugin, last) in &mut target.checks {
            if !reading.checks.contains_key(plugin) && head.order > last.newest.0 {
                last.newest = (head.order, Check::Cancelled);
            }
        }
    }
    target
}

/// Adds what a scan collected to the assets of its target.
pub(super) fn assets_with(stored: Vec<SeenAsset>, reading: &ScanReading) -> Vec<SeenAsset> {
    let head = &reading.head;
    let mut assets: BTreeMap<AssetKind, SeenAsset> =
        stored.into_iter().map(|seen| (seen.asset.kind.clone(), seen)).collect();
    for asset in &reading.assets {
        let at = reading.order_of(&asset.plugin).at;
        let new = || SeenAsset { asset: asset.clone(), first_seen: at, last_seen: at, scan: head.scan };
        let seen = assets.entry(asset.kind.clone()).or_insert_with(new);
        seen.first_seen = seen.first_seen.min(at);
        // Two plugins of one scan may collect the same: the first one stays.
        if (at, head.scan) > (seen.last_seen, seen.scan) {
            *seen = SeenAsset { first_seen: seen.first_seen, ..new() };
        }
    }
    bounded(assets.into_values().collect())
}

/// Adds the stored assets to those that were collected anew: the files of some scans are gone. What
/// a scan collected that `left` the target is not kept.
#[must_use]
pub fn rebuilt_assets(stored: Vec<SeenAsset>, anew: Vec<SeenAsset>, left: Option<ScanId>) -> Vec<SeenAsset> {
    let stays = |seen: &SeenAsset| Some(seen.scan) != left;
    let mut assets: BTreeMap<AssetKind, SeenAsset> =
        stored.into_iter().filter(stays).map(|seen| (seen.asset.kind.clone(), seen)).collect();
    for new in anew {
        let first_seen = assets.get(&new.asset.kind).map_or(new.first_seen, |seen| seen.first_seen.min(new.first_seen));
        let is_older = assets.get(&new.asset.kind).is_some_and(|seen| seen.last_seen > new.last_seen);
        if !is_older {
            assets.insert(new.asset.kind.clone(), SeenAsset { first_seen, ..new });
        }
    }
    bounded(assets.into_values().collect())
}

/// Keeps the newest assets within the limit, by kind and name.
fn bounded(mut assets: Vec<SeenAsset>) -> Vec<SeenAsset> {
    if assets.len() > MOST_TARGET_ASSETS {
        assets.sort_by_key(|seen| (is_bulk(&seen.asset.kind), Reverse(seen.last_seen)));
        assets.truncate(MOST_TARGET_ASSETS);
    }
    assets.sort_by(|one, other| one.asset.kind.cmp(&other.asset.kind));
    assets
}

/// Kinds of which a site has any number. They do not displace the others.
const fn is_bulk(kind: &AssetKind) -> bool {
    match kind {
        AssetKind::Url { .. } | AssetKind::Host { .. } | AssetKind::Script { .. } => true,
        AssetKind::Technology { .. }
        | AssetKind::Certificate { .. }
        | AssetKind::Waf { .. }
        | AssetKind::Service { .. } => false,
    }
}
