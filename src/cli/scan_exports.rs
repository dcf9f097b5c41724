//! What `kastrel scan` does with the findings of its scan: the gate of `--only-new` and
//! `--baseline`, and the file of `--format`.

use std::path::Path;
use std::time::Duration;

use kastrel_actors::model::{ScanId, Target, TargetError};
use kastrel_findings::place::Origin;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use tokio::time::Instant;

use super::args::ScanArgs;
use super::backend::{ExportBackend, ExportBytes, ScanExportAnswer};
use super::error::CliError;
use super::gate::{Gate, Judgement};
use super::gate_findings::FindingCount;
use super::new_file::NewFile;
use super::output::Output;
use super::view::ScanView;
use crate::exports::baseline::{KnownFindings, MOST_BYTES};
use crate::exports::{ExportedScan, Format, Line, Subject};

/// How long to wait until the findings of a scan that has ended are stored.
const PATIENCE: Duration = Duration::from_secs(60);
/// The interval of that wait.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// The longest line of an export, in bytes.
const MOST_LINE: usize = 4 << 20;

/// What is to be done with the findings, prepared before the scan starts: a wrong file ends the
/// command before anything is scanned.
pub(super) struct ScanExports {
    format: Option<Format>,
    file: Option<NewFile>,
    known: Option<KnownFindings>,
    is_only_new: bool,
}

impl ScanExports {
    /// Reads the baseline and begins the file.
    ///
    /// # Errors
    /// The baseline cannot be read or is of another target, or the file cannot be written.
    pub(super) async fn prepare(args: &ScanArgs, directory: &Path) -> Result<Self, CliError> {
        let format = args.export_format().map_err(CliError::Usage)?;
        if format.is_some() && (args.no_wait || args.dry_run) {
            let flag = if args.no_wait { "--no-wait" } else { "--dry-run" };
            return Err(CliError::Usage(format!("--format: {flag} leaves no findings to write")));
        }
        if format.is_none() && args.output.is_some() {
            return Err(CliError::Usage(
                "--output: name the format of the file, with --format github, json, junit or sarif".into(),
            ));
        }
        if format.is_some() && args.json && args.output.is_none() {
            return Err(CliError::Usage(
                "--json: the findings of --format go to the standard output too; name a file for them with --output"
                    .into(),
            ));
        }
        let known = match &args.baseline {
            Some(path) => {
                let wrong = |why: String| CliError::Usage(format!("--baseline: {}: {why}", path.display()));
                let target = target_of(args)?;
                let file = tokio::fs::File::open(directory.join(path)).await;
                let file = file.map_err(|error| wrong(error.to_string()))?;
                let mut bytes = Vec::new();
                let read = file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).await;
                read.map_err(|error| wrong(error.to_string()))?;
                if bytes.len() > MOST_BYTES {
                    return Err(wrong(format!("it is larger than {} MiB", MOST_BYTES >> 20)));
                }
                Some(KnownFindings::read(&bytes, &target).map_err(|error| wrong(error.to_string()))?)
            }
            None => None,
        };
        let file = match &args.output {
            Some(path) => Some(NewFile::begin(&directory.join(path), true)?),
            None => None,
        };
        Ok(Self { format, file, known, is_only_new: args.only_new })
    }

    /// Returns true if the gate counts findings, and not issues.
    pub(super) const fn counts_findings(&self) -> bool {
        self.is_only_new || self.known.is_some()
    }

    /// Returns true if the findings go to the standard output, and all else to the other one.
    pub(super) const fn has_stdout(&self) -> bool {
        self.format.is_some() && self.file.is_none()
    }

    /// Judges a scan by its findings, as soon as they are stored.
    ///
    /// # Errors
    /// The findings are not stored in time, or cannot be read to their end.
    pub(super) async fn judge(
        &self,
        backend: &dyn ExportBackend,
        id: ScanId,
        gate: &Gate,
        scan: &ScanView,
    ) -> Result<Judgement, CliError> {
        let mut count = FindingCount::new(gate, self.is_only_new, self.known.as_ref());
        let bytes = stored(backend, id, Format::JsonLines).await?;
        let head = read_lines(bytes, |finding| count.add(finding)).await?;
        Ok(count.judge(scan, &head))
    }

    /// Writes the findings of a scan in the format of `--format`, as soon as they are stored.
    ///
    /// # Errors
    /// The findings are not stored in time, or cannot be written.
    pub(super) async fn write(
        self,
        backend: &dyn ExportBackend,
        id: ScanId,
        output: &mut Output,
    ) -> Result<(), CliError> {
        let Some(format) = self.format else { return Ok(()) };
        let bytes = stored(backend, id, format).await?;
        match self.file {
            Some(file) => write_file(bytes, file).await,
            None => write_output(bytes, output).await,
        }
    }
}

/// Returns the target of the scan as its findings have it.
fn target_of(args: &ScanArgs) -> Result<Origin, CliError> {
    let text = args.target.as_deref().unwrap_or_default().trim();
    let target: Target = text.parse().map_err(|error: TargetError| CliError::Usage(format!("target: {error}")))?;
    Origin::of_target(&target.to_string()).map_err(|error| CliError::Usage(format!("target: {error}")))
}

/// Writes an export to a file, which appears completely or not at all.
///
/// # Errors
/// The export breaks, or the file cannot be written.
pub(super) async fn write_file(mut bytes: ExportBytes, mut file: NewFile) -> Result<(), CliError> {
    let mut writer = BufWriter::new(&mut file.file);
    while let Some(piece) = bytes.next().await? {
        writer.write_all(&piece).await?;
    }
    writer.flush().await?;
    drop(writer);
    file.finish().await
}

/// Writes an export to the standard output.
///
/// # Errors
/// The export breaks, or the stream cannot be written.
pub(super) async fn write_output(mut bytes: ExportBytes, output: &mut Output) -> Result<(), CliError> {
    while let Some(piece) = bytes.next().await? {
        output.bytes(&piece)?;
    }
    Ok(())
}

/// Waits until the findings of a scan are stored.
async fn stored(backend: &dyn ExportBackend, id: ScanId, format: Format) -> Result<ExportBytes, CliError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match backend.export_scan(id, format).await? {
            ScanExportAnswer::Bytes(bytes) => return Ok(bytes),
            ScanExportAnswer::Missing => return Err(CliError::NoScan(id)),
            ScanExportAnswer::NotReady if Instant::now() < end => tokio::time::sleep(POLL_EVERY).await,
            ScanExportAnswer::NotReady => return Err(CliError::NotStored(id, PATIENCE.as_secs())),
        }
    }
}

/// Reads an export as JSON Lines, and returns its head.
async fn read_lines(
    mut bytes: ExportBytes,
    mut each: impl FnMut(&crate::exports::ExportedFinding),
) -> Result<ExportedScan, CliError> {
    let broken = || CliError::App("the findings of the scan were not sent to their end".into());
    let (mut rest, mut head, mut findings, mut is_complete) = (Vec::new(), None, 0_u64, false);
    while let Some(piece) = bytes.next().await? {
        rest.extend_from_slice(&piece);
        let mut begin = 0;
        while let Some(end) = rest[begin..].iter().position(|byte| *byte == b'\n') {
            let line: Line = serde_json::from_slice(&rest[begin..begin + end])
                .map_err(|error| CliError::App(format!("the findings of the scan cannot be read: {error}").into()))?;
            begin += end + 1;
            match line {
                Line::Head(found) => match found.subject {
                    Subject::Scan(scan) => head = Some(scan),
                    Subject::Findings { .. } => return Err(broken()),
                },
                Line::Finding(finding) => {
                    findings += 1;
                    each(&finding);
                }
                Line::End { findings: count } => is_complete = count == findings,
            }
        }
        rest.drain(..begin);
        if rest.len() > MOST_LINE {
            return Err(broken());
        }
    }
    head.filter(|_| is_complete && rest.is_empty()).ok_or_else(broken)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use futures_util::stream;

    use super::*;
    use crate::exports::testing::{exported, finding};

    fn bytes(text: &[u8], piece: usize) -> ExportBytes {
        let pieces: Vec<_> = text.chunks(piece).map(|piece| Ok(piece.to_vec())).collect();
        ExportBytes::Here(stream::iter(pieces).boxed())
    }

    #[tokio::test]
    async fn lines_are_read_in_pieces_of_any_length() {
        let text = exported(Format::JsonLines, &[finding(1), finding(2)]);
        for piece in [1, 7, 100_000] {
            let mut seen = Vec::new();
            let head = read_lines(bytes(&text, piece), |finding| seen.push(finding.id)).await.unwrap();
            assert_eq!((head.id, seen), (7, vec![finding(1).id, finding(2).id]), "{piece}");
        }
    }

    #[tokio::test]
    async fn export_that_is_cut_off_is_an_error() {
        let text = exported(Format::JsonLines, &[finding(1), finding(2)]);
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let without_end = lines[..lines.len() - 1].concat();
        let without_finding = [lines[0], lines[1], lines[3]].concat();
        let without_head = lines[1..].concat();
        for cut in [without_end, without_finding, without_head, text[..text.len() - 1].to_vec(), Vec::new()] {
            assert!(read_lines(bytes(&cut, 50), |_| ()).await.is_err(), "{}", String::from_utf8_lossy(&cut));
        }
    }
}
