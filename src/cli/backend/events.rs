//! The commands to the events of a backend.

use async_trait::async_trait;
use kastrel_actors::model::OutboxKey;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::{RemoteBackend, is_json};

/// The commands to the events of a backend.
#[async_trait]
pub trait EventBackend: Send + Sync {
    /// Delivers a dead letter again. Returns `false` if it does not exist.
    async fn resend(&self, key: OutboxKey) -> Result<bool, BackendError>;
}

#[async_trait]
impl EventBackend for LocalBackend {
    async fn resend(&self, key: OutboxKey) -> Result<bool, BackendError> {
        Ok(self.services.audit.resend(&context(), key).await?)
    }
}

#[async_trait]
impl EventBackend for RemoteBackend {
    async fn resend(&self, key: OutboxKey) -> Result<bool, BackendError> {
        let response = self.send(Method::POST, &format!("api/dead-letters/{key}/resend"), &json!({})).await?;
        match response.status() {
            StatusCode::NOT_FOUND if is_json(&response) => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.problem(response).await),
        }
    }
}
