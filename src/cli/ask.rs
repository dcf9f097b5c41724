//! How a command runs that asks the backend one thing: it opens the access, asks, closes and
//! prints.

use jiff::Timestamp;
use serde::Serialize;

use super::args::ReadArgs;
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::host::Role;
use super::output::Style;

/// Opens the access, asks, and closes it. Returns `None` if the user interrupted it.
///
/// # Errors
/// Neither a server nor the database is available, or the backend refused.
pub(super) async fn ask<T>(
    args: &ReadArgs,
    context: &mut Context,
    question: impl AsyncFnOnce(&Session) -> Result<T, BackendError>,
) -> Result<Option<T>, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(&args.server, &config, Role::Offline).await? else { return Ok(None) };
    let answer = question(&session).await;
    session.close().await;
    Ok(Some(answer?))
}

/// Prints an answer: as JSON with `--json`, otherwise as the text that `text` returns.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print<T: Serialize>(
    args: &ReadArgs,
    context: &mut Context,
    answer: &T,
    text: impl FnOnce(&T, Timestamp, Style) -> String,
) -> Result<(), CliError> {
    if args.json {
        context.output.json(answer)?;
    } else {
        #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
        let text = text(answer, Timestamp::now(), context.output.style);
        context.output.line(&text)?;
    }
    Ok(())
}
