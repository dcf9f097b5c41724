//! The supervision page: the actor tree of this node, all nodes, and the pause of the queue.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use kastrel_actors::model::{ActorView, NodeActivity, NodeRecord};

use super::badge::Badge;
use super::layout::{Here, Layout, Live};
use crate::web::error::Problem;
use crate::web::headers::page;
use crate::web::state::Web;
use crate::web::text::{MomentText, clean, duration, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::WallClock;

/// How many scans the tree shows below the supervisor; there may be hundreds.
const MOST_CHILDREN: usize = 50;
const MAX_DEPTH: usize = 6;

/// The supervision page.
#[derive(Template)]
#[template(path = "supervision.html")]
pub(crate) struct SupervisionPage {
    layout: Layout,
    live: Live,
    is_paused: bool,
    /// The events that could not be delivered, as a count; empty if there are none.
    undelivered: String,
    nodes: Vec<NodeRow>,
    /// The tree as a sequence of steps that open and close levels.
    tree: Vec<TreeStep>,
}

/// A step of drawing the tree. Templates are not recursive, so the tree is flattened here.
enum TreeStep {
    Open,
    Actor(Box<ActorRow>),
    /// Ends the actor whose children came before.
    End,
    Close,
}

/// An actor.
struct ActorRow {
    id: String,
    name: String,
    url: Option<String>,
    badge: Badge,
    since: MomentText,
    age: String,
    restarts: u32,
    failure: Option<(MomentText, String)>,
    more: Option<String>,
}

/// A node.
struct NodeRow {
    id: String,
    host: String,
    badge: Badge,
    running: u32,
    capacity: u32,
    version: String,
    pid: u32,
    started: MomentText,
    lease: String,
    actors: Option<String>,
    problem: Option<String>,
}

/// Shows the supervision page.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer) -> Result<Response, Problem> {
    let context = &viewer.context;
    let nodes = async { web.nodes().list(context).await.map_err(Problem::from) };
    let paused = async { web.queue().paused(context).await.map_err(Problem::from) };
    let deliveries = async { web.audit().backlog(context).await.map_err(Problem::from) };
    let (nodes, paused, deliveries) = tokio::try_join!(nodes, paused, deliveries)?;
    let clock = web.clock(&viewer);
    let mut tree = Vec::new();
    lay_out(&web.nodes().supervision(context)?, &clock, 0, &mut tree);
    Ok(page(&SupervisionPage {
        layout: Layout::of(&web, &viewer, Here::Supervision, "Nodes").await,
        live: Live::new(&web, ""),
        is_paused: paused.is_some(),
        undelivered: undelivered(deliveries.dead_letters),
        nodes: nodes.iter().map(|node| NodeRow::new(node, &clock)).collect(),
        tree,
    }))
}

fn undelivered(dead_letters: u64) -> String {
    match dead_letters {
        0 => String::new(),
        1 => "1 event".into(),
        many => format!("{many} events"),
    }
}

fn lay_out(actor: &ActorView, clock: &WallClock, depth: usize, steps: &mut Vec<TreeStep>) {
    let shown = if depth < MAX_DEPTH { actor.children.len().min(MOST_CHILDREN) } else { 0 };
    let left_out = actor.children.len() - shown;
    let more = (left_out > 0).then(|| format!("and {left_out} more"));
    steps.push(TreeStep::Actor(Box::new(ActorRow::new(actor, clock, more))));
    if shown > 0 {
        steps.push(TreeStep::Open);
        for child in actor.children.iter().take(shown) {
            lay_out(child, clock, depth + 1, steps);
        }
        steps.push(TreeStep::Close);
    }
    steps.push(TreeStep::End);
}

impl ActorRow {
    fn new(actor: &ActorView, clock: &WallClock, more: Option<String>) -> Self {
        let scan = actor.name.strip_prefix("scan-").filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
        Self {
            id: clean(&actor.name),
            name: scan.map_or_else(|| clean(&actor.name), |id| format!("scan {id}")),
            url: scan.map(|id| format!("/scans/{id}")),
            badge: state_badge(&actor.state),
            since: clock.moment(actor.since),
            age: duration(clock.now.duration_since(actor.since)),
            restarts: actor.restarts,
            failure: actor.last_failure.as_ref().map(|failure| (clock.moment(failure.at), clean(&failure.reason))),
            more,
        }
    }
}

/// Returns the badge of an actor's state, in the style of a scan state that users know.
fn state_badge(state: &str) -> Badge {
    let (name, icon) = match state {
        "running" | "serving" | "held" | "watching" | "well" | "waiting for a job" => ("ok", "completed"),
        "starting" | "acquiring" | "checking" | "restarting" | "stopping" | "shutting down" | "recording" => {
            ("active", "running")
        }
        state if state.starts_with("held back") || state.starts_with("waiting") => ("warning", "unavailable"),
        state if state == "failed" || state.starts_with("lost") || state.contains("not responding") => {
            ("failed", "failed")
        }
        _ => ("still", "info"),
    };
    Badge::new(name, icon, sentence(&clean(state)))
}

impl NodeRow {
    fn new(node: &NodeRecord, clock: &WallClock) -> Self {
        let registration = &node.registration;
        let badge = match (node.is_alive, node.activity()) {
            (false, _) => Badge::new("failed", "failed", "Lost"),
            (true, NodeActivity::Active) if registration.hold.node.is_some() => {
                Badge::new("warning", "unavailable", "Held back")
            }
            (true, NodeActivity::Active) => Badge::new("ok", "completed", "Active"),
            (true, NodeActivity::Draining) => Badge::new("warning", "pause", "Draining"),
            (true, NodeActivity::Drained) => Badge::new("skipped", "pause", "Drained"),
            (true, NodeActivity::Stopping) => Badge::new("skipped", "stop", "Stopping"),
        };
        let lease = if node.is_alive {
            format!("Expires in {}", duration(node.expires_at.duration_since(clock.now)))
        } else {
            format!("Expired {} ago; its scans are taken over", duration(clock.now.duration_since(node.expires_at)))
        };
        let held = registration.hold.node.as_ref().filter(|_| node.is_alive).map(|held| clean(&held.to_string()));
        let problem = held.or_else(|| registration.actors.as_ref().and_then(worst));
        Self {
            id: clean(registration.id.as_str()),
            host: clean(&registration.host),
            badge,
            running: registration.running,
            capacity: registration.capacity,
            version: clean(&registration.version),
            pid: registration.pid,
            started: clock.moment(registration.started_at),
            lease,
            actors: registration.actors.as_ref().map(|root| {
                let (count, restarts) = count(root);
                format!("{count} actors, {restarts} restarts")
            }),
            problem,
        }
    }
}

/// Returns the number of actors in a tree, and the number of their restarts.
fn count(actor: &ActorView) -> (usize, u32) {
    actor
        .children
        .iter()
        .map(count)
        .fold((1, actor.restarts), |(actors, restarts), (more, also)| (actors + more, restarts.saturating_add(also)))
}

/// Returns the last failure anywhere in a tree.
fn worst(actor: &ActorView) -> Option<String> {
    let own = actor.last_failure.as_ref().map(|failure| (failure.at, format!("{}: {}", actor.name, failure.reason)));
    fn all(actor: &ActorView, found: &mut Vec<(Timestamp, String)>) {
        for child in &actor.children {
            found.extend(
                child.last_failure.as_ref().map(|failure| (failure.at, format!("{}: {}", child.name, failure.reason))),
            );
            all(child, found);
        }
    }
    let mut found: Vec<_> = own.into_iter().collect();
    all(actor, &mut found);
    found.into_iter().max_by_key(|(at, _)| *at).map(|(_, text)| clean(&text))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{ActorFailure, CancelledBy};
    use kastrel_actors::policy::delivery::LEASE;
    use kastrel_actors::ports::Outbox as _;
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    fn actor(name: &str, children: Vec<ActorView>) -> ActorView {
        let failure = ActorFailure { at: Timestamp::UNIX_EPOCH, reason: format!("{HOSTILE} in {name}") };
        ActorView {
            name: name.into(),
            state: "running".into(),
            since: Timestamp::UNIX_EPOCH,
            restarts: 2,
            last_failure: Some(failure),
            children,
        }
    }

    impl SupervisionPage {
        fn sample() -> Self {
            let (at, clock) = (Timestamp::UNIX_EPOCH, WallClock::sample());
            let mut tree = Vec::new();
            let scans = (1..=52).map(|id| actor(&format!("scan-{id}"), Vec::new())).collect();
            lay_out(&actor("node", vec![actor("supervisor", scans), actor("lease", Vec::new())]), &clock, 0, &mut tree);
            let mut node = NodeRecord {
                registration: fixtures::registration("node-a"),
                expires_at: at,
                is_alive: false,
                drain_by: None,
            };
            node.registration.actors = Some(actor("node", vec![actor("lease", Vec::new())]));
            Self {
                layout: Layout::sample("Nodes"),
                live: Live::sample(),
                is_paused: false,
                undelivered: String::new(),
                nodes: vec![NodeRow::new(&node, &clock)],
                tree,
            }
        }
    }

    #[test]
    fn supervision_page_matches_snapshot() {
        let html = SupervisionPage::sample().render().unwrap();
        assert!(!html.contains("<script>"));
        assert_eq!(html.matches("<ul").count(), html.matches("</ul>").count());
        assert_eq!(html.matches("<li>").count() + html.matches("<li ").count(), html.matches("</li>").count());
        insta::assert_snapshot!(html);
    }

    #[test]
    fn actor_badge_shows_the_health_of_the_state() {
        for (state, look) in [
            ("running", "ok"),
            ("waiting for a job", "ok"),
            ("waiting for the lease", "warning"),
            ("held", "ok"),
            ("well", "ok"),
            ("checking", "active"),
            ("held back: too many attempts of several targets failed", "warning"),
            ("waiting for the first check of this node", "warning"),
            ("held back: the disk does not answer", "warning"),
            ("store not responding", "failed"),
            ("lost: the lease ended", "failed"),
            ("acquiring", "active"),
            ("released", "still"),
        ] {
            assert_eq!(state_badge(state).name, look, "{state}");
        }
    }

    #[test]
    fn node_badge_shows_its_lease_and_directives() {
        let (now, later) = (Timestamp::from_second(100).unwrap(), Timestamp::from_second(130).unwrap());
        for (expires_at, activity, drain_by, label) in [
            (later, NodeActivity::Active, None, "Active"),
            (later, NodeActivity::Active, Some(later), "Draining"),
            (later, NodeActivity::Draining, Some(later), "Draining"),
            (later, NodeActivity::Drained, Some(later), "Drained"),
            (later, NodeActivity::Drained, None, "Active"),
            (later, NodeActivity::Stopping, None, "Stopping"),
            (now, NodeActivity::Active, None, "Lost"),
        ] {
            let mut registration = fixtures::registration("a");
            registration.activity = activity;
            assert_eq!(
                NodeRow::new(
                    &NodeRecord { registration, expires_at, is_alive: expires_at > now, drain_by },
                    &WallClock { now, zone: crate::web::zone::Zone::default() }
                )
                .badge
                .label,
                label
            );
        }
    }

    #[tokio::test]
    async fn supervision_page_shows_events_that_could_not_be_delivered() {
        let app = TestApp::new();
        let notice = async || text_of(app.get("/supervision").await).await.contains(r#"id="undelivered""#);
        assert!(!notice().await);
        let id = app.submitted("example.com").await;
        app.services.scans.cancel(&fixtures::context(), id, CancelledBy::User).await.unwrap();
        let entry = app.memory.lease_entries("relay", 1, LEASE).await.unwrap().entries.remove(0);
        assert!(!notice().await, "an event that waits is no trouble");
        app.memory.bury("relay", entry.key, &[], "no disk").await.unwrap();
        let html = text_of(app.get("/supervision").await).await;
        assert!(html.contains(r#"id="undelivered""#) && html.contains("1 event could not be delivered"), "{html}");
        assert!(html.contains(r#"href="/api/dead-letters""#), "{html}");
    }

    #[tokio::test]
    async fn supervision_page_shows_the_tree_down_to_the_scans() {
        let app = TestApp::new();
        for name in ["node", "supervisor"] {
            app.snapshots.status.actor(name, Timestamp::UNIX_EPOCH, |view| view.state = "running".into());
        }
        let scan = app.running("example.com").await;
        app.snapshots.update_attempt(scan.id, scan.token, |live| {
            live.phase(kastrel_actors::model::AttemptPhase::Running);
        });
        let html = text_of(app.get("/supervision").await).await;
        assert!(
            html.contains(r#"href="/scans/1""#) && html.contains("supervisor") && html.contains("node-a"),
            "{html}"
        );
    }
}
