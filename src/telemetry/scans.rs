//! Which trace and attempt a scan is in, for log lines that name a scan: actors log its number and
//! know nothing of spans.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kastrel_actors::model::{ScanId, ScanRecord, TraceContext};

use super::catalog::span;
use super::ids;

/// So many scans are remembered; the oldest are forgotten first.
const KEPT: usize = 4_096;

/// What log lines of a scan carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScanPlace {
    /// The beginning of its last attempt, or its submission.
    pub(crate) trace: TraceContext,
    /// Its last attempt.
    pub(crate) attempt: Option<u32>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ScanTraceIndex(Mutex<BTreeMap<ScanId, ScanPlace>>);

impl ScanTraceIndex {
    /// Notes where a scan is.
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
