//! `kastrel cancel`: cancels a scan.

use kastrel_actors::model::{CancelledBy, ScanStatus};

use super::args::OneScanArgs;
use super::backend::CancelAnswer;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;

/// Runs the command.
///
/// # Errors
/// The scan does not exist, or neither a server nor the database is available.
pub(super) async fn run(args: &OneScanArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(&args.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let answer = session.backend.cancel(args.id, CancelledBy::User).await;
    session.close().await;
    let (scan, text, exit) = match answer? {
        CancelAnswer::Missing => return Err(CliError::NoScan(args.id)),
        CancelAnswer::AlreadyEnded(scan) => {
            let text = format!("Scan {} is already {}", args.id, scan.summary.status.word());
            (scan, text, Exit::Failed)
        }
        CancelAnswer::Accepted(scan) if scan.summary.status == ScanStatus::Cancelled => {
            (scan, format!("Scan {} cancelled", args.id), Exit::Done)
        }
        CancelAnswer::Accepted(scan) => {
            (scan, format!("Cancelling scan {}: stopping the scanner", args.id), Exit::Done)
        }
    };
    if args.json {
        context.output.json(&scan)?;
    } else {
        context.output.line(&text)?;
    }
    Ok(exit)
}
