//! What a viewer may do with a scan, so that pages show no button that would be refused. The
//! services decide again when a button is pressed.

use kastrel_actors::model::{Grants, Operation, ScanRecord};
use kastrel_actors::policy::access::decide_scan;
use kastrel_actors::policy::permission;

/// The rights of a viewer on a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanRights {
    /// Whether the viewer may cancel it and render its reports again.
    pub(crate) can_cancel: bool,
    /// Whether the viewer may submit it once more.
    pub(crate) can_rerun: bool,
    pub(crate) can_delete: bool,
    /// Whether the viewer may create and revoke public links and shares of it.
    pub(crate) can_share: bool,
}

impl ScanRights {
    pub(crate) fn of(grants: &Grants, scan: &ScanRecord) -> Self {
        let may = |operation| decide_scan(grants, operation, scan).is_ok();
        Self {
            can_cancel: may(Operation::CancelScans),
            can_rerun: may(permission::operation(scan.request.options.mode)),
            can_delete: may(Operation::DeleteScans),
            can_share: may(Operation::ShareScans),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{ProjectId, ProjectRole, ScanMode, ServerRole, ShareRight, SharedScan};
    use kastrel_actors::testing::fixtures;

    use super::*;

    #[test]
    fn share_shows_at_most_the_button_to_cancel() {
        let scan = fixtures::record(1, jiff::Timestamp::UNIX_EPOCH);
        for (right, can_cancel) in [(ShareRight::View, false), (ShareRight::Edit, true)] {
            let mut shared = SharedScan::default();
            shared.add(right, scan.created_at);
            let grants = Grants::none().with_shares(BTreeMap::from([(scan.id, shared)]));
            let expected = ScanRights { can_cancel, can_rerun: false, can_delete: false, can_share: false };
            assert_eq!(ScanRights::of(&grants, &scan), expected, "{right}");
        }
    }

    #[test]
    fn rights_on_a_scan_are_those_in_its_project() {
        let of = |server_role, project: &str, role: Option<ProjectRole>, mode| {
            let memberships = role.map(|role| (project.parse::<ProjectId>().unwrap(), role)).into_iter();
            let grants = Grants::new(server_role, memberships.collect::<BTreeMap<_, _>>());
            let mut scan = fixtures::record(1, jiff::Timestamp::UNIX_EPOCH);
            scan.request.options.mode = mode;
            let rights = ScanRights::of(&grants, &scan);
            [rights.can_cancel, rights.can_rerun, rights.can_delete]
        };
        for (server_role, project, role, mode, expected) in [
            (None, "default", None, ScanMode::Passive, [false, false, false]),
            (None, "default", Some(ProjectRole::Viewer), ScanMode::Passive, [false, false, false]),
            (None, "default", Some(ProjectRole::Scanner), ScanMode::Passive, [true, true, false]),
            (None, "default", Some(ProjectRole::Scanner), ScanMode::Both, [true, false, false]),
            (None, "default", Some(ProjectRole::Operator), ScanMode::Both, [true, true, true]),
            (None, "other", Some(ProjectRole::Owner), ScanMode::Passive, [false, false, false]),
            (Some(ServerRole::Auditor), "other", None, ScanMode::Passive, [false, false, false]),
            (Some(ServerRole::Admin), "other", None, ScanMode::Active, [true, true, true]),
        ] {
            assert_eq!(of(server_role, project, role, mode), expected, "{server_role:?} {project} {role:?} {mode}");
        }
    }
}
