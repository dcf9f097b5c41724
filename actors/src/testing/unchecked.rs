//! A table of all cases in which a check of a scan does not run. Tests verify gates, pages and
//! responses against it.

use std::time::Duration;

use super::fixtures;
use crate::model::{
    AttemptEnd, AttemptReport, CancelledBy, Command, ExitKind, Failure, FailureKind, InfoFile, NewScan, PluginResult,
    PluginStatus, Principal, Resolution, ScanRecord, ScanRequest,
};
use crate::policy::classify::{StopCause, classify};
use crate::ports::{Applied, NodeRegistry, ScanRepository};

/// How the scan ended.
#[derive(Debug, Clone)]
enum How {
    /// An attempt ran and left this.
    Attempt { exit: ExitKind, info: InfoFile, stop: Option<StopCause> },
    /// It was cancelled before an attempt.
    CancelledWaiting,
    /// Its node was lost, for the last time.
    NodeLost,
}

/// One case.
#[derive(Debug, Clone)]
pub struct Way {
    /// A description of the case.
    pub name: &'static str,
    /// The selected plugins; empty means all.
    pub selected: Vec<String>,
    /// Whether the scan is a dry run.
    pub dry_run: bool,
    /// The number of checks that ran in spite of the case.
    pub ran: usize,
    plugins: Vec<PluginResult>,
    how: How,
}

/// Returns all cases.
#[must_use]
pub fn ways() -> Vec<Way> {
    use PluginStatus::{Completed, Failed, InProgress, Pending, Skipped, Unavailable};
    let read = |exit| How::Attempt { exit: ExitKind::Code(exit), info: InfoFile::Read, stop: None };
    let without = |exit| How::Attempt { exit, info: InfoFile::Missing, stop: None };
    let stopped = |stop| How::Attempt { exit: ExitKind::Signal(15), info: InfoFile::Missing, stop: Some(stop) };
    let way = |name, ran, states: &[PluginStatus], how| Way {
        name,
        selected: Vec::new(),
        dry_run: false,
        ran,
        plugins: states
            .iter()
            .enumerate()
            .map(|(at, status)| PluginResult::new(format!("plugin_{at}"), *status))
            .collect(),
        how,
    };
    let unreadable = PluginResult {
        message: Some("its result file cannot be read: it is truncated".into()),
        ..PluginResult::new("plugin_1", Failed)
    };
    let failed =
        |name: &str, message: &str| PluginResult { message: Some(message.into()), ..PluginResult::new(name, Failed) };
    let many = (0..500).map(|at| PluginResult::new(format!("plugin_{at}"), Completed));
    let many =
        many.chain([failed("(100 more plugins)", "Not read: a scan has results of at most 500 plugins")]).collect();
    let ended_as = |word: &str| {
        vec![PluginResult::new("plugin_0", Completed), failed("plugin_1", &format!("The plugin ended as \"{word}\""))]
    };
    vec![
        way("every plugin failed", 0, &[Failed, Failed], read(0)),
        way("every tool is missing", 0, &[Unavailable, Unavailable], read(0)),
        way("one plugin failed, and the other's tool is missing", 0, &[Failed, Unavailable], read(1)),
        way("one of two plugins failed", 1, &[Completed, Failed], read(0)),
        way("one of two tools is missing", 1, &[Completed, Unavailable], read(0)),
        Way {
            plugins: vec![PluginResult::new("plugin_0", Completed), unreadable.clone()],
            ..way("a result file cannot be read", 1, &[], read(0))
        },
        Way {
            plugins: vec![unreadable.clone()],
            ..way("the only result file was good once and cannot be read at the end", 0, &[], read(0))
        },
        Way {
            plugins: ended_as("timeout"),
            ..way("a plugin ended with a word that is not known to be good", 1, &[], read(0))
        },
        Way { plugins: ended_as("partial"), ..way("a plugin did a part of its work", 1, &[], read(0)) },
        Way { plugins: many, ..way("there are more plugins than are read", 500, &[], read(0)) },
        way("the scanner skipped a plugin by itself", 1, &[Completed, Skipped], read(0)),
        way("a plugin started and did not finish", 1, &[Completed, InProgress], read(0)),
        way("a plugin did not start", 1, &[Completed, Pending], read(0)),
        way("the scanner names no plugin", 0, &[], read(0)),
        Way {
            selected: vec!["plugin_0".into(), "zap".into()],
            ..way("a selected plugin is not in the result", 1, &[Completed], read(0))
        },
        Way { selected: vec!["zap".into()], ..way("the only selected plugin is not in the result", 0, &[], read(0)) },
        Way { dry_run: true, ..way("a dry run", 0, &[], without(ExitKind::Code(0))) },
        Way { dry_run: true, ..way("a dry run that names its plugins", 0, &[Skipped, Skipped], read(0)) },
        way("the scanner crashed", 1, &[Completed, InProgress], without(ExitKind::Code(1))),
        way("the scanner refused its arguments", 0, &[], without(ExitKind::Code(2))),
        way(
            "the scanner left no result although its exit code is 0",
            1,
            &[Completed, Pending],
            without(ExitKind::Code(0)),
        ),
        way("a signal ended the scanner", 0, &[InProgress], without(ExitKind::Signal(9))),
        way(
            "the result file cannot be read",
            1,
            &[Completed, InProgress],
            How::Attempt { exit: ExitKind::Code(0), info: InfoFile::Unreadable("it is truncated".into()), stop: None },
        ),
        way("the scan took too long", 1, &[Completed, InProgress], stopped(StopCause::TimedOut)),
        way("the scanner hung", 0, &[InProgress, Pending], stopped(StopCause::Stalled)),
        way("cancelled while it ran", 1, &[Completed, InProgress], stopped(StopCause::Cancel)),
        way("cancelled before it started", 0, &[], How::CancelledWaiting),
        way("its node was lost", 1, &[Completed, InProgress], How::NodeLost),
    ]
}

impl Way {
    /// Returns the request of the scan.
    #[must_use]
    pub fn request(&self) -> ScanRequest {
        let mut request = fixtures::request("example.com");
        request.options.plugins.clone_from(&self.selected);
        request.options.dry_run = self.dry_run;
        request
    }

    /// Runs the scan to its end in a store and returns its row.
    pub async fn play(&self, store: &(impl ScanRepository + NodeRegistry)) -> ScanRecord {
        let scan = NewScan { request: self.request(), ..fixtures::new_scan("example.com") };
        let record = store.submit(scan).await.unwrap().into_record();
        let apply = async |command| match store.apply(record.id, command).await.unwrap() {
            Applied::Committed(record) => record,
            other => panic!("{}: {other:?}", self.name),
        };
        let (exit, info, stop) = match &self.how {
            How::CancelledWaiting => {
                return apply(Command::Cancel { by: CancelledBy::User, principal: Principal::Anonymous }).await;
            }
            How::NodeLost => (ExitKind::Unknown, InfoFile::Missing, None),
            How::Attempt { exit, info, stop } => (*exit, info.clone(), *stop),
        };
        let node = fixtures::registration("node-a");
        let id = node.id.clone();
        store.register(node, Duration::from_secs(3_600)).await.unwrap();
        let running = apply(Command::Lease { node: id.clone() }).await;
        apply(Command::Progress { token: running.token, scanner: None, plugins: self.plugins.clone() }).await;
        if matches!(self.how, How::NodeLost) {
            let failure = Failure::new(FailureKind::NodeLost, "node node-a lost its lease");
            return apply(Command::Rescue { from: id, token: running.token, resolution: Resolution::Fail(failure) })
                .await;
        }
        let report =
            AttemptReport { exit, info, plugins: self.plugins.clone(), last_words: String::new(), notes: Vec::new() };
        let (resolution, plugins) = match classify(&report, stop, self.dry_run) {
            AttemptEnd::Completed(verdict) => (Resolution::Complete(verdict.clone()), verdict.plugins),
            AttemptEnd::Failed(failure) => (Resolution::Fail(failure), report.plugins),
            AttemptEnd::Cancelled => (Resolution::Cancel(CancelledBy::User), report.plugins),
            AttemptEnd::Interrupted { why, .. } => panic!("{}: {why}", self.name),
        };
        apply(Command::Finish { token: running.token, resolution, plugins: Some(plugins) }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::ScanStatus;
    use crate::testing::{MemoryStore, PausedClock};

    #[tokio::test]
    async fn unchecked_scan_is_never_complete() {
        let store = MemoryStore::new(Arc::new(PausedClock::default()));
        for way in ways() {
            let record = way.play(&store).await;
            let coverage = record.coverage();
            assert!(record.status().is_terminal(), "{}", way.name);
            assert!(!coverage.is_complete() && coverage.unfinished().is_empty(), "{}: {coverage:?}", way.name);
            assert_eq!(coverage.ran(), way.ran, "{}: {coverage:?}", way.name);
            assert_eq!(coverage.nothing_checked(), way.ran == 0, "{}", way.name);
            assert!(coverage.gaps() > 0 || coverage.nothing_checked(), "{}: {coverage:?}", way.name);
            assert!(record.plugins.iter().all(|plugin| plugin.status.is_final()), "{}", way.name);
            // If nothing was checked, only a dry run has completed.
            assert!(way.ran > 0 || way.dry_run || record.status() != ScanStatus::Completed, "{}", way.name);
        }
    }
}
