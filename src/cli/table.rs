//! Tables: aligned text that survives a pipe, coloured where the user's terminal wants it.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use kastrel_actors::model::{PluginStatus, ScanStatus, Severity};

use super::output::Style;
use super::text::brief;

/// The longest text in a cell where nothing else bounds it.
const MAX_CELL: usize = 300;

/// An empty table with these headers.
#[must_use]
pub fn table(style: Style, headers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.force_no_tty();
    if style.colour {
        table.enforce_styling();
    }
    match style.width {
        Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(headers.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
    table
}

/// A text that somebody else may have chosen.
#[must_use]
pub fn cell(text: &str) -> Cell {
    Cell::new(brief(text, MAX_CELL))
}

/// A number.
#[must_use]
pub fn numeric(number: u64) -> Cell {
    Cell::new(number).set_alignment(CellAlignment::Right)
}

/// A plugin's state.
#[must_use]
pub fn plugin_status(status: PluginStatus) -> Cell {
    let colour = match status {
        PluginStatus::Completed => Color::Green,
        PluginStatus::Failed => Color::Red,
        PluginStatus::Unavailable | PluginStatus::Interrupted => Color::Yellow,
        PluginStatus::InProgress => Color::Cyan,
        PluginStatus::Pending | PluginStatus::Skipped | PluginStatus::NotRun => Color::DarkGrey,
    };
    Cell::new(status).fg(colour)
}

/// A scan's state.
#[must_use]
pub fn scan_status(status: ScanStatus) -> Cell {
    let colour = match status {
        ScanStatus::Completed => Color::Green,
        ScanStatus::Failed => Color::Red,
        ScanStatus::Cancelled => Color::Yellow,
        ScanStatus::Running => Color::Cyan,
        ScanStatus::Pending => Color::DarkGrey,
    };
    Cell::new(status).fg(colour)
}

/// A severity, where there is one.
#[must_use]
pub fn severity(severity: Option<Severity>) -> Cell {
    let Some(severity) = severity else { return Cell::new("-") };
    let colour = match severity {
        Severity::Critical | Severity::High => Color::Red,
        Severity::Medium => Color::Yellow,
        Severity::Low => Color::Cyan,
        Severity::Informational | Severity::Unknown => Color::DarkGrey,
    };
    Cell::new(severity).fg(colour)
}

/// The table's lines, without spaces at their ends.
#[must_use]
pub fn rendered(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
