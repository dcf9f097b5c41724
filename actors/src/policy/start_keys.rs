//! The keys of a scan when an attempt is about to start: what its submission had to have, decided
//! again.

use super::access::{self, Needed};
use super::clearance::NotCleared;
use super::permission;
use crate::model::{Account, Principal, ScanRecord};

/// The key that a scan lacks when an attempt of it is about to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MissingKey {
    /// The account of the submitter is disabled, or there is no such account.
    #[error("{submitter} submitted this scan, and that account is disabled or does not exist")]
    Account {
        /// Who submitted the scan.
        submitter: String,
    },
    /// The submitter has lost the role.
    #[error("{submitter} submitted this scan, which needs {needed}, and does not have it any more")]
    Role {
        /// Who submitted the scan.
        submitter: String,
        /// The right that the scan needs.
        needed: Needed,
    },
    /// The target has no clearance, or not any more.
    #[error("{0}")]
    Clearance(NotCleared),
}

/// Returns the principal who submitted a scan, if its rights are those of an account.
///
/// # Errors
/// The principal is of a kind that this version does not know.
pub fn submitter(record: &ScanRecord) -> Result<Option<Principal>, MissingKey> {
    let Some(owner) = &record.owner else { return Ok(None) };
    match owner.parse::<Principal>() {
        Ok(Principal::System | Principal::Anonymous) => Ok(None),
        Ok(principal @ (Principal::User(_) | Principal::Service(_))) => Ok(Some(principal)),
        // A public link submits nothing.
        Ok(Principal::Link(_)) | Err(_) => Err(MissingKey::Account { submitter: owner.chars().take(100).collect() }),
    }
}

/// Decides again, when an attempt is about to start, whether the account that submitted the scan
/// may run it. `account` is the account as it is now.
///
/// # Errors
/// The account is disabled or does not exist, or it has lost the role.
pub fn check_submitter(
    submitter: &Principal,
    account: Option<&Account>,
    record: &ScanRecord,
) -> Result<(), MissingKey> {
    let submitter = submitter.to_string();
    let Some(account) = account.filter(|account| !account.is_disabled) else {
        return Err(MissingKey::Account { submitter });
    };
    let operation = permission::operation(record.request.options.mode);
    access::decide(&account.grants(), operation, Some(&record.project))
        .map_err(|_| MissingKey::Role { submitter, needed: operation.needs() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::model::{AccountKind, ProjectId, ProjectRole, ScanMode, ServerRole};
    use crate::testing::fixtures;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn account(server_role: Option<ServerRole>, role: Option<ProjectRole>) -> Account {
        Account {
            name: "ana".parse().unwrap(),
            kind: AccountKind::User,
            server_role,
            is_disabled: false,
            has_password: true,
            has_second_factor: false,
            mail: None,
            created_at: at(0),
            memberships: role.map(|role| (ProjectId::default(), role)).into_iter().collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn submitter_needs_its_role_at_the_start_too() {
        use ProjectRole::{Operator, Owner, Scanner, Viewer};
        for (server_role, role, passive, active) in [
            (None, None, false, false),
            (None, Some(Viewer), false, false),
            (None, Some(Scanner), true, false),
            (None, Some(Operator), true, true),
            (None, Some(Owner), true, true),
            (Some(ServerRole::Auditor), None, false, false),
            (Some(ServerRole::Admin), None, true, true),
        ] {
            for (mode, is_allowed) in [(ScanMode::Passive, passive), (ScanMode::Both, active)] {
                let mut record = fixtures::record(1, at(0));
                record.request.options.mode = mode;
                let account = account(server_role, role);
                let checked = check_submitter(&account.principal(), Some(&account), &record);
                assert_eq!(checked.is_ok(), is_allowed, "{server_role:?} {role:?} {mode}");
            }
        }
        let record = fixtures::record(1, at(0));
        let ana = account(None, Some(Viewer));
        let refused = |account| check_submitter(&ana.principal(), account, &record).unwrap_err().to_string();
        assert_eq!(
            refused(Some(&ana)),
            "user:ana submitted this scan, which needs the role `scanner` in this project, and does not have it any more"
        );
        let disabled = Account { is_disabled: true, ..account(None, Some(Owner)) };
        let gone = "user:ana submitted this scan, and that account is disabled or does not exist";
        assert_eq!([refused(Some(&disabled)), refused(None)], [gone, gone]);
    }

    #[test]
    fn submitter_is_an_account_or_has_no_role_to_lose() {
        let of = |owner: Option<&str>| {
            submitter(&ScanRecord { owner: owner.map(str::to_owned), ..fixtures::record(1, at(0)) })
        };
        for owner in [None, Some("system"), Some("anonymous")] {
            assert_eq!(of(owner), Ok(None), "{owner:?}");
        }
        assert_eq!(of(Some("service:ci")), Ok(Some(Principal::Service("ci".parse().unwrap()))));
        let unknown = of(Some("schedule:7"));
        assert_eq!(unknown, Err(MissingKey::Account { submitter: "schedule:7".into() }), "a newer version wrote it");
    }
}
