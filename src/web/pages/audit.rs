//! The audit log: who did what, and when, with filters. The URL has the complete state of the page,
//! so it can be passed on.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::{AuditEntry, AuditPage, DomainEvent, FieldError, ScanId};
use url::form_urlencoded;

use super::layout::{Here, Layout, Notice};
use crate::web::error::{MOST_ERRORS, Problem};
use crate::web::headers::page;
use crate::web::query::AuditLogQuery;
use crate::web::state::Web;
use crate::web::text::{MomentText, clean, counted, sentence};
use crate::web::viewer::Viewer;
use crate::web::zone::{WallClock, Zone};

const PATH: &str = "/audit";
const PER_PAGE: usize = 50;
/// The longest text of a filter that the page shows again, in characters.
const MOST_TEXT: usize = 280;
/// The filters that the form has.
const FIELDS: [&str; 5] = ["principal", "action", "scan", "from", "to"];

/// The page of the audit log.
#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditLogPage {
    layout: Layout,
    /// The errors of parameters that the form does not have.
    notice: Option<Notice>,
    filter: FilterView,
    /// Whether a filter is not valid. Nothing is listed then: a list without it would mislead.
    is_invalid: bool,
    /// Whether there is a filter.
    is_narrowed: bool,
    rows: Vec<EntryRow>,
    summary: String,
    first: Option<String>,
    older: Option<String>,
    /// Whether the search stopped before the page was full.
    is_partial: bool,
}

/// The filters, as they were typed.
struct FilterView {
    principal: Typed,
    actions: Vec<ActionChoice>,
    action_error: Option<String>,
    scan: Typed,
    from: Typed,
    to: Typed,
    /// The time zone that the form sends.
    zone: String,
    /// Whether the form sends the viewer's own zone, which the browser knows best.
    is_zone_own: bool,
    /// The time zone of the days, if it is not the viewer's.
    other_zone: Option<String>,
}

/// A field as it was typed, with its error.
struct Typed {
    value: String,
    error: Option<String>,
}

struct ActionChoice {
    value: String,
    label: String,
    is_chosen: bool,
}

/// An entry.
struct EntryRow {
    action: &'static str,
    at: MomentText,
    who: String,
    /// The link to the entries of the same principal.
    who_url: String,
    what: String,
    scan: Option<u64>,
    /// Whether the page itself says that the scan was deleted, so that it has no link.
    is_deleted: bool,
    address: String,
}

/// Shows the page.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let (query, errors) = AuditLogQuery::parse_form(raw.as_deref());
    let filter = FilterView::new(raw.as_deref().unwrap_or_default(), &query, &errors, &viewer.zone);
    let read = async {
        if errors.is_empty() {
            web.audit().entries(&viewer.context, &query.for_store(PER_PAGE)).await.map_err(Problem::from)
        } else {
            Ok(AuditPage::default())
        }
    };
    let (read, layout) = tokio::join!(read, Layout::of(&web, &viewer, Here::Audit, "Audit log"));
    let AuditPage { entries, next, is_partial } = read?;
    let clock = web.clock(&viewer);
    let deletions = entries.iter().filter(|entry| matches!(entry.event, DomainEvent::ScanDeleted { .. }));
    let deleted: BTreeSet<ScanId> = deletions.filter_map(|entry| entry.scan).collect();
    let shown = page(&AuditLogPage {
        layout,
        notice: notice_of(&errors),
        filter,
        is_invalid: !errors.is_empty(),
        is_narrowed: query.is_narrowed(),
        summary: summary(entries.len()),
        rows: entries.iter().map(|entry| EntryRow::new(entry, &query, &deleted, &clock)).collect(),
        first: query.before.is_some().then(|| query.page_at(None).link(PATH)),
        older: next.map(|next| query.page_at(Some(next)).link(PATH)),
        is_partial,
    });
    Ok(if errors.is_empty() { shown } else { (StatusCode::BAD_REQUEST, shown).into_response() })
}

fn summary(entries: usize) -> String {
    if entries == 0 { String::new() } else { counted(entries as u64, "entry on this page", "entries on this page") }
}

/// Returns the errors of parameters that have no field, such as a cursor that was cut off.
fn notice_of(errors: &[FieldError]) -> Option<Notice> {
    let others = errors.iter().filter(|error| !FIELDS.contains(&error.field.as_str())).take(MOST_ERRORS);
    let texts: Vec<String> =
        others.map(|error| clean(&format!("{}: {}.", sentence(&error.field), error.message))).collect();
    (!texts.is_empty()).then(|| Notice::new("error", texts.join(" ")))
}

impl FilterView {
    fn new(raw: &str, query: &AuditLogQuery, errors: &[FieldError], zone: &Zone) -> Self {
        let error = |name: &str| {
            let error = errors.iter().find(|error| error.field == name)?;
            Some(sentence(&clean(&error.message)))
        };
        let value = |name: &str| {
            let value = form_urlencoded::parse(raw.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value);
            clean(&value.unwrap_or_default().chars().take(MOST_TEXT).collect::<String>()).trim().to_owned()
        };
        let typed = |name: &str| Typed { value: value(name), error: error(name) };
        let (from, to) = (typed("from"), typed("to"));
        let has_days = !from.value.is_empty() || !to.value.is_empty();
        Self {
            principal: typed("principal"),
            actions: actions(&value("action")),
            action_error: error("action"),
            scan: typed("scan"),
            zone: if has_days { query.zone.name() } else { zone.name() }.to_owned(),
            is_zone_own: !has_days,
            other_zone: (has_days && query.zone != *zone).then(|| query.zone.name().to_owned()),
            from,
            to,
        }
    }

    /// Returns the time zone of the days, if it is not the viewer's.
    fn zone_note(&self) -> String {
        self.other_zone.as_ref().map_or_else(String::new, |zone| format!(" ({zone})"))
    }
}

/// Returns the choices of the action. An action that does not exist stays chosen, with its error.
fn actions(chosen: &str) -> Vec<ActionChoice> {
    let choice = |value: &str, label: String| ActionChoice { value: value.into(), label, is_chosen: value == chosen };
    let mut actions = vec![choice("", "Any".into())];
    let mut named: Vec<ActionChoice> =
        DomainEvent::ACTIONS.into_iter().map(|action| choice(action, sentence(&action.replace('_', " ")))).collect();
    named.sort_by(|one, other| one.label.cmp(&other.label));
    actions.append(&mut named);
    if !actions.iter().any(|action| action.is_chosen) {
        actions.push(choice(chosen, chosen.into()));
    }
    actions
}

impl EntryRow {
    fn new(entry: &AuditEntry, query: &AuditLogQuery, deleted: &BTreeSet<ScanId>, clock: &WallClock) -> Self {
        let of_same = AuditLogQuery { principal: Some(entry.principal.clone()), ..query.page_at(None) };
        Self {
            action: entry.event.action(),
            at: clock.moment(entry.at),
            who: clean(&entry.principal.to_string()),
            who_url: of_same.link(PATH),
            what: clean(&entry.event.text()),
            scan: entry.scan.map(|scan| scan.0),
            is_deleted: entry.scan.is_some_and(|scan| deleted.contains(&scan)),
            address: clean(entry.event.address().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountName, Principal, ProjectId, ScanStatus};
    use kastrel_actors::ports::store::prelude::*;

    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    async fn text(app: &TestApp, path: &str) -> String {
        let response = app.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        text_of(response).await
    }

    /// Returns the actions of the rows.
    fn rows(html: &str) -> Vec<&str> {
        html.split("<tr data-action=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    /// Returns the address of the link with this id.
    fn link(html: &str, id: &str) -> Option<String> {
        let (before, _) = html.split_once(&format!("id=\"{id}\""))?;
        let (_, href) = before.rsplit_once("href=\"")?;
        Some(href.split('"').next()?.replace("&#38;", "&"))
    }

    async fn record(app: &TestApp, by: &str, event: DomainEvent, scan: Option<u64>) {
        let by: Principal = by.parse().unwrap();
        app.memory.record(event, scan.map(ScanId), &by).await.unwrap();
    }

    async fn app_with_entries() -> TestApp {
        let app = TestApp::new();
        let ana: AccountName = "ana".parse().unwrap();
        record(&app, "user:ana", DomainEvent::SignedIn { account: ana, address: "192.0.2.7".into() }, None).await;
        record(&app, "user:ana", DomainEvent::FilesDownloaded, Some(7)).await;
        record(&app, "service:ci", DomainEvent::ScansExported, None).await;
        app
    }

    #[tokio::test]
    async fn entries_are_listed_with_time_person_sentence_scan_and_address() {
        let app = app_with_entries().await;
        let html = text(&app, "/audit").await;
        assert_eq!(rows(&html), ["scans_exported", "files_downloaded", "signed_in"]);
        for part in [
            "datetime=\"2026-01-01T00:00:00Z\"",
            "<a href=\"/audit?principal=user%3Aana\" class=\"mono\">user:ana</a>",
            "<td data-label=\"What\">Files of the scan downloaded</td>",
            "<a href=\"/scans/7\">#7</a>",
            "<td data-label=\"What\">Account ana signed in</td>",
            "class=\"small mono\">192.0.2.7</td>",
            "3 entries on this page",
            "id=\"nav-audit\" aria-current=\"page\"",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!((link(&html, "page-next"), link(&html, "page-first")), (None, None));
        let there = text_of(app.send("GET", "/audit", &[("cookie", "kastrel-zone=Pacific/Auckland")], "").await).await;
        assert!(there.contains("2026-01-01 13:00:00 NZDT"), "{there}");
    }

    #[tokio::test]
    async fn deleted_scan_has_no_link() {
        let app = app_with_entries().await;
        let at = app.web().now();
        let event = DomainEvent::ScanDeleted { status: ScanStatus::Failed, at, project: ProjectId::default() };
        record(&app, "user:ana", event, Some(7)).await;
        record(&app, "user:ana", DomainEvent::FilesDownloaded, Some(8)).await;
        let html = text(&app, "/audit").await;
        assert!(html.contains("<a href=\"/scans/8\">#8</a>") && !html.contains("/scans/7"), "{html}");
        assert_eq!(html.matches("#7</td>").count(), 2, "{html}");
    }

    #[tokio::test]
    async fn filters_of_the_url_are_applied_and_shown() {
        let app = app_with_entries().await;
        for (query, expected) in [
            ("principal=user%3Aana&action=&scan=&zone=UTC&from=&to=", vec!["files_downloaded", "signed_in"]),
            ("action=signed_in", vec!["signed_in"]),
            ("scan=7", vec!["files_downloaded"]),
            ("principal=service%3Aci&from=2026-01-01&to=2026-01-01", vec!["scans_exported"]),
        ] {
            let html = text(&app, &format!("/audit?{query}")).await;
            assert_eq!(rows(&html), expected, "{query}");
        }
        let html =
            text(&app, "/audit?principal=user%3Aana&action=signed_in&from=2026-01-01&zone=Pacific%2FAuckland").await;
        for part in [
            "name=\"principal\" value=\"user:ana\"",
            "<option value=\"signed_in\" selected>Signed in</option>",
            "name=\"from\" value=\"2026-01-01\"",
            "name=\"zone\" value=\"Pacific/Auckland\"",
            "From (Pacific/Auckland)",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert!(text(&app, "/audit").await.contains("data-zone-own"), "the browser says which days are meant");
    }

    #[tokio::test]
    async fn pages_lead_to_older_entries_and_back_to_the_newest() {
        let app = app_with_entries().await;
        for _ in 0..PER_PAGE {
            record(&app, "service:ci", DomainEvent::BackupDownloaded, None).await;
        }
        let first = text(&app, "/audit").await;
        assert_eq!((rows(&first).len(), link(&first, "page-first")), (PER_PAGE, None));
        let second = text(&app, &link(&first, "page-next").unwrap()).await;
        assert_eq!(rows(&second), ["scans_exported", "files_downloaded", "signed_in"]);
        assert_eq!((link(&second, "page-first").as_deref(), link(&second, "page-next")), (Some("/audit"), None));
        let of_ci = text(&app, "/audit?principal=service%3Aci").await;
        let older = link(&of_ci, "page-next").unwrap();
        assert!(older.starts_with("/audit?principal=service%3Aci&before="), "{older}");
        assert_eq!(rows(&text(&app, &older).await), ["scans_exported"], "the filter stays");
    }

    #[tokio::test]
    async fn empty_pages_say_why() {
        let app = TestApp::new();
        assert!(text(&app, "/audit").await.contains("No entries."));
        let app = app_with_entries().await;
        let none = text(&app, "/audit?action=queue_paused").await;
        assert!(
            none.contains("No entries match.") && none.contains("<a href=\"/audit\">Show all entries</a>"),
            "{none}"
        );
        for _ in 0..kastrel_actors::model::AuditQuery::MOST_SKIPPED {
            record(&app, "system", DomainEvent::ScansExported, None).await;
        }
        let stopped = text(&app, "/audit?action=signed_in").await;
        assert!(stopped.contains("No match yet.") && stopped.contains("Search older entries"), "{stopped}");
        let rest = text(&app, &link(&stopped, "page-next").unwrap()).await;
        assert_eq!(rows(&rest), ["signed_in"], "the search continues");
    }

    #[tokio::test]
    async fn wrong_filter_is_named_at_its_field_and_stays_typed() {
        let app = app_with_entries().await;
        for (name, value, error) in [
            ("principal", "ana", "Expected one of system, anonymous, user:NAME, service:NAME, link:ID"),
            ("scan", "seven", "Expected a scan number"),
            ("from", "yesterday", "Expected a date such as 2026-11-23 or a time such as 2026-11-23T08:00:00Z"),
            ("to", "2026-02-30", "Expected a date such as 2026-11-23 or a time such as 2026-11-23T08:00:00Z"),
        ] {
            let response = app.get(&format!("/audit?{name}={value}&action=signed_in")).await;
            assert_eq!(response.status(), 400, "{name}");
            let html = text_of(response).await;
            assert!(html.contains(&format!("<p class=\"wrong\" id=\"wrong-{name}\">{error}</p>")), "{name}: {html}");
            let field = html.split(&format!("id=\"field-{name}\"")).nth(1).unwrap().split('>').next().unwrap();
            assert!(field.contains(&format!("value=\"{value}\"")), "{field}");
            assert!(field.contains(&format!("aria-invalid=\"true\" aria-describedby=\"wrong-{name}\"")), "{field}");
            assert!(html.contains("<option value=\"signed_in\" selected>"), "the other filters stay: {html}");
            assert!(rows(&html).is_empty() && html.contains("Nothing is listed: the filter is not valid."), "{html}");
        }
        let action = text_of(app.get("/audit?action=scan_moved").await).await;
        assert!(action.contains("<option value=\"scan_moved\" selected>scan_moved</option>"), "{action}");
        assert!(action.contains("id=\"wrong-action\""), "{action}");
        let cursor = app.get("/audit?before=1&zone=x").await;
        assert_eq!(cursor.status(), 400);
        let html = text_of(cursor).await;
        assert!(html.contains("Before: expected a cursor from an earlier page."), "{html}");
    }

    #[tokio::test]
    async fn hostile_text_is_shown_as_text() {
        let app = TestApp::new();
        record(&app, "system", DomainEvent::QueuePaused { reason: Some(HOSTILE.into()) }, None).await;
        let denied = DomainEvent::AccessDenied { operation: HOSTILE.into(), project: None };
        record(&app, "system", denied, None).await;
        let html = text(&app, "/audit").await;
        let typed: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
        let fields =
            format!("/audit?principal={typed}&action={typed}&scan={typed}&from={typed}&to={typed}&before={typed}");
        for html in [html, text_of(app.get(&fields).await).await] {
            assert!(!html.contains("<script>alert") && !html.contains("onload=\"x"), "{html}");
            assert!(!html.contains('\u{1b}') && !html.contains('\u{202e}'), "{html}");
            assert!(html.contains("&#60;script&#62;"), "{html}");
        }
    }

    #[tokio::test]
    async fn store_that_does_not_respond_is_a_problem() {
        let app = TestApp::new();
        app.store.fail_with("down");
        assert_eq!(app.get("/audit").await.status(), 503);
    }
}
