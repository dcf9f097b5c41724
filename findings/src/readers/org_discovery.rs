//! KAST's search for other domains of the target's organization. Names and addresses of people from
//! registries are not kept.

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::notes::NoteKind;
use crate::place::{Endpoint, Host};

pub(super) fn read(file: &File, out: &mut Collector) {
    let findings = file.unwrapped();
    if findings.find("discovered_domains").is_none() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of domains");
        return;
    }
    for entry in findings.get("discovered_domains").list() {
        let Some(host) = entry.text_of("domain").and_then(|name| Host::parse(name).ok()) else {
            out.notes.add(NoteKind::LeftOut, entry.text_of("domain").unwrap_or("an entry without domain"));
            continue;
        };
        let sources: Vec<&str> = entry.get("sources").texts().take(10).collect();
        let asset = out.asset(AssetKind::Host { host });
        out.push_asset(
            asset.attribute("confidence", entry.word_of("confidence")).attribute("sources", Some(&sources.join(", "))),
        );
    }
    for service in findings.get("shodan_exposure").list() {
        let host = service.text_of("ip").or_else(|| service.text_of("ip_str")).and_then(|ip| Host::parse(ip).ok());
        let port = service.word_of("port").and_then(|port| port.parse().ok());
        let Some(endpoint) = host.zip(port).and_then(|(host, port)| Endpoint::new(host, port).ok()) else {
            out.notes.add(NoteKind::LeftOut, "an exposed service without address or port");
            continue;
        };
        let asset = out.asset(AssetKind::Service { endpoint });
        out.push_asset(asset.attribute("product", service.text_of("product")));
    }
}
