//! `kastrel findings show`: what a finding is, where, its evidence, what to do, and its history.

use jiff::Timestamp;

use super::words::{due_of, state_of};
use crate::api_types::{DecisionBody, FindingDetailBody, FindingLogBody, IssueFixBody};
use crate::cli::args::FindingArgs;
use crate::cli::ask::{ask, print};
use crate::cli::backend::BackendError;
use crate::cli::context::{Context, Session};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Style;
use crate::cli::text::{brief, plain, wrapped};
use crate::human_time::relative;

/// The longest evidence, in lines.
const MOST_EVIDENCE: usize = 20;
/// The most members and the most entries of the history.
const MOST_MEMBERS: usize = 20;
const MOST_ENTRIES: usize = 20;
/// The longest line, in characters.
const MOST_LINE: usize = 300;

/// Runs the command.
///
/// # Errors
/// The finding does not exist, or neither a server nor the database is available.
pub(super) async fn run(args: &FindingArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let found = session.backend.finding(args.id).await?;
        Ok((found, session.page_at(&format!("findings/{}", args.id))))
    };
    let Some((found, page)) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let finding = found.ok_or(CliError::NoFinding(args.id))?;
    print(&args.common, context, &finding, |finding, now, style| text(finding, page.as_deref(), now, style))?;
    Ok(Exit::Done)
}

fn text(detail: &FindingDetailBody, page: Option<&str>, now: Timestamp, style: Style) -> String {
    let finding = &detail.finding;
    let mut lines = vec![brief(&finding.title, MOST_LINE)];
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("{:<13}{}", format!("{name}:"), brief(text, MOST_LINE)));
        }
    };
    line("Severity", finding.severity.name());
    line("State", &state_of(finding));
    if let Some(unchecked) = &finding.not_checked_since {
        line("Not checked", &format!("since {}: {}", relative(unchecked.since.at(), now), unchecked.reason));
    }
    line("Target", &format!("{} ({})", finding.target, finding.target_id));
    line("Place", &finding.place);
    line("Location", &detail.location);
    line("Plugin", &format!("{}, issue {}", finding.plugin, finding.issue));
    line("Category", finding.category.as_deref().unwrap_or_default());
    let seen = |seen: &crate::api_types::SeenBody| format!("{} (scan {})", relative(seen.at.at(), now), seen.scan_id);
    line("First seen", &seen(&finding.first_seen));
    line("Last seen", &seen(&finding.last_seen));
    line("Due", &due_of(finding, now));
    line("Owner", finding.owner.as_deref().unwrap_or_default());
    if let Some(confirmed) = &detail.confirmed {
        line("Confirmed", &format!("{} by {}", relative(confirmed.at.at(), now), confirmed.by));
    }
    if let Some(decision) = &detail.decision {
        line("Decision", &decision_text(decision, now));
    }
    for proof in &detail.proof {
        let version = &proof.plugin_version;
        let by = if version.is_empty() { finding.plugin.clone() } else { format!("{} ({version})", finding.plugin) };
        line("Proof", &format!("scan {}, {}, {by}", proof.scan_id, relative(proof.at.at(), now)));
    }
    line("Fingerprint", &format!("{} (rules {})", detail.fingerprint, detail.rules));
    line("Page", page.unwrap_or_default());
    let mut block = |title: &str, text: String| {
        if !text.trim().is_empty() {
            lines.push(format!("\n{title}:\n{text}"));
        }
    };
    let paragraph = |text: &Option<String>| wrapped(&plain(text.as_deref().unwrap_or_default()), 2, style.width);
    block("Evidence", listed(detail.evidence.lines(), MOST_EVIDENCE));
    block("Members", listed(detail.members.iter().map(String::as_str), MOST_MEMBERS));
    block("Description", paragraph(&detail.description));
    block("What to do", paragraph(&detail.remediation));
    let fix = detail.fix.as_ref().map(IssueFixBody::facts).unwrap_or_default();
    let fix: Vec<String> = fix.into_iter().map(|(label, text)| format!("{label}: {text}")).collect();
    block("Fix", listed(fix.iter().map(String::as_str), MOST_MEMBERS));
    block("References", listed(detail.references.iter().map(String::as_str), MOST_MEMBERS));
    let skipped = detail.log.len().saturating_sub(MOST_ENTRIES);
    let entries: Vec<String> = detail.log.iter().skip(skipped).map(|entry| entry_text(entry, now)).collect();
    let title = if skipped > 0 { "History (newest entries)" } else { "History" };
    block(title, listed(entries.iter().map(String::as_str), MOST_ENTRIES));
    lines.join("\n")
}

fn listed<'a>(texts: impl Iterator<Item = &'a str> + Clone, most: usize) -> String {
    let mut lines: Vec<String> = texts.clone().take(most).map(|text| format!("  {}", brief(text, MOST_LINE))).collect();
    let left_out = texts.skip(most).count();
    if left_out > 0 {
        lines.push(format!("  … {left_out} more; see all with --json"));
    }
    lines.join("\n")
}

fn decision_text(decision: &DecisionBody, now: Timestamp) -> String {
    let DecisionBody { decision, reason, by, at, owner, until } = decision;
    let what = match (owner, until) {
        (Some(owner), Some(until)) => format!("accepted until {:.0}, {owner} answers for the risk", until.at()),
        _ if decision == "false_positive" => "false positive".to_owned(),
        _ => decision.clone(),
    };
    format!("{what}: {reason} ({by}, {})", relative(at.at(), now))
}

fn entry_text(entry: &FindingLogBody, now: Timestamp) -> String {
    let by = match (&entry.by, entry.scan_id) {
        (Some(by), _) => format!(" ({by})"),
        (None, Some(scan)) => format!(" (scan {scan})"),
        (None, None) => String::new(),
    };
    format!("{}: {}{by}", relative(entry.at.at(), now), entry.text)
}

#[cfg(test)]
mod tests {
    use kastrel_findings::Severity;

    use super::*;
    use crate::api_types::Moment;

    #[test]
    fn finding_is_shown_with_all_that_is_known_and_no_control_characters() {
        let moment = |seconds| Moment::of(Timestamp::from_second(seconds).unwrap());
        let evidence: Vec<String> = (0..25).map(|at| format!("line {at}\u{1b}[31m")).collect();
        let detail = FindingDetailBody {
            finding: crate::cli::findings::words::tests::finding(Severity::High),
            fingerprint: format!("kfp1:{}", "a".repeat(64)).parse().unwrap(),
            rules: 1,
            location: "shop.example:443".into(),
            evidence: evidence.join("\n"),
            references: vec!["CVE-2011-3389".into()],
            members: Vec::new(),
            description: Some("Old protocol.".into()),
            remediation: Some("Turn it off.".into()),
            fix: Some(IssueFixBody {
                waf_addressable: Some(true),
                code_fix_time: Some("1\u{1b}[2J day".into()),
                ..IssueFixBody::default()
            }),
            proof: Vec::new(),
            confirmed: None,
            decision: Some(DecisionBody {
                decision: "false_positive".into(),
                reason: "a test host".into(),
                by: "user:ana".into(),
                at: moment(0),
                owner: None,
                until: None,
            }),
            log: vec![FindingLogBody {
                at: moment(0),
                by: None,
                scan_id: Some(1),
                kind: "found".into(),
                text: "seen for the first time\u{9b}2J".into(),
            }],
            may_triage: true,
        };
        let now = Timestamp::from_second(7_200).unwrap();
        let shown = text(&detail, Some("http://localhost:5000/findings/x"), now, Style::PLAIN);
        for part in [
            "TLS 1.0 offered\n",
            "Severity:    high",
            "Not checked: since 1 h ago: the plugin failed",
            "Decision:    false positive: a test host (user:ana, 2 h ago)",
            "  line 19\n  … 5 more; see all with --json",
            "What to do:\n  Turn it off.",
            "Fix:\n  Web application firewall: can stop attacks on it\n  Time for the application: 1",
            "  2 h ago: seen for the first time (scan 1)",
            "Page:        http://localhost:5000/findings/x",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains(['\u{1b}', '\u{9b}']) && !shown.contains("line 20"), "{shown}");
    }
}
