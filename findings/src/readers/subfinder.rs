//! Subfinder: the hosts below a domain. It reports no issues.

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::notes::NoteKind;
use crate::place::Host;

pub(super) fn read(file: &File, out: &mut Collector) {
    let results = file.result_list().unwrap_or_else(|| {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of hosts");
        &[]
    });
    for entry in results {
        let name = entry.text_of("host").or_else(|| entry.text());
        match name.and_then(|name| Host::parse(name).ok()) {
            Some(host) => {
                let asset = out.asset(AssetKind::Host { host });
                out.push_asset(asset.attribute("source", entry.text_of("source")));
            }
            None => out.notes.add(NoteKind::LeftOut, name.unwrap_or("an entry without host")),
        }
    }
}
