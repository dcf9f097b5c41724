//! Classifies errors that mean that the storage failed, so that the engine must no longer be used.
//!
//! The SDK passes the engine's errors on as text. RocksDB's texts begin with the name of the error
//! code (`Status::ToString`, `util/status.cc`).

/// Errors about a file that the engine could not write, sync or read.
const IO: &[&str] =
    &["IO error", "No space left", "Input/output error", "Read-only file system", "Writer has previous error"];

/// Errors about corrupt content, and errors after a background task failed.
const BROKEN: &[&str] = &["Corruption:", "Shutdown in progress", "commit coordinator response channel closed"];

/// True if the error `message` of a call means that the engine must not be used again. `is_write`
/// is true for a call that wrote.
///
/// A read of a damaged block fails alone. A write with this error means that the engine is in its
/// error state and commits nothing any more.
pub(super) fn is_storage_failure(message: &str, is_write: bool) -> bool {
    let mentions = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    is_write && (mentions(IO) || mentions(BROKEN))
}

/// True if `sql` only reads. The adapter's reads are single statements that return an object.
pub(super) fn is_read(sql: &str) -> bool {
    let sql = sql.trim_start();
    (sql.starts_with("RETURN") || sql.starts_with("SELECT")) && !sql.contains("COMMIT;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failed_writes_end_the_engine() {
        for (message, is_write, expected) in [
            (
                "IO error: No space left on device: While appending to file: /data/database/000008.log: No space left on device",
                true,
                true,
            ),
            (
                "Failed to commit transaction due to a datastore error: IO error: Input/output error: While fdatasync",
                true,
                true,
            ),
            ("IO error: Writer has previous error.", true, true),
            ("Corruption: block checksum mismatch", true, true),
            ("Corruption: block checksum mismatch", false, false),
            ("IO error: No such file or directory: While open a file for random read", false, false),
            ("Transaction conflict: Resource busy. This transaction can be retried", true, false),
            ("An error occurred: batch settled", true, false),
            ("Database record `scan:1` already exists", true, false),
        ] {
            assert_eq!(is_storage_failure(message, is_write), expected, "{message}");
        }
    }

    #[test]
    fn statements_that_return_an_object_count_as_reads() {
        for (sql, expected) in [
            ("RETURN { rows: (SELECT number FROM scan) };", true),
            ("\n    RETURN { alive: true };", true),
            ("BEGIN; UPSERT counter:scan SET value = 1; RETURN { last: 1 }; COMMIT;", false),
            ("DELETE submitter;", false),
            ("DEFINE TABLE scan;", false),
        ] {
            assert_eq!(is_read(sql), expected, "{sql}");
        }
    }
}
