//! The identities of accounts, for commands.

use async_trait::async_trait;
use kastrel_actors::model::AccountName;
use reqwest::Method;
use serde_json::json;

use super::error::BackendError;
use super::local::{LocalBackend, context};
use super::remote::RemoteBackend;
use crate::api_types::{IdentityBody, NewIdentityBody};

/// The identities of the accounts of a backend.
#[async_trait]
pub trait IdentityBackend: Send + Sync {
    /// Returns the identity of an account; `None` if it does not exist or has none.
    async fn identity(&self, name: &AccountName) -> Result<Option<IdentityBody>, BackendError>;

    /// Links an identity to an account; `None` if the account does not exist.
    async fn link_identity(
        &self,
        name: &AccountName,
        identity: NewIdentityBody,
    ) -> Result<Option<IdentityBody>, BackendError>;

    /// Unlinks the identity of an account. Returns `false` if it does not exist or has none.
    async fn unlink_identity(&self, name: &AccountName) -> Result<bool, BackendError>;
}

#[async_trait]
impl IdentityBackend for LocalBackend {
    async fn identity(&self, name: &AccountName) -> Result<Option<IdentityBody>, BackendError> {
        Ok(self.access.identity(&context(), name).await?.as_ref().map(Into::into))
    }

    async fn link_identity(
        &self,
        name: &AccountName,
        identity: NewIdentityBody,
    ) -> Result<Option<IdentityBody>, BackendError> {
        let NewIdentityBody { subject, issuer } = identity;
        let linked = self.access.link_identity(&context(), name, issuer.as_deref(), &subject).await?;
        Ok(linked.as_ref().map(Into::into))
    }

    async fn unlink_identity(&self, name: &AccountName) -> Result<bool, BackendError> {
        Ok(self.access.unlink_identity(&context(), name).await?)
    }
}

#[async_trait]
impl IdentityBackend for RemoteBackend {
    async fn identity(&self, name: &AccountName) -> Result<Option<IdentityBody>, BackendError> {
        self.get_json(&format!("api/accounts/{name}/identity"), &[]).await
    }

    async fn link_identity(
        &self,
        name: &AccountName,
        identity: NewIdentityBody,
    ) -> Result<Option<IdentityBody>, BackendError> {
        self.order(Method::PUT, &format!("api/accounts/{name}/identity"), &identity).await
    }

    async fn unlink_identity(&self, name: &AccountName) -> Result<bool, BackendError> {
        self.done(Method::DELETE, &format!("api/accounts/{name}/identity"), &json!({})).await
    }
}
