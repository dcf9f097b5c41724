//! Clearances in memory.

use super::*;
use crate::model::{Clearance, Host, HostPattern};
use crate::ports::ClearanceStore;

/// The rows of clearances.
pub(super) type ClearanceRows = BTreeMap<(ProjectId, HostPattern), Clearance>;

impl MemoryStore {
    fn clearances_where(&self, is_wanted: impl Fn(&Clearance) -> bool) -> Vec<Clearance> {
        self.state().clearances.values().filter(|clearance| is_wanted(clearance)).cloned().collect()
    }
}

#[async_trait]
impl ClearanceStore for MemoryStore {
    async fn clearances(&self, project: &ProjectId) -> Result<Vec<Clearance>, StoreError> {
        Ok(self.clearances_where(|clearance| clearance.project == *project))
    }

    async fn clearances_for(&self, project: &ProjectId, host: &Host) -> Result<Vec<Clearance>, StoreError> {
        Ok(self.clearances_where(|clearance| clearance.project == *project && clearance.pattern.covers(host)))
    }

    async fn set_clearance(&self, clearance: Clearance) -> Result<(), StoreError> {
        let mut state = self.state();
        let Clearance { project, pattern, level, authorised_by, until, text, .. } = clearance.clone();
        state.clearances.insert((project.clone(), pattern.clone()), clearance);
        let event = DomainEvent::ClearanceSet { project, pattern, level, until, text };
        state.note(self.clock.now(), authorised_by, None, event);
        Ok(())
    }

    async fn remove_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let is_gone = state.clearances.remove(&(project.clone(), pattern.clone())).is_some();
        if is_gone {
            let event = DomainEvent::ClearanceRemoved { project: project.clone(), pattern: pattern.clone() };
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(is_gone)
    }
}
