//! `GET /api/backups`: the automatic backups of the embedded database.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::scans::fresh;
use crate::api_types::{BackupBody, BackupFailureBody, BackupsBody};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// Lists the automatic backups, with the last failure.
#[utoipa::path(
    get, path = "/api/backups", tag = "server",
    responses((status = 200, description = "The backups", body = BackupsBody, content_type = "application/json"))
)]
pub(crate) async fn list_backups(State(web): State<Web>, _viewer: Viewer) -> Response {
    let status = web.state.backups.as_ref().map(|backups| backups.borrow().clone());
    let enabled = status.is_some();
    let status = status.unwrap_or_default();
    let body = BackupsBody {
        enabled,
        backups: status.files.iter().map(|backup| BackupBody::of(backup, backup.name())).collect(),
        failure: status.failure.as_ref().map(BackupFailureBody::from),
    };
    fresh(StatusCode::OK, &body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::web::testing::{TestApp, backup_status, json_of};

    #[tokio::test]
    async fn backup_list_has_the_files_and_the_failure() {
        let app = TestApp::new();
        let body = json_of(app.get("/api/backups").await).await;
        assert_eq!(body, json!({ "enabled": true, "backups": [], "failure": null }));
        app.backups.send_replace(backup_status());
        let body = json_of(app.get("/api/backups").await).await;
        let first = &body["backups"][0];
        assert_eq!(
            (&first["file"], &first["bytes"], &first["missing"]),
            (&json!("kastrel-000002-20260101T000000Z-missing-3.backup"), &json!(4096), &json!(3))
        );
        assert_eq!(body["backups"][1]["before_migration_of"], 5);
        assert_eq!((&body["failure"]["failures"], &body["failure"]["why"]), (&json!(2), &json!("no space <left>")));
    }
}
