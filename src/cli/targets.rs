//! `kastrel target`: lists, one target, its tags and notes, and new checks of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kastrel_findings::identity::TargetId;
use kastrel_findings::place::Origin;
use serde_json::json;

use super::args::{
    ReadArgs, TagChange, TargetArgs, TargetCheckArgs, TargetCommand, TargetListArgs, TargetNoteArgs, TargetTagArgs,
    WantedTarget,
};
use super::ask::{ask, print};
use super::backend::{Backend, BackendError};
use super::context::{Context, Session};
use super::error::CliError;
use super::exit::Exit;
use super::output::Style;
use super::table::{Column, cell, grid, numeric};
use super::text::{brief, count, plain};
use crate::api_types::{
    AssetBody, RecheckBody, ScanResultBody, TargetBody, TargetCheckBody, TargetDetailBody, TargetEditBody, TargetList,
    TargetParams,
};
use crate::human_time::relative;

/// The most scans and the most assets that are shown.
const MOST_SCANS: usize = 10;
const MOST_ASSETS: usize = 30;
/// The longest text, in characters.
const MOST_LINE: usize = 300;
/// The page in which the target of an address is looked for: all projects may have it.
const PAGE: u32 = 500;

/// Runs the command.
///
/// # Errors
/// The target does not exist, the request is invalid, or neither a server nor the database is
/// available.
pub(super) async fn run(command: &TargetCommand, context: &mut Context) -> Result<Exit, CliError> {
    match command {
        TargetCommand::List(args) => list(args, context).await,
        TargetCommand::Show(args) => show(args, context).await,
        TargetCommand::Tag(args) => tag(args, context).await,
        TargetCommand::Note(args) => note(args, context).await,
        TargetCommand::Check(args) => check(args, context).await,
    }
}

async fn list(args: &TargetListArgs, context: &mut Context) -> Result<Exit, CliError> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let params = TargetParams {
        q: some(args.words.join(" ")),
        tag: some(args.tag.join(",")),
        project: args.project.clone(),
        skip: Some(args.skip),
        limit: Some(args.limit),
    };
    let question = async |session: &Session| session.backend.targets(&params).await;
    let Some(list) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    print(&args.common, context, &list, |list, now, style| text(list, args.skip, now, style))?;
    Ok(Exit::Done)
}

async fn show(args: &TargetArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let Some(id) = resolve(&args.target, session.backend.as_ref()).await? else { return Ok(None) };
        let page = session.page_at(&format!("targets/{id}"));
        Ok(session.backend.target(id).await?.map(|target| (target, page)))
    };
    let found = ask(&args.common, context, question).await?;
    let Some(found) = found else { return Ok(Exit::Interrupted) };
    let (target, page) = found.ok_or_else(|| no_target(&args.target))?;
    print(&args.common, context, &target, |target, now, style| detail(target, page.as_deref(), now, style))?;
    Ok(Exit::Done)
}

async fn tag(args: &TargetTagArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let backend = session.backend.as_ref();
        let Some(id) = resolve(&args.target, backend).await? else { return Ok(None) };
        let Some(target) = backend.target(id).await? else { return Ok(None) };
        let edit = TargetEditBody { tags: Some(changed(&target.target.tags, &args.changes)), notes: None };
        backend.edit_target(id, edit).await
    };
    edited(&args.target, &args.common, context, question).await
}

async fn note(args: &TargetNoteArgs, context: &mut Context) -> Result<Exit, CliError> {
    let question = async |session: &Session| -> Result<_, BackendError> {
        let backend = session.backend.as_ref();
        let Some(id) = resolve(&args.target, backend).await? else { return Ok(None) };
        backend.edit_target(id, TargetEditBody { tags: None, notes: Some(args.text.clone()) }).await
    };
    edited(&args.target, &args.common, context, question).await
}

async fn edited(
    wanted: &WantedTarget,
    common: &ReadArgs,
    context: &mut Context,
    question: impl AsyncFnOnce(&Session) -> Result<Option<TargetDetailBody>, BackendError>,
) -> Result<Exit, CliError> {
    let Some(found) = ask(common, context, question).await? else { return Ok(Exit::Interrupted) };
    let target = found.ok_or_else(|| no_target(wanted))?;
    print(common, context, &target, |target, _, _| {
        let tags =
            if target.target.tags.is_empty() { "none".to_owned() } else { plain(&target.target.tags.join(", ")) };
        let notes = if target.notes.is_empty() { "none".to_owned() } else { brief(&target.notes, MOST_LINE) };
        format!("Target {} changed\nTags:  {tags}\nNotes: {notes}", plain(&target.target.target))
    })?;
    Ok(Exit::Done)
}

async fn check(args: &TargetCheckArgs, context: &mut Context) -> Result<Exit, CliError> {
    let wanted = RecheckBody { plugin: args.plugin.clone(), confirm_active: args.confirm_active };
    let question = async |session: &Session| -> Result<_, BackendError> {
        let backend = session.backend.as_ref();
        let Some(id) = resolve(&args.target, backend).await? else { return Ok(None) };
        backend.check_target(id, wanted).await
    };
    let Some(found) = ask(&args.common, context, question).await? else { return Ok(Exit::Interrupted) };
    let accepted = found.ok_or_else(|| no_target(&args.target))?;
    if let Some(warning) = &accepted.warning {
        context.output.note(&format!("warning: {}", brief(warning, MOST_LINE)));
    }
    let scan = accepted.id;
    let answer = json!({ "scan_id": scan, "warning": accepted.warning });
    print(&args.common, context, &answer, |_, _, _| {
        format!("Scan {scan} submitted. Follow it: kastrel status {scan}")
    })?;
    Ok(Exit::Done)
}

/// Returns the id of a target; `None` if no target has this address.
async fn resolve(wanted: &WantedTarget, backend: &dyn Backend) -> Result<Option<TargetId>, BackendError> {
    let text = match wanted {
        WantedTarget::Id(id) => return Ok(Some(*id)),
        WantedTarget::Address(text) => text,
    };
    let origin = Origin::of_target(text)
        .map_err(|fault| BackendError::Other(format!("{} is no id and no address of a target: {fault}", plain(text))))?
        .to_string();
    let params = TargetParams { q: Some(origin.clone()), limit: Some(PAGE), ..TargetParams::default() };
    let list = backend.targets(&params).await?;
    one_of(&origin, &list.targets)
}

/// Returns the target with this origin.
///
/// # Errors
/// Several projects have it.
fn one_of(origin: &str, targets: &[TargetBody]) -> Result<Option<TargetId>, BackendError> {
    let found: Vec<&TargetBody> = targets.iter().filter(|target| target.target == origin).collect();
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id)),
        several => {
            let all: Vec<String> = several.iter().map(|one| format!("{} in project {}", one.id, one.project)).collect();
            Err(BackendError::Other(format!(
                "several projects have a target {}; name one by its id: {}",
                plain(origin),
                all.join(", ")
            )))
        }
    }
}

fn no_target(wanted: &WantedTarget) -> CliError {
    CliError::NoTarget(wanted.to_string())
}

/// Returns the tags after changes. The tag of a removal need not exist.
pub(super) fn changed(tags: &[String], changes: &[TagChange]) -> Vec<String> {
    let mut tags: BTreeSet<String> = tags.iter().cloned().collect();
    for change in changes {
        match change {
            TagChange::Add(tag) => tags.insert(tag.clone()),
            TagChange::Remove(tag) => tags.remove(tag),
        };
    }
    tags.into_iter().collect()
}

/// Returns the open findings by severity, worst first: `1 critical, 3 high`.
fn open_text(target: &TargetBody) -> String {
    let counts = kastrel_findings::Severity::ALL.iter().filter_map(|severity| {
        let number = target.open.get(severity.name()).filter(|number| **number > 0)?;
        Some(format!("{number} {}", severity.name()))
    });
    let counts: Vec<String> = counts.collect();
    match counts.as_slice() {
        [] if !target.checked => "never checked".into(),
        [] => "none".into(),
        counts => counts.join(", "),
    }
}

fn text(list: &TargetList, skip: u32, now: Timestamp, style: Style) -> String {
    if list.targets.is_empty() {
        return if list.total == 0 { "No targets match.".into() } else { "No targets after --skip.".into() };
    }
    let columns = [
        Column::new("Id", 0),
        Column::text("Target", 0),
        Column::text("Open", 0),
        Column::new("New", 1),
        Column::new("Fixed", 2),
        Column::new("Unchecked", 3),
        Column::new("Last scan", 1),
        Column::text("Tags", 4),
        Column::new("Project", 5),
    ];
    let row = |target: &TargetBody| {
        vec![
            cell(&target.id.to_string()),
            cell(&target.target),
            cell(&open_text(target)),
            numeric(target.new as u64),
            numeric(target.fixed as u64),
            numeric(target.unchecked as u64),
            cell(&format!("{}, {}", target.last_scan.scan_id, relative(target.last_scan.at.at(), now))),
            cell(&target.tags.join(", ")),
            cell(target.project.as_str()),
        ]
    };
    let grid = grid(style, &columns, list.targets.iter().map(row).collect());
    let end = usize::try_from(skip).unwrap_or(usize::MAX).saturating_add(list.targets.len());
    let more = if end < list.total { format!("; see more with --skip {end}") } else { String::new() };
    format!("{grid}\n\n{}{more}", count(list.total as u64, "target"))
}

fn detail(detail: &TargetDetailBody, page: Option<&str>, now: Timestamp, style: Style) -> String {
    let target = &detail.target;
    let mut lines = vec![format!("{} ({})", plain(&target.target), target.id)];
    let mut line = |name: &str, text: &str| {
        if !text.is_empty() {
            lines.push(format!("{:<12}{}", format!("{name}:"), brief(text, MOST_LINE)));
        }
    };
    line("Project", target.project.as_str());
    line("Open", &open_text(target));
    line("Last scan", &format!("{}: {} new, {} fixed", target.last_scan.scan_id, target.new, target.fixed));
    line("Tags", &target.tags.join(", "));
    line("Notes", &detail.notes);
    line("Page", page.unwrap_or_default());
    for (title, table, left_out) in [
        ("Coverage", coverage(&detail.coverage, now, style), 0),
        ("Scans", scans(&detail.scans, now, style), detail.scans.len().saturating_sub(MOST_SCANS)),
        ("Assets", assets(&detail.assets, now, style), detail.assets.len().saturating_sub(MOST_ASSETS)),
    ] {
        if let Some(table) = table {
            lines.push(format!("\n{title}:\n{table}"));
        }
        if left_out > 0 {
            lines.push(format!("… {left_out} more; see all with --json"));
        }
    }
    lines.join("\n")
}

fn coverage(checks: &[TargetCheckBody], now: Timestamp, style: Style) -> Option<String> {
    let columns = [Column::new("Plugin", 0), Column::new("Complete", 0), Column::text("Newest check", 0)];
    let row = |check: &TargetCheckBody| {
        let complete = check.complete.map_or_else(|| "never".to_owned(), |seen| relative(seen.at.at(), now));
        let newest = format!("{}: {}", relative(check.newest.at.at(), now), check.check.reason());
        vec![cell(&check.plugin), cell(&complete), cell(&newest)]
    };
    (!checks.is_empty()).then(|| grid(style, &columns, checks.iter().map(row).collect()))
}

fn scans(scans: &[ScanResultBody], now: Timestamp, style: Style) -> Option<String> {
    let columns = [
        Column::new("Scan", 0),
        Column::new("Ended", 0),
        Column::new("State", 0),
        Column::new("Findings", 0),
        Column::new("New", 0),
        Column::new("Fixed", 0),
    ];
    let row = |scan: &ScanResultBody| {
        vec![
            numeric(scan.scan_id),
            cell(&relative(scan.at.at(), now)),
            cell(scan.status.word()),
            numeric(scan.findings),
            numeric(scan.new),
            numeric(scan.fixed),
        ]
    };
    (!scans.is_empty()).then(|| grid(style, &columns, scans.iter().take(MOST_SCANS).map(row).collect()))
}

fn assets(assets: &[AssetBody], now: Timestamp, style: Style) -> Option<String> {
    let columns = [
        Column::new("Kind", 0),
        Column::text("Name", 0),
        Column::text("Facts", 1),
        Column::new("Valid until", 1),
        Column::new("Last seen", 2),
    ];
    let row = |asset: &AssetBody| {
        let facts: Vec<String> = asset.attributes.iter().map(|(name, value)| format!("{name} {value}")).collect();
        vec![
            cell(&asset.kind),
            cell(&asset.name),
            cell(&facts.join(", ")),
            cell(&asset.valid_until.map_or_else(String::new, |at| relative(at.at(), now))),
            cell(&relative(asset.last_seen.at(), now)),
        ]
    };
    (!assets.is_empty()).then(|| grid(style, &columns, assets.iter().take(MOST_ASSETS).map(row).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::{Moment, SeenBody};

    fn target(id: &str, project: &str) -> TargetBody {
        TargetBody {
            id: id.parse().unwrap(),
            target: "https://shop.example".into(),
            project: project.parse().unwrap(),
            tags: vec!["old".into(), "prod".into()],
            open: [("high".to_owned(), 2), ("low".to_owned(), 1), ("medium".to_owned(), 0)].into(),
            new: 1,
            fixed: 0,
            unchecked: 1,
            checked: true,
            last_scan: SeenBody { scan_id: 7, at: Moment::of(Timestamp::UNIX_EPOCH) },
        }
    }

    #[test]
    fn target_that_was_never_checked_does_not_look_clean() {
        let clean = TargetBody { open: [].into(), ..target("0123456789abcdef", "default") };
        let never = TargetBody { checked: false, ..clean.clone() };
        assert_eq!([&clean, &never].map(open_text), ["none", "never checked"]);
    }

    #[test]
    fn address_of_targets_in_several_projects_is_refused_with_their_ids() {
        let targets = [target("0123456789abcdef", "default"), target("fedcba9876543210", "team")];
        assert_eq!(one_of("https://shop.example", &targets[..1]).unwrap(), Some(targets[0].id));
        assert_eq!(one_of("https://other.example", &targets).unwrap(), None);
        let error = one_of("https://shop.example", &targets).unwrap_err().to_string();
        assert!(error.contains("0123456789abcdef in project default, fedcba9876543210 in project team"), "{error}");
    }

    #[test]
    fn tags_are_changed_in_order_and_each_is_there_once() {
        let add = |tag: &str| TagChange::Add(tag.into());
        let remove = |tag: &str| TagChange::Remove(tag.into());
        for (changes, expected) in [
            (vec![add("eu"), remove("old")], vec!["eu", "prod"]),
            (vec![add("prod"), remove("nowhere")], vec!["old", "prod"]),
            (vec![add("x"), remove("x")], vec!["old", "prod"]),
            (vec![remove("old"), remove("prod")], vec![]),
        ] {
            assert_eq!(changed(&target("0123456789abcdef", "default").tags, &changes), expected, "{changes:?}");
        }
    }

    #[test]
    fn targets_are_listed_and_shown_without_control_characters() {
        let now = Timestamp::from_second(7_200).unwrap();
        let one = target("0123456789abcdef", "default");
        let list = TargetList { targets: vec![one.clone()], total: 5, tags: Vec::new() };
        let shown = text(&list, 0, now, Style::PLAIN);
        for part in ["https://shop.example", "2 high, 1 low", "7, 2 h ago", "5 targets; see more with --skip 1"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let asset = AssetBody {
            kind: "technology".into(),
            name: "nginx\u{1b}[2J on shop".into(),
            plugin: "whatweb".into(),
            attributes: [("version".to_owned(), "1.2".to_owned())].into(),
            valid_until: None,
            first_seen: Moment::of(Timestamp::UNIX_EPOCH),
            last_seen: Moment::of(Timestamp::UNIX_EPOCH),
            scan_id: 7,
        };
        let all = TargetDetailBody {
            target: one,
            notes: "the shop\u{9b}2J".into(),
            first_scan: Moment::of(Timestamp::UNIX_EPOCH),
            coverage: Vec::new(),
            scans: Vec::new(),
            assets: vec![asset; 31],
            may_edit: true,
        };
        let shown = detail(&all, None, now, Style::PLAIN);
        for part in ["Open:       2 high, 1 low", "Notes:      the shop", "nginx on shop", "version 1.2", "… 1 more"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown}");
    }
}
