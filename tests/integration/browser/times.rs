//! Tests of the time format: 24 hours, in the viewer's zone or in UTC, with the same result from
//! the server and from the script.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kastrel::human_time;
use serde_json::json;

use super::stage::Stage;
use crate::browser_driver::Browser;
use crate::product::app::TestApp;

/// The zone of the browser in these tests.
const HERE: &str = "Pacific/Auckland";

#[tokio::test]
async fn times_are_in_the_viewers_zone_with_the_exact_time_on_hover() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("1p.test").await;
    let scan = stage.until_status(id, "completed").await;
    let created: Timestamp = scan["created_at"].as_str().unwrap().parse().unwrap();
    let there = created.in_tz(HERE).unwrap().strftime("%H:%M:%S").to_string();
    let time = "(() => { const time = document.querySelector('.sub time'); return [time.dateTime, time.textContent, time.title]; })()";
    // The first page arrives in UTC and the script converts it; the next one arrives in the zone
    // that the browser sent.
    for visit in 1..=2 {
        stage.open(&format!("/scans/{id}")).await;
        page.until(&format!("document.getElementById('zone').textContent === '{HERE}'")).await;
        let shown = page.js(time).await;
        assert_eq!(
            (shown[0].as_str().unwrap(), shown[1].as_str().unwrap()),
            (format!("{created:.0}").as_str(), there.as_str()),
            "visit {visit}"
        );
        assert!(shown[2].as_str().unwrap().contains(&created.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()), "{shown}");
    }
    assert!(
        stage.browser.js("document.querySelectorAll('#zone').length === 1").await == true,
        "the zone is named once"
    );
    // The server writes the same text.
    let written = page.js(&format!("fetch('/scans/{id}').then((answer) => answer.text()).then((text) => new DOMParser().parseFromString(text, 'text/html').querySelector('.sub time').textContent)")).await;
    assert_eq!(written, there);

    page.click("#zone-utc").await;
    page.until("document.getElementById('zone').textContent === 'UTC'").await;
    assert_eq!(page.js(time).await[1], created.strftime("%H:%M:%S").to_string());
    page.click("#zone-local").await;
    page.until(&format!("document.getElementById('zone').textContent === '{HERE}'")).await;
    assert_eq!(page.js(time).await[1], there);
    stage.all_quiet().await;
}

#[tokio::test]
async fn script_formats_times_as_the_server_does() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    // The browser's clock stands still, so that the page's time is the server's time at the moment
    // of the response.
    let still = "{ const now = Date.now(); Date.now = () => now; }";
    page.protocol("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": still })).await;
    stage.open("/settings").await;
    page.until(&format!("document.getElementById('zone').textContent === '{HERE}'")).await;
    let now: Timestamp = page.js("document.body.dataset.now").await.as_str().unwrap().parse().unwrap();
    let zone = TimeZone::get(HERE).unwrap();
    for ago in [
        0,
        500,
        1_999,
        2_000,
        59_900,
        60_000,
        3_599_000,
        3_600_000,
        43_000_000,
        86_399_000,
        86_400_000,
        10 * 86_400_000,
        80 * 86_400_000,
        400 * 86_400_000,
        -20_000,
    ] {
        let at = now - SignedDuration::from_millis(ago);
        let drawn = page
            .js(&format!(
                "(() => {{
                    const main = document.getElementById('main');
                    main.innerHTML = '<time datetime=\"{at}\">?</time><i data-ago=\"{at}\">?</i><b data-since=\"{at}\">?</b>';
                    document.dispatchEvent(new Event('kastrel:changed'));
                    return ['time', 'i', 'b'].map((name) => main.querySelector(name).textContent);
                }})()"
            ))
            .await;
        let expected = json!([
            human_time::clock(at, now, &zone),
            human_time::relative(at, now),
            human_time::duration(now.duration_since(at))
        ]);
        assert_eq!(drawn, expected, "{ago} ms ago");
    }
    stage.all_quiet().await;
}

#[tokio::test]
async fn filter_days_are_days_in_the_viewers_zone() {
    let stage = Stage::start().await;
    let page = &stage.browser;
    let id = stage.submit("1p.test").await;
    let created: Timestamp = stage.until_status(id, "completed").await["created_at"].as_str().unwrap().parse().unwrap();
    let day = created.in_tz(HERE).unwrap().date();
    stage.open("/scans").await;
    page.until(&format!("document.getElementById('filter-zone').value === '{HERE}'")).await;
    for (day, rows) in [(day, 1), (day.yesterday().unwrap(), 0), (day.tomorrow().unwrap(), 0)] {
        stage.open("/scans").await;
        page.js(&format!(
            "['from', 'to'].forEach((name) => (document.getElementById('filter-' + name).value = '{day}'))"
        ))
        .await;
        page.click("#filter-apply").await;
        page.until("location.search.includes('from=')").await;
        page.until(&format!(
            "document.querySelectorAll('#scans tbody tr').length === {rows} && document.readyState === 'complete'"
        ))
        .await;
    }
    stage.all_quiet().await;
}

#[tokio::test]
async fn times_without_script_are_in_utc_and_the_page_says_so() {
    let stage = Stage::of(Browser::without_script().await, TestApp::start().await).await;
    let page = &stage.browser;
    let id = stage.submit("1p.test").await;
    let scan = stage.until_status(id, "completed").await;
    let created: Timestamp = scan["created_at"].as_str().unwrap().parse().unwrap();
    stage.open(&format!("/scans/{id}")).await;
    assert_eq!(page.text("#zone").await, "UTC");
    assert_eq!(page.text(".sub time").await, created.strftime("%H:%M:%S").to_string());
}
