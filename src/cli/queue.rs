//! `kastrel pause` and `kastrel resume`: whether any scan may start.

use super::args::{PauseArgs, ResumeArgs};
use super::backend::{BackendError, QueueView};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::text::{count, plain};

/// Runs `kastrel pause`.
///
/// # Errors
/// There is nobody to ask.
pub(super) async fn pause(args: &PauseArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.common.config, args.common.flags(), None)?.config;
    let Some(session) = context.open(args.common.server.server.as_deref(), &config, Role::Offline).await? else { return Ok(Exit::Interrupted) };
    let answer = session.backend.pause(args.reason.clone()).await;
    tell(answer, session, args.common.json, context).await
}

/// Runs `kastrel resume`.
///
/// # Errors
/// There is nobody to ask.
pub(super) async fn resume(args: &ResumeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.common.config, args.common.flags(), None)?.config;
    let Some(session) = context.open(args.common.server.server.as_deref(), &config, Role::Offline).await? else { return Ok(Exit::Interrupted) };
    let answer = session.backend.resume().await;
    tell(answer, session, args.common.json, context).await
}

async fn tell(answer: Result<QueueView, BackendError>, session: Session, json: bool, context: &mut Context) -> Result<Exit, CliError> {
    session.close().await;
    let queue = answer?;
    if json {
        context.output.json(&queue)?;
    } else {
        context.output.line(&text(&queue))?;
    }
    Ok(Exit::Done)
}

fn text(queue: &QueueView) -> String {
    let waiting = count(queue.waiting, "scan");
    match (&queue.paused, &queue.reason) {
        (true, Some(reason)) => format!("The queue is paused ({}); {waiting} waiting. What runs goes on", plain(reason)),
        (true, None) => format!("The queue is paused; {waiting} waiting. What runs goes on"),
        (false, _) => format!("The queue is not paused; {waiting} waiting"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_the_queue_stands() {
        let queue = |paused, reason: Option<&str>| QueueView { paused, paused_since: None, reason: reason.map(Into::into), waiting: 2 };
        assert_eq!(text(&queue(true, Some("up\u{1b}[2Jgrade"))), "The queue is paused (upgrade); 2 scans waiting. What runs goes on");
        assert_eq!(text(&queue(true, None)), "The queue is paused; 2 scans waiting. What runs goes on");
        assert_eq!(text(&queue(false, None)), "The queue is not paused; 2 scans waiting");
    }
}
