//! `GET /api/scans/export.csv` and `.json`: export all scans that match a list's filter. The server
//! reads and sends the scans page by page.

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use kastrel_actors::model::{DomainEvent, ListQuery, RequestContext, ScanId, ScanSnapshot};
use kastrel_actors::service::SnapshotPage;

use crate::api_types::{ExportItem, ProblemBody, ScanListParams, ScanSummary, UnreadableScan, error_of, seconds};
use crate::exports::safe_cell;
use crate::web::error::{Problem, ProblemKind};
use crate::web::query::ScanListQuery;
use crate::web::state::Web;
use crate::web::text::clean;
use crate::web::viewer::Viewer;

/// How many scans are in memory at once.
const CHUNK: usize = 200;

const COLUMNS: &[&str] = &[
    "scan_id",
    "status",
    "target",
    "mode",
    "priority",
    "dry_run",
    "created_at",
    "started_at",
    "completed_at",
    "duration_seconds",
    "plugins",
    "plugins_failed",
    "findings",
    "error",
    "rerun_of",
    "coverage",
    "checks_ran",
    "checks_total",
    "gaps",
    "issues",
    "critical",
    "high",
    "medium",
    "low",
    "informational",
    "unknown",
    // The target with its host in Unicode; empty if that equals `target`.
    "target_unicode",
];

/// The UTF-8 byte order mark. Some spreadsheets assume another encoding without it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The status of a row that cannot be read, in an export.
const UNREADABLE: &str = "unreadable";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Json,
}

/// Exports scans as CSV, in UTF-8 with a byte order mark and quotes around every cell. No cell is a
/// formula to a spreadsheet, not even to one that splits cells at semicolons.
#[utoipa::path(
    get, path = "/api/scans/export.csv", tag = "scans", params(ScanListParams),
    responses(
        (status = 200, description = "The scans, one per line below a header line", body = String, content_type = "text/csv"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export_csv(
    State(web): State<Web>,
    viewer: Viewer,
    method: Method,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    export(web, viewer.context, &method, query.as_deref(), Format::Csv).await
}

/// Exports scans as a JSON array. Each item has the fields of a scan in the list.
#[utoipa::path(
    get, path = "/api/scans/export.json", tag = "scans", params(ScanListParams),
    responses(
        (status = 200, description = "The scans", body = Vec<ExportItem>, content_type = "application/json"),
        (status = 400, description = "Invalid parameters, each listed", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Database not responding", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn export_json(
    State(web): State<Web>,
    viewer: Viewer,
    method: Method,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    export(web, viewer.context, &method, query.as_deref(), Format::Json).await
}

/// The state of a running export.
struct Export {
    web: Web,
    context: RequestContext,
    /// The query for the next page; `None` after the last page.
    query: Option<ScanListQuery>,
    format: Format,
    is_first: bool,
}

async fn export(
    web: Web,
    context: RequestContext,
    method: &Method,
    query: Option<&str>,
    format: Format,
) -> Result<Response, Problem> {
    let (mut query, mut errors) = ScanListQuery::parse(query);
    errors.extend(query.take_unknown_project(web.access(), &context).await?);
    if !errors.is_empty() {
        return Err(Problem::fields(ProblemKind::InvalidQuery, errors));
    }
    let mut export =
        Export { web, context, query: Some(query.without_place().in_complete_order()), format, is_first: true };
    // Read the first page before the response starts, so that an error still gets an error status.
    let first = export.next().await?;
    export.web.record_download(&export.context, method, DomainEvent::ScansExported, None).await?;
    let chunks = stream::once(async move { Ok::<_, Problem>(first.unwrap_or_default()) });
    let rest = stream::unfold(export, async |mut export| match export.next().await {
        Ok(Some(chunk)) => Some((Ok(chunk), export)),
        Ok(None) => None,
        Err(problem) => {
            export.query = None;
            export.is_first = false;
            Some((Err(problem), export))
        }
    });
    // A stream that breaks midway must not look like a complete one.
    let body = Body::from_stream(futures_util::StreamExt::map(futures_util::StreamExt::chain(chunks, rest), |chunk| {
        chunk.map_err(|_| std::io::Error::other("the store did not answer in the middle of an export"))
    }));
    let mut response = body.into_response();
    let (kind, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"kastrel-scans.csv\""),
        Format::Json => ("application/json", "attachment; filename=\"kastrel-scans.json\""),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let store = ListQuery { limit: CHUNK, offset: 0, count: false, ..query.for_store() };
        let page = self.web.scans().list(&self.context, store).await?;
        // A store that does not support the requested order returns the page in another order:
        // continue in that order.
        let query = if page.order == query.order { query } else { query.newest_first() };
        self.query = page.next.as_ref().map(|next| query.next_page(next));
        let is_last = self.query.is_none();
        let bytes = match self.format {
            Format::Csv => csv_rows(&page, self.is_first)?,
            Format::Json => json_rows(&page, self.is_first, is_last)?,
        };
        self.is_first &= page.scans.is_empty() && page.unreadable.is_empty() && self.format == Format::Json;
        Ok(Some(bytes.into()))
    }
}

fn json_rows(page: &SnapshotPage, is_first: bool, is_last: bool) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let begin = |bytes: &mut Vec<u8>| {
        let is_begin = is_first && bytes.is_empty();
        bytes.extend_from_slice(if is_begin { b"[\n" } else { b",\n" });
    };
    for scan in &page.scans {
        begin(&mut bytes);
        let item = ExportItem::Scan(Box::new(ScanSummary::from(&**scan)));
        serde_json::to_writer(&mut bytes, &item).map_err(Problem::internal)?;
    }
    for id in &page.unreadable {
        begin(&mut bytes);
        let item = ExportItem::Unreadable(UnreadableScan { scan_id: id.0, unreadable: true });
        serde_json::to_writer(&mut bytes, &item).map_err(Problem::internal)?;
    }
    if is_last {
        bytes.extend_from_slice(if is_first && bytes.is_empty() { b"[]\n" } else { b"\n]\n" });
    }
    Ok(bytes)
}

fn csv_rows(page: &SnapshotPage, with_names: bool) -> Result<Vec<u8>, Problem> {
    // Without a byte order mark, some spreadsheets assume another encoding than UTF-8. Quotes
    // around every cell hold for any separator.
    let begin = if with_names { BYTE_ORDER_MARK.as_bytes().to_vec() } else { Vec::new() };
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(begin);
    if with_names {
        writer.write_record(COLUMNS).map_err(Problem::internal)?;
    }
    for scan in &page.scans {
        writer.write_record(cells(scan).iter().map(|cell| safe_cell(cell))).map_err(Problem::internal)?;
    }
    for id in &page.unreadable {
        writer.write_record(unreadable_cells(*id)).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(|error| Problem::internal(error.into_error()))
}

/// The CSV row of a scan whose row in the database cannot be read.
fn unreadable_cells(id: ScanId) -> [String; COLUMNS.len()] {
    std::array::from_fn(|at| match COLUMNS[at] {
        "scan_id" => id.to_string(),
        "status" => UNREADABLE.to_owned(),
        "error" => "the row cannot be read; see the server's log".to_owned(),
        _ => String::new(),
    })
}

fn cells(scan: &ScanSnapshot) -> [String; COLUMNS.len()] {
    let (record, overview) = (&scan.record, scan.overview());
    let (coverage, issues) = (&overview.coverage, overview.severities);
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| format!("{at:.0}")).unwrap_or_default();
    [
        record.id.to_string(),
        record.status().to_string(),
        record.request.target.to_string(),
        record.request.options.mode.to_string(),
        record.request.options.priority.to_string(),
        record.request.options.dry_run.to_string(),
        moment(Some(record.created_at)),
        moment(record.started_at),
        moment(record.ended_at()),
        overview.took().map(|took| seconds(took).to_string()).unwrap_or_default(),
        overview.plugins.to_string(),
        overview.failed.to_string(),
        overview.items.to_string(),
        clean(error_of(&record.state).unwrap_or_default()),
        record.rerun_of.map(|id| id.to_string()).unwrap_or_default(),
        coverage.label(),
        coverage.ran().to_string(),
        coverage.total().to_string(),
        coverage.gaps().to_string(),
        issues.total().to_string(),
        issues.critical.to_string(),
        issues.high.to_string(),
        issues.medium.to_string(),
        issues.low.to_string(),
        issues.informational.to_string(),
        issues.unknown.to_string(),
        clean(&record.request.target.unicode().unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{Failure, FailureKind, Resolution};

    use super::*;
    use crate::exports::begins_formula;
    use crate::web::testing::{TestApp, header_of, json_of, text_of};

    /// Reads the text as a spreadsheet does that splits cells at `separator`.
    fn cells_of(text: &str, separator: u8) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        reader.records().flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    #[tokio::test]
    async fn csv_is_safe_for_commas_and_semicolons_and_has_a_byte_order_mark() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        app.finish(
            &scan,
            Resolution::Fail(Failure::new(FailureKind::Crashed, "x;=cmd|' /C calc'!A1, +1\n@y;\"=2\"; \u{e4}")),
        )
        .await;
        let text = text_of(app.get("/api/scans/export.csv").await).await;
        assert!(text.starts_with("\u{feff}\"scan_id\",\"status\","), "{text}");
        assert_eq!(text.matches('\u{feff}').count(), 1);
        for separator in *b",;\t|" {
            for cell in cells_of(&text, separator) {
                let first = cell.chars().find(|c| !matches!(c, ' ' | '"' | '\u{feff}'));
                assert!(!first.is_some_and(begins_formula), "{:?}: {cell:?}", char::from(separator));
            }
        }
        assert!(cells_of(&text, b',').iter().any(|cell| cell.ends_with("\u{e4}")));
    }

    #[tokio::test]
    async fn csv_has_all_matching_scans_and_no_formula() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        app.finish(&scan, Resolution::Fail(Failure::new(FailureKind::Crashed, "=cmd|' /C calc'!A1, \"quoted\"\nnext")))
            .await;
        app.submitted("example.org").await;
        let response = app.get("/api/scans/export.csv?status=failed").await;
        assert_eq!(
            (response.status().as_u16(), header_of(&response, "content-type")),
            (200, "text/csv; charset=utf-8")
        );
        let text = text_of(response).await;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap().len(), COLUMNS.len());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            (&rows[0][0], &rows[0][2], &rows[0][13]),
            ("1", "example.com", "'=cmd|' /C calc'!A1, \"quoted\"\nnext")
        );
        assert_eq!(app.get("/api/scans/export.csv?status=done").await.status(), 400);
    }

    #[tokio::test]
    async fn internationalised_target_is_exported_in_both_forms() {
        let app = TestApp::new();
        app.submitted("b\u{fc}cher.example").await;
        app.submitted("example.org").await;
        let text = text_of(app.get("/api/scans/export.csv?sort=oldest").await).await;
        let at = |name: &str| COLUMNS.iter().position(|column| *column == name).unwrap();
        let forms: Vec<(String, String)> = csv::Reader::from_reader(text.as_bytes())
            .records()
            .map(Result::unwrap)
            .map(|row| (row[at("target")].to_owned(), row[at("target_unicode")].to_owned()))
            .collect();
        let expected = [("xn--bcher-kva.example", "b\u{fc}cher.example"), ("example.org", "")];
        assert_eq!(forms, expected.map(|(ascii, unicode)| (ascii.to_owned(), unicode.to_owned())));
    }

    #[tokio::test]
    async fn json_export_is_valid_for_any_number_of_scans() {
        let app = TestApp::new();
        assert_eq!(json_of(app.get("/api/scans/export.json").await).await, serde_json::json!([]));
        for _ in 0..(CHUNK + 3) {
            app.submitted("example.com").await;
        }
        let all = json_of(app.get("/api/scans/export.json?sort=oldest").await).await;
        let ids: Vec<u64> = all.as_array().unwrap().iter().map(|scan| scan["scan_id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (1..=(CHUNK as u64 + 3)).collect::<Vec<_>>());
        assert_eq!(text_of(app.get("/api/scans/export.csv").await).await.lines().count(), CHUNK + 4);
        let by_duration = text_of(app.get("/api/scans/export.csv?sort=longest").await).await;
        assert_eq!(by_duration.lines().count(), CHUNK + 4, "an order leaves nothing out");
    }
}
