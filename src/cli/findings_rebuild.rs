//! `kastrel findings rebuild`: computes findings anew from the files of old scans. It needs the
//! database for itself, or one on a server.

use serde::Serialize;

use super::args::FindingsRebuildArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::text::count;
use crate::service::findings::ingest::{RebuildProgress, RebuildScope};

/// How many targets are between two lines of the progress.
const TARGETS_PER_LINE: usize = 20;

/// The JSON output.
#[derive(Debug, Serialize)]
struct RebuiltBody {
    targets: usize,
    scans: u64,
    findings_written: u64,
    findings_deleted: u64,
}

/// Runs the command.
///
/// # Errors
/// Another process holds the data folder, the database or the files do not respond, or the scanner
/// does not list its issues.
pub(super) async fn run(args: &FindingsRebuildArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    context.host.init_logging(&config, Role::Offline)?;
    let host = context.host.clone();
    let started = tokio::select! {
        started = host.start(&config, Role::Offline) => Some(started?),
        () = context.interrupts.next() => None,
    };
    let Some(app) = started else { return Ok(Exit::Interrupted) };
    let Some(rebuild) = app.rebuild() else {
        app.stop().await;
        return Err(CliError::Usage("this process cannot read the files of scans".into()));
    };
    let scope = RebuildScope { origin: args.target.clone(), project: args.project.clone() };
    let output = &mut context.output;
    let interrupts = &mut context.interrupts;
    let mut progress = |now: &RebuildProgress| {
        if now.done < now.targets && now.done.is_multiple_of(TARGETS_PER_LINE) {
            output.note(&format!("{} of {} done", now.done, count(now.targets as u64, "target")));
        }
    };
    let request = super::backend::context();
    let ended = tokio::select! {
        ended = rebuild.run(&request, &scope, &mut progress) => Some(ended),
        () = interrupts.next() => None,
    };
    app.stop().await;
    let Some(ended) = ended else {
        context.output.note("Interrupted: what was computed stays; run the command again for the other targets");
        return Ok(Exit::Interrupted);
    };
    let done = ended.map_err(|error| CliError::App(error.into()))?;
    if args.json {
        context.output.json(&RebuiltBody {
            targets: done.targets,
            scans: done.counts.scans,
            findings_written: done.counts.written,
            findings_deleted: done.counts.deleted,
        })?;
    } else {
        context.output.line(&text(&done))?;
    }
    Ok(Exit::Done)
}

fn text(done: &RebuildProgress) -> String {
    let counts = done.counts;
    format!(
        "Computed the findings of {} anew from {}: {} written, {} deleted",
        count(done.targets as u64, "target"),
        count(counts.scans, "scan"),
        count(counts.written, "finding"),
        counts.deleted
    )
}

#[cfg(test)]
mod tests {
    use kastrel_actors::service::ingest::RebuildCounts;

    use super::*;

    #[test]
    fn output_says_what_was_computed() {
        let counts = RebuildCounts { scans: 31, written: 1, deleted: 4 };
        let done = RebuildProgress { done: 2, targets: 2, counts };
        assert_eq!(text(&done), "Computed the findings of 2 targets anew from 31 scans: 1 finding written, 4 deleted");
    }
}
