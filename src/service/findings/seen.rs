//! Pages of what one scan saw.

use kastrel_actors::model::{OBSERVED_CHUNK, ObservedRecord, RequestContext, ScanId, ScanResult};
use kastrel_actors::ports::StoreError;
use kastrel_actors::service::CommandError;
use kastrel_findings::identity::Fingerprint;

use super::service::FindingService;

/// A page of what a scan saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPage {
    /// What the scan checked.
    pub result: ScanResult,
    /// The findings of the page, in the order of their fingerprints.
    pub findings: Vec<ObservedRecord>,
    /// The number of findings before the next page; `None` on the last one.
    pub next: Option<u32>,
}

impl FindingService {
    /// Returns a page of what a scan saw: at most `limit` findings after the first `skip`. Returns
    /// `None` if the scan does not exist or has no result yet.
    ///
    /// # Errors
    /// The principal may not read the scan, or the store does not respond.
    pub async fn seen_page(
        &self,
        context: &RequestContext,
        scan: ScanId,
        skip: u32,
        limit: usize,
    ) -> Result<Option<SeenPage>, CommandError> {
        let Some(result) = self.result_of(context, scan).await? else { return Ok(None) };
        let from = usize::try_from(skip).unwrap_or(usize::MAX);
        let mut findings = Vec::new();
        for chunk in from / OBSERVED_CHUNK..from.saturating_add(limit).div_ceil(OBSERVED_CHUNK) {
            let Some(number) = u32::try_from(chunk).ok().filter(|number| *number < result.chunks()) else { break };
            let read = self.store.observed(scan, number).await?;
            let before = from.saturating_sub(chunk * OBSERVED_CHUNK);
            findings.extend(read.into_iter().skip(before).take(limit - findings.len()));
        }
        let end = u64::from(skip).saturating_add(findings.len() as u64);
        let next = (end < result.findings && !findings.is_empty()).then(|| u32::try_from(end).ok()).flatten();
        Ok(Some(SeenPage { result, findings, next }))
    }

    /// Returns what a scan saw of a finding; `None` if it did not see it. The chunks of a result
    /// are in the order of the fingerprints, so it reads only a few of them.
    pub(super) async fn seen_of(
        &self,
        result: &ScanResult,
        fingerprint: Fingerprint,
    ) -> Result<Option<ObservedRecord>, StoreError> {
        let (mut begin, mut end) = (0, result.chunks());
        while begin < end {
            let middle = begin + (end - begin) / 2;
            let chunk = self.store.observed(result.scan, middle).await?;
            // The result was removed meanwhile.
            let (Some(first), Some(last)) = (chunk.first(), chunk.last()) else { return Ok(None) };
            if fingerprint < first.finding.fingerprint {
                end = middle;
            } else if fingerprint > last.finding.fingerprint {
                begin = middle + 1;
            } else {
                return Ok(chunk.into_iter().find(|seen| seen.finding.fingerprint == fingerprint));
            }
        }
        Ok(None)
    }
}
