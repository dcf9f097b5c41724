//! The clearances of targets: what the owners of a project allow to be done to hosts.

use kastrel_actors::model::{Clearance, ClearanceDraft, HostPattern, Operation, ProjectId, RequestContext};
use kastrel_actors::policy::access::Denial;

use super::fields::one_line;
use super::{AccessService, AccountError};

impl AccessService {
    /// Returns the clearances of a project, by pattern.
    ///
    /// # Errors
    /// The caller may not see the project or it does not exist, or a failure of the store.
    pub async fn clearances(
        &self,
        context: &RequestContext,
        project: &ProjectId,
    ) -> Result<Vec<Clearance>, AccountError> {
        self.allow_in(context, Operation::ReadClearances, project).await?;
        Ok(self.clearances.clearances(project).await?)
    }

    /// Sets the clearance of hosts in a project, in place of an earlier one of the same hosts. The
    /// caller authorises it.
    ///
    /// # Errors
    /// The caller may not see the project or it does not exist, the caller lacks
    /// [`Operation::ManageClearances`], fields are invalid (those of [`ClearanceDraft::read`]), or
    /// a failure of the store.
    pub async fn set_clearance(
        &self,
        context: &RequestContext,
        project: &ProjectId,
        draft: &ClearanceDraft,
    ) -> Result<Clearance, AccountError> {
        self.allow_in(context, Operation::ManageClearances, project).await?;
        let draft = ClearanceDraft { text: one_line(&draft.text), ..draft.clone() };
        let clearance = draft.read(project, &context.principal, self.clock.now()).map_err(AccountError::Invalid)?;
        self.clearances.set_clearance(clearance.clone()).await?;
        Ok(clearance)
    }

    /// Removes the clearance of hosts from a project. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// The caller may not see the project or it does not exist, the caller lacks
    /// [`Operation::ManageClearances`], the hosts are invalid (field `pattern`), or a failure of
    /// the store.
    pub async fn remove_clearance(
        &self,
        context: &RequestContext,
        project: &ProjectId,
        pattern: &str,
    ) -> Result<bool, AccountError> {
        self.allow_in(context, Operation::ManageClearances, project).await?;
        let pattern: HostPattern =
            pattern.trim().parse().map_err(|error| AccountError::field("pattern", format!("{error}")))?;
        Ok(self.clearances.remove_clearance(project, &pattern, &context.principal).await?)
    }

    /// Decides about an operation in a project that must exist. A role in all projects says nothing
    /// about whether one exists.
    async fn allow_in(
        &self,
        context: &RequestContext,
        operation: Operation,
        project: &ProjectId,
    ) -> Result<(), AccountError> {
        self.allow(context, operation, Some(project)).await?;
        if self.has_project(project).await? { Ok(()) } else { Err(AccountError::Denied(Denial::NotVisible)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kastrel_actors::model::{ClearanceLevel, DomainEvent, ProjectRole, ServerRole};
    use kastrel_actors::ports::Clock as _;
    use kastrel_actors::testing::fixtures;

    use super::super::testing::{Fixture, fields, project};
    use super::*;

    fn draft(pattern: &str, level: &str) -> ClearanceDraft {
        ClearanceDraft {
            pattern: pattern.into(),
            level: level.into(),
            until: String::new(),
            text: "contract\u{1b}[2J 7\n".into(),
        }
    }

    fn is_invisible<T: std::fmt::Debug>(result: Result<T, AccountError>) -> bool {
        matches!(result, Err(AccountError::Denied(Denial::NotVisible)))
    }

    fn lacks<T: std::fmt::Debug>(result: Result<T, AccountError>) -> bool {
        matches!(result, Err(AccountError::Denied(Denial::Lacks { .. })))
    }

    #[tokio::test(start_paused = true)]
    async fn owner_sets_clearances_and_members_read_them() {
        let all = Fixture::new();
        all.project("web").await;
        let ana = all.user("ana", &[("web", ProjectRole::Owner)]).await;
        let owner = all.context(&ana).await;
        let web = project("web");
        let set = all.service.set_clearance(&owner, &web, &draft(" EXAMPLE.com ", "active")).await.unwrap();
        let expected = Clearance {
            project: web.clone(),
            pattern: "example.com".parse().unwrap(),
            level: ClearanceLevel::Active,
            authorised_by: owner.principal.clone(),
            at: all.clock.now(),
            until: None,
            text: "contract 7".into(),
        };
        assert_eq!(set, expected);
        tokio::time::advance(Duration::from_secs(1)).await;
        let until = ClearanceDraft { until: "2026-12-31".into(), ..draft("*.example.com", "active") };
        let until = all.service.set_clearance(&owner, &web, &until).await.unwrap();
        assert_eq!(until.until, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        for role in [ProjectRole::Viewer, ProjectRole::Operator] {
            let member = all.user(role.as_str(), &[("web", role)]).await;
            let member = all.context(&member).await;
            let read = all.service.clearances(&member, &web).await.unwrap();
            assert_eq!(read, [until.clone(), expected.clone()]);
            assert!(lacks(all.service.set_clearance(&member, &web, &draft("a.test", "passive")).await));
            assert!(lacks(all.service.remove_clearance(&member, &web, "example.com").await));
            assert_eq!(all.denied(&member).await, ["manage_clearances", "manage_clearances"]);
        }
        assert!(!all.service.remove_clearance(&owner, &web, "other.example.com").await.unwrap());
        assert!(all.service.remove_clearance(&owner, &web, " example.com").await.unwrap());
        assert_eq!(all.service.clearances(&owner, &web).await.unwrap(), [until]);
        let removed = DomainEvent::ClearanceRemoved { project: web, pattern: "example.com".parse().unwrap() };
        assert_eq!(all.audit().await.last(), Some(&(owner.principal, removed)));
    }

    #[tokio::test(start_paused = true)]
    async fn clearances_of_a_project_that_is_not_visible_do_not_exist() {
        let all = Fixture::new();
        all.project("web").await;
        let cy = all.user("cy", &[("default", ProjectRole::Owner)]).await;
        let (stranger, admin) = (all.context(&cy).await, all.context_of("root", ServerRole::Admin).await);
        for (context, id) in [(&stranger, "web"), (&stranger, "missing"), (&admin, "missing")] {
            let id = project(id);
            assert!(is_invisible(all.service.clearances(context, &id).await), "{id}");
            assert!(is_invisible(all.service.set_clearance(context, &id, &draft("a.test", "none")).await), "{id}");
            assert!(is_invisible(all.service.remove_clearance(context, &id, "a.test").await), "{id}");
        }
        assert_eq!(all.denied(&stranger).await, Vec::<String>::new());
        all.service.set_clearance(&admin, &project("web"), &draft("a.test", "none")).await.unwrap();
        assert_eq!(all.service.clearances(&fixtures::context(), &project("web")).await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn invalid_fields_are_named_and_change_nothing() {
        let all = Fixture::new();
        let (context, id) = (fixtures::context(), ProjectId::default());
        let empty = ClearanceDraft { text: "\u{0}\n".into(), until: "x".into(), ..draft("*", "active") };
        assert_eq!(fields(all.service.set_clearance(&context, &id, &empty).await), ["pattern", "until", "text"]);
        for pattern in ["", "*", "a b", "https://example.com"] {
            let removed = all.service.remove_clearance(&context, &id, pattern).await;
            assert_eq!(fields(removed), ["pattern"], "{pattern}");
        }
        assert_eq!(all.service.clearances(&context, &id).await.unwrap(), []);
        assert_eq!(all.audit().await, []);
    }
}
