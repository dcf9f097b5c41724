//! Second factors, recovery codes, and sign-ins that wait for a second factor.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    AccountName, FactorChange, FactorUse, NewSecondFactor, PendingSignIn, Principal, SecondFactor, SecretDigest,
    Session, SessionRenewal, SignInEnd,
};

/// Keeps the second factors of accounts, their recovery codes, and pending sign-ins. Each change
/// writes its entries of the audit log in the same transaction. The callers give the times, as for
/// [`AccessStore`](super::AccessStore), which deletes what has expired.
///
/// A new password, and a change of the account that ends its sessions, end its pending sign-ins
/// too.
#[async_trait]
pub trait SecondFactorStore: Send + Sync + 'static {
    /// Returns the second factor of an account.
    async fn second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError>;

    /// Counts a try of a code, and returns the second factor with it. After a lost response the try
    /// may be counted twice.
    async fn try_second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError>;

    /// Adds a second factor to an account. Ends its pending sign-ins, and its sessions except the
    /// one of `renewal`, which gets its new secret. Returns `false`, and changes nothing, if the
    /// account has one, or does not exist.
    async fn add_second_factor(
        &self,
        factor: NewSecondFactor,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError>;

    /// Removes the second factor of an account and its recovery codes. Ends its pending sign-ins,
    /// and its sessions except the one of `renewal`, which gets its new secret. With `used`, only
    /// if that use is accepted.
    async fn remove_second_factor(
        &self,
        account: &AccountName,
        used: Option<FactorUse>,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError>;

    /// Accepts a use of the second factor that confirms a change, without another effect. After a
    /// lost response a use that was accepted may count as refused.
    async fn use_second_factor(
        &self,
        account: &AccountName,
        used: FactorUse,
        by: &Principal,
    ) -> Result<FactorChange, StoreError>;

    /// Replaces the recovery codes of an account, if the use of the factor is accepted, and sets
    /// the number of tries to 0. Ends the pending sign-ins of the account, and its sessions except
    /// the one of `renewal`, which gets its new secret.
    async fn replace_recovery_codes(
        &self,
        account: &AccountName,
        used: FactorUse,
        codes: &[SecretDigest],
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError>;

    /// Stores a pending sign-in. An account may have
    /// [`MOST_PENDING_SIGN_INS`](crate::policy::second_factor::MOST_PENDING_SIGN_INS): of the
    /// earlier ones, those that expire first end. Calls at once may leave more of them until the
    /// next call.
    async fn create_pending_sign_in(&self, pending: PendingSignIn) -> Result<(), StoreError>;

    /// Returns a pending sign-in that is valid at `at`.
    async fn pending_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError>;

    /// Counts a try of a code in a pending sign-in that is valid at `at`, and returns it. After a
    /// lost response the try may be counted twice.
    async fn try_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError>;

    /// Ends a pending sign-in without a session.
    async fn end_pending_sign_in(&self, key: SecretDigest) -> Result<(), StoreError>;

    /// Ends a pending sign-in of the session's account with a session, if the use of the factor is
    /// accepted, and sets the number of tries to 0. The session's `created_at` is the time of the
    /// call. Of two calls with the same use, one is accepted.
    async fn finish_sign_in(
        &self,
        key: SecretDigest,
        used: FactorUse,
        session: Session,
    ) -> Result<SignInEnd, StoreError>;

    /// Ends a pending sign-in of the session's account with a new second factor and a session. The
    /// other sessions and pending sign-ins of the account end.
    async fn finish_enrolment(
        &self,
        key: SecretDigest,
        factor: NewSecondFactor,
        session: Session,
    ) -> Result<SignInEnd, StoreError>;
}

#[async_trait]
impl<S: SecondFactorStore + ?Sized, H: CallHook> SecondFactorStore for Hooked<S, H> {
    async fn second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        self.hook.around("second_factor", self.inner.second_factor(account)).await
    }

    async fn try_second_factor(&self, account: &AccountName) -> Result<Option<SecondFactor>, StoreError> {
        self.hook.around("try_second_factor", self.inner.try_second_factor(account)).await
    }

    async fn add_second_factor(
        &self,
        factor: NewSecondFactor,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("add_second_factor", self.inner.add_second_factor(factor, renewal, by)).await
    }

    async fn remove_second_factor(
        &self,
        account: &AccountName,
        used: Option<FactorUse>,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let removed = self.inner.remove_second_factor(account, used, renewal, by);
        self.hook.around("remove_second_factor", removed).await
    }

    async fn use_second_factor(
        &self,
        account: &AccountName,
        used: FactorUse,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        self.hook.around("use_second_factor", self.inner.use_second_factor(account, used, by)).await
    }

    async fn replace_recovery_codes(
        &self,
        account: &AccountName,
        used: FactorUse,
        codes: &[SecretDigest],
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<FactorChange, StoreError> {
        let replaced = self.inner.replace_recovery_codes(account, used, codes, renewal, by);
        self.hook.around("replace_recovery_codes", replaced).await
    }

    async fn create_pending_sign_in(&self, pending: PendingSignIn) -> Result<(), StoreError> {
        self.hook.around("create_pending_sign_in", self.inner.create_pending_sign_in(pending)).await
    }

    async fn pending_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        self.hook.around("pending_sign_in", self.inner.pending_sign_in(key, at)).await
    }

    async fn try_sign_in(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PendingSignIn>, StoreError> {
        self.hook.around("try_sign_in", self.inner.try_sign_in(key, at)).await
    }

    async fn end_pending_sign_in(&self, key: SecretDigest) -> Result<(), StoreError> {
        self.hook.around("end_pending_sign_in", self.inner.end_pending_sign_in(key)).await
    }

    async fn finish_sign_in(
        &self,
        key: SecretDigest,
        used: FactorUse,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        self.hook.around("finish_sign_in", self.inner.finish_sign_in(key, used, session)).await
    }

    async fn finish_enrolment(
        &self,
        key: SecretDigest,
        factor: NewSecondFactor,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        self.hook.around("finish_enrolment", self.inner.finish_enrolment(key, factor, session)).await
    }
}
