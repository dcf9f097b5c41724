//! Reads the parts of paths: ids of scans, projects, targets and findings, and names of accounts.
//! An invalid one gets the same response as an unknown one: not found.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use kastrel_actors::model::{AccountName, AttemptNumber, ProjectId, ScanId};
use kastrel_findings::identity::{FindingId, TargetId};

use super::error::Problem;
use super::text::PLUGIN_MARK;

/// The `{id}` of the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PathId(pub(crate) ScanId);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_scan())?;
        number(&params, "id").map(|id| Self(ScanId(id)))
    }
}

/// The `{id}`, `{n}` and `{*path}` of a file's path.
#[derive(Debug, Clone)]
pub(crate) struct FilePath {
    pub(crate) id: ScanId,
    pub(crate) attempt: AttemptNumber,
    pub(crate) path: String,
}

impl<S: Send + Sync> FromRequestParts<S> for FilePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_scan())?;
        let id = ScanId(number(&params, "id")?);
        let attempt = u32::try_from(number(&params, "n")?).map(AttemptNumber).map_err(|_| no_scan())?;
        let path =
            params.iter().find(|(name, _)| *name == "path").map(|(_, value)| value.to_owned()).ok_or_else(no_scan)?;
        Ok(Self { id, attempt, path })
    }
}

/// The `{id}` and `{name}` of a plugin's path.
#[derive(Debug, Clone)]
pub(crate) struct PluginPath {
    pub(crate) id: ScanId,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for PluginPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_scan())?;
        let name = params.iter().find(|(name, _)| *name == "name").map(|(_, value)| value).ok_or_else(no_scan)?;
        Ok(Self { id: ScanId(number(&params, "id")?), name: name.strip_prefix(PLUGIN_MARK).unwrap_or(name).to_owned() })
    }
}

/// The `{name}` of an account's path.
#[derive(Debug, Clone)]
pub(crate) struct AccountPath(pub(crate) AccountName);

impl<S: Send + Sync> FromRequestParts<S> for AccountPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_account())?;
        account_name(&params).map(Self)
    }
}

/// The `{id}` of a project's path.
#[derive(Debug, Clone)]
pub(crate) struct ProjectPath(pub(crate) ProjectId);

impl<S: Send + Sync> FromRequestParts<S> for ProjectPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_project())?;
        project_id(&params).map(Self)
    }
}

/// The `{id}` of a finding's path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FindingPath(pub(crate) FindingId);

impl<S: Send + Sync> FromRequestParts<S> for FindingPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_finding())?;
        part(&params, "id").parse().map(Self).map_err(|_| no_finding())
    }
}

/// The `{id}` of a target's path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TargetPath(pub(crate) TargetId);

impl<S: Send + Sync> FromRequestParts<S> for TargetPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_target())?;
        part(&params, "id").parse().map(Self).map_err(|_| no_target())
    }
}

/// Returns the account of the path. A text that is no name is the name of no account.
pub(crate) fn account_name(params: &RawPathParams) -> Result<AccountName, Problem> {
    part(params, "name").parse().map_err(|_| no_account())
}

/// Returns the project of the path. A text that is no id is the id of no project.
pub(crate) fn project_id(params: &RawPathParams) -> Result<ProjectId, Problem> {
    part(params, "id").parse().map_err(|_| no_project())
}

/// Returns a part of the path; empty if the path has no such part.
pub(crate) fn part<'a>(params: &'a RawPathParams, name: &str) -> &'a str {
    params.iter().find(|(param, _)| *param == name).map_or("", |(_, value)| value)
}

/// The response for an account that does not exist.
pub(crate) fn no_account() -> Problem {
    Problem::not_found("account not found")
}

/// The response for a project that does not exist.
pub(crate) fn no_project() -> Problem {
    Problem::not_found("project not found")
}

/// The response for a finding that does not exist.
pub(crate) fn no_finding() -> Problem {
    Problem::not_found("finding not found")
}

/// The response for a target that does not exist.
pub(crate) fn no_target() -> Problem {
    Problem::not_found("target not found")
}

/// The response for a scan that does not exist.
pub(crate) fn no_scan() -> Problem {
    Problem::not_found("scan not found")
}

fn number(params: &RawPathParams, name: &str) -> Result<u64, Problem> {
    let text = part(params, name);
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(no_scan)
}
