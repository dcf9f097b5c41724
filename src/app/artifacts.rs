//! Creates the artifact store for the scans' files, as configured.

use std::path::Path;
use std::sync::Arc;

use kastrel_actors::ports::Clock;

use super::AppError;
use crate::adapters::artifacts::{
    Bucket, BucketArtifacts, BucketSettings, BucketUploader, FolderArtifacts, UploadRules,
};
use crate::config::Config;
use crate::ports::ArtifactStore;

/// Returns the store that reads the files of scans.
///
/// # Errors
/// The settings of the bucket are invalid.
pub fn artifacts(config: &Config, results_dir: &Path) -> Result<Arc<dyn ArtifactStore>, AppError> {
    let folder = FolderArtifacts::new(results_dir);
    Ok(match bucket(config)? {
        Some(bucket) => Arc::new(BucketArtifacts::new(bucket, folder)),
        None => Arc::new(folder),
    })
}

/// Returns the uploader, which copies the files of this node's scans to the bucket. `None` if the
/// files stay in the results folder.
pub(super) fn uploader(
    config: &Config,
    results_dir: &Path,
    node: &str,
    clock: Arc<dyn Clock>,
) -> Result<Option<BucketUploader>, AppError> {
    let artifacts = &config.artifacts;
    let rules = UploadRules {
        live_every: artifacts.live_log_seconds,
        wait: artifacts.upload_wait_seconds,
        keep_local: std::time::Duration::from_secs(u64::from(artifacts.keep_local_hours) * 3600),
    };
    Ok(bucket(config)?.map(|bucket| BucketUploader::new(bucket, results_dir, node, clock, rules)))
}

fn bucket(config: &Config) -> Result<Option<Bucket>, AppError> {
    let artifacts = &config.artifacts;
    let Some(url) = &artifacts.url else { return Ok(None) };
    let settings = BucketSettings {
        bucket: url.bucket().to_owned(),
        prefix: url.prefix().to_owned(),
        endpoint: artifacts.endpoint.as_ref().map(ToString::to_string),
        region: artifacts.region.clone(),
        access_key_id: artifacts.access_key_id.as_ref().map(|secret| secret.expose().to_owned()),
        secret_access_key: artifacts.secret_access_key.as_ref().map(|secret| secret.expose().to_owned()),
        allow_http: artifacts.allow_http,
        path_style: artifacts.path_style,
        timeout: artifacts.request_timeout_seconds,
        retries: artifacts.retries,
    };
    Ok(Some(Bucket::connect(&settings)?))
}
