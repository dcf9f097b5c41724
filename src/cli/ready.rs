//! `kastrel ready`: the readiness of a server or a worker, for the health checks of containers and
//! service managers.

use super::args::ReadyArgs;
use super::backend::locate::{Place, locate, with_tls};
use super::backend::{BackendError, RemoteBackend};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::text::plain;

/// Runs the command.
///
/// # Errors
/// The URL is invalid, or no server responds there.
pub(super) async fn run(args: &ReadyArgs, context: &mut Context) -> Result<Exit, CliError> {
    let Place::Named(url) = locate(Some(&args.server), None, None)? else {
        return Err(CliError::Usage("--server: an address is needed".into()));
    };
    let answer = RemoteBackend::for_health_check(url.clone())?.readiness().await;
    let readiness = match (answer, with_tls(&url)) {
        // A server with TLS answers plain HTTP with an error. The health check of a container need
        // not know which of both it speaks.
        (Err(BackendError::Strange { .. }), Some(url)) => RemoteBackend::for_health_check(url)?.readiness().await?,
        (answer, _) => answer?,
    };
    for check in readiness.checks {
        let state = if check.ok { "ok" } else { "failed" };
        context.output.line(&format!("{state:6} {}: {}", plain(&check.name), plain(&check.detail)))?;
    }
    Ok(if readiness.ready { Exit::Done } else { Exit::Failed })
}
