//! Tests of the scan list.

use serde_json::json;

use super::stage::Stage;

#[tokio::test]
async fn list_filters_are_in_the_address_and_bulk_actions_work() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    for target in ["hang-a.test", "hang-b.test"] {
        let id = stage.submit(target).await;
        stage.until_busy(id).await;
    }
    let done = stage.submit("1p.test").await;
    stage.until_status(done, "completed").await;
    stage.open("/scans").await;
    assert_eq!(page.js("document.querySelectorAll('#bulk button:disabled').length").await, 3, "nothing is chosen");
    page.fill("#filter-target", "hang").await;
    page.click("#filter-apply").await;
    page.until("new URLSearchParams(location.search).get('target') === 'hang'").await;
    assert_eq!(
        page.js("[...document.querySelectorAll('#scans tbody tr')].map((row) => row.id)").await,
        json!(["row-2", "row-1"])
    );
    let csv = page.js("document.getElementById('export-csv').href").await;
    assert!(csv.as_str().unwrap().contains("target=hang"), "{csv}");

    page.click("#pick-all").await;
    page.until("document.getElementById('pick-count').textContent === '2 selected'").await;
    assert_eq!(
        page.js("[...document.querySelectorAll('#bulk button:disabled')].map((button) => button.value)").await,
        json!(["rerun", "delete"]),
        "both run"
    );
    page.click("#bulk-cancel").await;
    assert!(page.text("#question").await.contains('2'));
    assert_eq!(page.js("document.querySelectorAll('#reached .target').length").await, 2);
    page.click("#confirm").await;
    page.until("location.pathname === '/scans'").await;
    page.until("['row-1', 'row-2'].every((id) => document.getElementById(id).dataset.status === 'cancelled')").await;

    page.click("#tab-cancelled").await;
    page.until(
        "location.search.includes('status=cancelled') && document.querySelectorAll('#scans tbody tr').length === 2",
    )
    .await;
    page.click("#pick-1").await;
    assert_eq!(
        page.js("[...document.querySelectorAll('#bulk button:disabled')].map((button) => button.value)").await,
        json!(["cancel"]),
        "it has ended"
    );
    page.click("#bulk-delete").await;
    page.click("#confirm").await;
    page.until("location.pathname === '/scans' && document.querySelector('#notice') !== null").await;
    assert_eq!(stage.get("/api/scans/1").await.status(), 404);
    assert_eq!(stage.status(2).await["status"], "cancelled");

    stage.open("/scans").await;
    page.click("#pick-3").await;
    page.click("#bulk-rerun").await;
    page.click("#confirm").await;
    page.until("document.getElementById('row-4')?.dataset.status === 'completed'").await;
    assert_eq!(stage.scan(4).await["rerun_of"], 3);
    stage.all_quiet().await;
}

#[tokio::test]
async fn list_selection_is_kept_while_states_change() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let running = stage.submit("hang.test").await;
    stage.until_busy(running).await;
    let done = stage.submit("1p.test").await;
    stage.until_status(done, "completed").await;
    stage.open("/scans").await;
    page.click(&format!("#pick-{done}")).await;
    stage.until_live().await;
    stage.cancel(running).await;
    page.until(&format!("document.getElementById('row-{running}').dataset.status === 'cancelled'")).await;
    assert_eq!(page.js(&format!("document.getElementById('pick-{done}').checked")).await, true);
    assert_eq!(page.text("#pick-count").await, "1 selected");
    // New scans appear at the top.
    let new = stage.submit("1p.test").await;
    page.until(&format!("document.querySelector('#scans tbody tr').id === 'row-{new}'")).await;
    assert_eq!(page.js(&format!("document.getElementById('pick-{done}').checked")).await, true);
    stage.until_status(new, "completed").await;
    stage.all_quiet().await;
}
