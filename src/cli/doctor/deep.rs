//! `kastrel doctor --deep`: reads every row of the database, as a backup does, and discards it.

use super::model::Rows;
use crate::cli::args::ServerArgs;
use crate::cli::backup::{Source, source, write};
use crate::cli::context::Opener;
use crate::cli::error::CliError;
use crate::config::Config;

/// Reads every row: from the server that holds the data folder, or from the database itself.
///
/// # Errors
/// Why the database could not be opened or completely read.
pub(super) async fn read(config: &Config, opener: &Opener) -> Result<Rows, String> {
    let source = source(opener, &ServerArgs::default(), config).await.map_err(|error| error.to_string())?;
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
