//! The format versions of backups.

/// The format version that this program writes. It also reads the earlier ones.
pub const FORMAT: u32 = 2;

/// The format in which a scan is one line with its plugins. A backup of a database of schema 10 or
/// earlier is written in it, so that the program that made the database can restore it.
pub(super) const FIRST_FORMAT: u32 = 1;

/// The last schema version whose program reads only [`FIRST_FORMAT`].
pub(super) const LAST_OF_FIRST_FORMAT: i64 = 10;
