//! The tags and notes of a scan: the section of its page. They are the team's, so who sees the scan
//! by a share or a link has no such section.

use kastrel_actors::model::{FieldError, Operation, ScanRecord};
use kastrel_actors::policy::access::decide;

use crate::web::pages::findings::form::Field;
use crate::web::query::ScanListQuery;
use crate::web::state::WebInner;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// The section.
pub(crate) struct NotesSection {
    /// The tags, with links to the scans that have them.
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) notes: String,
    /// The form, for those who may change them.
    pub(crate) form: Option<NotesForm>,
}

/// The form of tags and notes.
pub(crate) struct NotesForm {
    pub(crate) url: String,
    pub(crate) tags: Field,
    pub(crate) notes: Field,
}

/// What was typed into the form, with what is wrong with it.
pub(super) struct Typed<'a> {
    pub(super) tags: &'a str,
    pub(super) notes: &'a str,
    pub(super) errors: &'a [FieldError],
}

impl NotesSection {
    /// Reads the section. `None` if the viewer may not read the tags and notes, if there is nothing
    /// to see and to change, or if the store does not respond: the page is useful without it.
    pub(super) async fn of(
        web: &WebInner,
        viewer: &Viewer,
        record: &ScanRecord,
        typed: Option<Typed<'_>>,
    ) -> Option<Self> {
        let stored = web.findings().scan_notes(&viewer.context, record.id).await.ok()??;
        let joined = stored.tags.join(", ");
        let typed = typed.unwrap_or(Typed { tags: &joined, notes: &stored.notes, errors: &[] });
        let may_edit = decide(&viewer.context.grants, Operation::EditTargets, Some(&record.project)).is_ok();
        let form = may_edit.then(|| NotesForm {
            url: format!("/scans/{}/notes", record.id),
            tags: Field::new("tags", typed.tags, typed.errors),
            notes: Field::new("notes", typed.notes, typed.errors),
        });
        let link = |tag: &String| {
            let list = ScanListQuery { tag: Some(tag.clone()), ..ScanListQuery::default() };
            (clean(tag), list.link("/scans"))
        };
        let section = Self { tags: stored.tags.iter().map(link).collect(), notes: clean(&stored.notes), form };
        (section.form.is_some() || !section.tags.is_empty() || !section.notes.is_empty()).then_some(section)
    }
}
