//! KAST's look at the scripts that a page loads.

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::{Origin, Place, WebAddress};

const NO_INTEGRITY: &str = "sri-not-implemented-but-external-scripts-loaded-securely";
const NOT_SECURE: &str = "sri-not-implemented-and-external-scripts-not-loaded-securely";
const OUTDATED: &str = "outdated-js-library";
const MANY: &str = "high-external-script-count";

pub(super) fn read(file: &File, out: &mut Collector) {
    let findings = file.unwrapped();
    let page = out.origin(findings.text_of("target_origin").or_else(|| findings.text_of("target_url")));
    if findings.find("scripts").is_none() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of scripts");
    }
    if findings.is_true("limited_by_config") {
        // Only the first scripts of the page were looked at.
        [NO_INTEGRITY, NOT_SECURE, OUTDATED, MANY].iter().for_each(|issue| out.no_result(issue));
    }
    for script in findings.get("scripts").list() {
        read_script(script, page.as_ref(), out);
    }
    if file.lists(MANY) {
        let count = findings.word_of("cross_origin_count").unwrap_or("many");
        let place = page.clone().map_or(Place::Target, |origin| Place::Origin { origin });
        out.push(out.sighting(MANY, place).evidence(&format!("{count} scripts of other sites")));
    }
    for library in file.root().get("vulnerable_libraries").list() {
        let Some(name) = library.text_of("library") else {
            out.notes.add(NoteKind::NotUnderstood, "a library without a name");
            continue;
        };
        let url = library.text_of("url").unwrap_or_default();
        let site = page.as_ref().map(ToString::to_string);
        let sighting = out
            .sighting(OUTDATED, out.component(site.as_deref(), name))
            .location(url)
            .evidence(&format!("{name} {} from {url}", library.word_of("version").unwrap_or("of unknown version")))
            .attribute("version", library.word_of("version"));
        out.push(sighting);
    }
}

fn read_script(script: &Node, page: Option<&Origin>, out: &mut Collector) {
    let Some((url, address)) = script.text_of("url").and_then(|url| Some((url, WebAddress::parse(url).ok()?))) else {
        // `data:` and `blob:` addresses are scripts within the page.
        return out.notes.add(NoteKind::LeftOut, script.text_of("url").unwrap_or("a script without address"));
    };
    let Some(origin) = page.cloned() else {
        return out.notes.add(NoteKind::NotUnderstood, url);
    };
    let asset = out.asset(AssetKind::Script { origin: origin.clone(), script: address.clone() });
    out.push_asset(asset.attribute("integrity", script.text_of("integrity")));
    if !script.is_true("is_cross_origin") {
        return;
    }
    let (issue, evidence) = match (script.is_true("is_https"), script.is_true("has_sri")) {
        (true, true) => return,
        (true, false) => (NO_INTEGRITY, "no integrity attribute"),
        (false, _) => (NOT_SECURE, "the script is not loaded over HTTPS"),
    };
    let place = Place::Script { origin, script: address };
    let sighting = out
        .sighting(issue, place)
        .location(url)
        .evidence(evidence)
        .attribute("crossorigin", script.text_of("crossorigin"));
    out.push(sighting);
}
