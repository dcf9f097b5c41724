//! The binary format of the record: two slots, written alternately, each with a checksum, so that a
//! torn write leaves the other slot intact.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The size of a slot, in bytes. The file is created in its full size, so that a full disk does not
/// prevent an update.
pub(super) const SLOT: usize = 4096;
/// The size of the file, in bytes.
pub(super) const SIZE: usize = 2 * SLOT;

const MAGIC: &[u8; 8] = b"KSTLHW01";
const CHECKSUM: usize = 32;
/// Magic, sequence number, length of the text.
const HEADER: usize = 8 + 8 + 4;
/// The state of the database at the time of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct HighWater {
    /// The database that the record describes.
    pub(in super::super) installation: String,
    /// The mark that was committed before the record was written.
    pub(in super::super) mark: u64,
    /// The last assigned scan id.
    pub(in super::super) last_scan: u64,
    /// The number of scans.
    pub(in super::super) scans: u64,
    /// The time of the record, by this machine's clock.
    pub(in super::super) written_at: Timestamp,
    /// True if the record was written at a clean shutdown. Nothing was committed afterwards, so the
    /// numbers are exact.
    #[serde(default)]
    pub(in super::super) closed: bool,
    /// Batches whose callers got an error although the commit may be on disk. No other batch is
    /// sent before they are withdrawn, so there is at most one per writer: one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in super::super) refused: Vec<RefusedBatch>,
}

/// A batch of submissions whose caller got an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super::super) struct RefusedBatch {
    /// The key of the process's row in `submitter`.
    pub(in super::super::super) submitter: String,
    /// The number of the batch in that row.
    pub(in super::super::super) batch: i64,
    /// The number of submissions in the batch.
    pub(in super::super::super) amount: i64,
}

impl HighWater {
    /// Adds a refused batch. A batch stays until it is withdrawn.
    pub(in super::super) fn refuse(&mut self, batch: RefusedBatch) {
        if !self.refused.contains(&batch) {
            self.refused.push(batch);
        }
    }
}

/// The content of a record file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Two empty slots: the file was created and never written.
    Empty,
    /// The newer readable slot, and its sequence number.
    Record(HighWater, u64),
    /// Neither slot is readable, and at least one was written.
    Damaged,
}

/// Encodes `record` as a slot; `None` if it is too large.
pub(super) fn encode(record: &HighWater, sequence: u64) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(record).ok()?;
    if HEADER + text.len() + CHECKSUM > SLOT {
        return None;
    }
    let mut bytes = Vec::with_capacity(SLOT);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(&text);
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes.resize(SLOT, 0);
    Some(bytes)
}

/// Decodes a file.
pub(super) fn decode(bytes: &[u8]) -> Content {
    let newest = bytes.chunks(SLOT).filter_map(decode_slot).max_by_key(|(_, sequence)| *sequence);
    match newest {
        Some((record, sequence)) => Content::Record(record, sequence),
        None if bytes.len() == SIZE && bytes.iter().all(|byte| *byte == 0) => Content::Empty,
        None => Content::Damaged,
    }
}

fn decode_slot(slot: &[u8]) -> Option<(HighWater, u64)> {
    let (header, rest) = slot.split_at_checked(HEADER)?;
    let sequence = u64::from_le_bytes(header.get(8..16)?.try_into().ok()?);
    let length = usize::try_from(u32::from_le_bytes(header.get(16..20)?.try_into().ok()?)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    let checksum = Sha256::digest(slot.get(..HEADER + length)?);
    if !header.starts_with(MAGIC) || rest.get(..CHECKSUM)? != checksum.as_slice() {
        return None;
    }
    Some((serde_json::from_slice(text).ok()?, sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(mark: u64) -> HighWater {
        HighWater { installation: "7d0c".into(), mark, last_scan: 60, scans: 58, ..HighWater::default() }
    }

    fn file(first: &[u8], second: &[u8]) -> Vec<u8> {
        [first, second].concat()
    }

    #[test]
    fn the_newer_slot_wins() {
        let (old, new) = (encode(&record(1), 8).unwrap(), encode(&record(2), 9).unwrap());
        assert_eq!(decode(&file(&old, &new)), Content::Record(record(2), 9));
        assert_eq!(decode(&file(&new, &old)), Content::Record(record(2), 9));
        assert_eq!(decode(&file(&old, &[0; SLOT])), Content::Record(record(1), 8));
        assert_eq!(decode(&[0; SIZE]), Content::Empty);
    }

    #[test]
    fn a_flipped_bit_anywhere_leaves_the_other_slot() {
        let (old, new) = (encode(&record(1), 8).unwrap(), encode(&record(2), 9).unwrap());
        let used = HEADER + serde_json::to_vec(&record(2)).unwrap().len() + CHECKSUM;
        for position in 0..used {
            let mut spoilt = new.clone();
            spoilt[position] ^= 0x10;
            assert_eq!(decode(&file(&old, &spoilt)), Content::Record(record(1), 8), "at {position}");
            assert_eq!(decode(&file(&spoilt, &spoilt)), Content::Damaged, "at {position}");
        }
    }

    #[test]
    fn a_truncated_file_is_damaged_unless_a_slot_is_complete() {
        let (old, new) = (encode(&record(1), 8).unwrap(), encode(&record(2), 9).unwrap());
        let whole = file(&old, &new);
        for length in 0..SIZE {
            let expected = if length < HEADER + serde_json::to_vec(&record(1)).unwrap().len() + CHECKSUM {
                Content::Damaged
            } else if length < SLOT + HEADER + serde_json::to_vec(&record(2)).unwrap().len() + CHECKSUM {
                Content::Record(record(1), 8)
            } else {
                Content::Record(record(2), 9)
            };
            assert_eq!(decode(&whole[..length]), expected, "{length} bytes");
        }
    }

    #[test]
    fn refused_batches_are_kept_and_many_fit_into_a_slot() {
        let mut full = HighWater {
            installation: uuid::Uuid::max().to_string(),
            last_scan: u64::MAX,
            scans: u64::MAX,
            ..record(u64::MAX)
        };
        let batch =
            |batch| RefusedBatch { submitter: uuid::Uuid::max().to_string(), batch: i64::MAX - batch, amount: 64 };
        for number in 0..32 {
            full.refuse(batch(number));
            full.refuse(batch(0));
        }
        assert_eq!(full.refused, (0..32).map(batch).collect::<Vec<_>>());
        let bytes = encode(&full, u64::MAX).unwrap();
        assert_eq!(decode(&file(&bytes, &[0; SLOT])), Content::Record(full, u64::MAX));
    }
}
