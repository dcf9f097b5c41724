//! What a plugin is called: its identity is KAST's own name for it, whatever is in that.
//!
//! Names come from KAST, from the names of files and from `kast_info.json`. Each is made safe to
//! show; two that differ in the case of letters alone are one plugin. Only names of plain letters
//! can be chosen for a scan ([`is_selectable`]); all others are shown all the same, because a
//! failure that is not shown looks like a pass.

use sha2::{Digest, Sha256};

use super::text::clean;

/// The longest name that is shown whole.
const MOST_CHARS: usize = 100;
/// What a plugin without a name is called.
const UNNAMED: &str = "(unnamed plugin)";

/// The name to show and to keep: without control characters, never empty, of bounded length.
/// Different long names stay different.
pub(super) fn shown(name: &str) -> String {
    let whole = clean(name, usize::MAX);
    if whole.is_empty() {
        return UNNAMED.to_owned();
    }
    if whole.chars().count() <= MOST_CHARS {
        return whole;
    }
    let digest = Sha256::digest(&whole);
    let start: String = whole.chars().take(MOST_CHARS - 10).collect();
    format!("{start}…{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
}

/// What two names of the same plugin have in common.
pub(super) fn key(shown: &str) -> String {
    shown.to_lowercase()
}

/// Whether a plugin of this name can be chosen for a scan: safe as an argument, alone and in a
/// list.
pub(super) fn is_selectable(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_shown_and_none_deceives() {
        for (name, expected) in [
            ("whatweb", "whatweb"),
            ("nmap.vuln", "nmap.vuln"),
            ("my plugin/1", "my plugin/1"),
            ("näme", "näme"),
            ("../x", "../x"),
            ("<b>x</b>", "<b>x</b>"),
            ("a\u{1b}[31mb\u{202e}c\nd", "abc d"),
            ("", UNNAMED),
            ("\u{0}\u{1b}[0m ", UNNAMED),
        ] {
            assert_eq!(shown(name), expected, "{name:?}");
        }
        let (one, two) = (shown(&format!("{}1", "x".repeat(5000))), shown(&format!("{}2", "x".repeat(5000))));
        assert!(one != two && one.chars().count() < MOST_CHARS, "{one}");
    }

    #[test]
    fn letters_that_differ_in_case_are_one_plugin() {
        assert_eq!(key("WhatWeb"), key("whatweb"));
        assert_eq!(key("NÄME"), key("näme"));
        assert_ne!(key("nmap.vuln"), key("nmap_vuln"));
    }

    #[test]
    fn what_can_be_chosen_stays_one_argument() {
        for (name, ok) in [
            ("whatweb", true),
            ("a-b_C9", true),
            ("", false),
            ("-x", false),
            ("../x", false),
            ("a b", false),
            ("ä", false),
            ("a,b", false),
        ] {
            assert_eq!(is_selectable(name), ok, "{name}");
        }
    }
}
