//! The parts of a target that KAST ignores. KAST 3 removes the scheme and the path of its target,
//! and its plugins choose a scheme themselves.

use kastrel_actors::model::{ScannerKind, Target};

use super::catalogue::Catalogue;

/// The first version that removes them.
const CUTS_SINCE: u32 = 3;

/// Returns true if the scanner uses the scheme and the path of the target.
pub(super) fn is_kept(kind: ScannerKind, catalogue: Option<&Catalogue>) -> bool {
    let version = catalogue.and_then(|known| known.scanner.version.split('.').next()?.parse::<u32>().ok());
    kind != ScannerKind::Kast || version.is_some_and(|version| version < CUTS_SINCE)
}

/// Returns a note for the user if the scanner ignores a part of the target.
pub(super) fn note(kind: ScannerKind, catalogue: Option<&Catalogue>, target: &Target) -> Option<String> {
    if is_kept(kind, catalogue) {
        return None;
    }
    let whole = target.to_string();
    let (scheme, rest) = whole.split_once("://").map_or((None, whole.as_str()), |(scheme, rest)| (Some(scheme), rest));
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let path = Some(path).filter(|path| !matches!(*path, "" | "/"));
    let ignored = match (scheme, path) {
        (Some(scheme), Some(path)) => format!("the scheme {scheme} and the path {path}"),
        (Some(scheme), None) => format!("the scheme {scheme}"),
        (None, Some(path)) => format!("the path {path}"),
        (None, None) => return None,
    };
    Some(format!(
        "KAST scans the host {host} and ignores {ignored}: each plugin chooses its own scheme and starts at /"
    ))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ScannerInfo;

    use super::*;

    #[test]
    fn note_lists_the_ignored_parts_of_the_target() {
        let of = |version: &str| Catalogue {
            scanner: ScannerInfo { kind: ScannerKind::Kast, version: version.into(), configuration: None },
            ..Catalogue::default()
        };
        for (target, expected) in [
            ("example.com", None),
            ("example.com:444", None),
            ("http://example.com", Some("the host example.com and ignores the scheme http:")),
            (
                "https://example.com:444/app",
                Some("the host example.com:444 and ignores the scheme https and the path /app:"),
            ),
            ("[::1]:80", None),
        ] {
            let target = target.parse().unwrap();
            let note = note(ScannerKind::Kast, Some(&of("3.0.40")), &target);
            assert_eq!(note.is_some(), expected.is_some(), "{target}");
            assert!(note.is_none_or(|note| note.contains(expected.unwrap())), "{target}");
            assert_eq!(super::note(ScannerKind::Kast, Some(&of("2.14.1")), &target), None);
            assert_eq!(super::note(ScannerKind::Builtin, None, &target), None);
        }
    }
}
