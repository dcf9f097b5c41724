//! The identity of a request that proved who it is.

use std::sync::Arc;

use kastrel_actors::model::{AccountName, Grants, Principal, SecretDigest, TokenId};

/// Who makes a request, and with which credential. Its rights are those at the moment of the
/// request, at most 500 ms old.
///
/// A token must not serve to create tokens or to change the password: a leaked token would give
/// access beyond its expiry. The routes of such operations refuse a request with a
/// [`token`](Self::token), because the services know only its principal and its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The account.
    pub account: AccountName,
    /// The principal for whom the request runs.
    pub principal: Principal,
    /// What the request may do.
    pub grants: Arc<Grants>,
    /// The session, if the request has its cookie.
    pub session: Option<SecretDigest>,
    /// The API token, if the request has one.
    pub token: Option<TokenId>,
}
