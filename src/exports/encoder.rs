//! Writes an export step by step, in any format.

use super::csv::CsvWriter;
use super::finding::ExportedFinding;
use super::format::Format;
use super::github::GithubWriter;
use super::head::ExportHead;
use super::json::{JsonLinesWriter, JsonWriter};
use super::junit::JunitWriter;
use super::openvex::OpenVexWriter;
use super::sarif::SarifWriter;
use super::writer::{EncodeError, Writer};

/// Writes an export. Bytes are appended to the buffer of the caller, who may send and empty it
/// after each call.
pub struct Encoder {
    head: ExportHead,
    writer: Box<dyn Writer>,
    has_begun: bool,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("head", &self.head).finish_non_exhaustive()
    }
}

impl Encoder {
    /// Creates the encoder of an export.
    #[must_use]
    pub fn new(format: Format, head: ExportHead) -> Self {
        let writer: Box<dyn Writer> = match format {
            Format::Sarif => Box::new(SarifWriter::default()),
            Format::Junit => Box::new(JunitWriter::default()),
            Format::Csv => Box::new(CsvWriter),
            Format::JsonLines => Box::new(JsonLinesWriter::default()),
            Format::Json => Box::new(JsonWriter::default()),
            Format::Github => Box::new(GithubWriter::default()),
            Format::OpenVex => Box::new(OpenVexWriter::default()),
        };
        Self { head, writer, has_begun: false }
    }

    /// Writes findings.
    ///
    /// # Errors
    /// A row cannot be written.
    pub fn findings<'a>(
        &mut self,
        findings: impl IntoIterator<Item = &'a ExportedFinding>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.begin(out)?;
        findings.into_iter().try_for_each(|finding| self.writer.finding(finding, out))
    }

    /// Writes the end. Without it, the export is not complete.
    ///
    /// # Errors
    /// The export cannot be written, or the format needs a finding and there was none.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.begin(out)?;
        self.writer.end(&self.head, out)
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.writer.begin(&self.head, out)?;
        }
        Ok(())
    }
}
