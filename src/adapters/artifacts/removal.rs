//! The worker's own copies: which are stored, which wait, and how one is removed.
//!
//! `attempt-<n>.uploaded` beside an attempt's folder says that the bucket has all of it. It is
//! written after the manifest: a crash in between costs nothing but a second look at the manifest.
//! A folder without it waits to be uploaded. The marker is not in the folder, because there the
//! scanner chooses the names.

use std::io;
use std::path::Path;
use std::time::Duration;

use cap_std::fs::{Dir, OpenOptions};
use jiff::Timestamp;
use kastrel_actors::model::{ScanRecord, ScanState};

use tracing::warn;

use super::dir::{open_inner, open_results};
use super::key::attempt_of;
use super::manifest::About;
use super::{AttemptKey, ScanFolder};
use crate::adapters::kast_runner::stored_mark_name;

/// What is known of a folder's copy in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The bucket has all of it, since then.
    Stored(Timestamp),
    /// The bucket has something, and not all of it: the folder stays for good.
    Kept,
}

impl Marker {
    fn text(self) -> String {
        match self {
            Self::Stored(at) => format!("stored {at}\n"),
            Self::Kept => "kept: the bucket does not have all of these files\n".into(),
        }
    }

    /// What cannot be read keeps the folder.
    fn parse(text: &str) -> Self {
        text.trim().strip_prefix("stored ").and_then(|at| at.parse().ok()).map_or(Self::Kept, Self::Stored)
    }

    /// Whether the folder can go.
    pub(super) fn is_due(self, now: Timestamp, keep: Duration) -> bool {
        match self {
            Self::Stored(at) => now.duration_since(at).unsigned_abs() >= keep && now >= at,
            Self::Kept => false,
        }
    }
}

/// What to do about a folder that has no marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Its attempt is over.
    Upload(About),
    /// Its attempt runs, here or elsewhere, or nobody has noticed its end yet.
    NotYet,
    /// No row speaks of it.
    Unknown,
}

/// Whether an attempt is over, by the scan's row.
pub(super) fn waiting(record: Option<&ScanRecord>, key: &AttemptKey) -> Waiting {
    let Some(record) = record.filter(|record| ScanFolder::of(record) == key.scan) else { return Waiting::Unknown };
    let Some(attempt) = record.attempts.iter().find(|attempt| attempt.number == key.attempt) else {
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

/// A folder of an attempt on this machine.
pub(super) type Found = (AttemptKey, Option<Marker>);

/// The attempts' folders on this machine, by scan; what earlier removals left is cleared away.
pub(super) fn find(results: &Path) -> io::Result<Vec<(ScanFolder, Vec<Found>)>> {
    let root = match open_results(results) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut scans = Vec::new();
    for entry in root.entries()? {
        let Some(scan) = entry?.file_name().to_str().and_then(ScanFolder::parse) else { continue };
        // What is no folder, or has just gone, is no scan.
        let Ok(dir) = open_inner(&root, scan.as_str()) else { continue };
        match attempts_in(&dir, &scan) {
            Ok(attempts) => scans.push((scan, attempts)),
            // The others must not wait for one that somebody has locked.
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
                // It says something, and what cannot be read keeps the folder.
                Err(_) => Some(Marker::Kept),
            };
            found.push((key, marker));
        }
    }
    Ok(found)
}

/// Writes the marker, whole and on disk, before anybody may rely on it.
pub(super) fn mark(results: &Path, key: &AttemptKey, marker: Marker) -> io::Result<()> {
    let dir = open_inner(&open_results(results)?, key.scan.as_str())?;
    let (name, fresh) = (marker_name(key), format!(".{}.new", marker_name(key)));
    let mut options = OpenOptions::new();
    let mut file = dir.open_with(&fresh, options.write(true).create(true).truncate(true))?;
    io::Write::write_all(&mut file, marker.text().as_bytes())?;
    file.sync_all()?;
    dir.rename(&fresh, &dir, &name)
}

/// Removes an attempt's folder, at once for whoever looks.
pub(super) fn remove(results: &Path, key: &AttemptKey) -> io::Result<()> {
    let dir = open_inner(&open_results(results)?, key.scan.as_str())?;
    let (name, going) = (key.attempt_folder(), format!(".{}.removing", key.attempt_folder()));
    dir.rename(&name, &dir, &going)?;
    gone(dir.remove_dir_all(&going))?;
    gone(dir.remove_file(marker_name(key)))
}

/// What is gone already need not be removed: two looks through a folder may meet.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the folder of a scan that has ended, if nothing is in it.
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
    fn a_copy_goes_when_its_time_is_over_and_never_by_mistake() {
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
    fn only_attempts_that_are_over_by_their_row_are_uploaded() {
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
    fn folders_are_found_marked_and_removed() {
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
