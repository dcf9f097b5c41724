//! How pages look: on narrow and on wide screens, in the dark, and where nothing shall move.

use serde_json::json;

use super::seed::{PAGES, every_state};
use super::stage::Stage;

#[tokio::test]
async fn no_page_is_wider_than_the_screen() {
    let stage = every_state().await;
    let mut wide = Vec::new();
    for width in [360, 768, 2560] {
        stage.browser.viewport(width, 800).await;
        for path in PAGES {
            stage.open(path).await;
            stage.browser.until("document.readyState === 'complete'").await;
            let over = stage
                .browser
                .js("document.documentElement.scrollWidth <= innerWidth ? null : [...document.querySelectorAll('main *, header *, footer *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, pre, .log, nav')).slice(0, 4).map((one) => one.outerHTML.slice(0, 160))")
                .await;
            if !over.is_null() {
                wide.push(format!("{path} at {width}: {over}"));
            }
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[tokio::test]
async fn colours_follow_the_system_until_somebody_chooses() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let ground = "getComputedStyle(document.body).backgroundColor";
    stage.open("/").await;
    page.system_prefers("light").await;
    let light = page.js(ground).await;
    page.system_prefers("dark").await;
    let dark = page.js(ground).await;
    assert_ne!(light, dark);
    page.click("#theme-light").await;
    page.until(&format!("{ground} === {light}")).await;
    assert_eq!(page.js("document.getElementById('theme-light').getAttribute('aria-pressed')").await, "true");
    stage.open("/scans").await;
    assert_eq!(page.js(ground).await, light, "the choice is kept");
    page.click("#theme-system").await;
    page.until(&format!("{ground} === {dark}")).await;
    stage.all_quiet().await;
}

#[tokio::test]
async fn nothing_moves_for_who_wants_it_still() {
    let stage = Stage::start().await;
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    let moving = "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none' || !/^0s(, 0s)*$/.test(getComputedStyle(one).transitionDuration)).map((one) => one.outerHTML.slice(0, 100))";
    stage.browser.protocol("Emulation.setEmulatedMedia", &json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] })).await;
    assert_eq!(stage.browser.js(moving).await, json!([]));
    stage.cancel(id).await;
    stage.until_shown("cancelled").await;
}
