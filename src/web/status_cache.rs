//! A cache of the JSON of scans' statuses. A scan that many pages watch is serialized once for each
//! change, not once for each request or event stream.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use kastrel_actors::model::{ScanId, ScanSnapshot};

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
    /// Returns the JSON response for exactly this snapshot, which `write` serializes if it is not
    /// cached.
    pub(crate) fn json<E>(
        &self,
        scan: &Arc<ScanSnapshot>,
        write: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Bytes, E> {
        if let Some(json) = self.known(scan) {
            return Ok(json);
        }
        let json = Bytes::from(write()?);
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
    use crate::api_types::StatusBody;
    use crate::web::api::status::to_json;

    fn snapshot(id: u64, failures: u32) -> Arc<ScanSnapshot> {
        let mut record = fixtures::record(id, Timestamp::UNIX_EPOCH);
        record.cancel_requested = (failures > 0).then_some(kastrel_actors::model::CancelledBy::User);
        Arc::new(ScanSnapshot::of(record))
    }

    fn json(cache: &StatusCache, scan: &Arc<ScanSnapshot>) -> Bytes {
        cache.json(scan, || to_json(&StatusBody::new(scan, None, 3, |_| None))).unwrap()
    }

    #[test]
    fn cached_response_is_reused_for_the_same_snapshot_only() {
        let cache = StatusCache::default();
        let scan = snapshot(1, 0);
        let first = json(&cache, &scan);
        assert_eq!(json(&cache, &scan).as_ptr(), first.as_ptr());
        assert_ne!(json(&cache, &snapshot(1, 1)), first);
        assert_eq!(json(&cache, &scan), first);
    }

    #[test]
    fn cache_size_is_bounded() {
        let cache = StatusCache::default();
        for id in 0..(KEPT as u64 + 10) {
            json(&cache, &snapshot(id, 0));
        }
        assert!(cache.0.read().unwrap().len() <= KEPT);
    }
}
