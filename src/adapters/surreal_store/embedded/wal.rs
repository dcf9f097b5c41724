//! Checks a write-ahead log of RocksDB before the engine reads it.
//!
//! The engine recovers a log up to its first unreadable record, ignores the rest silently, and
//! deletes the log. That is right for the end of a log that a crash tore, and wrong for a log with
//! damage in the middle. The format is defined in `db/log_format.h` of RocksDB: blocks of 32 KiB,
//! which contain records with a masked CRC-32C, a length and a type.

/// The state of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum LogState {
    /// Every record is readable.
    Whole,
    /// The last record is incomplete, as after a crash. It was never acknowledged.
    Torn,
    /// Readable records follow an unreadable one.
    Damaged {
        /// The offset of the unreadable record, in bytes.
        at: usize,
    },
}

const BLOCK: usize = 32 * 1024;
/// The checksum, the length and the type.
const HEADER: usize = 4 + 2 + 1;
/// The log number, in records of a recycled log file.
const LOG_NUMBER: usize = 4;

/// Checks all records of a log.
pub(super) fn check(log: &[u8]) -> LogState {
    let mut at = 0;
    while at < log.len() {
        let left_in_block = BLOCK - at % BLOCK;
        if left_in_block < HEADER {
            // The end of a block that is too small for a record header is filled with zeros.
            at += left_in_block;
            continue;
        }
        match record_at(log, at) {
            Some(length) => at += length,
            None if readable_after(log, at) => return LogState::Damaged { at },
            None => return LogState::Torn,
        }
    }
    LogState::Whole
}

/// The length of the record at `at` including its header, if it is complete and its checksum
/// matches.
fn record_at(log: &[u8], at: usize) -> Option<usize> {
    let header = log.get(at..at + HEADER)?;
    let stored = u32::from_le_bytes(header.get(..4)?.try_into().ok()?);
    let length = usize::from(u16::from_le_bytes(header.get(4..6)?.try_into().ok()?));
    let extra = match header.get(6)? {
        1..=4 | 9 | 10 | 130 => 0,
        5..=8 | 11 | 131 => LOG_NUMBER,
        _ => return None,
    };
    let end = at + HEADER + extra + length;
    if end > (at / BLOCK + 1) * BLOCK {
        return None;
    }
    // The checksum covers the type, the log number and the content.
    let content = log.get(at + 6..end)?;
    (masked(crc32c(content)) == stored).then_some(end - at)
}

/// True if any record is readable after `at`: at any offset in the rest of its block, because the
/// length itself may be damaged, and at the start of each later block.
fn readable_after(log: &[u8], at: usize) -> bool {
    let next_block = (at / BLOCK + 1) * BLOCK;
    let in_block = (at + 1..next_block.min(log.len())).any(|place| record_at(log, place).is_some());
    in_block || (next_block..log.len()).step_by(BLOCK).any(|place| record_at(log, place).is_some())
}

fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes)).unwrap_or_default()
}

/// Masks a checksum like `crc32c::Mask` in RocksDB, because a checksum over data that contains
/// checksums is weak.
const fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &mut Vec<u8>, content: &[u8]) {
        let left = BLOCK - log.len() % BLOCK;
        if left < HEADER + content.len() {
            log.resize(log.len() + left, 0);
        }
        let mut covered = vec![1];
        covered.extend_from_slice(content);
        log.extend_from_slice(&masked(crc32c(&covered)).to_le_bytes());
        log.extend_from_slice(&u16::try_from(content.len()).unwrap().to_le_bytes());
        log.extend_from_slice(&covered);
    }

    /// Three records in the first block, of which the third leaves 3 bytes free, and one in the
    /// second block.
    fn log() -> (Vec<u8>, [usize; 4]) {
        let mut log = Vec::new();
        let mut begins = [0; 4];
        for (begin, length) in begins.iter_mut().zip([100, 2_000, BLOCK - 3 - 3 * HEADER - 2_100, 50]) {
            push(&mut log, &vec![7; length]);
            *begin = log.len() - length - HEADER;
        }
        assert_eq!(begins[3], BLOCK);
        (log, begins)
    }

    #[test]
    fn an_intact_log_is_whole_and_the_checksum_matches_rocksdb() {
        assert_eq!(check(&log().0), LogState::Whole);
        assert_eq!(check(&[]), LogState::Whole);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32C (RFC 3720, appendix B.4)");
    }

    #[test]
    fn a_log_truncated_at_any_byte_is_torn() {
        let (whole, begins) = log();
        for length in begins[3] + 1..whole.len() {
            assert_eq!(check(&whole[..length]), LogState::Torn, "{length} bytes");
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_record_is_damage() {
        let (whole, begins) = log();
        for (begin, end) in begins.iter().zip(&begins[1..]) {
            for position in [*begin, begin + 3, begin + 4, begin + 5, begin + 6, begin + 7, end - 4] {
                for bit in [0x01, 0x80] {
                    let mut spoilt = whole.clone();
                    spoilt[position] ^= bit;
                    assert_eq!(check(&spoilt), LogState::Damaged { at: *begin }, "at {position}");
                }
            }
        }
    }
}
