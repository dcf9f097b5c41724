//! The projects whose scans a list has.

use kastrel_actors::model::ProjectId;
use kastrel_actors::ports::StoreError;

use super::sql::{BeyondProject, NEXT_PROJECT, NextProject, PROJECTS, Projects};
use crate::adapters::surreal_store::calls::{self, Nothing};
use crate::adapters::surreal_store::store::SurrealStore;

/// The projects whose scans a list has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The projects. Some may have no scans.
    pub(super) projects: Vec<String>,
    /// True if no other project has scans, so that counts of all scans are right.
    pub(super) has_all: bool,
}

impl SurrealStore {
    /// The projects of a list of `project`, or of all projects. While only the default project has
    /// scans, it reads one entry of an index; otherwise, for all projects, one more for each.
    pub(super) async fn scope(&self, project: Option<&ProjectId>) -> Result<Scope, StoreError> {
        let Projects { first, later } = calls::call_again(&self.inner.db, PROJECTS, Nothing {}).await?;
        let default = ProjectId::default();
        let is_only_default = later.is_none() && first.as_ref().is_none_or(|first| first == default.as_str());
        if let Some(project) = project {
            let has_all = is_only_default && *project == default;
            return Ok(Scope { projects: vec![project.to_string()], has_all });
        }
        if is_only_default {
            return Ok(Scope { projects: vec![default.to_string()], has_all: true });
        }
        let mut projects: Vec<String> = first.into_iter().collect();
        while let Some(known) = projects.last() {
            let beyond = BeyondProject { bound: format!("{known}!") };
            let NextProject { next } = calls::call_again(&self.inner.db, NEXT_PROJECT, beyond).await?;
            let Some(next) = next else { break };
            projects.push(next);
        }
        Ok(Scope { projects, has_all: true })
    }
}
