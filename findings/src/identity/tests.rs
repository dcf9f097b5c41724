use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::place::{Origin, Part, Place};
use crate::severity::Severity;
use crate::sighting::Sighting;

fn target() -> Origin {
    Origin::of_target("shop.example").unwrap()
}

fn page(plugin: &str, issue: &str, text: &str) -> Sighting {
    Sighting::new(plugin, issue, Place::guess(text, Some(&target()))).location(text)
}

fn print(sighting: &Sighting) -> Fingerprint {
    fingerprint(sighting, current())
}

#[test]
fn the_algorithm_is_fixed() {
    // Computed by another program. A change breaks the identity of every stored finding.
    let cases = [
        (
            page("ftap", "exposed_admin_panel", "https://shop.example/admin/"),
            "kfp1:1dd026058732bdd7333434c624f104ea219e12ea018db23a8d80f5c5f1431f5e",
        ),
        (
            Sighting::new("x", "y", Place::Target),
            "kfp1:ac768c7a4d1e1fa548bcb81fc2fa5c247d1421c8533971d8a2194f5bdc7ea4f9",
        ),
    ];
    for (sighting, expected) in cases {
        assert_eq!(print(&sighting).to_string(), expected);
        assert_eq!(expected.parse(), Ok(print(&sighting)));
    }
    for wrong in ["", "kfp1:", "kfp2:00", &format!("kfp1:{}", "A".repeat(64)), &format!("kfp1:{}", "a".repeat(63))] {
        assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintFault), "{wrong}");
    }
}

#[test]
fn severity_title_evidence_and_versions_do_not_count() {
    let one = page("zap", "40012", "https://shop.example/search?q=1");
    let other = page("zap", "40012", "HTTPS://SHOP.example:443/search?q=2&x=3")
        .severity(Some(Severity::High))
        .title("Another title")
        .evidence("other")
        .attribute("version", Some("2"));
    assert_eq!(print(&one), print(&other));
}

#[test]
fn port_host_www_and_address_are_different_sites() {
    let places = [
        "https://shop.example/",
        "https://www.shop.example/",
        "https://shop.example:8443/",
        "https://192.0.2.7/",
        "http://shop.example/",
    ];
    let prints: BTreeSet<_> = places.iter().map(|place| print(&page("wafw00f", "No WAF Detected", place))).collect();
    assert_eq!(prints.len(), places.len());
    let lines = explain_pair(
        &page("wafw00f", "No WAF Detected", places[0]),
        &page("wafw00f", "No WAF Detected", places[2]),
        current(),
    );
    assert!(lines.contains(&"Different port: 443 and 8443".to_owned()), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("Two findings"), "{lines:?}");
}

#[test]
fn the_pages_without_a_header_are_members_of_one_finding() {
    let sightings = ["https://shop.example/b", "https://shop.example/a", "https://shop.example/a"]
        .map(|place| page("zap", "10021-1", place).severity(Some(Severity::Low)));
    let findings = roll_up(&sightings, current());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].members, ["https://shop.example/a", "https://shop.example/b"]);
    assert_eq!((findings[0].members_count, findings[0].severity), (2, Some(Severity::Low)));
    assert_eq!(findings[0].sightings, [1, 2, 0]);
    assert_eq!(findings[0].place, Place::Origin { origin: target() });
}

#[test]
fn pages_with_different_ids_are_members_with_their_own_addresses() {
    let sightings = ["https://shop.example/item/18?q=1", "/item/17?q=2#x", "https://shop.example/item/17?q=3"]
        .map(|place| page("ftap", "i", place));
    let findings = roll_up(&sightings, current());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].members, ["https://shop.example/item/17", "https://shop.example/item/18"]);
    assert_eq!(findings[0].place.to_string(), "https://shop.example/item/{n}");
}

#[test]
fn lengths_keep_the_hashed_texts_apart() {
    let one = Sighting::new("a", "bc", Place::Target);
    let other = Sighting::new("ab", "c", Place::Target);
    assert_ne!(print(&one), print(&other));
}

/// A second rule set, as a later version would bring one.
const LATER: RuleSet = RuleSet {
    version: 2,
    rules: &[
        Rule {
            plugin: "zap",
            issues: Match::Is(&["10096"]),
            issue_as: None,
            title: None,
            parts: &[Part::Scheme, Part::Host, Part::Port],
            drift: None,
            why: "test",
        },
        Rule {
            plugin: "ftap",
            issues: Match::Any,
            issue_as: None,
            title: None,
            parts: &[Part::Scheme, Part::Host, Part::Port, Part::Path, Part::Query],
            drift: None,
            why: "test",
        },
    ],
};

#[test]
fn a_change_of_the_rules_gives_aliases() {
    let zap = ["/a", "/b"].map(|path| page("zap", "10096", path));
    let ftap = ["/x?p", "/x?q", "/y"].map(|path| page("ftap", "exposed_admin_panel", path));
    let all = [zap.to_vec(), ftap.to_vec()].concat();
    let later = |sighting: &Sighting| fingerprint(sighting, &LATER);
    let merged = AliasChange::Merged { old: zap.iter().map(print).collect(), new: later(&zap[0]) };
    let split = AliasChange::Split { old: print(&ftap[0]), new: ftap[..2].iter().map(later).collect() };
    let changes = aliases(&all, current(), &LATER);
    assert!(changes.contains(&merged) && changes.contains(&split), "{changes:?}");
    // "/y" has no query, so it stays.
    assert_eq!(changes.len(), 2);
    let moved = aliases(&zap[..1], current(), &LATER);
    assert_eq!(moved, [AliasChange::Moved { old: print(&zap[0]), new: later(&zap[0]) }]);
    assert!(aliases(&all, current(), current()).is_empty());
}

#[test]
fn a_script_of_a_new_version_is_paired_and_two_candidates_are_not() {
    let script = |name: &str| {
        let script = crate::place::WebAddress::parse(&format!("https://cdn.example/{name}")).unwrap();
        Sighting::new("script_detection", "no-sri", Place::Script { origin: target(), script })
    };
    let (old, new) = (script("jquery-3.4.1.min.js"), script("jquery-3.5.0.min.js"));
    let pairs_of = |gone: &[&Sighting], new: &[&Sighting]| {
        let owned = |list: &[&Sighting]| list.iter().map(|one| (*one).clone()).collect::<Vec<_>>();
        pair_drifted(&owned(gone), &owned(new), current())
    };
    let pairs = pairs_of(&[&old], &[&new]);
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0].old, pairs[0].new, pairs[0].part), (print(&old), print(&new), Part::ScriptPath));
    // Another candidate on either side, another name, another issue: no pair.
    let other = script("jquery-3.6.0.min.js");
    assert!(pairs_of(&[&old], &[&new, &other]).is_empty());
    assert!(pairs_of(&[&old, &other], &[&new]).is_empty());
    assert!(pairs_of(&[&old], &[&script("react.js")]).is_empty());
    let mut another = new.clone();
    another.issue = crate::sighting::IssueKey::new("other");
    assert!(pairs_of(&[&old], &[&another]).is_empty());
    assert!(pairs_of(&[&old], &[&old]).is_empty());
    // A rule without drift never pairs.
    let (one, other) = (page("exposed_files", "env", "/a/.env"), page("exposed_files", "env", "/b/.env"));
    assert!(pairs_of(&[&one], &[&other]).is_empty());
}

#[test]
fn an_explanation_has_every_step() {
    let text = "HTTPS://ana:secret@Shop.Example/users/17;jsessionid=1?q=2#top";
    let mut sighting = page("zap", "40012", text);
    sighting.evidence = "x".into();
    let lines = explain(&sighting, current());
    let expected = [
        "Plugin: zap",
        "Issue: 40012",
        "  the site in normal form is https://shop.example",
        "  the default port of https is 443",
        "  user name and password do not count",
        "  the fragment does not count: it is never sent",
        "  path: \"17;jsessionid=1\" is \"{n};jsessionid\"",
        "  query: values do not count",
        "Place: https://shop.example/users/{n};jsessionid?q (url)",
        "  counts: path = /users/{n};jsessionid",
        "  does not count: query = q",
    ];
    for line in expected {
        assert!(lines.contains(&line.to_owned()), "{line} in {lines:#?}");
    }
    assert_eq!(lines.last().unwrap(), &format!("Fingerprint: {}", print(&sighting)));
}

#[test]
fn every_rule_of_a_known_plugin_is_reachable_and_versions_ascend() {
    for (at, set) in rules::RULE_SETS.iter().enumerate() {
        assert_eq!(set.version as usize, at + 1);
        for (position, rule) in set.rules.iter().enumerate() {
            let hidden = set.rules[..position]
                .iter()
                .any(|earlier| earlier.plugin == rule.plugin && earlier.issues == Match::Any);
            assert!(!hidden, "{rule:?}");
            assert!(rule.drift.is_none_or(|part| rule.parts.contains(&part)), "{rule:?}");
        }
    }
}

proptest! {
    #[test]
    fn roll_up_loses_no_sighting_and_ignores_their_order(
        paths in proptest::collection::vec("[a-c]{1,2}(\\?[a-b])?", 0..12), seed in any::<u64>(),
    ) {
        let sightings: Vec<Sighting> = paths.iter().enumerate().map(|(at, path)| {
            page(["zap", "ftap", "new_plugin"][at % 3], ["10021", "40012"][at % 2], &format!("/{path}"))
        }).collect();
        let findings = roll_up(&sightings, current());
        let mut positions: Vec<usize> = findings.iter().flat_map(|finding| finding.sightings.clone()).collect();
        positions.sort_unstable();
        prop_assert_eq!(positions, (0..sightings.len()).collect::<Vec<_>>());
        let mut shuffled = sightings.clone();
        let len = shuffled.len();
        for at in 0..len {
            shuffled.swap(at, (seed as usize).wrapping_mul(at + 7) % len);
        }
        let again = roll_up(&shuffled, current());
        for (one, other) in findings.iter().zip(&again) {
            prop_assert_eq!((&one.fingerprint, &one.members, &one.place, &one.title), (&other.fingerprint, &other.members, &other.place, &other.title));
        }
        prop_assert_eq!(findings.len(), again.len());
    }

    #[test]
    fn different_key_parts_give_different_fingerprints(one in "[a-z]{1,4}", other in "[a-z]{1,4}") {
        let same = print(&page("ftap", "i", &format!("/{one}"))) == print(&page("ftap", "i", &format!("/{other}")));
        prop_assert_eq!(same, one == other);
    }
}
