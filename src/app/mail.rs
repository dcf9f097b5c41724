//! The sender of mails, and the task that sends what the access service has to send.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::AppError;
use crate::adapters::mail::SmtpMailer;
use crate::config::Config;
use crate::ports::Mailer;
use crate::service::access::{AccessService, MailSettings};

/// How long the stop waits for the mails that are left.
const LAST_MAILS: Duration = Duration::from_secs(5);

/// Returns the sender of mails; `None` if the server sends none.
///
/// # Errors
/// The settings cannot be used.
pub fn mailer(config: &Config) -> Result<Option<Arc<dyn Mailer>>, AppError> {
    let (Some(url), Some(from)) = (&config.mail.smtp_url, &config.mail.from) else { return Ok(None) };
    let mailer = SmtpMailer::new(url.expose(), (from.name(), from.address()), config.mail.timeout_seconds)?;
    Ok(Some(Arc::new(mailer)))
}

/// The task that sends mails.
pub(super) struct RunningMails {
    access: AccessService,
    task: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl RunningMails {
    /// Adds the sending of mails to the access service, if it is configured.
    ///
    /// # Errors
    /// The settings cannot be used.
    pub(super) fn start(config: &Config, access: AccessService) -> Result<(AccessService, Option<Self>), AppError> {
        let (Some(mailer), Some(url)) = (mailer(config)?, &config.server.public_url) else {
            return Ok((access, None));
        };
        let (access, jobs) = access.with_mail(MailSettings { mailer, url: url.to_string() });
        let task = AbortOnDropHandle::new(tokio::spawn(access.clone().carry_out(jobs)));
        Ok((access.clone(), Some(Self { access, task: Mutex::new(Some(task)) })))
    }

    /// Sends what is left, within a time limit, and ends the task.
    pub(super) async fn stop(&self) {
        self.access.finish_mails(LAST_MAILS).await;
        drop(self.task.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
