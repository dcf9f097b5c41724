//! How the types are read from a server of another version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Deserializes a field of an older or newer server: an unexpected value becomes the default. Only
/// the fields of kast-web's shape must be valid.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}
