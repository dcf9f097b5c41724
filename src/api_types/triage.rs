//! What a person does to findings, and what became of them.

use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::Status;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding_words::StatusName;
use crate::service::findings::{TriageDraft, TriageResult};

/// What to do to which findings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Triage)]
pub struct TriageBody {
    /// The ids of the findings; this or `q`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 500)]
    pub ids: Vec<String>,
    /// The filter that the findings match, as for the list; this or `ids`. At most 500 findings may
    /// match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub q: Option<String>,
    /// What to do: `confirm` that they are real; mark each as `false_positive`, with a reason;
    /// `accept` the risk until a day, with a reason and an owner; `withdraw` the decision or the
    /// confirmation; `assign` them to an owner, or to nobody.
    #[serde(default)]
    #[schema(required = true, pattern = "^(confirm|false_positive|accept|withdraw|assign)$")]
    pub action: String,
    /// Why: at most 2,000 characters. Required for `false_positive` and `accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2000)]
    pub reason: Option<String>,
    /// For `accept`: who answers for the risk; the caller if left out. For `assign`: the account
    /// that takes care of the findings; nobody if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The end of an acceptance: a time such as `2026-12-31T18:00:00Z`, or a day such as
    /// `2026-12-31`, which it includes, in UTC. Required for `accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl From<TriageBody> for TriageDraft {
    fn from(body: TriageBody) -> Self {
        let TriageBody { ids, q, action, reason, owner, until } = body;
        Self {
            ids,
            filter: q,
            action,
            reason: reason.unwrap_or_default(),
            owner: owner.unwrap_or_default(),
            until: until.unwrap_or_default(),
        }
    }
}

/// What became of one finding of a bulk change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TriageResult)]
pub struct TriageResultBody {
    /// The finding.
    #[schema(value_type = String)]
    pub id: FindingId,
    /// The new status; null if nothing changed.
    #[schema(value_type = Option<StatusName>)]
    pub status: Option<Status>,
    /// Why nothing changed; null if it did.
    pub error: Option<String>,
}

/// What became of the findings of a bulk change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TriageList {
    /// The number of findings that changed.
    pub changed: usize,
    /// One result for each finding.
    pub results: Vec<TriageResultBody>,
}

impl TriageList {
    /// Shows results.
    #[must_use]
    pub fn of(results: &[TriageResult]) -> Self {
        let results = results.iter().map(|result| match &result.outcome {
            Ok(status) => TriageResultBody { id: result.id, status: Some(*status), error: None },
            Err(error) => TriageResultBody { id: result.id, status: None, error: Some(error.clone()) },
        });
        let results: Vec<_> = results.collect();
        Self { changed: results.iter().filter(|result| result.error.is_none()).count(), results }
    }
}
