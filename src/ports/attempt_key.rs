//! The identity of a scan and of an attempt, as the names of their folders.

use std::fmt;

use kastrel_actors::model::{AttemptNumber, ScanId, ScanRecord};

use super::{attempt_folder_name, is_plain, scan_folder_name};

/// The name of a scan's folder: `<target>-<YYYYmmdd-HHMMSS>-<scan id>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScanFolder(String);

impl ScanFolder {
    /// The folder of a scan.
    #[must_use]
    pub fn of(record: &ScanRecord) -> Self {
        Self(scan_folder_name(&record.request.target, record.created_at, record.id))
    }

    /// Parses the name of a scan's folder: a plain name that ends with the scan's id. Returns
    /// `None` for other names.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let folder = Self(name.to_owned());
        (is_plain(name) && folder.scan().is_some()).then_some(folder)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scan's id, which is the last part of the name.
    pub(crate) fn scan(&self) -> Option<ScanId> {
        let (_, id) = self.0.rsplit_once('-')?;
        number(id).map(ScanId)
    }
}

impl fmt::Display for ScanFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttemptKey {
    /// The scan.
    pub scan: ScanFolder,
    /// The attempt.
    pub attempt: AttemptNumber,
}

impl AttemptKey {
    /// An attempt of a scan.
    #[must_use]
    pub fn of(record: &ScanRecord, attempt: AttemptNumber) -> Self {
        Self { scan: ScanFolder::of(record), attempt }
    }

    /// `attempt-<n>`.
    pub(crate) fn attempt_folder(&self) -> String {
        attempt_folder_name(self.attempt)
    }
}

/// Parses the number in the name of an attempt's folder.
pub(crate) fn attempt_of(name: &str) -> Option<AttemptNumber> {
    number(name.strip_prefix("attempt-")?).and_then(|number| u32::try_from(number).ok()).map(AttemptNumber)
}

/// Parses a number in canonical form: digits without a sign or leading zeros, so that no two names
/// have the same meaning.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_parse_only_in_canonical_form() {
        for (name, scan) in [
            ("example.com-20261123-170659-7", Some(7)),
            ("-7", Some(7)),
            ("example.com", None),
            ("x-07", None),
            ("x-+7", None),
            ("../x-7", None),
        ] {
            assert_eq!(ScanFolder::parse(name).and_then(|folder| folder.scan()), scan.map(ScanId), "{name}");
        }
        for (name, attempt) in [
            ("attempt-1", Some(1)),
            ("attempt-01", None),
            ("attempt-", None),
            ("attempt-99999999999", None),
            ("attempt-1.uploaded", None),
        ] {
            assert_eq!(attempt_of(name), attempt.map(AttemptNumber), "{name}");
        }
    }
}
