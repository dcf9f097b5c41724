//! Tests the appearance of pages: on narrow and wide screens, in the dark theme, and with reduced
//! motion.

use serde_json::{Value, json};

use super::seed::{PAGES, every_state};
use super::stage::Stage;
use crate::browser_driver::Browser;

/// The widths of screens, in CSS pixels: a phone, a tablet and a large screen.
pub(super) const WIDTHS: [u32; 3] = [360, 768, 2560];

#[tokio::test]
async fn no_page_is_wider_than_the_screen() {
    let stage = every_state().await;
    let mut wide = Vec::new();
    for width in WIDTHS {
        stage.browser.viewport(width, 800).await;
        for path in PAGES {
            stage.open(path).await;
            wide.extend(too_wide(&stage.browser).await.map(|over| format!("{path} at {width}: {over}")));
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

/// Returns the elements with which the open page is wider than the screen; `None` if it is not.
pub(super) async fn too_wide(page: &Browser) -> Option<Value> {
    page.until("document.readyState === 'complete'").await;
    let over = page
        .js("document.documentElement.scrollWidth <= innerWidth ? null : [...document.querySelectorAll('main *, header *, footer *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, pre, .log, nav')).slice(0, 4).map((one) => one.outerHTML.slice(0, 160))")
        .await;
    (!over.is_null()).then_some(over)
}

#[tokio::test]
async fn target_names_are_not_broken_and_buttons_are_visible() {
    let stage = every_state().await;
    let page = &stage.browser;
    let looked_at = "(() => {
        const oneLine = (link) => link.getClientRects().length === 1;
        const box = document.getElementById('recent').closest('.scroll');
        const right = box.getBoundingClientRect().right;
        return {
            broken: [...document.querySelectorAll('#recent .target')].filter((link) => !oneLine(link)).map((link) => link.textContent),
            cut: [...document.querySelectorAll('#recent button, #recent .badge')].filter((one) => one.getBoundingClientRect().right > right + 1).map((one) => one.textContent),
        };
    })()";
    for width in [1024, 1280, 1440, 1920] {
        page.viewport(width, 900).await;
        stage.open("/").await;
        assert_eq!(page.js(looked_at).await, json!({ "broken": [], "cut": [] }), "at {width}");
    }
    page.viewport(390, 800).await;
    for path in ["/", "/scans", "/scans/2", "/new"] {
        stage.open(path).await;
        let over = "[...document.querySelectorAll('main .badge, main .sev')].filter((badge) => badge.checkVisibility() && (badge.getBoundingClientRect().right > innerWidth || badge.scrollWidth > badge.clientWidth + 1)).map((badge) => badge.textContent)";
        assert_eq!(page.js(over).await, json!([]), "{path}");
    }
    // The "Apply" button keeps its position when a filter is set.
    page.viewport(1440, 900).await;
    let place = "(() => { const { x, y, width } = document.getElementById('filter-apply').getBoundingClientRect(); return [x, y, width]; })()";
    stage.open("/scans").await;
    let before = page.js(place).await;
    stage.open("/scans?target=example").await;
    assert_eq!(page.js(place).await, before);
}

#[tokio::test]
async fn colours_follow_the_system_until_the_user_chooses() {
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
async fn page_has_no_animation_with_reduced_motion() {
    let stage = Stage::start().await;
    let id = stage.submit("hang.test").await;
    stage.until_busy(id).await;
    stage.open(&format!("/scans/{id}")).await;
    stage.until_shown("running").await;
    let moving = "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).animationName !== 'none' || !/^0s(, 0s)*$/.test(getComputedStyle(one).transitionDuration)).map((one) => one.outerHTML.slice(0, 100))";
    stage
        .browser
        .protocol(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] }),
        )
        .await;
    assert_eq!(stage.browser.js(moving).await, json!([]));
    stage.cancel(id).await;
    stage.until_shown("cancelled").await;
}
