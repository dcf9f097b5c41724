//! The consumers of outbox entries.

use async_trait::async_trait;

use crate::model::{DomainEvent, OutboxEntry};

/// Why a delivery failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryError {
    /// The reason, for people.
    pub reason: String,
    /// True if no later try can succeed.
    pub is_permanent: bool,
}

/// Receives committed events, at least once each. It recognizes an entry that it has seen by its
/// key.
#[async_trait]
pub trait EventConsumer: Send + Sync + 'static {
    /// The stable name, which the outbox stores. No other consumer of the process has it.
    fn name(&self) -> &str;

    /// Returns true if the consumer wants such an event.
    fn wants(&self, event: &DomainEvent) -> bool;

    /// Accepts all of these entries, or fails; after an error none or some have had an effect. An
    /// answer that takes longer than [`DELIVERY_LIMIT`](crate::policy::delivery::DELIVERY_LIMIT) is
    /// a failure.
    async fn consume(&self, entries: &[OutboxEntry]) -> Result<(), DeliveryError>;
}
