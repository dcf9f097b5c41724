//! The second factor of an account: its state, its removal and new recovery codes.

use std::net::IpAddr;

use jiff::Timestamp;
use kastrel_actors::model::{AccountName, FactorChange, FactorUse, Operation, Principal, RequestContext};
use tokio::time::Instant;

use super::error::CodeFault;
use super::mail_texts::Notice;
use super::passwords::no_session;
use super::{AccessService, AccountError, Confirmation, NewSession, PasskeyAnswer, SignedIn};
use crate::identity::password::Password;
use crate::identity::recovery_code::RecoveryCode;

/// The second factor of an account, as its pages show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorState {
    /// When it was added.
    pub created_at: Timestamp,
    /// How many recovery codes are left.
    pub recovery_codes: u64,
}

impl AccessService {
    /// Returns the state of an account's second factor. Everybody may read that of the own account;
    /// others need [`Operation::ReadAccounts`].
    ///
    /// # Errors
    /// The caller may not read it, or a failure of the store.
    pub async fn second_factor(
        &self,
        context: &RequestContext,
        account: &AccountName,
    ) -> Result<Option<FactorState>, AccountError> {
        self.allow_own(context, account, Operation::ReadAccounts).await?;
        let factor = self.factors.second_factor(account).await?;
        Ok(factor.map(|factor| FactorState { created_at: factor.created_at, recovery_codes: factor.recovery_codes }))
    }

    /// Removes the second factor of the caller's account, and ends the other sessions. Returns this
    /// session with its new secret, which has no effect if the account must have a factor. Wrong
    /// passwords and codes count as at a sign-in.
    ///
    /// # Errors
    /// The caller has no session, the current password is wrong or there were too many attempts
    /// (field `current_password`), the code is wrong (field `code`), the account has no second
    /// factor (field `second_factor`), or a failure of the store.
    pub async fn remove_second_factor(
        &self,
        who: &SignedIn,
        current: Password,
        code: &str,
    ) -> Result<NewSession, AccountError> {
        let (address, used) = self.reauthenticate(who, &current, code).await?;
        let (session, renewal) = self.renewal(who).await?.ok_or_else(no_session)?;
        let change = self.cache.change();
        let removed =
            self.factors.remove_second_factor(&who.account, Some(used), Some(renewal), &who.principal).await?;
        drop(change);
        self.changed(removed, who, address).await?;
        self.notify(&who.account, Notice::FactorRemoved).await;
        Ok(session)
    }

    /// Removes the authenticator app of the caller's account, confirmed with a passkey, which
    /// stays. The other sessions end.
    ///
    /// # Errors
    /// The change is not confirmed (fields `current_password` and `passkey`), the account has no
    /// app (field `second_factor`), or a failure of the store.
    pub async fn remove_app_with_passkey(
        &self,
        who: &SignedIn,
        current: Password,
        passkey: PasskeyAnswer,
    ) -> Result<NewSession, AccountError> {
        self.confirm(who, Confirmation { current, code: String::new(), passkey: Some(passkey) }).await?;
        let (session, renewal) = self.renewal(who).await?.ok_or_else(no_session)?;
        let change = self.cache.change();
        let removed = self.factors.remove_second_factor(&who.account, None, Some(renewal), &who.principal).await?;
        drop(change);
        match removed {
            FactorChange::Changed => {
                self.notify(&who.account, Notice::FactorRemoved).await;
                Ok(session)
            }
            FactorChange::NoFactor | FactorChange::Refused => {
                Err(AccountError::field("second_factor", "this account has no authenticator app"))
            }
        }
    }

    /// Replaces the recovery codes of the caller's account, and ends the other sessions. Returns
    /// this session with its new secret, and the new codes, which are shown once.
    ///
    /// # Errors
    /// The errors of [`remove_second_factor`](Self::remove_second_factor).
    pub async fn new_recovery_codes(
        &self,
        who: &SignedIn,
        current: Password,
        code: &str,
    ) -> Result<(NewSession, Vec<RecoveryCode>), AccountError> {
        let (address, used) = self.reauthenticate(who, &current, code).await?;
        let codes = RecoveryCode::generate_all();
        let digests: Vec<_> = codes.iter().map(RecoveryCode::digest).collect();
        let (session, renewal) = self.renewal(who).await?.ok_or_else(no_session)?;
        let _change = self.cache.change();
        let replaced =
            self.factors.replace_recovery_codes(&who.account, used, &digests, Some(renewal), &who.principal).await?;
        self.changed(replaced, who, address).await?;
        Ok((session, codes))
    }

    /// Removes the authenticator app and all passkeys of an account whose user lost them, and ends
    /// its sessions. Returns `false` if there is no such account, or if it has none of them.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], it is the caller's own account (field
    /// `name`), or a failure of the store.
    pub async fn reset_second_factor(
        &self,
        context: &RequestContext,
        name: &AccountName,
    ) -> Result<bool, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        if context.principal == Principal::User(name.clone()) {
            let why = "the own second factor is removed on the profile, with the password and a code";
            return Err(AccountError::field("name", why));
        }
        let change = self.cache.change();
        let is_removed = self.passkeys.remove_all_factors(name, &context.principal).await?;
        drop(change);
        if is_removed {
            self.notify(name, Notice::FactorRemoved).await;
        }
        Ok(is_removed)
    }

    /// Checks the current password and a code of the caller's account, for a change that the store
    /// makes only if it accepts the code. The attempt stays open until
    /// the store accepted the code.
    async fn reauthenticate(
        &self,
        who: &SignedIn,
        current: &Password,
        code: &str,
    ) -> Result<(IpAddr, FactorUse), AccountError> {
        let address = self.check_current(who, current).await?;
        match self.read_use(&who.account, code).await? {
            Ok(used) => Ok((address, used)),
            Err(fault) => Err(self.wrong_code(who, address, fault).await),
        }
    }

    /// Reports the outcome of a change with a code.
    pub(super) async fn changed(
        &self,
        change: FactorChange,
        who: &SignedIn,
        address: IpAddr,
    ) -> Result<(), AccountError> {
        let at = || Instant::now().into_std();
        match change {
            FactorChange::Changed => {
                self.throttle.succeeded(who.account.as_str(), address, at());
                Ok(())
            }
            FactorChange::Refused => Err(self.wrong_code(who, address, CodeFault::Wrong).await),
            FactorChange::NoFactor => {
                self.throttle.continued(who.account.as_str(), address, at());
                Err(AccountError::field("second_factor", "this account has no second factor"))
            }
        }
    }

    /// Counts and records a wrong code.
    pub(super) async fn wrong_code(&self, who: &SignedIn, address: IpAddr, fault: CodeFault) -> AccountError {
        self.reauthentication_failed(who, address).await;
        AccountError::field("code", fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{DomainEvent, ServerRole};
    use kastrel_actors::ports::{AccessStore as _, SecondFactorStore as _};
    use tokio::time::advance;

    use super::super::testing::{Factor, Fixture, OTHER_PASSWORD, PASSWORD, fields, password};
    use super::*;

    async fn with_factor() -> (Fixture, SignedIn, Factor) {
        let all = Fixture::new();
        let ana = all.user_with_password("ana").await;
        let factor = all.factor(&ana).await;
        let session = all.session(&ana).await;
        let who = all.service.by_session(&session).await.unwrap().unwrap();
        (all, who, factor)
    }

    #[tokio::test(start_paused = true)]
    async fn removal_needs_the_password_and_a_code_and_ends_the_other_sessions() {
        let (all, who, factor) = with_factor().await;
        let ana = who.account.clone();
        let other = all.session(&ana).await;
        assert!(all.service.by_session(&other).await.unwrap().is_some());
        let remove = async |who: &SignedIn, text: &str, code: &str| {
            all.service.remove_second_factor(who, password(text), code).await
        };
        let with_token = SignedIn { session: None, ..who.clone() };
        let code = all.code(&factor.secret);
        assert_eq!(fields(remove(&with_token, PASSWORD, &code).await), ["current_password"]);
        assert_eq!(fields(remove(&who, OTHER_PASSWORD, &code).await), ["current_password"]);
        assert_eq!(fields(remove(&who, PASSWORD, &all.wrong_code(&factor.secret)).await), ["code"]);
        assert!(all.read(&ana).await.has_second_factor);
        let renewed = remove(&who, PASSWORD, &code).await.unwrap();
        assert!(!all.read(&ana).await.has_second_factor);
        assert_eq!(all.service.by_session(&other).await.unwrap(), None);
        let left: Vec<_> = all.store.sessions(&ana).await.unwrap().into_iter().map(|session| session.key).collect();
        assert_eq!(left, [renewed.secret.digest()]);
        assert_eq!(fields(remove(&who, PASSWORD, &code).await), ["current_password"], "the session has another secret");
        let who = all.service.by_session(&renewed.secret).await.unwrap().unwrap();
        let removed = DomainEvent::SecondFactorRemoved { account: ana.clone() };
        assert_eq!(all.audit().await.last(), Some(&(Principal::User(ana), removed)));
        all.sign_in("ana", PASSWORD).await.unwrap();
        assert_eq!(fields(remove(&who, PASSWORD, factor.codes[0].expose()).await), ["second_factor"]);
    }

    #[tokio::test(start_paused = true)]
    async fn new_recovery_codes_replace_the_earlier_ones() {
        let (all, who, factor) = with_factor().await;
        let other = all.session(&who.account).await;
        assert!(all.service.by_session(&other).await.unwrap().is_some());
        let create = async |who: &SignedIn, text: &str, code: &str| {
            all.service.new_recovery_codes(who, password(text), code).await
        };
        assert_eq!(fields(create(&who, OTHER_PASSWORD, factor.codes[0].expose()).await), ["current_password"]);
        assert_eq!(fields(create(&who, PASSWORD, "abcd").await), ["code"]);
        let (renewed, codes) = create(&who, PASSWORD, factor.codes[0].expose()).await.unwrap();
        assert_eq!(codes.len(), 10);
        assert!(!codes.iter().any(|code| factor.codes.contains(code)));
        assert_eq!(all.service.by_session(&other).await.unwrap(), None);
        let with_old = create(&who, PASSWORD, factor.codes[1].expose()).await;
        assert_eq!(fields(with_old), ["current_password"], "the session has another secret");
        let who = all.service.by_session(&renewed.secret).await.unwrap().unwrap();
        assert_eq!(fields(create(&who, PASSWORD, factor.codes[1].expose()).await), ["code"], "it was replaced");
        let pending = all.pending("ana").await;
        all.enter(&pending, codes[0].expose()).await.unwrap();
        let context = all.context(&who.account).await;
        let state = all.service.second_factor(&context, &who.account).await.unwrap().unwrap();
        assert_eq!(state.recovery_codes, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_of_the_code_must_wait_like_those_of_a_sign_in() {
        let (all, who, factor) = with_factor().await;
        for _ in 0..3 {
            let code = all.wrong_code(&factor.secret);
            assert_eq!(fields(all.service.remove_second_factor(&who, password(PASSWORD), &code).await), ["code"]);
        }
        let remove = async || {
            let code = all.code(&factor.secret);
            all.service.remove_second_factor(&who, password(PASSWORD), &code).await
        };
        assert_eq!(fields(remove().await), ["current_password"], "it must wait");
        assert_eq!(all.store.second_factor(&who.account).await.unwrap().unwrap().tries, 3);
        let is_failure = |event: &DomainEvent| matches!(event, DomainEvent::SignInFailed { account: Some(_), .. });
        let recorded = all.audit().await.into_iter().filter(|(by, event)| *by == who.principal && is_failure(event));
        assert_eq!(recorded.count(), 3);
        advance(std::time::Duration::from_secs(1)).await;
        remove().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn right_password_alone_allows_no_more_guesses_of_the_code() {
        let (all, who, factor) = with_factor().await;
        let guess = async || {
            let code = all.wrong_code(&factor.secret);
            fields(all.service.remove_second_factor(&who, password(PASSWORD), &code).await)
        };
        assert_eq!((guess().await, guess().await), (vec!["code".to_owned()], vec!["code".to_owned()]));
        let begun = all.service.begin_enrolment(&who, password(PASSWORD)).await;
        assert_eq!(fields(begun), ["second_factor"]);
        assert_eq!(fields(all.service.change_password(&who, password(PASSWORD), password("")).await), ["new_password"]);
        assert_eq!(guess().await, ["code"]);
        assert_eq!(guess().await, ["current_password"], "it must wait");
    }

    #[tokio::test(start_paused = true)]
    async fn code_of_a_change_is_accepted_once() {
        let (all, who, factor) = with_factor().await;
        let code = all.code(&factor.secret);
        let (renewed, _) = all.service.new_recovery_codes(&who, password(PASSWORD), &code).await.unwrap();
        let who = all.service.by_session(&renewed.secret).await.unwrap().unwrap();
        let again = all.service.remove_second_factor(&who, password(PASSWORD), &code).await;
        assert_eq!(fields(again), ["code"]);
        let pending = all.pending("ana").await;
        assert!(all.enter(&pending, &code).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn administrator_removes_a_lost_factor_and_not_the_own_one() {
        let (all, who, _) = with_factor().await;
        let ana = who.account.clone();
        let admin = all.context_of("root", ServerRole::Admin).await;
        for context in [all.context(&ana).await, all.context_of("eve", ServerRole::Auditor).await] {
            let refused = all.service.reset_second_factor(&context, &ana).await;
            assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
            assert_eq!(all.denied(&context).await, ["manage_accounts"]);
        }
        let root: AccountName = "root".parse().unwrap();
        all.factor(&root).await;
        assert_eq!(fields(all.service.reset_second_factor(&admin, &root).await), ["name"]);
        assert!(all.read(&root).await.has_second_factor);
        assert!(all.service.reset_second_factor(&admin, &ana).await.unwrap());
        assert!(!all.read(&ana).await.has_second_factor);
        assert!(all.store.sessions(&ana).await.unwrap().is_empty());
        let removed = DomainEvent::SecondFactorRemoved { account: ana.clone() };
        assert_eq!(all.audit().await.last(), Some(&(admin.principal.clone(), removed)));
        for none in [&ana, &"nobody".parse().unwrap()] {
            assert!(!all.service.reset_second_factor(&admin, none).await.unwrap(), "{none}");
        }
        let system = RequestContext { principal: Principal::System, ..admin };
        assert!(all.service.reset_second_factor(&system, &root).await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn new_password_by_a_link_leaves_the_factor() {
        let (all, who, factor) = with_factor().await;
        let admin = all.context_of("root", ServerRole::Admin).await;
        let link = all.service.password_link(&admin, &who.account).await.unwrap().unwrap();
        let set = all.service.set_password_by_link(&link, password(OTHER_PASSWORD)).await.unwrap();
        assert_eq!(set, Some(who.account.clone()));
        all.set_password(&who.account, PASSWORD).await;
        let pending = all.pending("ana").await;
        all.enter(&pending, &all.code(&factor.secret)).await.unwrap();
    }
}
