//! The frame of the pages of a public link: it has no navigation, no script and no form for the
//! viewer's choices, and shows nothing of the server.

use crate::web::assets;
use crate::web::viewer::Viewer;

/// The data of the frame.
#[derive(Debug, Clone)]
pub(crate) struct SharedFrame {
    pub(crate) title: String,
    pub(crate) style_url: String,
    pub(crate) icon_url: String,
    pub(crate) theme: &'static str,
}

impl SharedFrame {
    pub(crate) fn new(viewer: &Viewer, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            style_url: assets::url("app.css"),
            icon_url: assets::url("icon.svg"),
            theme: viewer.theme.as_str(),
        }
    }
}
