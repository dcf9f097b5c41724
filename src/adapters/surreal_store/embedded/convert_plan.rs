//! Which step of the conversion is next, from the folders that are there.
//!
//! The names carry the state, and each step is one rename or can be made again from the start, so a
//! conversion that was killed anywhere goes on at the next start:
//!
//! ```text
//! database (SurrealKV)                             -> copy into database.copying, compare, rename it to database.converted
//! database (SurrealKV) + database.converted        -> rename database to database.surrealkv
//! database.surrealkv + database.converted          -> rename database.converted to database
//! database (RocksDB) + database.surrealkv          -> done
//! ```

use super::folder::Content;

/// What stands in the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folders {
    /// The folder that is used.
    pub(super) database: Content,
    /// A copy that may be incomplete.
    pub(super) copying: bool,
    /// A complete copy, compared with its source.
    pub(super) converted: bool,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Step {
    /// Nothing: there is no database of SurrealKV.
    Done,
    /// Remove the incomplete copy.
    RemoveCopy,
    /// Copy the database, and compare the copy with it.
    Copy,
    /// Keep the old folder under another name.
    KeepOld,
    /// Put the copy in its place.
    PutInPlace,
}

/// The next step.
pub(super) fn next(folders: Folders) -> Step {
    match (folders.database, folders.converted, folders.copying) {
        (_, _, true) => Step::RemoveCopy,
        (Content::SurrealKv, false, _) => Step::Copy,
        (Content::SurrealKv, true, _) => Step::KeepOld,
        (Content::Nothing, true, _) => Step::PutInPlace,
        // With another database in its place, a copy is a leftover of somebody's own making: it is
        // left alone.
        (Content::Nothing | Content::RocksDb | Content::Headless | Content::Foreign, _, _) => Step::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_leads_to_the_next() {
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
