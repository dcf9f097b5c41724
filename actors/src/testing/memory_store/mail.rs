//! The mail addresses of accounts in memory.

use super::access::AccessRows;
use super::*;
use crate::model::{AccountName, LinkPurpose, MailAddress, MailRequest, MailedLink, OneTimeLink, SecretDigest};
use crate::ports::MailStore;

impl AccessRows {
    /// Changes the address of an account, and ends its mailed links and its waiting address.
    fn change_mail(&mut self, name: &AccountName, mail: Option<MailAddress>) {
        if let Some(account) = self.accounts.get_mut(name) {
            account.mail = mail;
        }
        let mailed = std::mem::take(&mut self.mailed);
        let is_of_account = |link: &OneTimeLink| link.purpose == LinkPurpose::SetPassword(name.clone());
        self.links.retain(|key, link| !(mailed.contains(key) && is_of_account(link)));
        self.mailed = mailed.into_iter().filter(|key| self.links.contains_key(key)).collect();
        self.mail_requests.retain(|_, request| request.account != *name);
    }

    /// Returns how many mailed links of an account have not expired.
    fn mailed_links(&self, name: &AccountName, at: Timestamp) -> usize {
        let is_valid = |link: &&OneTimeLink| {
            self.mailed.contains(&link.key)
                && link.expires_at > at
                && link.purpose == LinkPurpose::SetPassword(name.clone())
        };
        self.links.values().filter(is_valid).count()
    }
}

#[async_trait]
impl MailStore for MemoryStore {
    async fn set_mail(
        &self,
        name: &AccountName,
        mail: Option<&MailAddress>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(account) = state.access.accounts.get(name) else { return Ok(false) };
        if account.mail.as_ref() != mail {
            state.access.change_mail(name, mail.cloned());
            let event = DomainEvent::MailChanged { account: name.clone() };
            state.note(self.clock.now(), by.clone(), None, event);
        }
        Ok(true)
    }

    async fn request_mail(&self, request: MailRequest, by: &Principal) -> Result<bool, StoreError> {
        let mut state = self.state();
        if !state.access.accounts.contains_key(&request.account) {
            return Ok(false);
        }
        state.access.mail_requests.retain(|_, earlier| earlier.account != request.account);
        let event = DomainEvent::MailRequested { account: request.account.clone() };
        state.access.mail_requests.insert(request.key, request);
        state.note(self.clock.now(), by.clone(), None, event);
        Ok(true)
    }

    async fn mail_request(&self, key: SecretDigest, at: Timestamp) -> Result<Option<MailRequest>, StoreError> {
        Ok(self.state().access.mail_requests.get(&key).filter(|request| request.expires_at > at).cloned())
    }

    async fn confirm_mail(&self, request: &MailRequest, at: Timestamp) -> Result<bool, StoreError> {
        let mut state = self.state();
        let waiting = state.access.mail_requests.get(&request.key).filter(|waiting| waiting.expires_at > at).cloned();
        let Some(MailRequest { account: name, mail, .. }) = waiting else { return Ok(false) };
        if state.access.accounts.get(&name).is_none_or(|account| account.is_disabled) {
            return Ok(false);
        }
        state.access.change_mail(&name, Some(mail));
        let event = DomainEvent::MailChanged { account: name.clone() };
        state.note(self.clock.now(), Principal::User(name), None, event);
        Ok(true)
    }

    async fn create_mailed_link(
        &self,
        link: MailedLink,
        most: u32,
        at: Timestamp,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let MailedLink { key, account: name, mail, expires_at, address } = link;
        let account = state.access.accounts.get(&name);
        let is_fit = account.is_some_and(|account| !account.is_disabled && account.mail.as_ref() == Some(&mail));
        if !is_fit || state.access.mailed_links(&name, at) >= most as usize {
            return Ok(false);
        }
        let purpose = LinkPurpose::SetPassword(name.clone());
        state.access.links.insert(key, OneTimeLink { key, purpose, expires_at });
        state.access.mailed.insert(key);
        state.note(self.clock.now(), by.clone(), None, DomainEvent::PasswordLinkMailed { account: name, address });
        Ok(true)
    }
}
