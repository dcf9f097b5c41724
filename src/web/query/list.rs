//! The filters, the order and the page of a scan list.

use kastrel_actors::model::{
    Cursor, FieldError, ListQuery, ProjectFilter, ProjectId, RequestContext, ScanId, ScanMode, ScanOrder, ScanStatus,
    Severity,
};
use kastrel_actors::policy::listing::search_text;

use super::day::Day;
use crate::service::access::{AccessService, AccountError};
use crate::web::zone::Zone;

/// The filters, the order and the page of a scan list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanListQuery {
    pub(crate) page: usize,
    pub(crate) per_page: usize,
    pub(crate) statuses: Vec<ScanStatus>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) target: Option<String>,
    pub(crate) mode: Option<ScanMode>,
    pub(crate) plugin: Option<String>,
    pub(crate) min_severity: Option<Severity>,
    pub(crate) tag: Option<String>,
    /// The first day, as written in the query.
    pub(crate) from: Option<Day>,
    /// The last day, as written in the query.
    pub(crate) to: Option<Day>,
    /// The time zone of those days.
    pub(crate) zone: Zone,
    pub(crate) order: ScanOrder,
    pub(crate) before: Option<ScanId>,
    pub(crate) after: Option<ScanId>,
    /// Whether the page ends at `before` or `after` instead of beginning there.
    pub(crate) back: bool,
    /// The cursor at which the page begins, in an order that is not by number.
    pub(crate) at: Option<Cursor>,
}

impl Default for ScanListQuery {
    fn default() -> Self {
        Self {
            page: 1,
            per_page: 20,
            statuses: Vec::new(),
            project: None,
            target: None,
            mode: None,
            plugin: None,
            min_severity: None,
            tag: None,
            from: None,
            to: None,
            zone: Zone::default(),
            order: ScanOrder::Newest,
            before: None,
            after: None,
            back: false,
            at: None,
        }
    }
}

impl ScanListQuery {
    /// Converts the query for the store.
    pub(crate) fn for_store(&self) -> ListQuery {
        ListQuery {
            projects: self.project.clone().map_or(ProjectFilter::All, ProjectFilter::of),
            statuses: self.statuses.clone(),
            target: self.target.as_deref().map(search_text),
            mode: self.mode,
            created_from: self.from.as_ref().map(|day| day.begins),
            created_until: self.to.as_ref().map(|day| day.ends),
            plugin: self.plugin.clone(),
            min_severity: self.min_severity,
            tag: self.tag.clone(),
            order: self.order,
            before: self.before,
            after: self.after,
            from: self.at.clone(),
            from_the_end: self.back,
            offset: (self.page - 1) * self.per_page,
            limit: self.per_page,
            count: true,
        }
    }

    /// Removes the filter of a project that the caller does not see, and returns its error: that of
    /// a project that does not exist.
    ///
    /// # Errors
    /// A failure of the store.
    pub(crate) async fn take_unknown_project(
        &mut self,
        access: &AccessService,
        context: &RequestContext,
    ) -> Result<Option<FieldError>, AccountError> {
        let Some(asked) = &self.project else { return Ok(None) };
        if access.projects(context).await?.iter().any(|project| project.id == *asked) {
            return Ok(None);
        }
        self.project = None;
        Ok(Some(FieldError::new("project", ProjectId::UNKNOWN)))
    }

    /// Returns whether the query has a filter.
    pub(crate) fn is_narrowed(&self) -> bool {
        self.without_place()
            != Self { per_page: self.per_page, order: self.order, zone: self.zone.clone(), ..Self::default() }
    }
}
