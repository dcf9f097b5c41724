//! Public links of scans in memory.

use super::*;
use crate::model::{PublicLink, PublicLinkId, SecretDigest};
use crate::ports::PublicLinkStore;

/// The rows of public links.
pub(super) type PublicLinkRows = BTreeMap<SecretDigest, PublicLink>;

impl State {
    /// Keeps what happened to a scan, which no consumer gets.
    pub(super) fn note_about(&mut self, at: Timestamp, principal: Principal, scan: ScanId, event: DomainEvent) {
        if !self.forgetful {
            self.audit.push(AuditEntry { at, principal, scan: Some(scan), event });
        }
    }
}

#[async_trait]
impl PublicLinkStore for MemoryStore {
    async fn create_public_link(&self, link: PublicLink, project: &ProjectId) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.scans.get(&link.scan).is_none_or(|scan| scan.project != *project) {
            return Ok(false);
        }
        let event = DomainEvent::PublicLinkCreated { link: link.id.clone(), expires_at: link.expires_at };
        state.note_about(self.clock.now(), link.created_by.clone(), link.scan, event);
        state.public_links.insert(link.key, link);
        Ok(true)
    }

    async fn public_links(&self, scan: ScanId) -> Result<Vec<PublicLink>, StoreError> {
        let mut all: Vec<PublicLink> =
            self.state().public_links.values().filter(|link| link.scan == scan).cloned().collect();
        all.sort_by_key(|link| (std::cmp::Reverse(link.created_at), link.id.clone()));
        Ok(all)
    }

    async fn public_link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PublicLink>, StoreError> {
        Ok(self.state().public_links.get(&key).filter(|link| link.expires_at > at).cloned())
    }

    async fn open_public_link(
        &self,
        link: &PublicLink,
        at: Timestamp,
        address: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(found) = state.public_links.get_mut(&link.key).filter(|found| found.expires_at > at) else {
            return Ok(false);
        };
        found.opened += 1;
        found.opened_at = found.opened_at.max(Some(at));
        if let Some(address) = address {
            let event = DomainEvent::PublicLinkOpened { link: link.id.clone(), address: address.to_owned() };
            state.note_about(self.clock.now(), Principal::Link(link.id.clone()), link.scan, event);
        }
        Ok(true)
    }

    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        let before = state.public_links.len();
        state.public_links.retain(|_, link| link.scan != scan || link.id != *id);
        let is_gone = state.public_links.len() < before;
        if is_gone {
            let event = DomainEvent::PublicLinkRevoked { link: id.clone() };
            state.note_about(self.clock.now(), by.clone(), scan, event);
        }
        Ok(is_gone)
    }
}
