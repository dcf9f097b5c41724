//! Decides when the files of a certificate pair are read again.
//!
//! A renewal writes two files, one after the other. So they are read only after both stayed the
//! same from one check to the next. A file that a check cannot see counts as a state like any
//! other.

use std::time::Duration;

use super::pair::{Pair, PairError, PairFiles};
use super::stamps::Stamps;

/// Returns whether the files must be read: they differ from those of the last reading, and are the
/// same as at the check before.
fn must_read(last_read: Stamps, before: Stamps, now: Stamps) -> bool {
    now != last_read && now == before
}

/// Reads the files of a pair again after they changed.
#[derive(Debug)]
pub struct Reloader {
    files: PairFiles,
    /// The state of the files at the last reading, whether it failed or not.
    last_read: Stamps,
    /// The state of the files at the last check.
    before: Stamps,
}

impl Reloader {
    /// The interval between two checks.
    pub const EVERY: Duration = Duration::from_secs(5);

    /// Creates the reloader of files that were read.
    #[must_use]
    pub const fn new(files: PairFiles, pair: &Pair) -> Self {
        Self { files, last_read: pair.stamps, before: pair.stamps }
    }

    /// Checks the files, and reads them if they changed. Returns `None` if there is nothing new.
    /// The caller checks them every [`EVERY`](Self::EVERY).
    pub fn check(&mut self) -> Option<Result<Pair, PairError>> {
        let now = Stamps::of(&self.files.certificate, &self.files.key);
        let reads = must_read(self.last_read, self.before, now);
        self.before = now;
        reads.then(|| {
            self.last_read = now;
            self.files.read()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::pair::testing::{replace, write_pair};

    #[test]
    fn files_are_read_once_after_they_changed_and_settled() {
        let stamps = |inode: u64| Stamps { certificate: Some((1, inode, 3, 4, 5)), key: Some((1, 2, 3, 4, 5)) };
        let gone = Stamps { certificate: None, ..stamps(0) };
        for (last_read, before, now, reads) in [
            (stamps(0), stamps(0), stamps(0), false),
            (stamps(0), stamps(0), stamps(1), false),
            (stamps(0), stamps(1), stamps(1), true),
            (stamps(0), stamps(1), stamps(2), false),
            (stamps(0), stamps(1), stamps(0), false),
            (stamps(1), stamps(1), stamps(1), false),
            (stamps(0), gone, gone, true),
            (gone, gone, stamps(0), false),
            (gone, stamps(0), stamps(0), true),
        ] {
            assert_eq!(must_read(last_read, before, now), reads, "{last_read:?} {before:?} {now:?}");
        }
    }

    #[test]
    fn new_pair_is_returned_once_and_a_broken_one_is_an_error_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = write_pair(folder.path());
        let first = files.read().unwrap();
        let mut reloader = Reloader::new(files.clone(), &first);
        assert!(reloader.check().is_none());
        write_pair(folder.path());
        assert!(reloader.check().is_none(), "it may still change");
        let second = reloader.check().unwrap().unwrap();
        assert_ne!(second.fingerprint, first.fingerprint);
        assert!(reloader.check().is_none());
        replace(&files.key, "nothing");
        assert!(reloader.check().is_none());
        assert_eq!(reloader.check().unwrap().unwrap_err().setting, "server.tls_key");
        assert!(reloader.check().is_none(), "one warning for one change");
        std::fs::remove_file(&files.certificate).unwrap();
        assert!(reloader.check().is_none());
        assert_eq!(reloader.check().unwrap().unwrap_err().setting, "server.tls_certificate");
        write_pair(folder.path());
        assert!(reloader.check().is_none());
        assert!(reloader.check().unwrap().is_ok());
    }
}
