//! The clearances of targets.

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{Clearance, Host, HostPattern, Principal, ProjectId};

/// Keeps the clearances of each project. Each change writes its entry of the audit log in the same
/// transaction. The callers give the times, by their own clocks.
#[async_trait]
pub trait ClearanceStore: Send + Sync + 'static {
    /// Returns the clearances of a project, by pattern.
    async fn clearances(&self, project: &ProjectId) -> Result<Vec<Clearance>, StoreError>;

    /// Returns the clearances of a project whose patterns cover a host, by pattern. Each start of a
    /// scan calls this.
    async fn clearances_for(&self, project: &ProjectId, host: &Host) -> Result<Vec<Clearance>, StoreError>;

    /// Sets a clearance in place of an earlier one of the same project and pattern. The entry of
    /// the audit log is of the principal who authorised it. The same clearance once more is an
    /// authorisation of its own, with an entry of its own.
    async fn set_clearance(&self, clearance: Clearance) -> Result<(), StoreError>;

    /// Removes a clearance. Returns `false`, and writes no entry, if it does not exist.
    async fn remove_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        by: &Principal,
    ) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: ClearanceStore + ?Sized, H: CallHook> ClearanceStore for Hooked<S, H> {
    async fn clearances(&self, project: &ProjectId) -> Result<Vec<Clearance>, StoreError> {
        self.hook.around("clearances", self.inner.clearances(project)).await
    }

    async fn clearances_for(&self, project: &ProjectId, host: &Host) -> Result<Vec<Clearance>, StoreError> {
        self.hook.around("clearances_for", self.inner.clearances_for(project, host)).await
    }

    async fn set_clearance(&self, clearance: Clearance) -> Result<(), StoreError> {
        self.hook.around("set_clearance", self.inner.set_clearance(clearance)).await
    }

    async fn remove_clearance(
        &self,
        project: &ProjectId,
        pattern: &HostPattern,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("remove_clearance", self.inner.remove_clearance(project, pattern, by)).await
    }
}
