//! The decision about what an attempt runs and what the scan keeps of its earlier attempts.

use std::time::Duration;

use tracing::info;

use crate::context::Shared;
use crate::model::{PluginResult, ScanRecord};
use crate::policy::resume::{Plan, candidates, kept, plan};
use crate::ports::AttemptJob;

/// How long a retry waits for the scanner's list of plugins. Without it, everything runs again.
const OFFER_LIMIT: Duration = Duration::from_secs(10);

/// What an attempt has to do.
pub(super) enum Work {
    /// Run this job.
    Run(Box<AttemptJob>),
    /// Nothing: every plugin has a result of an earlier attempt.
    Done(Vec<PluginResult>),
}

/// Decides for a leased row. Most rows have no results of earlier attempts, and nothing is read for
/// them.
pub(super) async fn work(shared: &Shared, record: &ScanRecord) -> Work {
    let job = Box::new(AttemptJob::of(record));
    if !shared.config.resume || kept(record).is_empty() {
        return Work::Run(job);
    }
    let mut offers = shared.ports.offer.clone();
    let offer = match tokio::time::timeout(OFFER_LIMIT, offers.wait_for(Option::is_some)).await {
        Ok(Ok(offer)) => offer.clone(),
        Ok(Err(_)) | Err(_) => None,
    };
    let Some(offer) = offer else {
        info!(scan.id = record.id.0, "the scanner's plugins are not known; running all of them again");
        return Work::Run(job);
    };
    let earlier = candidates(record, &offer.scanner);
    let at_hand = if earlier.is_empty() { Vec::new() } else { shared.ports.runner.at_hand(&job, earlier).await };
    match plan(&record.request, &offer.plugins, at_hand) {
        Plan::Anew => {
            info!(
                scan.id = record.id.0,
                "running all plugins again: the earlier results are of another version of the scanner, or not here"
            );
            Work::Run(job)
        }
        Plan::Rest { only, kept } => {
            let names = |plugins: &[PluginResult]| {
                plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>().join(",")
            };
            info!(
                scan.id = record.id.0,
                scan.attempt = job.attempt.0,
                scan.plugins = only.join(","),
                scan.kept = names(&kept),
                "keeping the results of earlier attempts"
            );
            Work::Run(Box::new(AttemptJob { only: Some(only), kept, ..*job }))
        }
        Plan::Done(kept) => Work::Done(kept),
    }
}
