//! Mozilla Observatory: failed tests of a site's headers, cookies and redirections.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;
use crate::place::Place;

/// The tests that are about one header of the answers.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", "content-security-policy"),
    ("cookies", "set-cookie"),
    ("cross-origin-embedder-policy", "cross-origin-embedder-policy"),
    ("cross-origin-opener-policy", "cross-origin-opener-policy"),
    ("cross-origin-resource-policy", "cross-origin-resource-policy"),
    ("cross-origin-resource-sharing", "access-control-allow-origin"),
    ("permissions-policy", "permissions-policy"),
    ("referrer-policy", "referrer-policy"),
    ("strict-transport-security", "strict-transport-security"),
    ("x-content-type-options", "x-content-type-options"),
    ("x-frame-options", "x-frame-options"),
    ("x-xss-protection", "x-xss-protection"),
];

/// The results that KAST's registry has under another id.
const RENAMED: &[(&str, &str)] = &[
    ("content-security-policy-not-implemented", "csp-not-implemented"),
    ("cross-origin-embedder-policy-not-implemented", "missing-coep"),
    ("cross-origin-opener-policy-not-implemented", "missing-coop"),
    ("permissions-policy-not-implemented", "missing-permissions-policy"),
    ("permissions-policy-header-not-set", "missing-permissions-policy"),
];

pub(super) fn read(file: &File, out: &mut Collector) {
    let tests = file.unwrapped().get("tests");
    if !tests.is_object() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no tests");
        return;
    }
    // KAST 3 groups the tests by their outcome.
    let grouped = ["passed", "failed"].map(|group| tests.get(group));
    let is_grouped = tests.members().all(|(name, _)| matches!(name, "passed" | "failed"));
    let groups: &[&Node] = if is_grouped { &grouped } else { &[tests] };
    for (name, test) in groups.iter().flat_map(|group| group.members()) {
        if test.is_false("pass") {
            failed(name, test, out);
        } else if !test.is_true("pass") {
            let reason = if test.is_object() { NoteKind::LeftOut } else { NoteKind::NotUnderstood };
            out.notes.add(reason, name);
            out.no_result(test.text_of("result").unwrap_or(name));
        }
    }
}

fn failed(name: &str, test: &Node, out: &mut Collector) {
    let Some(result) = test.text_of("result") else {
        out.notes.add(NoteKind::NotUnderstood, name);
        return;
    };
    let issue = RENAMED.iter().find(|(own, _)| *own == result).map_or(result, |(_, id)| id);
    let place = match HEADERS.iter().find(|(test, _)| *test == name) {
        Some((_, header)) => out.header(header),
        None => out.site(None),
    };
    let said = ["scoreDescription", "recommendation", "description"].iter().find_map(|key| test.text_of(key));
    let evidence = [Some(result), said, test.text_of("data"), test.text_of("destination")];
    let evidence: Vec<&str> = evidence.into_iter().flatten().collect();
    let sighting = out
        .sighting(issue, place)
        .location(name)
        .evidence(&evidence.join("; "))
        .attribute("test", Some(name))
        .attribute("expectation", test.text_of("expectation"))
        .attribute("score_modifier", test.word_of("scoreModifier"))
        .registry_ids([issue, result]);
    debug_assert!(sighting.place != Place::Target || out.target().is_none());
    out.push(sighting);
}
