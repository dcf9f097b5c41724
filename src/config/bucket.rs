//! The URLs of buckets, and the endpoints of their services.

use std::fmt;

use toml::Value;
use url::Url;

use super::values::Setting;

/// `s3://bucket` or `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    bucket: String,
    prefix: String,
}

impl BucketUrl {
    /// Returns the name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the prefix of every key, without slashes around it; may be empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Setting for BucketUrl {
    const EXPECTED: &'static str = "a bucket such as s3://bucket or s3://bucket/prefix";

    fn from_text(text: &str) -> Option<Self> {
        let (bucket, prefix) = text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
        let prefix = prefix.trim_end_matches('/');
        // The rules of S3 for bucket names, as far as the length and these characters: the name
        // becomes a part of host names and paths.
        let is_name = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b));
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._=".contains(&b))
                && part != "."
                && part != ".."
        };
        let is_prefix = prefix.is_empty() || (prefix.len() <= 200 && prefix.split('/').all(is_part));
        (is_name && is_prefix).then(|| Self { bucket: bucket.into(), prefix: prefix.into() })
    }

    fn to_toml(&self) -> Value {
        match self.prefix.as_str() {
            "" => format!("s3://{}", self.bucket).into(),
            prefix => format!("s3://{}/{prefix}", self.bucket).into(),
        }
    }
}

/// The address of a service: scheme, host and port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(String);

impl Endpoint {
    /// Returns whether the connection uses TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for Endpoint {
    const EXPECTED: &'static str =
        "an http or https address without path, user or query, such as https://minio.example.com:9000";

    fn from_text(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        bare.then(|| Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    fn to_toml(&self) -> Value {
        self.0.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_read_back_as_they_are_written() {
        for (text, bucket, prefix) in [
            ("s3://scans", "scans", ""),
            ("s3://my.scans-1/", "my.scans-1", ""),
            ("s3://scans/team/a/", "scans", "team/a"),
        ] {
            let url = BucketUrl::from_text(text).unwrap();
            assert_eq!((url.bucket(), url.prefix()), (bucket, prefix));
            assert_eq!(BucketUrl::from_toml(&url.to_toml()), Some(url));
        }
        for bad in [
            "",
            "scans",
            "s3:",
            "s3://",
            "s3://ab",
            "s3://UPPER",
            "s3://a b c",
            "s3://scans//x",
            "s3://scans/../x",
            "s3://user:pw@scans",
            "https://scans",
            "s3://scans/a?b",
        ] {
            assert_eq!(BucketUrl::from_text(bad), None, "{bad}");
        }
    }

    #[test]
    fn endpoint_is_an_address_without_a_path() {
        let endpoint = Endpoint::from_text("https://minio.example.com:9000/").unwrap();
        assert_eq!((endpoint.to_string().as_str(), endpoint.is_encrypted()), ("https://minio.example.com:9000", true));
        assert!(!Endpoint::from_text("http://127.0.0.1:9000").unwrap().is_encrypted());
        for bad in ["", "minio:9000", "ftp://minio", "http://u:p@minio", "http://minio/bucket", "http://minio?x=1"] {
            assert_eq!(Endpoint::from_text(bad), None, "{bad}");
        }
    }
}
