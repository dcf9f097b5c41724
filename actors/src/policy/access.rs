//! Access control: the rights of a role on a group of routes. One table decides each request.

use crate::model::Principal;

/// The role of a user on this server. `Viewer`, `Scanner`, `Operator` and `Owner` each include the
/// roles before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Reads scans and their results.
    Viewer,
    /// Submits scans and cancels them.
    Scanner,
    /// Deletes scans, and changes several at once.
    Operator,
    /// Manages members and secrets.
    Owner,
    /// Runs the server; has all rights.
    Admin,
    /// Reads everything, including the server's settings, and changes nothing.
    Auditor,
}

/// A group of routes that require the same right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Requires no right: health checks, the program's own assets, and data that a browser stores
    /// for itself.
    Public,
    /// Reads scans and results.
    Viewer,
    /// Submits, repeats and cancels scans.
    Scanner,
    /// Deletes scans, and changes several at once.
    Operator,
    /// Manages members and secrets.
    Owner,
    /// Changes the server itself: its queue and its nodes.
    Admin,
    /// Reads the settings and backups of the server.
    Auditor,
}

impl Group {
    /// Returns the group's name, which is also that of the lowest role that has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Viewer => "viewer",
            Self::Scanner => "scanner",
            Self::Operator => "operator",
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }
}

/// The identity that makes a request: a principal, and the role that the server grants to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who makes the request.
    pub principal: Principal,
    /// Its role; `None` grants no rights.
    pub role: Option<Role>,
}

impl Identity {
    /// Returns the identity of a client that did not say who it is.
    #[must_use]
    pub const fn anonymous(role: Option<Role>) -> Self {
        Self { principal: Principal::Anonymous, role }
    }
}

/// Returns true if a client with this role may use the routes of `group`.
#[must_use]
pub const fn may(role: Option<Role>, group: Group) -> bool {
    let Some(role) = role else { return matches!(group, Group::Public) };
    match group {
        Group::Public | Group::Viewer => true,
        Group::Scanner => matches!(role, Role::Scanner | Role::Operator | Role::Owner | Role::Admin),
        Group::Operator => matches!(role, Role::Operator | Role::Owner | Role::Admin),
        Group::Owner => matches!(role, Role::Owner | Role::Admin),
        Group::Admin => matches!(role, Role::Admin),
        Group::Auditor => matches!(role, Role::Auditor | Role::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: [Group; 7] =
        [Group::Public, Group::Viewer, Group::Scanner, Group::Operator, Group::Owner, Group::Admin, Group::Auditor];

    #[test]
    fn each_role_has_its_groups() {
        for (role, rights) in [
            (Role::Viewer, [true, true, false, false, false, false, false]),
            (Role::Scanner, [true, true, true, false, false, false, false]),
            (Role::Operator, [true, true, true, true, false, false, false]),
            (Role::Owner, [true, true, true, true, true, false, false]),
            (Role::Admin, [true; 7]),
            (Role::Auditor, [true, true, false, false, false, false, true]),
        ] {
            assert_eq!(GROUPS.map(|group| may(Some(role), group)), rights, "{role:?}");
        }
        assert!(GROUPS.iter().all(|group| may(None, *group) == (*group == Group::Public)));
    }
}
