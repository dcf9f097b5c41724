//! KAST's look at the other hosts of the target's domain.

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::{Host, Place};

/// The issue of hosts that answer only without encryption.
const HTTP_ONLY: &str = "related-sites-http-exposure";

pub(super) fn read(file: &File, out: &mut Collector) {
    let findings = file.unwrapped();
    if findings.find("live_hosts").is_none() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of hosts");
        return;
    }
    let is_reported = file.lists(HTTP_ONLY);
    for entry in findings.get("live_hosts").list() {
        let Some((name, host)) = entry.text_of("host").and_then(|name| Some((name, Host::parse(name).ok()?))) else {
            out.notes.add(NoteKind::NotUnderstood, "a host without a name");
            continue;
        };
        let ports: Vec<&str> = words(entry.get("ports")).collect();
        let software: Vec<&str> = entry.get("technologies").texts().take(10).collect();
        let asset = out.asset(AssetKind::Host { host: host.clone() });
        out.push_asset(
            asset
                .attribute("responds", Some("yes"))
                .attribute("ports", Some(&ports.join(", ")))
                .attribute("technologies", Some(&software.join(", "))),
        );
        let is_http_only = ports.contains(&"80") && !ports.contains(&"443");
        // KAST reports the issue when two or more hosts have it. Each of them is a place. A single
        // host that has it still is not reported, and not fixed either.
        if is_http_only && !is_reported {
            out.no_result(HTTP_ONLY);
        } else if is_http_only {
            let evidence = "the host answers on port 80 and not on port 443";
            let sighting = out.sighting(HTTP_ONLY, Place::Host { host }).location(name).evidence(evidence);
            out.push(sighting);
        }
    }
    for host in findings.get("dead_hosts").texts().filter_map(|name| Host::parse(name).ok()) {
        let asset = out.asset(AssetKind::Host { host });
        out.push_asset(asset.attribute("responds", Some("no")));
    }
}

/// The numbers of a list, as text.
fn words(list: &Node) -> impl Iterator<Item = &str> {
    list.list().iter().take(100).filter_map(|node| match node {
        Node::Word(word) => Some(&**word),
        Node::Text(text) => Some(&**text),
        _ => None,
    })
}
