//! The service with an identity provider, and the end of a session that began there.

use std::sync::Arc;

use kastrel_actors::ports::StoreError;

use super::provider::{Provider, ProviderSettings, log};
use super::{AccessService, SignedIn};
use crate::identity::throttle::LoginThrottle;
use crate::ports::IdentityProvider;

impl AccessService {
    /// Returns the service with an identity provider.
    #[must_use]
    pub fn with_provider(mut self, adapter: Arc<dyn IdentityProvider>, settings: ProviderSettings) -> Self {
        self.provider = Some(Arc::new(Provider { adapter, settings, throttle: LoginThrottle::default() }));
        self
    }

    /// Returns the name of the identity provider; `None` without one.
    #[must_use]
    pub fn provider_name(&self) -> Option<&str> {
        self.provider.as_ref().map(|provider| provider.settings.name.as_str())
    }

    /// Returns whether accounts with a password may use it to sign in.
    #[must_use]
    pub fn allows_passwords(&self) -> bool {
        self.provider.as_ref().is_none_or(|provider| provider.settings.allows_passwords)
    }

    /// Returns whether the session of a request began with the identity provider.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn began_with_provider(&self, who: &SignedIn) -> Result<bool, StoreError> {
        let (Some(_), Some(key)) = (&self.provider, who.session) else { return Ok(false) };
        Ok(self.store.session(key).await?.is_some_and(|(session, _)| session.with_provider))
    }

    /// Returns the address to which the browser of a session that [began with the identity
    /// provider](Self::began_with_provider) is sent after its sign-out, so that the session at the
    /// provider ends, too. `None`: the provider has no such address or does not respond.
    pub async fn provider_sign_out_url(&self) -> Option<String> {
        let provider = self.provider.as_ref()?;
        provider.adapter.sign_out_url().await.unwrap_or_else(|error| {
            log(&error, "the session at the identity provider could not be ended");
            None
        })
    }
}
