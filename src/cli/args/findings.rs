//! `findings`: lists, one finding, decisions about findings, and the times to fix.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use kastrel_actors::model::{AccountName, ProjectId};
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;

use super::common::ReadArgs;
use super::exports::FindingExportArgs;
use super::findings_rebuild::FindingsRebuildArgs;

/// The names of `--sort`.
const ORDERS: [&str; 4] = ["severity", "newest", "due", "target"];
/// The most findings of one command: that of the API.
const MOST_IDS: usize = 500;
/// The longest time to fix in days.
const MOST_DAYS: u32 = 3_650;

/// `kastrel findings`
#[derive(Debug, Subcommand)]
pub enum FindingsCommand {
    /// List findings over all targets, worst first
    List(FindingListArgs),
    /// Show a finding: what it is, where, its evidence, what to do, and its history
    Show(FindingArgs),
    /// Explain why the sightings of a finding are one finding
    Explain(FindingArgs),
    /// Confirm that findings are real
    Confirm(FindingsArgs),
    /// Mark findings as false positives
    FalsePositive(FalsePositiveArgs),
    /// Accept the risk of findings until a day
    Accept(AcceptArgs),
    /// Withdraw the decision about findings, or their confirmation
    Reopen(FindingsArgs),
    /// Assign findings to an account, or to nobody
    Assign(AssignArgs),
    /// Add a comment to a finding
    Comment(CommentArgs),
    /// Export findings over all targets to a file, in a format for other programs
    Export(FindingExportArgs),
    /// Compute findings anew from the files of old scans; what people decided stays
    Rebuild(FindingsRebuildArgs),
    /// Show or set the days within which the findings of a project must be fixed
    Sla(SlaArgs),
}

/// `kastrel findings list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct FindingListArgs {
    /// Filter: tokens such as severity:high,critical status:any plugin:testssl target:shop.example
    /// tag:prod new:7d since:2026-11-23 is:regressed owner:none, and words [default: open and
    /// confirmed findings]
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
    /// List issues with their numbers of findings and targets instead
    #[arg(long, value_name = "BY", value_parser = PossibleValuesParser::new(["issue"]), conflicts_with = "sort")]
    pub group: Option<String>,
    /// Order [default: severity]
    #[arg(long, value_name = "ORDER", value_parser = PossibleValuesParser::new(ORDERS))]
    pub sort: Option<String>,
    /// Number of matches to leave out
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000_000))]
    pub skip: u32,
    /// Maximum number of findings or issues
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel findings show` and `explain`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct FindingArgs {
    /// Id of the finding, as `kastrel findings list` shows it
    #[arg(value_name = "ID")]
    pub id: FindingId,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel findings confirm` and `reopen`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct FindingsArgs {
    /// Ids of the findings; at most 500
    #[arg(value_name = "ID", required = true, num_args = 1..=MOST_IDS)]
    pub ids: Vec<FindingId>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel findings false-positive`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct FalsePositiveArgs {
    #[command(flatten)]
    pub findings: FindingsArgs,
    /// Why they are no problem
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `kastrel findings accept`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AcceptArgs {
    #[command(flatten)]
    pub findings: FindingsArgs,
    /// Why the risk is accepted
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who answers for the risk [default: the account of the command]
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// End: a day, which it includes, in UTC, such as 2026-12-31; or a time such as
    /// 2026-12-31T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub until: String,
}

/// `kastrel findings assign`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AssignArgs {
    #[command(flatten)]
    pub findings: FindingsArgs,
    /// Account that takes care of them, or nobody
    #[arg(long, value_name = "ACCOUNT", value_parser = assignee)]
    pub to: Assignee,
}

/// Who takes care of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assignee {
    /// Nobody.
    Nobody,
    /// This account.
    Account(AccountName),
}

/// `kastrel findings comment`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct CommentArgs {
    /// Id of the finding, as `kastrel findings list` shows it
    #[arg(value_name = "ID")]
    pub id: FindingId,
    /// Text: at most 2,000 characters
    pub text: String,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel findings sla`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct SlaArgs {
    /// Id of the project
    #[arg(long, value_name = "ID", default_value_t)]
    pub project: ProjectId,
    /// Days by severity, such as high=30,critical=7; none removes a time. The others stay
    #[arg(long, value_name = "SEVERITY=DAYS", value_delimiter = ',', value_parser = time_to_fix)]
    pub set: Vec<(Severity, Option<u32>)>,
    #[command(flatten)]
    pub common: ReadArgs,
}

fn assignee(text: &str) -> Result<Assignee, String> {
    if text == "nobody" {
        return Ok(Assignee::Nobody);
    }
    text.parse().map(Assignee::Account).map_err(|error: <AccountName as std::str::FromStr>::Err| error.to_string())
}

fn time_to_fix(text: &str) -> Result<(Severity, Option<u32>), String> {
    let (name, days) = text.split_once('=').ok_or("expected SEVERITY=DAYS, such as high=30")?;
    let severity = Severity::ALL.into_iter().find(|severity| severity.name() == name).ok_or_else(|| {
        let names: Vec<&str> = Severity::ALL.iter().map(|severity| severity.name()).collect();
        format!("expected one of {} before the =", names.join(", "))
    })?;
    if days == "none" {
        return Ok((severity, None));
    }
    match days.parse() {
        Ok(days) if (1..=MOST_DAYS).contains(&days) => Ok((severity, Some(days))),
        _ => Err(format!("expected days from 1 to {MOST_DAYS}, or none, after {name}=")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn read(words: &[&str]) -> Result<FindingsCommand, String> {
        let words = ["kastrel", "findings"].iter().chain(words).copied();
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Findings(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    const ID: &str = "0123456789abcdef0123";

    #[test]
    fn filter_is_given_as_one_word_or_several() {
        let FindingsCommand::List(args) = read(&["list", "severity:high", "new:7d", "--limit", "5"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!((args.filter.join(" ").as_str(), args.limit, args.group), ("severity:high new:7d", 5, None));
        assert!(read(&["list", "--group", "issue", "--sort", "due"]).unwrap_err().contains("--sort"));
        assert!(read(&["list", "--limit", "501"]).unwrap_err().contains("--limit"));
    }

    #[test]
    fn decisions_need_their_texts_and_name_what_is_wrong() {
        for (words, part) in [
            (&["confirm"][..], "<ID>"),
            (&["confirm", "0123"], "20 hex digits"),
            (&["false-positive", ID], "--reason"),
            (&["accept", ID, "--reason", "x"], "--until"),
            (&["assign", ID], "--to"),
            (&["assign", ID, "--to", "No Body"], "--to"),
            (&["comment", ID], "<TEXT>"),
            (&["sla", "--set", "high"], "SEVERITY=DAYS"),
            (&["sla", "--set", "huge=3"], "critical, high"),
            (&["sla", "--set", "high=0"], "from 1 to 3650"),
        ] {
            let error = read(words).unwrap_err();
            assert!(error.contains(part), "{words:?}: {error}");
        }
        let FindingsCommand::Assign(args) = read(&["assign", ID, ID, "--to", "nobody"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!((args.findings.ids.len(), args.to), (2, Assignee::Nobody));
        let FindingsCommand::Sla(args) = read(&["sla", "--set", "high=30,low=none"]).unwrap() else {
            panic!("another command")
        };
        assert_eq!(args.set, [(Severity::High, Some(30)), (Severity::Low, None)]);
    }
}
