//! Access control: which operations a principal may do, and which routes it may call. One function
//! decides each of them from the principal's rights; services and routes only ask.

use std::sync::Arc;

use super::clearance::NotCleared;
use crate::model::{Grants, Operation, Principal, ProjectId, ProjectRole, ScanRecord, ServerRole};

/// The right that an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// At least this role in the project.
    InProject(ProjectRole),
    /// Any role on the server.
    AnyServerRole,
    /// The role of an administrator.
    Admin,
}

impl std::fmt::Display for Needed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InProject(role) => write!(f, "the role `{role}` in this project"),
            Self::AnyServerRole => f.write_str("the server role `auditor` or `admin`"),
            Self::Admin => f.write_str("the server role `admin`"),
        }
    }
}

impl Operation {
    /// Returns the right that the operation needs.
    #[must_use]
    pub const fn needs(self) -> Needed {
        match self {
            Self::ReadScans | Self::ReadMembers | Self::ReadClearances | Self::ReadFindings => {
                Needed::InProject(ProjectRole::Viewer)
            }
            Self::SubmitPassive | Self::CancelScans => Needed::InProject(ProjectRole::Scanner),
            Self::SubmitActive | Self::DeleteScans | Self::ShareScans | Self::TriageFindings | Self::EditTargets => {
                Needed::InProject(ProjectRole::Operator)
            }
            Self::ManageMembers | Self::ManageClearances | Self::ManageSla => Needed::InProject(ProjectRole::Owner),
            Self::ReadServer | Self::ReadAudit | Self::ReadAccounts => Needed::AnyServerRole,
            Self::ChangeServer | Self::ManageAccounts => Needed::Admin,
        }
    }
}

/// Why an operation is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The principal may not know that the object exists. The response is that of a missing object.
    #[error("not found")]
    NotVisible,
    /// The principal lacks a right.
    #[error("this needs {needed}")]
    Lacks {
        /// The right.
        needed: Needed,
    },
    /// The principal has the right, and the target of the scan lacks the clearance.
    #[error("{0}")]
    NotCleared(NotCleared),
}

/// Decides whether a principal with these rights may do an operation in a project. An operation on
/// the server has no project.
///
/// # Errors
/// It may not. An object of a project that the principal may not read is
/// [`NotVisible`](Denial::NotVisible).
pub fn decide(grants: &Grants, operation: Operation, project: Option<&ProjectId>) -> Result<(), Denial> {
    let needed = operation.needs();
    let is_allowed = match needed {
        Needed::InProject(role) => {
            let own = project.and_then(|project| grants.role_in(project));
            if own.is_none() {
                return Err(Denial::NotVisible);
            }
            own >= Some(role)
        }
        Needed::AnyServerRole => grants.server_role().is_some(),
        Needed::Admin => grants.server_role() == Some(ServerRole::Admin),
    };
    if is_allowed { Ok(()) } else { Err(Denial::Lacks { needed }) }
}

/// Decides whether a principal with these rights may do an operation on a scan: by its role in the
/// project of the scan, or by a share of the scan.
///
/// # Errors
/// It may not. A scan that it may not read is [`NotVisible`](Denial::NotVisible).
pub fn decide_scan(grants: &Grants, operation: Operation, scan: &ScanRecord) -> Result<(), Denial> {
    let Err(denial) = decide(grants, operation, Some(&scan.project)) else { return Ok(()) };
    match grants.share_of(scan.id, scan.created_at) {
        None => Err(denial),
        Some(right) if right.includes(operation) => Ok(()),
        Some(_) => Err(Denial::Lacks { needed: operation.needs() }),
    }
}

/// Returns true if a principal with these rights may do an operation in every project.
#[must_use]
pub fn holds_everywhere(grants: &Grants, operation: Operation) -> bool {
    match operation.needs() {
        Needed::InProject(role) => grants.projects_with(role).is_none(),
        Needed::AnyServerRole | Needed::Admin => decide(grants, operation, None).is_ok(),
    }
}

/// A group of routes that require the same right. The handlers' operations check the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// Requires no right: health checks, sign-in, the public links of scans, the program's own
    /// assets, and data that a browser stores for itself.
    Public,
    /// Requires a known principal. Its lists have what it may see.
    Viewer,
    /// Requires a right to cancel some scan: a role that does, or a share with the right `edit`.
    Editor,
    /// Requires a role in some project that submits scans.
    Scanner,
    /// Requires a role in some project that deletes, shares and transfers scans.
    Operator,
    /// Requires the role of an administrator: changes the server itself.
    Admin,
    /// Requires a role on the server: reads its settings, nodes and accounts.
    Auditor,
}

impl Group {
    /// Returns the group's name. That of a group for a role is the name of the lowest such role.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Scanner => "scanner",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Auditor => "auditor",
        }
    }
}

/// Who makes a request, and with which rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Who makes the request.
    pub principal: Principal,
    /// Its rights; `None` if the client did not say who it is, on a server with accounts.
    pub grants: Option<Arc<Grants>>,
}

impl Identity {
    /// Returns the identity of a client that did not say who it is.
    #[must_use]
    pub const fn anonymous(grants: Option<Arc<Grants>>) -> Self {
        Self { principal: Principal::Anonymous, grants }
    }
}

/// Returns true if a client with these rights may call the routes of `group`. `None` means that the
/// client is not known.
#[must_use]
pub fn may(grants: Option<&Grants>, group: Group) -> bool {
    let Some(grants) = grants else { return group == Group::Public };
    match group {
        Group::Public | Group::Viewer => true,
        Group::Editor => may(Some(grants), Group::Scanner) || grants.has_edit_share(),
        Group::Scanner => grants.highest_role() >= Some(ProjectRole::Scanner),
        Group::Operator => grants.highest_role() >= Some(ProjectRole::Operator),
        Group::Auditor => grants.server_role().is_some(),
        Group::Admin => grants.server_role() == Some(ServerRole::Admin),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::model::{ScanId, ShareRight, SharedScan};

    const GROUPS: [Group; 7] =
        [Group::Public, Group::Viewer, Group::Editor, Group::Scanner, Group::Operator, Group::Admin, Group::Auditor];

    fn project(id: &str) -> ProjectId {
        id.parse().unwrap()
    }

    fn member(role: ProjectRole) -> Grants {
        Grants::new(None, BTreeMap::from([(project("own"), role)]))
    }

    /// The decision for each operation, in the own project or on the server: `y` for allowed, `n`
    /// for a lacking right, `-` for an object that is not visible.
    fn decisions(grants: &Grants, id: &str) -> String {
        let id = project(id);
        let decide = |operation: &Operation| match decide(grants, *operation, Some(&id)) {
            Ok(()) => 'y',
            Err(Denial::Lacks { .. } | Denial::NotCleared(_)) => 'n',
            Err(Denial::NotVisible) => '-',
        };
        Operation::ALL.iter().map(decide).collect()
    }

    #[test]
    fn each_role_has_its_operations() {
        let server = |role| Grants::new(Some(role), BTreeMap::new());
        for (grants, in_own, in_other) in [
            (Grants::none(), "-------nnnnn-------", "-------nnnnn-------"),
            (member(ProjectRole::Viewer), "ynnnnynnnnnnynnynnn", "-------nnnnn-------"),
            (member(ProjectRole::Scanner), "yynynynnnnnnynnynnn", "-------nnnnn-------"),
            (member(ProjectRole::Operator), "yyyyyynnnnnnynyyyyn", "-------nnnnn-------"),
            (member(ProjectRole::Owner), "yyyyyyynnnnnyyyyyyy", "-------nnnnn-------"),
            (server(ServerRole::Auditor), "ynnnnynyynynynnynnn", "ynnnnynyynynynnynnn"),
            (server(ServerRole::Admin), "yyyyyyyyyyyyyyyyyyy", "yyyyyyyyyyyyyyyyyyy"),
        ] {
            assert_eq!(decisions(&grants, "own"), in_own, "{grants:?}");
            assert_eq!(decisions(&grants, "other"), in_other, "{grants:?}");
        }
    }

    #[test]
    fn each_role_has_its_groups() {
        let shared = |right| {
            let mut scan = SharedScan::default();
            scan.add(right, jiff::Timestamp::UNIX_EPOCH);
            Grants::none().with_shares(BTreeMap::from([(ScanId(1), scan)]))
        };
        for (grants, rights) in [
            (member(ProjectRole::Viewer), [true, true, false, false, false, false, false]),
            (member(ProjectRole::Scanner), [true, true, true, true, false, false, false]),
            (member(ProjectRole::Operator), [true, true, true, true, true, false, false]),
            (member(ProjectRole::Owner), [true, true, true, true, true, false, false]),
            (Grants::none(), [true, true, false, false, false, false, false]),
            (shared(ShareRight::View), [true, true, false, false, false, false, false]),
            (shared(ShareRight::Edit), [true, true, true, false, false, false, false]),
            (Grants::all(), [true; 7]),
            (Grants::new(Some(ServerRole::Auditor), BTreeMap::new()), [true, true, false, false, false, false, true]),
        ] {
            assert_eq!(GROUPS.map(|group| may(Some(&grants), group)), rights, "{grants:?}");
        }
        assert!(GROUPS.iter().all(|group| may(None, *group) == (*group == Group::Public)));
    }

    /// The same decision by enumeration: each operation has its own line.
    fn slow(
        server: Option<ServerRole>,
        members: &BTreeMap<ProjectId, ProjectRole>,
        operation: Operation,
        project: &ProjectId,
    ) -> Result<(), &'static str> {
        use Operation::*;
        let own = members.get(project).copied();
        let is_admin = server == Some(ServerRole::Admin);
        let has = |least: ProjectRole| is_admin || own.is_some_and(|own| own >= least);
        let allowed = match operation {
            ReadScans | ReadMembers | ReadClearances | ReadFindings => server.is_some() || own.is_some(),
            SubmitPassive | CancelScans => has(ProjectRole::Scanner),
            SubmitActive | DeleteScans | ShareScans | TriageFindings | EditTargets => has(ProjectRole::Operator),
            ManageMembers | ManageClearances | ManageSla => has(ProjectRole::Owner),
            ReadServer | ReadAudit | ReadAccounts => server.is_some(),
            ChangeServer | ManageAccounts => is_admin,
        };
        let is_on_server = matches!(operation, ReadServer | ReadAudit | ReadAccounts | ChangeServer | ManageAccounts);
        if allowed {
            Ok(())
        } else if is_on_server || server.is_some() || own.is_some() {
            Err("lacks")
        } else {
            Err("not visible")
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn decision_is_that_of_the_enumeration(
            server in prop::option::of(prop::sample::select(ServerRole::ALL)),
            members in prop::collection::btree_map("[abc]", prop::sample::select(ProjectRole::ALL), 0..3),
            operation in prop::sample::select(Operation::ALL),
            asked in "[abcd]",
        ) {
            let members: BTreeMap<ProjectId, ProjectRole> =
                members.into_iter().map(|(id, role)| (project(&id), role)).collect();
            let asked = project(&asked);
            let decided = decide(&Grants::new(server, members.clone()), operation, Some(&asked));
            let decided = decided.map_err(|denial| match denial {
                Denial::NotVisible => "not visible",
                Denial::Lacks { .. } | Denial::NotCleared(_) => "lacks",
            });
            prop_assert_eq!(decided, slow(server, &members, operation, &asked));
        }
    }
}
