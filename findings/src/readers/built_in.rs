//! The plugins of Kastrel's built-in scanner: `{issue, severity, title, location, evidence}`.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::{HeaderName, Label, Place, WebAddress};
use crate::severity::Severity;

/// Recognised software: an asset, and no issue.
const TECHNOLOGY: &str = "technology_detected";
/// Software whose version is disclosed: an issue, and an asset.
const VERSION: &str = "version_disclosed";

/// The issues that are about one header.
const HEADERS: &[(&str, &str)] = &[
    ("coop_missing", "cross-origin-opener-policy"),
    ("csp_missing", "content-security-policy"),
    ("csp_weak", "content-security-policy"),
    ("framing_allowed", "x-frame-options"),
    ("hsts_missing", "strict-transport-security"),
    ("hsts_weak", "strict-transport-security"),
    ("nosniff_missing", "x-content-type-options"),
    ("permissions_policy_missing", "permissions-policy"),
    ("referrer_policy_missing", "referrer-policy"),
];

pub(super) fn read(file: &File, out: &mut Collector) {
    match file.findings().find("results") {
        Some(Node::List(entries)) => entries.iter().for_each(|entry| read_entry(entry, out)),
        other => {
            let reason = other.and_then(Node::text).unwrap_or("the findings have no results");
            out.notes.add(NoteKind::NotUnderstood, reason);
        }
    }
}

fn read_entry(entry: &Node, out: &mut Collector) {
    let Some(issue) = entry.text_of("issue") else {
        return out.notes.add(NoteKind::NotUnderstood, "a finding without an issue");
    };
    let location = entry.text_of("location").unwrap_or_default();
    let evidence = entry.text_of("evidence").unwrap_or_default();
    // `nginx/1.22.1 (Server: nginx/1.22.1)`.
    let software = evidence.rsplit_once(" (").map_or(evidence, |(name, _)| name);
    if issue == TECHNOLOGY || issue == VERSION {
        let (name, version) = software_name(software);
        out.technology(Some(location), name, &[("version", version), ("evidence", Some(evidence))]);
    }
    let place = match issue {
        TECHNOLOGY => return out.taken_over(TECHNOLOGY),
        VERSION => out.component(Some(location), software_name(software).0),
        _ => place(issue, location, out),
    };
    let sighting = out
        .sighting(issue, place)
        .severity(entry.text_of("severity").and_then(Severity::read))
        .title(entry.text_of("title").unwrap_or_default())
        .location(location)
        .evidence(evidence);
    out.push(sighting);
}

/// Splits `nginx/1.22.1` and `PHP 8.1`.
fn software_name(text: &str) -> (&str, Option<&str>) {
    let is_version = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    match text.split_once(['/', ' ']) {
        Some((name, version)) if is_version(version) && !name.is_empty() => (name, Some(version)),
        _ => (text, None),
    }
}

fn place(issue: &str, location: &str, out: &Collector) -> Place {
    let address = |text: &str| WebAddress::parse(text).ok();
    if out.plugin() == "cookie_flags"
        // `NAME at ADDRESS`. A name may have spaces, an address has none.
        && let Some((name, url)) = location.rsplit_once(" at ")
        && let (Ok(cookie), Some(address)) = (Label::parse(name), address(url))
    {
        return Place::Cookie { origin: address.origin().clone(), cookie };
    }
    if let Some((_, header)) = HEADERS.iter().find(|(own, _)| *own == issue)
        && let (Ok(header), Some(address)) = (HeaderName::parse(header), address(location))
    {
        return Place::Header { origin: address.origin().clone(), header };
    }
    if out.plugin() == "script_integrity"
        && let (Some(script), Some(origin)) = (address(location), out.target().cloned())
    {
        return Place::Script { origin, script };
    }
    Place::guess(location, out.target())
}
