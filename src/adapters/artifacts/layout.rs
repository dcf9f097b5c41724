//! A bucket and the locations of an attempt's objects in it.

use std::fmt;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::{Path, PathPart};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use super::path::ArtifactPath;
use super::{AttemptKey, ScanFolder};
use crate::ports::is_plain;

/// The maximum length of a file's encoded path in a key. S3 allows keys of 1024 bytes; the
/// difference is for the prefix and the scan's name.
const MAX_PATH_BYTES: usize = 600;

/// A bucket, or a prefix in a bucket.
#[derive(Clone)]
pub struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    /// The bucket's URL for messages, such as `s3://scans`.
    address: String,
    prefix: Path,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.url(&self.prefix))
    }
}

impl Bucket {
    /// Creates a bucket over a store. `address` is its URL; `prefix` may be empty.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, address: impl Into<String>, prefix: &str) -> Self {
        Self {
            store,
            address: address.into(),
            prefix: Path::from_iter(prefix.split('/').filter(|part| !part.is_empty())),
        }
    }

    /// The URL of an object.
    pub(super) fn url(&self, location: &Path) -> String {
        format!("{}/{location}", self.address)
    }

    /// The prefix of all objects of a scan.
    pub(super) fn scan(&self, scan: &ScanFolder) -> Path {
        self.prefix.clone().join(PathPart::from(scan.as_str()))
    }

    /// The prefix of all objects of an attempt.
    pub(super) fn attempt(&self, key: &AttemptKey) -> Path {
        self.scan(&key.scan).join(PathPart::from(key.attempt_folder()))
    }

    /// The location of the manifest, which is written last.
    pub(super) fn manifest(&self, key: &AttemptKey) -> Path {
        self.attempt(key).join("manifest.json")
    }

    /// The location of the end of a running attempt's log.
    pub(super) fn live_tail(&self, key: &AttemptKey) -> Path {
        self.attempt(key).join("live").join("log-tail.txt")
    }

    /// The prefix of an attempt's files.
    pub(super) fn files(&self, key: &AttemptKey) -> Path {
        self.attempt(key).join("files")
    }

    /// The location of one file.
    pub(super) fn file(&self, key: &AttemptKey, path: ArtifactPath<'_>) -> Path {
        let encoded = Path::from_iter(path.as_str().split('/'));
        if encoded.as_ref().len() <= MAX_PATH_BYTES {
            return self.files(key).parts().chain(encoded.parts()).collect();
        }
        self.attempt(key).join("long").join(hex::encode(Sha256::digest(path.as_str())))
    }

    /// The path of the file at `location`. Returns `None` if `location` is not that of a file of
    /// this attempt.
    pub(super) fn path_of(&self, key: &AttemptKey, location: &Path) -> Option<String> {
        let parts: Option<Vec<String>> =
            location.prefix_match(&self.files(key))?.map(|part| decode(part.as_ref())).collect();
        let path = parts?.join("/");
        ArtifactPath::parse(&path).is_ok().then_some(path)
    }
}

/// Decodes one part of a location.
fn decode(part: &str) -> Option<String> {
    percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned).filter(|part| is_plain(part))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::AttemptNumber;
    use object_store::memory::InMemory;

    use super::*;

    fn key() -> AttemptKey {
        AttemptKey { scan: ScanFolder::parse("example.com-20261123-170659-7").unwrap(), attempt: AttemptNumber(2) }
    }

    #[test]
    fn each_path_has_a_unique_location_and_is_decoded_again() {
        let bucket = Bucket::new(Arc::new(InMemory::new()), "s3://scans", "/team/a/");
        let base = "team/a/example.com-20261123-170659-7/attempt-2";
        assert_eq!(bucket.manifest(&key()).as_ref(), format!("{base}/manifest.json"));
        assert_eq!(bucket.live_tail(&key()).as_ref(), format!("{base}/live/log-tail.txt"));
        assert_eq!(bucket.url(&bucket.manifest(&key())), format!("s3://scans/{base}/manifest.json"));
        for path in [
            "kast.log",
            "a/b c/d.json",
            "manifest.json",
            "../..".trim_matches('.'),
            "odd\"%2e.bin",
            "line\nbreak",
            "bücher/\u{202e}x",
            "a~*?#|<>^{}",
        ] {
            let Ok(parsed) = ArtifactPath::parse(path) else { continue };
            let location = bucket.file(&key(), parsed);
            assert!(location.as_ref().starts_with(&format!("{base}/files/")), "{location}");
            assert_eq!(bucket.path_of(&key(), &location).as_deref(), Some(path));
        }
        let long = format!("{}/x", "ü".repeat(120)).repeat(3);
        let location = bucket.file(&key(), ArtifactPath::parse(&long).unwrap());
        assert!(location.as_ref().starts_with(&format!("{base}/long/")) && location.as_ref().len() < 300, "{location}");
        assert_eq!(bucket.path_of(&key(), &location), None);
    }

    #[test]
    fn unknown_keys_in_a_bucket_are_not_files() {
        let bucket = Bucket::new(Arc::new(InMemory::new()), "s3://scans", "");
        let base = bucket.files(&key());
        for key_text in ["%2E%2E/x", "a/%2e%2e/b", "a%2Fb", "%00", "%FF", ".hidden", "a%5Cb"] {
            let location = Path::parse(format!("{base}/{key_text}")).unwrap();
            assert_eq!(bucket.path_of(&key(), &location), None, "{key_text}");
        }
        assert_eq!(bucket.path_of(&key(), &bucket.manifest(&key())), None);
    }
}
