//! How a command runs that shows one thing of the API: it opens the access, reads, closes and
//! prints.

use jiff::Timestamp;
use kastrel_actors::service::Services;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::args::ReadArgs;
use super::backend::BackendError;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;

/// What a command shows.
pub(super) struct Shown<'a, L, F> {
    /// Where a server has it.
    pub(super) path: &'a str,
    /// Builds it from the services of this process, at this time.
    pub(super) local: L,
    /// Formats it for people, at this time.
    pub(super) text: F,
}

/// Reads and prints: as JSON with `--json`, otherwise as text.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn show<T, L, F>(
    args: &ReadArgs,
    context: &mut Context,
    query: &impl Serialize,
    shown: Shown<'_, L, F>,
) -> Result<Exit, CliError>
where
    T: Serialize + DeserializeOwned,
    L: AsyncFnOnce(&Services, Timestamp) -> Result<T, BackendError>,
    F: FnOnce(&T, Timestamp, Style) -> String,
{
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(&args.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
    let now = Timestamp::now();
    let read = session.read(shown.path, query, now, shown.local).await;
    session.close().await;
    let read = read?;
    if args.json {
        context.output.json(&read)?;
    } else {
        let text = (shown.text)(&read, now, context.output.style);
        context.output.line(&text)?;
    }
    Ok(Exit::Done)
}
