//! Limits for RocksDB's memory and disk use.
//!
//! RocksDB's defaults are sized for a dedicated machine: half of the memory as cache, and memory
//! tables of 128 MiB. `connect` of the SDK ignores both parameters in the address and the
//! environment, so [`Engine`](super::Engine) passes these options to the engine's builder.

/// The keys and values of the engine's configuration. Sizes are in bytes.
pub(super) const OPTIONS: &[(&str, &str)] = &[
    // Every commit waits for `fdatasync` of the write-ahead log. Concurrent commits share one sync.
    ("datastore_sync", "every"),
    ("rocksdb_block_cache_size", "16777216"),
    ("rocksdb_write_buffer_size", "8388608"),
    // One table accepts writes while another is flushed. A flush does not wait for a second table.
    ("rocksdb_max_write_buffer_number", "3"),
    ("rocksdb_min_write_buffer_number_to_merge", "1"),
    ("rocksdb_target_file_size_base", "16777216"),
    ("rocksdb_max_open_files", "256"),
    ("rocksdb_thread_count", "2"),
    ("rocksdb_jobs_count", "2"),
    // Obsolete logs are deleted immediately.
    ("rocksdb_wal_size_limit", "0"),
    ("rocksdb_keep_log_file_num", "2"),
    // Documents stay in the table files. Blob files would be one more kind of file that can be
    // lost.
    ("rocksdb_enable_blob_files", "false"),
    // The engine's default rewrites every file once an hour.
    ("rocksdb_periodic_compaction_seconds", "604800"),
    ("rocksdb_shutdown_wait_for_compact_seconds", "5"),
    ("transaction_cache_size", "128"),
    ("datastore_cache_size", "128"),
];

/// The options that earlier versions used for SurrealKV.
pub(super) const SURREALKV: &[(&str, &str)] = &[
    ("surrealkv_max_memtable_size", "25165824"),
    ("surrealkv_block_cache_capacity", "8388608"),
    ("surrealkv_vlog_max_file_size", "67108864"),
];
