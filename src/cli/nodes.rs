//! `kastrel nodes` lists the processes that run scans; `kastrel drain` drains one of them.

use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::NodeActivity;
use kastrel_actors::service::Services;

use super::args::{DrainArgs, ReadArgs};
use super::backend::{BackendError, context};
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::host::Role;
use super::output::Style;
use super::show::{Shown, show};
use super::table::{Column, cell, grid, numeric};
use super::text::{duration, plain};
use crate::api_types::{NodeBody, NodeList};
use crate::human_time;

/// Runs `kastrel nodes`.
///
/// # Errors
/// Neither a server nor the database is available.
pub(super) async fn list(args: &ReadArgs, context: &mut Context) -> Result<Exit, CliError> {
    let text = |list: &NodeList, now: Timestamp, style: Style| text(&list.nodes, now, style);
    show(args, context, &(), Shown { path: "api/nodes", local: local_list, text }).await
}

async fn local_list(services: &Services, now: Timestamp) -> Result<NodeList, BackendError> {
    Ok(NodeList::of(&services.nodes.list(&context()).await?, now))
}

/// Runs `kastrel drain`.
///
/// # Errors
/// The node does not exist, or neither a server nor the database is available.
pub(super) async fn drain(args: &DrainArgs, context: &mut Context) -> Result<Exit, CliError> {
    let config = context.resolve(&args.config, args.flags(), None)?.config;
    let Some(session) = context.open(&args.server, &config, Role::Offline).await? else {
        return Ok(Exit::Interrupted);
    };
    let within = args.within.map(Duration::from_secs);
    let known = if args.undo {
        session.backend.undo_drain(&args.node).await
    } else {
        session.backend.drain(&args.node, within).await
    };
    session.close().await;
    if !known? {
        return Err(CliError::NoNode(args.node.clone()));
    }
    let text = match (args.undo, args.within) {
        (true, _) => format!("Node {} takes new scans again", args.node),
        (false, None) => format!("Node {} takes no new scans; `kastrel nodes` shows its state", args.node),
        #[expect(clippy::cast_precision_loss, reason = "a text for people")]
        (false, Some(seconds)) => format!(
            "Node {} takes no new scans, and requeues what still runs in {}",
            args.node,
            duration(seconds as f64)
        ),
    };
    context.output.line(&text)?;
    Ok(Exit::Done)
}

fn text(nodes: &[NodeBody], now: Timestamp, style: Style) -> String {
    if nodes.is_empty() {
        return "No worker connected. Start `kastrel worker` or `kastrel serve`.".into();
    }
    let columns = [
        Column::text("Node", 0),
        Column::new("State", 0),
        Column::new("Slots", 0),
        Column::text("Host", 3),
        Column::new("Process", 5),
        Column::new("Up", 1),
        Column::new("Scanner", 2),
        Column::new("Version", 4),
    ];
    let mut rows = Vec::new();
    for node in nodes {
        let state = match (node.alive, &node.held_back) {
            (false, _) => "lost".into(),
            (true, Some(_)) if node.activity == NodeActivity::Active => "held back".into(),
            (true, _) => node.activity.to_string(),
        };
        rows.push(vec![
            cell(&node.id),
            cell(&state),
            cell(&format!("{} of {} busy", node.running, node.capacity)),
            cell(&node.host),
            numeric(u64::from(node.pid)),
            cell(&human_time::duration(now.duration_since(node.started_at.at()))),
            cell(&node.scanner.as_ref().map_or_else(|| "-".into(), kastrel_actors::model::ScannerInfo::label)),
            cell(&node.version),
        ]);
    }
    let held = nodes.iter().filter(|node| node.alive).filter_map(|node| Some((node, node.held_back.as_ref()?)));
    let why = held.flat_map(|(node, held)| {
        held.faults.iter().map(|fault| {
            format!("Node {} starts no scans: {} ({})", plain(&node.id), plain(&fault.text), plain(&fault.remedy))
        })
    });
    std::iter::once(grid(style, &columns, rows)).chain(why).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{ScannerInfo, ScannerKind};

    use super::*;
    use crate::api_types::{FaultBody, HeldBody, Moment};

    fn node(id: &str, activity: NodeActivity, alive: bool) -> NodeBody {
        NodeBody {
            id: id.into(),
            host: "worker-1\u{1b}[31m".into(),
            pid: 42,
            version: "0.1.0".into(),
            capacity: 4,
            running: 2,
            started_at: Moment::of(Timestamp::UNIX_EPOCH),
            uptime_seconds: 3_700,
            lease_expires_at: None,
            alive,
            activity,
            drain_by: None,
            held_back: None,
            scanner: Some(ScannerInfo { kind: ScannerKind::Kast, version: "3.0.40".into(), configuration: None }),
            actors: None,
        }
    }

    #[test]
    fn nodes_are_listed_in_a_table() {
        let nodes = [
            node("a-1", NodeActivity::Active, true),
            node("b-2", NodeActivity::Draining, true),
            node("c-3", NodeActivity::Active, false),
        ];
        let now = Timestamp::from_second(3_700).unwrap();
        insta::assert_snapshot!(text(&nodes, now, Style::PLAIN), @"
        Node  State     Slots        Host      Process  Up         Scanner      Version
        a-1   active    2 of 4 busy  worker-1       42  1 h 1 min  KAST 3.0.40  0.1.0
        b-2   draining  2 of 4 busy  worker-1       42  1 h 1 min  KAST 3.0.40  0.1.0
        c-3   lost      2 of 4 busy  worker-1       42  1 h 1 min  KAST 3.0.40  0.1.0
        ");
        let fault = FaultBody {
            kind: "results_folder".into(),
            text: "the results folder /r is missing".into(),
            remedy: "make it again".into(),
        };
        let held = HeldBody { since: Moment::of(now), until: Moment::of(now), faults: vec![fault] };
        let held = NodeBody { held_back: Some(held), ..node("a-1", NodeActivity::Active, true) };
        insta::assert_snapshot!(text(&[held], now, Style::PLAIN), @"
         Node  State      Slots        Host      Process  Up         Scanner      Version
         a-1   held back  2 of 4 busy  worker-1       42  1 h 1 min  KAST 3.0.40  0.1.0
        Node a-1 starts no scans: the results folder /r is missing (make it again)
        ");
        assert!(text(&[], now, Style::PLAIN).contains("kastrel worker"));
    }
}
