//! Says which files and reports an attempt has, with the notice that a page shows beside them.

use kastrel_actors::model::{AttemptNumber, ReportFiles, ScanRecord};
use kastrel_actors::policy::reports;

use super::read::in_time;
use crate::ports::{ArtifactError, AttemptKey, HTML_REPORT_NAME, Listing, PDF_REPORT_NAME};
use crate::web::state::WebInner;

/// The file with the scanner's command line.
pub(crate) const COMMAND: &str = "command.sh";

/// The notice for a list of files that is not complete.
pub(crate) const PARTIAL: &str =
    "Files received so far. The attempt is still running, or its node has not stored the rest yet.";
const UNAVAILABLE: &str = "File store not responding. The scan itself is not affected; try again in a moment.";
const BROKEN: &str = "The files of this attempt cannot be read; see the server's log. The scan itself is not affected.";

/// Returns the files of an attempt, for a page.
pub(crate) async fn list(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
) -> Result<Listing, ArtifactError> {
    let key = AttemptKey::of(record, attempt);
    let listing = in_time(web.state.artifacts.list(&key)).await;
    if let Err(error @ (ArtifactError::Unavailable(_) | ArtifactError::Broken(_))) = &listing {
        tracing::warn!(
            scan.id = record.id.0,
            error = error as &dyn std::error::Error,
            "the files of a scan cannot be listed"
        );
    }
    listing
}

/// Returns whether a file of an attempt exists, for a page. It opens the file, because the list of
/// files may be cut.
pub(crate) async fn has(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
    path: &str,
) -> Result<bool, ArtifactError> {
    in_time(web.state.artifacts.has(&AttemptKey::of(record, attempt), path)).await
}

/// Returns which reports an attempt has.
pub(crate) async fn reports_of(
    web: &WebInner,
    record: &ScanRecord,
    attempt: AttemptNumber,
) -> Result<ReportFiles, ArtifactError> {
    let (html, pdf) =
        tokio::join!(has(web, record, attempt, HTML_REPORT_NAME), has(web, record, attempt, PDF_REPORT_NAME));
    Ok(ReportFiles { html: html?, pdf: pdf? })
}

/// Returns which reports a scan has that has ended. `None` means unknown: the scan has not ended,
/// not all of its files have arrived, or the store does not respond.
pub(crate) async fn reports_at_end(web: &WebInner, record: &ScanRecord) -> Option<ReportFiles> {
    let attempt = record.last_attempt().filter(|_| record.status().is_terminal())?.number;
    let found = reports_of(web, record, attempt).await.ok()?;
    let is_sure = reports::missing_of(record, found).is_none()
        || list(web, record, attempt).await.is_ok_and(|listing| !listing.partial);
    is_sure.then_some(found)
}

/// Returns the notice that a page shows beside a list of files.
pub(crate) const fn notice_of(listing: &Result<Listing, ArtifactError>) -> Option<&'static str> {
    match listing {
        Ok(Listing { partial: true, .. }) => Some(PARTIAL),
        Err(ArtifactError::Unavailable(_)) => Some(UNAVAILABLE),
        Err(ArtifactError::Broken(_)) => Some(BROKEN),
        Ok(_) | Err(ArtifactError::NotFound | ArtifactError::Refused | ArtifactError::OutOfRange { .. }) => None,
    }
}
