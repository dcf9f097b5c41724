//! The two representations of a [`Problem`]: `application/problem+json` for programs and an HTML
//! page for people.

use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use kastrel_actors::model::TraceContext;

use super::error::{MOST_DETAIL, MOST_NAME, Problem, ProblemKind, is_for_programs, shortened};
use super::pages::error::ErrorPage;
use super::pages::reader::Reader;
use crate::api_types::ProblemBody;
use crate::sentence::sentence;

/// Renders a problem for the clients of `path`: JSON for programs, a page for people.
pub(crate) fn render(problem: &Problem, path: &str, trace: &TraceContext, reader: &Reader<'_>) -> Response {
    let body = problem_body(problem, path, trace);
    let status = problem.status();
    let mut response = if is_for_programs(path) {
        let mut response = (status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    } else {
        let title = problem.kind.about().2;
        (status, ErrorPage::new(status.as_u16(), title, &body.detail, body.trace_id, reader, path)).into_response()
    };
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.kind == ProblemKind::Unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if problem.kind == ProblemKind::SlowBody {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Renders a problem as JSON, and writes a failure of the server to the log.
pub(crate) fn problem_body(problem: &Problem, path: &str, trace: &TraceContext) -> ProblemBody {
    let (status, slug, title) = problem.kind.about();
    let trace_id = trace.trace_id();
    problem.log(path, &trace_id);
    // The response is small, however large the request was.
    let (detail, instance) = (shortened(&problem.detail, MOST_DETAIL), shortened(path, MOST_NAME));
    // A detail that begins with the name of a field keeps that name as it is.
    let detail = if problem.errors.is_empty() { sentence(&detail) } else { detail.into_owned() };
    ProblemBody {
        kind: format!("urn:kastrel:problem:{slug}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        instance: instance.into_owned(),
        trace_id,
        errors: problem.errors.clone(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use crate::web::testing::{TestApp, header_of, json_of, text_of};

    #[tokio::test]
    async fn unknown_paths_give_json_to_programs_and_a_page_to_people() {
        let app = TestApp::new();
        let api = app.get("/api/nothing").await;
        assert_eq!(
            (api.status(), header_of(&api, "content-type")),
            (StatusCode::NOT_FOUND, "application/problem+json")
        );
        let body = json_of(api).await;
        assert_eq!((body["status"].as_u64(), body["instance"].as_str()), (Some(404), Some("/api/nothing")));
        assert_eq!(body["trace_id"].as_str().map(str::len), Some(32));
        let page = app.get("/nothing").await;
        assert_eq!(
            (page.status(), header_of(&page, "content-type")),
            (StatusCode::NOT_FOUND, "text/html; charset=utf-8")
        );
    }

    #[tokio::test]
    async fn an_error_is_small_however_large_the_request_was() {
        let app = TestApp::new();
        let long = "\u{1f600}<&\"".repeat(10_000);
        let encoded: String = url::form_urlencoded::byte_serialize(long.as_bytes()).take(5_000).collect();
        let many = format!("status={encoded}&") + "page=x&".repeat(5000).as_str();
        let body = serde_json::json!({ "target": long, long.as_str(): 1, "plugins": vec![long.as_str(); 3], "overrides": vec![long.as_str(); 3] }).to_string();
        let origin = format!("http://{}", "x".repeat(10_000));
        let json = [("content-type", "application/json")];
        for (method, path, headers, body) in [
            ("GET", format!("/api/{encoded}"), &[][..], ""),
            ("GET", format!("/{encoded}"), &[], ""),
            ("GET", format!("/scans/1/{encoded}"), &[], ""),
            ("GET", format!("/api/scans?{many}"), &[], ""),
            ("POST", "/api/scans".to_owned(), &json, body.as_str()),
            ("POST", "/api/queue/pause".to_owned(), &json, body.as_str()),
            ("POST", "/scans".to_owned(), &[("origin", origin.as_str())], ""),
        ] {
            let response = app.send(method, &path, headers, body).await;
            assert!(response.status().is_client_error(), "{} {}", response.status(), &path[..20]);
            let headers: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            let size = text_of(response).await.len();
            assert!(
                headers < 2000 && size < 50_000,
                "{method} {}: {headers} and {size} bytes",
                &path[..20.min(path.len())]
            );
        }
    }

    #[tokio::test]
    async fn the_wrong_method_is_a_problem_that_names_the_right_one() {
        let response = TestApp::new().send("DELETE", "/api/scans", &[], "").await;
        assert_eq!(
            (response.status(), header_of(&response, "content-type")),
            (StatusCode::METHOD_NOT_ALLOWED, "application/problem+json")
        );
        assert!(header_of(&response, "allow").contains("POST"), "{response:?}");
        let hot = TestApp::new().send("DELETE", "/api/scans/1/status", &[], "").await;
        assert_eq!(
            (hot.status(), header_of(&hot, "content-type")),
            (StatusCode::METHOD_NOT_ALLOWED, "application/problem+json")
        );
    }

    #[tokio::test]
    async fn causes_of_a_failure_stay_in_the_log_under_the_callers_trace() {
        let app = TestApp::new();
        app.store.fail_with("secret-host:8000 refused");
        let response = app
            .send(
                "GET",
                "/api/scans/7",
                &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")],
                "",
            )
            .await;
        assert_eq!((response.status(), header_of(&response, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "5"));
        let body = json_of(response).await;
        assert_eq!(body["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}
