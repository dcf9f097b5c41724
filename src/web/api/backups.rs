//! `GET /api/backups`: the automatic backups of the embedded database.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::scans::fresh;
use super::wire::Moment;
use crate::backup::{BackupFailure, BackupFile};
use crate::web::state::Web;
use crate::web::viewer::Viewer;

/// The automatic backups.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backups)]
struct BackupsBody {
    /// Whether this process makes automatic backups.
    enabled: bool,
    /// Newest first.
    backups: Vec<BackupBody>,
    /// The last failure; null once a backup has succeeded.
    failure: Option<FailureBody>,
}

/// An automatic backup.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
struct BackupBody {
    /// The name of the file.
    file: String,
    made_at: Moment,
    bytes: u64,
    /// How many scans are missing because their rows could not be read.
    missing: u64,
    /// The schema version of the database, if the backup was made before a migration.
    before_migration_of: Option<i64>,
}

/// A failed backup.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackupFailure)]
struct FailureBody {
    at: Moment,
    why: String,
    /// How many backups failed in a row.
    failures: u32,
}

impl From<&BackupFile> for BackupBody {
    fn from(file: &BackupFile) -> Self {
        Self {
            file: file.name(),
            made_at: Moment(file.mark.made_at),
            bytes: file.bytes,
            missing: file.mark.missing,
            before_migration_of: file.mark.before_migration_of,
        }
    }
}

impl From<&BackupFailure> for FailureBody {
    fn from(failure: &BackupFailure) -> Self {
        Self { at: Moment(failure.at), why: failure.why.clone(), failures: failure.failures }
    }
}

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
        backups: status.files.iter().map(BackupBody::from).collect(),
        failure: status.failure.as_ref().map(FailureBody::from),
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
