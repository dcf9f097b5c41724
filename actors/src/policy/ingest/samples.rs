//! Small scans for tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_findings::identity::RuleSet;
use kastrel_findings::lifecycle::{Check, PluginCheck, PluginEnd, ScanOrder};
use kastrel_findings::place::{Origin, Place, WebAddress};
use kastrel_findings::readers::Reading;
use kastrel_findings::registry::Registry;
use kastrel_findings::scope::{CheckScope, ScopeValue};
use kastrel_findings::{NoteKind, Sighting};

use super::{PluginRead, ScanHead, ScanReading};
use crate::model::{ProjectId, ScanId, ScanStatus};

/// A plugin of a scan: its name, its end, how deep it looked, and the sightings.
pub(crate) type Ran<'a> = (&'a str, PluginEnd, i64, &'a [&'a str]);

pub(crate) fn origin() -> Origin {
    Origin::of_target("shop.example").unwrap()
}

/// The order of a scan that ended in this minute.
pub(crate) fn order(minute: u64) -> ScanOrder {
    let at = Timestamp::from_second(1_800_000_000 + i64::try_from(minute).unwrap() * 60).unwrap();
    ScanOrder { at, scan: minute, token: 1 }
}

pub(crate) fn head(minute: u64) -> ScanHead {
    ScanHead {
        scan: ScanId(minute),
        project: ProjectId::default(),
        origin: origin(),
        order: order(minute),
        status: ScanStatus::Completed,
        absent: Check::Skipped,
    }
}

/// A sighting of an issue at the site, or of `issue@/path` at a page.
pub(crate) fn sighting(plugin: &str, text: &str) -> Sighting {
    match text.split_once('@') {
        None => Sighting::new(plugin, text, Place::Target),
        Some((issue, path)) => {
            let address = WebAddress::parse(&format!("https://shop.example{path}")).unwrap();
            Sighting::new(plugin, issue, Place::Url { address, parameter: None }).location(path)
        }
    }
}

pub(crate) fn scope(plugin: &str, depth: i64) -> CheckScope {
    let settings = BTreeMap::from([("depth".to_owned(), ScopeValue::Number(depth))]);
    CheckScope { plugin: plugin.to_owned(), target: Some(origin()), settings }
}

/// A scan with these plugins. A sighting `!` makes the reading incomplete.
pub(crate) fn scan_by(minute: u64, plugins: &[Ran<'_>], rules: &RuleSet) -> ScanReading {
    let read = |(plugin, end, depth, seen): &Ran<'_>| {
        let mut reading = Reading { plugin: (*plugin).to_owned(), ..Reading::default() };
        for text in *seen {
            match *text {
                "!" => reading.notes.add(NoteKind::NotUnderstood, "x"),
                text => reading.sightings.push(sighting(plugin, text)),
            }
        }
        let check = PluginCheck::new(*end, "3.2", scope(plugin, *depth), Some(&reading), rules);
        PluginRead { check, reading: Some(reading) }
    };
    ScanReading::new(head(minute), plugins.iter().map(read).collect(), &Registry::default(), rules)
}

/// The same by the present rules.
pub(crate) fn scan(minute: u64, plugins: &[Ran<'_>]) -> ScanReading {
    scan_by(minute, plugins, kastrel_findings::identity::current())
}
