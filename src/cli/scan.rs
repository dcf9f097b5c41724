//! `kastrel scan`: runs one scan and follows it to its end, or submits those of a file.

use jiff::Timestamp;
use kastrel_actors::model::{CancelledBy, ScanId, ScanStatus};
use serde::Serialize;

use super::args::ScanArgs;
use super::backend::{BackendError, CancelAnswer, ScanBackend, Views};
use super::context::{Context, SCAN_DEFAULTS, Session};
use super::error::CliError;
use super::exit::Exit;
use super::gate::Judgement;
use super::host::Role;
use super::interrupt::Interrupts;
use super::output::Output;
use super::progress::Progress;
use super::scan_batch;
use super::scan_exports::ScanExports;
use super::scan_request::{draft, secrets};
use super::summary::summary;
use super::text::{brief, plain};
use super::view::ScanView;
use crate::sentence::sentence;

/// The JSON output at the end.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    scan: &'a ScanView,
    /// Why the scan fails its gate; empty if it passes or there is no gate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_passed: Vec<String>,
    /// The steps that a dry run lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    plan: Vec<String>,
    exit_code: u8,
}

/// The result of following a scan.
#[derive(Debug)]
enum Followed {
    /// The scan has ended; the flag says whether an interrupt of this command cancelled it.
    Ended(Box<ScanView>, bool),
    /// The user did not wait for its end.
    Abandoned,
}

/// Runs the command.
///
/// # Errors
/// The scan was not accepted, or the backend failed.
pub(super) async fn run(args: &ScanArgs, context: &mut Context) -> Result<Exit, CliError> {
    if args.lacks_permission() {
        return Err(CliError::Usage(
            "active plugins send attacks: confirm with --confirm-active that you have the owner's permission to attack this target".into(),
        ));
    }
    let mut config = context.resolve(&args.config, args.flags(), Some(SCAN_DEFAULTS))?.config;
    if config.database.url.is_some() {
        // Workers run the scan, in their network and with their configuration: use no defaults for
        // an own process.
        config = context.resolve(&args.config, args.flags(), None)?.config;
    }
    let directory = context.directory.clone();
    let exports = tokio::select! {
        exports = ScanExports::prepare(args, &directory) => exports?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    let secrets = tokio::select! {
        secrets = secrets(args) => secrets?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    let targets = match &args.file {
        None => None,
        Some(file) => tokio::select! {
            targets = scan_batch::read(file.clone()) => Some(targets?),
            () = context.interrupts.next() => return Ok(Exit::Interrupted),
        },
    };
    let opener = context.opener();
    let open = async {
        let server = &args.server;
        if !args.no_wait {
            return opener.open(server, &config, Role::OneShot).await;
        }
        let lonely = || {
            CliError::Usage(
                "--no-wait needs a server that runs the scan: start `kastrel serve`, or name one with --server".into(),
            )
        };
        opener.open_shared(server, &config, Role::OneShot).await?.ok_or_else(lonely)
    };
    let session = tokio::select! {
        session = open => session?,
        () = context.interrupts.next() => return Ok(Exit::Interrupted),
    };
    if session.others_run_scans() && args.scanner.is_given() {
        context
            .output
            .note("note: The server or its workers use their own scanner; --kast and --scanner have no effect there");
    }
    let ended = match targets {
        None => submit_and_follow(args, secrets, exports, context, &session).await,
        Some(targets) => scan_batch::submit(args, secrets, &targets, context, &session).await.map(Ended::Exit),
    };
    match ended {
        // Dropping the session kills its scan, as the second interrupt requests.
        Ok(Ended::Abandoned) => Ok(Exit::Interrupted),
        Ok(Ended::Exit(exit)) => {
            session.close().await;
            Ok(exit)
        }
        Err(error) => {
            session.close().await;
            Err(error)
        }
    }
}

/// The result of the command.
enum Ended {
    Exit(Exit),
    Abandoned,
}

async fn submit_and_follow(
    args: &ScanArgs,
    secrets: Vec<String>,
    exports: ScanExports,
    context: &mut Context,
    session: &Session,
) -> Result<Ended, CliError> {
    let draft = draft(args, secrets, context);
    let answer = session.backend.submit(&draft).await?;
    if let Some(warning) = &answer.warning {
        context.output.note(&format!("warning: {}", sentence(&brief(warning, 500))));
    }
    let id = answer.id;
    if args.no_wait {
        return submitted(args, context, session, id).await.map(Ended::Exit);
    }
    let views = session.backend.watch(id).await?.ok_or(CliError::NoScan(id))?;
    let mut progress = Progress::new(&context.output);
    let followed = tokio::select! {
        followed = follow(id, session.backend.as_ref(), views, &mut context.interrupts, &mut progress, &mut context.output) => followed,
        why = session.failed() => Err(BackendError::Other(why.to_string())),
    };
    progress.end();
    match followed? {
        Followed::Abandoned => {
            let end =
                if session.others_run_scans() { "its worker still cancels it" } else { "its processes are killed" };
            context.output.note(&format!("Stopped waiting for scan {id}: {end}"));
            Ok(Ended::Abandoned)
        }
        Followed::Ended(seen, interrupted) => {
            // The live view has no issues. If the details are not available, show the last live
            // view.
            let scan = session
                .backend
                .details(id)
                .await
                .ok()
                .flatten()
                .filter(|full| full.summary.status == seen.summary.status)
                .unwrap_or(*seen);
            let plan = if args.dry_run { plan(session.backend.log(id).await.unwrap_or_default()) } else { Vec::new() };
            let gate = args.gate();
            let has_gate = matches!(scan.summary.status, ScanStatus::Completed | ScanStatus::Failed);
            let backend = session.backend.as_ref();
            let judgement = if exports.counts_findings() && has_gate {
                tokio::select! {
                    judged = exports.judge(backend, id, &gate, &scan) => judged?,
                    () = context.interrupts.next() => return Ok(Ended::Exit(Exit::Interrupted)),
                }
            } else if gate.is_set() {
                gate.judge(&scan)
            } else {
                Judgement::default()
            };
            if let Some(compared) = &judgement.compared {
                context.output.note(&format!("note: {compared}"));
            }
            let exit = judgement.exit_of_scan(scan.summary.status, interrupted);
            let not_passed = if has_gate { judgement.lines(gate.fail_on) } else { Vec::new() };
            let is_note = exports.has_stdout();
            if has_gate {
                let (interrupts, output) = (&mut context.interrupts, &mut context.output);
                tokio::select! {
                    written = exports.write(backend, id, output) => written?,
                    () = interrupts.next() => return Ok(Ended::Exit(Exit::Interrupted)),
                }
            } else if args.export_format().is_ok_and(|format| format.is_some()) {
                context.output.note("note: The scan was cancelled, so its findings are not written");
            }
            if args.json {
                context.output.json(&Document { scan: &scan, not_passed, plan, exit_code: exit.code() })?;
            } else {
                show(&scan, &plan, &not_passed, is_note, &mut context.output)?;
            }
            Ok(Ended::Exit(exit))
        }
    }
}

/// Shows the result: the plan of a dry run, the summary, and why the scan fails its gate.
/// `is_note`: the standard output has the findings, so it goes to the other stream.
fn show(
    scan: &ScanView,
    plan: &[String],
    not_passed: &[String],
    is_note: bool,
    output: &mut Output,
) -> Result<(), CliError> {
    if is_note {
        #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
        let text = summary(scan, Timestamp::now(), super::output::Style::PLAIN);
        output.note(&text);
        not_passed.iter().for_each(|line| output.note(line));
        return Ok(());
    }
    if !plan.is_empty() {
        output.line("Plan:")?;
        for line in plan {
            output.line(&format!("  {}", plain(line)))?;
        }
        output.line("")?;
    }
    #[expect(clippy::disallowed_methods, reason = "the time of the terminal, for people; nothing is decided by it")]
    let text = summary(scan, Timestamp::now(), output.style);
    output.line(&text)?;
    for line in not_passed {
        output.line(line)?;
    }
    Ok(())
}

/// Returns the output of a dry run, without the lines that the runner wrote before it, and without
/// blank lines at both ends.
fn plan(log: Vec<String>) -> Vec<String> {
    let lines: Vec<String> = log
        .into_iter()
        .skip_while(|line| line.starts_with('#') || line.starts_with('$') || line.trim().is_empty())
        .collect();
    let end = lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
    lines.into_iter().take(end).collect()
}

async fn submitted(args: &ScanArgs, context: &mut Context, session: &Session, id: ScanId) -> Result<Exit, CliError> {
    if args.json {
        let scan = session.backend.details(id).await?.ok_or(CliError::NoScan(id))?;
        context.output.json(&Document {
            scan: &scan,
            not_passed: Vec::new(),
            plan: Vec::new(),
            exit_code: Exit::Done.code(),
        })?;
    } else {
        let page = session.page(id).map_or_else(String::new, |page| format!(": {page}"));
        context.output.line(&format!("Scan {id} submitted{page}"))?;
    }
    Ok(Exit::Done)
}

/// Shows the scan until it ends. The first interrupt cancels it, the second one stops waiting.
async fn follow(
    id: ScanId,
    backend: &dyn ScanBackend,
    mut views: Views,
    interrupts: &mut Interrupts,
    progress: &mut Progress,
    output: &mut Output,
) -> Result<Followed, BackendError> {
    let mut interrupted = false;
    loop {
        tokio::select! {
            view = views.recv() => match view {
                Some(view) => {
                    let view = view?;
                    progress.show(&view, output);
                    if view.summary.status.is_terminal() {
                        return Ok(Followed::Ended(Box::new(view), interrupted));
                    }
                }
                None => return Err(BackendError::Other(format!("lost track of scan {id}"))),
            },
            () = interrupts.next() => {
                if interrupted {
                    return Ok(Followed::Abandoned);
                }
                interrupted = true;
                progress.say("Interrupted: cancelling the scan; interrupt again to stop at once", output);
                tokio::select! {
                    answer = backend.cancel(id, CancelledBy::Interrupt) => match answer? {
                        CancelAnswer::Accepted(_) | CancelAnswer::AlreadyEnded(_) => {}
                        CancelAnswer::Missing => return Err(BackendError::Other(format!("scan {id} no longer exists"))),
                    },
                    () = interrupts.next() => return Ok(Followed::Abandoned),
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
