//! The roles that the groups of a person at the identity provider give.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::model::{ProjectId, ProjectRole, ServerRole};

/// A role that a group gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRole {
    /// A role on the server.
    Server(ServerRole),
    /// A role in a project.
    Project(ProjectId, ProjectRole),
}

/// A group and the role that it gives, such as `sec-admins=admin` or `sec-team=web:operator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    group: String,
    role: GroupRole,
}

/// The text is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseGroupRuleError {
    /// There is no group.
    #[error("a rule has a group, `=` and a role")]
    Form,
    /// The role is unknown.
    #[error("the role of a rule is `auditor`, `admin`, or a project and a role in it such as `web:operator`")]
    Role,
}

impl FromStr for GroupRule {
    type Err = ParseGroupRuleError;

    /// The last `=` ends the group: names of directories have others.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (group, role) = text.rsplit_once('=').ok_or(ParseGroupRuleError::Form)?;
        let group = group.trim();
        if group.is_empty() {
            return Err(ParseGroupRuleError::Form);
        }
        let role = match role.trim().split_once(':') {
            None => GroupRole::Server(role.trim().parse().map_err(|_| ParseGroupRuleError::Role)?),
            Some((project, role)) => GroupRole::Project(
                project.parse().map_err(|_| ParseGroupRuleError::Role)?,
                role.parse().map_err(|_| ParseGroupRuleError::Role)?,
            ),
        };
        Ok(Self { group: group.to_owned(), role })
    }
}

impl fmt::Display for GroupRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            GroupRole::Server(role) => write!(f, "{}={role}", self.group),
            GroupRole::Project(project, role) => write!(f, "{}={project}:{role}", self.group),
        }
    }
}

/// The roles that rules set. Roles that no rule names are not in it and stay as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRoles {
    /// The role on the server, if a rule names one: the highest of the groups, or none.
    pub server_role: Option<Option<ServerRole>>,
    /// The role in each project that a rule names: the highest of the groups, or none.
    pub projects: BTreeMap<ProjectId, Option<ProjectRole>>,
}

/// Returns the roles that the rules set for a person with these groups. Names of groups are
/// compared byte by byte.
#[must_use]
pub fn roles_of(rules: &[GroupRule], groups: &[String]) -> GroupRoles {
    let mut roles = GroupRoles { server_role: None, projects: BTreeMap::new() };
    for rule in rules {
        let is_member = groups.contains(&rule.group);
        match &rule.role {
            GroupRole::Server(role) => {
                let given = roles.server_role.get_or_insert_default();
                *given = (*given).max(is_member.then_some(*role));
            }
            GroupRole::Project(project, role) => {
                let given = roles.projects.entry(project.clone()).or_default();
                *given = (*given).max(is_member.then_some(*role));
            }
        }
    }
    roles
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(texts: &[&str]) -> Vec<GroupRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn groups(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn project(id: &str) -> ProjectId {
        id.parse().unwrap()
    }

    #[test]
    fn rule_has_a_group_and_a_role_and_is_written_as_it_is_read() {
        for (text, shown) in [
            ("sec-admins=admin", "sec-admins=admin"),
            ("cn=audit,ou=groups=auditor", "cn=audit,ou=groups=auditor"),
            (" /Security Team = web:operator ", "/Security Team=web:operator"),
            ("x:y=default:viewer", "x:y=default:viewer"),
        ] {
            let rule: GroupRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), shown);
            assert_eq!(rule.to_string().parse(), Ok(rule), "{text}");
        }
        for (text, error) in [
            ("", ParseGroupRuleError::Form),
            ("admin", ParseGroupRuleError::Form),
            ("=admin", ParseGroupRuleError::Form),
            (" =admin", ParseGroupRuleError::Form),
            ("a=", ParseGroupRuleError::Role),
            ("a=root", ParseGroupRuleError::Role),
            ("a=owner", ParseGroupRuleError::Role),
            ("a=web:", ParseGroupRuleError::Role),
            ("a=web:admin", ParseGroupRuleError::Role),
            ("a=No Project:viewer", ParseGroupRuleError::Role),
        ] {
            assert_eq!(text.parse::<GroupRule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn highest_role_of_the_groups_is_given_and_a_lost_group_takes_it_away() {
        let rules = rules(&["a=auditor", "b=admin", "c=web:scanner", "d=web:owner", "c=shop:viewer"]);
        for (of, server, web, shop) in [
            (&[][..], None, None, None),
            (&["A", "other"], None, None, None),
            (&["a"], Some(ServerRole::Auditor), None, None),
            (&["b", "a"], Some(ServerRole::Admin), None, None),
            (&["c"], None, Some(ProjectRole::Scanner), Some(ProjectRole::Viewer)),
            (&["d", "c"], None, Some(ProjectRole::Owner), Some(ProjectRole::Viewer)),
        ] {
            let expected = GroupRoles {
                server_role: Some(server),
                projects: BTreeMap::from([(project("web"), web), (project("shop"), shop)]),
            };
            assert_eq!(roles_of(&rules, &groups(of)), expected, "{of:?}");
        }
    }

    #[test]
    fn roles_that_no_rule_names_stay() {
        let none = GroupRoles { server_role: None, projects: BTreeMap::new() };
        assert_eq!(roles_of(&[], &groups(&["a"])), none);
        let of_project = roles_of(&rules(&["a=web:viewer"]), &[]);
        assert_eq!((of_project.server_role, of_project.projects.len()), (None, 1));
        let of_server = roles_of(&rules(&["a=admin"]), &[]);
        assert_eq!((of_server.server_role, of_server.projects.len()), (Some(None), 0));
    }

    proptest! {
        #[test]
        fn another_group_never_lowers_a_role(of in prop::collection::vec("[a-d]", 0..4), more in "[a-d]") {
            let rules = rules(&["a=auditor", "b=admin", "c=web:scanner", "d=web:owner", "a=shop:viewer"]);
            let before = roles_of(&rules, &of);
            let after = roles_of(&rules, &[of, vec![more]].concat());
            prop_assert!(after.server_role >= before.server_role);
            for (project, role) in before.projects {
                prop_assert!(after.projects[&project] >= role);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}") {
            if let Ok(rule) = text.parse::<GroupRule>() {
                prop_assert_eq!(rule.to_string().parse(), Ok(rule));
            }
        }
    }
}
