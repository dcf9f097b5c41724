//! Mails of the access service: the task that sends them, and the notices of changes.
//!
//! A mail is tried once. Its loss is logged, without its text, and never fails a change that was
//! committed.

use std::time::Duration;

use kastrel_actors::model::{Account, AccountName, MailAddress};
use tokio::sync::mpsc;

use super::AccessService;
use super::mail_texts::{self, Notice};
use super::mails::{Job, MailJobs, MailSettings, Mails};
use crate::ports::Mail;

/// The error of an operation that needs mails.
pub(super) const NO_MAIL: &str = "this server sends no mails: its administrator sets mail.smtp_url";

impl AccessService {
    /// Returns the service with mails, and the jobs that [`carry_out`](Self::carry_out) takes.
    #[must_use]
    pub fn with_mail(self, settings: MailSettings) -> (Self, MailJobs) {
        let (mails, jobs) = Mails::new(settings);
        (Self { mails: Some(std::sync::Arc::new(mails)), ..self }, jobs)
    }

    /// Returns true if the server sends mails.
    #[must_use]
    pub const fn has_mail(&self) -> bool {
        self.mails.is_some()
    }

    /// Returns true if the server mails links for a forgotten password: it sends mails, and
    /// passwords are accepted.
    #[must_use]
    pub fn mails_password_links(&self) -> bool {
        self.has_mail() && self.allows_passwords()
    }

    /// Carries out the jobs of the service, until the future is dropped.
    pub async fn carry_out(self, jobs: MailJobs) {
        let MailJobs { requests, mails } = jobs;
        tokio::join!(self.carry_out_all(requests), self.carry_out_all(mails));
    }

    /// Waits until the mails were sent that wait now, but not longer than `limit`.
    pub async fn finish_mails(&self, limit: Duration) {
        let Some(mails) = &self.mails else { return };
        if tokio::time::timeout(limit, mails.carried_out()).await.is_err() {
            tracing::warn!("mails were not sent within {} s, and are lost", limit.as_secs());
        }
    }

    async fn carry_out_all(&self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            match (job, &self.mails) {
                (Job::Reset(request), Some(mails)) => self.reset(mails, request).await,
                (Job::Mail(mail), Some(mails)) => {
                    send(mails, mail).await;
                }
                (Job::Report(report), _) => {
                    // The caller may have stopped waiting.
                    let _ = report.send(());
                }
                (Job::Reset(_) | Job::Mail(_), None) => {}
            }
        }
    }

    /// Sends a notice to the mail address of an account, after the change was committed.
    pub(super) async fn notify(&self, account: &AccountName, what: Notice) {
        if self.mails.is_none() {
            return;
        }
        match self.store.account(account).await {
            Ok(Some(Account { mail: Some(to), .. })) => self.notify_at(to, account, &what),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    %account,
                    error = &error as &dyn std::error::Error,
                    "a notice of a change of an account could not be sent"
                );
            }
        }
    }

    /// Sends a notice to a given address, such as the earlier one of an account.
    pub(super) fn notify_at(&self, to: MailAddress, account: &AccountName, what: &Notice) {
        if let Some(mails) = &self.mails {
            mails.add_mail(mail_texts::notice(&mails.url, to, account, what, self.clock.now()));
        }
    }
}

/// Sends a mail now. Returns whether the mail server accepted it; a failure is logged.
pub(super) async fn send(mails: &Mails, mail: Mail) -> bool {
    let subject = mail.subject;
    match mails.mailer.send(mail).await {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(subject, error = &error as &dyn std::error::Error, "a mail was not sent");
            false
        }
    }
}
