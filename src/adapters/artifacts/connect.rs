//! Connects to an S3-compatible bucket.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::Bucket;

/// The connect timeout.
const CONNECT: Duration = Duration::from_secs(5);

/// The bucket and the way to reach it. Fields that are `None` come from the standard `AWS_*`
/// environment variables.
#[derive(Clone)]
pub struct BucketSettings {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix of every key; may be empty.
    pub prefix: String,
    /// The URL of the service if it is not AWS: `https://host:port`.
    pub endpoint: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The access key id of the credentials.
    pub access_key_id: Option<String>,
    /// The secret access key of the credentials.
    pub secret_access_key: Option<String>,
    /// True if an endpoint without TLS is allowed.
    pub allow_http: bool,
    /// True if the bucket's name is in the path of a URL, false if it is in the host name.
    pub path_style: bool,
    /// The read timeout: the longest time without data from the service within a request.
    pub timeout: Duration,
    /// The maximum number of retries of a request.
    pub retries: usize,
}

impl fmt::Debug for BucketSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketSettings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// The settings do not describe a usable bucket.
#[derive(Debug, thiserror::Error)]
#[error("failed to use the bucket s3://{bucket}")]
pub struct ConnectError {
    bucket: String,
    source: object_store::Error,
}

impl Bucket {
    /// Creates a bucket from settings. Sends no request to the service.
    ///
    /// # Errors
    /// The settings are contradictory or incomplete.
    pub fn connect(settings: &BucketSettings) -> Result<Self, ConnectError> {
        // The reqwest client needs a TLS provider even for plain HTTP. An error means that a
        // provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // There is no timeout for a complete request: the transfer of a large file may take as long
        // as it needs while data flows.
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout_disabled()
            .with_read_timeout(settings.timeout);
        let backoff =
            BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
        let retry =
            RetryConfig { backoff, max_retries: settings.retries, retry_timeout: settings.timeout.saturating_mul(2) };
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(client)
            .with_retry(retry)
            .with_bucket_name(&settings.bucket)
            .with_virtual_hosted_style_request(!settings.path_style);
        for (key, value) in [
            (AmazonS3ConfigKey::Region, &settings.region),
            (AmazonS3ConfigKey::AccessKeyId, &settings.access_key_id),
            (AmazonS3ConfigKey::SecretAccessKey, &settings.secret_access_key),
        ] {
            if let Some(value) = value {
                builder = builder.with_config(key, value);
            }
        }
        if let Some(endpoint) = &settings.endpoint {
            // The S3-specific key overrides both environment variables of an endpoint.
            builder = builder.with_config(
                AmazonS3ConfigKey::S3Endpoint,
                endpoint_of(endpoint, &settings.bucket, settings.path_style),
            );
        }
        if settings.allow_http {
            builder = builder.with_allow_http(true);
        }
        let store = builder.build().map_err(|source| ConnectError { bucket: settings.bucket.clone(), source })?;
        Ok(Self::new(Arc::new(store), format!("s3://{}", settings.bucket), &settings.prefix))
    }
}

/// The endpoint in the client's form. If the bucket is not in the path, it is part of the host
/// name.
fn endpoint_of(endpoint: &str, bucket: &str, path_style: bool) -> String {
    let endpoint = endpoint.trim_end_matches('/');
    match endpoint.split_once("://") {
        Some((scheme, rest)) if !path_style => format!("{scheme}://{bucket}.{rest}"),
        _ => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_name_is_in_the_path_or_in_the_host() {
        assert_eq!(endpoint_of("http://127.0.0.1:9000/", "scans", true), "http://127.0.0.1:9000");
        assert_eq!(endpoint_of("https://s3.example.com", "scans", false), "https://scans.s3.example.com");
    }

    #[test]
    fn debug_output_has_no_credentials() {
        let settings = BucketSettings {
            bucket: "scans".into(),
            prefix: String::new(),
            endpoint: Some("http://127.0.0.1:1".into()),
            region: None,
            access_key_id: Some("AKIAHUNTER2".into()),
            secret_access_key: Some("hunter2".into()),
            allow_http: true,
            path_style: true,
            timeout: Duration::from_secs(1),
            retries: 0,
        };
        let bucket = Bucket::connect(&settings).unwrap();
        let shown = format!("{settings:?} {bucket:?}").to_lowercase();
        assert!(!shown.contains("hunter2") && shown.contains("s3://scans"), "{shown}");
        let half = Bucket::connect(&BucketSettings { access_key_id: None, ..settings });
        assert!(
            std::env::var_os("AWS_ACCESS_KEY_ID").is_some() || half.is_err(),
            "half of the credentials is an error"
        );
    }
}
