//! The audit log, and the events that could not be delivered.

use kastrel_actors::model::{AuditEntry, DeadLetter};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::moment::Moment;

/// The entries to read. Clients write it; the server reads the query by hand, so that each wrong
/// parameter is named.
#[derive(Debug, Clone, Default, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditParams {
    /// Only the entries of the scan with this number.
    pub scan: Option<u64>,
    /// How many entries, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u64>,
}

/// The newest entries of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditLog)]
pub struct AuditList {
    /// The entries, newest first.
    pub entries: Vec<AuditBody>,
}

/// Who did what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditBody {
    /// When it was committed.
    pub at: Moment,
    /// Who did it: `system` is Kastrel itself, `anonymous` a client that did not say who it is.
    pub principal: String,
    /// What happened, such as `scan_submitted`.
    pub action: String,
    /// The number of the scan, if it happened to one. The scan may be deleted.
    #[serde(default)]
    pub scan: Option<u64>,
    /// The action with its details.
    // A newer server has actions that this version does not know.
    #[schema(value_type = Object)]
    pub event: Value,
}

impl From<AuditEntry> for AuditBody {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: Moment::of(entry.at),
            principal: entry.principal.to_string(),
            action: entry.event.action().to_owned(),
            scan: entry.scan.map(|scan| scan.0),
            event: serde_json::to_value(&entry.event).unwrap_or_default(),
        }
    }
}

/// The events whose delivery was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetters)]
pub struct DeadLetterList {
    /// The newest dead letters, newest first.
    pub dead_letters: Vec<DeadLetterBody>,
}

/// An event whose delivery was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterBody {
    /// The identity, for sending it again.
    pub id: String,
    /// When it was given up.
    pub at: Moment,
    /// The number of the scan.
    pub scan: u64,
    /// What happened, such as `scan_ended`; left out if this version cannot read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The event as it is stored, which is JSON unless it is damaged.
    #[serde(default)]
    #[schema(required = true)]
    pub event: String,
    /// How often it was tried.
    pub tries: u32,
    /// The consumer that failed, and why; or why the event cannot be read.
    pub reason: String,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.key.to_string(),
            at: Moment::of(letter.at),
            scan: letter.key.scan.0,
            action: letter.event.as_ref().map(|event| event.action().to_owned()),
            event: letter.text,
            tries: letter.tries,
            reason: letter.reason,
        }
    }
}
