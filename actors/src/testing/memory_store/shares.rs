//! Shares of scans in memory.

use super::*;
use crate::model::{Grantee, Share, ShareCreated};
use crate::ports::ShareStore;

/// The rows of shares.
pub(super) type ShareRows = BTreeMap<(Grantee, ScanId), Share>;

#[async_trait]
impl ShareStore for MemoryStore {
    async fn create_share(&self, share: Share, project: &ProjectId, most: usize) -> Result<ShareCreated, StoreError> {
        let mut state = self.state();
        if state.scans.get(&share.scan).is_none_or(|scan| scan.project != *project) {
            return Ok(ShareCreated::NoScan);
        }
        let others = state.shares.values().filter(|other| {
            other.grantee == share.grantee && other.scan != share.scan && other.is_current(share.created_at)
        });
        if others.count() >= most {
            return Ok(ShareCreated::TooMany);
        }
        let event = DomainEvent::ScanShared {
            grantee: share.grantee.clone(),
            right: share.right,
            expires_at: share.expires_at,
        };
        state.note_about(self.clock.now(), share.created_by.clone(), share.scan, event);
        state.shares.insert((share.grantee.clone(), share.scan), share);
        Ok(ShareCreated::Created)
    }

    async fn shares_of_scan(&self, scan: ScanId) -> Result<Vec<Share>, StoreError> {
        let mut all: Vec<Share> = self.state().shares.values().filter(|share| share.scan == scan).cloned().collect();
        all.sort_by_key(|share| (std::cmp::Reverse(share.created_at), share.grantee.clone()));
        Ok(all)
    }

    async fn shares_with(&self, grantees: &[Grantee], at: Timestamp) -> Result<Vec<Share>, StoreError> {
        let mut state = self.state();
        state.count("shares_with");
        let wanted = state.shares.values().filter(|share| grantees.contains(&share.grantee) && share.is_current(at));
        let mut all: Vec<Share> = wanted.cloned().collect();
        all.sort_by_key(|share| (std::cmp::Reverse(share.scan), share.grantee.clone()));
        Ok(all)
    }

    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_gone = state.shares.remove(&(grantee.clone(), scan)).is_some();
        if is_gone {
            let event = DomainEvent::ShareRevoked { grantee: grantee.clone() };
            state.note_about(self.clock.now(), by.clone(), scan, event);
        }
        Ok(is_gone)
    }
}
