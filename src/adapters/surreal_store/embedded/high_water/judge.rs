//! Compares the high-water record with the database.

use std::fmt;

use jiff::Timestamp;

use super::record::HighWater;

/// The state of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Found {
    pub(in super::super) installation: String,
    /// `None` if it was never marked: it is new, or was created by an earlier version.
    pub(in super::super) mark: Option<u64>,
    pub(in super::super) last_scan: u64,
    pub(in super::super) scans: u64,
}

/// The result of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub(in super::super) enum Verdict {
    /// The database contains everything in the record.
    Sound,
    /// The record is missing although the database was marked: the database is used, and a warning
    /// is logged.
    Unrecorded,
    /// The database has lost commits.
    Behind(Loss),
}

/// The loss of a database compared with its high-water record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// The record belongs to a different database.
    Another {
        /// The last scan id of the recorded database.
        last_scan: u64,
    },
    /// Commits are missing.
    Commits {
        /// The last scan id: in the record, and in the database.
        last_scan: (u64, u64),
        /// The number of scans: in the record, and in the database.
        scans: (u64, u64),
        /// The time of the record.
        written_at: Timestamp,
    },
    /// The record is unreadable, so a loss cannot be ruled out.
    Unknown,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Another { last_scan } => write!(
                f,
                "it is empty or another database; the one that was used here had given out scan ids up to {last_scan}"
            ),
            Self::Commits { last_scan: (known, found), .. } if found < known => {
                write!(f, "scan ids up to {known} were given out, but the database ends at {found}")
            }
            Self::Commits { scans: (known, found), written_at, .. } if found < known => {
                write!(f, "it had {known} scans at {written_at}, but {found} are left")
            }
            Self::Commits { written_at, .. } => {
                write!(f, "changes that were committed before {written_at} are missing")
            }
            Self::Unknown => {
                f.write_str("its high-water record cannot be read, so it is unknown whether rows are missing")
            }
        }
    }
}

/// Compares the record with the database. The record is written after its mark is committed, so a
/// complete database is never behind it.
pub(in super::super) fn judge(record: Option<&HighWater>, found: &Found) -> Verdict {
    let Some(record) = record else {
        return if found.mark.is_some() { Verdict::Unrecorded } else { Verdict::Sound };
    };
    if record.installation != found.installation {
        return Verdict::Behind(Loss::Another { last_scan: record.last_scan });
    }
    let mark = found.mark.unwrap_or_default();
    // Scans may be deleted after the mark of a record that was not the last one.
    let counts_are_exact = record.closed && mark == record.mark;
    if mark < record.mark || found.last_scan < record.last_scan || (counts_are_exact && found.scans != record.scans) {
        return Verdict::Behind(Loss::Commits {
            last_scan: (record.last_scan, found.last_scan),
            scans: (record.scans, found.scans),
            written_at: record.written_at,
        });
    }
    Verdict::Sound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(mark: u64, last_scan: u64, scans: u64, closed: bool) -> HighWater {
        HighWater { installation: "a".into(), mark, last_scan, scans, closed, ..HighWater::default() }
    }

    fn found(mark: Option<u64>, last_scan: u64, scans: u64) -> Found {
        Found { installation: "a".into(), mark, last_scan, scans }
    }

    #[test]
    fn a_database_is_refused_exactly_when_it_is_behind_its_record() {
        let sound = "sound";
        for (record, found, expected) in [
            (None, found(None, 0, 0), sound),
            (None, found(None, 60, 60), sound),
            (None, found(Some(4), 60, 60), "unrecorded"),
            (Some(record(4, 60, 60, false)), found(Some(4), 60, 60), sound),
            (Some(record(4, 60, 60, false)), found(Some(9), 75, 75), sound),
            (Some(record(4, 60, 60, false)), found(Some(4), 61, 55), sound),
            (Some(record(4, 60, 60, true)), found(Some(4), 60, 60), sound),
            (Some(record(4, 60, 60, true)), found(Some(5), 60, 2), sound),
            (
                Some(record(4, 60, 60, true)),
                found(Some(4), 60, 59),
                "it had 60 scans at 1970-01-01T00:00:00Z, but 59 are left",
            ),
            (
                Some(record(4, 60, 60, false)),
                found(Some(3), 60, 60),
                "changes that were committed before 1970-01-01T00:00:00Z are missing",
            ),
            (
                Some(record(4, 60, 60, false)),
                found(Some(3), 23, 23),
                "scan ids up to 60 were given out, but the database ends at 23",
            ),
            (
                Some(record(4, 60, 60, false)),
                found(None, 0, 0),
                "scan ids up to 60 were given out, but the database ends at 0",
            ),
            (
                Some(record(4, 60, 60, false)),
                found(Some(4), 59, 59),
                "scan ids up to 60 were given out, but the database ends at 59",
            ),
            (
                Some(record(4, 60, 60, true)),
                Found { installation: "b".into(), ..found(None, 0, 0) },
                "it is empty or another database; the one that was used here had given out scan ids up to 60",
            ),
        ] {
            let verdict = match judge(record.as_ref(), &found) {
                Verdict::Sound => sound.to_owned(),
                Verdict::Unrecorded => "unrecorded".to_owned(),
                Verdict::Behind(loss) => loss.to_string(),
            };
            assert_eq!(verdict, expected, "{record:?} {found:?}");
        }
    }
}
