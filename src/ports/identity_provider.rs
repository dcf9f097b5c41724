//! The identity provider with which people sign in.

use std::fmt;

use async_trait::async_trait;
use kastrel_actors::model::ProviderIdentity;
use serde_json::{Map, Value};

/// The secrets of one sign-in. `Debug` does not show them.
pub struct ProviderRequest {
    /// The text that the provider sends back with the browser, which proves that the browser has
    /// begun the sign-in.
    pub state: String,
    /// The text that the ID token must have, which proves that it was made for this sign-in.
    pub nonce: String,
    /// The PKCE verifier: with it alone the code can be redeemed.
    pub verifier: String,
}

impl fmt::Debug for ProviderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderRequest(..)")
    }
}

/// A person, as the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPerson {
    /// The identity.
    pub identity: ProviderIdentity,
    /// The claims about the person.
    pub claims: Map<String, Value>,
}

/// The provider did not do what was asked. The texts are for the log: they have no code, token or
/// secret, and nothing that the provider wrote as prose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It did not respond, or with something that is no response of an identity provider.
    #[error("the identity provider does not respond: {0}")]
    NoResponse(String),
    /// It refused the code, or its response is not valid for this sign-in.
    #[error("the identity provider refused the code, or sent something that is not valid: {0}")]
    Invalid(String),
}

/// An identity provider that speaks OpenID Connect.
#[async_trait]
pub trait IdentityProvider: Send + Sync + 'static {
    /// Returns the issuer: the URL that identifies the provider.
    fn issuer(&self) -> &str;

    /// Returns the address to which the browser is sent for a sign-in.
    async fn sign_in_url(&self, request: &ProviderRequest) -> Result<String, ProviderError>;

    /// Redeems the code that the provider sent with the browser, and verifies who signed in.
    /// `wanted` are the claims to look for, also beyond the ID token.
    async fn redeem(
        &self,
        code: &str,
        request: &ProviderRequest,
        wanted: &[&str],
    ) -> Result<ProviderPerson, ProviderError>;

    /// Returns the address to which the browser is sent so that the session at the provider ends,
    /// too. `None`: the provider has none.
    async fn sign_out_url(&self) -> Result<Option<String>, ProviderError>;
}
