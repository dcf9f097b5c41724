//! What several files of this room need: absolute paths and the sealer of secret settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kastrel_actors::ports::SecretSealer;

use super::AppError;
use crate::adapters::secret_box::SecretBox;
use crate::config::Config;

/// Returns the sealer, which encrypts and decrypts secrets with the configured key.
pub(super) fn sealer(config: &Config) -> Result<Arc<dyn SecretSealer>, AppError> {
    Ok(Arc::new(SecretBox::new(absolute(&config.secrets_key_file())?)))
}

/// Returns the absolute form of `path`, which need not exist.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, AppError> {
    std::path::absolute(path).map_err(|source| AppError::Folder { path: path.to_owned(), source })
}
