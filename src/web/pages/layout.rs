//! What is around every page.

use kastrel_actors::model::ScannerKind;

use crate::web::assets;
use crate::web::state::WebInner;
use crate::web::text::{MomentText, clean};
use crate::web::viewer::{Theme, Viewer};

/// What is around every page.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) title: String,
    pub(crate) style_url: String,
    pub(crate) icon_url: String,
    pub(crate) script_url: String,
    pub(crate) nav: Vec<NavLink>,
    pub(crate) theme: &'static str,
    pub(crate) themes: Vec<ThemeChoice>,
    /// The viewer's name, once there are accounts.
    pub(crate) viewer: Option<String>,
    /// Which scanner is used; empty where that is not known.
    pub(crate) scanner: String,
    /// Whether the scanner is the small one, for lack of KAST.
    pub(crate) is_stand_in: bool,
    /// That no scan starts just now.
    pub(crate) pause: Option<Pause>,
    /// What stands at the foot.
    pub(crate) foot: String,
    /// The server's clock, so that running times are right on a machine whose clock is not.
    pub(crate) now: String,
}

/// A place to go.
#[derive(Debug, Clone)]
pub(crate) struct NavLink {
    pub(crate) url: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) label: &'static str,
    pub(crate) is_here: bool,
}

/// A choice of colours.
#[derive(Debug, Clone)]
pub(crate) struct ThemeChoice {
    pub(crate) name: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) label: &'static str,
    pub(crate) is_chosen: bool,
}

/// That no scan starts just now.
#[derive(Debug, Clone)]
pub(crate) struct Pause {
    pub(crate) since: MomentText,
    pub(crate) reason: Option<String>,
}

/// The pages that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Here {
    Overview,
    Scans,
    Supervision,
    Settings,
    Elsewhere,
}

impl Layout {
    /// Around a page of a running server.
    pub(crate) async fn of(web: &WebInner, viewer: &Viewer, here: Here, title: impl Into<String>) -> Self {
        let catalogue = web.catalogue();
        let is_stand_in = catalogue.as_ref().is_some_and(|catalogue| catalogue.scanner.kind == ScannerKind::Builtin);
        // A page is no worse for not knowing; what needs the store says so itself.
        let pause = web.desk().store.paused().await.ok().flatten();
        Self {
            scanner: catalogue.map_or_else(|| "looking for the scanner …".into(), |catalogue| clean(&catalogue.scanner.headline())),
            is_stand_in,
            pause: pause.map(|pause| Pause { since: pause.since.into(), reason: pause.reason.as_deref().map(clean).filter(|reason| !reason.is_empty()) }),
            foot: clean(&format!("Kastrel {} · {}", web.state.info.version, web.state.info.data_label)),
            now: MomentText::from(web.now()).exact,
            viewer: viewer.name.as_deref().map(clean),
            ..Self::bare(viewer.theme, here, title)
        }
    }

    /// Around a page that knows nothing of the server.
    pub(crate) fn bare(theme: Theme, here: Here, title: impl Into<String>) -> Self {
        let choice = |choice: Theme| ThemeChoice {
            name: choice.as_str(),
            icon: match choice {
                Theme::System => "system",
                Theme::Light => "sun",
                Theme::Dark => "moon",
            },
            label: match choice {
                Theme::System => "Colours of the system",
                Theme::Light => "Light colours",
                Theme::Dark => "Dark colours",
            },
            is_chosen: choice == theme,
        };
        Self {
            title: title.into(),
            style_url: assets::url("app.css"),
            icon_url: assets::url("icon.svg"),
            script_url: assets::url("app.js"),
            nav: nav(here),
            theme: theme.as_str(),
            themes: Theme::ALL.map(choice).into(),
            viewer: None,
            scanner: String::new(),
            is_stand_in: false,
            pause: None,
            foot: "Kastrel".into(),
            now: String::new(),
        }
    }

    /// The same for every version of the assets.
    #[cfg(test)]
    pub(crate) fn sample(title: &str) -> Self {
        Self {
            style_url: "/assets/app.css".into(),
            icon_url: "/assets/icon.svg".into(),
            script_url: "/assets/app.js".into(),
            scanner: "built-in scanner 0.1.0 — KAST was not found".into(),
            is_stand_in: true,
            pause: Some(Pause { since: jiff::Timestamp::UNIX_EPOCH.into(), reason: Some(clean(HOSTILE)) }),
            foot: "Kastrel 0.0.0-test · data in /var/lib/kastrel".into(),
            now: "1970-01-01T00:00:00Z".into(),
            ..Self::bare(Theme::System, Here::Elsewhere, title)
        }
    }
}

fn nav(here: Here) -> Vec<NavLink> {
    [
        (Here::Overview, "/", "home", "Overview"),
        (Here::Scans, "/scans", "scans", "Scans"),
        (Here::Supervision, "/supervision", "tree", "Supervision"),
        (Here::Settings, "/settings", "sliders", "Settings"),
    ]
    .map(|(place, url, icon, label)| NavLink { url, icon, label, is_here: place == here })
    .into()
}

/// What keeps a page up to date: its script asks for the page again when its stream of events says that something changed.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) script_url: String,
    /// The stream of events; empty where the page only asks from time to time.
    pub(crate) events_url: String,
    /// How often to ask without a stream.
    pub(crate) poll_ms: u128,
    /// How often a browser without script loads the page again.
    pub(crate) refresh_seconds: u64,
}

impl Live {
    pub(crate) fn new(web: &WebInner, events_url: impl Into<String>) -> Self {
        let poll = web.state.poll_interval;
        Self { script_url: assets::url("live.js"), events_url: events_url.into(), poll_ms: poll.as_millis(), refresh_seconds: poll.as_secs().max(1) }
    }

    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        Self { script_url: "/assets/live.js".into(), events_url: "/api/events".into(), poll_ms: 3000, refresh_seconds: 3 }
    }
}

/// A sentence above everything else.
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

/// A text that tries everything a scanned site could try.
#[cfg(test)]
pub(crate) const HOSTILE: &str = "<script>alert('1')</script>\" onload=\"x\u{1b}[31m\u{202e}&";
