//! Maps scans to their trace and attempt, for log lines that name a scan: actors log the scan id
//! outside of spans.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kastrel_actors::model::{ScanId, ScanRecord, TraceContext};

use super::catalog::span;
use super::ids;

/// The maximum number of scans in the index. The lowest ids are removed first.
const KEPT: usize = 4_096;

/// The data that log lines of a scan carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanPlace {
    /// The start of its last attempt, or its submission.
    pub(crate) trace: TraceContext,
    /// The number of its last attempt.
    pub(crate) attempt: Option<u32>,
}

/// The index; see the module docs.
#[derive(Debug, Default)]
pub(crate) struct ScanTraceIndex(Mutex<BTreeMap<ScanId, ScanPlace>>);

impl ScanTraceIndex {
    /// Records the trace and the attempt of a scan.
    pub(crate) fn note(&self, row: &ScanRecord) {
        let attempt = row.last_attempt();
        let place = ScanPlace {
            trace: attempt.map_or(row.trace, |attempt| ids::of_attempt(row.trace, span::ATTEMPT_START, attempt.token)),
            attempt: attempt.map(|attempt| attempt.number.0),
        };
        let mut trace_index = self.trace_index();
        trace_index.insert(row.id, place);
        if trace_index.len() > KEPT {
            trace_index.pop_first();
        }
    }

    pub(crate) fn of(&self, id: u64) -> Option<ScanPlace> {
        self.trace_index().get(&ScanId(id)).copied()
    }

    fn trace_index(&self) -> MutexGuard<'_, BTreeMap<ScanId, ScanPlace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
