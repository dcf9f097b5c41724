//! The projects as the pages of scans name them. While a viewer sees only one project, these pages
//! do not name it.

use kastrel_actors::model::{Project, ProjectId, ProjectRole};

use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// Returns whether there is a project beside the default one. Without such a project, the pages of
/// accounts and the navigation do not name projects.
pub(crate) fn has_named_project(projects: &[Project]) -> bool {
    projects.iter().any(|project| !project.id.is_default())
}

/// The projects that a viewer sees, if they are more than one.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProjectNames(Vec<Project>);

impl ProjectNames {
    /// Reads the projects, unless the viewer is a member of at most one. If the store does not
    /// respond, the pages name none.
    pub(crate) async fn of(web: &WebInner, viewer: &Viewer) -> Self {
        if viewer.context.grants.projects_with(ProjectRole::Viewer).is_some_and(|own| own.len() <= 1) {
            return Self::default();
        }
        let projects = web.access().projects(&viewer.context).await.unwrap_or_default();
        if projects.len() > 1 { Self(projects) } else { Self::default() }
    }

    /// Returns the title of a project, if the pages name it.
    pub(crate) fn title_of(&self, id: &ProjectId) -> Option<String> {
        self.0.iter().find(|project| project.id == *id).map(|project| clean(&project.title))
    }

    /// Returns the id and the title of each project.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|project| (project.id.to_string(), clean(&project.title)))
    }
}
