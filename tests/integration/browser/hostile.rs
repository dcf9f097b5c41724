//! Tests that content of a scanned site never runs: not in a report, not in the view of a file, not
//! through the name of a file, not in the log.

use super::stage::Stage;

/// True if no foreign script has run in a page or in a frame of it. The dashboard's own script
/// stores the name of the time zone and nothing else.
const UNTOUCHED: &str =
    "document.title !== 'owned' && window.owned === undefined && document.cookie === 'kastrel-zone=Pacific/Auckland'";

#[tokio::test]
async fn nothing_of_it_runs_and_the_reports_own_style_works() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("hostile-2p.test").await;
    stage.until_status(id, "completed").await;
    for path in ["/", "/scans", "/scans/1", "/scans/1/log", "/scans/1/plugins/whatweb", "/scans/1/files"] {
        stage.open(path).await;
        assert_eq!(page.js(UNTOUCHED).await, true, "{path}");
    }
    stage.open("/scans/1/log").await;
    page.until("document.getElementById('log').textContent.includes('<script>document.title')").await;

    // Every file, in the dashboard's view and by itself.
    stage.open("/scans/1/files").await;
    let links = page.js("[...document.querySelectorAll('[data-file]')].map((link) => ({ name: link.textContent, href: link.href }))").await;
    let links = links.as_array().unwrap().clone();
    for name in [
        "<img src=x onerror=document.title='owned'>.txt",
        "\"><svg onload=document.title='owned'>.svg",
        "javascript:document.title='owned'.html",
        "a b#?%2e&.json",
        "owned.svg",
    ] {
        assert!(links.iter().any(|link| link["name"] == name), "{name}: {links:?}");
    }
    stage.all_quiet().await;
    for link in &links {
        let href = link["href"].as_str().unwrap();
        page.open(href).await;
        page.until("document.readyState === 'complete' && document.getElementById('content') !== null").await;
        assert_eq!(page.js(UNTOUCHED).await, true, "{link}");
        let shown = page.text("h1").await;
        assert_eq!(shown, link["name"].as_str().unwrap());
    }

    stage.open("/scans/1/report").await;
    page.client().enter_frame(0).await.unwrap();
    sandboxed(&stage).await;
    // A form in the report is not sent, even if a script outside the frame submits it.
    page.js("document.getElementById('form').submit()").await;
    page.client().enter_parent_frame().await.unwrap();
    assert_eq!(page.js(UNTOUCHED).await, true);
    assert!(page.js("document.title").await.as_str().unwrap().contains("Kastrel"));

    // The same if the report is opened alone.
    stage.open("/scans/1/attempts/1/files/kast_report.html").await;
    sandboxed(&stage).await;
    let said = page.said().await;
    assert!(said.iter().any(|said| said.text.contains("Blocked script execution")), "it did try: {said:?}");
    assert_eq!(stage.proxy.count().posts, 0);
    assert_eq!(stage.json("/api/scans").await["total"], 1);
}

/// Asserts that the report keeps its own style and cannot run scripts.
async fn sandboxed(stage: &Stage) {
    let page = &stage.browser;
    page.until("document.getElementById('own').complete").await;
    assert_eq!(page.text("#canary").await, "as written");
    assert_eq!(
        page.js("getComputedStyle(document.getElementById('styled')).color").await,
        "rgb(1, 2, 3)",
        "its style sheet works"
    );
    assert_eq!(
        page.js("getComputedStyle(document.getElementById('inline')).color").await,
        "rgb(4, 5, 6)",
        "and what it has in itself"
    );
    assert_eq!(page.js("document.getElementById('own').naturalWidth").await, 1, "its picture is there");
    assert_eq!(page.js("window.origin").await, "null", "it is nobody's page");
    for forbidden in ["document.cookie", "localStorage", "sessionStorage"] {
        let tried =
            format!("(() => {{ try {{ {forbidden}; return 'allowed'; }} catch (error) {{ return error.name; }} }})()");
        assert_eq!(page.js(&tried).await, "SecurityError", "{forbidden}");
    }
    let parent = "(() => { if (parent === window) return 'SecurityError'; try { parent.document.title; return 'allowed'; } catch (error) { return error.name; } })()";
    assert_eq!(page.js(parent).await, "SecurityError");
}
