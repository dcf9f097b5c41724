//! Projects and their members.

use std::collections::BTreeMap;

use kastrel_actors::model::{AccountName, DomainEvent, MemberChanged, Principal, Project, ProjectId, ProjectRole};
use kastrel_actors::ports::StoreError;
use surrealdb::types::{Array, RecordId, SurrealValue};

use super::super::calls::{self, Nothing};
use super::super::event::{EventRows, write_event};
use super::super::row;
use super::super::store::SurrealStore;
use super::Changed;
use super::keys::account_key;

/// A membership of a new account.
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct NewMember {
    key: RecordId,
    project: String,
    role: String,
}

/// A membership of an account that was read.
#[derive(Debug, SurrealValue)]
pub(super) struct MemberRow {
    project: String,
    role: String,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    key: RecordId,
    name: String,
    title: String,
    created_at: i64,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct ProjectRow {
    name: String,
    title: String,
    created_at: i64,
}

#[derive(Debug, SurrealValue)]
struct Projects {
    rows: Vec<ProjectRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct MemberArguments {
    key: RecordId,
    of_account: RecordId,
    of_project: RecordId,
    account: String,
    project: String,
    role: Option<String>,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct MemberAnswer {
    has_project: bool,
    has_account: bool,
}

/// A repeated call finds its own row by `made_by`.
const CREATE: &str = concat!(
    "
    BEGIN;
    LET $maker = SELECT VALUE made_by FROM ONLY $key;
    IF $maker = NONE {
        CREATE $key SET name = $name, title = $title, created_at = $created_at, made_by = $event.nonce RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { changed: $maker = NONE OR $maker = $event.nonce };
    COMMIT;"
);

const PROJECTS: &str = "RETURN { rows: (SELECT name, title, created_at FROM project) };";

/// Neither accounts nor projects are deleted, so both are still there at the commit. A repeated
/// call finds that the membership is as requested.
const SET_MEMBER: &str = concat!(
    "
    BEGIN;
    LET $has_project = $project = 'default' OR (SELECT VALUE name FROM ONLY $of_project) != NONE;
    LET $has_account = (SELECT VALUE name FROM ONLY $of_account) != NONE;
    IF $has_project AND $has_account AND (SELECT VALUE role FROM ONLY $key) != $role {
        IF $role = NONE {
            DELETE $key RETURN NONE;
        } ELSE {
            UPSERT $key SET account = $account, project = $project, role = $role RETURN NONE;
        };
        ",
    write_event!(),
    "
    };
    RETURN { has_project: $has_project, has_account: $has_account };
    COMMIT;"
);

/// The key of the row of a membership.
fn member_key(name: &AccountName, project: &ProjectId) -> RecordId {
    RecordId::new("membership", Array::from(vec![name.to_string().into_value(), project.to_string().into_value()]))
}

/// The memberships of a new account.
pub(super) fn new_members(name: &AccountName, memberships: &BTreeMap<ProjectId, ProjectRole>) -> Vec<NewMember> {
    let member = |(project, role): (&ProjectId, &ProjectRole)| NewMember {
        key: member_key(name, project),
        project: project.to_string(),
        role: role.to_string(),
    };
    memberships.iter().map(member).collect()
}

impl MemberRow {
    pub(super) fn into_membership(self) -> Result<(ProjectId, ProjectRole), StoreError> {
        Ok((self.project.parse().map_err(row::corrupt)?, self.role.parse().map_err(row::corrupt)?))
    }
}

impl ProjectRow {
    fn into_project(self) -> Result<Project, StoreError> {
        Ok(Project {
            id: self.name.parse().map_err(row::corrupt)?,
            title: self.title,
            created_at: row::timestamp(self.created_at)?,
        })
    }
}

impl SurrealStore {
    pub(super) async fn add_project(&self, project: Project, by: &Principal) -> Result<bool, StoreError> {
        let Project { id, title, created_at } = project;
        if id.is_default() {
            return Ok(false);
        }
        let arguments = CreateArguments {
            key: row::text_key("project", id.as_str()),
            name: id.to_string(),
            title,
            created_at: row::nanoseconds(created_at),
            event: self.audited(&DomainEvent::ProjectCreated { project: id }, by)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, CREATE, arguments).await?;
        Ok(answer.changed)
    }

    pub(super) async fn all_projects(&self) -> Result<Vec<Project>, StoreError> {
        let Projects { rows } = calls::call_again(&self.inner.db, PROJECTS, Nothing {}).await?;
        let rows = rows.into_iter().map(ProjectRow::into_project);
        let mut all = std::iter::once(Ok(Project::default())).chain(rows).collect::<Result<Vec<_>, _>>()?;
        all.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(all)
    }

    pub(super) async fn write_member(
        &self,
        project: &ProjectId,
        name: &AccountName,
        role: Option<ProjectRole>,
        by: &Principal,
    ) -> Result<MemberChanged, StoreError> {
        let event = DomainEvent::MemberChanged { project: project.clone(), account: name.clone(), role };
        let arguments = MemberArguments {
            key: member_key(name, project),
            of_account: account_key(name),
            of_project: row::text_key("project", project.as_str()),
            account: name.to_string(),
            project: project.to_string(),
            role: role.map(|role| role.to_string()),
            event: self.audited(&event, by)?,
        };
        let answer: MemberAnswer = calls::call_again(&self.inner.db, SET_MEMBER, arguments).await?;
        Ok(match answer {
            MemberAnswer { has_project: false, .. } => MemberChanged::NoProject,
            MemberAnswer { has_account: false, .. } => MemberChanged::NoAccount,
            MemberAnswer { .. } => MemberChanged::Changed,
        })
    }
}
