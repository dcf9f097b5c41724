//! Keeps scans and nodes in SurrealDB.
