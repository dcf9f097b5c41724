//! Projects and their members.

use kastrel_actors::model::{
    Account, AccountName, FieldError, MemberChanged, Operation, Project, ProjectId, ProjectRole, RequestContext,
};
use kastrel_actors::policy::access::{Denial, decide};
use kastrel_actors::ports::StoreError;

use super::fields::label;
use super::{AccessService, AccountError};

impl AccessService {
    /// Returns the projects that the caller may see, by id.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn projects(&self, context: &RequestContext) -> Result<Vec<Project>, AccountError> {
        let mut projects = self.store.projects().await?;
        projects.retain(|project| decide(&context.grants, Operation::ReadMembers, Some(&project.id)).is_ok());
        Ok(projects)
    }

    /// Creates a project.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], a failure of the store, or fields are
    /// invalid: `id` (its form, or it is taken), `title` (it has 1 to 100 characters).
    pub async fn create_project(
        &self,
        context: &RequestContext,
        id: &str,
        title: &str,
    ) -> Result<Project, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        let mut errors = Vec::new();
        let id = match id.parse::<ProjectId>() {
            Ok(id) if self.has_project(&id).await? => {
                errors.push(id_taken());
                None
            }
            Ok(id) => Some(id),
            Err(error) => {
                errors.push(FieldError::new("id", error.to_string()));
                None
            }
        };
        let title = label("title", title, &mut errors);
        let Some(id) = id.filter(|_| errors.is_empty()) else { return Err(AccountError::Invalid(errors)) };
        let project = Project { id, title, created_at: self.clock.now() };
        let _change = self.cache.change();
        let is_created = self.store.create_project(project.clone(), &context.principal).await?;
        if is_created { Ok(project) } else { Err(AccountError::Invalid(vec![id_taken()])) }
    }

    /// Returns the members of a project, by name. Who may not read all accounts gets what concerns
    /// the project alone: neither the server role nor other memberships.
    ///
    /// # Errors
    /// The caller may not see the project or it does not exist, or a failure of the store.
    pub async fn members(&self, context: &RequestContext, project: &ProjectId) -> Result<Vec<Account>, AccountError> {
        self.allow(context, Operation::ReadMembers, Some(project)).await?;
        if !self.has_project(project).await? {
            return Err(AccountError::Denied(Denial::NotVisible));
        }
        let mut members = self.store.accounts().await?;
        members.retain(|account| account.memberships.contains_key(project));
        if decide(&context.grants, Operation::ReadAccounts, None).is_err() {
            for account in &mut members {
                account.server_role = None;
                account.memberships.retain(|id, _| id == project);
            }
        }
        Ok(members)
    }

    /// Sets the role of an account in a project; `None` ends the membership. An owner grants any
    /// role. An owner learns by it whether a name exists: names are no secret.
    ///
    /// # Errors
    /// The caller may not see the project or it does not exist, the caller lacks
    /// [`Operation::ManageMembers`], there is no such account (field `name`), or a failure of the
    /// store.
    pub async fn set_member(
        &self,
        context: &RequestContext,
        project: &ProjectId,
        name: &str,
        role: Option<ProjectRole>,
    ) -> Result<(), AccountError> {
        self.allow(context, Operation::ManageMembers, Some(project)).await?;
        let no_account = || AccountError::field("name", "there is no such account");
        let name: AccountName = name.trim().parse().map_err(|_| no_account())?;
        let _change = self.cache.change();
        match self.store.set_member(project, &name, role, &context.principal).await? {
            MemberChanged::Changed => Ok(()),
            MemberChanged::NoProject => Err(AccountError::Denied(Denial::NotVisible)),
            MemberChanged::NoAccount => Err(no_account()),
        }
    }

    /// Returns true if a project exists.
    pub(super) async fn has_project(&self, id: &ProjectId) -> Result<bool, StoreError> {
        Ok(id.is_default() || self.store.projects().await?.iter().any(|project| project.id == *id))
    }
}

/// The error of an id that belongs to another project.
fn id_taken() -> FieldError {
    FieldError::new("id", "this id is taken")
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountKind, Grants, ServerRole};
    use kastrel_actors::ports::Clock as _;
    use kastrel_actors::testing::fixtures;

    use super::super::testing::{Fixture, anonymous, fields, project};
    use super::*;

    fn names(accounts: &[Account]) -> Vec<&str> {
        accounts.iter().map(|account| account.name.as_str()).collect()
    }

    fn is_invisible<T: std::fmt::Debug>(result: Result<T, AccountError>) -> bool {
        matches!(result, Err(AccountError::Denied(Denial::NotVisible)))
    }

    #[tokio::test(start_paused = true)]
    async fn projects_are_those_that_the_caller_may_see() {
        let all = Fixture::new();
        all.project("web").await;
        let ana = all.user("ana", &[("web", ProjectRole::Viewer)]).await;
        let auditor = all.context_of("eve", ServerRole::Auditor).await;
        for (context, expected) in [
            (all.context(&ana).await, vec!["web"]),
            (auditor, vec!["default", "web"]),
            (fixtures::context(), vec!["default", "web"]),
            (anonymous(Grants::none()), vec![]),
        ] {
            let projects = all.service.projects(&context).await.unwrap();
            assert_eq!(projects.iter().map(|project| project.id.as_str()).collect::<Vec<_>>(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn project_is_created_by_an_admin_with_valid_fields() {
        let all = Fixture::new();
        let admin = all.context_of("root", ServerRole::Admin).await;
        let created = all.service.create_project(&admin, "web", " Web shop ").await.unwrap();
        assert_eq!(created, Project { id: project("web"), title: "Web shop".into(), created_at: all.clock.now() });
        assert!(all.service.projects(&admin).await.unwrap().contains(&created));
        let create = async |id: &str, title: &str| fields(all.service.create_project(&admin, id, title).await);
        assert_eq!(create("No Id", "").await, ["id", "title"]);
        assert_eq!(create("web", &"x".repeat(101)).await, ["id", "title"], "the id is taken");
        assert_eq!(create("default", "Default").await, ["id"]);
        assert_eq!(create("shop", " ").await, ["title"]);
        let ana = all.user("ana", &[("web", ProjectRole::Owner)]).await;
        let owner = all.context(&ana).await;
        let refused = all.service.create_project(&owner, "shop", "Shop").await;
        assert!(matches!(refused, Err(AccountError::Denied(Denial::Lacks { .. }))), "{refused:?}");
        assert_eq!(all.denied(&owner).await, ["manage_accounts"]);
    }

    #[tokio::test(start_paused = true)]
    async fn members_are_visible_to_members_without_their_other_roles() {
        let all = Fixture::new();
        all.project("web").await;
        let roles = [("web", ProjectRole::Owner), ("default", ProjectRole::Viewer)];
        let ana = all.account("ana", AccountKind::User, Some(ServerRole::Auditor), &roles).await;
        let bo = all.user("bo", &[("web", ProjectRole::Viewer)]).await;
        let cy = all.user("cy", &[("default", ProjectRole::Owner)]).await;
        let viewer = all.context(&bo).await;
        let members = all.service.members(&viewer, &project("web")).await.unwrap();
        assert_eq!(names(&members), ["ana", "bo"]);
        assert_eq!(members[0].server_role, None);
        assert_eq!(members[0].memberships.keys().collect::<Vec<_>>(), [&project("web")]);
        let auditor = all.context(&ana).await;
        assert_eq!(all.service.members(&auditor, &project("web")).await.unwrap()[0], all.read(&ana).await);
        let stranger = all.context(&cy).await;
        assert!(is_invisible(all.service.members(&stranger, &project("web")).await));
        assert!(is_invisible(all.service.members(&auditor, &project("missing")).await));
        assert_eq!(all.denied(&stranger).await, Vec::<String>::new(), "what is not visible is not recorded");
    }

    #[tokio::test(start_paused = true)]
    async fn owner_changes_the_members_of_the_project_alone_and_at_once() {
        let all = Fixture::new();
        all.project("web").await;
        let ana = all.user("ana", &[("web", ProjectRole::Owner), ("default", ProjectRole::Operator)]).await;
        let bo = all.user("bo", &[]).await;
        let (owner, secret) = (all.context(&ana).await, all.session(&bo).await);
        let role_of_bo = async || {
            let who = all.service.by_session(&secret).await.unwrap().unwrap();
            who.grants.role_in(&project("web"))
        };
        let set = async |context: &RequestContext, id: &str, name: &str, role| {
            all.service.set_member(context, &project(id), name, role).await
        };
        for role in [Some(ProjectRole::Owner), Some(ProjectRole::Viewer), None] {
            set(&owner, "web", " bo ", role).await.unwrap();
            assert_eq!(role_of_bo().await, role);
        }
        for name in ["nobody", "No Name", ""] {
            assert_eq!(fields(set(&owner, "web", name, Some(ProjectRole::Viewer)).await), ["name"], "{name}");
        }
        let refused = set(&owner, "default", "bo", Some(ProjectRole::Viewer)).await;
        assert!(matches!(refused, Err(AccountError::Denied(Denial::Lacks { .. }))), "{refused:?}");
        assert_eq!(all.denied(&owner).await, ["manage_members"]);
        assert!(is_invisible(set(&all.context(&bo).await, "web", "bo", Some(ProjectRole::Owner)).await));
        let admin = all.context_of("root", ServerRole::Admin).await;
        assert!(is_invisible(set(&admin, "missing", "bo", Some(ProjectRole::Viewer)).await));
        set(&admin, "default", "bo", Some(ProjectRole::Viewer)).await.unwrap();
    }
}
