//! How an issue is best fixed, as the registry of the scanner says it.

use kastrel_findings::registry::Approach;

use crate::ports::IssueFix;
use crate::web::text::clean;

/// Returns what is known of the fix: labels and texts. What the registry does not say is left out.
pub(super) fn fix_facts(fix: &IssueFix) -> Vec<(&'static str, String)> {
    let IssueFix { waf_addressable, approach, code_fix_time, waf_time, infrastructure_time } = fix;
    let by = approach.map(|approach| match approach {
        Approach::Waf => "a rule of a web application firewall",
        Approach::Code => "a change of the application",
        Approach::Combined => "a change of the application, and a rule of a web application firewall",
        Approach::Infrastructure => "a change of the servers",
    });
    let firewall = waf_addressable.map(|can| if can { "can stop attacks on it" } else { "cannot stop attacks on it" });
    let facts = [
        ("Best fixed by", by.map(str::to_owned)),
        ("Web application firewall", firewall.map(str::to_owned)),
        ("Time for the application", code_fix_time.as_deref().map(clean)),
        ("Time for a firewall rule", waf_time.as_deref().map(clean)),
        ("Time for the servers", infrastructure_time.as_deref().map(clean)),
    ];
    facts.into_iter().filter_map(|(label, text)| Some((label, text.filter(|text| !text.is_empty())?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fix_has_what_the_registry_says() {
        assert_eq!(fix_facts(&IssueFix::default()), []);
        let fix = IssueFix {
            waf_addressable: Some(false),
            approach: Some(Approach::Code),
            code_fix_time: Some("1-2\u{7} days".into()),
            waf_time: Some(String::new()),
            infrastructure_time: Some("1 week".into()),
        };
        let facts = fix_facts(&fix);
        let labels: Vec<&str> = facts.iter().map(|(label, _)| *label).collect();
        assert_eq!(
            labels,
            ["Best fixed by", "Web application firewall", "Time for the application", "Time for the servers"]
        );
        assert_eq!((facts[0].1.as_str(), facts[3].1.as_str()), ("a change of the application", "1 week"));
        assert_eq!(facts[1].1, "cannot stop attacks on it");
        assert!(!facts[2].1.contains('\u{7}') && facts[2].1.contains("days"), "{facts:?}");
    }
}
