//! Manages the worker's local copies: finds those that are stored and those that wait, and removes
//! a copy.
//!
//! The file `attempt-<n>.uploaded` beside an attempt's folder means that the bucket has all of its
//! files. It is written after the manifest, so a crash in between costs only one more read of the
//! manifest. A folder without this marker waits to be uploaded. The marker is not inside the
//! folder, because the scanner chooses the names there.

use std::io;
use std::path::Path;
use std::time::Duration;

use cap_std::fs::{Dir, OpenOptions};
use jiff::Timestamp;
use kastrel_actors::model::{ScanRecord, ScanState};

use tracing::warn;

use super::dir::{open_inner, open_results};
use super::manifest::About;
use super::{AttemptKey, ScanFolder};
use crate::ports::{attempt_of, stored_mark_name};

/// The state of a folder's copy in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The bucket has all files, since this time.
    Stored(Timestamp),
    /// The bucket has some files, but not all: the folder stays forever.
    Kept,
}

impl Marker {
    fn text(self) -> String {
        match self {
            Self::Stored(at) => format!("stored {at}\n"),
            Self::Kept => "kept: the bucket does not have all of these files\n".into(),
        }
    }

    /// A marker that cannot be parsed keeps the folder.
    fn parse(text: &str) -> Self {
        text.trim().strip_prefix("stored ").and_then(|at| at.parse().ok()).map_or(Self::Kept, Self::Stored)
    }

    /// Returns true if the folder can be removed.
    pub(super) fn is_due(self, now: Timestamp, keep: Duration) -> bool {
        match self {
            Self::Stored(at) => now.duration_since(at).unsigned_abs() >= keep && now >= at,
            Self::Kept => false,
        }
    }
}

/// The action for a folder that has no marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Upload the folder: its attempt has ended.
    Upload(About),
    /// Wait: the attempt runs, here or on another node, or its end has not been detected yet.
    NotYet,
    /// Leave the folder alone: no row contains the attempt.
    Unknown,
}

/// Decides by the scan's row whether an attempt has ended.
pub(super) fn waiting(record: Option<&ScanRecord>, key: &AttemptKey) -> Waiting {
    let Some(record) = record.filter(|record| ScanFolder::of(record) == key.scan) else { return Waiting::Unknown };
    let Some(attempt) = record.attempt(key.attempt) else {
        return Waiting::Unknown;
    };
    if matches!(record.state, ScanState::Running { attempt, .. } if attempt == key.attempt) {
        return Waiting::NotYet;
    }
    Waiting::Upload(About {
        scan: record.id,
        attempt: attempt.number,
        token: attempt.token,
        node: attempt.node.to_string(),
        started_at: Some(attempt.started_at),
        ended_at: attempt.ended_at,
    })
}

/// An attempt's folder on this machine, with its marker.
pub(super) type Found = (AttemptKey, Option<Marker>);

/// Returns the attempts' folders on this machine, by scan. Also removes the rest of interrupted
/// removals.
pub(super) fn find(results: &Path) -> io::Result<Vec<(ScanFolder, Vec<Found>)>> {
    let root = match open_results(results) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut scans = Vec::new();
    for entry in root.entries()? {
        let Some(scan) = entry?.file_name().to_str().and_then(ScanFolder::parse) else { continue };
        // An entry that is not a folder, or was just removed, is not a scan.
        let Ok(dir) = open_inner(&root, scan.as_str()) else { continue };
        match attempts_in(&dir, &scan) {
            Ok(attempts) => scans.push((scan, attempts)),
            // One unreadable folder must not block the others.
            Err(error) => warn!(
                folder = scan.as_str(),
                error = &error as &dyn std::error::Error,
                "the folder of a scan cannot be looked through"
            ),
        }
    }
    Ok(scans)
}

fn attempts_in(dir: &Dir, scan: &ScanFolder) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in dir.entries()? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if name.starts_with(".attempt-") && name.ends_with(".removing") {
            if let Err(error) = gone(dir.remove_dir_all(&name)) {
                warn!(
                    folder = scan.as_str(),
                    error = &error as &dyn std::error::Error,
                    "could not clear away what an earlier removal left"
                );
            }
        } else if let Some(attempt) = attempt_of(&name) {
            let key = AttemptKey { scan: scan.clone(), attempt };
            let marker = match dir.read_to_string(marker_name(&key)) {
                Ok(text) => Some(Marker::parse(&text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                // A marker exists, and an unreadable marker keeps the folder.
                Err(_) => Some(Marker::Kept),
            };
            found.push((key, marker));
        }
    }
    Ok(found)
}

/// Writes the marker atomically and syncs it to disk, before any other code can rely on it.
pub(super) fn mark(results: &Path, key: &AttemptKey, marker: Marker) -> io::Result<()> {
    let dir = open_inner(&open_results(results)?, key.scan.as_str())?;
    let (name, fresh) = (marker_name(key), format!(".{}.new", marker_name(key)));
    let mut options = OpenOptions::new();
    let mut file = dir.open_with(&fresh, options.write(true).create(true).truncate(true))?;
    io::Write::write_all(&mut file, marker.text().as_bytes())?;
    file.sync_all()?;
    dir.rename(&fresh, &dir, &name)
}

/// Removes an attempt's folder. The rename makes the removal atomic for readers.
pub(super) fn remove(results: &Path, key: &AttemptKey) -> io::Result<()> {
    let dir = open_inner(&open_results(results)?, key.scan.as_str())?;
    let (name, going) = (key.attempt_folder(), format!(".{}.removing", key.attempt_folder()));
    dir.rename(&name, &dir, &going)?;
    gone(dir.remove_dir_all(&going))?;
    gone(dir.remove_file(marker_name(key)))
}

/// Ignores `NotFound`: two scans of the folder may remove the same entry.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the folder of a scan that has ended, if it is empty.
pub(super) fn remove_empty(results: &Path, scan: &ScanFolder) -> io::Result<()> {
    open_results(results)?.remove_dir(scan.as_str())
}

fn marker_name(key: &AttemptKey) -> String {
    stored_mark_name(&key.attempt_folder())
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AttemptNumber, AttemptRecord, FencingToken, NodeId};
    use kastrel_actors::testing::fixtures;

    use super::*;

    fn key(attempt: u32) -> AttemptKey {
        AttemptKey {
            scan: ScanFolder::of(&fixtures::record(7, Timestamp::UNIX_EPOCH)),
            attempt: AttemptNumber(attempt),
        }
    }

    #[test]
    fn local_copy_is_due_only_after_its_retention_time() {
        let at = Timestamp::UNIX_EPOCH;
        let day = Duration::from_secs(86_400);
        let marker = Marker::Stored(at);
        assert!(
            !marker.is_due(at, day)
                && !marker.is_due(at + day / 2, day)
                && marker.is_due(at + day, day)
                && marker.is_due(at, Duration::ZERO)
        );
        assert!(!marker.is_due(at - 2 * day, day), "a clock that was set back removes nothing");
        assert!(!Marker::Kept.is_due(at + 100 * day, Duration::ZERO));
        for marker in [marker, Marker::Kept] {
            assert_eq!(Marker::parse(&marker.text()), marker);
        }
        for strange in ["", "stored", "stored yesterday", "gone"] {
            assert_eq!(Marker::parse(strange), Marker::Kept, "{strange}");
        }
    }

    #[test]
    fn only_attempts_that_have_ended_by_their_row_are_uploaded() {
        let node: NodeId = "node-a".parse().unwrap();
        let attempt = |number, ended_at| AttemptRecord {
            number: AttemptNumber(number),
            token: FencingToken(u64::from(number)),
            node: node.clone(),
            due: None,
            started_at: Timestamp::UNIX_EPOCH,
            ended_at,
            end: None,
            scanner: None,
        };
        let mut record = fixtures::record(7, Timestamp::UNIX_EPOCH);
        record.attempts = vec![attempt(1, Some(Timestamp::UNIX_EPOCH)), attempt(2, None)];
        record.state =
            ScanState::Running { attempt: AttemptNumber(2), node: node.clone(), since: Timestamp::UNIX_EPOCH };
        assert!(
            matches!(waiting(Some(&record), &key(1)), Waiting::Upload(about) if about.token == FencingToken(1) && about.node == "node-a")
        );
        assert_eq!(waiting(Some(&record), &key(2)), Waiting::NotYet);
        assert_eq!(waiting(Some(&record), &key(3)), Waiting::Unknown);
        assert_eq!(waiting(None, &key(1)), Waiting::Unknown);
        let other = fixtures::record(7, Timestamp::UNIX_EPOCH + Duration::from_secs(1));
        assert_eq!(waiting(Some(&other), &key(1)), Waiting::Unknown, "the folder of another scan with the same id");
    }

    #[test]
    fn attempt_folders_are_found_marked_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let results = root.path().join("results");
        assert_eq!(find(&results).unwrap(), []);
        let scan = results.join(key(1).scan.as_str());
        for folder in ["attempt-1", "attempt-2", ".attempt-3.removing", "other"] {
            std::fs::create_dir_all(scan.join(folder)).unwrap();
        }
        std::fs::write(scan.join("attempt-2/x"), "x").unwrap();
        std::fs::create_dir_all(results.join("no-scan-x")).unwrap();
        std::os::unix::fs::symlink("/etc", results.join("link-9")).unwrap();
        // A marker that cannot be read, because it is a folder.
        std::fs::create_dir_all(scan.join("attempt-4")).unwrap();
        std::fs::create_dir_all(scan.join("attempt-4.uploaded")).unwrap();
        mark(&results, &key(2), Marker::Kept).unwrap();
        mark(&results, &key(2), Marker::Stored(Timestamp::UNIX_EPOCH)).unwrap();
        let found = find(&results).unwrap();
        assert_eq!(found.len(), 1);
        let mut attempts = found[0].1.clone();
        attempts.sort_by_key(|(key, _)| key.attempt);
        assert_eq!(
            attempts,
            [(key(1), None), (key(2), Some(Marker::Stored(Timestamp::UNIX_EPOCH))), (key(4), Some(Marker::Kept))]
        );
        remove(&results, &key(2)).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(&scan).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(
            left,
            ["attempt-1", "attempt-4", "attempt-4.uploaded", "other"],
            "the marker and what an earlier removal left are gone as well"
        );
        assert!(remove_empty(&results, &key(1).scan).is_err());
    }
}
