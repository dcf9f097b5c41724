//! Stores and serves the files of attempts: reports, logs and raw results.
//!
//! - [`ArtifactStore`] is the only interface that the web and the command line use.
//! - [`FolderArtifacts`] is the default. It reads the results folder, where the scanner wrote the
//!   files; nothing is copied.
//! - [`BucketArtifacts`] reads an S3-compatible bucket, for clusters of several machines.
//!   [`BucketUploader`] fills the bucket from the machines that run scans: it is the runner's
//!   `ArtifactSink`.
//!
//! The layout of a bucket, below its prefix:
//!
//! ```text
//! <target>-<YYYYmmdd-HHMMSS>-<scan id>/attempt-<n>/files/<path>         the attempt's files
//!                                                 /long/<sha256>        files whose path is too long for a key, by the digest of the path
//!                                                 /live/log-tail.txt    the end of the log, while the attempt runs and after its worker died
//!                                                 /manifest.json        written once, as the last object; an attempt with a manifest is final
//! ```
//!
//! An attempt's files have a folder of their own, so no file name of a scanner can collide with the
//! manifest.

mod bucket;
mod connect;
mod dir;
mod folder;
mod layout;
mod live;
mod manifest;
mod path;
mod removal;
mod store;
mod upload;
mod uploader;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

use crate::ports::{
    Artifact, ArtifactError, ArtifactStore, AttemptKey, ByteRange, Listing, LogTail, OpenArtifact, ScanFolder,
};
pub use bucket::BucketArtifacts;
pub use connect::{BucketSettings, ConnectError};
pub use folder::FolderArtifacts;
pub use layout::Bucket;
pub use uploader::{BucketUploader, UploadRules};
