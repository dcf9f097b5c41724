//! The sender of a request, as the middleware found it out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use kastrel_actors::model::RequestContext;
use kastrel_actors::policy::access::Identity;
use kastrel_actors::ports::StoreError;

use super::trace::RequestTrace;
use crate::identity::secret::RandomSecret;
use crate::service::access::SignedIn;

/// What a request proves its sender's identity with.
#[derive(Clone)]
pub(crate) enum Credential {
    /// An API token, as it was sent, and the address of the client.
    Token { text: String, address: Option<IpAddr> },
    /// The secret of a session.
    Session(RandomSecret),
}

/// The sender of a request.
pub(crate) struct Sender {
    pub(crate) identity: Identity,
    /// The account; `None` for the system and for unknown clients.
    pub(crate) signed_in: Option<SignedIn>,
    /// The credential of the account, to find out later whether it is still valid.
    pub(crate) credential: Option<Credential>,
}

impl Sender {
    /// Returns the context of the request, which the services take.
    pub(crate) fn context(&self, trace: RequestTrace) -> RequestContext {
        let Identity { principal, grants } = &self.identity;
        RequestContext { principal: principal.clone(), grants: grants.clone().unwrap_or_default(), trace: trace.0 }
    }
}

/// The error that the store could not say whose credential it is.
#[derive(Debug, Clone)]
pub(crate) struct UnknownSender(pub(crate) Arc<StoreError>);

/// Returns the network address of a client, from the peer of its connection.
pub(crate) fn address_of(peer: Option<&ConnectInfo<SocketAddr>>) -> Option<IpAddr> {
    peer.map(|info| info.0.ip().to_canonical())
}
