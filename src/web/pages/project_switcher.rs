//! The choice of the project whose scans the overview and the list show. The address has it, and
//! the links between these pages keep it. While a viewer sees only one project, there is no choice.

use kastrel_actors::model::ProjectId;
use url::form_urlencoded;

use super::project_names::ProjectNames;
use crate::web::query::ScanListQuery;
use crate::web::state::WebInner;
use crate::web::viewer::Viewer;

/// The form with which a viewer chooses a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectSwitcher {
    /// The page to which the form leads.
    pub(crate) action: &'static str,
    /// The other parameters of the page, which stay.
    pub(crate) kept: Vec<(String, String)>,
    pub(crate) choices: Vec<ProjectChoice>,
}

/// A project, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectChoice {
    /// The id of the project; empty for all.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) is_chosen: bool,
}

impl ProjectSwitcher {
    /// Returns the form of a page; `None` while the viewer sees only one project. `query` has what
    /// the page shows now.
    pub(crate) fn new(action: &'static str, query: &ScanListQuery, projects: &ProjectNames) -> Option<Self> {
        let choice = |id: String, title: String| ProjectChoice {
            is_chosen: query.project.as_ref().map_or("", ProjectId::as_str) == id,
            id,
            title,
        };
        let mut choices: Vec<ProjectChoice> = projects.all().map(|(id, title)| choice(id, title)).collect();
        if choices.is_empty() {
            return None;
        }
        choices.insert(0, choice(String::new(), "All projects".into()));
        let others = ScanListQuery { project: None, ..query.without_place() }.link("");
        let kept = form_urlencoded::parse(others.trim_start_matches('?').as_bytes()).into_owned().collect();
        Some(Self { action, kept, choices })
    }
}

/// Reads the project of the overview's address, and the error of one that the viewer does not see.
/// If the store does not respond, the project stays: the page shows no scans then.
pub(crate) async fn chosen_project(
    web: &WebInner,
    viewer: &Viewer,
    raw: Option<&str>,
) -> (ScanListQuery, Option<String>) {
    let (query, errors) = ScanListQuery::parse(raw);
    let mut chosen = ScanListQuery { project: query.project, ..ScanListQuery::default() };
    let unknown = chosen.take_unknown_project(web.access(), &viewer.context).await.unwrap_or_default();
    let wrong = errors.into_iter().find(|error| error.field == "project").or(unknown);
    (chosen, wrong.map(|error| error.message))
}
