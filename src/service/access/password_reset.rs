//! New passwords by mail: the request of somebody who is not signed in, and the first link of a new
//! account.
//!
//! The response to a request is the same for every name, and is sent before anything is looked up:
//! neither its text nor its time discloses whether there is an account.

use std::net::IpAddr;
use std::time::Duration;

use kastrel_actors::model::{Account, AccountName, MailAddress, MailedLink, Principal, RequestContext};
use kastrel_actors::policy::mailed_links::{MOST_MAILED_LINKS, RESET_LIFETIME, reset_address};
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::AccessService;
use super::mail_texts;
use super::mail_worker::send;
use super::mails::{Mails, ResetRequest};
use super::service::after;
use crate::identity::secret::RandomSecret;
use crate::identity::throttle::{RetryAfter, network_of};

/// The most accounts with one mail address that get a link for one request.
const MOST_ACCOUNTS: usize = 10;

/// The longest name or address that is looked up, in bytes.
const MOST_TYPED: usize = MailAddress::MAX;

impl AccessService {
    /// Takes the request for a link with which a password is set, by somebody who typed the name of
    /// an account or its mail address. The link is created and mailed later. Each account with the
    /// address gets its own mail. Accounts that are disabled, belong to a program, or have no
    /// address or no password, get none; so does an account with 3 valid links.
    ///
    /// # Errors
    /// The network of the client sent too many requests, and must wait for this long. A server that
    /// sends no mails, or accepts no passwords, takes none.
    pub fn request_password_link(&self, typed: &str, address: IpAddr) -> Result<(), Duration> {
        let Some(mails) = self.mails.as_ref().filter(|_| self.allows_passwords()) else { return Ok(()) };
        mails.of_networks.take(&network_of(address), Instant::now().into_std()).map_err(RetryAfter::wait)?;
        let typed = typed.trim();
        if typed.len() <= MOST_TYPED {
            mails.add_request(ResetRequest { typed: typed.to_owned(), address });
        }
        Ok(())
    }

    /// Creates and mails the links of a request. A failure is logged.
    pub(super) async fn reset(&self, mails: &Mails, request: ResetRequest) {
        let ResetRequest { typed, address } = request;
        let failed = |error: StoreError| {
            tracing::error!(error = &error as &dyn std::error::Error, "a link for a new password could not be created");
        };
        match self.accounts_of(&typed).await {
            Ok(accounts) => {
                for account in accounts.into_iter().take(MOST_ACCOUNTS) {
                    if let Err(error) = self.mail_reset(mails, &account, address).await {
                        failed(error);
                    }
                }
            }
            Err(error) => failed(error),
        }
    }

    /// Returns the account with this name, and those with this mail address.
    async fn accounts_of(&self, typed: &str) -> Result<Vec<Account>, StoreError> {
        let name = typed.to_ascii_lowercase().parse::<AccountName>().ok();
        let mut found = match &name {
            Some(name) => Vec::from_iter(self.store.account(name).await?),
            None => Vec::new(),
        };
        if let Ok(mail) = typed.parse::<MailAddress>() {
            let all = self.store.accounts().await?;
            let has_it = |account: &Account| {
                account.mail.as_ref().is_some_and(|own| own.is_same_mailbox(&mail))
                    && Some(&account.name) != name.as_ref()
            };
            found.extend(all.into_iter().filter(has_it));
        }
        Ok(found)
    }

    async fn mail_reset(&self, mails: &Mails, account: &Account, client: IpAddr) -> Result<(), StoreError> {
        let Some(to) = reset_address(account) else { return Ok(()) };
        let (secret, now, client) = (RandomSecret::generate(), self.clock.now(), client.to_canonical().to_string());
        let link = MailedLink {
            key: secret.digest(),
            account: account.name.clone(),
            mail: to.clone(),
            expires_at: after(now, RESET_LIFETIME),
            address: Some(client.clone()),
        };
        if self.mail.create_mailed_link(link, MOST_MAILED_LINKS, now, &Principal::Anonymous).await? {
            let of_client = (RESET_LIFETIME, client.as_str(), now);
            send(mails, mail_texts::reset(&mails.url, to.clone(), &account.name, &secret, of_client)).await;
        }
        Ok(())
    }

    /// Mails the first link of a new account. Returns `false` if the mail server did not accept it,
    /// or if the account has another address by now: then somebody passes on a link by hand.
    pub(super) async fn mail_first_link(
        &self,
        context: &RequestContext,
        mails: &Mails,
        account: &AccountName,
        to: &MailAddress,
    ) -> Result<bool, StoreError> {
        let (secret, now, lifetime) = (RandomSecret::generate(), self.clock.now(), self.settings.link_lifetime);
        let link = MailedLink {
            key: secret.digest(),
            account: account.clone(),
            mail: to.clone(),
            expires_at: after(now, lifetime),
            address: None,
        };
        let is_stored = self.mail.create_mailed_link(link, u32::MAX, now, &context.principal).await?;
        Ok(is_stored && send(mails, mail_texts::first_link(&mails.url, to.clone(), account, &secret, lifetime)).await)
    }
}
