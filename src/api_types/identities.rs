//! The identities of accounts at the identity provider.

use kastrel_actors::model::LinkedIdentity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::moment::Moment;

/// The identity of an account: its person signs in to the account with the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Identity)]
pub struct IdentityBody {
    /// The name of the account.
    pub account: String,
    /// The issuer: the URL that identifies the provider.
    pub issuer: String,
    /// The subject: the id of the person at the issuer.
    pub subject: String,
    /// When it was linked.
    pub linked_at: Moment,
}

impl From<&LinkedIdentity> for IdentityBody {
    fn from(linked: &LinkedIdentity) -> Self {
        Self {
            account: linked.account.to_string(),
            issuer: linked.identity.issuer().to_owned(),
            subject: linked.identity.subject().to_owned(),
            linked_at: Moment::of(linked.linked_at),
        }
    }
}

/// An identity to link to an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewIdentity)]
pub struct NewIdentityBody {
    /// The subject: the id of the person at the issuer. It is no name and no mail address.
    pub subject: String,
    /// The issuer; without it, that of the configured provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}
