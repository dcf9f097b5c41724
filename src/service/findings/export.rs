//! Exports of findings as streams of bytes, in the formats of [`crate::exports`].
//!
//! What a scan saw is read and written chunk by chunk. Beside that, an export of a scan keeps, of
//! each finding that it saw, the state and, where there is an earlier scan, the class.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kastrel_actors::model::{FieldError, ObservedRecord, RequestContext, ScanId, ScanResult};
use kastrel_actors::service::CommandError;
use kastrel_findings::identity::{FindingId, Fingerprint};
use kastrel_findings::lifecycle::Status;

use super::classes::Classes;
use super::compare::CompareError;
use super::query::FindingFilter;
use super::service::FindingService;
use crate::exports::{
    Baseline, EncodeError, Encoder, ExportHead, ExportedFinding, ExportedLife, ExportedScan, Format, Subject,
};

/// An export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The findings could not be read.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// They could not be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// An export. Its first bytes are there, so a later error breaks it midway.
pub struct FindingExport {
    /// The format.
    pub format: Format,
    /// A name for its file.
    pub file_name: String,
    bytes: BoxStream<'static, Result<Vec<u8>, ExportError>>,
}

impl std::fmt::Debug for FindingExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FindingExport").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}

impl FindingExport {
    /// Returns the bytes in pieces. After an error, nothing follows.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Vec<u8>, ExportError>> {
        self.bytes
    }
}

/// The answer to a request for the export of a scan.
#[derive(Debug)]
pub enum ScanExport {
    /// The scan does not exist, or may not be read.
    Missing,
    /// The scan has not ended.
    NotEnded,
    /// The scan ended before its first attempt, so it has no findings and never will.
    NothingChecked,
    /// The scan has ended, and what it saw is not stored yet.
    NotStored,
    /// The export.
    Export(FindingExport),
}

impl FindingService {
    /// Exports what a scan saw, compared with the last comparable scan of its target.
    ///
    /// # Errors
    /// The findings may not be read, the store does not respond, or the format needs a finding and
    /// no finding matches.
    pub async fn export_scan(
        &self,
        context: &RequestContext,
        scan: ScanId,
        format: Format,
    ) -> Result<ScanExport, ExportError> {
        let Some(snapshot) = self.scans.scan(context, scan).await.map_err(CommandError::from)? else {
            return Ok(ScanExport::Missing);
        };
        let record = &snapshot.record;
        if !record.status().is_terminal() {
            return Ok(ScanExport::NotEnded);
        }
        let Some(result) = self.result_of(context, scan).await? else {
            let was_tried = record.last_attempt().is_some();
            return Ok(if was_tried { ScanExport::NotStored } else { ScanExport::NothingChecked });
        };
        let classes = match self.classes_since_last(context, scan).await {
            Ok(classes) => classes,
            Err(CompareError::Store(error)) => return Err(CommandError::from(error).into()),
            // The earlier scan is gone in the meantime, or may not be read: nothing is compared.
            Err(_) => None,
        };
        let now = self.clock.now();
        let compared_with = classes.as_ref().map(|classes| classes.earlier.scan.0);
        let head =
            ExportedScan::of(&result, &record.request.target.label(), compared_with, &record.coverage().left_out);
        let lives = self.lives_of(context, &result, classes.as_ref(), now).await?;
        let (states, absent) = match classes {
            Some(Classes { earlier, seen, fixed }) => (Some(seen), self.absent(context, earlier, fixed, now)),
            None => (None, stream::empty().boxed()),
        };
        let marks = Marks { result, lives, states };

        let observed = self.observed(&marks.result).map_err(|error| ExportError::from(CommandError::from(error)));
        let observed = observed.map_ok(move |chunk| {
            let marked = |record| marks.marked(ExportedFinding::of_observed(&marks.result, record));
            chunk.iter().map(marked).collect::<Vec<_>>()
        });
        let head = ExportHead::new(now, Subject::Scan(head));
        let file_name = format!("kastrel-scan-{scan}.{}", format.extension());
        begun(format, file_name, head, observed.chain(absent).boxed()).await.map(ScanExport::Export)
    }

    /// Exports the stored findings that match a filter, target by target. As OpenVEX, these are the
    /// findings of targets in all states.
    ///
    /// # Errors
    /// The findings may not be read, the store does not respond, the format needs a finding and no
    /// finding matches, or it needs all findings of a target and the filter leaves some out.
    pub async fn export_findings(
        &self,
        context: &RequestContext,
        filter: &FindingFilter,
        format: Format,
    ) -> Result<FindingExport, ExportError> {
        let now = self.clock.now();
        let of_targets;
        let filter = if format == Format::OpenVex {
            of_targets = filter_of_targets(filter).map_err(CommandError::from)?;
            &of_targets
        } else {
            filter
        };
        let records = self.records(context, filter).map_err(ExportError::from).map_ok(move |records| {
            records.iter().map(|record| ExportedFinding::of_record(record, now)).collect::<Vec<_>>()
        });
        let head = ExportHead::new(now, Subject::Findings { filter: filter.to_string() });
        begun(format, format!("kastrel-findings.{}", format.extension()), head, records.boxed()).await
    }

    /// Returns the states of the findings that a scan saw; of all findings of its target, if it is
    /// not compared with another scan. A principal who may read the scan and not the project sees
    /// none.
    async fn lives_of(
        &self,
        context: &RequestContext,
        result: &ScanResult,
        classes: Option<&Classes>,
        now: Timestamp,
    ) -> Result<HashMap<FindingId, ExportedLife>, ExportError> {
        let filter = FindingFilter {
            statuses: Status::ALL.into(),
            targets: [result.target.to_string()].into(),
            projects: [result.project.clone()].into(),
            ..FindingFilter::default()
        };
        let is_seen = |id: FindingId| classes.is_none_or(|classes| classes.seen.contains_key(&id));
        let mut lives = HashMap::new();
        let mut records = self.records(context, &filter);
        while let Some(chunk) = records.next().await {
            match chunk {
                Ok(chunk) => {
                    let seen = chunk.iter().filter(|record| is_seen(record.id));
                    lives.extend(seen.map(|record| (record.id, ExportedLife::of(record, now))));
                }
                Err(CommandError::Denied(_)) => return Ok(HashMap::new()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lives)
    }

    /// Returns the findings that a scan proves fixed, in the order of the earlier scan, which is
    /// read again chunk by chunk.
    fn absent(
        &self,
        context: &RequestContext,
        earlier: ScanResult,
        fixed: BTreeSet<Fingerprint>,
        now: Timestamp,
    ) -> Findings {
        if fixed.is_empty() {
            return stream::empty().boxed();
        }
        let observed = self.observed(&earlier).map_err(|error| ExportError::from(CommandError::from(error)));
        let (service, context) = (self.clone(), context.clone());
        let (earlier, fixed) = (Arc::new(earlier), Arc::new(fixed));
        let chunks = observed.and_then(move |chunk| {
            let (service, context) = (service.clone(), context.clone());
            let (earlier, fixed) = (Arc::clone(&earlier), Arc::clone(&fixed));
            async move {
                let mut absent = Vec::new();
                for seen in &chunk {
                    if fixed.contains(&seen.finding.fingerprint) {
                        absent.push(service.absent_one(&context, &earlier, seen, now).await?);
                    }
                }
                Ok::<_, ExportError>(absent)
            }
        });
        chunks.boxed()
    }

    /// Returns a finding that a scan proves fixed: from its row, or as the earlier scan saw it.
    async fn absent_one(
        &self,
        context: &RequestContext,
        earlier: &ScanResult,
        seen: &ObservedRecord,
        now: Timestamp,
    ) -> Result<ExportedFinding, ExportError> {
        let id = FindingId::of(earlier.target, seen.finding.fingerprint);
        let finding = match self.visible(context, id).await.map_err(CommandError::from)? {
            Some((record, _)) => ExportedFinding::of_record(&record, now),
            None => ExportedFinding::of_observed(earlier, seen),
        };
        Ok(ExportedFinding { baseline: Some(Baseline::Absent), ..finding })
    }
}

/// Returns the filter for all findings of the targets, in all states. A statement of OpenVEX is
/// about all places of a target: if some are left out, a target is "fixed" that is not.
fn filter_of_targets(filter: &FindingFilter) -> Result<FindingFilter, FieldError> {
    let FindingFilter { targets, projects, tags, .. } = filter.clone();
    let wanted = FindingFilter { statuses: Status::ALL.into(), targets, projects, tags, ..FindingFilter::default() };
    let without_status = FindingFilter { statuses: filter.statuses.clone(), ..wanted.clone() };
    let has_any_status = filter.statuses.is_empty() || filter.statuses == wanted.statuses;
    if has_any_status && *filter == without_status {
        return Ok(wanted);
    }
    let text = "a statement of OpenVEX is about all findings of a target: expected only `target`, `project` and `tag`";
    Err(FieldError::new("q", text))
}

/// What is known of the findings of a scan beside what it saw.
struct Marks {
    result: ScanResult,
    lives: HashMap<FindingId, ExportedLife>,
    /// The state of each finding against the earlier scan; `None` if there is no such scan.
    states: Option<HashMap<FindingId, Baseline>>,
}

impl Marks {
    fn marked(&self, mut finding: ExportedFinding) -> ExportedFinding {
        finding.life = self.lives.get(&finding.id).cloned();
        // A finding without a class counts as new, so no gate passes it.
        finding.baseline = self.states.as_ref().map(|states| states.get(&finding.id).copied().unwrap_or(Baseline::New));
        finding
    }
}

type Findings = BoxStream<'static, Result<Vec<ExportedFinding>, ExportError>>;

/// Begins an export: reads until there are bytes, so that an error is one before the first of them.
async fn begun(
    format: Format,
    file_name: String,
    head: ExportHead,
    findings: Findings,
) -> Result<FindingExport, ExportError> {
    let mut bytes = stream::unfold(Some((Encoder::new(format, head), findings)), step).boxed();
    let first = bytes.next().await.transpose()?.unwrap_or_default();
    let bytes = stream::once(async move { Ok(first) }).chain(bytes).boxed();
    Ok(FindingExport { format, file_name, bytes })
}

/// An export that is being written; `None` after its end or an error.
type Unfinished = Option<(Encoder, Findings)>;

/// Reads findings until they make bytes, or until their end.
async fn step(state: Unfinished) -> Option<(Result<Vec<u8>, ExportError>, Unfinished)> {
    let (mut encoder, mut findings) = state?;
    let mut out = Vec::new();
    loop {
        match findings.next().await {
            Some(Ok(chunk)) => {
                if let Err(error) = encoder.findings(&chunk, &mut out) {
                    return Some((Err(error.into()), None));
                }
                if !out.is_empty() {
                    return Some((Ok(out), Some((encoder, findings))));
                }
            }
            Some(Err(error)) => return Some((Err(error), None)),
            None => {
                let ended = encoder.end(&mut out).map(|()| out).map_err(ExportError::from);
                return Some((ended, None));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_of_openvex_has_all_findings_of_its_targets() {
        for (line, expected) in [
            ("", "status:any"),
            ("status:any", "status:any"),
            ("target:shop.example tag:prod project:team", "status:any target:shop.example project:team tag:prod"),
        ] {
            let filter = filter_of_targets(&line.parse().unwrap()).unwrap();
            assert_eq!(filter, expected.parse::<FindingFilter>().unwrap(), "{line}");
        }
        for line in [
            "status:open",
            "status:fixed target:shop.example",
            "severity:high",
            "plugin:testssl",
            "category:tls",
            "issue:tls1",
            "owner:none",
            "age:30d",
            "new:7d",
            "since:2026-11-23",
            "is:regressed",
            "heartbleed",
        ] {
            assert_eq!(filter_of_targets(&line.parse().unwrap()).unwrap_err().field, "q", "{line}");
        }
    }
}
