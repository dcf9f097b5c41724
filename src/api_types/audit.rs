//! The audit log, and the events that could not be delivered.

use kastrel_actors::model::{AuditEntry, DeadLetter, DomainEvent};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;

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
    pub scan: Option<u64>,
    /// The action with its details.
    #[schema(value_type = Object)]
    pub event: DomainEvent,
}

impl From<AuditEntry> for AuditBody {
    fn from(entry: AuditEntry) -> Self {
        Self {
            at: Moment::of(entry.at),
            principal: entry.principal.to_string(),
            action: entry.event.action().to_owned(),
            scan: entry.scan.map(|scan| scan.0),
            event: entry.event,
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
    /// What happened, such as `scan_ended`.
    pub action: String,
    /// How often it was tried.
    pub tries: u32,
    /// The consumer that failed, and why.
    pub reason: String,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        Self {
            id: letter.key.to_string(),
            at: Moment::of(letter.at),
            scan: letter.key.scan.0,
            action: letter.event.action().to_owned(),
            tries: letter.tries,
            reason: letter.reason,
        }
    }
}
