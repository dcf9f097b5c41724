//! The page with the files of a scan, by attempt.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::layout::{Here, Layout};
use crate::ports::Artifact;
use crate::web::error::Problem;
use crate::web::files::{list, notice_of};
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::text::{clean, in_url, size};
use crate::web::viewer::Viewer;

/// How many attempts are listed, newest first.
const LISTED: usize = 10;

/// The page with the files of a scan.
#[derive(Template)]
#[template(path = "file_list.html")]
pub(crate) struct FileListPage {
    layout: Layout,
    id: u64,
    target: String,
    attempts: Vec<AttemptSection>,
}

struct AttemptSection {
    number: u32,
    total: String,
    files: Vec<FileRow>,
    /// A notice about the list.
    notice: Option<&'static str>,
    /// `1,000 of 1,506 shown`, if not all files are shown.
    cut: Option<String>,
}

struct FileRow {
    path: String,
    /// The page that shows the file.
    view_url: String,
    /// The file itself, as a download.
    url: String,
    size: String,
}

/// Shows the files of a scan.
pub(crate) async fn show(State(web): State<Web>, viewer: Viewer, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.scans().scan(&viewer.context, id).await?.ok_or_else(no_scan)?;
    let mut attempts = Vec::new();
    for attempt in scan.record.attempts.iter().rev().take(LISTED) {
        let base = format!("/scans/{id}/attempts/{}", attempt.number);
        let row = |entry: Artifact| FileRow {
            view_url: format!("{base}/view/{}", in_url(&entry.path)),
            url: format!("{base}/files/{}?download=1", in_url(&entry.path)),
            path: clean(&entry.path),
            size: size(entry.size),
        };
        let listing = list(&web, &scan.record, attempt.number).await;
        let notice = notice_of(&listing);
        let listing = listing.unwrap_or_default();
        let cut = listing.cut();
        let bytes = size(listing.files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size)));
        // The sum of a cut list would be wrong.
        let total = cut.clone().unwrap_or(bytes);
        attempts.push(AttemptSection {
            number: attempt.number.0,
            total,
            files: listing.files.into_iter().map(row).collect(),
            notice,
            cut,
        });
    }
    let target = clean(&scan.record.request.target.label());
    Ok(page(&FileListPage {
        layout: Layout::of(&web, &viewer, Here::Scans, format!("Files of scan {id}")).await,
        id: id.0,
        target,
        attempts,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::files::PARTIAL;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    impl FileListPage {
        fn sample() -> Self {
            let file = |path: &str| FileRow {
                path: clean(path),
                view_url: format!("/scans/17/attempts/2/view/{}", in_url(path)),
                url: format!("/scans/17/attempts/2/files/{}?download=1", in_url(path)),
                size: "412 bytes".into(),
            };
            let attempts = vec![
                AttemptSection {
                    number: 2,
                    total: "824 bytes".into(),
                    files: vec![file("kast_report.html"), file(&format!("raw/{HOSTILE}"))],
                    notice: Some(PARTIAL),
                    cut: None,
                },
                AttemptSection { number: 1, total: "0 bytes".into(), files: Vec::new(), notice: None, cut: None },
            ];
            Self { layout: Layout::sample("Files of scan 17"), id: 17, target: clean(HOSTILE), attempts }
        }
    }

    #[test]
    fn file_list_matches_snapshot() {
        insta::assert_snapshot!(FileListPage::sample().render().unwrap());
    }

    #[tokio::test]
    async fn cut_file_list_shows_the_cut_and_has_the_report() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(folder.join("responses")).unwrap();
        for number in 0..1504 {
            std::fs::write(folder.join(format!("responses/{number}.txt")), "x").unwrap();
        }
        std::fs::write(folder.join("kast_report.html"), "report").unwrap();
        std::fs::write(folder.join("kast_info.json"), "{}").unwrap();
        let html = text_of(app.get("/scans/1/files").await).await;
        assert!(html.contains("1,000 of 1,506 shown") && html.contains("kast_report.html"), "{}", &html[..2000]);
        assert_eq!(app.get("/scans/1/report").await.status(), 200);
        assert!(text_of(app.get("/scans/1").await).await.contains("/scans/1/report"));
    }

    #[tokio::test]
    async fn each_link_leads_to_its_file() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a b#c?.txt"), "found").unwrap();
        let html = text_of(app.get(&format!("/scans/{}/files", scan.id)).await).await;
        let links: Vec<&str> = html
            .split("href=\"")
            .map(|rest| rest.split('"').next().unwrap())
            .filter(|link| link.contains("/attempts/"))
            .collect();
        let [view, download] = links[..] else { panic!("{links:?}") };
        assert_eq!(text_of(app.get(download).await).await, "found");
        assert!(text_of(app.get(view).await).await.contains("found"));
    }
}
