//! The audit log, and the events that could not be delivered.

use kastrel_actors::model::{AuditEntry, AuditPage, DeadLetter};
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
    /// Only the entries of this principal: `user:NAME`, `service:NAME`, `link:ID` (a
    /// public link), `system` or `anonymous`.
    #[param(pattern = "^ *(system|anonymous|(user|service):[a-z0-9][a-z0-9._@+-]{0,63}|link:[a-zA-Z0-9]{10})? *$")]
    pub principal: Option<String>,
    /// Only the entries of this action.
    pub action: Option<String>,
    /// Only the entries of this day or later, or from this moment on.
    #[param(
        pattern = "^ *(([012][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([012][0-9](0[48]|[2468][048]|[13579][26])|(0[048]|1[26]|2[048])00)-02-29)(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)? *$"
    )]
    pub from: Option<String>,
    /// Only the entries of this day or earlier, or before this moment.
    #[param(
        pattern = "^ *(([012][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([012][0-9](0[48]|[2468][048]|[13579][26])|(0[048]|1[26]|2[048])00)-02-29)(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?)? *$"
    )]
    pub to: Option<String>,
    /// The time zone of the days, such as Europe/Berlin. Default: UTC.
    pub zone: Option<String>,
    /// Where the page begins: the `next` of the previous page.
    #[param(pattern = "^(([0-9]{1,18}|[1-8][0-9]{18})\\.[0-9A-Za-z-]{1,64})?$")]
    pub before: Option<String>,
    /// How many entries, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u64>,
}

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditLog)]
pub struct AuditList {
    /// The entries, newest first.
    pub entries: Vec<AuditBody>,
    /// The value of `before` that gets the next page; null at the end of the log.
    #[serde(default)]
    pub next: Option<String>,
    /// Whether the search stopped before the page was full, because many entries did not match. It
    /// can be continued with `next`.
    #[serde(default)]
    #[schema(required = true)]
    pub is_partial: bool,
}

impl From<AuditPage> for AuditList {
    fn from(page: AuditPage) -> Self {
        Self {
            entries: page.entries.into_iter().map(Into::into).collect(),
            next: page.next.map(|next| next.to_string()),
            is_partial: page.is_partial,
        }
    }
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
