//! Credentials as pure code: passwords, second factors, passkeys, API tokens, the claims of an
//! identity provider, the secrets of sessions and one-time links, the codes of device logins, the
//! cookies, the throttle of logins, the limit of requests that send mails, and which openings of
//! links are recorded. Nothing here reads a file, a row or a clock; the callers store what they get
//! and pass the time.

pub mod cookie;
pub mod oidc;
pub mod openings;
pub mod passkey;
pub mod password;
mod recent;
pub mod recovery_code;
pub mod request_limit;
pub mod secret;
pub mod throttle;
pub mod token;
pub mod totp;
pub mod user_code;
mod werkzeug;
