//! `kastrel doctor --deep`: reads every row of the database, as a backup does, and keeps none of
//! them.

use kastrel_actors::model::ScanId;

use crate::cli::backup::{Source, source, write};
use crate::cli::context::Opener;
use crate::cli::error::CliError;
use crate::config::Config;

/// What reading every row brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    /// How many scans can be read.
    pub(super) scans: u64,
    /// The scans that cannot.
    pub(super) unreadable: Vec<ScanId>,
    /// How many keys the engine's files hold, rows and indexes: read as well where this process
    /// opens the files.
    pub(super) keys: Option<u64>,
}

/// Reads everything: from the server that holds the data folder, or from the database itself.
///
/// # Errors
/// Why the database could not be opened, or not be read to its end.
pub(super) async fn read(config: &Config, opener: &Opener) -> Result<Rows, String> {
    let source = source(opener, None, config).await.map_err(|error| error.to_string())?;
    let rows = read_from(&source).await;
    source.close().await;
    rows
}

async fn read_from(source: &Source) -> Result<Rows, String> {
    let keys = match source {
        Source::Server(_) => None,
        Source::Database(store) => store.read_every_key().await.map_err(|error| error.to_string())?,
    };
    let summary = write(source, tokio::io::sink()).await.map_err(|error: CliError| error.to_string())?;
    Ok(Rows { scans: summary.scans, unreadable: summary.missing, keys })
}
