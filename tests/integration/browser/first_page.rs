//! Tests the size of the first page.

use super::seed::every_state;

/// The limit for page, style, scripts and icon together, without the later requests for updates.
const MOST_BYTES: u64 = 100_000;

#[tokio::test]
async fn first_page_is_small_and_loads_from_its_own_server_only() {
    let stage = every_state().await;
    let page = &stage.browser;
    stage.open("/").await;
    page.until("performance.getEntriesByName('first-contentful-paint').length === 1").await;
    let loaded = page
        .js("[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource').filter((entry) => entry.initiatorType !== 'fetch')].map((entry) => ({ url: entry.name, bytes: entry.transferSize }))")
        .await;
    let icon = page.js("document.querySelector('link[rel=icon]').href").await;
    let icon = stage.text(icon.as_str().unwrap().strip_prefix(&stage.proxy.url()).unwrap()).await.len() as u64;
    let loaded: Vec<(&str, u64)> = loaded
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["url"].as_str().unwrap(), one["bytes"].as_u64().unwrap()))
        .collect();
    assert!(loaded.len() >= 4 && loaded.iter().all(|(_, bytes)| *bytes > 0), "page, style and scripts: {loaded:?}");
    assert!(loaded.iter().all(|(url, _)| url.starts_with(&stage.proxy.url())), "{loaded:?}");
    let sum = icon + loaded.iter().map(|(_, bytes)| bytes).sum::<u64>();
    assert!(sum < MOST_BYTES, "{sum} bytes: {loaded:?} and an icon of {icon}");
}
