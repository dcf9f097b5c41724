//! Generates `docs/telemetry.md` from the catalogue.

use std::fmt::Write as _;

use super::catalog::{ATTRIBUTES, EVENTS, METRICS, SPANS};
use super::variable_table::{UNHEEDED, VARIABLES};

const INTRODUCTION: &str = include_str!("introduction.md");

/// Returns the page: the text of `introduction.md`, followed by the tables of all names.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "<!-- Generated from src/telemetry: introduction.md, catalog.rs and variable_table.rs. A test fails when they differ; KASTREL_BLESS=1 writes this page anew. -->\n",
    );
    text.push_str(INTRODUCTION);
    text.push_str("\n## Variables\n\nAn empty variable counts as not set. A wrong value is logged with its variable, and ignored; with a wrong address, nothing is sent there.\n");
    let rows = VARIABLES.iter().map(|one| [code(one.name), one.takes.expected(), one.description.into()]);
    table(&mut text, ["variable", "takes", "meaning"], rows);
    text.push_str(
        "\nThe specification names some variables that have no effect here. If one is set, it is logged, as are unknown variables that begin with `OTEL_`.\n",
    );
    table(&mut text, ["variable", "instead"], UNHEEDED.iter().map(|(name, instead)| [code(name), (*instead).into()]));

    text.push_str("\n## Spans\n\nEach span also has `scan.id`, `scan.attempt` and `node.id` where they apply.\n");
    let rows = SPANS
        .iter()
        .map(|one| [code(one.name), one.kind.into(), one.parent.into(), codes(one.attributes), one.description.into()]);
    table(&mut text, ["span", "kind", "under", "attributes", "meaning"], rows);

    text.push_str("\n## Events within spans\n");
    let rows = EVENTS.iter().map(|one| [code(one.name), code(one.span), codes(one.attributes), one.description.into()]);
    table(&mut text, ["event", "span", "attributes", "meaning"], rows);

    text.push_str(
        "\n## Metrics\n\nNo attribute of a metric has more values than there are routes, plugins or kinds of failure: never a target, a scan or a user.\n",
    );
    let unit = |unit: &str| if unit.is_empty() { String::new() } else { code(unit) };
    let rows = METRICS.iter().map(|one| {
        [
            code(one.name),
            code(&one.prometheus_name()),
            one.instrument.as_str().into(),
            unit(one.unit),
            codes(one.attributes),
            one.description.into(),
        ]
    });
    table(&mut text, ["metric", "at `/metrics`", "kind", "unit", "attributes", "meaning"], rows);

    text.push_str("\n## Attributes\n\nAt `/metrics` dots become underscores.\n");
    let rows = ATTRIBUTES.iter().map(|one| [code(one.name), one.kind.into(), one.description.into()]);
    table(&mut text, ["attribute", "kind", "meaning"], rows);
    text
}

fn table<const N: usize>(text: &mut String, heads: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n| {} |\n|{}", heads.join(" | "), "---|".repeat(N));
    for row in rows {
        let cells = row.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn codes(names: &[&str]) -> String {
    names.iter().map(|name| code(name)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Regenerate with
    /// `KASTREL_BLESS=1 cargo nextest run -p kastrel telemetry_page_matches_the_code`.
    #[test]
    fn telemetry_page_matches_the_code() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/telemetry.md");
        if std::env::var_os("KASTREL_BLESS").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), document(), "docs/telemetry.md differs from src/telemetry");
    }
}
