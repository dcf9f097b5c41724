//! The sender of a request, as the middleware found it out.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::ConnectInfo;
use kastrel_actors::policy::access::Identity;
use kastrel_actors::ports::StoreError;

use crate::identity::secret::RandomSecret;
use crate::service::access::SignedIn;

/// What a request proves its sender's identity with.
#[derive(Clone)]
pub(crate) enum Credential {
    /// An API token, as it was sent.
    Token(String),
    /// The secret of a session.
    Session(RandomSecret),
}

/// The sender of a request.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) identity: Identity,
    /// The account; `None` for the system and for unknown clients.
    pub(crate) signed_in: Option<SignedIn>,
    /// The credential of the account, to find out later whether it is still valid.
    pub(crate) credential: Option<Credential>,
}

/// The error that the store could not say whose credential it is.
#[derive(Debug, Clone)]
pub(crate) struct UnknownSender(pub(crate) Arc<StoreError>);

/// Returns the network address of a client, from the peer of its connection.
pub(crate) fn address_of(peer: Option<&ConnectInfo<SocketAddr>>) -> Option<IpAddr> {
    peer.map(|info| info.0.ip().to_canonical())
}
