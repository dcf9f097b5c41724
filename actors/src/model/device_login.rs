//! Device logins: a command line that waits until somebody allows it to have a token, in a browser.
//! The store has only digests of its two codes.

use jiff::Timestamp;

use super::{AccountName, ProjectRole, SecretDigest};

/// A device login: the request of a command line for an API token (RFC 8628). It gives no right
/// before an account allows it, and exists for minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLogin {
    /// The digest of the device code, which the command line alone has.
    pub key: SecretDigest,
    /// The digest of the user code, which a person compares and enters.
    pub user_code: SecretDigest,
    /// The machine, in the words of the command line: nobody has verified them.
    pub label: String,
    /// The network address of the command line.
    pub address: String,
    /// The network of that address, whose device logins are limited.
    pub network: String,
    /// The rights and the validity of the token that it requests.
    pub request: DeviceTokenRequest,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// What was decided about it.
    pub state: DeviceLoginState,
    /// The last poll of the command line.
    pub polls: DevicePolls,
}

/// The token that a device login requests. It has at most the rights of the account that allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceTokenRequest {
    /// The highest role in a project.
    pub role: ProjectRole,
    /// True if the token has the account's role on the server.
    pub has_server_role: bool,
    /// The days until the token expires.
    pub days: u32,
}

/// What was decided about a device login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceLoginState {
    /// Nothing yet.
    Pending,
    /// The account allowed it: the next poll gets a token of this account, once.
    Allowed(AccountName),
    /// An account denied it.
    Denied,
}

/// The polls of a device login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePolls {
    /// The last one, by the clock of the server that it reached.
    pub last_at: Option<Timestamp>,
    /// The least time between two polls, in seconds.
    pub interval: u32,
}

/// The limits of device logins that have not expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLoginLimits {
    /// How many one network may have.
    pub of_network: u32,
    /// How many there may be.
    pub total: u32,
}

/// The result of the creation of a device login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceLoginCreated {
    /// It was created.
    Created,
    /// Another one has the same user code. Nothing was changed.
    CodeTaken,
    /// There are too many, of its network or at all. Nothing was changed.
    Full {
        /// When the first of them expires.
        free_at: Timestamp,
    },
}

/// The decision of an account about a device login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceDecision {
    /// The command line gets a token of the account.
    Allow,
    /// The command line gets nothing.
    Deny,
}
