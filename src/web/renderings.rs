//! Renderings that viewers share: one viewer renders a change, and all others of the same time zone
//! and the same rights get the result.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::HeaderMap;
use kastrel_actors::model::ScanSnapshot;
use tokio::time::Instant;

/// The maximum number of renderings without a reader. A rendering has some 100 KB.
const KEPT: usize = 64;

/// The place of one rendering. Its lock is held while it is rendered, so that other viewers wait
/// for the result instead of rendering the same.
pub(crate) type Slot<T> = tokio::sync::Mutex<Option<T>>;

/// The renderings by key.
pub(crate) struct SharedRenderings<T>(Mutex<HashMap<String, Arc<Slot<T>>>>);

impl<T> Default for SharedRenderings<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> SharedRenderings<T> {
    /// Returns the slot of a key. The key names all that the rendering depends on, besides the
    /// change itself.
    pub(crate) fn slot(&self, key: String) -> Arc<Slot<T>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT && !slots.contains_key(&key) {
            // A slot in use has a second owner.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// The fragment of a page: what the page requests of itself when scans have changed.
pub(crate) struct Fragment {
    /// The revision of the change log before the page was read.
    pub(crate) revision: u64,
    pub(crate) made_at: Instant,
    pub(crate) headers: HeaderMap,
    pub(crate) html: Bytes,
}

/// A part of a scan's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PagePart {
    /// The id of the element that holds the part.
    pub(crate) id: &'static str,
    /// The content of that element.
    pub(crate) html: String,
    /// Differs if the part differs.
    pub(crate) mark: u64,
}

impl PagePart {
    pub(crate) fn new(id: &'static str, html: String) -> Self {
        Self { id, mark: fingerprint(html.as_bytes()), html }
    }
}

/// The parts of a scan's page for one state of the scan.
pub(crate) struct RenderedScan {
    pub(crate) scan: Arc<ScanSnapshot>,
    /// The status of the scan, which also has the reason why it waits.
    pub(crate) status: Bytes,
    pub(crate) parts: Arc<[PagePart]>,
}

/// Returns a number that differs for different bytes, but for accidents that cost one update of a
/// page.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_in_use_are_kept_and_the_others_are_bounded() {
        let renderings = SharedRenderings::<u32>::default();
        let used = renderings.slot("used".into());
        *used.try_lock().unwrap() = Some(7);
        for number in 0..10 * KEPT {
            renderings.slot(number.to_string());
        }
        assert!(renderings.0.lock().unwrap().len() <= KEPT + 1);
        assert_eq!(*renderings.slot("used".into()).try_lock().unwrap(), Some(7));
    }
}
