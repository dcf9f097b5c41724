//! When a finding is due.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::finding::{Finding, Status};
use crate::severity::Severity;

/// The longest time to fix in days.
const MOST_DAYS: u32 = 3_650;

/// The days within which findings must be fixed, by severity. A severity without an entry is never
/// due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlaPolicy {
    /// The days; more than ten years count as ten years.
    pub days: BTreeMap<Severity, u32>,
}

/// When a finding is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sla", rename_all = "snake_case")]
pub enum Sla {
    /// The finding is fixed, is no problem, or has a severity without a time to fix.
    None,
    /// It is due at this time.
    Due {
        /// The time.
        at: Timestamp,
    },
    /// It was due at this time.
    Overdue {
        /// The time.
        at: Timestamp,
    },
    /// It is accepted until this time, and not due before.
    Paused {
        /// The time.
        until: Timestamp,
    },
}

impl Finding {
    /// Returns when the finding is due. The time runs from the sighting that opened it; an
    /// acceptance only hides it, so a finding can be overdue when its acceptance expires.
    #[must_use]
    pub fn sla(&self, severity: Severity, policy: &SlaPolicy, now: Timestamp) -> Sla {
        let Some(days) = policy.days.get(&severity) else { return Sla::None };
        match (self.status(now), &self.decision) {
            (Status::Fixed | Status::FalsePositive, _) => Sla::None,
            (Status::Accepted, Some(Decision::Accepted { until, .. })) => Sla::Paused { until: *until },
            _ => {
                let hours = 24 * i64::from((*days).min(MOST_DAYS));
                let at = self.open_since.checked_add(hours.hours()).unwrap_or(Timestamp::MAX);
                if at <= now { Sla::Overdue { at } } else { Sla::Due { at } }
            }
        }
    }
}
