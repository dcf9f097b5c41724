//! The SurrealDB server, from its own crate:
//! `surreal-server start --bind 127.0.0.1:8000 --user root --pass root rocksdb:///tmp/db?sync=every`.
//!
//! With `EXIT_WITH_STDIN` in its environment it ends when its standard input is closed, and so with
//! the test that started it, however that ends.

// The layout of the server's futures is computed where they are joined into one program: here.
#![recursion_limit = "512"]

use std::io::Read;
use std::process::ExitCode;

use surrealdb_server::core::CommunityComposer;

fn main() -> ExitCode {
    if std::env::var_os("EXIT_WITH_STDIN").is_some() {
        std::thread::spawn(|| {
            // An error is an end as well.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
    }
    surrealdb_server::init(CommunityComposer())
}
