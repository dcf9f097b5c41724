//! What RocksDB may hold in memory and on disk.
//!
//! Its own defaults are sized for a machine that it has to itself: half of the memory as cache and
//! memory tables of 128 MiB. The SDK's `connect` passes on neither the address's parameters nor the
//! environment, so [`Engine`](super::Engine) hands these to the engine's builder.

/// Keys and values of the engine's configuration. Sizes are bytes.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    // Every commit waits for fdatasync of the write-ahead log; commits that arrive together share
    // one.
    ("datastore_sync", "every"),
    ("rocksdb_block_cache_size", "16777216"),
    ("rocksdb_write_buffer_size", "8388608"),
    // One table takes writes while another is written out. A flush waits for no second table.
    ("rocksdb_max_write_buffer_number", "3"),
    ("rocksdb_min_write_buffer_number_to_merge", "1"),
    ("rocksdb_target_file_size_base", "16777216"),
    ("rocksdb_max_open_files", "256"),
    ("rocksdb_thread_count", "2"),
    ("rocksdb_jobs_count", "2"),
    // Obsolete logs are deleted at once.
    ("rocksdb_wal_size_limit", "0"),
    ("rocksdb_keep_log_file_num", "2"),
    // Documents stay in the table files: a second kind of file would only be one more that can be
    // lost.
    ("rocksdb_enable_blob_files", "false"),
    // The engine's own default rewrites every file once an hour.
    ("rocksdb_periodic_compaction_seconds", "604800"),
    ("rocksdb_shutdown_wait_for_compact_seconds", "5"),
    ("transaction_cache_size", "128"),
    ("datastore_cache_size", "128"),
];

/// As SurrealKV was opened by the versions that used it.
pub(super) const SURREALKV: &[(&str, &str)] = &[
    ("surrealkv_max_memtable_size", "25165824"),
    ("surrealkv_block_cache_capacity", "8388608"),
    ("surrealkv_vlog_max_file_size", "67108864"),
];
