//! Runs the built-in scanner on its own, without the application:
//! `cargo run -p kastrel-scanner --example scanner -- -t HOST`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kastrel_scanner::main(std::env::args_os())
}
