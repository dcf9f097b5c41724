//! Shares of scans: whose shares an identity has, and which rights they give at one time. The
//! decision about an operation on a scan is [`access::decide_scan`](super::access::decide_scan).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{
    Account, AccountKind, Grantee, Grants, ProjectRole, ScanId, Share, ShareRight, SharedScan, TokenScope,
};

/// How many shares that have not expired a grantee may have. The rights of an identity are read
/// with it, so they are bounded.
pub const MOST_OF_GRANTEE: usize = 1_000;

/// Returns the grantees whose shares an account has: the user itself, and the projects in which it
/// has a role of its own. A token of one project has the shares with that project alone.
///
/// Roles on the server are no memberships: an auditor and an administrator may read every scan
/// without shares.
#[must_use]
pub fn grantees(account: &Account, scope: Option<&TokenScope>) -> Vec<Grantee> {
    if account.is_disabled {
        return Vec::new();
    }
    if let Some(project) = scope.and_then(|scope| scope.project.as_ref()) {
        let is_member = account.memberships.contains_key(project);
        return is_member.then(|| Grantee::Project(project.clone())).into_iter().collect();
    }
    let user = (account.kind == AccountKind::User).then(|| Grantee::User(account.name.clone()));
    user.into_iter().chain(account.memberships.keys().cloned().map(Grantee::Project)).collect()
}

/// Returns the right that an identity with these rights has of a share at `now`; `None` if it has
/// none. `grants` are those of the account within the limits of the token.
///
/// A share with a project gives its members at most what their role in the project allows, and a
/// token gets at most what its role allows.
#[must_use]
pub fn right_of(
    account: &Account,
    grants: &Grants,
    scope: Option<&TokenScope>,
    share: &Share,
    now: Timestamp,
) -> Option<ShareRight> {
    if !share.is_current(now) || !grantees(account, scope).contains(&share.grantee) {
        return None;
    }
    let role = match &share.grantee {
        Grantee::User(_) => scope.map_or(ProjectRole::Owner, |scope| scope.role),
        Grantee::Project(project) => grants.role_in(project)?,
    };
    Some(share.right.within(role))
}

/// Returns the scans that these shares give to an identity at `now`.
#[must_use]
pub fn shared_scans(
    account: &Account,
    grants: &Grants,
    scope: Option<&TokenScope>,
    shares: &[Share],
    now: Timestamp,
) -> BTreeMap<ScanId, SharedScan> {
    let mut scans: BTreeMap<ScanId, SharedScan> = BTreeMap::new();
    for share in shares {
        if let Some(right) = right_of(account, grants, scope, share, now) {
            scans.entry(share.scan).or_default().add(right, share.created_at);
        }
    }
    scans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Operation, Principal, ProjectId, ScanRecord, ServerRole};
    use crate::policy::access::{Denial, decide, decide_scan};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn project(id: &str) -> ProjectId {
        id.parse().unwrap()
    }

    fn account(kind: AccountKind, memberships: &[(&str, ProjectRole)]) -> Account {
        Account {
            name: "ana".parse().unwrap(),
            kind,
            server_role: None,
            is_disabled: false,
            has_password: true,
            has_second_factor: false,
            mail: None,
            created_at: Timestamp::UNIX_EPOCH,
            memberships: memberships.iter().map(|(id, role)| (project(id), *role)).collect(),
        }
    }

    fn share(scan: u64, with: &str, right: ShareRight) -> Share {
        Share {
            scan: ScanId(scan),
            grantee: with.parse().unwrap(),
            right,
            created_by: Principal::System,
            created_at: at(100),
            expires_at: None,
        }
    }

    /// The rights of an account, or of a token of it, with its shares.
    fn rights(account: &Account, scope: Option<&TokenScope>, shares: &[Share], now: Timestamp) -> Grants {
        let grants = scope.map_or_else(|| account.grants(), |scope| account.grants().within(scope));
        let shared = shared_scans(account, &grants, scope, shares, now);
        grants.with_shares(shared)
    }

    /// A scan of the project `far`, which was submitted at this time.
    fn scan(id: u64, second: i64) -> ScanRecord {
        ScanRecord { project: project("far"), ..fixtures::record(id, at(second)) }
    }

    /// The decision for each operation on a scan, as in the tests of `policy::access`.
    fn decisions(grants: &Grants, scan: &ScanRecord) -> String {
        let decide = |operation: &Operation| match decide_scan(grants, *operation, scan) {
            Ok(()) => 'y',
            Err(Denial::Lacks { .. } | Denial::NotCleared(_)) => 'n',
            Err(Denial::NotVisible) => '-',
        };
        Operation::ALL.iter().map(decide).collect()
    }

    const NOTHING: &str = "-------nnnnn-------";
    const VIEW: &str = "ynnnnnnnnnnnnnnnnnn";
    const EDIT: &str = "ynnynnnnnnnnnnnnnnn";

    #[test]
    fn share_gives_its_right_on_its_scan_alone() {
        let ana = account(AccountKind::User, &[]);
        for (right, expected) in [(ShareRight::View, VIEW), (ShareRight::Edit, EDIT)] {
            let grants = rights(&ana, None, &[share(7, "user:ana", right)], at(200));
            assert_eq!(decisions(&grants, &scan(7, 50)), expected);
            assert_eq!(decisions(&grants, &scan(8, 50)), NOTHING);
            for operation in Operation::ALL {
                let in_project = decide(&grants, *operation, Some(&project("far")));
                assert_eq!(in_project, decide(&Grants::none(), *operation, Some(&project("far"))), "{operation}");
            }
            assert_eq!((grants.readable(), grants.highest_role()), (Grants::none().readable(), None));
        }
        let foreign = [share(7, "user:ben", ShareRight::Edit), share(7, "project:far", ShareRight::Edit)];
        assert_eq!(decisions(&rights(&ana, None, &foreign, at(200)), &scan(7, 50)), NOTHING);
    }

    #[test]
    fn expired_share_gives_no_right() {
        let ana = account(AccountKind::User, &[]);
        let share = Share { expires_at: Some(at(300)), ..share(7, "user:ana", ShareRight::Edit) };
        let of = |now| decisions(&rights(&ana, None, std::slice::from_ref(&share), now), &scan(7, 50));
        assert_eq!((of(at(299)).as_str(), of(at(300)).as_str()), (EDIT, NOTHING));
    }

    #[test]
    fn share_gives_no_right_on_a_scan_that_is_younger_than_itself() {
        let ana = account(AccountKind::User, &[]);
        let old = share(7, "user:ana", ShareRight::Edit);
        let grants = rights(&ana, None, std::slice::from_ref(&old), at(900));
        assert_eq!(decisions(&grants, &scan(7, 100)), EDIT);
        assert_eq!(decisions(&grants, &scan(7, 101)), NOTHING);
        let ben = account(AccountKind::User, &[("web", ProjectRole::Scanner)]);
        let newer = Share { created_at: at(500), ..share(7, "project:web", ShareRight::View) };
        let grants = rights(&ben, None, &[old, newer], at(900));
        assert_eq!(decisions(&grants, &scan(7, 400)), VIEW, "the old share does not add its right to the new one");
    }

    #[test]
    fn members_have_of_a_share_with_their_project_what_their_role_allows() {
        let shares = [share(7, "project:web", ShareRight::Edit)];
        for role in ProjectRole::ALL {
            for kind in [AccountKind::User, AccountKind::Service] {
                let grants = rights(&account(kind, &[("web", *role)]), None, &shares, at(200));
                let expected = if *role == ProjectRole::Viewer { VIEW } else { EDIT };
                assert_eq!(decisions(&grants, &scan(7, 50)), expected, "{role}");
            }
        }
        let left = account(AccountKind::User, &[("other", ProjectRole::Owner)]);
        assert_eq!(decisions(&rights(&left, None, &shares, at(200)), &scan(7, 50)), NOTHING);
    }

    #[test]
    fn token_has_the_shares_within_its_limits() {
        let ana = account(AccountKind::User, &[("web", ProjectRole::Owner), ("app", ProjectRole::Owner)]);
        let shares = [
            share(1, "user:ana", ShareRight::Edit),
            share(2, "project:web", ShareRight::Edit),
            share(3, "project:app", ShareRight::Edit),
        ];
        let scope = |role, only: Option<&str>| TokenScope { role, project: only.map(project), has_server_role: false };
        for (scope, expected) in [
            (scope(ProjectRole::Owner, None), [EDIT, EDIT, EDIT]),
            (scope(ProjectRole::Viewer, None), [VIEW, VIEW, VIEW]),
            (scope(ProjectRole::Scanner, Some("web")), [NOTHING, EDIT, NOTHING]),
            (scope(ProjectRole::Viewer, Some("app")), [NOTHING, NOTHING, VIEW]),
            (scope(ProjectRole::Owner, Some("other")), [NOTHING, NOTHING, NOTHING]),
        ] {
            let grants = rights(&ana, Some(&scope), &shares, at(200));
            assert_eq!([1, 2, 3].map(|id| decisions(&grants, &scan(id, 50))), expected, "{scope:?}");
        }
    }

    #[test]
    fn disabled_account_and_service_account_have_no_shares_with_a_user() {
        let shares = [share(7, "user:ana", ShareRight::Edit), share(7, "project:web", ShareRight::Edit)];
        let ana = account(AccountKind::User, &[("web", ProjectRole::Owner)]);
        let disabled = Account { is_disabled: true, ..ana };
        assert!(grantees(&disabled, None).is_empty());
        assert_eq!(decisions(&rights(&disabled, None, &shares, at(200)), &scan(7, 50)), NOTHING);
        let service = account(AccountKind::Service, &[]);
        assert_eq!(decisions(&rights(&service, None, &shares, at(200)), &scan(7, 50)), NOTHING);
    }

    /// A random share: its scan, grantee, right, creation and expiry.
    fn shares() -> impl Strategy<Value = Vec<Share>> {
        let grantee = prop::sample::select(vec!["user:ana", "user:ben", "project:a", "project:b", "project:c"]);
        let one = (1..4_u64, grantee, prop::sample::select(ShareRight::ALL), 0..10_i64, prop::option::of(0..10_i64));
        let one = one.prop_map(|(scan, with, right, created, expires)| Share {
            created_at: at(created),
            expires_at: expires.map(at),
            ..share(scan, with, right)
        });
        prop::collection::vec(one, 0..8)
    }

    /// The same decision by enumeration: each share is asked in turn.
    fn slow(
        account: &Account,
        scope: Option<&TokenScope>,
        shares: &[Share],
        now: Timestamp,
        scan: &ScanRecord,
        operation: Operation,
    ) -> bool {
        let in_scope = |id: &ProjectId| scope.is_none_or(|scope| scope.project.as_ref().is_none_or(|only| only == id));
        let most = scope.map_or(ProjectRole::Owner, |scope| scope.role);
        shares.iter().any(|share| {
            let role = match &share.grantee {
                Grantee::User(name) if *name == account.name && account.kind == AccountKind::User => {
                    scope.is_none_or(|scope| scope.project.is_none()).then_some(ProjectRole::Owner)
                }
                Grantee::User(_) => None,
                Grantee::Project(id) if in_scope(id) => {
                    let of_server = account.server_role.map(|role| match role {
                        ServerRole::Admin => ProjectRole::Owner,
                        ServerRole::Auditor => ProjectRole::Viewer,
                    });
                    account.memberships.get(id).copied().map(|own| own.max(of_server.unwrap_or(own)))
                }
                Grantee::Project(_) => None,
            };
            let may_edit = role.is_some_and(|role| role.min(most) >= ProjectRole::Scanner);
            let is_valid = share.scan == scan.id
                && share.created_at >= scan.created_at
                && share.expires_at.is_none_or(|expires| now < expires);
            is_valid
                && role.is_some()
                && !account.is_disabled
                && match operation {
                    Operation::ReadScans => true,
                    Operation::CancelScans => share.right == ShareRight::Edit && may_edit,
                    _ => false,
                }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn decision_about_a_scan_is_that_of_its_project_or_of_a_slow_search_of_the_shares(
            kind in prop::sample::select(AccountKind::ALL),
            server_role in prop::option::weighted(0.2, prop::sample::select(ServerRole::ALL)),
            is_disabled in prop::bool::weighted(0.1),
            members in prop::collection::btree_map("[abc]", prop::sample::select(ProjectRole::ALL), 0..3),
            scope in prop::option::of(
                (prop::sample::select(ProjectRole::ALL), prop::option::of("[abc]"), any::<bool>())
            ),
            shares in shares(),
            now in 0..12_i64,
            (id, home, created) in (1..4_u64, "[abcd]", 0..10_i64),
            operation in prop::sample::select(Operation::ALL),
        ) {
            let members = members.into_iter().map(|(id, role)| (project(&id), role)).collect();
            let account = Account { server_role, is_disabled, memberships: members, ..account(kind, &[]) };
            let scope = scope.map(|(role, only, has_server_role)| {
                TokenScope { role, project: only.map(|id| project(&id)), has_server_role }
            });
            let now = at(now);
            let grants = rights(&account, scope.as_ref(), &shares, now);
            let scan = ScanRecord { project: project(&home), ..fixtures::record(id, at(created)) };
            let by_project = decide(&grants, operation, Some(&scan.project));
            let of_shares = |operation| slow(&account, scope.as_ref(), &shares, now, &scan, operation);
            let expected = match by_project {
                Err(_) if of_shares(operation) => Ok(()),
                Err(Denial::NotVisible) if of_shares(Operation::ReadScans) => Err(false),
                other => other.map_err(|denial| denial == Denial::NotVisible),
            };
            let decided = decide_scan(&grants, operation, &scan).map_err(|denial| denial == Denial::NotVisible);
            prop_assert_eq!(decided, expected);
            // Whatever is shared, the rights in projects are those without shares.
            let bare = scope.as_ref().map_or_else(|| account.grants(), |scope| account.grants().within(scope));
            prop_assert_eq!(grants.readable(), bare.readable());
            prop_assert_eq!(grants.highest_role(), bare.highest_role());
            prop_assert_eq!(by_project_of(&grants, operation, &scan), by_project_of(&bare, operation, &scan));
        }
    }

    fn by_project_of(grants: &Grants, operation: Operation, scan: &ScanRecord) -> Result<(), Denial> {
        decide(grants, operation, Some(&scan.project))
    }
}
