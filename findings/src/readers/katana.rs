//! Katana: the addresses that a crawl saw. It reports no issues.

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::notes::NoteKind;

pub(super) fn read(file: &File, out: &mut Collector) {
    let urls = file.unwrapped().get("urls");
    if file.unwrapped().find("urls").is_none() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of addresses");
    }
    for line in urls.texts() {
        let address = address(line);
        match out.address(address) {
            Some(address) => out.push_asset(out.asset(AssetKind::Url { address })),
            None => out.notes.add(NoteKind::LeftOut, line),
        }
    }
}

/// Takes the address out of a line. Older versions write `[link] [GET] ADDRESS [depth:1]`, newer
/// ones the path.
fn address(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some(after) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        rest = after.1.trim_start();
    }
    match rest.rsplit_once(" [") {
        Some((address, mark)) if mark.starts_with("depth:") && mark.ends_with(']') => address.trim_end(),
        _ => rest,
    }
}
