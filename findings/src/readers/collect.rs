//! Collects what a reader finds, within the limits.

use std::collections::BTreeSet;

use super::file::File;
use super::reading::Reading;
use crate::asset::{Asset, AssetKind};
use crate::limits::{MOST_ASSETS, MOST_SIGHTINGS};
use crate::notes::{NoteKind, ReadNotes};
use crate::place::{HeaderName, Label, Origin, Place, WebAddress};
use crate::severity::Severity;
use crate::sighting::{IssueKey, Sighting};

/// The result of a reader while it reads.
pub(super) struct Collector {
    plugin: String,
    target: Option<Origin>,
    sightings: Vec<Sighting>,
    assets: Vec<Asset>,
    known_assets: BTreeSet<AssetKind>,
    inconclusive: BTreeSet<IssueKey>,
    /// Issues of the file's list for which no sighting is needed.
    taken_over: BTreeSet<&'static str>,
    pub(super) notes: ReadNotes,
}

impl Collector {
    pub(super) fn new(plugin: &str, target: Option<Origin>) -> Self {
        Self {
            plugin: plugin.to_owned(),
            target,
            sightings: Vec::new(),
            assets: Vec::new(),
            known_assets: BTreeSet::new(),
            inconclusive: BTreeSet::new(),
            taken_over: BTreeSet::new(),
            notes: ReadNotes::default(),
        }
    }

    /// The name of the plugin.
    pub(super) fn plugin(&self) -> &str {
        &self.plugin
    }

    /// The site of the target.
    pub(super) const fn target(&self) -> Option<&Origin> {
        self.target.as_ref()
    }

    /// Creates a sighting of this plugin. [`Self::push`] adds it.
    pub(super) fn sighting(&self, issue: &str, place: Place) -> Sighting {
        Sighting::new(&self.plugin, issue, place)
    }

    /// Adds a sighting.
    pub(super) fn push(&mut self, sighting: Sighting) {
        if self.sightings.len() < MOST_SIGHTINGS {
            self.sightings.push(sighting);
        } else {
            self.notes.add(NoteKind::SightingsCut, sighting.issue.as_str());
        }
    }

    /// Creates an asset of this plugin. [`Self::push_asset`] adds it.
    pub(super) fn asset(&self, kind: AssetKind) -> Asset {
        Asset::new(&self.plugin, kind)
    }

    /// Adds an asset. The first of several with one identity stays.
    pub(super) fn push_asset(&mut self, asset: Asset) {
        if self.known_assets.contains(&asset.kind) {
            return;
        }
        if self.assets.len() < MOST_ASSETS {
            self.known_assets.insert(asset.kind.clone());
            self.assets.push(asset);
        } else {
            self.notes.add(NoteKind::AssetsCut, &format!("{:?}", asset.kind));
        }
    }

    /// Records that the check of an issue gave no result.
    pub(super) fn no_result(&mut self, issue: &str) {
        if self.inconclusive.len() < MOST_SIGHTINGS {
            self.inconclusive.insert(IssueKey::new(issue));
        } else {
            self.notes.add(NoteKind::SightingsCut, issue);
        }
    }

    /// Records that an issue of the file's list needs no sighting: it stands for an asset.
    pub(super) fn taken_over(&mut self, issue: &'static str) {
        self.taken_over.insert(issue);
    }

    /// Returns the place of an address or of a path of the target.
    pub(super) fn page(&self, text: &str) -> Place {
        self.address(text).map_or_else(|| Place::guess(text, self.target()), Place::page)
    }

    /// Reads an address, or a path of the target.
    pub(super) fn address(&self, text: &str) -> Option<WebAddress> {
        match self.target() {
            Some(target) => WebAddress::parse_on(target, text).ok(),
            None => WebAddress::parse(text).ok(),
        }
    }

    /// Reads the site of an address. Without one it is the target.
    pub(super) fn origin(&self, text: Option<&str>) -> Option<Origin> {
        let own = text.and_then(|text| WebAddress::parse(text).ok()).map(|address| address.origin().clone());
        own.or_else(|| self.target.clone())
    }

    /// Returns the place of a site.
    pub(super) fn site(&self, text: Option<&str>) -> Place {
        self.origin(text).map_or(Place::Target, |origin| Place::Origin { origin })
    }

    /// Returns the place of a header of the target.
    pub(super) fn header(&self, name: &str) -> Place {
        match (self.target(), HeaderName::parse(name)) {
            (Some(origin), Ok(header)) => Place::Header { origin: origin.clone(), header },
            _ => Place::guess(name, None),
        }
    }

    /// Returns the place of software of a site.
    pub(super) fn component(&self, site: Option<&str>, name: &str) -> Place {
        match (self.origin(site), Label::parse(name)) {
            (Some(origin), Ok(component)) => Place::Component { origin, component },
            _ => Place::guess(name, None),
        }
    }

    /// Adds an asset for software of a site.
    pub(super) fn technology(&mut self, site: Option<&str>, name: &str, attributes: &[(&'static str, Option<&str>)]) {
        let (Some(origin), Ok(name)) = (self.origin(site), Label::parse(name)) else {
            self.notes.add(NoteKind::LeftOut, name);
            return;
        };
        let asset = self.asset(AssetKind::Technology { origin, name });
        self.push_asset(attributes.iter().fold(asset, |asset, (name, value)| asset.attribute(name, *value)));
    }

    /// Adds the issues of the file's list that no sighting stands for.
    pub(super) fn take_over_listed_issues(&mut self, file: &File) {
        let mut known: BTreeSet<String> =
            self.sightings.iter().flat_map(|sighting| sighting.registry_ids.iter().cloned()).collect();
        known.extend(self.inconclusive.iter().map(|issue| issue.as_str().to_owned()));
        known.extend(self.taken_over.iter().map(|issue| (*issue).to_owned()));
        for issue in file.issues() {
            let key = IssueKey::new(issue.id);
            if !known.insert(key.as_str().to_owned()) {
                continue;
            }
            self.notes.add(NoteKind::WithoutPlace, issue.id);
            let entry = issue.entry;
            let (name, risk) = with_risk(issue.id);
            let severity = entry.text_of("severity").and_then(Severity::read).or(risk);
            let sighting = self
                .sighting(issue.id, Place::Target)
                .severity(severity)
                .title(entry.text_of("title").unwrap_or(name))
                .evidence(entry.text_of("description").or_else(|| entry.text_of("evidence")).unwrap_or_default());
            self.push(sighting);
        }
    }

    pub(super) fn finish(self) -> Reading {
        Reading {
            plugin: self.plugin,
            sightings: self.sightings,
            assets: self.assets,
            inconclusive: self.inconclusive,
            notes: self.notes,
        }
    }
}

/// Splits an id that has its severity, `Name [Risk]`.
pub(super) fn with_risk(id: &str) -> (&str, Option<Severity>) {
    let split = id.trim_end().strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
    match split.map(|(name, risk)| (name.trim(), Severity::read(risk))) {
        Some((name, Some(risk))) if !name.is_empty() => (name, Some(risk)),
        _ => (id, None),
    }
}
