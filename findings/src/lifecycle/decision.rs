//! The decision of a person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A decision of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// It is no problem.
    FalsePositive {
        /// Why.
        reason: String,
        /// Who decided.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// The risk is accepted.
    Accepted {
        /// Why.
        reason: String,
        /// Who answers for the risk.
        owner: String,
        /// Until when.
        until: Timestamp,
        /// Who decided.
        by: String,
        /// When.
        at: Timestamp,
    },
}
