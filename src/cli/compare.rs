//! `kastrel compare`: what changed between two scans of a target.

use kastrel_actors::model::ScanId;

use super::args::CompareArgs;
use super::ask::{ask, print};
use super::backend::BackendError;
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid, severity};
use super::text::plain;
use crate::api_types::{ComparedBody, ComparisonBody, ScanResultBody};
use crate::service::findings::{CompareGaps, EndedCheck};

/// Runs the command.
///
/// # Errors
/// A scan does not exist or has no result yet, the scans have different targets, or neither a
/// server nor the database is available.
pub(super) async fn run(args: &CompareArgs, context: &mut Context) -> Result<Exit, CliError> {
    let (later, earlier) = args.scans();
    let question = async |session: &Session| compare(session, later, earlier).await;
    let Some(compared) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let compared = compared?;
    print(&args.common, context, &compared, |compared, _, style| text(compared, args.unchanged, style))?;
    Ok(Exit::Done)
}

/// Compares the scans, or returns which of them is missing or has no result.
async fn compare(
    session: &Session,
    later: ScanId,
    earlier: Option<ScanId>,
) -> Result<Result<ComparisonBody, CliError>, BackendError> {
    if let Some(compared) = session.backend.compare(later, earlier).await? {
        return Ok(Ok(compared));
    }
    for scan in std::iter::once(later).chain(earlier) {
        if session.backend.get(scan).await?.is_none() {
            return Ok(Err(CliError::NoScan(scan)));
        }
        if session.backend.scan_findings(scan).await?.is_none() {
            return Ok(Err(CliError::NoResult(scan)));
        }
    }
    Ok(Err(CliError::NothingToCompare(later)))
}

/// Formats a comparison: a line of numbers, the checks of the later scan that were not complete,
/// and a table for each class that has findings.
fn text(compared: &ComparisonBody, with_unchanged: bool, style: Style) -> String {
    let ComparisonBody { earlier, later, new, fixed, unchanged, not_checked, .. } = compared;
    let mut parts = vec![format!(
        "Scan {} compared with scan {}: {} new, {} fixed, {} unchanged, {} not checked",
        later.scan_id,
        earlier.scan_id,
        new.len(),
        fixed.len(),
        unchanged.len(),
        not_checked.len()
    )];
    let gaps = CompareGaps::of(ends(earlier), ends(later));
    if !gaps.unchecked.is_empty() {
        let named: Vec<String> = gaps.unchecked.iter().map(|gap| format!("  {}", plain(gap))).collect();
        parts.push(format!("Scan {} did not check everything\n{}", later.scan_id, named.join("\n")));
    }
    if let Some(outcome) = gaps.outcome(new.len() + fixed.len() + not_checked.len()) {
        parts.push(outcome.to_owned());
    }
    let unchanged = if with_unchanged { &unchanged[..] } else { &[] };
    for (title, findings) in
        [("New", &new[..]), ("Fixed", fixed), ("Not checked", not_checked), ("Unchanged", unchanged)]
    {
        if !findings.is_empty() {
            parts.push(format!("{title}\n{}", table(findings, style)));
        }
    }
    parts.join("\n\n")
}

/// Returns how the plugins of a scan ended.
fn ends(scan: &ScanResultBody) -> impl Iterator<Item = EndedCheck<'_>> {
    scan.checks.iter().map(|check| (check.plugin.as_str(), check.end, check.read_completely))
}

fn table(findings: &[ComparedBody], style: Style) -> String {
    let has_why = findings.iter().any(|finding| !finding.why.is_empty());
    let mut columns = vec![
        Column::new("Severity", 0),
        Column::new("Plugin", 2),
        Column::text("Finding", 0),
        Column::text("Place", 0),
    ];
    if has_why {
        columns.push(Column::text("Why", 1));
    }
    let row = |finding: &ComparedBody| {
        let mut cells = vec![
            severity(finding.severity.name().parse().ok()),
            cell(&plain(&finding.plugin)),
            cell(&plain(&finding.title)),
            cell(&plain(&finding.place)),
        ];
        if has_why {
            cells.push(cell(&plain(&finding.why)));
        }
        cells
    };
    grid(style, &columns, findings.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::testing::Script;
    use kastrel_findings::lifecycle::PluginEnd;
    use serde_json::Value;

    use super::*;
    use crate::cli::scan::tests::World;
    use crate::service::findings::samples::Sample;

    async fn world() -> World {
        let mut world = World::new(Script::Complete(Duration::from_millis(1)));
        for _ in 0..3 {
            assert_eq!(world.run(&["scan", "shop.example"]).await.unwrap(), Exit::Done);
        }
        let cluster = world.cluster.clone();
        let sample = Sample::new(&cluster.store, "default", "shop.example");
        let done = [("testssl", PluginEnd::Completed), ("whatweb", PluginEnd::Completed)];
        let seen = [("testssl", "tls1", "/"), ("whatweb", "old", "/"), ("whatweb", "older", "/")];
        sample.scan(ScanId(1), 100, &done, &seen).await;
        let failed = [("testssl", PluginEnd::Failed), ("whatweb", PluginEnd::Completed)];
        let seen = [("whatweb", "old", "/"), ("whatweb", "new \u{1b}[31m", "/a")];
        sample.scan(ScanId(2), 200, &failed, &seen).await;
        world
    }

    #[tokio::test(start_paused = true)]
    async fn comparison_is_printed_as_tables_and_as_json() {
        let mut world = world().await;
        assert_eq!(world.run(&["compare", "1", "2"]).await.unwrap(), Exit::Done);
        let text = world.out.text();
        assert!(text.contains("Scan 2 compared with scan 1: 1 new, 1 fixed, 1 unchanged, 1 not checked"), "{text}");
        assert!(text.contains("testssl: the plugin failed") && text.contains("checked completely in scan 2"), "{text}");
        assert!(!text.contains("Unchanged") && !text.contains('\u{1b}'), "{text}");
        let before = world.out.text().len();
        assert_eq!(world.run(&["compare", "2", "--json"]).await.unwrap(), Exit::Done);
        let json: Value = serde_json::from_str(&world.out.text()[before..]).unwrap();
        let count = |class: &str| json[class].as_array().unwrap().len();
        assert_eq!((count("new"), count("fixed"), count("unchanged"), count("not_checked")), (1, 1, 1, 1));
        assert_eq!((&json["earlier"]["scan_id"], &json["later"]["scan_id"]), (&1.into(), &2.into()));
        let before = world.out.text().len();
        assert_eq!(world.run(&["compare", "2", "1", "--unchanged"]).await.unwrap(), Exit::Done);
        let text = &world.out.text()[before..];
        assert!(text.contains("Scan 2 compared with scan 1") && text.contains("Unchanged"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn comparison_names_what_the_later_scan_did_not_check() {
        let mut world = world().await;
        assert_eq!(world.run(&["compare", "1", "2"]).await.unwrap(), Exit::Done);
        let text = world.out.text();
        assert!(text.contains("Scan 2 did not check everything\n  testssl: the plugin failed"), "{text}");
        let cluster = world.cluster.clone();
        let sample = Sample::new(&cluster.store, "default", "shop.example");
        let done = [("testssl", PluginEnd::Completed), ("whatweb", PluginEnd::Completed)];
        let seen = [("testssl", "tls1", "/"), ("whatweb", "old", "/"), ("whatweb", "older", "/")];
        sample.scan(ScanId(3), 300, &done, &seen).await;
        let before = text.len();
        assert_eq!(world.run(&["compare", "1", "3"]).await.unwrap(), Exit::Done);
        let text = world.out.text()[before..].to_owned();
        assert!(text.contains("Nothing changed.") && !text.contains("did not check everything"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn scans_that_cannot_be_compared_are_named_with_an_exit_code() {
        let mut world = world().await;
        let missing = world.run(&["compare", "1", "9"]).await.unwrap_err();
        assert!(matches!(missing, CliError::NoScan(ScanId(9))), "{missing}");
        let without = world.run(&["compare", "1", "3"]).await.unwrap_err();
        assert!(matches!(without, CliError::NoResult(ScanId(3))), "{without}");
        let alone = world.run(&["compare", "1"]).await.unwrap_err();
        assert!(matches!(alone, CliError::NothingToCompare(ScanId(1))), "{alone}");
        let same = world.run(&["compare", "1", "1"]).await.unwrap_err();
        assert!(same.exit() == Exit::Usage && same.to_string().contains("with itself"), "{same}");
    }
}
