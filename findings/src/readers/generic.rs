//! Plugins that no other reader knows. Entries of the results that name an issue are sightings; all
//! others are counted as not understood, unless the file lists no issue at all.

use super::collect::Collector;
use super::file::File;
use crate::notes::NoteKind;
use crate::severity::Severity;

/// The keys under which tools write the id of an issue.
const ISSUE: &[&str] = &["issue", "issue_id", "issue_type", "template-id", "rule", "check_id"];
/// The keys under which tools write a place.
const PLACE: &[&str] = &["location", "url", "uri", "matched-at", "endpoint", "host", "path"];
/// The keys under which tools write evidence.
const EVIDENCE: &[&str] = &["evidence", "description", "message", "detail", "finding"];

pub(super) fn read(file: &File, out: &mut Collector) {
    let results = file.result_list().unwrap_or_else(|| {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no list of results");
        &[]
    });
    for entry in results {
        let text = |keys: &[&str]| keys.iter().find_map(|key| entry.word_of(key));
        let Some(issue) = text(ISSUE) else {
            out.notes.add(NoteKind::LeftOut, text(PLACE).unwrap_or("an entry without an issue"));
            continue;
        };
        let location = text(PLACE).unwrap_or_default();
        let sighting = out
            .sighting(issue, crate::place::Place::guess(location, out.target()))
            .severity(entry.text_of("severity").or_else(|| entry.text_of("risk")).and_then(Severity::read))
            .title(entry.text_of("title").or_else(|| entry.text_of("name")).unwrap_or_default())
            .location(location)
            .evidence(text(EVIDENCE).unwrap_or_default());
        out.push(sighting);
    }
}
