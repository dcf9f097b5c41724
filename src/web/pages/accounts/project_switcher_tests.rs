//! Tests of the choice of the project on the overview and on the list.

use kastrel_actors::model::{ProjectRole, Resolution, ScanRequestDraft, ServerRole, Verdict};
use kastrel_actors::testing::fixtures;

use super::testing::{Browser, create_project};
use crate::web::testing::{TestApp, text_of};

/// An app with a scan in each of two projects: one has ended, the other is queued.
async fn app_with_projects() -> TestApp {
    let app = TestApp::with_accounts();
    create_project(&app, "team-a", "Team <A>").await;
    let ended = app.running("default.example.com").await;
    app.finish(&ended, Resolution::Complete(Verdict::default())).await;
    let draft = ScanRequestDraft {
        target: "team.example.com".into(),
        project: Some("team-a".into()),
        ..ScanRequestDraft::default()
    };
    app.service.submit(&fixtures::context(), kastrel_actors::Client::Local, &draft, None).await.unwrap();
    app
}

/// The links of the navigation to the overview and to the list.
fn nav(html: &str) -> [&str; 2] {
    ["nav-home", "nav-scans"].map(|id| {
        let (before, _) = html.split_once(&format!("id=\"{id}\"")).unwrap();
        before.rsplit_once("href=\"").unwrap().1.trim_end_matches("\" ")
    })
}

#[tokio::test]
async fn chosen_project_limits_overview_and_list_and_stays_between_them() {
    let app = app_with_projects().await;
    let admin = Browser::of_new(&app, "root", Some(ServerRole::Admin), &[]).await;
    for (path, has_default, has_team) in [
        ("/", true, true),
        ("/?project=", true, true),
        ("/?project=team-a", false, true),
        ("/?project=default", true, false),
        ("/scans", true, true),
        ("/scans?project=team-a", false, true),
    ] {
        let html = admin.text(path).await;
        assert_eq!(html.contains("default.example.com"), has_default, "{path}");
        assert_eq!(html.contains("team.example.com"), has_team, "{path}");
    }
    for path in ["/?project=team-a", "/scans?project=team-a&status=pending"] {
        let html = admin.text(path).await;
        assert_eq!(nav(&html), ["/?project=team-a", "/scans?project=team-a"], "{path}");
        assert!(html.contains("<option value=\"team-a\" selected>Team &#60;A&#62;</option>"), "{html}");
    }
    let overview = admin.text("/?project=team-a").await;
    for link in [
        "id=\"tile-pending\" href=\"/scans?status=pending&#38;project=team-a\"><b>1</b>",
        "href=\"/scans?project=team-a\">All scans</a>",
    ] {
        assert!(overview.contains(link), "{link}: {overview}");
    }
    assert!(overview.contains("id=\"tile-completed\" href=\"/scans?status=completed&#38;project=team-a\"><b>0</b>"));
    assert_eq!(nav(&admin.text("/").await), ["/", "/scans"]);
    let list = admin.text("/scans?project=team-a&target=team&sort=oldest&before=9").await;
    let form = list.split("id=\"project-switcher\"").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(
        form.contains("name=\"target\" value=\"team\"") && form.contains("name=\"sort\" value=\"oldest\""),
        "{form}"
    );
    assert!(!form.contains("before"), "another project begins with its first page: {form}");
    assert!(list.contains("<input type=\"hidden\" name=\"project\" value=\"team-a\">"), "the filter keeps it: {list}");
}

#[tokio::test(start_paused = true)]
async fn viewer_of_one_project_has_no_choice_and_learns_of_no_other_one() {
    let app = app_with_projects().await;
    let member = Browser::of_new(&app, "ana", None, &[("default", ProjectRole::Viewer)]).await;
    for path in ["/", "/scans", "/?project=default"] {
        assert!(!member.text(path).await.contains("project-switcher"), "{path}");
    }
    let foreign = member.text("/?project=team-a").await;
    assert_eq!(
        foreign.replace("team-a", "PROJECT"),
        member.text("/?project=team-b").await.replace("team-b", "PROJECT"),
        "it looks like one that does not exist"
    );
    assert!(foreign.contains("there is no such project") && foreign.contains("default.example.com"), "{foreign}");
    let both = [("default", ProjectRole::Viewer), ("team-a", ProjectRole::Viewer)];
    let member = Browser::of_new(&app, "bob", None, &both).await;
    assert!(member.text("/").await.contains("project-switcher"));
    let plain = text_of(TestApp::new().get("/").await).await;
    assert!(!plain.contains("project-switcher"), "a server without further projects does not name them");
}
