//! The projects whose scans a list has.

use std::collections::BTreeSet;

use kastrel_actors::model::{ProjectFilter, ProjectId};
use kastrel_actors::ports::StoreError;

use super::sql::{BeyondProject, NEXT_PROJECT, NextProject, PROJECTS, Projects};
use crate::adapters::surreal_store::calls::{self, Nothing};
use crate::adapters::surreal_store::store::SurrealStore;

/// The projects whose scans a list has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// The projects. Some may have no scans.
    pub(super) projects: Vec<String>,
    /// True if it is known that no other project has scans, so that counts of all scans are right.
    pub(super) has_all: bool,
}

impl SurrealStore {
    /// The scope of a list. Besides [`projects_of`](Self::projects_of), it reads one or two entries
    /// of an index for some projects.
    pub(super) async fn scope(&self, filter: &ProjectFilter) -> Result<Scope, StoreError> {
        let has_all = match filter {
            ProjectFilter::All => true,
            ProjectFilter::Only(projects) => self.are_all_scans_of_one(projects).await?,
        };
        Ok(Scope { projects: self.projects_of(filter).await?, has_all })
    }

    /// The projects of a filter. For all projects, it reads one entry of an index while only the
    /// default project has scans, and otherwise one more for each project.
    pub(in crate::adapters::surreal_store) async fn projects_of(
        &self,
        filter: &ProjectFilter,
    ) -> Result<Vec<String>, StoreError> {
        if let ProjectFilter::Only(projects) = filter {
            return Ok(projects.iter().map(ToString::to_string).collect());
        }
        let Projects { first, later } = calls::call_again(&self.inner.db, PROJECTS, Nothing {}).await?;
        let default = ProjectId::default();
        if later.is_none() && first.as_ref().is_none_or(|first| first == default.as_str()) {
            return Ok(vec![default.to_string()]);
        }
        let mut projects: Vec<String> = first.into_iter().collect();
        while let Some(known) = projects.last() {
            let Some(next) = self.next_project(known).await? else { break };
            projects.push(next);
        }
        Ok(projects)
    }

    /// True if at most one project has scans, and `projects` contains it.
    async fn are_all_scans_of_one(&self, projects: &BTreeSet<ProjectId>) -> Result<bool, StoreError> {
        let Projects { first, later } = calls::call_again(&self.inner.db, PROJECTS, Nothing {}).await?;
        let Some(first) = first else { return Ok(true) };
        if !projects.iter().any(|project| project.as_str() == first) {
            return Ok(false);
        }
        let next = if first == ProjectId::default().as_str() { later } else { self.next_project(&first).await? };
        Ok(next.is_none())
    }

    /// The project after `known` that has scans.
    async fn next_project(&self, known: &str) -> Result<Option<String>, StoreError> {
        let beyond = BeyondProject { bound: format!("{known}!") };
        let NextProject { next } = calls::call_again(&self.inner.db, NEXT_PROJECT, beyond).await?;
        Ok(next)
    }
}
