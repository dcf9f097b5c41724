//! Accounts: the people and programs that use a server, and what they may do.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{AccountName, Grants, MailAddress, Principal, ProjectId, ProjectRole, ServerRole};

named_enum! {
    /// What an account belongs to.
    pub enum AccountKind {
        /// A person, who signs in with a password.
        User = "user",
        /// A program, which has only tokens.
        Service = "service",
    }
}

/// An account and its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// What it belongs to.
    pub kind: AccountKind,
    /// Its role on the server.
    pub server_role: Option<ServerRole>,
    /// A disabled account cannot sign in, and its sessions and tokens are refused.
    pub is_disabled: bool,
    /// True if it can sign in with a password.
    pub has_password: bool,
    /// True if it has an authenticator app or a passkey: the password alone starts no session.
    pub has_second_factor: bool,
    /// The mail address to which links for a new password and notices are sent.
    pub mail: Option<MailAddress>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its role in each project of which it is a member.
    pub memberships: BTreeMap<ProjectId, ProjectRole>,
}

impl Account {
    /// Returns the principal for whom the requests of this account run.
    #[must_use]
    pub fn principal(&self) -> Principal {
        match self.kind {
            AccountKind::User => Principal::User(self.name.clone()),
            AccountKind::Service => Principal::Service(self.name.clone()),
        }
    }

    /// Returns the rights of this account; none if it is disabled.
    #[must_use]
    pub fn grants(&self) -> Grants {
        if self.is_disabled { Grants::none() } else { Grants::new(self.server_role, self.memberships.clone()) }
    }

    /// Returns true if the account can administrate the server.
    #[must_use]
    pub fn is_active_admin(&self) -> bool {
        !self.is_disabled && self.kind == AccountKind::User && self.server_role == Some(ServerRole::Admin)
    }
}

/// An account to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name.
    pub name: AccountName,
    /// What it belongs to.
    pub kind: AccountKind,
    /// Its role on the server.
    pub server_role: Option<ServerRole>,
    /// The hash of its password, if it has one.
    pub password_hash: Option<String>,
    /// Its mail address, if it has one.
    pub mail: Option<MailAddress>,
    /// Its role in each project of which it is a member.
    pub memberships: BTreeMap<ProjectId, ProjectRole>,
}

/// A change of an account. Each one except [`Enable`](Self::Enable) ends the sessions of the
/// account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange {
    /// The account can do nothing any more.
    Disable,
    /// The account can sign in again.
    Enable,
    /// The account gets this role on the server, or none.
    SetServerRole(Option<ServerRole>),
}

/// The result of a change of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChanged {
    /// The account is as requested. It may have been so before.
    Changed,
    /// There is no such account.
    Missing,
    /// Nothing was changed: the server would have no administrator that can sign in.
    LastAdmin,
}

/// The result of a change of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChanged {
    /// The membership is as requested. It may have been so before.
    Changed,
    /// There is no such project.
    NoProject,
    /// There is no such account.
    NoAccount,
}

/// A project: the boundary of what its members may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its title, for people.
    pub title: String,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The default project, which exists without a row.
impl Default for Project {
    fn default() -> Self {
        Self { id: ProjectId::default(), title: "Default".to_owned(), created_at: Timestamp::UNIX_EPOCH }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disabled_account_has_no_rights() {
        let mut account = Account {
            name: "ana".parse().unwrap(),
            kind: AccountKind::User,
            server_role: Some(ServerRole::Admin),
            is_disabled: false,
            has_password: true,
            has_second_factor: false,
            mail: None,
            created_at: Timestamp::UNIX_EPOCH,
            memberships: BTreeMap::from([(ProjectId::default(), ProjectRole::Owner)]),
        };
        assert_eq!(account.grants(), Grants::new(account.server_role, account.memberships.clone()));
        assert!(account.is_active_admin());
        account.is_disabled = true;
        assert_eq!(account.grants(), Grants::none());
        assert!(!account.is_active_admin());
    }
}
