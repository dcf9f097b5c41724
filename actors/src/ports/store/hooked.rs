//! One decorator for all store ports: a hook runs around each call. Telemetry measures with it, and
//! tests inject faults with it. The file of each port passes its methods through the hook; those of
//! the rows of scans are here, because their hooks get the command and its result.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Applied, ScanRepository, StoreError};
use crate::model::{Command, Deleted, LeaseResult, NewScan, Principal, ScanId, ScanRecord, Submitted};

/// Runs around the calls of a store.
pub trait CallHook: Send + Sync + 'static {
    /// The state between [`before_submit`](Self::before_submit) and
    /// [`after_submit`](Self::after_submit).
    type Submission: Send;
    /// The state between [`before_apply`](Self::before_apply) and
    /// [`after_apply`](Self::after_apply).
    type Change: Send;

    /// Runs a call, whose name is `operation`. May delay it, fail it, or drop its result.
    fn around<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// A scan is about to be submitted. The hook may set its trace context, which the row keeps.
    fn before_submit(&self, scan: &mut NewScan) -> Self::Submission;

    /// A scan was submitted, or not.
    fn after_submit(&self, opened: Self::Submission, answer: &Result<Submitted, StoreError>);

    /// A command is about to be applied.
    fn before_apply(&self, command: &Command) -> Self::Change;

    /// A command was applied, or not.
    fn after_apply(&self, opened: Self::Change, answer: &Result<Applied, StoreError>);

    /// A node is about to register: it holds no lease any more.
    fn before_register(&self) {}

    /// A node has requested or renewed its lease.
    fn after_renewal(&self, _result: LeaseResult) {}

    /// A node has given its lease back.
    fn after_remove(&self) {}
}

/// A store port with a hook around each call.
#[derive(Debug)]
pub(crate) struct Hooked<S: ?Sized, H> {
    pub(super) hook: Arc<H>,
    pub(super) inner: Arc<S>,
}

impl<S: ?Sized, H> Hooked<S, H> {
    pub(crate) fn new(inner: Arc<S>, hook: &Arc<H>) -> Self {
        Self { hook: Arc::clone(hook), inner }
    }
}

#[async_trait]
impl<S: ScanRepository + ?Sized, H: CallHook> ScanRepository for Hooked<S, H> {
    async fn submit(&self, mut scan: NewScan) -> Result<Submitted, StoreError> {
        let opened = self.hook.before_submit(&mut scan);
        let answer = self.hook.around("submit", self.inner.submit(scan)).await;
        self.hook.after_submit(opened, &answer);
        answer
    }

    async fn submitted(&self, key: &str) -> Result<Option<ScanRecord>, StoreError> {
        self.hook.around("submitted", self.inner.submitted(key)).await
    }

    async fn get(&self, id: ScanId) -> Result<Option<ScanRecord>, StoreError> {
        self.hook.around("get", self.inner.get(id)).await
    }

    async fn apply(&self, id: ScanId, command: Command) -> Result<Applied, StoreError> {
        let (operation, opened) = (command.name(), self.hook.before_apply(&command));
        let answer = self.hook.around(operation, self.inner.apply(id, command)).await;
        self.hook.after_apply(opened, &answer);
        answer
    }

    async fn delete(&self, id: ScanId, by: &Principal) -> Result<Deleted, StoreError> {
        self.hook.around("delete", self.inner.delete(id, by)).await
    }
}
