//! The access service: accounts, sign-in with a password, a passkey or an identity provider, second
//! factors, sessions, API tokens, device logins, one-time links, mail addresses, projects, the
//! clearances of targets, and the public links and shares of scans. Web and command line reach them
//! through it alone.

mod accounts;
mod authenticate;
mod clearances;
mod codes;
mod confirmation;
mod device_login;
mod enrolment;
mod error;
mod fields;
mod identities;
mod identity_cache;
mod link_creator;
mod link_visits;
mod links;
mod mail_addresses;
#[cfg(test)]
mod mail_tests;
mod mail_texts;
mod mail_worker;
mod mails;
mod passkey_sign_in;
#[cfg(test)]
mod passkey_tests;
mod passkeys;
mod password_reset;
mod passwords;
mod pending;
mod projects;
mod provider;
mod provider_session;
mod provider_sign_in;
#[cfg(test)]
mod provider_tests;
mod public_links;
#[cfg(test)]
pub(crate) mod scripted_provider;
mod sealed_ceremony;
mod second_factor;
mod service;
mod sessions;
mod shares;
mod sign_in;
mod signed_in;
mod started;
#[cfg(test)]
mod testing;
mod tokens;

pub use accounts::AccountRequest;
pub use confirmation::{Confirmation, PasskeyAnswer};
pub use device_login::{DevicePoll, DeviceRequest, NewDeviceLogin};
pub use enrolment::Enrolment;
pub use error::{
    AccountError, CodeError, CodeFault, DeviceCodeError, DeviceLoginError, LinkPasswordError, SignInError,
};
pub use link_creator::{LinkPause, ListedLink};
pub use mail_addresses::MailChange;
pub use mails::{MailJobs, MailSettings};
pub use passkey_sign_in::PasskeySignIn;
pub use passkeys::PasskeyRequest;
pub use pending::{CodeAttempt, WaitingSignIn};
pub use provider::ProviderSettings;
pub use provider_sign_in::{ProviderCallback, ProviderRefusal, ProviderSignInError, ProviderStart};
pub use public_links::{LinkAccess, LinkPass, LinkVisit, PublicLinkRequest};
pub use second_factor::FactorState;
pub use service::{AccessService, AccessSettings};
pub use shares::{ReceivedShare, ShareRequest};
pub use sign_in::SignIn;
pub use signed_in::SignedIn;
pub use started::{NewPendingSignIn, NewSession, SignInStart};
pub use tokens::TokenRequest;
