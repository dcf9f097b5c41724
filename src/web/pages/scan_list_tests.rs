use super::*;
use crate::web::pages::layout::HOSTILE;
use crate::web::testing::{TestApp, catalogue, header_of, text_of};

impl ScanListPage {
    fn sample() -> Self {
        let (query, errors) = ScanListQuery::parse(Some(
            "status=failed&target=%3Cscript%3E&mode=both&plugin=zap&from=2026-11-01&sort=longest&before=x",
        ));
        let tab = |status: ScanStatus| Tab {
            name: status.as_str(),
            label: state_word(status),
            count: Some("7".into()),
            url: format!("/scans?status={status}"),
            is_here: status == ScanStatus::Failed,
        };
        Self {
            layout: Layout::sample("Scans"),
            live: Live::sample(),
            switcher: None,
            notice: notice_of("done=delete&n=3&not=2"),
            order_notice: Some(TOO_MANY_TARGETS),
            tabs: ScanStatus::ALL.iter().map(|status| tab(*status)).collect(),
            filter: FilterView::new(&query, &Zone::named("Europe/Berlin").unwrap(), Some(&catalogue())),
            clear_url: "/scans".into(),
            wrong: errors.iter().map(wrong).chain([clean(HOSTILE)]).collect(),
            headings: headings(&query),
            rows: ScanStatus::ALL.iter().zip(1..).map(|(status, id)| ScanRow::sample(id, *status)).collect(),
            unreadable: unreadable(&[ScanId(7), ScanId(9)]),
            summary: "5 scans on this page".into(),
            search_on: Some("/scans?target=a%26b&before=7".into()),
            search_on_label: "Search older scans",
            first: Some("/scans".into()),
            newer: Some("/scans?after=9&back=1".into()),
            older: Some("/scans?before=5".into()),
            csv_url: "/api/scans/export.csv?status=failed".into(),
            json_url: "/api/scans/export.json?status=failed".into(),
            is_narrowed: true,
            has_open: true,
            has_ended: true,
            has_deletable: true,
            has_boxes: true,
            back: "/scans?status=failed&target=%3Cscript%3E".into(),
        }
    }
}

#[test]
fn scan_list_page_matches_snapshot() {
    let html = ScanListPage::sample().render().unwrap();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}'));
    insta::assert_snapshot!(html);
}

fn link(html: &str, id: &str) -> Option<String> {
    let tag = html.split("<a ").find(|tag| {
        tag.contains(&format!("id=\"{id}\"")) && tag.find('>').is_some_and(|end| tag[..end].contains(id))
    })?;
    Some(tag.split("href=\"").nth(1)?.split('"').next()?.replace("&#38;", "&"))
}

fn rows(html: &str) -> Vec<u64> {
    html.split("<tr id=\"row-").skip(1).map(|row| row.split('"').next().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn list_pages_go_forward_and_back_in_the_same_order() {
    let app = TestApp::new();
    for n in 0..7 {
        app.submitted(&format!("host{n}.example.com")).await;
    }
    let first = text_of(app.get("/scans?per_page=3&target=host").await).await;
    assert_eq!((rows(&first), link(&first, "page-previous")), (vec![7, 6, 5], None));
    let second = text_of(app.get(&link(&first, "page-next").unwrap()).await).await;
    assert_eq!(rows(&second), [4, 3, 2]);
    let third = text_of(app.get(&link(&second, "page-next").unwrap()).await).await;
    assert_eq!((rows(&third), link(&third, "page-next")), (vec![1], None));
    let back = text_of(app.get(&link(&third, "page-previous").unwrap()).await).await;
    assert_eq!(rows(&back), [4, 3, 2]);
    let start = text_of(app.get(&link(&back, "page-previous").unwrap()).await).await;
    assert_eq!((rows(&start), link(&start, "page-previous")), (vec![7, 6, 5], None));
    assert_eq!(rows(&text_of(app.get(&link(&start, "page-next").unwrap()).await).await), [4, 3, 2]);
    let oldest = text_of(app.get("/scans?sort=oldest&per_page=5").await).await;
    assert_eq!(rows(&oldest), [1, 2, 3, 4, 5]);
    assert_eq!(rows(&text_of(app.get(&link(&oldest, "page-next").unwrap()).await).await), [6, 7]);
}

#[tokio::test]
async fn partial_search_continues_in_its_direction() {
    let app = TestApp::new();
    for n in 1..=9 {
        app.submitted(if n % 8 == 1 { "rare.example.com" } else { "other.example.com" }).await;
    }
    app.store.look_at_most(3);
    let page = async |url: &str| text_of(app.get(url).await).await;
    let first = page("/scans?target=rare&per_page=5").await;
    assert_eq!((rows(&first), link(&first, "page-next"), link(&first, "page-previous")), (vec![9], None, None));
    let second = page(&link(&first, "page-search-on").unwrap()).await;
    assert!(
        rows(&second).is_empty() && second.contains("No match yet.") && second.contains("Search older scans"),
        "{second}"
    );
    let third = page(&link(&second, "page-search-on").unwrap()).await;
    assert_eq!((rows(&third), link(&third, "page-search-on")), (vec![1], None));
    // The way back crosses the same stretch without matches to the beginning.
    let back = page(&link(&third, "page-previous").unwrap()).await;
    assert!(rows(&back).is_empty() && back.contains("Search newer scans"), "{back}");
    assert_eq!(rows(&page(&link(&back, "page-next").unwrap()).await), [1], "and can be turned where nothing is");
    let mut url = link(&back, "page-search-on").unwrap();
    let mut shown = page(&url).await;
    while rows(&shown).is_empty() {
        url = link(&shown, "page-search-on").unwrap();
        shown = page(&url).await;
    }
    assert_eq!(rows(&shown), [9]);
    let empty = link(&second, "page-previous").unwrap();
    assert_eq!(rows(&page(&empty).await), [9], "a page without rows has a way back");
}

#[tokio::test]
async fn order_that_hides_scans_shows_a_notice() {
    let app = TestApp::new();
    app.running("b.example.com").await;
    app.submitted("a.example.com").await;
    let running = text_of(app.get("/scans?status=running&sort=longest").await).await;
    assert!(
        rows(&running) == [1] && running.contains(NONE_HAS_ENDED) && !running.contains("sort=findings"),
        "{running}"
    );
    assert!(
        !running.contains(r#"value="longest""#) && running.contains(r#"value="target""#),
        "what has no use is not offered: {running}"
    );
    let all = text_of(app.get("/scans?sort=longest").await).await;
    assert!(all.contains(HIDES) && link(&all, "tab-running").as_deref() == Some("/scans?status=running"), "{all}");
    app.store.refuse_order();
    let by_target = text_of(app.get("/scans?sort=target&per_page=1").await).await;
    assert!(rows(&by_target) == [2] && by_target.contains(TOO_MANY_TARGETS), "{by_target}");
    assert_eq!(
        rows(&text_of(app.get(&link(&by_target, "page-next").unwrap()).await).await),
        [1],
        "it goes on in the order that it is in"
    );
    assert_eq!(text_of(app.get("/api/scans/export.csv?sort=target").await).await.lines().count(), 3);
}

#[tokio::test]
async fn the_filter_is_in_the_address_and_in_every_link() {
    let app = TestApp::new();
    app.load_catalogue();
    app.submitted("a.example.com").await;
    let html = text_of(app.get("/scans?status=pending&target=A.EX&mode=passive").await).await;
    assert_eq!(rows(&html), [1]);
    assert_eq!(
        link(&html, "export-csv").as_deref(),
        Some("/api/scans/export.csv?status=pending&target=a.ex&mode=passive")
    );
    assert_eq!(link(&html, "tab-failed").as_deref(), Some("/scans?status=failed&target=a.ex&mode=passive"));
    assert!(
        html.contains(r#"<option value="whatweb">"#) && html.contains(r#"<option value="passive" selected>"#),
        "{html}"
    );
    let none = text_of(app.get("/scans?status=failed").await).await;
    assert!(none.contains("No scans match.") && none.contains("Show all scans"), "{none}");
}

#[tokio::test]
async fn a_wrong_filter_is_named_and_the_rest_is_kept() {
    let app = TestApp::new();
    app.submitted("a.example.com").await;
    let response = app.get("/scans?status=%3Cscript%3E&from=yesterday&at=x&sort=longest").await;
    assert_eq!(response.status(), 200);
    let html = text_of(response).await;
    assert!(
        html.contains("Status: expected one or more of")
            && html.contains("From: expected a date")
            && !html.contains("<script>"),
        "{html}"
    );
    let many = text_of(app.get(&format!("/scans?{}", "page=x&".repeat(1000))).await).await;
    assert_eq!(many.matches("Page: expected a number").count(), MOST_ERRORS);
}

#[tokio::test]
async fn the_tabs_count_what_the_filters_leave() {
    let app = TestApp::new();
    app.running("a.example.com").await;
    app.submitted("a.example.org").await;
    app.submitted("b.example.com").await;
    let tabs = async |path: &str| {
        let html = text_of(app.get(path).await).await;
        html.split("<li><a href=")
            .filter(|tab| tab.contains(r#"id="tab-"#))
            .map(|tab| {
                tab.split("class=\"count\">").nth(1).map_or("", |rest| rest.split('<').next().unwrap()).to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(tabs("/scans").await, ["3", "2", "1", "0", "0", "0"]);
    assert_eq!(tabs("/scans?target=a.example").await, ["2", "1", "1", "0", "0", "0"]);
    assert_eq!(tabs("/scans?target=a.example&status=running").await, ["2", "1", "1", "0", "0", "0"]);
    app.store.look_at_most(1);
    assert_eq!(tabs("/scans?target=b.example").await, [""; 6], "what is not known is not shown");
}

#[tokio::test]
async fn filter_days_are_in_the_viewers_zone_which_the_url_names() {
    let app = TestApp::new();
    app.submitted("a.example.com").await;
    let seen = async |path: &str| {
        text_of(app.send("GET", path, &[("cookie", "kastrel-zone=Pacific/Auckland")], "").await).await
    };
    let html = seen("/scans").await;
    assert!(html.contains(r#"name="zone" value="Pacific/Auckland""#) && html.contains(">From</label>"), "{html}");
    // The scan was submitted at midnight UTC, which is 13:00 of that day in Auckland.
    for (query, expected) in [("from=2026-01-01&to=2026-01-01", 1), ("to=2025-12-31", 0)] {
        assert_eq!(rows(&seen(&format!("/scans?{query}&zone=Pacific%2FAuckland")).await).len(), expected, "{query}");
    }
    let html = seen("/scans?from=2026-01-01&zone=Pacific%2FAuckland").await;
    assert_eq!(
        link(&html, "export-csv").as_deref(),
        Some("/api/scans/export.csv?from=2026-01-01&zone=Pacific%2FAuckland")
    );
    let other = seen("/scans?from=2026-01-01").await;
    assert!(other.contains(">From (UTC)</label>") && other.contains(r#"name="zone" value="UTC""#), "{other}");
}

#[tokio::test]
async fn empty_list_links_to_the_first_scan() {
    let response = TestApp::new().get("/scans").await;
    assert_eq!(
        (header_of(&response, "x-content-type-options"), header_of(&response, "cross-origin-opener-policy")),
        ("nosniff", "same-origin")
    );
    let html = text_of(response).await;
    assert!(html.contains("No scans yet.") && html.contains(r#"href="/new""#) && !html.contains("style="), "{html}");
}

#[test]
fn notice_has_only_numbers_and_fixed_words() {
    let text = |query: &str| notice_of(query).map(|notice| (notice.kind, notice.text));
    assert_eq!(text("done=cancel&n=1&not=0"), Some(("done", "Cancel requested for 1 scan.".into())));
    assert_eq!(text("done=rerun&n=2&not=1").map(|(kind, _)| kind), Some("warning"));
    let mixed = "0 new scans queued. 2 scans were skipped: the clearance of the target is missing. 1 scan was skipped: the \
                 state had changed, or the scan was refused.";
    assert_eq!(text("done=rerun&n=0&not=3&uncleared=2"), Some(("warning", mixed.into())));
    assert_eq!((text("done=<b>&n=1"), text("n=1")), (None, None));
    assert_eq!(text("done=delete&n=<b>").map(|(_, text)| text), Some("0 scans deleted.".into()));
}
