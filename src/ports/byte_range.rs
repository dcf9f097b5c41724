//! Byte ranges of a file, with the semantics of HTTP range requests.

use std::ops::Range;

use super::ArtifactError;

/// A range of a file whose size is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the last byte, both inclusive. Without `last`, to the end of the file.
    From {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: Option<u64>,
    },
    /// The given number of bytes at the end of the file.
    Last(u64),
}

impl ByteRange {
    /// The bytes of a file of the given size. Fails with `OutOfRange` if the range is empty.
    pub(crate) fn resolve(self, size: u64) -> Result<Range<u64>, ArtifactError> {
        let range = match self {
            Self::From { first, last } => first..last.map_or(size, |last| last.saturating_add(1).min(size)),
            Self::Last(bytes) => size.saturating_sub(bytes)..size,
        };
        if range.is_empty() { Err(ArtifactError::OutOfRange { size }) } else { Ok(range) }
    }
}

/// The bytes of a file of the given size; all bytes if there is no range. An empty file without a
/// range is not an error.
pub(crate) fn resolve(range: Option<ByteRange>, size: u64) -> Result<Range<u64>, ArtifactError> {
    range.map_or(Ok(0..size), |range| range.resolve(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_stay_within_the_file() {
        let from = |first, last| ByteRange::From { first, last };
        for (range, size, expected) in [
            (from(0, None), 10, Some(0..10)),
            (from(2, Some(4)), 10, Some(2..5)),
            (from(9, Some(9)), 10, Some(9..10)),
            (from(2, Some(400)), 10, Some(2..10)),
            (from(0, Some(u64::MAX)), 10, Some(0..10)),
            (from(10, None), 10, None),
            (from(5, Some(2)), 10, None),
            (from(0, None), 0, None),
            (ByteRange::Last(3), 10, Some(7..10)),
            (ByteRange::Last(300), 10, Some(0..10)),
            (ByteRange::Last(0), 10, None),
            (ByteRange::Last(3), 0, None),
        ] {
            assert_eq!(range.resolve(size).ok(), expected, "{range:?} of {size}");
        }
        assert_eq!(resolve(None, 0).unwrap(), 0..0);
    }
}
