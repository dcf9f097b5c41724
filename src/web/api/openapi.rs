//! `GET /api/openapi.json`: the OpenAPI description, generated from the handlers.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::DomainEvent;
use kastrel_actors::policy::access::Group;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::{RefOr, Schema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    accounts, audit, audit_export, backup, backups, changes, clearances, compare, device, events, export, filters,
    finding_exports, findings, health, identities, links, log, metrics, nodes, notes, plugins, projects, proof, queue,
    scans, shares, sla, stats, status, supervision, targets, tokens, whoami,
};
use crate::web::access::Grouped;
use crate::web::base_path;
use crate::web::state::Web;
use crate::web::zone::Zone;

#[derive(OpenApi)]
#[openapi(
    info(title = "Kastrel", description = "Runs KAST security scans under supervision.", license(name = "Apache-2.0", identifier = "Apache-2.0")),
    tags(
        (name = "scans", description = "Submit, follow and cancel scans."),
        (name = "findings", description = "Targets and their findings: read, triage and compare."),
        (name = "scanner", description = "Scanners and plugins."),
        (name = "accounts", description = "Accounts, projects and API tokens."),
        (name = "server", description = "State of the server."),
    )
)]
struct Description;

/// The routes of the API with their description, except the status route.
pub(crate) fn routes() -> OpenApiRouter<Web> {
    use Group::{Admin, Auditor, Editor, Operator, Public, Scanner, Viewer};
    OpenApiRouter::with_openapi(Description::openapi())
        .grouped(Viewer, routes!(scans::list_scans))
        .grouped(Scanner, routes!(scans::submit_scan))
        .grouped(Scanner, routes!(scans::submit_batch))
        .grouped(Viewer, routes!(export::export_csv))
        .grouped(Viewer, routes!(export::export_json))
        .grouped(Viewer, routes!(finding_exports::export_findings))
        .grouped(Viewer, routes!(finding_exports::export_scan_findings))
        .grouped(Viewer, routes!(scans::show_scan))
        .grouped(Operator, routes!(scans::delete_scan))
        .grouped(Editor, routes!(scans::cancel_scan))
        .grouped(Scanner, routes!(scans::rerun_scan))
        .grouped(Operator, routes!(links::list_links, links::create_link))
        .grouped(Operator, routes!(links::revoke_link))
        .grouped(Operator, routes!(shares::list_shares, shares::create_share))
        .grouped(Operator, routes!(shares::revoke_share))
        .grouped(Viewer, routes!(shares::list_shared_scans))
        .grouped(Operator, routes!(shares::transfer_scan))
        .grouped(Viewer, routes!(events::scan_events))
        .grouped(Viewer, routes!(log::scan_log))
        .grouped(Viewer, routes!(compare::list_scan_findings))
        .grouped(Viewer, routes!(compare::compare_scans))
        .grouped(Viewer, routes!(notes::show_notes))
        .grouped(Operator, routes!(notes::set_notes))
        .grouped(Viewer, routes!(findings::list_findings))
        .grouped(Viewer, routes!(findings::list_groups))
        .grouped(Operator, routes!(findings::triage_findings))
        .grouped(Viewer, routes!(findings::show_finding))
        .grouped(Operator, routes!(findings::comment_finding))
        .grouped(Viewer, routes!(findings::explain_finding))
        .grouped(Viewer, routes!(targets::list_targets))
        .grouped(Viewer, routes!(targets::show_target))
        .grouped(Operator, routes!(targets::edit_target))
        .grouped(Scanner, routes!(targets::check_target))
        .grouped(Viewer, routes!(sla::show_sla))
        .grouped(Viewer, routes!(sla::set_sla))
        .grouped(Viewer, routes!(filters::list_filters))
        .grouped(Viewer, routes!(filters::save_filter, filters::delete_filter))
        .grouped(Viewer, routes!(changes::changes))
        .grouped(Viewer, routes!(plugins::list_plugins))
        .grouped(Auditor, routes!(nodes::list_nodes))
        .grouped(Admin, routes!(nodes::drain_node, nodes::undo_drain))
        .grouped(Auditor, routes!(queue::show_queue))
        .grouped(Admin, routes!(queue::pause_queue))
        .grouped(Admin, routes!(queue::resume_queue))
        .grouped(Public, routes!(proof::prove))
        .grouped(Admin, routes!(backup::download_backup))
        .grouped(Auditor, routes!(backups::list_backups))
        .grouped(Auditor, routes!(audit::list_audit))
        .grouped(Auditor, routes!(audit_export::export_audit))
        .grouped(Auditor, routes!(audit::list_dead_letters))
        .grouped(Admin, routes!(audit::resend_dead_letter))
        .grouped(Auditor, routes!(accounts::list_accounts))
        .grouped(Admin, routes!(accounts::create_account))
        .grouped(Auditor, routes!(accounts::show_account))
        .grouped(Admin, routes!(accounts::change_account))
        .grouped(Admin, routes!(accounts::create_password_link))
        .grouped(Admin, routes!(accounts::remove_second_factor))
        .grouped(Auditor, routes!(identities::show_identity))
        .grouped(Admin, routes!(identities::link_identity, identities::unlink_identity))
        .grouped(Viewer, routes!(tokens::list_tokens, tokens::create_token))
        .grouped(Viewer, routes!(tokens::revoke_token))
        .grouped(Viewer, routes!(projects::list_projects))
        .grouped(Admin, routes!(projects::create_project))
        .grouped(Viewer, routes!(projects::list_members))
        .grouped(Viewer, routes!(projects::set_member, projects::remove_member))
        .grouped(Viewer, routes!(clearances::list_clearances))
        .grouped(Viewer, routes!(clearances::set_clearance, clearances::remove_clearance))
        .grouped(Public, routes!(device::create_code))
        .grouped(Public, routes!(device::create_device_token))
        .grouped(Public, routes!(device::cancel_device_login))
        .grouped(Viewer, routes!(whoami::whoami))
        .grouped(Viewer, routes!(stats::show_stats))
        .grouped(Auditor, routes!(supervision::show_supervision))
        .grouped(Public, routes!(health::livez))
        .grouped(Public, routes!(health::readyz))
        .grouped(Auditor, routes!(metrics::metrics))
        .grouped(Public, routes!(openapi))
}

/// The status route, which open pages poll. It gets fewer middleware layers.
pub(crate) fn hot_routes() -> OpenApiRouter<Web> {
    OpenApiRouter::default().grouped(Group::Viewer, routes!(status::scan_status))
}

/// Returns the description as JSON bytes.
pub(crate) fn describe(mut api: utoipa::openapi::OpenApi, version: &str) -> Vec<u8> {
    api.info.version = version.to_owned();
    for item in api.paths.paths.values_mut() {
        let parameters = item.get.iter_mut().flat_map(|operation| operation.parameters.iter_mut().flatten());
        for parameter in parameters {
            if let RefOr::T(parameter) = parameter
                && let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema
            {
                match parameter.name.as_str() {
                    "zone" => schema.enum_values = Some(ZONES.clone()),
                    "action" => schema.enum_values = Some(actions()),
                    _ => {}
                }
            }
        }
    }
    serde_json::to_vec(&api).unwrap_or_default()
}

/// The names of the time zones that this machine supports. The empty name means UTC.
static ZONES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut names: Vec<String> =
        jiff::tz::db().available().map(|name| name.to_string()).filter(|name| Zone::is_name(name)).collect();
    names.extend([String::new(), "UTC".to_owned()]);
    names.sort();
    names.dedup();
    names.into_iter().map(Value::from).collect()
});

/// The names of the actions of the audit log. The empty name means any.
fn actions() -> Vec<Value> {
    DomainEvent::ACTIONS.into_iter().chain([""]).map(Value::from).collect()
}

/// Returns the OpenAPI description of this API.
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "server",
    responses((status = 200, description = "This description", body = Object, content_type = "application/json"))
)]
pub(crate) async fn openapi(State(web): State<Web>) -> Response {
    let base = base_path::current();
    let description = if base.as_str().is_empty() { web.openapi.clone() } else { under(&web.openapi, base.as_str()) };
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], description).into_response()
}

/// Adds the base path of the API to the description.
fn under(description: &Bytes, base: &str) -> Bytes {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(description) else { return description.clone() };
    fields.insert("servers".into(), serde_json::json!([{ "url": base }]));
    serde_json::to_vec(&fields).map_or_else(|_| description.clone(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use kastrel_actors::model::{CancelledBy, ScanStatus};
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;

    use crate::web::testing::{TestApp, api_description, json_of};

    #[tokio::test]
    async fn description_has_exactly_the_existing_routes() {
        let api = api_description();
        let described: BTreeSet<String> = api["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let expected = [
            "DELETE /api/accounts/{name}/identity",
            "DELETE /api/accounts/{name}/second-factor",
            "DELETE /api/accounts/{name}/tokens/{id}",
            "DELETE /api/filters/{name}",
            "DELETE /api/nodes/{id}/drain",
            "DELETE /api/projects/{id}/clearances/{pattern}",
            "DELETE /api/projects/{id}/members/{name}",
            "DELETE /api/scans/{id}",
            "DELETE /api/scans/{id}/links/{link}",
            "DELETE /api/scans/{id}/shares/{grantee}",
            "GET /api/accounts",
            "GET /api/accounts/{name}",
            "GET /api/accounts/{name}/identity",
            "GET /api/accounts/{name}/tokens",
            "GET /api/audit",
            "GET /api/audit/export",
            "GET /api/backup",
            "GET /api/backups",
            "GET /api/dead-letters",
            "GET /api/events",
            "GET /api/filters",
            "GET /api/findings",
            "GET /api/findings/groups",
            "GET /api/findings/export",
            "GET /api/findings/{id}",
            "GET /api/findings/{id}/explain",
            "GET /api/nodes",
            "GET /api/openapi.json",
            "GET /api/plugins",
            "GET /api/projects",
            "GET /api/projects/{id}/clearances",
            "GET /api/projects/{id}/members",
            "GET /api/projects/{id}/sla",
            "GET /api/proof",
            "GET /api/queue",
            "GET /api/scans",
            "GET /api/scans/export.csv",
            "GET /api/scans/export.json",
            "GET /api/scans/{id}",
            "GET /api/scans/{id}/compare",
            "GET /api/scans/{id}/events",
            "GET /api/scans/{id}/export",
            "GET /api/scans/{id}/findings",
            "GET /api/scans/{id}/links",
            "GET /api/scans/{id}/log",
            "GET /api/scans/{id}/notes",
            "GET /api/scans/{id}/shares",
            "GET /api/scans/{id}/status",
            "GET /api/shared-scans",
            "GET /api/stats",
            "GET /api/supervision",
            "GET /api/targets",
            "GET /api/targets/{id}",
            "GET /api/whoami",
            "GET /livez",
            "GET /metrics",
            "GET /readyz",
            "PATCH /api/accounts/{name}",
            "PATCH /api/targets/{id}",
            "POST /api/accounts",
            "POST /api/accounts/{name}/password-link",
            "POST /api/accounts/{name}/tokens",
            "POST /api/dead-letters/{id}/resend",
            "POST /api/device/cancel",
            "POST /api/device/code",
            "POST /api/device/token",
            "POST /api/findings/triage",
            "POST /api/findings/{id}/comments",
            "POST /api/nodes/{id}/drain",
            "POST /api/projects",
            "POST /api/queue/pause",
            "POST /api/queue/resume",
            "POST /api/scans",
            "POST /api/scans/batch",
            "POST /api/scans/{id}/cancel",
            "POST /api/scans/{id}/links",
            "POST /api/scans/{id}/rerun",
            "POST /api/scans/{id}/shares",
            "POST /api/scans/{id}/transfer",
            "POST /api/targets/{id}/check",
            "PUT /api/accounts/{name}/identity",
            "PUT /api/filters/{name}",
            "PUT /api/projects/{id}/clearances/{pattern}",
            "PUT /api/projects/{id}/members/{name}",
            "PUT /api/projects/{id}/sla",
            "PUT /api/scans/{id}/notes",
        ];
        assert_eq!(described, expected.map(String::from).into());
    }

    /// Makes a dead letter and returns its id.
    async fn dead_letter(app: &TestApp) -> String {
        let id = app.submitted("example.com").await;
        app.services.scans.cancel(&fixtures::context(), id, CancelledBy::User).await.unwrap();
        let entries = app.memory.lease_entries("relay", 100, Duration::from_secs(60)).await.unwrap();
        let entry = entries.entries.into_iter().find(|entry| entry.key.scan == id).unwrap();
        app.memory.bury("relay", entry.key, &[], "no reason").await.unwrap();
        entry.key.to_string()
    }

    #[tokio::test]
    async fn each_described_method_is_served_and_no_other() {
        let app = TestApp::as_system();
        let api = api_description();
        let account = app.post_json("/api/accounts", &[], &serde_json::json!({ "name": "ana" })).await;
        assert_eq!(account.status(), 201);
        for (path, item) in api["paths"].as_object().unwrap() {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                let id = app.submitted("example.com").await.0.to_string();
                app.memory.register(fixtures::registration(&id), Duration::from_secs(60)).await.unwrap();
                let id = match path.as_str() {
                    path if path.contains("dead-letters") => dead_letter(&app).await,
                    path if path.contains("projects") => "default".into(),
                    _ => id,
                };
                let address = path.replace("{id}", &id).replace("{name}", "ana");
                let response = app.send(method, &address, &[("sec-fetch-site", "same-origin")], "").await;
                let described = item.get(method.to_lowercase()).is_some();
                assert_eq!(response.status() != 405, described, "{method} {path}: {}", response.status());
                // The account has no token, no second factor and no identity, and without accounts
                // there are no public links, no shares and no device logins. The scans have no
                // results, so there are no targets and no findings.
                let has_none = [
                    "tokens/{id}",
                    "/second-factor",
                    "/identity",
                    "/links",
                    "/shares",
                    "/device/",
                    "/findings",
                    "/targets/",
                    "/compare",
                    "/filters/",
                ]
                .iter()
                .any(|part| path.contains(part));
                assert!(has_none || response.status() != 404, "{method} {path}");
            }
        }
    }

    #[tokio::test]
    async fn description_is_served_and_has_the_names_of_the_model() {
        let served = json_of(TestApp::new().get("/api/openapi.json").await).await;
        assert_eq!(
            (&served["info"]["version"], served["info"]["title"].as_str()),
            (&"0.0.0-test".into(), Some("Kastrel"))
        );
        let names: Vec<&str> = ScanStatus::ALL.iter().map(|one| one.as_str()).collect();
        assert_eq!(served["components"]["schemas"]["ScanStatus"]["enum"], serde_json::json!(names));
        assert!(served["components"]["schemas"]["Problem"]["properties"]["trace_id"].is_object());
    }
}
