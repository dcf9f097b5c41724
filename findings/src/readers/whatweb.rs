//! WhatWeb: the software of a site.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;

/// The issue of software beyond its end of life.
const END_OF_LIFE: &str = "whatweb-eol-technology";
/// The start of the sentence in which KAST names such software: `…: PHP 5.6; Apache 2.2`.
const NAMED_IN: &str = "End-of-life technologies detected:";

/// The limit for the software that is looked up in the results.
const MOST_NAMED: usize = 100;

/// WhatWeb's entries that are facts about an answer, and no software. `Email` has addresses of
/// people, which are not kept.
const NO_SOFTWARE: &[&str] = &[
    "Access-Control-Allow-Methods",
    "Content-Language",
    "Cookies",
    "Country",
    "Email",
    "Frame",
    "HTTPServer",
    "HttpOnly",
    "IP",
    "Meta-Author",
    "Meta-Refresh-Redirect",
    "PasswordField",
    "PoweredBy",
    "RedirectLocation",
    "Script",
    "Strict-Transport-Security",
    "Title",
    "UncommonHeaders",
    "Via-Proxy",
    "WWW-Authenticate",
    "X-Frame-Options",
    "X-Powered-By",
    "X-UA-Compatible",
    "X-XSS-Protection",
];

pub(super) fn read(file: &File, out: &mut Collector) {
    let results = file.result_list().unwrap_or_default();
    if results.is_empty() {
        out.notes.add(NoteKind::NotUnderstood, "the findings have no results");
    }
    for result in results {
        let site = result.text_of("target");
        for (name, facts) in result.get("plugins").members() {
            if !NO_SOFTWARE.contains(&name) {
                let versions = joined(facts.get("version"));
                let details = joined(facts.get("string"));
                out.technology(site, name, &[("version", versions.as_deref()), ("details", details.as_deref())]);
            }
        }
    }
    if file.lists(END_OF_LIFE) {
        end_of_life(file.root().text_of("executive_summary").unwrap_or_default(), results, out);
    }
}

/// Reads the names and versions of the sentence. Which of several sites it is about is in the
/// results.
fn end_of_life(summary: &str, results: &[Node], out: &mut Collector) {
    let named = summary.lines().find_map(|line| line.trim().strip_prefix(NAMED_IN)).unwrap_or_default();
    for (name, version) in named.split(';').filter_map(|entry| entry.trim().rsplit_once(' ')).take(MOST_NAMED) {
        let has = |result: &&Node| result.get("plugins").get(name).get("version").texts().any(|one| one == version);
        let site = results.iter().find(has).and_then(|result| result.text_of("target"));
        let sighting = out
            .sighting(END_OF_LIFE, out.component(site, name))
            .location(site.unwrap_or_default())
            .evidence(&format!("{name} {version}"))
            .attribute("version", Some(version));
        out.push(sighting);
    }
}

fn joined(list: &Node) -> Option<String> {
    let texts: Vec<&str> = list.texts().take(10).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}
