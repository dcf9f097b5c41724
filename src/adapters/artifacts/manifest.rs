//! The manifest of an attempt: the list of its files. It is written once, after all files, and
//! never changes. An attempt with a manifest is final.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kastrel_actors::model::{AttemptNumber, FencingToken, ScanId};
use serde::{Deserialize, Serialize};

use super::Artifact;
use super::dir::Walk;
use super::path::ArtifactPath;

/// The format version that this program writes and reads.
const VERSION: u32 = 1;
/// The maximum size of a manifest in bytes; see [`super::dir::REACH`].
pub(super) const MAX_BYTES: u64 = 128 << 20;

/// A manifest. See the module docs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    pub(super) scan: ScanId,
    pub(super) attempt: AttemptNumber,
    /// The fencing token of the attempt. The writer of this manifest held it.
    pub(super) token: FencingToken,
    /// The node that ran the attempt.
    pub(super) node: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    /// The number of files that are not in the bucket because they are hidden, cannot be read, are
    /// beyond the limit, or have names that are not UTF-8.
    pub(super) left_out: usize,
    pub(super) files: Vec<ManifestFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestFile {
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) modified: Option<Timestamp>,
    /// The SHA-256 of the content, as hexadecimal digits.
    pub(super) sha256: String,
}

impl ManifestFile {
    /// The file for a list. Returns `None` if its path is not valid in a request.
    pub(super) fn visible(&self) -> Option<Artifact> {
        ArtifactPath::parse(&self.path).is_ok().then(|| Artifact {
            path: self.path.clone(),
            size: self.size,
            modified: self.modified,
        })
    }
}

/// A manifest that this program cannot read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("the manifest is not readable")]
    Json(#[from] serde_json::Error),
    #[error("the manifest has version {0}, and this program reads version {VERSION}")]
    Version(u32),
    #[error("the manifest has {0} bytes")]
    TooLarge(u64),
}

/// The fields of a manifest other than the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) scan: ScanId,
    pub(super) attempt: AttemptNumber,
    pub(super) token: FencingToken,
    pub(super) node: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
}

impl Manifest {
    pub(super) fn new(about: &About, mut files: Vec<ManifestFile>, left_out: usize) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let About { scan, attempt, token, node, started_at, ended_at } = about.clone();
        Self { version: VERSION, scan, attempt, token, node, started_at, ended_at, left_out, files }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        // Reads the version first, because another version may have a different format.
        match serde_json::from_slice::<Versioned>(bytes)?.version {
            VERSION => Ok(serde_json::from_slice(bytes)?),
            other => Err(ManifestError::Version(other)),
        }
    }

    /// Returns true if the manifest was written for exactly this attempt. After the restore of an
    /// older backup, an attempt with the same number can be a different one. Its node id differs,
    /// because node ids are new at each start.
    pub(super) fn is_of(&self, about: &About) -> bool {
        (self.scan, self.attempt, self.token, &self.node) == (about.scan, about.attempt, about.token, &about.node)
    }

    pub(super) fn file(&self, path: &str) -> Option<&ManifestFile> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// Returns true if the manifest has every file of a folder with its size, so that the folder
    /// can be removed.
    pub(super) fn covers(&self, folder: &Walk) -> bool {
        let sizes: BTreeMap<&str, u64> = self.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        folder.files.iter().all(|file: &Artifact| sizes.get(file.path.as_str()) == Some(&file.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            scan: ScanId(7),
            attempt: AttemptNumber(2),
            token: FencingToken(3),
            node: "node-a".into(),
            started_at: None,
            ended_at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    fn file(path: &str, size: u64) -> ManifestFile {
        ManifestFile { path: path.into(), size, modified: None, sha256: "00".into() }
    }

    #[test]
    fn manifest_round_trips_and_other_versions_are_rejected() {
        let manifest = Manifest::new(&about(), vec![file("b", 2), file("a/x", 1)], 1);
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
        assert_eq!((manifest.file("b").map(|file| file.size), manifest.file("c")), (Some(2), None));
        let newer = text.replace("\"version\":1", "\"version\":2");
        assert!(matches!(Manifest::parse(newer.as_bytes()), Err(ManifestError::Version(2))));
        assert!(matches!(Manifest::parse(&text.as_bytes()[..50]), Err(ManifestError::Json(_))));
    }

    #[test]
    fn manifest_covers_a_folder_only_with_every_file_and_size() {
        let manifest = Manifest::new(&about(), vec![file("a", 1), file("b", 2)], 0);
        let walk = |files: &[(&str, u64)]| Walk {
            files: files
                .iter()
                .map(|(path, size)| Artifact { path: (*path).into(), size: *size, modified: None })
                .collect(),
            ..Walk::default()
        };
        assert!(
            manifest.covers(&walk(&[("a", 1), ("b", 2)]))
                && manifest.covers(&walk(&[("a", 1)]))
                && manifest.covers(&walk(&[]))
        );
        assert!(!manifest.covers(&walk(&[("a", 2)])) && !manifest.covers(&walk(&[("a", 1), ("c", 1)])));
    }
}
