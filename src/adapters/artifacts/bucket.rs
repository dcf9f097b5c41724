//! Reads the files of attempts from an S3-compatible bucket.
//!
//! If this machine has an attempt's folder, the store reads the folder: the scanner wrote the files
//! there, the folder is complete while the attempt runs, and it is available without the bucket.
//! Otherwise the store reads the bucket. An attempt with a manifest is final, and the manifest is
//! the list of its files. Without a manifest, the list has the files that were uploaded so far and
//! is marked as partial.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::layout::Bucket;
use super::manifest::{MAX_BYTES, Manifest, ManifestError};
use super::path::ArtifactPath;
use super::store::{Kept, MAX_LISTED};
use super::{
    Artifact, ArtifactError, ArtifactStore, AttemptKey, ByteRange, FolderArtifacts, Listing, LogTail, OpenArtifact,
    ScanFolder,
};
use crate::ports::{FileStream, LOG_NAME, Walked, resolve};

/// The number of cached manifests. A browser requests a report, then its style sheet and pictures;
/// a manifest never changes, so it can be cached.
const REMEMBERED: usize = 32;
/// Manifests with more files than this are not cached.
const REMEMBERED_FILES: usize = 5000;
/// The maximum number of objects that a list reads of an attempt that is not final.
const MOST_ARRIVED: usize = 10_000;

/// An [`ArtifactStore`] over a bucket and a local folder. See the module docs.
#[derive(Debug)]
pub struct BucketArtifacts {
    bucket: Bucket,
    local: FolderArtifacts,
    remembered: Mutex<VecDeque<(AttemptKey, Arc<Manifest>)>>,
}

impl Bucket {
    /// The file of an object. Returns `None` if the object is not a file of this attempt.
    fn artifact(&self, key: &AttemptKey, object: &ObjectMeta) -> Option<Artifact> {
        self.path_of(key, &object.location).map(|path| Artifact { path, size: object.size, modified: written(object) })
    }

    /// Reads the manifest of an attempt. Returns `None` if the attempt is not final.
    pub(super) async fn read_manifest(&self, key: &AttemptKey) -> Result<Option<Manifest>, ArtifactError> {
        let object = match self.store.get(&self.manifest(key)).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other?,
        };
        let unreadable = |error: ManifestError| ArtifactError::Broken(error.into());
        if object.meta.size > MAX_BYTES {
            return Err(unreadable(ManifestError::TooLarge(object.meta.size)));
        }
        Manifest::parse(&object.bytes().await?).map(Some).map_err(unreadable)
    }
}

impl BucketArtifacts {
    /// Creates a store over a bucket and this machine's results folder.
    #[must_use]
    pub fn new(bucket: Bucket, local: FolderArtifacts) -> Self {
        Self { bucket, local, remembered: Mutex::default() }
    }

    async fn manifest(&self, key: &AttemptKey) -> Result<Option<Arc<Manifest>>, ArtifactError> {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find(|(one, _)| one == key)
            .map(|(_, manifest)| Arc::clone(manifest));
        if remembered.is_some() {
            return Ok(remembered);
        }
        let manifest = self.bucket.read_manifest(key).await?.map(Arc::new);
        if let Some(manifest) = manifest.as_ref().filter(|manifest| manifest.files.len() <= REMEMBERED_FILES) {
            let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            remembered.truncate(REMEMBERED - 1);
            remembered.push_front((key.clone(), Arc::clone(manifest)));
        }
        Ok(manifest)
    }

    /// Returns the location, size and time of a file. Fails with `NotFound` if it does not exist.
    async fn about(
        &self,
        key: &AttemptKey,
        path: ArtifactPath<'_>,
    ) -> Result<(Path, u64, Option<Timestamp>), ArtifactError> {
        let location = self.bucket.file(key, path);
        let (size, modified) = match self.manifest(key).await? {
            Some(manifest) => {
                manifest.file(path.as_str()).map(|file| (file.size, file.modified)).ok_or(ArtifactError::NotFound)?
            }
            None => {
                let meta = self.bucket.store.head(&location).await?;
                (meta.size, written(&meta))
            }
        };
        Ok((location, size, modified))
    }

    /// Lists the files that were uploaded so far of an attempt that is not final.
    async fn arrived(&self, key: &AttemptKey) -> Result<Listing, ArtifactError> {
        let everything = self.bucket.attempt(key);
        let mut objects = self.bucket.store.list(Some(&everything)).take(MOST_ARRIVED);
        let (mut any, mut kept) = (false, Kept::new(MAX_LISTED));
        while let Some(object) = objects.try_next().await? {
            any = true;
            if let Some(file) = self.bucket.artifact(key, &object)
                && kept.push(file).is_break()
            {
                break;
            }
        }
        let (files, total) = kept.finish();
        if any { Ok(Listing { files, total, partial: true }) } else { Err(ArtifactError::NotFound) }
    }

    /// Reads the last bytes of an object of a known size.
    async fn tail(&self, location: &Path, size: u64, max_bytes: u64) -> Result<LogTail, ArtifactError> {
        let skip = size.saturating_sub(max_bytes);
        let bytes =
            if size == 0 { Vec::new() } else { self.bucket.store.get_range(location, skip..size).await?.into() };
        Ok(LogTail { bytes, cut: skip > 0 })
    }
}

/// The time at which an object was written.
fn written(meta: &ObjectMeta) -> Option<Timestamp> {
    Timestamp::from_second(meta.last_modified.timestamp()).ok()
}

#[async_trait]
impl ArtifactStore for BucketArtifacts {
    async fn list(&self, attempt: &AttemptKey) -> Result<Listing, ArtifactError> {
        if let Ok(listing) = self.local.list(attempt).await {
            return Ok(listing);
        }
        let Some(manifest) = self.manifest(attempt).await? else { return self.arrived(attempt).await };
        let mut kept = Kept::new(MAX_LISTED);
        for file in &manifest.files {
            if let Some(file) = file.visible()
                && kept.push(file).is_break()
            {
                break;
            }
        }
        let (files, total) = kept.finish();
        Ok(Listing { files, total, partial: false })
    }

    async fn walk(&self, attempt: &AttemptKey) -> Result<FileStream, ArtifactError> {
        match self.local.walk(attempt).await {
            Err(ArtifactError::NotFound) => {}
            other => return other,
        }
        if let Some(manifest) = self.manifest(attempt).await? {
            let count = manifest.files.len();
            return Ok(futures_util::stream::iter(
                (0..count).filter_map(move |at| manifest.files[at].visible()).map(|file| Ok(Walked::File(file))),
            )
            .boxed());
        }
        let (bucket, key) = (self.bucket.clone(), attempt.clone());
        let mut objects = bucket.store.list(Some(&bucket.attempt(attempt))).peekable();
        if Pin::new(&mut objects).peek().await.is_none() {
            return Err(ArtifactError::NotFound);
        }
        let file = move |object: Result<ObjectMeta, object_store::Error>| {
            let found =
                object.map(|object| bucket.artifact(&key, &object).map(Walked::File)).map_err(ArtifactError::from);
            std::future::ready(found.transpose())
        };
        Ok(objects.filter_map(file).boxed())
    }

    async fn has(&self, attempt: &AttemptKey, path: &str) -> Result<bool, ArtifactError> {
        let Ok(parsed) = ArtifactPath::parse(path) else { return Ok(false) };
        if self.local.holds(attempt).await {
            let has = self.local.has(attempt, path).await?;
            // As in `open`: if the file is missing, the folder may have been removed between the
            // two checks.
            if has || self.local.holds(attempt).await {
                return Ok(has);
            }
        }
        match self.about(attempt, parsed).await {
            Ok(_) => Ok(true),
            Err(ArtifactError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn open(
        &self,
        attempt: &AttemptKey,
        path: &str,
        range: Option<ByteRange>,
    ) -> Result<OpenArtifact, ArtifactError> {
        let parsed = ArtifactPath::parse(path)?;
        if self.local.holds(attempt).await {
            match self.local.open(attempt, path, range).await {
                // The uploader may have removed the folder between the two checks, because the
                // bucket has all of its files.
                Err(ArtifactError::NotFound) if !self.local.holds(attempt).await => {}
                other => return other,
            }
        }
        let (location, size, modified) = self.about(attempt, parsed).await?;
        let range = resolve(range, size)?;
        if range.is_empty() {
            return Ok(OpenArtifact { size, range, modified, bytes: futures_util::stream::empty().boxed() });
        }
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
        let object = self.bucket.store.get_opts(&location, options).await?;
        Ok(OpenArtifact { size, range, modified, bytes: object.into_stream().map_err(io::Error::from).boxed() })
    }

    async fn log_tail(&self, attempt: &AttemptKey, max_bytes: u64) -> Result<LogTail, ArtifactError> {
        if let Ok(tail) = self.local.log_tail(attempt, max_bytes).await {
            return Ok(tail);
        }
        let path = ArtifactPath::parse(LOG_NAME)?;
        match self.about(attempt, path).await {
            Ok((location, size, _)) => self.tail(&location, size, max_bytes).await,
            Err(ArtifactError::NotFound) => {
                let location = self.bucket.live_tail(attempt);
                let size = self.bucket.store.head(&location).await?.size;
                let tail = self.tail(&location, size, max_bytes).await?;
                // The live tail is the end of the log. It is cut unless the log is shorter than it.
                Ok(LogTail { cut: tail.cut || size >= super::live::TAIL_BYTES, ..tail })
            }
            Err(error) => Err(error),
        }
    }

    async fn locate(&self, attempt: &AttemptKey, path: &str) -> Result<String, ArtifactError> {
        if let Ok(local) = self.local.locate(attempt, path).await {
            return Ok(local);
        }
        let (location, ..) = self.about(attempt, ArtifactPath::parse(path)?).await?;
        Ok(self.bucket.url(&location))
    }

    async fn delete(&self, scan: &ScanFolder) -> Result<(), ArtifactError> {
        // Deletes the folder first, because pending uploads read from it.
        self.local.delete(scan).await?;
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).retain(|(key, _)| key.scan != *scan);
        let found = self.bucket.store.list(Some(&self.bucket.scan(scan))).map_ok(|object| object.location).boxed();
        let mut deleted = self.bucket.store.delete_stream(found);
        loop {
            match deleted.try_next().await {
                Ok(Some(_)) | Err(object_store::Error::NotFound { .. }) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
