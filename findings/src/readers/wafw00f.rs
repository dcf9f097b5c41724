//! wafw00f: the web application firewall in front of a site.

use super::collect::Collector;
use super::file::File;
use crate::asset::AssetKind;
use crate::notes::NoteKind;
use crate::place::Label;

/// The issues of this plugin.
const ISSUES: [&str; 2] = ["No WAF Detected", "WAF Check Inconclusive"];

pub(super) fn read(file: &File, out: &mut Collector) {
    let results = file.result_list().unwrap_or_default();
    if results.is_empty() {
        // The target did not respond, so "no firewall" is no finding, whatever the list says.
        out.notes.add(NoteKind::NotUnderstood, "the findings have no results");
        ISSUES.iter().for_each(|issue| out.no_result(issue));
        return;
    }
    for result in results.iter().filter(|result| result.is_true("detected")) {
        let name = result.text_of("firewall").unwrap_or("unknown");
        if let (Some(origin), Ok(name)) = (out.origin(result.text_of("url")), Label::parse(name)) {
            let asset = out.asset(AssetKind::Waf { origin, name });
            out.push_asset(
                asset
                    .attribute("manufacturer", result.text_of("manufacturer"))
                    .attribute("trigger", result.text_of("trigger_url")),
            );
        }
    }
    let site = results.iter().find_map(|result| result.text_of("url"));
    for issue in ISSUES.iter().filter(|issue| file.lists(issue)) {
        let sighting = out
            .sighting(issue, out.site(site))
            .location(site.unwrap_or_default())
            .evidence(file.root().text_of("executive_summary").unwrap_or_default());
        out.push(sighting);
    }
}
