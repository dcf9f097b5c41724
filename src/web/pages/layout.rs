//! The frame of every page: navigation, notices, header and footer.

use kastrel_actors::live::HeldNode;
use kastrel_actors::model::{Grants, HeldBack, ProjectId, ProjectRole, ScannerKind};
use kastrel_actors::policy::access::{Group, may};
use kastrel_actors::policy::waiting::StartBlocker;

use crate::service::access::SignedIn;
use crate::web::assets;
use crate::web::pages::project_names::has_named_project;
use crate::web::pages::reader::Reader;
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean, sentence};
use crate::web::viewer::{Theme, Viewer};
use crate::web::zone::{WallClock, exact};

/// The data of the frame of a page.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) title: String,
    /// Whether only the part of the page is rendered that changes: the page has the rest.
    pub(crate) is_part: bool,
    pub(crate) style_url: String,
    pub(crate) icon_url: String,
    pub(crate) script_url: String,
    pub(crate) nav: Vec<NavLink>,
    pub(crate) theme: &'static str,
    pub(crate) themes: Vec<ThemeChoice>,
    /// The viewer's name; always `None` without accounts.
    pub(crate) viewer: Option<String>,
    /// Whether the viewer may submit scans, and has a link to the form.
    pub(crate) can_scan: bool,
    /// Whether the viewer may pause and resume the queue.
    pub(crate) can_pause: bool,
    /// Whether the viewer may open the about page.
    pub(crate) has_about: bool,
    /// The scanner in use; empty if unknown.
    pub(crate) scanner: String,
    /// Whether the scanner is the built-in one, because KAST is missing.
    pub(crate) is_stand_in: bool,
    /// The blockers that keep scans from starting, for one notice.
    pub(crate) standing: Vec<Standing>,
    /// The text of the footer.
    pub(crate) foot: String,
    /// The server's time, so that running durations are right even if the clock of the viewer's
    /// machine is not.
    pub(crate) now: String,
    /// The time zone of the displayed times; empty on a page without times.
    pub(crate) zone: String,
}

/// A link of the navigation.
#[derive(Debug, Clone)]
pub(crate) struct NavLink {
    pub(crate) url: String,
    pub(crate) icon: &'static str,
    pub(crate) label: &'static str,
    pub(crate) is_here: bool,
}

/// A choice of the colour theme.
#[derive(Debug, Clone)]
pub(crate) struct ThemeChoice {
    pub(crate) name: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) label: &'static str,
    pub(crate) is_chosen: bool,
}

/// A blocker that keeps scans from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The blocker's name in the API.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    /// The cause, the consequence and what to do.
    pub(crate) detail: String,
    pub(crate) since: Option<MomentText>,
    /// The next check, or the end of the hold.
    pub(crate) until: Option<MomentText>,
}

impl Standing {
    fn new(blocker: &StartBlocker, clock: &WallClock) -> Self {
        Self {
            name: blocker.name(),
            title: blocker.title().into(),
            detail: clean(&blocker.detail()),
            since: blocker.since().map(|at| clock.moment(at)),
            until: blocker.until().map(|at| clock.moment(at)),
        }
    }

    pub(crate) fn is_pause(&self) -> bool {
        self.name == "paused"
    }
}

/// Returns the nodes that start no scans while other nodes do, grouped by reason: many nodes on one
/// shared disk have the same reason.
fn held_nodes((nodes, others): (Vec<HeldNode>, bool), clock: &WallClock) -> Vec<Standing> {
    let mut notices: Vec<(Vec<&str>, &HeldBack)> = Vec::new();
    for node in nodes.iter().filter(|_| others) {
        match notices.iter_mut().find(|(_, held)| held.faults == node.held.faults) {
            Some((names, _)) => names.push(node.node.as_str()),
            None => notices.push((vec![node.node.as_str()], &node.held)),
        }
    }
    let notice = |(names, held): (Vec<&str>, &HeldBack)| Standing {
        name: "held_nodes",
        title: format!(
            "{} {} no scans; other nodes do.",
            clean(&names.join(", ")),
            if names.len() == 1 { "starts" } else { "start" }
        ),
        detail: format!("{}.", sentence(&clean(&held.to_string()))),
        since: Some(clock.moment(held.since)),
        until: Some(clock.moment(held.until)),
    };
    notices.into_iter().map(notice).collect()
}

/// The pages of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Overview,
    Scans,
    Targets,
    Findings,
    Shared,
    Supervision,
    Settings,
    Accounts,
    Audit,
    Projects,
    Elsewhere,
}

/// The links of the navigation that not every viewer may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Menu {
    /// The pages of the server: nodes, audit log and settings.
    server: bool,
    accounts: bool,
    projects: bool,
    /// The scans that are shared with the viewer, while there are any.
    shared: bool,
}

impl Menu {
    /// The navigation of a server without accounts.
    const WITHOUT_ACCOUNTS: Self = Self { server: true, accounts: false, projects: false, shared: false };

    /// Returns what the viewer may open. Projects are shown while there is one beside the default
    /// project, to administrators, who create the first one, and to owners, who set clearances.
    async fn of(web: &WebInner, viewer: &Viewer) -> Self {
        if !web.has_accounts() {
            return Self::WITHOUT_ACCOUNTS;
        }
        let grants: &Grants = &viewer.context.grants;
        let server = may(Some(grants), Group::Auditor);
        let projects = match grants.projects_with(ProjectRole::Viewer) {
            Some(_) if grants.highest_role() >= Some(ProjectRole::Owner) => true,
            Some(projects) => projects.iter().any(|project| !project.is_default()),
            None if may(Some(grants), Group::Admin) => true,
            // If the store does not respond, the link is left out.
            None => web.access().projects(&viewer.context).await.is_ok_and(|projects| has_named_project(&projects)),
        };
        Self { server, accounts: server, projects, shared: grants.has_shares() }
    }
}

impl Layout {
    /// Returns the layout of a page, with the state of the server.
    pub(crate) async fn of(web: &WebInner, viewer: &Viewer, here: Here, title: impl Into<String>) -> Self {
        let (catalogue, clock) = (web.catalogue(), web.clock(viewer));
        let is_stand_in = catalogue.as_ref().is_some_and(|catalogue| catalogue.scanner.kind == ScannerKind::Builtin);
        // If the store does not respond, the page shows the last known blockers.
        let (blockers, menu) = tokio::join!(web.queue().start_blockers(), Menu::of(web, viewer));
        let grants: Option<&Grants> = Some(&viewer.context.grants);
        Self {
            scanner: catalogue.map_or_else(
                || "Detecting scanner…".into(),
                |catalogue| sentence(&clean(&catalogue.scanner.headline())),
            ),
            is_stand_in,
            // If no scan starts on any node, there are no other nodes that could start it.
            standing: match blockers.as_slice() {
                [] if menu.server => held_nodes(web.nodes().held(), &clock),
                [] => Vec::new(),
                blockers => blockers.iter().map(|blocker| Standing::new(blocker, &clock)).collect(),
            },
            foot: if menu.server {
                clean(&format!("Kastrel {} · {}", web.state.info.version, web.state.info.data_label))
            } else {
                clean(&format!("Kastrel {}", web.state.info.version))
            },
            now: exact(clock.now),
            zone: viewer.zone.name().into(),
            is_part: viewer.part.is_some(),
            ..Self::bare(viewer.theme, here, title).with_rights(grants, viewer.signed_in.as_ref(), here, Some(menu))
        }
    }

    /// Returns the layout with links to the overview and to the list that keep the chosen project.
    pub(crate) fn in_project(mut self, project: Option<&ProjectId>) -> Self {
        if let Some(project) = project {
            for link in self.nav.iter_mut().filter(|link| matches!(link.url.as_str(), "/" | "/scans")) {
                link.url = format!("{}?project={project}", link.url);
            }
        }
        self
    }

    /// Returns whether the queue is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.standing.iter().any(Standing::is_pause)
    }

    /// Returns the layout of a page for viewers who have not signed in. It shows nothing of the
    /// server.
    pub(crate) fn public(viewer: &Viewer, title: impl Into<String>) -> Self {
        Self::bare(viewer.theme, Here::Elsewhere, title).with_rights(None, None, Here::Elsewhere, None)
    }

    /// Returns the layout of an error page. It needs no read of the store, which may be the cause.
    pub(crate) fn of_error(reader: &Reader<'_>, title: &str) -> Self {
        let bare = Self::bare(reader.theme, Here::Elsewhere, title);
        if !reader.has_accounts {
            return bare;
        }
        let grants = reader.sender.and_then(|sender| sender.identity.grants.as_deref());
        let server = may(grants, Group::Auditor);
        let menu = grants.map(|grants| Menu { server, accounts: server, projects: false, shared: grants.has_shares() });
        let who = reader.sender.and_then(|sender| sender.signed_in.as_ref());
        bare.with_rights(grants, who, Here::Elsewhere, menu)
    }

    /// Returns the layout with the name of the account, and with what these rights allow to open
    /// and to do. Without a menu, it has no navigation.
    fn with_rights(self, grants: Option<&Grants>, who: Option<&SignedIn>, here: Here, menu: Option<Menu>) -> Self {
        Self {
            nav: menu.map(|menu| nav(here, menu)).unwrap_or_default(),
            viewer: who.map(|who| who.account.to_string()),
            can_scan: may(grants, Group::Scanner),
            can_pause: may(grants, Group::Admin),
            has_about: menu.is_some_and(|menu| menu.server),
            ..self
        }
    }

    /// Returns the layout of a page without the state of the server.
    pub(crate) fn bare(theme: Theme, here: Here, title: impl Into<String>) -> Self {
        let choice = |choice: Theme| ThemeChoice {
            name: choice.as_str(),
            icon: match choice {
                Theme::System => "system",
                Theme::Light => "sun",
                Theme::Dark => "moon",
            },
            label: match choice {
                Theme::System => "System colours",
                Theme::Light => "Light colours",
                Theme::Dark => "Dark colours",
            },
            is_chosen: choice == theme,
        };
        Self {
            title: title.into(),
            is_part: false,
            style_url: assets::url("app.css"),
            icon_url: assets::url("icon.svg"),
            script_url: assets::url("app.js"),
            nav: nav(here, Menu::WITHOUT_ACCOUNTS),
            theme: theme.as_str(),
            themes: Theme::ALL.map(choice).into(),
            viewer: None,
            can_scan: true,
            can_pause: true,
            has_about: true,
            scanner: String::new(),
            is_stand_in: false,
            standing: Vec::new(),
            foot: "Kastrel".into(),
            now: String::new(),
            zone: String::new(),
        }
    }

    /// A layout for snapshots, with asset URLs that do not change with the assets.
    #[cfg(test)]
    pub(crate) fn sample(title: &str) -> Self {
        Self {
            style_url: "/assets/app.css".into(),
            icon_url: "/assets/icon.svg".into(),
            script_url: "/assets/app.js".into(),
            scanner: "Built-in scanner 0.1.0 — KAST was not found".into(),
            is_stand_in: true,
            standing: vec![Standing {
                name: "paused",
                title: "Queue paused: no scan starts.".into(),
                detail: clean(HOSTILE),
                since: Some(WallClock::sample().moment(jiff::Timestamp::UNIX_EPOCH)),
                until: None,
            }],
            foot: "Kastrel 0.0.0-test · data in /var/lib/kastrel".into(),
            now: "1970-01-01T00:00:00Z".into(),
            zone: "UTC".into(),
            ..Self::bare(Theme::System, Here::Elsewhere, title)
        }
    }
}

fn nav(here: Here, menu: Menu) -> Vec<NavLink> {
    [
        (true, Here::Overview, "/", "home", "Overview"),
        (true, Here::Scans, "/scans", "scans", "Scans"),
        (true, Here::Targets, "/targets", "target", "Targets"),
        (true, Here::Findings, "/findings", "finding", "Findings"),
        (menu.shared, Here::Shared, "/shared-with-me", "share", "Shared with me"),
        (menu.projects, Here::Projects, "/projects", "project", "Projects"),
        (menu.server, Here::Supervision, "/supervision", "tree", "Nodes"),
        (menu.accounts, Here::Accounts, "/accounts", "account", "Accounts"),
        (menu.server, Here::Audit, "/audit", "audit", "Audit"),
        (menu.server, Here::Settings, "/settings", "sliders", "About"),
    ]
    .into_iter()
    .filter(|(is_shown, ..)| *is_shown)
    .map(|(_, place, url, icon, label)| NavLink { url: url.to_owned(), icon, label, is_here: place == here })
    .collect()
}

/// The data of the script that keeps a page up to date: the script reloads the page when the event
/// stream reports a change.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) script_url: String,
    /// The URL of the event stream; empty if the page only polls.
    pub(crate) events_url: String,
    /// The polling interval without a stream.
    pub(crate) poll_ms: u128,
    /// The reload interval of a browser without JavaScript.
    pub(crate) refresh_seconds: u64,
}

impl Live {
    pub(crate) fn new(web: &WebInner, events_url: impl Into<String>) -> Self {
        let poll = web.state.poll_interval;
        Self {
            script_url: assets::url("live.js"),
            events_url: events_url.into(),
            poll_ms: poll.as_millis(),
            refresh_seconds: poll.as_secs().max(1),
        }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self {
            script_url: "/assets/live.js".into(),
            events_url: "/api/events".into(),
            poll_ms: 3000,
            refresh_seconds: 3,
        }
    }
}

/// A notice at the top of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Notice {
    pub(crate) fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

/// A text with everything that a scanned site could try.
#[cfg(test)]
pub(crate) const HOSTILE: &str = "<script>alert('1')</script>\" onload=\"x\u{1b}[31m\u{202e}&";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::model::{FaultKind, HeldBack, NodeFault, NodeHold, NodeRegistration};
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;

    use super::*;
    use crate::web::testing::{TestApp, text_of};

    #[tokio::test]
    async fn every_page_shows_why_scans_are_held_back() {
        let app = TestApp::new();
        let id = app.submitted("example.com").await;
        app.hold(FaultKind::ResultsFolder, "the results folder /r<b> is missing");
        let scan = format!("/scans/{id}");
        for page in ["/", "/scans", "/new", "/supervision", "/settings", scan.as_str()] {
            let html = text_of(app.get(page).await).await;
            let expected =
                "<strong>Scans are held back.</strong> The results folder /r&#60;b&#62; is missing (make it again).";
            assert!(html.contains(expected), "{page}: {html}");
            assert!(!html.contains("Starts when a slot is free"), "{page}: it waits for something else");
        }
        let shown = text_of(app.get(&scan).await).await;
        assert!(shown.contains("Held back: the results folder /r&#60;b&#62; is missing (make it again). Not counted as an attempt; starts automatically."), "{shown}");
        assert!(
            text_of(app.get("/scans").await).await.contains("Held back: the results folder"),
            "the list says it of each scan that waits"
        );
        app.hold_nothing();
        assert!(!text_of(app.get("/scans").await).await.contains("Held back"));
    }

    #[tokio::test]
    async fn nodes_with_the_same_reason_share_a_notice() {
        let app = TestApp::new();
        let held = |text: &str| HeldBack {
            since: jiff::Timestamp::UNIX_EPOCH,
            until: jiff::Timestamp::UNIX_EPOCH,
            faults: vec![NodeFault::new(FaultKind::ResultsFolder, text, "mount it")],
        };
        for (name, why) in [("a", Some("no disk")), ("b", Some("no disk")), ("c", None)] {
            let hold = NodeHold { node: why.map(held), targets: Vec::new() };
            app.memory
                .register(NodeRegistration { hold, ..fixtures::registration(name) }, Duration::from_secs(30))
                .await
                .unwrap();
        }
        app.services.queue.start_blockers().await;
        let titles = || {
            held_nodes(app.services.nodes.held(), &WallClock::sample())
                .into_iter()
                .map(|notice| notice.title)
                .collect::<Vec<_>>()
        };
        assert_eq!(titles(), ["a, b start no scans; other nodes do."]);
    }
}
