//! The rows of an event: its entries in the outbox and in the audit log, which the transaction of
//! the change writes. The entry of the audit log waits for its seal from then on.

use kastrel_actors::model::{DomainEvent, OutboxKey, Principal, ScanId};
use kastrel_actors::policy::events::is_delivered;
use kastrel_actors::ports::StoreError;
use surrealdb::types::{Array, RecordId, SurrealValue};

use super::row;

/// The rows of an event, as the argument of [`write_event`].
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct EventRows {
    /// The part of the audit entry's key that makes it unique.
    nonce: String,
    principal: String,
    scan: Option<i64>,
    version: Option<i64>,
    event: String,
    /// The key of the outbox entry, if the relay delivers the event.
    outbox: Option<RecordId>,
    offset: i64,
}

impl EventRows {
    /// The rows of an event; `key` is absent for an event that concerns no scan. `offset` is added
    /// to the database's clock, in nanoseconds.
    pub(super) fn new(
        event: &DomainEvent,
        by: &Principal,
        key: Option<OutboxKey>,
        offset: i64,
    ) -> Result<Self, StoreError> {
        let outbox = key.filter(|_| is_delivered(event)).map(outbox_key).transpose()?;
        Ok(Self {
            nonce: uuid::Uuid::new_v4().to_string(),
            principal: by.to_string(),
            scan: key.map(|key| row::signed(key.scan.0)).transpose()?,
            version: key.map(|key| row::signed(key.version)).transpose()?,
            event: serde_json::to_string(event).map_err(row::corrupt)?,
            outbox,
            offset,
        })
    }

    /// Says that the event, which no consumer gets, is about a scan.
    pub(super) fn about(self, scan: Option<ScanId>) -> Result<Self, StoreError> {
        Ok(Self { scan: scan.map(|scan| row::signed(scan.0)).transpose()?, ..self })
    }
}

/// The key of an entry of the outbox.
pub(super) fn outbox_key(key: OutboxKey) -> Result<RecordId, StoreError> {
    key_in("outbox", key)
}

/// The key of the row of an outbox entry in one of its tables.
pub(super) fn key_in(table: &str, key: OutboxKey) -> Result<RecordId, StoreError> {
    let parts = vec![row::signed(key.scan.0)?.into_value(), row::signed(key.version)?.into_value()];
    Ok(RecordId::new(table, Array::from(parts)))
}

/// Writes `$event` within a transaction.
macro_rules! write_event {
    () => {
        "LET $at = time::nano(time::now()) + $event.offset;
        IF $event.outbox != NONE {
            CREATE $event.outbox SET
                scan = $event.scan, version = $event.version, at = $at, event = $event.event, since = $at, wait = 0, tries = 0, holder = NONE, done = []
                RETURN NONE;
        };
        CREATE type::record('audit', [-$at, $event.nonce]) SET
            at = $at, principal = $event.principal, scan = $event.scan, event = $event.event RETURN NONE;
        CREATE type::record('audit_open', [$at, $event.nonce]) SET at = $at, nonce = $event.nonce RETURN NONE;"
    };
}
pub(super) use write_event;
