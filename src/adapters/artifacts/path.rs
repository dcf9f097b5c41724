//! Validates the paths of files within an attempt. The paths come from URLs, which anybody can
//! type, and the scanner chose the names of the files.

use crate::ports::{ArtifactError, is_plain};

/// The maximum length of a path in bytes; the kernel has the same limit.
const MAX_BYTES: usize = 4096;

/// A relative path of plain parts with `/` as separator. No part is hidden or empty, and none leads
/// out of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArtifactPath<'a>(&'a str);

impl<'a> ArtifactPath<'a> {
    /// Parses a path. Fails with `Refused` if any part is not plain; it repairs nothing.
    pub(super) fn parse(path: &'a str) -> Result<Self, ArtifactError> {
        let plain = path.len() <= MAX_BYTES && path.split('/').all(is_plain);
        plain.then_some(Self(path)).ok_or(ArtifactError::Refused)
    }

    pub(super) const fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the folders, outermost first, and the file's name.
    pub(super) fn parts(self) -> (impl Iterator<Item = &'a str>, &'a str) {
        let (folders, name) = self.0.rsplit_once('/').unwrap_or(("", self.0));
        (folders.split('/').filter(|part| !part.is_empty()), name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_parse() {
        for good in ["a", "a/b/c.html", "odd\".bin", "line\nbreak", "bücher/x", "a..b", "a b#?%2e"] {
            assert!(ArtifactPath::parse(good).is_ok(), "{good:?}");
        }
        let long = "a/".repeat(3000) + "a";
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "a//b",
            "a/",
            ".",
            ".hidden",
            "a/.b/c",
            "a\\b",
            "..\\x",
            "nul\0",
            &long,
        ] {
            assert!(matches!(ArtifactPath::parse(bad), Err(ArtifactError::Refused)), "{bad:?}");
        }
    }

    #[test]
    fn path_parts_are_in_order() {
        let (folders, name) = ArtifactPath::parse("a/b/c").unwrap().parts();
        assert_eq!((folders.collect::<Vec<_>>(), name), (vec!["a", "b"], "c"));
        let (folders, name) = ArtifactPath::parse("c").unwrap().parts();
        assert_eq!((folders.count(), name), (0, "c"));
    }
}
