//! The mail addresses of accounts. An administrator sets them, and they count at once. The address
//! that users enter for themselves counts when it is confirmed with the link that is sent to it.

use kastrel_actors::model::{
    Account, AccountKind, AccountName, MailAddress, MailRequest, Operation, Principal, RequestContext,
};
use kastrel_actors::policy::mailed_links::CONFIRM_LIFETIME;
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::mail_texts::{self, Notice};
use super::mail_worker::NO_MAIL;
use super::service::after;
use super::{AccessService, AccountError, SignedIn};
use crate::identity::password::Password;
use crate::identity::secret::RandomSecret;

/// What became of an address that a user entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailChange {
    /// The account has no address any more.
    Removed,
    /// A link was sent to the new address. It counts when it is confirmed.
    Waits(MailAddress),
}

impl AccessService {
    /// Sets the mail address of an account, or removes it (`None`). It counts at once; the earlier
    /// address gets a notice. Returns `false` if there is no such account.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], it is the caller's own account (field
    /// `name`), the address is not valid or the account belongs to a program (field `mail`), or a
    /// failure of the store.
    pub async fn set_mail(
        &self,
        context: &RequestContext,
        name: &AccountName,
        mail: Option<&str>,
    ) -> Result<bool, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        if context.principal == Principal::User(name.clone()) {
            let why = "the own mail address is changed on the profile, with the password";
            return Err(AccountError::field("name", why));
        }
        let mail = mail.map(parsed).transpose()?;
        let Some(before) = self.store.account(name).await? else { return Ok(false) };
        if before.kind == AccountKind::Service && mail.is_some() {
            return Err(AccountError::field("mail", OF_A_PROGRAM));
        }
        let is_known = self.mail.set_mail(name, mail.as_ref(), &context.principal).await?;
        if is_known && before.mail != mail {
            self.notify_earlier(&before);
        }
        Ok(is_known)
    }

    /// Enters a new mail address for the caller's account, which gets a link that confirms it; the
    /// present address gets a notice. An empty text removes the address at once. A wrong current
    /// password counts as an attempt to sign in.
    ///
    /// # Errors
    /// The caller has no session, the current password is wrong or there were too many attempts
    /// (field `current_password`), the address is not valid, is that of the account already, cannot
    /// be confirmed because the server sends no mails, or too many were entered (field `mail`), or
    /// a failure of the store.
    pub async fn change_mail(&self, who: &SignedIn, current: Password, mail: &str) -> Result<MailChange, AccountError> {
        let name = &who.account;
        let address = self.check_current(who, &current).await?;
        self.current_was_right(name, address).await?;
        let before = self.store.account(name).await?;
        let Some(before) = before.filter(|account| account.kind == AccountKind::User) else {
            return Err(AccountError::field("mail", OF_A_PROGRAM));
        };
        if mail.trim().is_empty() {
            if self.mail.set_mail(name, None, &who.principal).await? {
                self.notify_earlier(&before);
            }
            return Ok(MailChange::Removed);
        }
        let new = parsed(mail)?;
        let Some(mails) = &self.mails else { return Err(AccountError::field("mail", NO_MAIL)) };
        if before.mail.as_ref() == Some(&new) {
            return Err(AccountError::field("mail", "this is the mail address of the account already"));
        }
        mails
            .of_accounts
            .take(name, Instant::now().into_std())
            .map_err(|refused| AccountError::field("mail", refused.to_string()))?;
        let (secret, now) = (RandomSecret::generate(), self.clock.now());
        let expires_at = after(now, CONFIRM_LIFETIME);
        let request = MailRequest { key: secret.digest(), account: name.clone(), mail: new.clone(), expires_at };
        if self.mail.request_mail(request, &who.principal).await? {
            let times = (CONFIRM_LIFETIME, now);
            mails.add_mail(mail_texts::confirmation(&mails.url, new.clone(), name, &secret, times));
            if let Some(earlier) = before.mail {
                self.notify_at(earlier, name, &Notice::MailRequested(new.clone()));
            }
        }
        Ok(MailChange::Waits(new))
    }

    /// Returns the new address that a link confirms. `None`: it was confirmed, has expired, was
    /// replaced, or never existed.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn waiting_mail(&self, secret: &RandomSecret) -> Result<Option<MailRequest>, StoreError> {
        self.mail.mail_request(secret.digest(), self.clock.now()).await
    }

    /// Confirms a new address, which then counts. The earlier address gets a notice. Returns what
    /// was confirmed, or `None` if the link is not valid any more.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn confirm_mail(&self, secret: &RandomSecret) -> Result<Option<MailRequest>, StoreError> {
        let Some(request) = self.waiting_mail(secret).await? else { return Ok(None) };
        let before = self.store.account(&request.account).await?;
        if !self.mail.confirm_mail(&request, self.clock.now()).await? {
            return Ok(None);
        }
        if let Some(before) = before.filter(|before| before.mail.as_ref() != Some(&request.mail)) {
            self.notify_earlier(&before);
        }
        Ok(Some(request))
    }

    /// Sends the notice that an account has another address now.
    fn notify_earlier(&self, before: &Account) {
        if let Some(earlier) = &before.mail {
            self.notify_at(earlier.clone(), &before.name, &Notice::MailChanged);
        }
    }
}

/// The error of an address for the account of a program.
pub(super) const OF_A_PROGRAM: &str = "a service account has no mail address";

/// Returns the address that somebody typed.
fn parsed(text: &str) -> Result<MailAddress, AccountError> {
    text.trim().parse::<MailAddress>().map_err(|error| AccountError::field("mail", error.to_string()))
}
