//! The file of the high-water record: created in its full size, overwritten in place, and synced at
//! each write.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::record::{self, Content, HighWater, SIZE, SLOT};

/// The open file. Its calls block until the disk responds.
#[derive(Debug)]
pub(in super::super) struct HighWaterFile {
    file: File,
    sequence: u64,
}

/// The content of the file when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Recorded {
    /// No record yet.
    Nothing,
    /// A record.
    Record(Box<HighWater>),
    /// An unreadable record.
    Damaged,
}

impl HighWaterFile {
    /// Opens the file, or creates it.
    pub(in super::super) fn open(path: &Path) -> io::Result<(Self, Recorded)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        if length == 0 {
            file.write_all_at(&[0; SIZE], 0)?;
            file.sync_all()?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            return Ok((Self { file, sequence: 0 }, Recorded::Nothing));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(SIZE)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(match record::decode(&bytes) {
            Content::Empty => (Self { file, sequence: 0 }, Recorded::Nothing),
            Content::Record(record, sequence) => (Self { file, sequence }, Recorded::Record(Box::new(record))),
            Content::Damaged => (Self { file, sequence: 0 }, Recorded::Damaged),
        })
    }

    /// Writes `record` to the older slot, and waits until it is on disk.
    pub(in super::super) fn write(&mut self, record: &HighWater) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let bytes =
            record::encode(record, sequence).ok_or_else(|| io::Error::other("the high-water record is too large"))?;
        let slot = if sequence.is_multiple_of(2) { 0 } else { SLOT as u64 };
        self.file.write_all_at(&bytes, slot)?;
        self.file.sync_data()?;
        self.sequence = sequence;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_is_read_and_a_damaged_slot_loses_one_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("high-water");
        let (mut file, recorded) = HighWaterFile::open(&path).unwrap();
        assert_eq!(recorded, Recorded::Nothing);
        let record = |mark| HighWater { installation: "a".into(), mark, ..HighWater::default() };
        for mark in 1..=5 {
            file.write(&record(mark)).unwrap();
            assert_eq!(HighWaterFile::open(&path).unwrap().1, Recorded::Record(Box::new(record(mark))));
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE as u64);
        let slot_of_the_fifth = SLOT as u64;
        OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"spoilt", slot_of_the_fifth).unwrap();
        assert_eq!(HighWaterFile::open(&path).unwrap().1, Recorded::Record(Box::new(record(4))));
    }
}
