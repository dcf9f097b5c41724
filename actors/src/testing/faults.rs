//! Injects faults into the calls of a store, as a hook around each call.

use std::sync::Arc;
use std::time::Duration;

use crate::model::{Command, NewScan, Submitted};
use crate::ports::{Applied, CallHook, StoreError};

/// The fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No fault.
    None,
    /// The call takes this long.
    Slow(Duration),
    /// The call fails and changes nothing.
    Unreachable,
    /// The call finds a row that cannot be read.
    Corrupt,
    /// The call is committed, but returns an error.
    LostAnswer,
    /// The call is committed after this time, but never returns.
    Silent(Duration),
}

/// A hook that gives each call the fault that a function chooses.
pub struct Faults(Box<dyn Fn() -> Fault + Send + Sync>);

impl Faults {
    /// Creates the hook; `choose` selects the fault of each call.
    pub fn new(choose: impl Fn() -> Fault + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self(Box::new(choose)))
    }
}

impl CallHook for Faults {
    type Submission = ();
    type Change = ();

    async fn around<T: Send>(
        &self,
        _operation: &'static str,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let lost = || StoreError::Unavailable("an injected fault".into());
        match (self.0)() {
            Fault::None => call.await,
            Fault::Slow(wait) => {
                tokio::time::sleep(wait).await;
                call.await
            }
            Fault::Unreachable => Err(lost()),
            Fault::Corrupt => Err(StoreError::Corrupt("an injected row that cannot be read".into())),
            Fault::LostAnswer => {
                call.await?;
                Err(lost())
            }
            Fault::Silent(wait) => {
                tokio::time::sleep(wait).await;
                call.await?;
                std::future::pending().await
            }
        }
    }

    fn before_submit(&self, _scan: &mut NewScan) {}

    fn after_submit(&self, (): (), _answer: &Result<Submitted, StoreError>) {}

    fn before_apply(&self, _command: &Command) {}

    fn after_apply(&self, (): (), _answer: &Result<Applied, StoreError>) {}
}
