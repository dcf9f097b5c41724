//! Reads all data of a database, which verifies the checksum of each block.

use surrealdb_engine_local::Datastore;
use surrealdb_kvs::key::RawRange;
use surrealdb_kvs::{Key, TransactionType};

use super::folder::Damage;
use crate::adapters::surreal_store::error::OpenError;

impl From<Unreadable> for OpenError {
    fn from(error: Unreadable) -> Self {
        Self::Damaged(Damage::Unreadable { why: error.to_string() })
    }
}

/// How many keys are read at a time.
const CHUNK: u32 = 1_000;

/// The error for unreadable parts of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {read} keys: {why}")]
pub(super) struct Unreadable {
    /// The number of keys read before the error.
    pub(super) read: u64,
    /// The error of the engine.
    pub(super) why: String,
}

/// Reads all keys and values once, and returns the number of keys.
pub(super) async fn read_all(datastore: &Datastore) -> Result<u64, Unreadable> {
    let mut read = 0;
    let transaction = datastore
        .transaction(TransactionType::Read)
        .await
        .map_err(|error| Unreadable { read, why: error.to_string() })?;
    let mut range = RawRange::every_key();
    loop {
        let found = transaction
            .scan_raw(range, CHUNK, 0, None)
            .await
            .map_err(|error| Unreadable { read, why: error.to_string() })?;
        read += found.len() as u64;
        match found.into_iter().last() {
            Some((last, _)) => range = RawRange::every_key_after(&Key::from(last)),
            None => break,
        }
    }
    // An error has no effect: the read transaction is complete.
    let _ = transaction.cancel().await;
    Ok(read)
}
