//! KAST's analysis of cross-origin policies and JSONP.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::{Label, Place};

/// The issue of a JSONP endpoint, which has no type of its own in the file.
const JSONP: &str = "jsonp-endpoint-detected";

pub(super) fn read(file: &File, out: &mut Collector) {
    let findings = file.unwrapped();
    if findings.find("cors_findings").is_none() && findings.find("paths_tested").is_none() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of cross-origin findings");
        return;
    }
    for entry in ["cors_findings", "bypass_findings"].iter().flat_map(|list| findings.get(list).list()) {
        policy(entry, out);
    }
    findings.get("jsonp_findings").list().iter().for_each(|entry| jsonp(entry, out));
}

fn policy(entry: &Node, out: &mut Collector) {
    let (Some(url), Some(issue)) = (entry.text_of("url"), entry.text_of("issue_type")) else {
        return out.notes.add(NoteKind::NotUnderstood, "a cross-origin finding without address or type");
    };
    let credentials = if entry.is_true("credentials") { ", with credentials" } else { "" };
    let evidence = format!(
        "Origin: {} was answered with Access-Control-Allow-Origin: {}{credentials}",
        entry.text_of("origin_sent").unwrap_or("(unknown)"),
        entry.text_of("acao_received").unwrap_or("(unknown)"),
    );
    let sighting = out.sighting(issue, out.page(url)).location(url).evidence(&evidence);
    out.push(sighting);
}

fn jsonp(entry: &Node, out: &mut Collector) {
    let Some(url) = entry.text_of("url") else {
        return out.notes.add(NoteKind::NotUnderstood, "a JSONP finding without address");
    };
    let parameter = entry.text_of("parameter").and_then(|name| Label::parse(name).ok());
    let place = match out.address(url) {
        Some(address) => Place::Url { address, parameter },
        None => out.page(url),
    };
    let sighting = out
        .sighting(JSONP, place)
        .location(url)
        .evidence(entry.text_of("response_snippet").unwrap_or_default())
        .attribute("content_type", entry.text_of("content_type"));
    out.push(sighting);
}
