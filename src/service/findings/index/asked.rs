//! What a question is asked with: the projects that the principal may read, the times to fix, and
//! the time.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan};
use kastrel_actors::model::{ProjectFilter, ProjectId};
use kastrel_findings::Severity;
use kastrel_findings::lifecycle::SlaPolicy;

/// The times to fix of projects.
pub(in crate::service::findings) type Policies = HashMap<ProjectId, SlaPolicy>;

/// What a question is asked with.
#[derive(Debug, Clone, Copy)]
pub(in crate::service::findings) struct Asked<'a> {
    /// The projects that the principal may read.
    pub(in crate::service::findings) readable: &'a ProjectFilter,
    /// The times to fix.
    pub(in crate::service::findings) policies: &'a Policies,
    /// The time.
    pub(in crate::service::findings) now: Timestamp,
}

/// For each severity the time at or before which a finding that is due must have become open to be
/// overdue now.
pub(super) type Cutoffs = [Option<Timestamp>; Severity::ALL.len()];

impl Asked<'_> {
    /// Returns the times to fix of a project; `None` if it has none.
    pub(super) fn policy(&self, project: &ProjectId) -> Option<&SlaPolicy> {
        self.policies.get(project)
    }

    /// Returns the cutoffs of a project.
    pub(super) fn cutoffs(&self, project: &ProjectId) -> Cutoffs {
        let days = self.policy(project).map(|policy| &policy.days);
        Severity::ALL.map(|severity| self.before(*days?.get(&severity)?))
    }

    /// Returns the time this many days ago, at most ten years: more days count as ten years.
    fn before(&self, days: u32) -> Option<Timestamp> {
        self.now.checked_sub((24 * i64::from(days.min(3_650))).hours()).ok()
    }

    /// Returns the time this many days ago, or the first time of all.
    pub(super) fn days_ago(&self, days: u32) -> Timestamp {
        self.now.checked_sub((24 * i64::from(days)).hours()).unwrap_or(Timestamp::MIN)
    }
}
