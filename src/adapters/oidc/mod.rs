//! An identity provider that speaks OpenID Connect: the port
//! [`IdentityProvider`](crate::ports::IdentityProvider) by HTTP.
//!
//! - `http` sends requests: no redirects, a time limit, and responses of bounded size.
//! - `discovery` keeps what the provider says about itself, with its signing keys.
//! - `provider` is the code flow: the address of a sign-in, the exchange of the code, and the
//!   verification of the ID token.

mod discovery;
mod http;
mod provider;
#[cfg(test)]
mod tests;

pub use http::HttpError;
pub use provider::{OidcOptions, OidcProvider};
