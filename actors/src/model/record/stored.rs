//! How a row is read, whichever version wrote it.
//!
//! - The plugins of a completed scan stand in the row once. Earlier versions had a second list, in
//!   the state's `verdict`, which counted where it was not empty.
//! - No plugin of an ended attempt is unfinished.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{AttemptRecord, ScanRecord, ScanState};
use crate::model::{
    CancelledBy, FencingToken, PluginResult, ProjectId, ResultSummary, ScanId, ScanRequest, TraceContext, Verdict,
    end_with_attempt,
};

#[derive(Deserialize)]
struct StoredRecord {
    id: ScanId,
    request: ScanRequest,
    #[serde(default)]
    left_out: Vec<String>,
    state: StoredState,
    token: FencingToken,
    version: u64,
    failures: u32,
    #[serde(default)]
    cancel_requested: Option<CancelledBy>,
    #[serde(default)]
    attempts: Vec<AttemptRecord>,
    #[serde(default)]
    plugins: Vec<PluginResult>,
    created_at: Timestamp,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    idempotency_key: Option<String>,
    trace: TraceContext,
    #[serde(default)]
    rerun_of: Option<ScanId>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    project: ProjectId,
}

/// A state, and the results that earlier versions kept in it.
#[derive(Deserialize)]
struct StoredState {
    #[serde(flatten)]
    state: ScanState,
    #[serde(default)]
    verdict: Option<Verdict>,
}

impl<'de> Deserialize<'de> for ScanRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StoredRecord::deserialize(deserializer).map(Self::from)
    }
}

impl From<StoredRecord> for ScanRecord {
    fn from(stored: StoredRecord) -> Self {
        let StoredState { state, verdict } = stored.state;
        let mut record = Self {
            id: stored.id,
            request: stored.request,
            left_out: stored.left_out,
            state,
            token: stored.token,
            version: stored.version,
            failures: stored.failures,
            cancel_requested: stored.cancel_requested,
            attempts: stored.attempts,
            plugins: stored.plugins,
            created_at: stored.created_at,
            started_at: stored.started_at,
            idempotency_key: stored.idempotency_key,
            trace: stored.trace,
            rerun_of: stored.rerun_of,
            owner: stored.owner,
            project: stored.project,
        };
        let dry_run = verdict.as_ref().is_some_and(|verdict| verdict.dry_run);
        let is_earlier = verdict.is_some();
        if let Some(verdict) = verdict.filter(|verdict| !verdict.plugins.is_empty()) {
            record.plugins = verdict.plugins;
        }
        end_plugins(&mut record);
        if let ScanState::Completed { summary, .. } = &mut record.state
            && is_earlier
        {
            *summary = ResultSummary::of(&record.plugins, dry_run);
        }
        record
    }
}

/// Moves each unfinished plugin of an ended attempt to its final state.
fn end_plugins(record: &mut ScanRecord) {
    if matches!(record.state, ScanState::Running { .. }) {
        return;
    }
    let ended = record.attempts.last().and_then(|attempt| attempt.ended_at);
    if let Some(at) = ended.or_else(|| record.ended_at()) {
        end_with_attempt(&mut record.plugins, at);
    }
}
