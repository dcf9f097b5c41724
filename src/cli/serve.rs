//! `kastrel serve` and `kastrel worker`: run until a signal stops them.

use sd_notify::NotifyState;

use super::args::{ServeArgs, WorkerArgs};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use crate::config::Config;

/// Runs `kastrel serve`.
///
/// # Errors
/// The server could not start, or failed.
pub(super) async fn run(args: &ServeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    run_until_stopped(&config, if args.no_worker { Role::Web } else { Role::Serve }, context).await
}

/// Runs `kastrel worker`.
///
/// # Errors
/// The worker could not start, or failed.
pub(super) async fn worker(args: &WorkerArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    run_until_stopped(&config, Role::Worker, context).await
}

async fn run_until_stopped(config: &Config, role: Role, context: &mut Context) -> Result<Exit, CliError> {
    // Check the role before anything is opened, whatever the host is.
    role.check(config)?;
    context.host.init_logging(config, role)?;
    let host = context.host.clone();
    let app = tokio::select! {
        app = host.start(config, role) => app?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    if let Some(url) = app.url() {
        let what = if role == Role::Worker { "Worker" } else { "Kastrel" };
        context.output.note(&format!("{what} {} listens on {url}", env!("CARGO_PKG_VERSION")));
    }
    tell_service_manager(&[NotifyState::Ready]);
    let failure = tokio::select! {
        why = app.failed() => Some(why),
        () = context.interrupts.next() => None,
    };
    tell_service_manager(&[NotifyState::Stopping]);
    context.output.note(stopping(role));
    tokio::select! {
        () = app.stop() => {}
        // The second interrupt drops the application, which kills its scans.
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    }
    match failure {
        Some(why) => Err(why.into()),
        None => Ok(Exit::Done),
    }
}

const fn stopping(role: Role) -> &'static str {
    match role {
        Role::Web => "Stopping: scans continue on their workers",
        Role::Serve | Role::Worker | Role::OneShot | Role::Offline => {
            "Stopping: running scans are requeued and start again later; interrupt again to stop at once"
        }
    }
}

/// Notifies systemd (`Type=notify`). Without a service manager, it does nothing.
fn tell_service_manager(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(error = &error as &dyn std::error::Error, "could not tell the service manager");
    }
}
