//! The SurrealDB server, from its own crate: `surreal-server start --bind 127.0.0.1:8000 --user root --pass root surrealkv:///tmp/db?sync=every`.

use std::process::ExitCode;

use surrealdb_server::core::CommunityComposer;

fn main() -> ExitCode {
    surrealdb_server::init(CommunityComposer())
}
