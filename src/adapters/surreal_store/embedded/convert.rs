//! Converts the database of an earlier version from SurrealKV to RocksDB. It copies every key and
//! value unchanged, reads the copy again and compares it, and keeps the old folder under another
//! name.
//!
//! The order of the keys follows `surrealdb_core::kvs::copy`: the storage version comes last, so
//! that an engine refuses an incomplete copy.

use std::io;
use std::path::{Path, PathBuf};

use surrealdb_cnf::ConfigMap;
use surrealdb_core::kvs::copy::{KeyRole, key_role};
use surrealdb_kvs::api::Transactable;
use surrealdb_kvs::{Key, KeyRange, TransactionType};
use surrealdb_kvs_rocksdb::Datastore as RocksDb;
use surrealdb_kvs_surrealkv::Datastore as SurrealKv;
use tokio::time::Instant;

use super::convert_plan::{Folders, Step, next};
use super::folder::{self, DATABASE_FOLDER};
use super::options::{OPTIONS, SURREALKV};
use crate::adapters::surreal_store::folders::{free_name, sync};

const COPYING: &str = "database.copying";
const CONVERTED: &str = "database.converted";
/// The name under which the old folder is kept.
const KEPT: &str = "database.surrealkv";

/// The maximum number and total bytes of keys that are copied or compared at a time, because a
/// transaction is held in memory.
const CHUNK: u32 = 500;
const CHUNK_BYTES: usize = 4 << 20;

/// The reason why a conversion failed. The old database is unchanged.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum ConvertError {
    #[error("failed to {doing} {}", path.display())]
    Folder { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("failed to {doing}")]
    Engine { doing: &'static str, source: surrealdb_kvs::Error },
    #[error("the copy differs from the database after {equal} keys")]
    Differs { equal: u64 },
}

type Result<T> = std::result::Result<T, ConvertError>;

fn engine(doing: &'static str) -> impl Fn(surrealdb_kvs::Error) -> ConvertError {
    move |source| ConvertError::Engine { doing, source }
}

/// Converts the data folder to RocksDB. Does nothing if it has no SurrealKV database.
pub(super) async fn run(data: &Path) -> Result<()> {
    let folder = |name: &str| data.join(name);
    loop {
        let look = |doing, path: &Path, source| ConvertError::Folder { doing, path: path.to_owned(), source };
        let database = folder(DATABASE_FOLDER);
        let folders = Folders {
            database: folder::content(&database).map_err(|source| look("look into", &database, source))?,
            copying: folder(COPYING).exists(),
            converted: folder(CONVERTED).exists(),
        };
        match next(folders) {
            Step::Done => return Ok(()),
            Step::RemoveCopy => remove(&folder(COPYING))?,
            Step::Copy => {
                let start = Instant::now();
                tracing::info!("converting the database from SurrealKV to RocksDB; this happens once");
                let keys = copy(&database, &folder(COPYING)).await?;
                compare(&database, &folder(COPYING)).await?;
                rename(data, &folder(COPYING), &folder(CONVERTED))?;
                tracing::info!(
                    keys,
                    duration_ms = start.elapsed().as_millis(),
                    "copied the database and compared the copy"
                );
            }
            Step::KeepOld => {
                let kept = free_name(data, KEPT);
                rename(data, &folder(DATABASE_FOLDER), &kept)?;
                tracing::info!("the database of the earlier version is kept in {}", kept.display());
            }
            Step::PutInPlace => rename(data, &folder(CONVERTED), &folder(DATABASE_FOLDER))?,
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(|source| ConvertError::Folder {
        doing: "remove the incomplete copy",
        path: folder.to_owned(),
        source,
    })
}

/// Renames within the data folder, and waits until the new names are on disk.
fn rename(data: &Path, from: &Path, to: &Path) -> Result<()> {
    let renamed = std::fs::rename(from, to).and_then(|()| sync(data));
    renamed.map_err(|source| ConvertError::Folder { doing: "rename", path: from.to_owned(), source })
}

async fn source(folder: &Path) -> Result<SurrealKv> {
    let config =
        SURREALKV.iter().fold(ConfigMap::empty().with_key_value("datastore_sync", "every"), |map, (key, value)| {
            map.with_key_value(*key, *value)
        });
    SurrealKv::new(&folder.to_string_lossy(), config.load())
        .await
        .map_err(engine("open the database of the earlier version"))
}

async fn target(folder: &Path) -> Result<RocksDb> {
    let config = OPTIONS.iter().fold(ConfigMap::empty(), |map, (key, value)| map.with_key_value(*key, *value));
    // The copy is flushed and read again before it is used, so its commits need not be synced.
    let config = config.with_key_value("datastore_sync", "never");
    RocksDb::new(&folder.to_string_lossy(), config.load()).await.map_err(engine("open the copy"))
}

async fn copy(from: &Path, to: &Path) -> Result<u64> {
    let (from, to) = (source(from).await?, target(to).await?);
    let reader = from.transaction(TransactionType::Read).await.map_err(engine("read the database"))?;
    let mut pairs = Pairs::new(reader.as_ref());
    let mut version = None;
    let mut copied = 0;
    loop {
        let chunk = pairs.chunk().await?;
        if chunk.is_empty() {
            break;
        }
        copied += chunk.len() as u64;
        let (last, data): (Vec<_>, Vec<_>) = chunk.into_iter().partition(|(key, _)| key_role(key) == KeyRole::Version);
        version = last.into_iter().next().or(version);
        write(&to, data).await?;
    }
    write(&to, version.into_iter().collect()).await?;
    drop(pairs);
    drop(reader);
    to.shutdown().await.map_err(engine("close the copy"))?;
    from.shutdown().await.map_err(engine("close the database of the earlier version"))?;
    Ok(copied)
}

async fn write(to: &RocksDb, pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Result<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let failed = engine("write the copy");
    let transaction = to.transaction(TransactionType::Write).await.map_err(&failed)?;
    for (key, value) in pairs {
        transaction.set(Key::from(key), value).await.map_err(&failed)?;
    }
    transaction.commit().await.map_err(failed)
}

/// Compares the databases. Opens both again, so that the data comes from the disk.
async fn compare(from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (source(from).await?, target(to).await?);
    let old = from.transaction(TransactionType::Read).await.map_err(engine("read the database"))?;
    let new = to.transaction(TransactionType::Read).await.map_err(engine("read the copy"))?;
    let (mut olds, mut news) = (Pairs::new(old.as_ref()), Pairs::new(new.as_ref()));
    let mut equal = 0;
    loop {
        let (one, other) = (olds.next().await?, news.next().await?);
        match (one, other) {
            (None, None) => break,
            (one, other) if one == other => equal += 1,
            _ => return Err(ConvertError::Differs { equal }),
        }
    }
    drop((olds, news));
    drop((old, new));
    to.shutdown().await.map_err(engine("close the copy"))?;
    from.shutdown().await.map_err(engine("close the database of the earlier version"))?;
    Ok(())
}

/// Iterates over all keys and values that a copy contains, in order.
struct Pairs<'a> {
    transaction: &'a dyn Transactable,
    range: KeyRange<'static>,
    buffer: std::vec::IntoIter<(Vec<u8>, Vec<u8>)>,
    limit: u32,
}

impl<'a> Pairs<'a> {
    fn new(transaction: &'a dyn Transactable) -> Self {
        let range = KeyRange { start: Key::from(&[0x00_u8][..]), end: Key::from(&[0xff_u8][..]) };
        Self { transaction, range, buffer: Vec::new().into_iter(), limit: CHUNK }
    }

    /// The next pairs; empty at the end.
    async fn chunk(&mut self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        loop {
            let found =
                self.transaction.scan(self.range.clone(), self.limit, 0, None).await.map_err(engine("read keys"))?;
            let Some((last, _)) = found.values.last() else { return Ok(Vec::new()) };
            self.range.start = Key::from(last.clone()).next();
            // Large documents are adjacent, so the size of this chunk predicts how many pairs the
            // next one can hold.
            let each = (usize::try_from(found.value_bytes).unwrap_or(usize::MAX) / found.values.len()).max(1);
            self.limit = u32::try_from(CHUNK_BYTES / each).unwrap_or(CHUNK).clamp(1, CHUNK);
            let carried: Vec<_> =
                found.values.into_iter().filter(|(key, _)| key_role(key) != KeyRole::Skipped).collect();
            if !carried.is_empty() {
                return Ok(carried);
            }
        }
    }

    async fn next(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if self.buffer.len() == 0 {
            self.buffer = self.chunk().await?.into_iter();
        }
        Ok(self.buffer.next())
    }
}
