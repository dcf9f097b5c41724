//! The operations that principals do, and the rights of a principal at the moment of a request.

use std::collections::{BTreeMap, BTreeSet};

use super::{ProjectFilter, ProjectId, ProjectRole, ServerRole};

named_enum! {
    /// What a principal wants to do.
    pub enum Operation {
        /// Reads the scans of a project, their results and their files.
        ReadScans = "read_scans",
        /// Submits a scan that runs passive plugins only.
        SubmitPassive = "submit_passive",
        /// Submits a scan that can run active plugins.
        SubmitActive = "submit_active",
        /// Cancels scans, and renders their reports again.
        CancelScans = "cancel_scans",
        /// Deletes scans.
        DeleteScans = "delete_scans",
        /// Reads the members of a project.
        ReadMembers = "read_members",
        /// Changes the members of a project.
        ManageMembers = "manage_members",
        /// Reads the state of the server: its settings, nodes, queue and backups.
        ReadServer = "read_server",
        /// Reads the audit log.
        ReadAudit = "read_audit",
        /// Changes the state of the server: pauses the queue, drains nodes, takes backups.
        ChangeServer = "change_server",
        /// Reads all accounts.
        ReadAccounts = "read_accounts",
        /// Changes accounts, and creates projects.
        ManageAccounts = "manage_accounts",
        /// Reads the clearances of targets in a project.
        ReadClearances = "read_clearances",
        /// Changes the clearances of targets in a project.
        ManageClearances = "manage_clearances",
        /// Creates and revokes public links of scans, and reads which there are.
        ShareScans = "share_scans",
    }
}

/// What a principal may do: its role on the server, and its role in each project.
/// [`policy::access`](crate::policy::access) decides by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    server_role: Option<ServerRole>,
    /// The role in all projects.
    everywhere: Option<ProjectRole>,
    projects: BTreeMap<ProjectId, ProjectRole>,
}

/// The limits of a token: its requests have at most these rights of its account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// The highest role in a project.
    pub role: ProjectRole,
    /// The only project; `None` means all projects of the account.
    pub project: Option<ProjectId>,
    /// True if the token has the account's role on the server.
    pub has_server_role: bool,
}

impl Grants {
    /// Returns the rights of an account with these roles.
    #[must_use]
    pub fn new(server_role: Option<ServerRole>, projects: BTreeMap<ProjectId, ProjectRole>) -> Self {
        let everywhere = server_role.map(|role| match role {
            ServerRole::Admin => ProjectRole::Owner,
            ServerRole::Auditor => ProjectRole::Viewer,
        });
        Self { server_role, everywhere, projects }
    }

    /// Returns all rights: those of the system, and of every client of a server without accounts.
    #[must_use]
    pub fn all() -> Self {
        Self::new(Some(ServerRole::Admin), BTreeMap::new())
    }

    /// Returns no rights.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Returns the rights that a token with these limits has.
    #[must_use]
    pub fn within(&self, scope: &TokenScope) -> Self {
        let limited = |role: ProjectRole| role.min(scope.role);
        let server_role = self.server_role.filter(|_| scope.has_server_role);
        match &scope.project {
            Some(project) => {
                let role = self.role_in(project).map(limited);
                Self {
                    server_role,
                    everywhere: None,
                    projects: role.map(|role| (project.clone(), role)).into_iter().collect(),
                }
            }
            None => Self {
                server_role,
                everywhere: self.everywhere.map(limited),
                projects: self.projects.iter().map(|(project, role)| (project.clone(), limited(*role))).collect(),
            },
        }
    }

    /// Returns the role on the server.
    #[must_use]
    pub const fn server_role(&self) -> Option<ServerRole> {
        self.server_role
    }

    /// Returns the role in a project.
    #[must_use]
    pub fn role_in(&self, project: &ProjectId) -> Option<ProjectRole> {
        self.projects.get(project).copied().max(self.everywhere)
    }

    /// Returns the highest role in any project.
    #[must_use]
    pub fn highest_role(&self) -> Option<ProjectRole> {
        self.projects.values().copied().max().max(self.everywhere)
    }

    /// Returns the filter of the projects whose scans the principal may read.
    #[must_use]
    pub fn readable(&self) -> ProjectFilter {
        self.projects_with(ProjectRole::Viewer).map_or(ProjectFilter::All, ProjectFilter::Only)
    }

    /// Returns the projects in which the role is at least `role`; `None` means all projects.
    #[must_use]
    pub fn projects_with(&self, role: ProjectRole) -> Option<BTreeSet<ProjectId>> {
        if self.everywhere >= Some(role) {
            return None;
        }
        Some(self.projects.iter().filter(|(_, own)| **own >= role).map(|(project, _)| project.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str) -> ProjectId {
        id.parse().unwrap()
    }

    fn member(roles: &[(&str, ProjectRole)]) -> BTreeMap<ProjectId, ProjectRole> {
        roles.iter().map(|(id, role)| (project(id), *role)).collect()
    }

    #[test]
    fn server_role_is_a_role_in_every_project_and_a_membership_adds_to_it() {
        for (server_role, in_own, in_other) in [
            (None, Some(ProjectRole::Scanner), None),
            (Some(ServerRole::Auditor), Some(ProjectRole::Scanner), Some(ProjectRole::Viewer)),
            (Some(ServerRole::Admin), Some(ProjectRole::Owner), Some(ProjectRole::Owner)),
        ] {
            let grants = Grants::new(server_role, member(&[("own", ProjectRole::Scanner)]));
            assert_eq!(grants.role_in(&project("own")), in_own, "{server_role:?}");
            assert_eq!(grants.role_in(&project("other")), in_other, "{server_role:?}");
        }
        assert_eq!(Grants::none().highest_role(), None);
    }

    #[test]
    fn projects_are_listed_unless_the_role_holds_in_all() {
        let grants =
            |server_role| Grants::new(server_role, member(&[("a", ProjectRole::Viewer), ("b", ProjectRole::Operator)]));
        let of = |grants: &Grants, role| grants.projects_with(role).map(|all| all.len());
        assert_eq!(of(&grants(None), ProjectRole::Viewer), Some(2));
        assert_eq!(of(&grants(None), ProjectRole::Operator), Some(1));
        assert_eq!(of(&grants(Some(ServerRole::Auditor)), ProjectRole::Viewer), None);
        assert_eq!(of(&grants(Some(ServerRole::Auditor)), ProjectRole::Operator), Some(1));
        assert_eq!(of(&Grants::all(), ProjectRole::Owner), None);
        assert_eq!(of(&Grants::none(), ProjectRole::Viewer), Some(0));
    }

    #[test]
    fn token_has_at_most_the_rights_of_its_account() {
        let accounts = [
            Grants::none(),
            Grants::new(None, member(&[("a", ProjectRole::Viewer), ("b", ProjectRole::Owner)])),
            Grants::new(Some(ServerRole::Auditor), member(&[("a", ProjectRole::Scanner)])),
            Grants::all(),
        ];
        for account in &accounts {
            for role in ProjectRole::ALL.iter().copied() {
                for only in [None, Some(project("a")), Some(project("c"))] {
                    for has_server_role in [false, true] {
                        let scope = TokenScope { role, project: only.clone(), has_server_role };
                        let token = account.within(&scope);
                        for id in ["a", "b", "c"].map(project) {
                            let is_covered = only.as_ref().is_none_or(|only| *only == id);
                            let expected = account.role_in(&id).filter(|_| is_covered).map(|own| own.min(role));
                            assert_eq!(token.role_in(&id), expected, "{account:?} {scope:?} {id}");
                        }
                        assert_eq!(token.server_role(), account.server_role().filter(|_| has_server_role));
                    }
                }
            }
        }
    }
}
