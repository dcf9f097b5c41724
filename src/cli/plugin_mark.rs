//! How the command line shows the state of a plugin: the one table of its marks and colours.

use comfy_table::Color;
use kastrel_actors::model::{PluginClass, PluginStatus};

/// The mark of a plugin's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// A character before the plugin's line.
    pub(super) glyph: &'static str,
    /// The colour of the word in a table.
    pub(super) colour: Color,
}

/// Returns the mark of a state.
#[must_use]
pub(super) const fn mark(status: PluginStatus) -> Mark {
    let (glyph, colour) = match (status.class(), status) {
        (PluginClass::Waiting, _) => ("·", Color::DarkGrey),
        (PluginClass::Running, _) => ("·", Color::Cyan),
        (PluginClass::Ok, _) => ("✓", Color::Green),
        (PluginClass::Problem, PluginStatus::Failed) => ("✗", Color::Red),
        (PluginClass::LeftOut, _) | (PluginClass::Problem, PluginStatus::NotRun) => ("-", Color::DarkGrey),
        (PluginClass::Problem, _) => ("-", Color::Yellow),
    };
    Mark { glyph, colour }
}
