//! An S3-compatible bucket, as a reader.
//!
//! What this machine holds is read from its folder: that is where the scanner wrote it, it is
//! complete while the attempt runs, and it is there when the bucket is not. Otherwise an attempt
//! with a manifest is final, and the manifest is the list; without one there is what has arrived so
//! far, which is said to be partial.

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
use super::range::resolve;
use super::store::{FileStream, Kept, MAX_LISTED, Walked};
use super::{
    Artifact, ArtifactError, ArtifactStore, AttemptKey, ByteRange, FolderArtifacts, Listing, LogTail, OpenArtifact,
    ScanFolder,
};
use crate::adapters::kast_runner::LOG_NAME;

/// So many manifests are remembered: a report is followed by its style and pictures, and a manifest
/// never changes.
const REMEMBERED: usize = 32;
/// Of manifests with more files nothing is remembered.
const REMEMBERED_FILES: usize = 5000;
/// So many objects of an attempt that is not final are looked through for a list.
const MOST_ARRIVED: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub struct BucketArtifacts {
    bucket: Bucket,
    local: FolderArtifacts,
    remembered: Mutex<VecDeque<(AttemptKey, Arc<Manifest>)>>,
}

impl Bucket {
    /// The file that an object is; `None` for what none of ours can be.
    fn artifact(&self, key: &AttemptKey, object: &ObjectMeta) -> Option<Artifact> {
        self.path_of(key, &object.location).map(|path| Artifact { path, size: object.size, modified: written(object) })
    }

    /// The manifest of an attempt; `None`: the attempt is not final.
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
    /// Over a bucket and this machine's results folder.
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

    /// The size and time of a file that is there.
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

    /// What has arrived of an attempt that is not final.
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

    /// The last bytes of an object of a known size.
    async fn tail(&self, location: &Path, size: u64, max_bytes: u64) -> Result<LogTail, ArtifactError> {
        let skip = size.saturating_sub(max_bytes);
        let bytes =
            if size == 0 { Vec::new() } else { self.bucket.store.get_range(location, skip..size).await?.into() };
        Ok(LogTail { bytes, cut: skip > 0 })
    }
}

/// When an object was written.
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
            // As in `open`: without it, the folder may have gone between the two looks.
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
                // Its folder may have gone between the two looks, because the bucket has
                // everything.
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
                // It begins somewhere in the log unless the log is shorter.
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
        // The folder first: what is still to be uploaded comes from there.
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
