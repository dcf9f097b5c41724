//! Shares of scans: each gives a user, or the members of a project, a right on one scan.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountName, Operation, Principal, ProjectId, ProjectRole, ScanId, UnknownName};

named_enum! {
    /// What a share gives. Each right includes the one before it.
    pub enum ShareRight {
        /// Reads the scan, its results, its report, its log and its files.
        View = "view",
        /// Also cancels the scan, and renders its report again.
        Edit = "edit",
    }
}

impl ShareRight {
    /// Returns true if the right includes an operation on the shared scan.
    #[must_use]
    pub fn includes(self, operation: Operation) -> bool {
        match operation {
            Operation::ReadScans => true,
            Operation::CancelScans => self == Self::Edit,
            _ => false,
        }
    }

    /// Returns the right that a principal with this role has of a share: one that may only read
    /// where it has a role may only read here.
    #[must_use]
    pub fn within(self, role: ProjectRole) -> Self {
        if role >= ProjectRole::Scanner { self } else { Self::View }
    }
}

/// Who gets the right of a share.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grantee {
    /// A user.
    User(AccountName),
    /// The members of a project.
    Project(ProjectId),
}

/// The stable text, which is stored and shown: `user:ana`, `project:web`.
impl std::fmt::Display for Grantee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => f.pad(&format!("user:{name}")),
            Self::Project(id) => f.pad(&format!("project:{id}")),
        }
    }
}

impl FromStr for Grantee {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let grantee = match text.split_once(':') {
            Some(("user", name)) => name.parse().ok().map(Self::User),
            Some(("project", id)) => id.parse().ok().map(Self::Project),
            _ => None,
        };
        grantee.ok_or_else(|| UnknownName {
            given: text.chars().take(100).collect(),
            expected: "user:NAME, project:ID".to_owned(),
        })
    }
}

impl TryFrom<String> for Grantee {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Grantee> for String {
    fn from(grantee: Grantee) -> Self {
        grantee.to_string()
    }
}

/// A share of a scan. A scan has at most one with each grantee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The scan.
    pub scan: ScanId,
    /// Who gets the right.
    pub grantee: Grantee,
    /// The right.
    pub right: ShareRight,
    /// Who created it, or replaced it last.
    pub created_by: Principal,
    /// When that was. A share gives no right on a scan that is younger.
    pub created_at: Timestamp,
    /// When it expires; `None` means never.
    pub expires_at: Option<Timestamp>,
}

impl Share {
    /// Returns true if the share has not expired at `at`.
    #[must_use]
    pub fn is_current(&self, at: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| at < expires_at)
    }
}

/// The result of the creation of a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareCreated {
    /// The share is stored. It replaces an earlier one with the same grantee.
    Created,
    /// There is no such scan, or it is in another project now.
    NoScan,
    /// The grantee has as many shares as it may have.
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grantee_is_read_as_it_is_written() {
        for text in ["user:ana", "user:a.b@example.com", "project:default", "project:team-1"] {
            let grantee: Grantee = text.parse().unwrap();
            assert_eq!(grantee.to_string(), text);
            assert_eq!(serde_json::to_string(&grantee).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Grantee>(&format!("\"{text}\"")).unwrap(), grantee);
        }
        for other in ["", "ana", "user:", "user:A", "service:ci", "project:", "project:A", "link:a1B2c3D4e5", "all"] {
            assert!(other.parse::<Grantee>().is_err(), "{other}");
        }
    }

    #[test]
    fn rights_of_a_share_never_include_more_than_to_read_and_to_cancel() {
        let of = |right: ShareRight| {
            Operation::ALL.iter().copied().filter(|operation| right.includes(*operation)).collect::<Vec<_>>()
        };
        assert_eq!(of(ShareRight::View), [Operation::ReadScans]);
        assert_eq!(of(ShareRight::Edit), [Operation::ReadScans, Operation::CancelScans]);
    }

    #[test]
    fn viewer_has_only_to_view_of_any_share() {
        for role in ProjectRole::ALL {
            assert_eq!(ShareRight::View.within(*role), ShareRight::View);
            let expected = if *role == ProjectRole::Viewer { ShareRight::View } else { ShareRight::Edit };
            assert_eq!(ShareRight::Edit.within(*role), expected, "{role}");
        }
    }

    #[test]
    fn share_is_current_until_it_expires() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let share = |expires_at| Share {
            scan: ScanId(1),
            grantee: Grantee::Project(ProjectId::default()),
            right: ShareRight::View,
            created_by: Principal::System,
            created_at: at(0),
            expires_at,
        };
        assert!(share(None).is_current(at(1_000)));
        assert!(share(Some(at(10))).is_current(at(9)));
        assert!(!share(Some(at(10))).is_current(at(10)));
    }
}
