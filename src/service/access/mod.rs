//! The access service: accounts, sign-in, sessions, API tokens, one-time links and projects. Web
//! and command line reach the accounts through it alone.

mod accounts;
mod authenticate;
mod error;
mod fields;
mod identity_cache;
mod links;
mod passwords;
mod projects;
mod service;
mod sessions;
mod sign_in;
mod signed_in;
#[cfg(test)]
mod testing;
mod tokens;

pub use accounts::AccountRequest;
pub use error::{AccountError, SignInError};
pub use service::{AccessService, AccessSettings};
pub use sign_in::{NewSession, SignIn};
pub use signed_in::SignedIn;
pub use tokens::TokenRequest;
