//! The chain of the audit log: the port [`AuditChain`].
//!
//! - **An entry waits** as a row of `audit_open`, whose keys are in the order of time. So the
//!   entries without a seal are found without an index, as those of the outbox are.
//! - **A seal** is one row with the list of its entries, and with the signature. Its transaction
//!   also writes `audit_head`, so that of two seals that meet one is added.
//! - **Entries of earlier versions**, and those of a restored backup, get their rows in
//!   `audit_open` by a walk over the log. Nothing is sealed before the walk is complete, so that
//!   they are sealed in the order of time.
//! - **What somebody changed in the tables** must not hide itself: a seal that cannot be read is
//!   missing, a list that cannot be read is empty, and each row is found by its key and not by its
//!   columns. The check of the chain then names it.

use std::collections::{HashMap, HashSet};
use std::ops::Bound;

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{
    ChainDigest, ChainHead, DomainEvent, EntryKey, LooseEntry, LoosePage, Principal, Pruning, Seal, SealContent,
    SealKey, SealedEntry, SealingState, StoredEntry, Unsealed,
};
use kastrel_actors::policy::audit_chain::seal_digest;
use kastrel_actors::ports::{AuditChain, StoreError};
use surrealdb::types::{Array, Number, RecordId, RecordIdKey, RecordIdKeyRange, SurrealValue, Value};

use super::calls::{self, Nothing};
use super::event::{EventRows, write_event};
use super::row::{self, at_most};
use super::store::SurrealStore;

/// The number to which waiting entries are counted.
const MOST_COUNTED: usize = 10_000;
/// About how many entries are read at once.
const PAGE_ENTRIES: u64 = 2000;
/// How many entries of earlier versions one step of the walk visits, and how many steps one call
/// makes.
const WALK_STEP: usize = 500;
const WALK_STEPS: usize = 20;
/// How many rows with a key of another kind are reported.
const MOST_FOREIGN: usize = 20;

#[derive(Debug, Clone, SurrealValue)]
struct Limit {
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Page {
    range: RecordId,
    limit: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct Keys {
    keys: Vec<RecordId>,
}

#[derive(Debug, SurrealValue)]
struct HeadRow {
    number: i64,
    digest: String,
    pruned: i64,
    walked: bool,
    walk_at: Option<i64>,
    walk_nonce: Option<String>,
}

#[derive(Debug, SurrealValue)]
struct OpenRow {
    at: i64,
    nonce: String,
}

#[derive(Debug, SurrealValue)]
struct Waiting {
    head: Option<HeadRow>,
    open: Vec<OpenRow>,
}

/// A row of the audit log.
#[derive(Debug, SurrealValue)]
struct EntryRow {
    /// Its key, which somebody may have chosen freely.
    parts: Value,
    at: i64,
    principal: String,
    scan: Option<i64>,
    event: String,
    seal: Option<i64>,
}

#[derive(Debug, SurrealValue)]
struct Entries {
    rows: Vec<EntryRow>,
    pruned: Option<i64>,
}

#[derive(Debug, SurrealValue)]
struct SealRow {
    number: i64,
    at: i64,
    amount: i64,
    newest: i64,
    list: String,
    previous: String,
    signer: String,
    signature: String,
    entries: Option<String>,
    pruned_at: Option<i64>,
}

/// Rows are decoded separately, so that one of another shape does not hide the others.
#[derive(Debug, SurrealValue)]
struct SealRows {
    rows: Vec<Value>,
}

#[derive(Debug, Clone, SurrealValue)]
struct SealArguments {
    key: RecordId,
    number: i64,
    expected: i64,
    at: i64,
    amount: i64,
    newest: i64,
    list: String,
    previous: String,
    digest: String,
    signer: String,
    signature: String,
    entries: String,
    sealed: Vec<RecordId>,
    open: Vec<RecordId>,
}

#[derive(Debug, SurrealValue)]
struct Added {
    added: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct KeyArguments {
    key: RecordId,
    public: String,
    since: i64,
}

#[derive(Debug, SurrealValue)]
struct KeyRow {
    public: String,
    since: i64,
}

#[derive(Debug, SurrealValue)]
struct KeyRows {
    rows: Vec<KeyRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct PruneArguments {
    pruned: i64,
    through: i64,
    pruned_at: i64,
    seals: Vec<RecordId>,
    entries: Vec<RecordId>,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct PrunedUpto {
    pruned: Option<i64>,
}

#[derive(Debug, SurrealValue)]
struct State {
    seals: Option<i64>,
    waiting: i64,
    oldest: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct OpenArguments {
    key: RecordId,
    at: i64,
    nonce: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct WalkArguments {
    from_at: Option<i64>,
    from_nonce: Option<String>,
    to_at: Option<i64>,
    to_nonce: Option<String>,
    is_complete: bool,
    rows: Vec<OpenArguments>,
}

macro_rules! entry_columns {
    () => {
        "record::id(id) AS parts, at, principal, scan, event, seal"
    };
}

macro_rules! seal_columns {
    () => {
        "record::id(id) AS number, at, amount, newest, list, previous, signer, signature, entries, pruned_at"
    };
}

const WAITING: &str = "
    RETURN {
        head: (SELECT number, digest, pruned, walked, walk_at, walk_nonce FROM ONLY audit_head:chain),
        open: (SELECT at, nonce FROM audit_open LIMIT $limit),
    };";

/// Also reads which seals are pruned, because their entries may be deleted between two reads.
const ENTRIES: &str = concat!(
    "RETURN { rows: (SELECT ",
    entry_columns!(),
    " FROM $keys), pruned: (SELECT VALUE pruned FROM ONLY audit_head:chain) };"
);

const LOG: &str = concat!("RETURN { rows: (SELECT ", entry_columns!(), " FROM $range LIMIT $limit), pruned: NONE };");

const SEALS: &str = concat!("RETURN { rows: (SELECT ", seal_columns!(), " FROM $range LIMIT $limit) };");

const THESE_SEALS: &str = concat!("RETURN { rows: (SELECT ", seal_columns!(), " FROM $keys) };");

const OPEN: &str = "RETURN { head: NONE, open: (SELECT at, nonce FROM $keys) };";

/// A call after a lost response finds its own seal.
const ADD_SEAL: &str = "
    BEGIN;
    IF (SELECT VALUE since FROM ONLY restore:running FOR UPDATE) != NONE { THROW 'the database is being restored' };
    LET $head = SELECT number, digest FROM ONLY audit_head:chain FOR UPDATE;
    IF $head.number = $expected AND $head.digest = $previous {
        UPDATE audit_head:chain SET number = $number, digest = $digest RETURN NONE;
        CREATE $key SET
            at = $at, amount = $amount, newest = $newest, list = $list, previous = $previous, digest = $digest, signer = $signer,
            signature = $signature, entries = $entries
            RETURN NONE;
        UPDATE $sealed SET seal = $number RETURN NONE;
        DELETE $open RETURN NONE;
    };
    RETURN { added: (SELECT VALUE digest FROM ONLY $key) = $digest };
    COMMIT;";

const ADD_KEY: &str = "
    BEGIN;
    IF (SELECT VALUE public FROM ONLY $key) = NONE {
        CREATE $key SET public = $public, since = $since RETURN NONE;
    };
    COMMIT;";

const SEAL_KEYS: &str = "RETURN { rows: (SELECT public, since FROM audit_key) };";

/// A call after a lost response finds the seals pruned.
const PRUNE: &str = concat!(
    "
    BEGIN;
    IF (SELECT VALUE since FROM ONLY restore:running FOR UPDATE) != NONE { THROW 'the database is being restored' };
    IF (SELECT VALUE pruned FROM ONLY audit_head:chain FOR UPDATE) = $pruned {
        UPDATE audit_head:chain SET pruned = $through RETURN NONE;
        UPDATE $seals SET entries = NONE, pruned_at = $pruned_at RETURN NONE;
        DELETE $entries RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { pruned: (SELECT VALUE pruned FROM ONLY audit_head:chain) };
    COMMIT;"
);

const STATE: &str = "
    LET $open = SELECT VALUE at FROM audit_open LIMIT $limit;
    RETURN { seals: (SELECT VALUE number FROM ONLY audit_head:chain), waiting: array::len($open), oldest: $open[0] };";

/// Makes rows of entries wait, and moves the position of the walk, unless another process has moved
/// it.
const WALK: &str = "
    BEGIN;
    IF (SELECT VALUE since FROM ONLY restore:running FOR UPDATE) != NONE { THROW 'the database is being restored' };
    LET $head = SELECT walked, walk_at, walk_nonce FROM ONLY audit_head:chain FOR UPDATE;
    IF $head.walked = false AND $head.walk_at = $from_at AND $head.walk_nonce = $from_nonce {
        FOR $one IN $rows { UPSERT $one.key SET at = $one.at, nonce = $one.nonce RETURN NONE; };
        UPDATE audit_head:chain SET walk_at = $to_at, walk_nonce = $to_nonce, walked = $is_complete RETURN NONE;
    };
    COMMIT;";

fn array_key(parts: Vec<Value>) -> RecordIdKey {
    RecordIdKey::Array(Array::from(parts))
}

/// The key of an entry in the audit log, newest first.
fn log_key(at: i64, nonce: &str) -> RecordId {
    RecordId::new("audit", array_key(vec![at.saturating_neg().into_value(), nonce.to_owned().into_value()]))
}

/// The key of an entry that waits, oldest first.
fn open_key(at: i64, nonce: &str) -> RecordId {
    RecordId::new("audit_open", array_key(vec![at.into_value(), nonce.to_owned().into_value()]))
}

fn seal_key(number: u64) -> Result<RecordId, StoreError> {
    Ok(RecordId::new("audit_seal", row::signed(number)?))
}

fn seals_after(number: u64) -> RecordId {
    let first = i64::try_from(number).unwrap_or(i64::MAX).saturating_add(1);
    RecordId::new("audit_seal", RecordIdKeyRange::from(first..=i64::MAX))
}

/// The entries of the log that follow this one, newest first.
fn log_after(after: Option<(i64, &str)>) -> RecordId {
    let first = match after {
        None => array_key(vec![i64::MIN.into_value()]),
        // All nonces have the same length, so no other entry lies between.
        Some((at, nonce)) => array_key(vec![at.saturating_neg().into_value(), format!("{nonce}!").into_value()]),
    };
    RecordId::new("audit", RecordIdKeyRange::from(first..array_key(vec![i64::MAX.into_value()])))
}

impl EntryRow {
    /// The time and the nonce of the key, if it is one of an entry.
    fn key(&self) -> Option<(i64, &str)> {
        let Value::Array(parts) = &self.parts else { return None };
        match &parts[..] {
            [Value::Number(Number::Int(negated)), Value::String(nonce)] => {
                Some((negated.saturating_neg(), nonce.as_str()))
            }
            _ => None,
        }
    }

    fn into_entry(self) -> Result<StoredEntry, StoreError> {
        let nonce = self.key().map_or_else(|| "in a row with a foreign key".into(), |(_, nonce)| nonce.to_owned());
        Ok(StoredEntry {
            key: EntryKey { at: row::timestamp(self.at)?, nonce },
            principal: self.principal,
            scan: self.scan,
            event: self.event,
        })
    }
}

impl SealRow {
    fn into_seal(self) -> Result<Seal, StoreError> {
        Ok(Seal {
            number: row::unsigned(self.number)?,
            at: row::timestamp(self.at)?,
            count: row::unsigned(self.amount)?,
            newest: row::timestamp(self.newest)?,
            entries: self.list.parse().map_err(row::corrupt)?,
            previous: self.previous.parse().map_err(row::corrupt)?,
            key: self.signer.parse().map_err(row::corrupt)?,
            signature: self.signature.parse().map_err(row::corrupt)?,
            pruned_at: self.pruned_at.map(row::timestamp).transpose()?,
        })
    }
}

/// An entry of a list: the time, the nonce and the digest.
type Listed = (i64, String, ChainDigest);

/// Reads the list of a seal.
fn listed(text: Option<&str>) -> Vec<Listed> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Reads seals and their lists. A row that cannot be read is left out.
fn readable_seals(rows: Vec<Value>) -> Vec<(Seal, Vec<Listed>)> {
    let read = |value: Value| {
        let mut seal = SealRow::from_value(value).map_err(|error| row::corrupt(error.to_string()))?;
        let entries = seal.entries.take();
        Ok::<_, StoreError>((seal.into_seal()?, listed(entries.as_deref())))
    };
    let log = |error: &StoreError| {
        tracing::error!(error = error as &dyn std::error::Error, "a seal of the audit log cannot be read");
    };
    rows.into_iter().filter_map(|value| read(value).inspect_err(log).ok()).collect()
}

impl SurrealStore {
    async fn waiting_entries(&self, limit: usize) -> Result<(HeadRow, Vec<OpenRow>), StoreError> {
        let Waiting { head, open } =
            calls::call_again(&self.inner.db, WAITING, Limit { limit: at_most(limit) }).await?;
        Ok((head.ok_or_else(|| row::corrupt("the audit log has no end of its chain"))?, open))
    }

    async fn log_entries(&self, keys: Vec<RecordId>) -> Result<(HashMap<(i64, String), EntryRow>, i64), StoreError> {
        let Entries { rows, pruned } = calls::call_again(&self.inner.db, ENTRIES, Keys { keys }).await?;
        let by_key = |row: EntryRow| row.key().map(|(at, nonce)| (at, nonce.to_owned())).map(|key| (key, row));
        Ok((rows.into_iter().filter_map(by_key).collect(), pruned.unwrap_or_default()))
    }

    async fn log_page(&self, range: RecordId, limit: usize) -> Result<Vec<EntryRow>, StoreError> {
        let page = Page { range, limit: at_most(limit) };
        let Entries { rows, .. } = calls::call_again(&self.inner.db, LOG, page).await?;
        Ok(rows)
    }

    async fn seal_rows(&self, after: u64, limit: usize) -> Result<Vec<(Seal, Vec<Listed>)>, StoreError> {
        let page = Page { range: seals_after(after), limit: at_most(limit) };
        let SealRows { rows } = calls::call_again(&self.inner.db, SEALS, page).await?;
        Ok(readable_seals(rows))
    }

    /// Makes the entries of earlier versions wait, from the position in `head` on. Returns true at
    /// the end of the log.
    async fn walk(&self, mut head: HeadRow) -> Result<bool, StoreError> {
        for _ in 0..WALK_STEPS {
            let (from_at, from_nonce) = (head.walk_at, head.walk_nonce.clone());
            let after = from_at.zip(from_nonce.as_deref());
            let found = self.log_page(log_after(after), WALK_STEP).await?;
            let is_complete = found.len() < WALK_STEP;
            let last = found.iter().rev().find_map(|row| row.key().map(|(at, nonce)| (at, nonce.to_owned())));
            let waits = found.iter().filter(|row| row.seal.is_none()).filter_map(EntryRow::key);
            let rows = waits.map(|(at, nonce)| OpenArguments { key: open_key(at, nonce), at, nonce: nonce.to_owned() });
            let (to_at, to_nonce) = match last {
                Some((at, nonce)) => (Some(at), Some(nonce)),
                None => (from_at, from_nonce.clone()),
            };
            let rows = rows.collect();
            let arguments = WalkArguments { from_at, from_nonce, to_at, to_nonce, is_complete, rows };
            calls::execute_again(&self.inner.db, WALK, arguments).await?;
            (head, _) = self.waiting_entries(1).await?;
            if head.walked {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns which of these entries wait for their seal.
    async fn waiting_among(&self, keys: Vec<RecordId>) -> Result<HashSet<(i64, String)>, StoreError> {
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let Waiting { open, .. } = calls::call_again(&self.inner.db, OPEN, Keys { keys }).await?;
        Ok(open.into_iter().map(|row| (row.at, row.nonce)).collect())
    }

    /// Reads the rows again that have no seal and did not wait afterwards: most of them were sealed
    /// between the two reads.
    async fn read_sealed_meanwhile(
        &self,
        rows: &mut Vec<EntryRow>,
        open: &HashSet<(i64, String)>,
    ) -> Result<(), StoreError> {
        let is_doubtful = |row: &EntryRow| {
            row.seal.is_none() && row.key().is_some_and(|(at, nonce)| !open.contains(&(at, nonce.to_owned())))
        };
        let keys = rows.iter().filter(|row| is_doubtful(row)).filter_map(EntryRow::key);
        let keys: Vec<RecordId> = keys.map(|(at, nonce)| log_key(at, nonce)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let (mut found, _) = self.log_entries(keys).await?;
        rows.retain_mut(|row| {
            if !is_doubtful(row) {
                return true;
            }
            let key = row.key().map(|(at, nonce)| (at, nonce.to_owned()));
            let Some(again) = key.and_then(|key| found.remove(&key)) else { return false };
            *row = again;
            true
        });
        Ok(())
    }

    /// Returns the entries that these seals list.
    async fn listed_by(&self, seals: HashSet<u64>) -> Result<HashSet<(u64, i64, String)>, StoreError> {
        let keys = seals.into_iter().map(seal_key).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Ok(HashSet::new());
        }
        let SealRows { rows } = calls::call_again(&self.inner.db, THESE_SEALS, Keys { keys }).await?;
        let of = |(seal, entries): (Seal, Vec<Listed>)| {
            entries.into_iter().map(move |(at, nonce, _)| (seal.number, at, nonce))
        };
        Ok(readable_seals(rows).into_iter().flat_map(of).collect())
    }

    /// Returns rows of the audit log that have a key of another kind than entries have.
    async fn foreign_rows(&self) -> Result<Vec<EntryRow>, StoreError> {
        let (first, last) = (array_key(vec![i64::MIN.into_value()]), array_key(vec![i64::MAX.into_value()]));
        let before = RecordIdKeyRange { start: Bound::Unbounded, end: Bound::Excluded(first) };
        let after = RecordIdKeyRange { start: Bound::Included(last), end: Bound::Unbounded };
        let mut found = self.log_page(RecordId::new("audit", before), MOST_FOREIGN).await?;
        found.extend(self.log_page(RecordId::new("audit", after), MOST_FOREIGN).await?);
        Ok(found)
    }
}

#[async_trait]
impl AuditChain for SurrealStore {
    async fn unsealed(&self, limit: usize) -> Result<Unsealed, StoreError> {
        let (mut head, mut open) = self.waiting_entries(limit).await?;
        if !head.walked {
            if self.walk(head).await? {
                (head, open) = self.waiting_entries(limit).await?;
            } else {
                (head, open) = (self.waiting_entries(1).await?.0, Vec::new());
            }
        }
        let chain = ChainHead {
            number: row::unsigned(head.number)?,
            digest: head.digest.parse().map_err(row::corrupt)?,
            pruned: row::unsigned(head.pruned)?,
        };
        if open.is_empty() {
            return Ok(Unsealed { head: chain, entries: Vec::new() });
        }
        let keys = open.iter().map(|row| log_key(row.at, &row.nonce)).collect();
        let (mut rows, _) = self.log_entries(keys).await?;
        let mut entries = Vec::with_capacity(open.len());
        for OpenRow { at, nonce } in open {
            match rows.remove(&(at, nonce.clone())) {
                Some(row) => entries.push(row.into_entry()?),
                // It is sealed as it should be, so that the check of the chain misses it.
                None => entries.push(StoredEntry {
                    key: EntryKey { at: row::timestamp(at)?, nonce },
                    principal: String::new(),
                    scan: None,
                    event: String::new(),
                }),
            }
        }
        Ok(Unsealed { head: chain, entries })
    }

    async fn add_seal(&self, seal: &Seal, entries: &[SealedEntry]) -> Result<bool, StoreError> {
        let list: Vec<Listed> = entries
            .iter()
            .map(|entry| (row::nanoseconds(entry.key.at), entry.key.nonce.clone(), entry.digest))
            .collect();
        let number = row::signed(seal.number)?;
        let arguments = SealArguments {
            key: seal_key(seal.number)?,
            number,
            expected: number - 1,
            at: row::nanoseconds(seal.at),
            amount: row::signed(seal.count)?,
            newest: row::nanoseconds(seal.newest),
            list: seal.entries.to_string(),
            previous: seal.previous.to_string(),
            digest: seal_digest(seal).to_string(),
            signer: seal.key.to_string(),
            signature: seal.signature.to_string(),
            entries: serde_json::to_string(&list).map_err(row::corrupt)?,
            sealed: list.iter().map(|(at, nonce, _)| log_key(*at, nonce)).collect(),
            open: list.iter().map(|(at, nonce, _)| open_key(*at, nonce)).collect(),
        };
        let Added { added } = calls::call_again(&self.inner.db, ADD_SEAL, arguments).await?;
        Ok(added)
    }

    async fn seals(&self, after: u64, limit: usize) -> Result<Vec<SealContent>, StoreError> {
        let mut repeated_at = 0;
        loop {
            let mut seals = self.seal_rows(after, limit).await?;
            let mut entries = 0;
            let fitting = seals.iter().take_while(|(seal, _)| {
                let is_first = entries == 0;
                entries += seal.count;
                is_first || entries <= PAGE_ENTRIES
            });
            let fitting = fitting.count();
            seals.truncate(fitting);
            let keys = seals.iter().flat_map(|(_, list)| list.iter().map(|(at, nonce, _)| log_key(*at, nonce)));
            let keys: Vec<RecordId> = keys.collect();
            let (mut rows, pruned) = if keys.is_empty() { Default::default() } else { self.log_entries(keys).await? };
            let pruned = row::unsigned(pruned)?;
            // Their entries were deleted between the two reads. The number is compared, so that one
            // that somebody has set does not keep this going.
            let is_late = seals.iter().any(|(seal, list)| seal.number <= pruned && !list.is_empty());
            if is_late && pruned > repeated_at {
                repeated_at = pruned;
                continue;
            }
            let mut found = Vec::with_capacity(seals.len());
            for (seal, list) in seals {
                let mut entries = Vec::with_capacity(list.len());
                for (at, nonce, digest) in list {
                    let row = rows.remove(&(at, nonce.clone()));
                    let key = EntryKey { at: row::timestamp(at)?, nonce };
                    entries.push((SealedEntry { key, digest }, row.map(EntryRow::into_entry).transpose()?));
                }
                found.push(SealContent { seal, entries });
            }
            return Ok(found);
        }
    }

    async fn loose_entries(&self, upto: u64, after: Option<EntryKey>, limit: usize) -> Result<LoosePage, StoreError> {
        let after = after.map(|key| (row::nanoseconds(key.at), key.nonce));
        let range = log_after(after.as_ref().map(|(at, nonce)| (*at, nonce.as_str())));
        let mut rows = self.log_page(range, limit).await?;
        let is_last = rows.len() < limit;
        let next = rows.iter().rev().find_map(EntryRow::key).filter(|_| !is_last);
        let next =
            next.map(|(at, nonce)| Ok::<_, StoreError>(EntryKey { at: row::timestamp(at)?, nonce: nonce.into() }));
        let next = next.transpose()?;
        if next.is_none() {
            rows.extend(self.foreign_rows().await?);
        }
        let is_walked = self.waiting_entries(1).await?.0.walked;
        let open = rows.iter().filter(|row| row.seal.is_none()).filter_map(EntryRow::key);
        let open = self.waiting_among(open.map(|(at, nonce)| open_key(at, nonce)).collect()).await?;
        if is_walked {
            self.read_sealed_meanwhile(&mut rows, &open).await?;
        }
        let seal_of = |row: &EntryRow| row.seal.and_then(|seal| u64::try_from(seal).ok());
        let listed = self.listed_by(rows.iter().filter_map(seal_of).collect()).await?;
        let unlisted = rows.iter().filter(|row| {
            let key = row.key().zip(seal_of(row));
            key.is_some_and(|((at, nonce), seal)| !listed.contains(&(seal, at, nonce.to_owned())))
        });
        let unlisted: Vec<RecordId> =
            unlisted.filter_map(EntryRow::key).map(|(at, nonce)| log_key(at, nonce)).collect();
        let (still, _) = if unlisted.is_empty() { Default::default() } else { self.log_entries(unlisted).await? };
        let mut entries = Vec::new();
        for row in rows {
            let key = row.key().map(|(at, nonce)| (at, nonce.to_owned()));
            let waits = match (seal_of(&row), key) {
                (_, None) => false,
                (Some(seal), Some((at, nonce))) => {
                    let is_listed = listed.contains(&(seal, at, nonce.clone()));
                    if is_listed && seal <= upto {
                        continue;
                    }
                    // It was deleted because of its age, with the list of its seal, between the
                    // reads.
                    if !is_listed && !still.contains_key(&(at, nonce.clone())) {
                        continue;
                    }
                    // A listed one was sealed after the last seal that the caller knows. Otherwise
                    // somebody has set the number, or removed the seal.
                    is_listed
                }
                (None, Some(key)) => !is_walked || open.contains(&key),
            };
            entries.push(LooseEntry { entry: row.into_entry()?, waits });
        }
        Ok(LoosePage { entries, next })
    }

    async fn add_seal_key(&self, key: &SealKey, at: Timestamp) -> Result<(), StoreError> {
        let arguments = KeyArguments {
            key: row::text_key("audit_key", &key.id().to_string()),
            public: key.to_string(),
            since: row::nanoseconds(at),
        };
        Ok(calls::execute_again(&self.inner.db, ADD_KEY, arguments).await?)
    }

    async fn seal_keys(&self) -> Result<Vec<SealKey>, StoreError> {
        let KeyRows { mut rows } = calls::call_again(&self.inner.db, SEAL_KEYS, Nothing {}).await?;
        rows.sort_by(|one, other| (one.since, &one.public).cmp(&(other.since, &other.public)));
        // A key that cannot be read is one that the check of the chain does not know.
        Ok(rows.iter().filter_map(|row| row.public.parse().ok()).collect())
    }

    async fn oldest_seals(&self, limit: usize) -> Result<Vec<Seal>, StoreError> {
        let pruned = row::unsigned(self.waiting_entries(1).await?.0.pruned)?;
        Ok(self.seal_rows(pruned, limit).await?.into_iter().map(|(seal, _)| seal).collect())
    }

    async fn prune_entries(&self, pruning: &Pruning) -> Result<bool, StoreError> {
        let Pruning { after, through, count, at } = *pruning;
        let limit = usize::try_from(through.saturating_sub(after)).unwrap_or(usize::MAX);
        let mut seals = self.seal_rows(after, limit).await?;
        seals.retain(|(seal, _)| seal.number <= through);
        let entries = seals.iter().flat_map(|(_, list)| list.iter().map(|(at, nonce, _)| log_key(*at, nonce)));
        let entries = entries.collect();
        let event = DomainEvent::AuditPruned { through, entries: count };
        let arguments = PruneArguments {
            pruned: row::signed(after)?,
            through: row::signed(through)?,
            pruned_at: row::nanoseconds(at),
            seals: seals.iter().map(|(seal, _)| seal_key(seal.number)).collect::<Result<_, _>>()?,
            entries,
            event: EventRows::new(&event, &Principal::System, None, self.inner.offset())?,
        };
        let PrunedUpto { pruned } = calls::call_again(&self.inner.db, PRUNE, arguments).await?;
        Ok(pruned == Some(row::signed(through)?))
    }

    async fn sealing_state(&self) -> Result<SealingState, StoreError> {
        let limit = Limit { limit: at_most(MOST_COUNTED) };
        let State { seals, waiting, oldest } = calls::call_again(&self.inner.db, STATE, limit).await?;
        Ok(SealingState {
            seals: row::unsigned(seals.unwrap_or_default())?,
            waiting: row::unsigned(waiting)?,
            oldest: oldest.map(row::timestamp).transpose()?,
        })
    }
}
