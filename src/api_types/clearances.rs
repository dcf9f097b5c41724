//! The clearances of targets.

use kastrel_actors::model::{Clearance, ClearanceDraft, ClearanceLevel, HostPattern};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;

/// What the owners of a project allow to be done to some hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Clearance)]
pub struct ClearanceBody {
    /// A host, such as `example.com`, or all names below a domain, such as `*.example.com`. The
    /// longest pattern that covers the host of a target decides.
    #[schema(value_type = String)]
    pub pattern: HostPattern,
    /// What may be done to the hosts.
    pub level: ClearanceLevel,
    /// Who authorised it: `user:NAME`, `service:NAME` or `system`.
    pub authorised_by: String,
    /// When it was authorised.
    pub at: Moment,
    /// When the level `active` ends. It counts as `passive` from then on.
    pub until: Option<Moment>,
    /// Why.
    pub text: String,
}

impl From<&Clearance> for ClearanceBody {
    fn from(clearance: &Clearance) -> Self {
        Self {
            pattern: clearance.pattern.clone(),
            level: clearance.level,
            authorised_by: clearance.authorised_by.to_string(),
            at: Moment::of(clearance.at),
            until: clearance.until.map(Moment::of),
            text: clearance.text.clone(),
        }
    }
}

/// The clearances of a project. A host without clearance may be scanned passively.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClearanceList {
    /// The clearances, ordered by pattern.
    pub clearances: Vec<ClearanceBody>,
}

impl ClearanceList {
    /// Shows clearances.
    #[must_use]
    pub fn of(clearances: &[Clearance]) -> Self {
        Self { clearances: clearances.iter().map(Into::into).collect() }
    }
}

/// A clearance to set. The caller authorises it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewClearance)]
pub struct NewClearanceBody {
    /// What may be done to the hosts.
    #[schema(value_type = ClearanceLevel, required = true)]
    pub level: Option<ClearanceLevel>,
    /// The end of the level `active`: a time such as `2026-12-31T18:00:00Z`, or a day such as
    /// `2026-12-31`, which it includes, in UTC. It does not end if this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Why: at most 500 characters, required for `active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl NewClearanceBody {
    /// Returns the draft of the clearance of some hosts.
    #[must_use]
    pub fn draft(self, pattern: &str) -> ClearanceDraft {
        ClearanceDraft {
            pattern: pattern.to_owned(),
            level: self.level.map(|level| level.to_string()).unwrap_or_default(),
            until: self.until.unwrap_or_default(),
            text: self.text.unwrap_or_default(),
        }
    }
}
