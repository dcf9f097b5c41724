//! The rights of a principal at the moment of a request.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{ProjectFilter, ProjectId, ProjectRole, ScanId, ServerRole, ShareRight};

/// What a principal may do: its role on the server, its role in each project, and the scans that
/// are shared with it. [`policy::access`](crate::policy::access) decides by them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Grants {
    server_role: Option<ServerRole>,
    /// The role in all projects.
    everywhere: Option<ProjectRole>,
    projects: BTreeMap<ProjectId, ProjectRole>,
    shares: BTreeMap<ScanId, SharedScan>,
}

/// The rights that shares give on one scan. Each share gives a right on a scan that is not younger
/// than the share, because after a restore a later scan can have the number of an earlier one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SharedScan {
    /// The time of the newest share.
    view: Option<Timestamp>,
    /// The time of the newest share with the right `edit`.
    edit: Option<Timestamp>,
}

impl SharedScan {
    /// Adds the right of a share that was created at this time.
    pub fn add(&mut self, right: ShareRight, created_at: Timestamp) {
        self.view = self.view.max(Some(created_at));
        if right == ShareRight::Edit {
            self.edit = self.edit.max(Some(created_at));
        }
    }

    /// Returns the right on the scan if it was submitted at this time.
    #[must_use]
    pub fn right_on(&self, submitted_at: Timestamp) -> Option<ShareRight> {
        if self.edit >= Some(submitted_at) {
            Some(ShareRight::Edit)
        } else {
            (self.view >= Some(submitted_at)).then_some(ShareRight::View)
        }
    }
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
        Self { server_role, everywhere, projects, shares: BTreeMap::new() }
    }

    /// Returns these rights with those that shares give.
    #[must_use]
    pub fn with_shares(self, shares: BTreeMap<ScanId, SharedScan>) -> Self {
        Self { shares, ..self }
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

    /// Returns the rights that a token with these limits has, without shares: which ones it has
    /// depends on their grantees ([`policy::shares`](crate::policy::shares)).
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
                    shares: BTreeMap::new(),
                }
            }
            None => Self {
                server_role,
                everywhere: self.everywhere.map(limited),
                projects: self.projects.iter().map(|(project, role)| (project.clone(), limited(*role))).collect(),
                shares: BTreeMap::new(),
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

    /// Returns the right that shares give on a scan that was submitted at this time.
    #[must_use]
    pub fn share_of(&self, scan: ScanId, submitted_at: Timestamp) -> Option<ShareRight> {
        self.shares.get(&scan)?.right_on(submitted_at)
    }

    /// Returns true if any scan is shared.
    #[must_use]
    pub fn has_shares(&self) -> bool {
        !self.shares.is_empty()
    }

    /// Returns true if any scan is shared with the right `edit`.
    #[must_use]
    pub fn has_edit_share(&self) -> bool {
        self.shares.values().any(|shared| shared.edit.is_some())
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
