//! The names of plugins. The identity of a plugin is KAST's name for it, whatever characters the
//! name has.
//!
//! Names come from KAST, from file names and from `kast_info.json`. Each is made safe to show. Two
//! names that differ only in upper and lower case belong to the same plugin. Only names of plain
//! letters can be selected for a scan ([`is_selectable`]). The others are still shown, because a
//! hidden failure would look like a pass.

use sha2::{Digest, Sha256};

use super::text::clean;

/// The longest name that is shown completely.
const MOST_CHARS: usize = 100;
/// The name that stands for an empty name.
const UNNAMED: &str = "(unnamed plugin)";

/// The name to show and store: without control characters, never empty, and of bounded length.
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

/// The key of a name, equal for all names of the same plugin.
pub(super) fn key(shown: &str) -> String {
    shown.to_lowercase()
}

/// Returns true if a plugin with this name can be selected for a scan: the name is safe as an
/// argument, alone and in a list.
pub(super) fn is_selectable(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_name_is_shown_without_control_characters() {
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
    fn names_that_differ_only_in_case_are_one_plugin() {
        assert_eq!(key("WhatWeb"), key("whatweb"));
        assert_eq!(key("NÄME"), key("näme"));
        assert_ne!(key("nmap.vuln"), key("nmap_vuln"));
    }

    #[test]
    fn selectable_names_are_safe_as_one_argument() {
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
