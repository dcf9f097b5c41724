//! Cells of CSV files that no spreadsheet takes for a formula.

/// Returns whether a spreadsheet takes a text that begins with `c` for a formula:
/// <https://owasp.org/www-community/attacks/CSV_Injection>. East Asian spreadsheets also accept the
/// full-width forms.
#[must_use]
pub const fn begins_formula(c: char) -> bool {
    matches!(
        c,
        '=' | '+' | '-' | '@' | '|' | '%' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}' | '\t' | '\r' | '\n'
    )
}

/// Returns whether some spreadsheet, or some locale's settings of one, begins a new cell at `c`,
/// even inside quotes.
const fn separates(c: char) -> bool {
    matches!(c, ',' | ';' | '\t' | '|' | '\r' | '\n')
}

/// Makes a cell safe: no spreadsheet takes it for a formula, nor any part of it if the spreadsheet
/// splits it at another separator. An apostrophe in front turns a formula into text.
#[must_use]
pub fn safe_cell(cell: &str) -> String {
    let mut safe = String::with_capacity(cell.len() + 1);
    let mut is_begin = true;
    for (at, c) in cell.char_indices() {
        if is_begin {
            // Some spreadsheets drop blanks and quotes before the first character.
            let first = cell[at..].chars().find(|c| !matches!(c, ' ' | '"' | '\'' | '\u{a0}' | '\u{feff}'));
            if first.is_some_and(begins_formula) {
                safe.push('\'');
            }
        }
        safe.push(c);
        is_begin = separates(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells_and_their_parts_are_no_formulas() {
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-1", "'-1"),
            ("+1", "'+1"),
            ("\tx", "'\tx"),
            ("|x", "'|x"),
            ("a=1", "a=1"),
            ("", ""),
            (" =1", "' =1"),
            ("\"=1", "'\"=1"),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            // The parts that another separator makes cells of.
            ("a;=1", "a;'=1"),
            ("a,=1", "a,'=1"),
            ("a\t@x", "a\t'@x"),
            ("a\n-1", "a\n'-1"),
            ("a; \"=1\"", "a;' \"=1\""),
            ("a;b;c", "a;b;c"),
            ("https://example.com/?a=1;b=-2", "https://example.com/?a=1;b=-2"),
            ("a;;+1", "a;;'+1"),
        ] {
            assert_eq!(safe_cell(cell), written, "{cell:?}");
        }
    }
}
