//! What happened to a scan or to the queue: the events of commands and of ends of attempts, and the
//! entries that a store keeps of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CancelledBy, FencingToken, NodeId, Principal, ScanId, ScanStatus};

/// Something that was committed. The store writes it in the transaction of the change itself: as an
/// entry of the audit log, and as an entry of the outbox if a consumer wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum DomainEvent {
    /// A scan was accepted.
    ScanSubmitted {
        /// The scan that it repeats.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun_of: Option<ScanId>,
    },
    /// The cancel of a running scan was requested.
    CancelRequested {
        /// The origin of the request.
        by: CancelledBy,
    },
    /// An attempt ended, and the scan waits for another one.
    AttemptEnded {
        /// The token of the attempt.
        token: FencingToken,
        /// The node that ran it.
        node: NodeId,
    },
    /// A scan ended, with its last attempt or before the first.
    ScanEnded {
        /// Its state.
        status: ScanStatus,
        /// The time of the end.
        at: Timestamp,
    },
    /// A scan that had ended was deleted.
    ScanDeleted {
        /// The state in which it ended.
        status: ScanStatus,
        /// The time of its end.
        at: Timestamp,
    },
    /// The queue was paused.
    QueuePaused {
        /// The reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The pause of the queue was ended.
    QueueResumed,
    /// A node was ordered to drain.
    DrainOrdered {
        /// The node.
        node: NodeId,
        /// The time limit, in milliseconds.
        within_ms: u64,
    },
    /// The order to drain a node was revoked.
    DrainRevoked {
        /// The node.
        node: NodeId,
    },
}

impl DomainEvent {
    /// The name of what happened, as in the stored event.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::ScanSubmitted { .. } => "scan_submitted",
            Self::CancelRequested { .. } => "cancel_requested",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::ScanEnded { .. } => "scan_ended",
            Self::ScanDeleted { .. } => "scan_deleted",
            Self::QueuePaused { .. } => "queue_paused",
            Self::QueueResumed => "queue_resumed",
            Self::DrainOrdered { .. } => "drain_ordered",
            Self::DrainRevoked { .. } => "drain_revoked",
        }
    }
}

/// An entry of the audit log: who did what, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When it was committed, by the store's clock.
    pub at: Timestamp,
    /// Who did it.
    pub principal: Principal,
    /// The scan, if it happened to one.
    pub scan: Option<ScanId>,
    /// What happened.
    pub event: DomainEvent,
}

/// The identity of an entry of the outbox: the scan and the version of its row after the change. No
/// other change has the same, so a consumer can recognize an entry that it has seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxKey {
    /// The scan.
    pub scan: ScanId,
    /// The version of its row after the change.
    pub version: u64,
}

impl std::fmt::Display for OutboxKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.scan, self.version)
    }
}

impl std::str::FromStr for OutboxKey {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scan, version) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { scan: ScanId(scan.parse()?), version: version.parse()? })
    }
}

/// An entry of the outbox, leased to one relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its identity.
    pub key: OutboxKey,
    /// What happened.
    pub event: DomainEvent,
    /// How often its delivery has failed.
    pub failures: u32,
    /// The consumers that have already accepted it.
    pub accepted_by: Vec<String>,
}

/// An entry that was given up after many tries, or at once because no try can succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity.
    pub key: OutboxKey,
    /// What happened.
    pub event: DomainEvent,
    /// When it was given up, by the store's clock.
    pub at: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// The consumer that failed, and why; for people.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_event_has_its_action_and_is_read_as_it_was_written() {
        let at = Timestamp::UNIX_EPOCH;
        let node: NodeId = "a".parse().unwrap();
        for event in [
            DomainEvent::ScanSubmitted { rerun_of: Some(ScanId(7)) },
            DomainEvent::CancelRequested { by: CancelledBy::User },
            DomainEvent::AttemptEnded { token: FencingToken(2), node: node.clone() },
            DomainEvent::ScanEnded { status: ScanStatus::Failed, at },
            DomainEvent::ScanDeleted { status: ScanStatus::Completed, at },
            DomainEvent::QueuePaused { reason: None },
            DomainEvent::QueueResumed,
            DomainEvent::DrainOrdered { node: node.clone(), within_ms: 5 },
            DomainEvent::DrainRevoked { node },
        ] {
            let json = serde_json::to_value(&event).unwrap();
            assert_eq!(json["action"], event.action());
            assert_eq!(serde_json::from_value::<DomainEvent>(json).unwrap(), event);
        }
    }

    #[test]
    fn outbox_key_is_read_as_it_is_shown() {
        let key = OutboxKey { scan: ScanId(12), version: 3 };
        assert_eq!((key.to_string().as_str(), "12-3".parse()), ("12-3", Ok(key)));
        for wrong in ["", "12", "12-", "-3", "12-3-4", "a-b"] {
            assert!(wrong.parse::<OutboxKey>().is_err(), "{wrong}");
        }
    }
}
