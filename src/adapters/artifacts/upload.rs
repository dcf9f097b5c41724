//! Uploads an attempt's folder once: all files first, then the manifest, which makes the attempt
//! final.
//!
//! An upload can be interrupted at any point and repeated. Each attempt has a prefix of its own,
//! only its own files are written there, and the manifest can be created only once. So a worker
//! that was frozen and resumes writes only below its old attempt's prefix, and a second uploader of
//! the same attempt finds the manifest and stops.
//!
//! There is one exception. After the restore of an older backup, the bucket can have files of an
//! attempt that the database does not contain. The attempt that now has the same number overwrites
//! them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_util::bytes::BytesMut;
use tracing::warn;

use super::dir::{AttemptDir, REACH, Walk};
use super::folder::blocking;
use super::layout::Bucket;
use super::manifest::{About, Manifest, ManifestFile};
use super::path::ArtifactPath;
use super::store::is_passing;
use super::{Artifact, ArtifactError, AttemptKey};
use crate::ports::content_kind;

/// The part size of a multipart upload. A larger file is uploaded in parts, two of which are in
/// memory at a time.
///
/// Each part is one request. The client's read timeout runs from the start of a request to the
/// first byte of the response. So a part must be uploaded within
/// `artifacts.request_timeout_seconds`: with the default of 30 s, a worker needs 280 KB/s for each
/// of the [`FILES_AT_ONCE`] concurrent files. S3 takes at most 10,000 parts, so the limit is 78 GiB
/// per file.
const PART: usize = 8 << 20;
const CHUNK: usize = 256 << 10;
/// The number of files of one attempt that are uploaded concurrently. A semaphore limits the files
/// of all attempts together.
const FILES_AT_ONCE: usize = 4;

/// The result of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploaded {
    /// All files that can be stored are stored, and the attempt is final.
    Stored {
        /// The number of files that should be in the bucket and are not. Hidden files do not count.
        left_out: usize,
    },
    /// The attempt was already final, with files that differ from those in the folder.
    Differs,
    /// The folder does not exist, or not any more.
    Gone,
}

/// Uploads an attempt, or finds that it is already uploaded.
pub(super) async fn upload(
    bucket: &Bucket,
    results: &Arc<Path>,
    key: &AttemptKey,
    about: &About,
    files: &Semaphore,
) -> Result<Uploaded, ArtifactError> {
    let Some((dir, walk)) = look(results, key).await? else { return Ok(Uploaded::Gone) };
    let mode = match bucket.read_manifest(key).await? {
        Some(manifest) if manifest.is_of(about) => return Ok(compare(&manifest, &walk)),
        Some(manifest) => {
            warn!(attempt = %bucket.attempt(key), earlier.node = manifest.node, "replacing the files of an attempt that the database does not know: a backup was restored that is older than it");
            PutMode::Overwrite
        }
        None => PutMode::Create,
    };
    let dir = Arc::new(dir);
    let uploads =
        futures_util::stream::iter(walk.files.clone()).map(|file| put_file(bucket, key, Arc::clone(&dir), file, files));
    let tried: Vec<Option<ManifestFile>> = uploads.buffer_unordered(FILES_AT_ONCE).try_collect().await?;
    let found = tried.len();
    let stored: Vec<ManifestFile> = tried.into_iter().flatten().collect();
    let unreadable = found - stored.len();
    if unreadable > 0 && look(results, key).await?.is_none() {
        // The files are unreadable because the scan is being deleted. The attempt must not become
        // final now.
        return Ok(Uploaded::Gone);
    }
    let left_out = walk.left_out + walk.beyond + unreadable;
    let manifest = Manifest::new(about, stored, left_out + walk.hidden);
    let text = serde_json::to_vec(&manifest).map_err(|error| ArtifactError::Broken(error.into()))?;
    let attributes = Attributes::from_iter([(Attribute::ContentType, "application/json")]);
    let options = PutOptions { mode, attributes, ..PutOptions::default() };
    match bucket.store.put_opts(&bucket.manifest(key), text.into(), options).await {
        Ok(_) => {}
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            // Another uploader created the manifest first, or the response to an earlier request
            // was lost.
            let winner = bucket.read_manifest(key).await?;
            if winner.as_ref() != Some(&manifest) {
                return Ok(winner.map_or(Uploaded::Differs, |winner| compare(&winner, &walk)));
            }
        }
        Err(error) => return Err(error.into()),
    }
    // The live tail is redundant now. A failure to delete it is harmless, because nothing reads it
    // any more.
    let _ = bucket.store.delete(&bucket.live_tail(key)).await;
    Ok(Uploaded::Stored { left_out })
}

fn compare(manifest: &Manifest, walk: &Walk) -> Uploaded {
    if manifest.covers(walk) { Uploaded::Stored { left_out: walk.left_out + walk.beyond } } else { Uploaded::Differs }
}

async fn look(results: &Arc<Path>, key: &AttemptKey) -> Result<Option<(AttemptDir, Walk)>, ArtifactError> {
    let (results, key) = (Arc::clone(results), key.clone());
    let found = blocking(move || {
        let dir = AttemptDir::open(&results, &key)?;
        let walk = dir.walk(REACH);
        Ok((dir, walk))
    });
    match found.await {
        Ok(found) => Ok(Some(found)),
        Err(ArtifactError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The reason why a file was not uploaded.
enum PutError {
    /// The file cannot be read. Other files are not affected.
    File(io::Error),
    /// The bucket rejects the file or does not respond.
    Bucket(ArtifactError),
}

/// Uploads one file. Returns `None` if the file cannot be read: it is left out, so that one
/// unreadable file does not block all others of the attempt.
async fn put_file(
    bucket: &Bucket,
    key: &AttemptKey,
    dir: Arc<AttemptDir>,
    found: Artifact,
    files: &Semaphore,
) -> Result<Option<ManifestFile>, ArtifactError> {
    let _permit = files.acquire().await.map_err(|closed| ArtifactError::Unavailable(closed.into()))?;
    match put_readable(bucket, key, dir, &found).await {
        Ok((size, digest)) => {
            Ok(Some(ManifestFile { path: found.path, size, modified: found.modified, sha256: hex::encode(digest) }))
        }
        Err(PutError::File(error)) if is_passing(&error) => Err(ArtifactError::Unavailable(error.into())),
        Err(PutError::File(error)) => {
            warn!(attempt = %bucket.attempt(key), file = ?found.path, error = &error as &dyn std::error::Error, "a file cannot be read and is not stored in the bucket");
            Ok(None)
        }
        Err(PutError::Bucket(error)) => Err(error),
    }
}

/// Uploads a file; returns its size and SHA-256.
async fn put_readable(
    bucket: &Bucket,
    key: &AttemptKey,
    dir: Arc<AttemptDir>,
    found: &Artifact,
) -> Result<(u64, Vec<u8>), PutError> {
    let refused = |refused: ArtifactError| PutError::File(io::Error::other(refused));
    let location = bucket.file(key, ArtifactPath::parse(&found.path).map_err(refused)?);
    let path = found.path.clone();
    let opened =
        tokio::task::spawn_blocking(move || dir.file(ArtifactPath::parse(&path).map_err(io::Error::other)?)).await;
    let (file, _) = opened.map_err(io::Error::from).and_then(|opened| opened).map_err(PutError::File)?;
    // As a download, so that a browser with a direct link to the bucket does not run any content.
    let kind =
        [(Attribute::ContentType, content_kind(&found.path).media_type), (Attribute::ContentDisposition, "attachment")];
    let writer = BufWriter::with_capacity(Arc::clone(&bucket.store), location, PART)
        .with_max_concurrency(1)
        .with_attributes(Attributes::from_iter(kind));
    copy(tokio::fs::File::from_std(file), writer).await
}

/// Copies the file to the end; returns the size and SHA-256 of the copied bytes.
async fn copy(mut file: tokio::fs::File, mut writer: BufWriter) -> Result<(u64, Vec<u8>), PutError> {
    let mut digest = Sha256::new();
    let mut size = 0;
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await;
        let put = match read {
            Ok(0) => break,
            Ok(_) => {
                size += chunk.len() as u64;
                digest.update(&chunk);
                writer.put(chunk.freeze()).await.map_err(|error| PutError::Bucket(error.into()))
            }
            Err(error) => Err(PutError::File(error)),
        };
        if let Err(error) = put {
            // Uploaded parts use storage until they are aborted. If the abort fails, the bucket's
            // lifecycle rule for incomplete uploads removes them.
            let _ = writer.abort().await;
            return Err(error);
        }
    }
    writer.shutdown().await.map_err(|error| PutError::Bucket(ArtifactError::Unavailable(error.into())))?;
    Ok((size, digest.finalize().to_vec()))
}
