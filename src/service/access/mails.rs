//! What waits to be mailed: two bounded queues, one of requests of people who are not signed in,
//! and one of mails that are ready. So a flood of requests delays no notice.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kastrel_actors::model::AccountName;
use tokio::sync::{mpsc, oneshot};

use crate::identity::request_limit::RequestLimit;
use crate::ports::{Mail, Mailer};

/// The most requests that wait.
const MOST_REQUESTS: usize = 64;
/// The most mails that wait.
const MOST_MAILS: usize = 256;
/// How many requests for a new password one network may send in [`WINDOW`].
const MOST_OF_NETWORK: usize = 10;
/// How many new mail addresses may be entered for one account in [`WINDOW`]. Each gets a mail.
const MOST_OF_ACCOUNT: usize = 5;
/// The time in which requests are counted.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// What the access service needs to send mails.
#[derive(Clone)]
pub struct MailSettings {
    /// The sender.
    pub mailer: Arc<dyn Mailer>,
    /// The address under which browsers reach the server, with its base path and without a slash at
    /// the end. Links in mails begin with it: the headers of a request are no source for it.
    pub url: String,
}

impl std::fmt::Debug for MailSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A request for a link with which a password is set, by somebody who is not signed in.
#[derive(Debug)]
pub(super) struct ResetRequest {
    /// The name or the mail address, as it was typed.
    pub(super) typed: String,
    /// The network address of the client.
    pub(super) address: IpAddr,
}

/// Something that waits.
#[derive(Debug)]
pub(super) enum Job {
    /// A request for a new password.
    Reset(ResetRequest),
    /// A mail that is ready.
    Mail(Mail),
    /// Reports that everything before it was carried out.
    Report(oneshot::Sender<()>),
}

/// The jobs of a service with mails, for the task that carries them out.
#[derive(Debug)]
pub struct MailJobs {
    pub(super) requests: mpsc::Receiver<Job>,
    pub(super) mails: mpsc::Receiver<Job>,
}

/// The sender of mails, and what waits for it.
pub(super) struct Mails {
    pub(super) mailer: Arc<dyn Mailer>,
    pub(super) url: String,
    pub(super) of_networks: RequestLimit<IpAddr>,
    pub(super) of_accounts: RequestLimit<AccountName>,
    requests: mpsc::Sender<Job>,
    mails: mpsc::Sender<Job>,
}

impl Mails {
    pub(super) fn new(settings: MailSettings) -> (Self, MailJobs) {
        let (requests, requests_out) = mpsc::channel(MOST_REQUESTS);
        let (mails, mails_out) = mpsc::channel(MOST_MAILS);
        let MailSettings { mailer, url } = settings;
        let own = Self {
            mailer,
            url,
            of_networks: RequestLimit::new(MOST_OF_NETWORK, WINDOW),
            of_accounts: RequestLimit::new(MOST_OF_ACCOUNT, WINDOW),
            requests,
            mails,
        };
        (own, MailJobs { requests: requests_out, mails: mails_out })
    }

    /// Adds a request. If too many wait, it is dropped: the client can send it again.
    pub(super) fn add_request(&self, request: ResetRequest) {
        if self.requests.try_send(Job::Reset(request)).is_err() {
            tracing::warn!("a request for a new password was dropped: too many wait");
        }
    }

    /// Adds a mail. If too many wait, it is dropped.
    pub(super) fn add_mail(&self, mail: Mail) {
        let subject = mail.subject;
        if self.mails.try_send(Job::Mail(mail)).is_err() {
            tracing::warn!(subject, "a mail was dropped: too many wait");
        }
    }

    /// Waits until everything was carried out that waits now.
    pub(super) async fn carried_out(&self) {
        for queue in [&self.requests, &self.mails] {
            let (report, reported) = oneshot::channel();
            if queue.send(Job::Report(report)).await.is_ok() {
                // An error: the task that carries the jobs out has ended.
                let _ = reported.await;
            }
        }
    }
}
