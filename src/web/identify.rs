//! Who makes a request: the middleware finds it out from the request's credential, before any
//! handler runs.
//!
//! A request has at most one credential that counts: the `Authorization` header, or else the cookie
//! of a session. A credential that is not valid makes the request unknown, as if it had none; the
//! guard of the route then refuses it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Uri, header};
use kastrel_actors::model::{Grants, Principal};
use kastrel_actors::policy::access::Identity;
use kastrel_actors::ports::StoreError;

use super::base_path;
use super::forwarded;
use super::sender::{Credential, Sender};
use super::state::WebInner;
use crate::identity::cookie;
use crate::service::access::SignedIn;

/// Returns the sender of a request. `address` is that of the client.
///
/// # Errors
/// The request has a credential, and the store failed.
pub(crate) async fn identify(
    web: &WebInner,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Sender, StoreError> {
    let anonymous =
        || Sender { identity: Identity::anonymous(web.state.anonymous.clone()), signed_in: None, credential: None };
    if is_command(web, method, uri, headers) {
        let identity = Identity { principal: Principal::System, grants: Some(Arc::new(Grants::all())) };
        return Ok(Sender { identity, ..anonymous() });
    }
    if !web.has_accounts() {
        return Ok(anonymous());
    }
    let Some(credential) = credential_of(headers, address) else { return Ok(anonymous()) };
    let Some(signed_in) = resolve(web, &credential).await? else { return Ok(anonymous()) };
    let identity = Identity { principal: signed_in.principal.clone(), grants: Some(Arc::clone(&signed_in.grants)) };
    Ok(Sender { identity, signed_in: Some(signed_in), credential: Some(credential) })
}

/// Returns the account whose credential this is; `None` if it is not valid, or not any more.
///
/// # Errors
/// A failure of the store.
pub(crate) async fn resolve(web: &WebInner, credential: &Credential) -> Result<Option<SignedIn>, StoreError> {
    match credential {
        Credential::Token { text, address } => web.access().by_token(text, *address).await,
        Credential::Session(secret) => web.access().by_session(secret).await,
    }
}

fn credential_of(headers: &HeaderMap, address: Option<IpAddr>) -> Option<Credential> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        let is_token = scheme.eq_ignore_ascii_case("bearer");
        return is_token.then(|| Credential::Token { text: token.trim().to_owned(), address });
    }
    cookie::read(headers, forwarded::is_https(headers), &base_path::of_cookies()).map(Credential::Session)
}

/// Returns true for a request of a command that can read the data folder of this server.
fn is_command(web: &WebInner, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some(proof) = &web.state.proof else { return false };
    let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else { return false };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    proof.key.accepts_command(value, &proof.url, method.as_str(), path, web.now())
}
