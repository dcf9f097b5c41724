//! Determines the next step of the conversion from the existing folders.
//!
//! The folder names hold the state. Each step is a rename or can be repeated from the start, so an
//! interrupted conversion continues at the next start:
//!
//! ```text
//! database (SurrealKV)                             -> copy into database.copying, compare, rename it to database.converted
//! database (SurrealKV) + database.converted        -> rename database to database.surrealkv
//! database.surrealkv + database.converted          -> rename database.converted to database
//! database (RocksDB) + database.surrealkv          -> done
//! ```

use super::folder::Content;

/// The state of the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folders {
    /// The database folder in use.
    pub(super) database: Content,
    /// True if there is a possibly incomplete copy.
    pub(super) copying: bool,
    /// True if there is a complete copy that was compared with its source.
    pub(super) converted: bool,
}

/// The next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Step {
    /// Nothing to do: there is no SurrealKV database.
    Done,
    /// Remove the incomplete copy.
    RemoveCopy,
    /// Copy the database, and compare the copy with it.
    Copy,
    /// Rename the old folder.
    KeepOld,
    /// Rename the copy to the database folder.
    PutInPlace,
}

/// The next step.
pub(super) fn next(folders: Folders) -> Step {
    match (folders.database, folders.converted, folders.copying) {
        (_, _, true) => Step::RemoveCopy,
        (Content::SurrealKv, false, _) => Step::Copy,
        (Content::SurrealKv, true, _) => Step::KeepOld,
        (Content::Nothing, true, _) => Step::PutInPlace,
        // If another database is in use, the copy does not come from this conversion: leave it
        // alone.
        (Content::Nothing | Content::RocksDb | Content::Headless | Content::Foreign, _, _) => Step::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_state_has_a_next_step() {
        for (database, copying, converted, expected) in [
            (Content::Nothing, false, false, Step::Done),
            (Content::RocksDb, false, false, Step::Done),
            (Content::SurrealKv, false, false, Step::Copy),
            (Content::SurrealKv, true, false, Step::RemoveCopy),
            (Content::SurrealKv, false, true, Step::KeepOld),
            (Content::Nothing, false, true, Step::PutInPlace),
            (Content::RocksDb, false, true, Step::Done),
            (Content::RocksDb, true, false, Step::RemoveCopy),
            (Content::Headless, false, false, Step::Done),
            (Content::Foreign, false, true, Step::Done),
        ] {
            assert_eq!(next(Folders { database, copying, converted }), expected, "{database:?} {copying} {converted}");
        }
    }
}
