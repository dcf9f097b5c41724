//! The classes of a scan's findings against the last comparable scan, in little memory: for
//! exports.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::TryStreamExt as _;
use kastrel_actors::model::{Operation, RequestContext, ScanId, ScanResult};
use kastrel_actors::policy::access::decide;
use kastrel_actors::ports::StoreError;
use kastrel_findings::compare::{ScanSide, compare};
use kastrel_findings::identity::{FindingId, Fingerprint, ObservedFinding};
use kastrel_findings::place::Place;

use super::compare::{CompareError, known_before, moved};
use super::service::FindingService;
use crate::exports::Baseline;

/// What an export keeps of a comparison.
#[derive(Debug)]
pub(super) struct Classes {
    /// The earlier scan.
    pub(super) earlier: ScanResult,
    /// The class of each finding that the later scan saw.
    pub(super) seen: HashMap<FindingId, Baseline>,
    /// The findings of the earlier scan that the later one proves fixed.
    pub(super) fixed: BTreeSet<Fingerprint>,
}

impl FindingService {
    /// Returns the classes of what a scan saw against the last comparable scan; `None` without one.
    ///
    /// # Errors
    /// The scan does not exist, may not be read or has no result yet; or the store does not
    /// respond.
    pub(super) async fn classes_since_last(
        &self,
        context: &RequestContext,
        scan: ScanId,
    ) -> Result<Option<Classes>, CompareError> {
        let Some((earlier, later)) = self.last_comparable(context, scan).await? else { return Ok(None) };
        let (before, after) = (self.keys_of(&earlier).await?, self.keys_of(&later).await?);
        let (aliases, known) = {
            let records = self.store.findings_of(later.target).await?;
            // A share opens a scan, and not the findings of the project.
            let known = match decide(&context.grants, Operation::ReadFindings, Some(&later.project)) {
                Ok(()) => known_before(&later, &records),
                Err(_) => BTreeSet::new(),
            };
            (moved(later.target, &before, &after, &records), known)
        };
        let comparison = {
            let before: Vec<ObservedFinding> = before.into_values().collect();
            let after: Vec<ObservedFinding> = after.into_values().collect();
            let first = ScanSide { order: earlier.order, findings: &before, checks: &earlier.checks };
            let second = ScanSide { order: later.order, findings: &after, checks: &later.checks };
            compare(&first, &second, &aliases)
        };
        let id = |fingerprint| FindingId::of(later.target, fingerprint);
        let new = comparison.new.iter().map(|new| {
            let id = id(new.fingerprint);
            // What the earlier scan did not check and an older one saw is not new.
            let is_known = !new.was_checked && known.contains(&id);
            (id, if is_known { Baseline::Unchanged } else { Baseline::New })
        });
        let unchanged = comparison.unchanged.iter().map(|fingerprint| (id(*fingerprint), Baseline::Unchanged));
        Ok(Some(Classes {
            seen: new.chain(unchanged).collect(),
            fixed: comparison.fixed.iter().map(|fixed| fixed.fingerprint).collect(),
            earlier,
        }))
    }

    /// Reads all that a scan saw, and keeps of each finding its fingerprint, plugin and issue.
    async fn keys_of(&self, result: &ScanResult) -> Result<BTreeMap<Fingerprint, ObservedFinding>, StoreError> {
        let mut keys = BTreeMap::new();
        let mut chunks = self.observed(result);
        while let Some(chunk) = chunks.try_next().await? {
            keys.extend(chunk.into_iter().map(|seen| (seen.finding.fingerprint, brief(seen.finding))));
        }
        Ok(keys)
    }
}

fn brief(finding: ObservedFinding) -> ObservedFinding {
    let (members, sightings) = (Vec::new(), Vec::new());
    ObservedFinding { title: String::new(), place: Place::Target, members, sightings, ..finding }
}
