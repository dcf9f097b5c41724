//! A cache of the status route's JSON responses. A scan that many pages watch is serialized once
//! for each change, not once for each request.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use kastrel_actors::model::{ScanId, ScanSnapshot};

use super::status::StatusBody;
use crate::config::TraceUrl;
use crate::web::error::Problem;

/// The maximum number of cached responses: more scans than users watch at once, and at most a few
/// megabytes.
const KEPT: usize = 512;

/// The cached responses by scan. See the module documentation.
#[derive(Default)]
pub(crate) struct StatusCache(RwLock<HashMap<ScanId, Written>>);

/// A response and the snapshot that it shows. The entry holds the snapshot, so that no other
/// snapshot gets the same address while the entry exists.
struct Written {
    scan: Arc<ScanSnapshot>,
    json: Bytes,
}

impl StatusCache {
    /// Returns the JSON response for exactly this snapshot.
    pub(crate) fn json(
        &self,
        scan: &Arc<ScanSnapshot>,
        max_attempts: u32,
        trace_url: Option<&TraceUrl>,
    ) -> Result<Bytes, Problem> {
        if let Some(json) = self.known(scan) {
            return Ok(json);
        }
        let json = Bytes::from(StatusBody::new(scan, None, max_attempts, trace_url).json()?);
        let mut written = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= KEPT && !written.contains_key(&scan.record.id) {
            written.clear();
        }
        written.insert(scan.record.id, Written { scan: scan.clone(), json: json.clone() });
        Ok(json)
    }

    fn known(&self, scan: &Arc<ScanSnapshot>) -> Option<Bytes> {
        let written = self.0.read().unwrap_or_else(PoisonError::into_inner);
        written.get(&scan.record.id).filter(|known| Arc::ptr_eq(&known.scan, scan)).map(|known| known.json.clone())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use kastrel_actors::testing::fixtures;

    use super::*;

    fn snapshot(id: u64, failures: u32) -> Arc<ScanSnapshot> {
        let mut record = fixtures::record(id, Timestamp::UNIX_EPOCH);
        record.cancel_requested = (failures > 0).then_some(kastrel_actors::model::CancelledBy::User);
        Arc::new(ScanSnapshot::of(record))
    }

    #[test]
    fn cached_response_is_reused_for_the_same_snapshot_only() {
        let cache = StatusCache::default();
        let scan = snapshot(1, 0);
        let first = cache.json(&scan, 3, None).unwrap();
        assert_eq!(cache.json(&scan, 3, None).unwrap().as_ptr(), first.as_ptr());
        assert_ne!(cache.json(&snapshot(1, 1), 3, None).unwrap(), first);
        assert_eq!(cache.json(&scan, 3, None).unwrap(), first);
    }

    #[test]
    fn cache_size_is_bounded() {
        let cache = StatusCache::default();
        for id in 0..(KEPT as u64 + 10) {
            cache.json(&snapshot(id, 0), 3, None).unwrap();
        }
        assert!(cache.0.read().unwrap().len() <= KEPT);
    }
}
