//! The entry point of the Kastrel program.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kastrel::adapters::kast_runner::{
    keeper_arguments, keeper_main, network_arguments, network_main, watchdog_arguments, watchdog_main,
};
use kastrel::cli;

/// The embedded database's parser recurses deeply: tokio's default of 2 MiB is not enough for it.
const STACK: usize = 8 << 20;

/// How long threads may take to end after the command is done. What still runs then is blocking
/// work whose result is not needed.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// The first descriptor that is not a standard stream.
const FIRST_BEYOND_STANDARD: i32 = 3;

fn main() -> ExitCode {
    // The parent process may have left descriptors open: no program that we start inherits them,
    // especially no scanner.
    close_fds::set_fds_cloexec(FIRST_BEYOND_STANDARD, &[]);
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(args) = cli::args::scanner_arguments(&args) {
        return kastrel_scanner::main(args);
    }
    // Check for the helper processes before anything that costs time or memory: each node and each
    // attempt has one.
    if let Some(args) = watchdog_arguments(&args) {
        return watchdog_main(args);
    }
    if let Some(args) = keeper_arguments(&args) {
        return keeper_main(args);
    }
    if let Some(args) = network_arguments(&args) {
        return network_main(args);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::refuse(&error),
    };
    // Run in a task and not on the main thread, because the size of its stack is not ours to
    // choose.
    let host = cli::KastrelHost::default();
    let command = runtime.spawn(cli::run(args, Arc::new(host.clone())));
    let code = runtime.block_on(command).unwrap_or_else(|panic| cli::refuse(&panic));
    // Flush while the runtime exists, which the gRPC exporter needs, and after everything that may
    // still produce telemetry.
    host.flush();
    runtime.shutdown_timeout(LAST_GRACE);
    code
}
