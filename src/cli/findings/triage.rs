//! The decisions of `kastrel findings`: confirm, mark as a false positive, accept, reopen, assign.

use kastrel_findings::identity::FindingId;

use super::words::status_word;
use crate::api_types::{TriageBody, TriageList};
use crate::cli::args::{AcceptArgs, AssignArgs, Assignee, FalsePositiveArgs, FindingsArgs, ReadArgs};
use crate::cli::ask::{ask, print};
use crate::cli::context::{Context, Session};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::text::{count, plain};

/// Confirms that findings are real.
pub(super) async fn confirm(args: &FindingsArgs, context: &mut Context) -> Result<Exit, CliError> {
    change(&args.common, of(&args.ids, "confirm"), context).await
}

/// Withdraws decisions or confirmations.
pub(super) async fn reopen(args: &FindingsArgs, context: &mut Context) -> Result<Exit, CliError> {
    change(&args.common, of(&args.ids, "withdraw"), context).await
}

/// Marks findings as false positives.
pub(super) async fn false_positive(args: &FalsePositiveArgs, context: &mut Context) -> Result<Exit, CliError> {
    let triage = TriageBody { reason: Some(args.reason.clone()), ..of(&args.findings.ids, "false_positive") };
    change(&args.findings.common, triage, context).await
}

/// Accepts the risk of findings.
pub(super) async fn accept(args: &AcceptArgs, context: &mut Context) -> Result<Exit, CliError> {
    let triage = TriageBody {
        reason: Some(args.reason.clone()),
        owner: args.owner.clone(),
        until: Some(args.until.clone()),
        ..of(&args.findings.ids, "accept")
    };
    change(&args.findings.common, triage, context).await
}

/// Assigns findings.
pub(super) async fn assign(args: &AssignArgs, context: &mut Context) -> Result<Exit, CliError> {
    let owner = match &args.to {
        Assignee::Nobody => None,
        Assignee::Account(name) => Some(name.to_string()),
    };
    change(&args.findings.common, TriageBody { owner, ..of(&args.findings.ids, "assign") }, context).await
}

fn of(ids: &[FindingId], action: &str) -> TriageBody {
    let ids = ids.iter().map(ToString::to_string).collect();
    TriageBody { ids, action: action.to_owned(), ..TriageBody::default() }
}

/// Changes findings. The command fails if one of them did not change.
async fn change(common: &ReadArgs, triage: TriageBody, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| session.backend.triage_findings(&triage).await;
    let Some(list) = ask(common, context, question).await? else { return Ok(Exit::Interrupted) };
    print(common, context, &list, |list, _, _| text(list))?;
    Ok(if list.results.iter().any(|result| result.error.is_some()) { Exit::Failed } else { Exit::Done })
}

fn text(list: &TriageList) -> String {
    let lines = list.results.iter().map(|result| match (&result.error, result.status) {
        (Some(error), _) => format!("{}  not changed: {}", result.id, plain(error)),
        (None, Some(status)) => format!("{}  {}", result.id, status_word(status)),
        (None, None) => format!("{}  changed", result.id),
    });
    let summary = format!("{} changed", count(list.changed as u64, "finding"));
    lines.chain([summary]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use kastrel_findings::lifecycle::Status;

    use super::*;
    use crate::api_types::TriageResultBody;

    #[test]
    fn each_finding_has_a_line_with_its_new_state_or_the_reason() {
        let id: FindingId = "0123456789abcdef0123".parse().unwrap();
        let results = vec![
            TriageResultBody { id, status: Some(Status::FalsePositive), error: None },
            TriageResultBody { id, status: None, error: Some("the finding is fixed".into()) },
        ];
        insta::assert_snapshot!(text(&TriageList { changed: 1, results }), @"
        0123456789abcdef0123  false positive
        0123456789abcdef0123  not changed: the finding is fixed
        1 finding changed
        ");
    }
}
