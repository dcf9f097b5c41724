//! A process that dies at a chosen step of a delivery, as with `kill -9`: a fuse that counts steps,
//! as a hook around the calls of a store, and a consumer that records what it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::model::{Command, DomainEvent, NewScan, OutboxEntry, OutboxKey, Submitted};
use crate::ports::{Applied, CallHook, DeliveryError, EventConsumer, StoreError};

/// A point at which a process can die: a call, and whether its effect has happened.
pub type Step = (&'static str, bool);

/// The number of steps that a process still makes.
#[derive(Default)]
pub struct Fuse {
    left: AtomicUsize,
    burnt: Notify,
    died: Mutex<BTreeSet<Step>>,
}

impl Fuse {
    /// Lets the process die after this number of steps.
    pub fn set(&self, steps: usize) {
        self.left.store(steps, Ordering::SeqCst);
    }

    /// Waits until the process is dead.
    pub async fn burnt(&self) {
        self.burnt.notified().await;
    }

    /// Returns the steps at which a process has died so far.
    #[must_use]
    pub fn died(&self) -> BTreeSet<Step> {
        self.died.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call. A process can die before its effect, and between the effect and the answer; it
    /// then never returns.
    pub async fn step_around<T>(&self, call: &'static str, effect: impl Future<Output = T>) -> T {
        self.step((call, false)).await;
        let answer = effect.await;
        self.step((call, true)).await;
        answer
    }

    async fn step(&self, step: Step) {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            self.died.lock().unwrap_or_else(PoisonError::into_inner).insert(step);
            self.burnt.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

impl CallHook for Fuse {
    type Submission = ();
    type Change = ();

    async fn around<T: Send>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.step_around(operation, call).await
    }

    fn before_submit(&self, _scan: &mut NewScan) {}

    fn after_submit(&self, (): (), _answer: &Result<Submitted, StoreError>) {}

    fn before_apply(&self, _command: &Command) {}

    fn after_apply(&self, (): (), _answer: &Result<Applied, StoreError>) {}
}

/// A consumer that records what it gets, and refuses what a test says.
#[derive(Default)]
pub struct Recorder {
    seen: Mutex<BTreeMap<OutboxKey, u32>>,
    refused: Mutex<BTreeMap<OutboxKey, bool>>,
    fuse: Option<Arc<Fuse>>,
}

impl Recorder {
    /// Creates the recorder of a process that can die.
    #[must_use]
    pub fn mortal(fuse: Arc<Fuse>) -> Self {
        Self { fuse: Some(fuse), ..Self::default() }
    }

    /// Refuses an entry from now on; `is_permanent`: no later try can succeed.
    pub fn refuse(&self, key: OutboxKey, is_permanent: bool) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(key, is_permanent);
    }

    /// Accepts everything again.
    pub fn accept_all(&self) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns how often each entry was accepted.
    #[must_use]
    pub fn seen(&self) -> BTreeMap<OutboxKey, u32> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accept(&self, entries: &[OutboxEntry]) -> Result<(), DeliveryError> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(is_permanent) = entries.iter().find_map(|entry| refused.get(&entry.key).copied()) {
            return Err(DeliveryError { reason: "refused".into(), is_permanent });
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            *seen.entry(entry.key).or_default() += 1;
        }
        Ok(())
    }
}

#[async_trait]
impl EventConsumer for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    fn wants(&self, _: &DomainEvent) -> bool {
        true
    }

    async fn consume(&self, entries: &[OutboxEntry]) -> Result<(), DeliveryError> {
        match &self.fuse {
            None => self.accept(entries),
            Some(fuse) => fuse.step_around("deliver", async { self.accept(entries) }).await,
        }
    }
}
