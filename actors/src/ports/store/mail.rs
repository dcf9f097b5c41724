//! The mail addresses of accounts, and the links that are mailed to them.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{AccountName, MailAddress, MailRequest, MailedLink, Principal, SecretDigest};

/// Keeps the mail addresses of accounts, the new addresses that wait for their confirmation, and
/// the links for a password that were mailed. Each change writes its entry of the audit log in the
/// same transaction; a change that changes nothing writes none. The callers give the times.
///
/// A changed address ends the mailed links of the account and its waiting address: an old mailbox
/// may be in other hands. A new password and
/// [`AccountChange::Disable`](crate::model::AccountChange) end the waiting address: who entered it
/// may have been somebody else.
///
/// A mailed link is a [`OneTimeLink`](crate::model::OneTimeLink), read and used with
/// [`AccessStore`](super::AccessStore). What has expired is deleted by
/// [`AccessStore::delete_expired`](super::AccessStore::delete_expired).
#[async_trait]
pub trait MailStore: Send + Sync + 'static {
    /// Sets the mail address of an account, or removes it. Returns `false` if there is no such
    /// account.
    async fn set_mail(
        &self,
        name: &AccountName,
        mail: Option<&MailAddress>,
        by: &Principal,
    ) -> Result<bool, StoreError>;

    /// Stores a new address that waits for its confirmation, in place of an earlier one of the
    /// account. Returns `false` if there is no such account.
    async fn request_mail(&self, request: MailRequest, by: &Principal) -> Result<bool, StoreError>;

    /// Returns the waiting address with a secret, if it has not expired at `at`.
    async fn mail_request(&self, key: SecretDigest, at: Timestamp) -> Result<Option<MailRequest>, StoreError>;

    /// Confirms a waiting address: it becomes the address of its account. The entry of the audit
    /// log names the account as its principal. Returns `false`, and changes nothing, if the address
    /// does not wait any more, has expired at `at`, or its account is disabled. Of two calls with
    /// one secret at once, one succeeds.
    async fn confirm_mail(&self, request: &MailRequest, at: Timestamp) -> Result<bool, StoreError>;

    /// Stores a link that is then mailed. Returns `false`, and stores nothing, if the account is
    /// disabled or has another address by now, or if it has so many (`most`) mailed links that
    /// have not expired at `at`.
    async fn create_mailed_link(
        &self,
        link: MailedLink,
        most: u32,
        at: Timestamp,
        by: &Principal,
    ) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: MailStore + ?Sized, H: CallHook> MailStore for Hooked<S, H> {
    async fn set_mail(
        &self,
        name: &AccountName,
        mail: Option<&MailAddress>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("set_mail", self.inner.set_mail(name, mail, by)).await
    }

    async fn request_mail(&self, request: MailRequest, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("request_mail", self.inner.request_mail(request, by)).await
    }

    async fn mail_request(&self, key: SecretDigest, at: Timestamp) -> Result<Option<MailRequest>, StoreError> {
        self.hook.around("mail_request", self.inner.mail_request(key, at)).await
    }

    async fn confirm_mail(&self, request: &MailRequest, at: Timestamp) -> Result<bool, StoreError> {
        self.hook.around("confirm_mail", self.inner.confirm_mail(request, at)).await
    }

    async fn create_mailed_link(
        &self,
        link: MailedLink,
        most: u32,
        at: Timestamp,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("create_mailed_link", self.inner.create_mailed_link(link, most, at, by)).await
    }
}
