//! The audit log and the dead letters, as the commands show them. Their JSON has the format of the
//! API.

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{AuditEntry, DeadLetter, DomainEvent, OutboxKey, ScanId};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::{RemoteBackend, is_json, problem};

/// The most dead letters that are read; the API returns as many.
const MOST_DEAD_LETTERS: usize = 1000;

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditView {
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub principal: String,
    /// What happened.
    pub action: String,
    /// The number of the scan, if it happened to one.
    #[serde(default)]
    pub scan: Option<u64>,
    /// The action with its details.
    pub event: Value,
}

impl AuditView {
    fn of(entry: AuditEntry) -> Self {
        Self {
            at: entry.at,
            principal: entry.principal.to_string(),
            action: entry.event.action().to_owned(),
            scan: entry.scan.map(|scan| scan.0),
            event: serde_json::to_value(&entry.event).unwrap_or_default(),
        }
    }
}

/// An event whose delivery was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterView {
    /// The id, to send it again.
    pub id: String,
    /// When it was given up.
    pub at: Timestamp,
    /// The number of the scan.
    pub scan: u64,
    /// What happened; `None` if the event cannot be read.
    #[serde(default)]
    pub action: Option<String>,
    /// The event as it is stored.
    #[serde(default)]
    pub event: String,
    /// How often it was tried.
    pub tries: u32,
    /// Why it was given up.
    pub reason: String,
}

impl DeadLetterView {
    fn of(letter: DeadLetter) -> Self {
        Self {
            id: letter.key.to_string(),
            at: letter.at,
            scan: letter.key.scan.0,
            action: letter.event.as_ref().map(|event| DomainEvent::action(event).to_owned()),
            event: letter.text,
            tries: letter.tries,
            reason: letter.reason,
        }
    }
}

/// The events of a backend.
#[async_trait]
pub trait EventBackend: Send + Sync {
    /// Returns the newest entries of the audit log, newest first; with `scan`, only those of one
    /// scan.
    async fn audit(&self, scan: Option<ScanId>, limit: usize) -> Result<Vec<AuditView>, BackendError>;

    /// Returns the newest dead letters, newest first.
    async fn dead_letters(&self) -> Result<Vec<DeadLetterView>, BackendError>;

    /// Delivers a dead letter again. Returns `false` if it does not exist.
    async fn resend(&self, key: OutboxKey) -> Result<bool, BackendError>;
}

#[async_trait]
impl EventBackend for LocalBackend {
    async fn audit(&self, scan: Option<ScanId>, limit: usize) -> Result<Vec<AuditView>, BackendError> {
        let entries = self.services.audit.entries(&context(), scan, limit).await?;
        Ok(entries.into_iter().map(AuditView::of).collect())
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterView>, BackendError> {
        let letters = self.services.audit.dead_letters(&context(), MOST_DEAD_LETTERS).await?;
        Ok(letters.into_iter().map(DeadLetterView::of).collect())
    }

    async fn resend(&self, key: OutboxKey) -> Result<bool, BackendError> {
        Ok(self.services.audit.resend(&context(), key).await?)
    }
}

#[derive(Deserialize)]
struct AuditAnswer {
    entries: Vec<AuditView>,
}

#[derive(Deserialize)]
struct DeadLetterAnswer {
    dead_letters: Vec<DeadLetterView>,
}

#[async_trait]
impl EventBackend for RemoteBackend {
    async fn audit(&self, scan: Option<ScanId>, limit: usize) -> Result<Vec<AuditView>, BackendError> {
        let mut query = vec![("limit", limit.to_string())];
        query.extend(scan.map(|scan| ("scan", scan.to_string())));
        let value = self.get_json("api/audit", &query).await?.ok_or_else(|| self.strange("it has no audit log"))?;
        let answer: AuditAnswer = self.read(value)?;
        Ok(answer.entries)
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterView>, BackendError> {
        let value =
            self.get_json("api/dead-letters", &[]).await?.ok_or_else(|| self.strange("it has no dead letters"))?;
        let answer: DeadLetterAnswer = self.read(value)?;
        Ok(answer.dead_letters)
    }

    async fn resend(&self, key: OutboxKey) -> Result<bool, BackendError> {
        let response = self.send(Method::POST, &format!("api/dead-letters/{key}/resend"), &json!({})).await?;
        match response.status() {
            StatusCode::NOT_FOUND if is_json(&response) => Ok(false),
            status if status.is_success() => Ok(true),
            status => Err(problem(status, response).await),
        }
    }
}
