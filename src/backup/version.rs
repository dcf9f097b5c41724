//! The format version of backups.

/// The format version that this program writes and reads.
pub const FORMAT: u32 = 1;
