//! Changes the tags and notes of a scan from its page.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use kastrel_actors::model::ScanNotes;

use super::notes::Typed as TypedNotes;
use super::read;
use crate::web::error::{Problem, ProblemKind};
use crate::web::headers::page;
use crate::web::pages::findings::form::{Typed, field_error};
use crate::web::pages::targets::tags::tags;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Sets the tags and notes, or shows the form again with what is wrong.
pub(crate) async fn set(
    State(web): State<Web>,
    viewer: Viewer,
    PathId(id): PathId,
    form: Typed,
) -> Result<Response, Problem> {
    let notes = ScanNotes { tags: tags(form.text("tags")), notes: form.text("notes").to_owned() };
    match web.findings().set_scan_notes(&viewer.context, id, notes).await {
        Ok(true) => Ok(Redirect::to(&format!("/scans/{id}?notice=noted")).into_response()),
        Ok(false) => Err(no_scan()),
        Err(error) => {
            let errors = [field_error(error)?];
            let typed = TypedNotes { tags: form.text("tags"), notes: form.text("notes"), errors: &errors };
            let shown = read(&web, &viewer, id, "", Some(typed)).await?;
            Ok((ProblemKind::InvalidFields.about().0, page(&shown)).into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{Grants, ProjectRole};
    use kastrel_actors::ports::store::prelude::*;

    use crate::web::pages::findings::samples::assert_harmless;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, header_of, text_of};

    #[tokio::test]
    async fn tags_and_notes_of_a_scan_are_changed_and_wrong_ones_are_shown_again() {
        let app = TestApp::new();
        let scan = app.submitted("shop.example").await;
        let path = format!("/scans/{scan}/notes");
        let body = |tags: &str, notes: &str| {
            url::form_urlencoded::Serializer::new(String::new())
                .append_pair("tags", tags)
                .append_pair("notes", notes)
                .finish()
        };
        let done = app.post_form(&path, &body("prod, web", &format!("ask first {HOSTILE}"))).await;
        assert_eq!(header_of(&done, "location"), format!("/scans/{scan}?notice=noted"));
        let stored = app.memory.scan_notes(scan).await.unwrap();
        assert_eq!(stored.tags, ["prod", "web"]);
        let html = text_of(app.get(&format!("/scans/{scan}?notice=noted")).await).await;
        assert_harmless(&html);
        assert!(html.contains("The tags and the notes were changed."), "{html}");
        assert!(
            html.contains("<a class=\"tag\" href=\"/scans?tag=prod\">prod</a>") && html.contains("ask first"),
            "{html}"
        );
        assert!(html.contains("value=\"prod, web\""), "{html}");
        let wrong = app.post_form(&path, &body("<script>alert", "typed")).await;
        assert_eq!(wrong.status(), 422);
        let html = text_of(wrong).await;
        assert_harmless(&html);
        assert!(html.contains("id=\"wrong-tags\"") && html.contains(">typed</textarea>"), "{html}");
        assert_eq!(app.memory.scan_notes(scan).await.unwrap(), stored);
        assert_eq!(app.post_form("/scans/99/notes", &body("", "")).await.status(), 404);
    }

    #[tokio::test]
    async fn form_of_tags_and_notes_is_for_operators() {
        for (role, may_edit) in
            [(ProjectRole::Viewer, false), (ProjectRole::Scanner, false), (ProjectRole::Operator, true)]
        {
            let roles = BTreeMap::from([("default".parse().unwrap(), role)]);
            let app = TestApp::with_anonymous(Some(Grants::new(None, roles)));
            let scan = app.submitted("shop.example").await;
            let shown = async || text_of(app.get(&format!("/scans/{scan}")).await).await;
            assert_eq!(shown().await.contains("id=\"notes-panel\""), may_edit, "{role}: there is nothing to see yet");
            let notes = kastrel_actors::model::ScanNotes { tags: Vec::new(), notes: "ask first".into() };
            let system = kastrel_actors::model::Principal::System;
            assert!(app.memory.set_scan_notes(scan, notes, &system).await.unwrap());
            let html = shown().await;
            assert!(html.contains("ask first"), "{role}");
            assert_eq!(html.contains("id=\"notes-form\""), may_edit, "{role}");
            let response = app.post_form(&format!("/scans/{scan}/notes"), "tags=&notes=").await;
            assert_eq!(response.status() == 403, !may_edit, "{role}");
        }
    }
}
