//! Runs the SurrealDB server, for tests and benchmarks:
//!
//! ```text
//! surreal-server start --bind 127.0.0.1:8000 --user root --pass root rocksdb:///tmp/db?sync=every
//! ```
//!
//! If `EXIT_WITH_STDIN` is set, the server ends when its standard input is closed, and so with the
//! test that started it, for any end of the test.

// The compiler computes the layout of the server's futures in this crate, which links them into one
// program.
#![recursion_limit = "512"]

use std::io::Read;
use std::process::ExitCode;

use surrealdb_server::core::CommunityComposer;

fn main() -> ExitCode {
    if std::env::var_os("EXIT_WITH_STDIN").is_some() {
        std::thread::spawn(|| {
            // An error also means the end of the input.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            #[expect(
                clippy::disallowed_methods,
                reason = "the server runs on other threads and must not outlive its test"
            )]
            std::process::exit(0);
        });
    }
    surrealdb_server::init(CommunityComposer())
}
