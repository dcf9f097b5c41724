//! Why the file with the tokens of `kastrel login` is not used.

use std::io;
use std::path::PathBuf;

/// Why the credentials file is not used. No text has a token.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There is no place for it.
    #[error("there is no folder for stored tokens: set HOME or XDG_CONFIG_HOME")]
    NoFolder,
    /// It cannot be read or written.
    #[error("failed to use {}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Other users may read the file, or write to its folder.
    #[error("{} is open to other users (mode {mode:04o}): {fix}", .path.display())]
    Open {
        /// The file or folder.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// What to do.
        fix: String,
    },
    /// It is not TOML, or an entry has another form.
    #[error("{} cannot be read: {what}; correct it, or delete it and log in again", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}
