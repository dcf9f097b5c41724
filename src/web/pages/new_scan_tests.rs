use std::sync::Arc;

use kastrel_actors::model::{Grants, Project, ProjectFilter, SettingValue};
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::service::SettingRules;
use kastrel_actors::testing::{TestSealer, fixtures};

use super::*;
use crate::web::pages::layout::HOSTILE;
use crate::web::testing::{TestApp, catalogue, header_of, text_of};

impl NewScanPage {
    fn sample() -> Self {
        let pairs = [
            ("key", "sample-key"),
            ("target", HOSTILE),
            ("max_workers", "many"),
            ("plugins", "whatweb"),
            ("overrides", HOSTILE),
            ("mode", "both"),
        ];
        let form =
            SubmitForm::parse(form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().as_bytes());
        let errors = [
            FieldError::new("target", HOSTILE),
            FieldError::new("max_workers", "expected 1 to 32"),
            FieldError::new("confirm", "confirm it"),
        ];
        let rules = SettingRules::new(Arc::default(), Arc::new(catalogue().natures), Arc::new(TestSealer));
        let may_submit = MaySubmit::of(&Grants::all(), vec![Project::default()]);
        let lines = judge("a.test\n# note\n-oX\na.test\nb.test", |line| {
            if line.starts_with('-') { Err(HOSTILE.into()) } else { Ok(line.into()) }
        });
        Self {
            layout: Layout::sample("New scan"),
            form_script_url: "/assets/form.js".into(),
            no_catalogue: "the scanner is still being asked for its plugins",
            form: FormView::new(&form, &errors, Some(&catalogue()), &rules, &may_submit),
            clone_of: Some(17),
            preview: Some(Preview::new(&lines)),
        }
    }
}

#[test]
fn new_scan_page_matches_snapshot() {
    let html = NewScanPage::sample().render().unwrap();
    assert!(!html.contains("<script>") && !html.contains('\u{1b}') && !html.contains('\u{202e}'));
    insta::assert_snapshot!(html);
}

#[tokio::test]
async fn a_form_makes_a_scan_and_leads_to_its_page() {
    let app = TestApp::new();
    let response = app
        .post_form(
            "/scans",
            "key=abc&target=example.com&mode=passive&parallel=on&max_workers=5&format=html&priority=high",
        )
        .await;
    assert_eq!((response.status().as_u16(), header_of(&response, "location")), (303, "/scans/1?submitted=1"));
    let again = app
        .post_form(
            "/scans",
            "key=abc&target=example.com&mode=passive&parallel=on&max_workers=5&format=html&priority=high",
        )
        .await;
    assert_eq!(header_of(&again, "location"), "/scans/1?submitted=1", "the same form sent twice is one scan");
    let changed = app.post_form("/scans", "key=abc&target=example.org").await;
    assert_eq!(header_of(&changed, "location"), "/scans/2?submitted=1", "a form that was changed is a new one");
}

/// Returns the hidden form fields that send sealed values back, as a browser sends them.
fn kept(html: &str) -> String {
    let values = html.split(r#"name="kept" value=""#).skip(1).map(|rest| rest.split('"').next().unwrap());
    values
        .map(|value| format!("&kept={}", form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>()))
        .collect()
}

#[tokio::test]
async fn a_secret_is_never_shown_again_and_comes_back_with_the_form() {
    let app = TestApp::new();
    app.load_catalogue();
    let typed = "overrides=zap.api_key%3Dhunter2%0Azap.pin%3Dhunter2%0Asecret%3Azap.note%3Dhunter2%0Azap.token%20hunter2%0Awhatweb.timeout%3D5&max_workers=99";
    let refused = app.post_form("/scans", &format!("target=a.test&{typed}")).await;
    assert_eq!(refused.status(), 422);
    let html = text_of(refused).await;
    assert!(!html.contains("hunter2"), "{html}");
    for line in
        ["zap.api_key=••••••", "zap.pin=••••••", "secret:zap.note=••••••", "zap.token=••••••", "whatweb.timeout=5"]
    {
        assert!(html.contains(line), "{line}");
    }
    let hidden = "••••••";
    let overrides: String = form_urlencoded::byte_serialize(
        format!("zap.api_key={hidden}\nzap.pin={hidden}\nsecret:zap.note={hidden}").as_bytes(),
    )
    .collect();
    // Several targets: first the preview, then the start.
    let form = format!("target=a.test%0Ab.test&overrides={overrides}{}", kept(&html));
    let preview = text_of(app.post_form("/scans", &form).await).await;
    assert!(preview.contains("Start 2 scans") && !preview.contains("hunter2"), "{preview}");
    let started = app.post_form("/scans", &format!("{form}&action=start")).await;
    assert_eq!(started.status(), 303, "{}", text_of(started).await);
    for (id, target) in [(1, "a.test"), (2, "b.test")] {
        let record = app.service.scan(&fixtures::context(), ScanId(id)).await.unwrap().unwrap().record.clone();
        assert_eq!(record.request.target.to_string(), target);
        assert!(
            record.request.overrides.iter().all(|one| matches!(one.value, SettingValue::Sealed(_))),
            "{:?}",
            record.request.overrides
        );
        let mut opened = record.request.overrides.clone();
        kastrel_actors::ports::secret_sealer::open_all(&TestSealer, &record.request.target, &mut opened).unwrap();
        assert!(opened.iter().all(|one| one.value.clear() == Some("hunter2")));
        for path in [
            format!("/scans/{id}"),
            format!("/api/scans/{id}"),
            format!("/new?from={id}"),
            "/api/scans/export.json".into(),
        ] {
            let page = text_of(app.get(&path).await).await;
            assert!(!page.contains("hunter2"), "{path}");
        }
    }
    // The form of an earlier scan: the same target keeps its secrets, another target does not.
    let html = text_of(app.get("/new?from=1").await).await;
    let again = |target: &str| format!("target={target}&overrides={overrides}{}", kept(&html));
    let started = app.post_form("/scans", &again("a.test")).await;
    assert_eq!(started.status(), 303, "{}", text_of(started).await);
    let elsewhere = app.post_form("/scans", &again("evil.test")).await;
    assert_eq!(elsewhere.status(), 422);
    assert!(text_of(elsewhere).await.contains("enter it again"));
    // A form that sets another image does not keep them either.
    let beside = format!("target=a.test&overrides={overrides}%0Azap.image%3Dx{}", kept(&html));
    let beside = text_of(app.post_form("/scans", &beside).await).await;
    assert!(beside.contains("enter it again") && beside.contains("`zap.image` is locked"), "{beside}");
    // The API rejects a hidden value.
    let body = serde_json::json!({"target": "a.test", "overrides": ["zap.api_key=••••••"]});
    assert_eq!(app.post_json("/api/scans", &[], &body).await.status(), 422);
}

#[tokio::test]
async fn a_form_of_any_length_is_answered_with_a_bounded_page() {
    let app = TestApp::new();
    app.load_catalogue();
    let kept: String = (0..2000).map(|n| format!("&kept=zap.api_key%3D{n}")).collect();
    let settings: String =
        std::iter::repeat_n("zap.api_key%3D%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%E2%80%A2%0A", 100).collect();
    let form = format!("target={}&overrides={settings}{kept}", "10.0.0.1%0A".repeat(5000));
    let refused = app.post_form("/scans", &form).await;
    assert_eq!(refused.status(), 422);
    let html = text_of(refused).await;
    assert!(html.contains("4000 more lines") && html.contains("4000 lines not checked"), "{}", html.len());
}

#[tokio::test]
async fn a_locked_setting_is_refused_in_the_form_and_listed_with_its_reason() {
    let app = TestApp::new();
    app.load_catalogue();
    let html = text_of(app.get("/new").await).await;
    assert!(
        html.contains("Locked: it names a container image.") && html.contains("Locked: it names a file or a folder."),
        "{html}"
    );
    let refused =
        app.post_form("/scans", "target=a.test&overrides=zap.image%3Devil%0Azap.report%3D%2Fetc%2Fpasswd").await;
    assert_eq!(refused.status(), 422);
    let html = text_of(refused).await;
    assert!(
        html.contains("`zap.image` is locked: it names a container image") && html.contains("`zap.report` is locked"),
        "{html}"
    );
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn an_internationalised_name_is_previewed_in_both_forms() {
    let app = TestApp::new();
    let html = text_of(app.post_form("/new/preview", "target=b%C3%BCcher.example%0A10.0.0.0%2F24").await).await;
    assert!(
        html.contains("bücher.example (xn--bcher-kva.example)") && html.contains("ranges are not supported"),
        "{html}"
    );
}

#[tokio::test]
async fn a_wrong_field_keeps_everything_that_was_typed() {
    let app = TestApp::new();
    app.load_catalogue();
    let typed = "target=10.0.0.1&mode=both&confirm=yes&plugins=whatweb&max_workers=99&format=pdf&priority=low&overrides=whatweb.timeout%3D61%0Anmap.x%3D1&verbose=on";
    let response = app.post_form("/scans", typed).await;
    assert_eq!(response.status(), 422);
    let html = text_of(response).await;
    for part in [
        "<strong>Not started.",
        "10.0.0.1</textarea>",
        r#"value="both" id="mode-both" checked"#,
        r#"id="field-confirm" checked"#,
        r#"value="whatweb" id="plugin-whatweb" data-needs="" checked"#,
        r#"value="99" aria-invalid="true" aria-describedby="wrong-max_workers""#,
        "whatweb.timeout=61\nnmap.x=1</textarea>",
        r#"<option value="pdf" selected>"#,
        r#"<option value="low" selected>"#,
        r#"id="field-verbose" checked"#,
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn form_shows_the_errors_of_the_target_and_of_all_other_fields_at_once() {
    let app = TestApp::new();
    app.load_catalogue();
    for target in ["-oX", "10.0.0.1"] {
        let form = format!(
            "target={target}&mode=both&max_workers=99&plugins=nmap&overrides=whatweb.timeout%3D61%0Azap.image%3Devil%0Anovalue"
        );
        for form in [form.clone(), form.replace("max_workers=99", "max_workers=many&confirm=yes")] {
            let refused = app.post_form("/scans", &form).await;
            assert_eq!(refused.status(), 422);
            let html = text_of(refused).await;
            for part in [
                r##"href="#field-target""##,
                r##"href="#field-max_workers""##,
                "the scanner has no plugin `nmap`",
                "expected a whole number from 1 to 60",
                "`zap.image` is locked",
                "expected plugin.key=value",
            ] {
                assert!(html.to_lowercase().contains(&part.to_lowercase()), "{part} is missing in {html}");
            }
        }
    }
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn settings_are_checked_against_the_scanners_schema() {
    let app = TestApp::new();
    app.load_catalogue();
    let html = text_of(
        app.post_form("/scans", "target=example.com&overrides=whatweb.timeout%3D61%0Anmap.x%3D1%0Awhatweb.timout%3D5")
            .await,
    )
    .await;
    for part in [
        "`whatweb.timeout`: expected a whole number from 1 to 60",
        "`nmap.x`: the scanner has no plugin `nmap`",
        "did you mean `timeout`?",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let api = app
        .post_json(
            "/api/scans",
            &[],
            &serde_json::json!({"target": "example.com", "overrides": ["whatweb.timeout=fast"], "plugins": ["nmap"]}),
        )
        .await;
    assert_eq!(api.status(), 422);
    assert!(app.memory.history().is_empty());
}

#[tokio::test]
async fn active_scans_ask_for_permission() {
    let app = TestApp::new();
    app.load_catalogue();
    let refused = text_of(app.post_form("/scans", "target=example.com&mode=active").await).await;
    assert!(
        refused.contains("Confirm that you have permission to run active plugins")
            && refused.contains(r#"aria-describedby="wrong-confirm""#),
        "{refused}"
    );
    let none =
        text_of(app.post_form("/scans", "target=example.com&mode=active&confirm=yes&plugins=whatweb").await).await;
    assert!(none.contains("`whatweb` is a passive plugin; choose mode passive or both"), "{none}");
    assert_eq!(
        app.post_form("/scans", "target=example.com&mode=active&confirm=yes&plugins=zap&plugins=whatweb")
            .await
            .status(),
        303
    );
    let scan = app.service.scan(&fixtures::context(), ScanId(1)).await.unwrap().unwrap();
    assert_eq!(
        (&*scan.record.request.options.plugins, &*scan.record.left_out),
        (&["zap".to_owned(), "whatweb".into()][..], &["whatweb".to_owned()][..]),
        "the scan says what it leaves out"
    );
}

#[tokio::test]
async fn several_targets_are_previewed_and_then_started_together() {
    let app = TestApp::new();
    let text = "a.example.com%0A%23+note%0A10.0.0.1%0AA.example.com%0A%0Ab.example.com";
    for path in ["/scans", "/new/preview"] {
        let response = app.post_form(path, &format!("key=k&target={text}")).await;
        assert_eq!(response.status(), 200, "{path}");
        let html = text_of(response).await;
        for part in [
            "2 valid targets, 1 invalid, 1 duplicate",
            "→ a.example.com",
            "of line 1",
            "Comment",
            "Start 2 scans",
            "a.example.com\n# note",
        ] {
            assert!(html.contains(part), "{path}: {part} is missing in {html}");
        }
    }
    assert!(app.memory.history().is_empty(), "a preview starts nothing");
    let wrong = app.post_form("/scans", &format!("key=k&target={text}&action=start&max_workers=0")).await;
    assert_eq!(wrong.status(), 422);
    let started = app.post_form("/scans", &format!("key=k&target={text}&action=start")).await;
    assert_eq!((started.status().as_u16(), header_of(&started, "location")), (303, "/scans?done=submitted&n=2&not=0"));
    app.post_form("/scans", &format!("key=k&target={text}&action=start")).await;
    assert_eq!(
        app.services.reporting.stats(&fixtures::context()).await.unwrap().pending,
        2,
        "the same form sent twice starts nothing twice"
    );
    let none = app.post_form("/scans", "target=10.0.0.1%0A10.0.0.2&action=start").await;
    assert_eq!(none.status(), 422);
}

#[tokio::test]
async fn a_scan_can_be_cloned_into_the_form() {
    let app = TestApp::new();
    app.post_json(
        "/api/scans",
        &[],
        &serde_json::json!({"target": "https://example.com", "max_workers": 7, "mode": "both", "confirm_active": true, "overrides": ["a.b=1"]}),
    )
    .await;
    let html = text_of(app.get("/new?from=1").await).await;
    for part in [
        "https://example.com</textarea>",
        r#"value="7""#,
        r#"id="mode-both" checked"#,
        "a.b=••••••</textarea>",
        "With the options of",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    assert!(!html.contains(r#"id="field-confirm" checked"#), "permission is asked for each time");
    for path in ["/new?from=99", "/new?from=x", "/new?target=%3Cscript%3E"] {
        let response = app.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert!(!text_of(response).await.contains("<script>"), "{path}");
    }
}

#[tokio::test]
async fn only_forms_of_this_site_are_accepted() {
    let app = TestApp::new();
    assert_eq!(
        app.send(
            "POST",
            "/scans",
            &[("content-type", "text/plain"), ("sec-fetch-site", "same-origin")],
            "target=example.com"
        )
        .await
        .status(),
        415
    );
    assert_eq!(
        app.send("POST", "/new/preview", &[("content-type", "text/plain"), ("sec-fetch-site", "cross-site")], "")
            .await
            .status(),
        403
    );
}

#[tokio::test]
async fn batch_in_a_full_queue_shows_the_outcome_of_each_line() {
    let app = TestApp::with_room_for(2, 100);
    let form = "target=a.test%0Ab.test%0A-bad%0Ac.test&mode=passive&action=start&key=a-key";
    let first = app.post_form("/scans", form).await;
    assert_eq!((first.status().as_u16(), header_of(&first, "retry-after")), (503, "300"));
    let html = text_of(first).await;
    for part in [
        "2 scans queued, 1 not: the queue is full",
        "→ a.test: scan 1",
        "→ b.test: scan 2",
        "The queue is full: 2 scans may wait",
        "Try again",
    ] {
        assert!(html.contains(part), "{part}: {html}");
    }
    assert_eq!(app.memory.stats(&ProjectFilter::All).await.unwrap().pending, 2);
}
