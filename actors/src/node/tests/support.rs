//! What the tests of the actor tree share.

use std::time::Duration;

use crate::model::{AttemptEnd, ScanRecord};
use crate::testing::{Cluster, Script, ScriptedRunner, fixtures};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn always(script: Script) -> ScriptedRunner {
    ScriptedRunner::new(move |_| script)
}

pub(super) fn ends(row: &ScanRecord) -> Vec<String> {
    row.attempts
        .iter()
        .map(|attempt| match &attempt.end {
            None => "running".into(),
            Some(AttemptEnd::Completed(_)) => "completed".into(),
            Some(AttemptEnd::Failed(failure)) => failure.kind.to_string(),
            Some(AttemptEnd::Interrupted { why, .. }) => why.to_string(),
            Some(AttemptEnd::Cancelled) => "cancelled".into(),
        })
        .collect()
}

/// Drains the node `a` within this time, or ends its drain. Returns true if the node exists.
pub(super) async fn drain(cluster: &Cluster, within: Option<Duration>) -> bool {
    let (nodes, context, id) = (&cluster.services.nodes, fixtures::context(), "a".parse().unwrap());
    let node = match within {
        Some(within) => nodes.drain(&context, &id, Some(within)).await.unwrap(),
        None => nodes.undo_drain(&context, &id).await.unwrap(),
    };
    node.is_some()
}
