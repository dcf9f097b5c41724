//! From the store into a file.

use jiff::Timestamp;
use kastrel_actors::model::ScanId;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::error::BackupError;
use super::format::{Header, Line, Summary, Tally, line};
use crate::adapters::surreal_store::SurrealStore;

/// About so many bytes are read from the database at once.
const PAGE_BYTES: u64 = 2 << 20;
const MAX_PAGE: u64 = 500;
const FIRST_PAGE: u64 = 16;

/// Writes all that `store` keeps, and flushes it. `now` is written into the header.
///
/// # Errors
/// The store or the file failed. What was written then is not a whole backup, and [`read()`](super::read()) refuses it.
pub async fn write(store: &SurrealStore, mut into: impl AsyncWrite + Unpin, now: Timestamp) -> Result<Summary, BackupError> {
    let stock = store.stock().await.map_err(BackupError::Export)?;
    let last = stock.last.0;
    let header = Header::new(stock, now);
    let mut tally = Tally::default();
    put(&mut into, &mut tally, &line(&header)?).await?;
    let (mut scans, mut first, mut page) = (0, 1, FIRST_PAGE);
    while first <= last {
        let end = last.min(first + page - 1);
        let before = tally.bytes;
        for record in store.export(ScanId(first), ScanId(end)).await.map_err(BackupError::Export)? {
            put(&mut into, &mut tally, &line(&Line::Scan(Box::new(record)))?).await?;
            scans += 1;
        }
        page = next_page(page, tally.bytes - before);
        first = end + 1;
    }
    let footer = line(&Line::End(tally.footer(scans)))?;
    into.write_all(&footer).await.map_err(BackupError::Write)?;
    into.flush().await.map_err(BackupError::Write)?;
    Ok(header.summary(scans, tally.bytes + footer.len() as u64))
}

async fn put(into: &mut (impl AsyncWrite + Unpin), tally: &mut Tally, line: &[u8]) -> Result<(), BackupError> {
    tally.add(line);
    into.write_all(line).await.map_err(BackupError::Write)
}

/// How many rows to read next, after `rows` had so many bytes; never more than twice as many, because the next ones may be larger.
fn next_page(rows: u64, bytes: u64) -> u64 {
    let fitting = (PAGE_BYTES * rows).checked_div(bytes).unwrap_or(MAX_PAGE);
    fitting.clamp(1, MAX_PAGE.min(rows * 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_size_of_their_rows() {
        for (rows, bytes, expected) in
            [(16, 0, 32), (16, 16 * 1000, 32), (400, 400 * 1000, 500), (500, 500 * 100_000, 20), (500, 500 * 8_000_000, 1), (1, 8_000_000, 1), (1, 1000, 2)]
        {
            assert_eq!(next_page(rows, bytes), expected, "{rows} rows of {bytes} bytes");
        }
    }
}
