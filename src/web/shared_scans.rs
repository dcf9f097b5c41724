//! A page of the scans that are shared with the sender of a request, for the page and for the API.

use std::sync::Arc;

use futures_util::future::try_join_all;
use kastrel_actors::model::{ScanId, ScanSnapshot};

use super::error::Problem;
use super::state::WebInner;
use super::viewer::Viewer;
use crate::service::access::ReceivedShare;

/// The scans of a page.
pub(crate) struct SharedScans {
    pub(crate) scans: Vec<(Arc<ScanSnapshot>, ReceivedShare)>,
    /// The number below which the next page begins.
    pub(crate) next_before: Option<u64>,
}

impl SharedScans {
    /// Reads up to `limit` scans with numbers below `before`, newest first. A sender without an
    /// account has none.
    pub(crate) async fn read(
        web: &WebInner,
        viewer: &Viewer,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Self, Problem> {
        let mut received = match &viewer.signed_in {
            Some(who) => web.access().received_shares(who).await?,
            None => Vec::new(),
        };
        received.retain(|one| before.is_none_or(|before| one.share.scan < ScanId(before)));
        let has_more = received.len() > limit;
        received.truncate(limit);
        let next_before = received.last().filter(|_| has_more).map(|last| last.share.scan.0);
        // The service decides about each scan. A share without its scan shows nothing.
        let scans = try_join_all(received.into_iter().map(async |one| {
            let scan = web.scans().scan(&viewer.context, one.share.scan).await?;
            Ok::<_, Problem>(scan.map(|scan| (scan, one)))
        }))
        .await?;
        Ok(Self { scans: scans.into_iter().flatten().collect(), next_before })
    }
}
