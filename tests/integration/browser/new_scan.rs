//! Tests of the form for new scans.

use super::stage::Stage;

#[tokio::test]
async fn a_wrong_field_is_named_and_everything_typed_stays() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    stage.open("/new").await;
    page.fill("#field-target", "two words").await;
    page.until("document.querySelector('#preview-lines .badge.is-failed') !== null").await;
    page.fill("#field-max_workers", "99").await;
    page.fill("#field-overrides", "nonsense").await;
    page.click("#field-verbose").await;
    page.click("#submit").await;
    page.until("document.getElementById('form-errors') !== null && document.activeElement.id === 'form-errors'").await;
    for field in ["target", "max_workers", "overrides"] {
        let wrong = page.text(&format!("#wrong-{field}")).await;
        assert!(!wrong.is_empty(), "{field}");
        assert_eq!(
            page.js(&format!("document.getElementById('field-{field}').getAttribute('aria-invalid')")).await,
            "true"
        );
    }
    let kept = page
        .js("['target', 'max_workers', 'overrides'].map((name) => document.getElementById('field-' + name).value)")
        .await;
    assert_eq!(kept, serde_json::json!(["two words", "99", "nonsense"]));
    assert_eq!(page.js("document.getElementById('field-verbose').checked").await, true);
    // The error summary links to the field.
    page.click("#form-errors a[href='#field-overrides']").await;
    page.until("location.hash === '#field-overrides'").await;
    assert_eq!(stage.json("/api/scans").await["total"], 0);
    stage.all_quiet().await;
}

#[tokio::test]
async fn active_scan_requires_confirmation() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    stage.open("/new").await;
    page.fill("#field-target", "1p.test").await;
    assert_eq!(page.js("document.getElementById('field-confirm').checkVisibility()").await, false);
    page.click("#mode-both").await;
    assert_eq!(page.js("document.getElementById('field-confirm').checkVisibility()").await, true);
    page.click("#submit").await;
    assert!(page.text("#wrong-confirm").await.len() > 5);
    assert_eq!(stage.json("/api/scans").await["total"], 0);
    page.click("#field-confirm").await;
    page.click("#submit").await;
    page.until("location.pathname === '/scans/1'").await;
    assert_eq!(stage.until_status(1, "completed").await["mode"], "both");
}

#[tokio::test]
async fn choosing_a_plugin_also_chooses_its_dependencies() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    // Before the scanner has answered, the page has no plugins to choose from.
    stage.until_status(stage.submit("1p.test").await, "completed").await;
    stage.open("/new").await;
    page.click("#plugin-script_detection").await;
    let chosen = "[...document.querySelectorAll('input[name=plugins]:checked')].map((box) => box.value)";
    assert_eq!(page.js(chosen).await, serde_json::json!(["whatweb", "script_detection"]));
    page.click("#plugin-whatweb").await;
    assert_eq!(page.js(chosen).await, serde_json::json!([]), "what needs it goes with it");
    page.click("#plugins-all").await;
    assert_eq!(page.js(&format!("{chosen}.length")).await, 6);
    page.click("#plugins-none").await;
    assert_eq!(page.js(&format!("{chosen}.length")).await, 0);
}

#[tokio::test]
async fn many_targets_are_previewed_line_by_line_and_started_together() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    stage.open("/new").await;
    page.fill("#field-target", "1p.test\n# a comment\nnot a target\n2p.test\n1p.test").await;
    page.until("document.querySelectorAll('#preview-lines [data-line]').length === 5").await;
    let fates =
        page.js("[...document.querySelectorAll('#preview-lines .badge')].map((badge) => badge.textContent)").await;
    assert_eq!(fates, serde_json::json!(["OK", "Comment", "Invalid", "OK", "Duplicate"]));
    page.click("#start-all").await;
    page.until("location.pathname === '/scans' && document.querySelectorAll('#scans tbody tr').length === 2").await;
    assert_eq!(stage.json("/api/scans").await["total"], 2);
    // The list shows the end of the scans without a reload.
    page.until("[...document.querySelectorAll('#scans tbody tr')].every((row) => row.dataset.status === 'completed')")
        .await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn enter_adds_a_line_and_ctrl_enter_submits() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    stage.open("/new").await;
    assert!(page.text("#target-hint").await.contains("Ctrl+Enter starts."));
    page.fill("#field-target", "1p.test\n").await;
    assert_eq!(
        page.js("[location.pathname, document.getElementById('field-target').value]").await,
        serde_json::json!(["/new", "1p.test\n"])
    );
    assert_eq!(stage.json("/api/scans").await["total"], 0);
    let field = page.client().find(fantoccini::Locator::Css("#field-target")).await.unwrap();
    field.send_keys(&format!("{}{}", fantoccini::key::Key::Control, fantoccini::key::Key::Enter)).await.unwrap();
    page.until("location.pathname === '/scans/1'").await;
    stage.all_quiet().await;
}
