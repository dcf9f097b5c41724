//! What is around every page.

use crate::web::assets;
use crate::web::state::WebInner;
use crate::web::text::clean;

/// What is around every page.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) title: String,
    pub(crate) style_url: String,
    pub(crate) icon_url: String,
    /// Which scanner is used; empty where that is not known.
    pub(crate) scanner: String,
    /// Whether the scanner is the small one, for lack of KAST.
    pub(crate) is_stand_in: bool,
    /// What stands at the foot.
    pub(crate) foot: String,
}

impl Layout {
    /// Around a page of a running server.
    pub(crate) fn of(web: &WebInner, title: impl Into<String>) -> Self {
        let catalogue = web.catalogue();
        let is_stand_in = catalogue.as_ref().is_some_and(|catalogue| catalogue.scanner.kind == kastrel_actors::model::ScannerKind::Builtin);
        Self {
            scanner: catalogue.map_or_else(|| "looking for the scanner …".into(), |catalogue| clean(&catalogue.headline())),
            is_stand_in,
            foot: clean(&format!("Kastrel {} · {}", web.state.info.version, web.state.info.data_label)),
            ..Self::bare(title)
        }
    }

    /// Around a page that knows nothing of the server.
    pub(crate) fn bare(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            style_url: assets::url("app.css"),
            icon_url: assets::url("icon.svg"),
            scanner: String::new(),
            is_stand_in: false,
            foot: "Kastrel".into(),
        }
    }

    /// The same for every version of the assets.
    #[cfg(test)]
    pub(crate) fn sample(title: &str) -> Self {
        Self {
            title: title.into(),
            style_url: "/assets/app.css".into(),
            icon_url: "/assets/icon.svg".into(),
            scanner: "built-in scanner 0.1.0 — KAST was not found".into(),
            is_stand_in: true,
            foot: "Kastrel 0.0.0-test · data in /var/lib/kastrel".into(),
        }
    }
}

/// A text that tries everything a scanned site could try.
#[cfg(test)]
pub(crate) const HOSTILE: &str = "<script>alert('1')</script>\" onload=\"x\u{1b}[31m\u{202e}&";
