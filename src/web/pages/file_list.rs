//! The files of a scan, attempt by attempt.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::layout::Layout;
use crate::adapters::artifacts::{Artifact, ArtifactError};
use crate::web::error::Problem;
use crate::web::files::list;
use crate::web::headers::page;
use crate::web::path::{PathId, no_scan};
use crate::web::state::Web;
use crate::web::text::{clean, size};

/// How many attempts are listed, newest first.
const LISTED: usize = 10;

const PARTIAL: &str = "These are the files that have arrived so far. The attempt still runs, or the machine that ran it has not handed over the rest.";
const UNAVAILABLE: &str = "The store of the scans' files does not answer. The scan itself is not affected; try again in a moment.";
const BROKEN: &str = "The files of this attempt cannot be read; the server's log says why. The scan itself is not affected.";

/// The files of a scan.
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
    files: Vec<FileRow>,
    /// What to know of the list.
    notice: Option<&'static str>,
}

struct FileRow {
    path: String,
    url: String,
    size: String,
}

/// Lists the files.
pub(crate) async fn show(State(web): State<Web>, PathId(id): PathId) -> Result<Response, Problem> {
    let scan = web.desk().scan(id).await?.ok_or_else(no_scan)?;
    let mut attempts = Vec::new();
    for attempt in scan.record.attempts.iter().rev().take(LISTED) {
        let base = format!("/scans/{id}/attempts/{}/files/", attempt.number);
        let row = |entry: Artifact| FileRow { url: format!("{base}{}", in_url(&entry.path)), path: clean(&entry.path), size: size(entry.size) };
        let (files, notice) = match list(&web, &scan.record, attempt.number).await {
            Ok(listing) => (listing.files, listing.partial.then_some(PARTIAL)),
            Err(ArtifactError::Unavailable(_)) => (Vec::new(), Some(UNAVAILABLE)),
            Err(ArtifactError::Broken(_)) => (Vec::new(), Some(BROKEN)),
            Err(ArtifactError::NotFound | ArtifactError::Refused | ArtifactError::OutOfRange { .. }) => (Vec::new(), None),
        };
        attempts.push(AttemptSection { number: attempt.number.0, files: files.into_iter().map(row).collect(), notice });
    }
    let target = clean(&scan.record.request.target.to_string());
    Ok(page(&FileListPage { layout: Layout::of(&web, format!("Files of scan {id} of {target}")), id: id.0, target, attempts }))
}

/// A path as it stands in an address: everything but the plainest characters is encoded.
fn in_url(path: &str) -> String {
    let encode = |b: u8| if b.is_ascii_alphanumeric() || b"/-._~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    path.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::layout::HOSTILE;
    use crate::web::testing::{TestApp, text_of};

    impl FileListPage {
        fn sample() -> Self {
            let file = |path: &str| FileRow { path: clean(path), url: format!("/scans/17/attempts/2/files/{}", in_url(path)), size: "412 bytes".into() };
            let attempts = vec![
                AttemptSection { number: 2, files: vec![file("kast_report.html"), file(&format!("raw/{HOSTILE}"))], notice: Some(PARTIAL) },
                AttemptSection { number: 1, files: Vec::new(), notice: None },
            ];
            Self { layout: Layout::sample("Files of scan 17"), id: 17, target: clean(HOSTILE), attempts }
        }
    }

    #[test]
    fn looks_as_it_should() {
        insta::assert_snapshot!(FileListPage::sample().render().unwrap());
    }

    #[tokio::test]
    async fn each_link_leads_to_its_file() {
        let app = TestApp::new();
        let scan = app.running("example.com").await;
        let folder = app.attempt_folder(&scan);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a b#c?.txt"), "found").unwrap();
        let html = text_of(app.get(&format!("/scans/{}/files", scan.id)).await).await;
        let link = html.split("href=\"").map(|rest| rest.split('"').next().unwrap()).find(|link| link.contains("/attempts/")).unwrap();
        assert_eq!(text_of(app.get(link).await).await, "found");
    }
}
