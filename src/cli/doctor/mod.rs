//! `kastrel doctor`: checks that everything a scan needs is in place, and suggests fixes.

mod check;
mod deep;
mod facts;
mod isolation;
mod model;
mod probes;
mod surroundings;

use model::{Check, Level};
use serde::Serialize;

use super::args::DoctorArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;

/// The JSON output.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    checks: &'a [Check],
}

/// Runs the command.
///
/// # Errors
/// The configuration is invalid, or the output cannot be written.
pub(super) async fn run(args: &DoctorArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.serve.config, args.serve.flags(), None)?.config;
    let opener = context.opener();
    let more = (args.deep, args.mail.as_ref());
    let checks = tokio::select! {
        facts = facts::gather(&config, &context.env, &opener, &context.host, more) => check::judge(&config, &facts),
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    let ok = checks.iter().all(|check| check.level != Level::Failure);
    if args.json {
        context.output.json(&Report { ok, checks: &checks })?;
    } else {
        for line in check::lines(&checks) {
            context.output.line(&line)?;
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}
