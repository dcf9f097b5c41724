//! Uploads the end of a running attempt's log to the bucket at a fixed interval, so that every web
//! node can show it, also after the worker died.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use object_store::{Attribute, Attributes, ObjectStore, PutOptions};
use tokio::time::MissedTickBehavior;
use tracing::debug;

use super::dir::{self, AttemptDir};
use super::folder::{blocking, tail};
use super::layout::Bucket;
use super::path::ArtifactPath;
use super::{ArtifactError, AttemptKey};
use crate::ports::LOG_NAME;

/// The number of bytes of the log to upload.
pub(super) const TAIL_BYTES: u64 = 64 * 1024;

/// The size and time of the log at the last upload; an unchanged log is not uploaded again.
type Look = (u64, Option<Timestamp>);

/// Uploads the log until the future is dropped. If the bucket does not respond, only the live view
/// of the log is missing.
pub(super) async fn keep(bucket: Bucket, results: std::sync::Arc<Path>, key: AttemptKey, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Look> = None;
    loop {
        ticks.tick().await;
        match put_if_changed(&bucket, &results, &key, last).await {
            Ok(look) => last = Some(look),
            Err(error) => {
                debug!(attempt = %key.scan, error = &error as &dyn std::error::Error, "could not store the end of a running scan's log");
            }
        }
    }
}

async fn put_if_changed(
    bucket: &Bucket,
    results: &std::sync::Arc<Path>,
    key: &AttemptKey,
    last: Option<Look>,
) -> Result<Look, ArtifactError> {
    let (results, of) = (std::sync::Arc::clone(results), key.clone());
    let (look, bytes) = blocking(move || {
        let folder = AttemptDir::open(&results, &of)?;
        let (_, metadata) = folder.file(ArtifactPath::parse(LOG_NAME).map_err(io::Error::other)?)?;
        let look = (metadata.len(), dir::modified(&metadata));
        let bytes = if last == Some(look) { None } else { Some(tail(&folder, TAIL_BYTES)?.bytes) };
        Ok((look, bytes))
    })
    .await?;
    if let Some(bytes) = bytes {
        let attributes = Attributes::from_iter([(Attribute::ContentType, "text/plain; charset=utf-8")]);
        bucket
            .store
            .put_opts(&bucket.live_tail(key), bytes.into(), PutOptions { attributes, ..PutOptions::default() })
            .await?;
    }
    Ok(look)
}
