//! Tables: aligned text that also works in a pipe, with colours if the terminal supports them.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, presets};
use kastrel_actors::model::{PluginStatus, PluginTone, ScanStatus, Severity};

use super::output::Style;
use super::text::brief;

/// The maximum length of a cell's text, in characters.
const MAX_CELL: usize = 300;

/// A column of a grid.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    /// 0: the column stays on every terminal. On a narrow terminal, the columns with the highest
    /// rank are removed first.
    rank: u8,
    /// Whether its texts may be wrapped.
    breaks: bool,
}

impl Column {
    /// Returns a column whose texts stay on one line.
    #[must_use]
    pub const fn new(title: &'static str, rank: u8) -> Self {
        Self { title, rank, breaks: false }
    }

    /// Returns a column that uses the available width and wraps its texts.
    #[must_use]
    pub const fn text(title: &'static str, rank: u8) -> Self {
        Self { title, rank, breaks: true }
    }
}

/// The minimum width of a column with wrapped texts.
const LEAST_TEXT: u16 = 14;

/// Returns a table as text. On a narrow terminal, the least important columns are left out, so that
/// the others stay readable; a pipe gets all columns.
#[must_use]
pub fn grid(style: Style, columns: &[Column], rows: Vec<Vec<Cell>>) -> String {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    if let Some(width) = style.width {
        let widths = built(Style { width: None, ..style }, columns, &rows, &shown).column_max_content_widths();
        // Each cell has a space on both sides.
        let needs = |at: usize| {
            widths
                .get(at)
                .map_or(0, |width| if columns[at].breaks { (*width).min(LEAST_TEXT) } else { *width })
                .saturating_add(2)
        };
        while shown.iter().map(|at| needs(*at)).fold(0, u16::saturating_add) > width {
            let Some(least) =
                shown.iter().copied().filter(|at| columns[*at].rank > 0).max_by_key(|at| columns[*at].rank)
            else {
                break;
            };
            shown.retain(|at| *at != least);
        }
    }
    rendered(&built(style, columns, &rows, &shown))
}

fn built(style: Style, columns: &[Column], rows: &[Vec<Cell>], shown: &[usize]) -> Table {
    let headers: Vec<&str> = shown.iter().map(|at| columns[*at].title).collect();
    let mut table = table(style, &headers);
    for row in rows {
        table.add_row(shown.iter().filter_map(|at| row.get(*at).cloned()).collect::<Vec<_>>());
    }
    if style.width.is_some() {
        for (column, at) in table.column_iter_mut().zip(shown) {
            if !columns[*at].breaks {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
    }
    table
}

/// Returns an empty table with these headers.
fn table(style: Style, headers: &[&str]) -> Table {
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

/// Returns a cell with untrusted text.
#[must_use]
pub fn cell(text: &str) -> Cell {
    Cell::new(brief(text, MAX_CELL))
}

/// Returns a cell with a number.
#[must_use]
pub fn numeric(number: u64) -> Cell {
    Cell::new(number).set_alignment(CellAlignment::Right)
}

/// Returns a cell with a plugin's state.
#[must_use]
pub fn plugin_status(status: PluginStatus) -> Cell {
    let colour = match status.tone() {
        PluginTone::Waiting | PluginTone::Quiet => Color::DarkGrey,
        PluginTone::Running => Color::Cyan,
        PluginTone::Good => Color::Green,
        PluginTone::Bad => Color::Red,
        PluginTone::Warning => Color::Yellow,
    };
    Cell::new(status.text().word).fg(colour)
}

/// Returns a cell with a scan's state.
#[must_use]
pub fn scan_status(status: ScanStatus) -> Cell {
    let colour = match status {
        ScanStatus::Completed => Color::Green,
        ScanStatus::Failed => Color::Red,
        ScanStatus::Cancelled => Color::Yellow,
        ScanStatus::Running => Color::Cyan,
        ScanStatus::Pending => Color::DarkGrey,
    };
    Cell::new(status.word()).fg(colour)
}

/// Returns a cell with a severity, or `-`.
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

/// Returns the lines of a table without trailing spaces.
fn rendered(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_fewer_columns_and_no_broken_words() {
        let columns = [
            Column::new("Scan", 0),
            Column::new("State", 0),
            Column::text("Target", 0),
            Column::new("Took", 2),
            Column::new("Scanner", 9),
        ];
        let row = |id: u64, target: &str| {
            vec![numeric(id), cell("completed"), cell(target), cell("12 min 30 s"), cell("KAST 3.0.40")]
        };
        let rows = || {
            vec![
                row(1, "example.com"),
                row(1_234, "https://shop.example.com:8443/a/rather/long/path/that/goes/far/beyond"),
            ]
        };
        for (width, titles) in [
            (None, "Scan State Target Took Scanner"),
            (Some(120), "Scan State Target Took Scanner"),
            (Some(60), "Scan State Target Took Scanner"),
            (Some(50), "Scan State Target Took"),
            (Some(34), "Scan State Target"),
        ] {
            let text = grid(Style { width, ..Style::PLAIN }, &columns, rows());
            let header = text.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(header, titles, "{width:?}\n{text}");
            if let Some(width) = width {
                assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}:\n{text}");
                assert_eq!(text.matches("completed").count(), 2, "{width}:\n{text}");
            }
        }
    }
}
