//! Observes Redis calls whose result no port returns: the bus discards errors, and the feed sends
//! asynchronously.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::error::CallError;

type Told = dyn Fn(&'static str, Option<&'static str>, Duration) + Send + Sync;

/// A callback for each published message. Its arguments are the operation, the kind of error if the
/// call failed, and the duration.
#[derive(Clone, Default)]
pub struct CallObserver(Option<Arc<Told>>);

impl CallObserver {
    /// Creates an observer from a callback.
    #[must_use]
    pub fn new(told: impl Fn(&'static str, Option<&'static str>, Duration) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(told)))
    }

    pub(super) async fn timed<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let began = Instant::now();
        let answer = call.await;
        if let Some(told) = &self.0 {
            told(operation, answer.is_err().then_some("unavailable"), began.elapsed());
        }
        answer
    }
}

impl fmt::Debug for CallObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallObserver").field(&self.0.is_some()).finish()
    }
}
