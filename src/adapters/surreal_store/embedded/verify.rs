//! Reads everything that a database holds, so that each block's checksum is checked.

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

/// Parts of a database that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("after {read} keys: {why}")]
pub(super) struct Unreadable {
    /// How many keys were read before.
    pub(super) read: u64,
    /// What the engine says.
    pub(super) why: String,
}

/// Reads all keys and values once, and says how many there are.
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
    // Nothing is left to do where it cannot be ended.
    let _ = transaction.cancel().await;
    Ok(read)
}
