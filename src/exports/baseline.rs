//! Reads the fingerprints of an earlier export, so that a gate counts only findings that are not in
//! it.
//!
//! A fingerprint has no target: the same fault of two sites has one fingerprint. So the export of a
//! scan must be of the target that is scanned, and of an export over several targets only the
//! findings of this one are known.

use std::collections::{BTreeMap, BTreeSet};

use kastrel_findings::identity::{Fingerprint, FingerprintFault};
use kastrel_findings::place::Origin;
use kastrel_findings::text::clean;
use serde::Deserialize;

use super::finding::Baseline;
use super::sarif::FINGERPRINT_KEY;

/// The largest file that is read, in bytes.
pub const MOST_BYTES: usize = 256 << 20;

/// The fingerprints that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownFindings(BTreeSet<Fingerprint>);

/// A file is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is JSON of another kind.
    #[error("it is no export of findings: expected a file of `kastrel scan --format json` or `sarif`")]
    NotAnExport,
    /// It was written by another tool.
    #[error("it has results without a fingerprint `{FINGERPRINT_KEY}`: it is not by Kastrel")]
    NotByKastrel,
    /// A fingerprint cannot be read.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintFault),
    /// It is the export of a scan of another target.
    #[error("it is of a scan of {found}, and this scan is of {wanted}")]
    OtherTarget {
        /// The target in the file, without control characters.
        found: String,
        /// The target of the scan.
        wanted: String,
    },
    /// The end is missing.
    #[error("it is cut off: the line `end` is missing")]
    CutOff,
}

/// The parts of a document that matter: of SARIF, of JSON, or of a line.
#[derive(Deserialize)]
struct Document {
    runs: Option<Vec<Run>>,
    findings: Option<serde_json::Value>,
    head: Option<Head>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The scan, in the line of the head.
    scan: Option<Scan>,
    #[serde(flatten)]
    finding: Known,
}

#[derive(Deserialize)]
struct Head {
    scan: Option<Scan>,
}

#[derive(Deserialize)]
struct Scan {
    target_text: String,
}

#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    invocations: Vec<Invocation>,
    #[serde(default)]
    results: Vec<SarifFinding>,
}

#[derive(Deserialize)]
struct Invocation {
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
struct Properties {
    target: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SarifFinding {
    #[serde(default)]
    partial_fingerprints: BTreeMap<String, String>,
    baseline_state: Option<String>,
    #[serde(default)]
    properties: Properties,
}

/// The parts of a finding that matter.
#[derive(Deserialize)]
struct Known {
    fingerprint: Option<String>,
    baseline: Option<Baseline>,
    origin: Option<String>,
}

impl KnownFindings {
    /// Reads an export as SARIF, JSON or JSON Lines, for a scan of this target. Findings that it
    /// has as fixed are not known, and neither are those of other targets.
    ///
    /// # Errors
    /// The file is no export, it is cut off, or it is of a scan of another target.
    pub fn read(bytes: &[u8], target: &Origin) -> Result<Self, BaselineError> {
        let mut known = Self::default();
        let (mut lines, mut is_of_scan) = (None, false);
        for document in serde_json::Deserializer::from_slice(bytes).into_iter::<Document>() {
            let document = document?;
            match (document.runs, document.findings, document.kind.as_deref()) {
                (Some(runs), ..) => {
                    known.add_results(runs, target)?;
                    lines = Some(true);
                }
                (None, Some(findings), None) if document.head.is_some() => {
                    let scan = document.head.and_then(|head| head.scan);
                    let is_of_scan = is_of_scan_of(scan.as_ref().map(|scan| scan.target_text.as_str()), target)?;
                    for finding in serde_json::from_value::<Vec<Known>>(findings)? {
                        known.add(&finding, is_of_scan, target)?;
                    }
                    lines = Some(true);
                }
                (None, _, Some("head")) => {
                    let text = document.scan.as_ref().map(|scan| scan.target_text.as_str());
                    (lines, is_of_scan) = (Some(false), is_of_scan_of(text, target)?);
                }
                (None, _, Some("end")) if lines == Some(false) => lines = Some(true),
                (None, _, Some("finding")) if lines == Some(false) => {
                    known.add(&document.finding, is_of_scan, target)?;
                }
                _ => return Err(BaselineError::NotAnExport),
            }
        }
        match lines {
            Some(true) => Ok(known),
            Some(false) => Err(BaselineError::CutOff),
            None => Err(BaselineError::NotAnExport),
        }
    }

    /// Returns true if this finding is known.
    #[must_use]
    pub fn has(&self, fingerprint: Option<Fingerprint>) -> bool {
        fingerprint.is_some_and(|print| self.0.contains(&print))
    }

    /// Returns the number of known findings.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn add_results(&mut self, runs: Vec<Run>, target: &Origin) -> Result<(), BaselineError> {
        for run in runs {
            let scanned = run.invocations.iter().find_map(|invocation| invocation.properties.target.as_deref());
            let is_of_scan = is_of_scan_of(scanned, target)?;
            for result in run.results {
                if result.baseline_state.as_deref() == Some("absent") {
                    continue;
                }
                let print = result.partial_fingerprints.get(FINGERPRINT_KEY).ok_or(BaselineError::NotByKastrel)?;
                let print: Fingerprint = print.parse()?;
                if is_of_scan || is_of(result.properties.target.as_deref(), target) {
                    self.0.insert(print);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, finding: &Known, is_of_scan: bool, target: &Origin) -> Result<(), BaselineError> {
        if finding.baseline != Some(Baseline::Absent) {
            let print: Fingerprint = finding.fingerprint.as_deref().ok_or(BaselineError::NotByKastrel)?.parse()?;
            if is_of_scan || is_of(finding.origin.as_deref(), target) {
                self.0.insert(print);
            }
        }
        Ok(())
    }
}

/// Returns true if the export is of a scan of this target, and false if it is of no scan.
fn is_of_scan_of(scanned: Option<&str>, target: &Origin) -> Result<bool, BaselineError> {
    match scanned {
        None => Ok(false),
        Some(_) if is_of(scanned, target) => Ok(true),
        Some(text) => Err(BaselineError::OtherTarget { found: clean(text, 200), wanted: target.to_string() }),
    }
}

/// Returns true if a text names this target: as its address, or as the label of a scan, which has
/// the name in ASCII in brackets if it has two.
fn is_of(text: Option<&str>, target: &Origin) -> bool {
    let Some(text) = text else { return false };
    let in_ascii = text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")).map_or(text, |(_, ascii)| ascii);
    Origin::of_target(in_ascii).is_ok_and(|origin| origin == *target)
}
