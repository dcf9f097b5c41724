//! A sender for tests, which keeps the mails.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::mailer::{Mail, MailError, Mailer};

/// Keeps mails in place of sending them, or refuses them.
#[derive(Debug, Default)]
pub(crate) struct MemoryMailer {
    sent: Mutex<Vec<Mail>>,
    is_down: AtomicBool,
}

impl MemoryMailer {
    /// Returns the mails since the last call.
    pub(crate) fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.sent())
    }

    /// Refuses all mails from now on.
    pub(crate) fn refuse(&self) {
        self.is_down.store(true, Ordering::SeqCst);
    }

    fn sent(&self) -> MutexGuard<'_, Vec<Mail>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Mailer for MemoryMailer {
    async fn send(&self, mail: Mail) -> Result<(), MailError> {
        self.check().await?;
        self.sent().push(mail);
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        if self.is_down.load(Ordering::SeqCst) { Err(MailError::Refused("421 closed".into())) } else { Ok(()) }
    }
}
