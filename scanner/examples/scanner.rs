//! The built-in scanner alone, without the application around it:
//! `cargo run -p kastrel-scanner --example scanner -- -t HOST`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kastrel_scanner::main(std::env::args_os())
}
