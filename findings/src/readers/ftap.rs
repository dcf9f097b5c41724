//! Find The Admin Panel: pages for administrators. KAST adds sensitive files and sign-in pages,
//! whose addresses are only in the descriptions of the file's issues.

use super::collect::Collector;
use super::file::File;
use crate::json::Node;
use crate::notes::NoteKind;

/// The issue of a page for administrators.
const PANEL: &str = "exposed_admin_panel";
/// KAST counts a page from this confidence on.
const LEAST_CONFIDENCE: f64 = 0.86;

pub(super) fn read(file: &File, out: &mut Collector) {
    // No list is no sign of a failure: the tool writes none when it finds nothing.
    let results = file.result_list().unwrap_or_default();
    results.iter().for_each(|page| panel(page, out));
    for issue in file.issues().filter(|issue| issue.id != PANEL) {
        let description = issue.entry.text_of("description").unwrap_or_default();
        let announced = leading_number(description);
        if announced > addresses(description).count() {
            // The description is cut, or an address has a comma and a space.
            out.no_result(issue.id);
        }
        for address in addresses(description) {
            let sighting = out.sighting(issue.id, out.page(address)).location(address).evidence(description);
            out.push(sighting);
        }
    }
}

fn panel(page: &Node, out: &mut Collector) {
    let (Some(url), confidence) = (page.text_of("url"), page.number_of("confidence")) else {
        return out.notes.add(NoteKind::NotUnderstood, "a page without address");
    };
    if !page.is_true("found") || confidence.is_none_or(|confidence| confidence < LEAST_CONFIDENCE) {
        return out.notes.add(NoteKind::LeftOut, "pages that are not sure enough");
    }
    let form = if page.is_true("has_login_form") { ", with a sign-in form" } else { "" };
    let evidence = format!(
        "HTTP {}, title \"{}\"{form}",
        page.word_of("status_code").unwrap_or("?"),
        page.text_of("title").unwrap_or_default(),
    );
    let sighting = out
        .sighting(PANEL, out.page(url))
        .location(url)
        .evidence(&evidence)
        .attribute("confidence", page.word_of("confidence"));
    out.push(sighting);
}

/// The addresses in a description: `2 URLs found: https://…, https://…`.
fn addresses(description: &str) -> impl Iterator<Item = &str> {
    let listed = description.find("http").map(|at| &description[at..]).unwrap_or_default();
    listed.split(", ").map(str::trim).filter(|text| text.starts_with("http://") || text.starts_with("https://"))
}

/// The number at the beginning of a description, or 0.
fn leading_number(description: &str) -> usize {
    let digits = description.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}
