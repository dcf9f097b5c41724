//! The identity provider with which people sign in, and the rules for its persons.

use std::fmt;
use std::sync::Arc;

use kastrel_actors::policy::group_roles::GroupRule;

use crate::identity::secret::RandomSecret;
use crate::identity::throttle::LoginThrottle;
use crate::ports::{IdentityProvider, ProviderError, ProviderRequest};

/// The rules for persons of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The name of the provider, for people.
    pub name: String,
    /// The claim from which the name of a new account is made.
    pub account_claim: String,
    /// The claim with the groups.
    pub groups_claim: String,
    /// The roles that groups give.
    pub rules: Vec<GroupRule>,
    /// Whether a person without an account gets one.
    pub creates_accounts: bool,
    /// Whether accounts with a password or a passkey may still use it to sign in.
    pub allows_passwords: bool,
}

/// The identity provider with its rules.
pub(super) struct Provider {
    pub(super) adapter: Arc<dyn IdentityProvider>,
    pub(super) settings: ProviderSettings,
    /// Limits the sign-ins that one network begins. Each attempt has a name of its own, so only the
    /// rule for networks applies, and nothing of a person gets into the throttle of passwords.
    pub(super) throttle: LoginThrottle,
}

/// Returns the secrets of the sign-in that has this secret. They follow from it, so neither the
/// database nor the provider can compute one from another.
pub(super) fn request_of(secret: &RandomSecret) -> ProviderRequest {
    let part = |name: &str| secret.bound_to(name).expose().to_owned();
    ProviderRequest { state: part("oidc state"), nonce: part("oidc nonce"), verifier: part("oidc verifier") }
}

/// Logs a failure of the provider.
pub(super) fn log(error: &ProviderError, what: &'static str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("settings", &self.settings).finish_non_exhaustive()
    }
}
