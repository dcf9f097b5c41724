//! JSON: one document, or one line for the head, for each finding and for the end.

use serde::{Deserialize, Serialize};

use super::finding::ExportedFinding;
use super::head::ExportHead;
use super::writer::{EncodeError, Writer};

/// A line of an export as JSON Lines. The first line is the head, and the export is complete if its
/// last line is the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// The head.
    Head(Box<ExportHead>),
    /// A finding.
    Finding(Box<ExportedFinding>),
    /// The end.
    End {
        /// The number of findings before it.
        findings: u64,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LineRef<'a> {
    Head(&'a ExportHead),
    Finding(&'a ExportedFinding),
    End { findings: u64 },
}

#[derive(Default)]
pub(super) struct JsonLinesWriter {
    findings: u64,
}

impl Writer for JsonLinesWriter {
    fn begin(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        line(&LineRef::Head(head), out)
    }

    fn finding(&mut self, finding: &ExportedFinding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.findings += 1;
        line(&LineRef::Finding(finding), out)
    }

    fn end(&mut self, _: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        line(&LineRef::End { findings: self.findings }, out)
    }
}

fn line(line: &LineRef<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    value(line, out)?;
    out.push(b'\n');
    Ok(())
}

/// Appends a value as JSON on one line.
pub(super) fn value(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    serde_json::to_writer(out, value).map_err(EncodeError::write)
}

#[derive(Default)]
pub(super) struct JsonWriter {
    findings: u64,
}

impl Writer for JsonWriter {
    fn begin(&mut self, head: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(b"{\"head\":");
        value(head, out)?;
        out.extend_from_slice(b",\n\"findings\":[");
        Ok(())
    }

    fn finding(&mut self, finding: &ExportedFinding, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(if self.findings == 0 { &b"\n"[..] } else { &b",\n"[..] });
        self.findings += 1;
        value(finding, out)
    }

    fn end(&mut self, _: &ExportHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(format!("\n],\n\"count\":{}}}\n", self.findings).as_bytes());
        Ok(())
    }
}
