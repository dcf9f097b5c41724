//! CSV, in UTF-8 with a byte order mark and quotes around every cell, one finding a line. A plugin
//! that did not check everything has a line too, with the state `not_checked`.

use ::csv::{QuoteStyle, WriterBuilder};

use super::cell::safe_cell;
use super::finding::{Baseline, ExportedFinding, ExportedLife, decision_text};
use super::head::ExportHead;
use super::writer::{EncodeError, Writer};

/// The UTF-8 byte order mark. Some spreadsheets assume another encoding without it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The columns. New ones are added at the end.
pub(super) const COLUMNS: [&str; 23] = [
    "finding",
    "status",
    "severity",
    "plugin",
    "issue",
    "title",
    "place",
    "address",
    "target",
    "project",
    "category",
    "evidence",
    "references",
    "members",
    "first_seen",
    "last_seen",
    "open_since",
    "not_checked_since",
    "regressed",
    "owner",
    "decision",
    "baseline",
    "fingerprint",
];

pub(super) struct CsvWriter;

impl Writer for CsvWriter {
    fn begin(&mut self, _: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(BYTE_ORDER_MARK.as_bytes());
        record(COLUMNS.map(str::to_owned), out)
    }

    fn finding(&mut self, finding: &ExportedFinding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        record(cells(finding).map(|cell| safe_cell(&cell)), out)
    }

    fn end(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(scan) = head.scan() else { return Ok(()) };
        for (plugin, gap) in scan.gaps() {
            let cells = COLUMNS.map(|column| match column {
                "status" => "not_checked".to_owned(),
                "plugin" => plugin.to_owned(),
                "title" => format!("Not checked: {}", gap.reason),
                "target" => scan.target_text.clone(),
                "project" => scan.project.to_string(),
                _ => String::new(),
            });
            record(cells.map(|cell| safe_cell(&cell)), out)?;
        }
        Ok(())
    }
}

fn record(cells: [String; COLUMNS.len()], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let mut writer = WriterBuilder::new().quote_style(QuoteStyle::Always).from_writer(&mut *out);
    writer.write_record(&cells).map_err(EncodeError::write)?;
    writer.flush().map_err(EncodeError::write)
}

fn cells(finding: &ExportedFinding) -> [String; COLUMNS.len()] {
    let life = finding.life.as_ref();
    let of_life = |text: fn(&ExportedLife) -> String| life.map(text).unwrap_or_default();
    COLUMNS.map(|column| match column {
        "finding" => finding.id.to_string(),
        "status" => life.map(|life| life.status.name()).unwrap_or_default().to_owned(),
        "severity" => finding.severity.name().to_owned(),
        "plugin" => finding.plugin.clone(),
        "issue" => finding.issue.to_string(),
        "title" => finding.title.clone(),
        "place" => finding.place.clone(),
        "address" => finding.address.clone(),
        "target" => finding.origin.as_ref().map_or_else(|| finding.target.to_string(), ToString::to_string),
        "project" => finding.project.to_string(),
        "category" => finding.category.clone().unwrap_or_default(),
        "evidence" => finding.evidence.clone(),
        "references" => finding.references.join(" "),
        "members" => finding.members_count.to_string(),
        "first_seen" => of_life(|life| format!("{:.0}", life.first_seen)),
        "last_seen" => of_life(|life| format!("{:.0}", life.last_seen)),
        "open_since" => of_life(|life| format!("{:.0}", life.open_since)),
        "not_checked_since" => of_life(|life| life.not_checked_since.map(|at| format!("{at:.0}")).unwrap_or_default()),
        "regressed" => of_life(|life| life.regressed.to_string()),
        "owner" => of_life(|life| life.owner.as_ref().map(ToString::to_string).unwrap_or_default()),
        "decision" => finding.decision().map(decision_text).unwrap_or_default(),
        "baseline" => finding.baseline.map(baseline_name).unwrap_or_default().to_owned(),
        _ => finding.fingerprint.map(|print| print.to_string()).unwrap_or_default(),
    })
}

const fn baseline_name(baseline: Baseline) -> &'static str {
    match baseline {
        Baseline::New => "new",
        Baseline::Unchanged => "unchanged",
        Baseline::Absent => "absent",
    }
}
