//! The sessions of an account: the own one, or with the right another one.

use std::time::Duration;

use kastrel_actors::model::{AccountName, Operation, RequestContext, SecretDigest, Session, SessionRenewal};
use kastrel_actors::ports::StoreError;

use super::{AccessService, AccountError, NewSession, SignedIn};
use crate::identity::secret::RandomSecret;

impl AccessService {
    /// Returns the sessions of an account that have not ended, newest first. Everybody may read
    /// those of the own account; others need [`Operation::ReadAccounts`].
    ///
    /// # Errors
    /// The caller may not read them, or a failure of the store.
    pub async fn sessions(
        &self,
        context: &RequestContext,
        account: &AccountName,
    ) -> Result<Vec<Session>, AccountError> {
        self.allow_own(context, account, Operation::ReadAccounts).await?;
        let mut sessions = self.store.sessions(account).await?;
        let now = self.clock.now();
        sessions.retain(|session| self.end_of(session) > now);
        Ok(sessions)
    }

    /// Ends one session of an account. Returns `false` if the account has no such session.
    /// Everybody may end those of the own account; others need [`Operation::ManageAccounts`].
    ///
    /// # Errors
    /// The caller may not end it, or a failure of the store.
    pub async fn end_session(
        &self,
        context: &RequestContext,
        account: &AccountName,
        key: SecretDigest,
    ) -> Result<bool, AccountError> {
        self.allow_own(context, account, Operation::ManageAccounts).await?;
        let _change = self.cache.change();
        Ok(self.store.end_sessions(account, Some(key), None, &context.principal).await? > 0)
    }

    /// Ends all sessions of an account except `keep`, and returns how many. The rights are those of
    /// [`end_session`](Self::end_session).
    ///
    /// # Errors
    /// The caller may not end them, or a failure of the store.
    pub async fn end_other_sessions(
        &self,
        context: &RequestContext,
        account: &AccountName,
        keep: Option<SecretDigest>,
    ) -> Result<u64, AccountError> {
        self.allow_own(context, account, Operation::ManageAccounts).await?;
        let _change = self.cache.change();
        Ok(self.store.end_sessions(account, None, keep, &context.principal).await?)
    }

    /// Returns a new secret for the caller's session, and the renewal with which the store gives it
    /// to the session in the transaction of a change. The limits of the session stay. `None`: the
    /// caller has no session, or it has ended.
    ///
    /// # Errors
    /// A failure of the store.
    pub(super) async fn renewal(&self, who: &SignedIn) -> Result<Option<(NewSession, SessionRenewal)>, StoreError> {
        let Some(old) = who.session else { return Ok(None) };
        let Some((session, account)) = self.store.session(old).await? else { return Ok(None) };
        let secret = RandomSecret::generate();
        let renewal = SessionRenewal { old, new: secret.digest() };
        let left = session.expires_at.duration_since(self.clock.now());
        let max_age = Duration::try_from(left).unwrap_or_default();
        Ok(Some((NewSession { secret, account: account.name, max_age }, renewal)))
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::ServerRole;

    use super::super::testing::Fixture;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sessions_that_have_not_ended_are_listed_for_the_account_and_for_auditors() {
        let all = Fixture::new();
        let (ana, bo) = (all.user("ana", &[]).await, all.user("bo", &[]).await);
        all.session(&ana).await;
        tokio::time::advance(all.service.settings.session_idle).await;
        let live = all.session(&ana).await;
        let auditor = all.context_of("eve", ServerRole::Auditor).await;
        for context in [all.context(&ana).await, auditor] {
            let listed = all.service.sessions(&context, &ana).await.unwrap();
            assert_eq!(listed.iter().map(|session| session.key).collect::<Vec<_>>(), [live.digest()]);
        }
        let context = all.context(&bo).await;
        let refused = all.service.sessions(&context, &ana).await;
        assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
        assert_eq!(all.denied(&context).await, ["read_accounts"]);
    }

    #[tokio::test(start_paused = true)]
    async fn session_is_ended_at_once_by_its_account_or_an_admin() {
        let all = Fixture::new();
        let (ana, bo) = (all.user("ana", &[]).await, all.user("bo", &[]).await);
        let admin = all.context_of("root", ServerRole::Admin).await;
        for context in [all.context(&ana).await, admin] {
            let (one, other) = (all.session(&ana).await, all.session(&ana).await);
            assert!(all.service.by_session(&one).await.unwrap().is_some());
            assert!(all.service.end_session(&context, &ana, one.digest()).await.unwrap());
            assert_eq!(all.service.by_session(&one).await.unwrap(), None);
            assert!(!all.service.end_session(&context, &ana, one.digest()).await.unwrap(), "it has ended");
            assert!(all.service.by_session(&other).await.unwrap().is_some());
        }
        let foreign = all.session(&bo).await;
        let context = all.context(&ana).await;
        assert!(!all.service.end_session(&context, &ana, foreign.digest()).await.unwrap(), "it is another account's");
        assert!(all.service.by_session(&foreign).await.unwrap().is_some());
        let auditor = all.context_of("eve", ServerRole::Auditor).await;
        for context in [all.context(&bo).await, auditor] {
            let refused = all.service.end_session(&context, &ana, foreign.digest()).await;
            assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
            let refused = all.service.end_other_sessions(&context, &ana, None).await;
            assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
            assert_eq!(all.denied(&context).await, ["manage_accounts", "manage_accounts"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_sessions_end_at_once_and_one_stays() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let (one, other) = (all.session(&ana).await, all.session(&ana).await);
        assert!(all.service.by_session(&other).await.unwrap().is_some());
        let context = all.context(&ana).await;
        let ended = all.service.end_other_sessions(&context, &ana, Some(one.digest())).await.unwrap();
        assert_eq!(ended, 1);
        assert!(all.service.by_session(&one).await.unwrap().is_some());
        assert_eq!(all.service.by_session(&other).await.unwrap(), None);
        assert_eq!(all.service.end_other_sessions(&context, &ana, None).await.unwrap(), 1);
        assert_eq!(all.service.by_session(&one).await.unwrap(), None);
    }
}
