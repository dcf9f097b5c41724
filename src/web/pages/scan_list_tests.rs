use kastrel_actors::model::FieldError;

use super::*;
use crate::web::pages::layout::HOSTILE;
use crate::web::testing::{TestApp, catalogue, header_of, text_of};

impl ScanListPage {
    fn sample() -> Self {
        let pairs = [("key", "sample-key"), ("target", HOSTILE), ("max_workers", "many"), ("plugins", "whatweb"), ("overrides", HOSTILE)];
        let form = SubmitForm::parse(url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().as_bytes());
        let row = |id: u64, status: ScanStatus| ScanRow {
            id,
            url: format!("/scans/{id}"),
            badge: status.into(),
            target: clean(HOSTILE),
            mode: "passive",
            plugins: "10".into(),
            failed: (status == ScanStatus::Completed).then(|| "2 failed".into()),
            findings: "31".into(),
            severities: severities(SeverityCounts { critical: 1, low: 3, ..SeverityCounts::default() }),
            started: (status != ScanStatus::Pending).then(|| jiff::Timestamp::UNIX_EPOCH.into()),
            duration: "3 min 5 s".into(),
        };
        Self {
            layout: Layout::sample("Scans"),
            running: 2,
            waiting: 7,
            no_catalogue: "the scanner is still being asked for its plugins",
            form: FormView::new(&form, &[FieldError::new("target", HOSTILE), FieldError::new("max_workers", "expected 1 to 32")], Some(&catalogue())),
            filter: FilterView { target: clean(HOSTILE), statuses: vec![StatusOption { name: "failed", is_chosen: true }], is_set: true },
            summary: "43 scans match".into(),
            rows: ScanStatus::ALL.iter().zip(1..).map(|(status, id)| row(id, *status)).collect(),
            newer: Some("/?status=failed&target=a%26b".into()),
            older: Some("/?page=3".into()),
            position: "Page 2 of 3".into(),
        }
    }
}

#[test]
fn looks_as_it_should() {
    let html = ScanListPage::sample().render().unwrap();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}'));
    insta::assert_snapshot!(html);
}

#[tokio::test]
async fn an_empty_server_says_how_to_begin() {
    let app = TestApp::new();
    let response = app.get("/").await;
    assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (200, "text/html; charset=utf-8"));
    let policy = header_of(&response, "content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!((header_of(&response, "x-content-type-options"), header_of(&response, "cross-origin-opener-policy")), ("nosniff", "same-origin"));
    let html = text_of(response).await;
    assert!(html.contains("No scans yet") && html.contains("looking for the scanner") && !html.contains("<script") && !html.contains("style="), "{html}");
    app.load_catalogue();
    let html = text_of(app.get("/").await).await;
    assert!(html.contains("built-in scanner 0.1.0 — KAST was not found") && html.contains("tool not installed"));
}

#[tokio::test]
async fn a_form_leads_to_the_scans_page_with_a_confirmation() {
    let app = TestApp::new();
    let response = app.post_form("/scans", "key=k1&target=example.com&mode=passive&max_workers=5&parallel=on&format=html&priority=high&overrides=").await;
    assert_eq!((response.status().as_u16(), header_of(&response, "location")), (303, "/scans/1?submitted=1"));
    let html = text_of(app.get("/scans/1?submitted=1").await).await;
    assert!(html.contains("The scan is accepted."), "{html}");
    let list = text_of(app.get("/").await).await;
    assert!(list.contains("href=\"/scans/1\"") && list.contains("<strong>1</strong> waiting"), "{list}");
}

#[tokio::test]
async fn sending_a_form_twice_makes_one_scan_and_changing_it_a_second() {
    let app = TestApp::new();
    for (body, location) in [
        ("key=k1&target=example.com", "/scans/1?submitted=1"),
        ("key=k1&target=example.com", "/scans/1?submitted=1"),
        ("key=k1&target=example.org", "/scans/2?submitted=1"),
    ] {
        assert_eq!(header_of(&app.post_form("/scans", body).await, "location"), location, "{body}");
    }
}

#[tokio::test]
async fn what_is_wrong_comes_back_beside_its_field_with_everything_kept() {
    let app = TestApp::new();
    app.load_catalogue();
    let response =
        app.post_form("/scans", "key=k&target=10.0.0.1%22%3E&mode=both&plugins=zap&max_workers=lots&dry_run=on&overrides=no-value&priority=low").await;
    assert_eq!(response.status(), 422);
    let html = text_of(response).await;
    for kept in [
        r#"value="10.0.0.1&#34;&#62;""#,
        r#"value="lots""#,
        r#"name="dry_run" checked"#,
        r#"value="zap" checked"#,
        r#"<option value="both" selected>"#,
        r#"<option value="low" selected>"#,
        ">no-value</textarea>",
        r#"id="wrong-target""#,
        r#"id="wrong-max_workers""#,
        r#"id="wrong-overrides""#,
        "<details open>",
    ] {
        assert!(html.contains(kept), "{kept} is missing in {html}");
    }
    assert!(!html.contains(r#"name="parallel" checked"#));
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn the_form_takes_forms_only() {
    let response = TestApp::new().send("POST", "/scans", &[("content-type", "application/json"), ("sec-fetch-site", "same-origin")], "{}").await;
    assert_eq!((response.status().as_u16(), header_of(&response, "content-type")), (415, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn pages_are_linked_and_keep_the_filter() {
    let app = TestApp::new();
    for n in 0..5 {
        app.submitted(&format!("host{n}.example.com")).await;
    }
    let html = text_of(app.get("/?per_page=2&page=2&target=host").await).await;
    assert!(html.contains("5 scans match") && html.contains("Page 2 of 3"), "{html}");
    assert!(
        html.contains(r#"href="/?per_page=2&#38;target=host" rel="prev""#) && html.contains(r#"href="/?page=3&#38;per_page=2&#38;target=host" rel="next""#),
        "{html}"
    );
}
