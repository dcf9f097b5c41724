//! The consumer that counts how scans end by day: the daily outcomes, and the counters of today
//! that live pages show.

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::{DomainEvent, OutboxEntry};
use crate::policy::events::{OUTCOMES, counted};
use crate::ports::{DeliveryError, EventConsumer, Outbox};

/// Counts how scans end by day. The store recognizes an entry that it has counted.
pub struct OutcomeCounter {
    outbox: Arc<dyn Outbox>,
}

impl OutcomeCounter {
    /// Creates a counter whose counts are in the store of `outbox`.
    #[must_use]
    pub fn new(outbox: Arc<dyn Outbox>) -> Self {
        Self { outbox }
    }
}

#[async_trait]
impl EventConsumer for OutcomeCounter {
    fn name(&self) -> &'static str {
        OUTCOMES
    }

    fn wants(&self, event: &DomainEvent) -> bool {
        !counted(event).is_empty()
    }

    async fn consume(&self, entries: &[OutboxEntry]) -> Result<(), DeliveryError> {
        self.outbox
            .count_outcomes(entries)
            .await
            .map_err(|error| DeliveryError { reason: error.to_string(), is_permanent: false })
    }
}
