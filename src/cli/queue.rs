//! `kastrel pause` and `kastrel resume`: pause and resume the queue.

use super::args::{PauseArgs, ResumeArgs};
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::text::{count, plain};
use crate::api_types::QueueBody;

/// Runs `kastrel pause`.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn pause(args: &PauseArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.common.config, args.common.flags(), None)?.config;
    let Some(session) = context.open(&args.common.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let answer = session.backend.pause(args.reason.clone()).await;
    tell(answer, session, args.common.json, context).await
}

/// Runs `kastrel resume`.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn resume(args: &ResumeArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.common.config, args.common.flags(), None)?.config;
    let Some(session) = context.open(&args.common.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let answer = session.backend.resume().await;
    tell(answer, session, args.common.json, context).await
}

async fn tell(
    answer: Result<QueueBody, BackendError>,
    session: Session,
    json: bool,
    context: &mut Context,
) -> Result<Exit, CliError> {
    session.close().await;
    let queue = answer?;
    if json {
        context.output.json(&queue)?;
    } else {
        context.output.line(&text(&queue))?;
    }
    Ok(Exit::Done)
}

fn text(queue: &QueueBody) -> String {
    let queued = format!("{} queued", count(queue.waiting, "scan"));
    let first = match (&queue.paused, &queue.reason) {
        (true, Some(reason)) => format!("Queue paused ({}); {queued}. Running scans continue", plain(reason)),
        (true, None) => format!("Queue paused; {queued}. Running scans continue"),
        (false, _) => format!("Queue not paused; {queued}"),
    };
    let others = queue.blockers.iter().filter(|blocker| blocker.reason != "paused").map(|blocker| plain(&blocker.text));
    std::iter::once(first).chain(others).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::BlockerBody;

    #[test]
    fn queue_output_shows_pause_and_queued_scans() {
        let queue = |paused, reason: Option<&str>| QueueBody {
            paused,
            paused_since: None,
            reason: reason.map(Into::into),
            waiting: 2,
            max_waiting: None,
            full: false,
            signals: Some(2),
            blockers: Vec::new(),
        };
        assert_eq!(
            text(&queue(true, Some("up\u{1b}[2Jgrade"))),
            "Queue paused (upgrade); 2 scans queued. Running scans continue"
        );
        assert_eq!(text(&queue(true, None)), "Queue paused; 2 scans queued. Running scans continue");
        assert_eq!(text(&queue(false, None)), "Queue not paused; 2 scans queued");
        let text_of_blocker = "No worker connected: no scan starts.".into();
        let blockers =
            vec![BlockerBody { reason: "no_worker".into(), text: text_of_blocker, since: None, until: None }];
        assert_eq!(
            text(&QueueBody { blockers, ..queue(false, None) }),
            "Queue not paused; 2 scans queued\nNo worker connected: no scan starts."
        );
    }
}
