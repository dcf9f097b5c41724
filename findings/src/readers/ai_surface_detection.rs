//! KAST's search for chat robots and AI search on a site, in the results of other plugins.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;

const CHATBOT: &str = "AI-CHATBOT-001";
const MANY_CHATBOTS: &str = "AI-CHATBOT-002";
const SEARCH: &str = "AI-SEARCH-001";
const OPEN_ENDPOINT: &str = "ai-endpoint-unauthenticated";

pub(super) fn read(file: &File, out: &mut Collector) {
    let findings = file.unwrapped();
    if findings.find("detections").is_none() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of detections");
        return;
    }
    let detections = findings.get("detections").list();
    detections.iter().for_each(|detection| read_detection(detection, out));
    if file.lists(MANY_CHATBOTS) {
        let evidence = format!("{} detections", detections.len());
        out.push(out.sighting(MANY_CHATBOTS, out.site(None)).evidence(&evidence));
    }
    if file.lists(OPEN_ENDPOINT) {
        open_endpoints(file.root().text_of("details").unwrap_or_default(), out);
    }
}

/// Reads the addresses below their heading in the details: `… endpoint(s) (2):`.
fn open_endpoints(details: &str, out: &mut Collector) {
    let Some((_, listed)) = details.split_once("endpoint(s) (") else { return };
    let announced = listed.split(')').next().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
    let addresses =
        listed.lines().filter_map(|line| line.trim().strip_prefix("- ")).filter(|line| line.contains("://"));
    let mut found = 0_usize;
    for address in addresses {
        found += 1;
        let evidence = "the address answers with HTTP 200 without a login";
        let sighting = out.sighting(OPEN_ENDPOINT, out.page(address)).location(address).evidence(evidence);
        out.push(sighting);
    }
    if found < announced {
        out.no_result(OPEN_ENDPOINT);
    }
}

fn read_detection(detection: &Node, out: &mut Collector) {
    let Some(platform) = detection.text_of("platform") else {
        return out.notes.add(NoteKind::NotUnderstood, "a detection without platform");
    };
    let issue = match detection.text_of("detection_type") {
        Some("ai_search") => SEARCH,
        // Older versions know no other type.
        Some("chatbot") | None => CHATBOT,
        Some(_) => return out.notes.add(NoteKind::NotUnderstood, platform),
    };
    // The version, `Name v1.2`, is no part of the identity of the software.
    let (name, version) = match platform.rsplit_once(" v") {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => (name, Some(version)),
        _ => (platform, None),
    };
    let evidence = detection.text_of("evidence").unwrap_or_default();
    let sighting = out
        .sighting(issue, out.component(None, name))
        .title(&format!("{issue}: {name}"))
        .location(if evidence.contains("://") { evidence } else { "" })
        .evidence(&format!("{}; {evidence}", detection.text_of("description").unwrap_or_default()))
        .attribute("version", version)
        .attribute("confidence", detection.text_of("confidence"))
        .attribute("source", detection.text_of("source"));
    out.push(sighting);
}
