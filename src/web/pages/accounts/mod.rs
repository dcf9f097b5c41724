//! The pages of accounts: sign-in with its ways and steps, forgotten passwords, set-up, one's own
//! profile with its mail address, second factors and passkeys, device logins, all accounts,
//! projects with their members and clearances, and the public links and shares of scans. A server
//! without accounts has none of them, except the transfer of a scan to another project.

pub(crate) mod account_detail;
pub(crate) mod account_identity;
pub(crate) mod account_list;
mod clearances;
pub(crate) mod device;
mod enrolment;
mod fields;
pub(crate) mod forgot_password;
mod identity;
pub(crate) mod link_password;
mod links;
pub(crate) mod login;
pub(crate) mod login_code;
pub(crate) mod login_provider;
pub(crate) mod mail;
pub(crate) mod passkey_prompt;
pub(crate) mod passkeys;
pub(crate) mod profile;
pub(crate) mod project_detail;
pub(crate) mod project_list;
pub(crate) mod public_links;
mod qr;
mod roles;
pub(crate) mod second_factor;
mod sessions;
pub(crate) mod set_password;
pub(crate) mod set_up;
pub(crate) mod shared_with_me;
pub(crate) mod shares;
mod sign_in;
#[cfg(test)]
mod testing;
mod tokens;
pub(crate) mod transfer;

pub(crate) use fields::Accounts;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod login_provider_tests;
#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod mail_tests;
#[cfg(test)]
mod passkey_tests;
#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod project_switcher_tests;
#[cfg(test)]
mod project_tests;
#[cfg(test)]
mod public_link_tests;
#[cfg(test)]
mod rights_tests;
#[cfg(test)]
mod second_factor_tests;
#[cfg(test)]
mod share_tests;
