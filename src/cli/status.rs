//! `kastrel status`: shows the state of a scan.

use jiff::Timestamp;

use super::args::OneScanArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::notes::lines;
use super::summary::summary;

/// Runs the command.
///
/// # Errors
/// The scan does not exist, or neither a server nor the database is available.
pub(super) async fn run(args: &OneScanArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(&args.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let answer = session.backend.details(args.id).await;
    // The document of a scan has no notes: they have their own, which `kastrel note` shows.
    let notes = match &answer {
        Ok(Some(_)) if !args.json => session.backend.scan_notes(args.id).await,
        _ => Ok(None),
    };
    session.close().await;
    let scan = answer?.ok_or(CliError::NoScan(args.id))?;
    if args.json {
        context.output.json(&scan)?;
    } else {
        #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
        let text = summary(&scan, Timestamp::now(), context.output.style);
        context.output.line(&text)?;
        for line in notes?.iter().flat_map(lines) {
            context.output.line(&line)?;
        }
    }
    Ok(Exit::Done)
}
