//! The passkeys of accounts.

use async_trait::async_trait;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    AccountName, Passkey, PasskeyAddition, PasskeyId, PasskeyUse, Principal, SecretDigest, Session, SessionRenewal,
    SignInEnd, SignedChallenge,
};

/// Keeps the passkeys of accounts, and the challenges that were used. Each change writes its
/// entries of the audit log in the same transaction. The callers give the times, as for
/// [`AccessStore`](super::AccessStore), which deletes the challenges that have expired.
///
/// An account with a passkey has a second factor. A use is accepted if its challenge is new and the
/// stored credential is the one with which the signature was verified; of two uses at once, at most
/// one is accepted if they have the same challenge, or if the counter of the passkey went on.
#[async_trait]
pub trait PasskeyStore: Send + Sync + 'static {
    /// Returns the passkeys of an account, oldest first.
    async fn passkeys(&self, account: &AccountName) -> Result<Vec<Passkey>, StoreError>;

    /// Returns a passkey.
    async fn passkey(&self, id: &PasskeyId) -> Result<Option<Passkey>, StoreError>;

    /// Adds a passkey whose creation signed a challenge. Ends the sessions of the account except
    /// the one of `renewal`, which gets its new secret, and its pending sign-ins.
    async fn add_passkey(
        &self,
        passkey: Passkey,
        challenge: SignedChallenge,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<PasskeyAddition, StoreError>;

    /// Gives a passkey of an account another label. Returns `false` if the account has no such
    /// passkey. The same label again changes nothing.
    async fn rename_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        label: &str,
        by: &Principal,
    ) -> Result<bool, StoreError>;

    /// Removes a passkey of an account. Ends its sessions except the one of `renewal`, which gets
    /// its new secret, and its pending sign-ins. Returns `false`, and changes nothing, if the
    /// account has no such passkey.
    async fn remove_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError>;

    /// Accepts the use of a passkey that confirms a change. Returns whether it did.
    async fn use_passkey(&self, used: PasskeyUse) -> Result<bool, StoreError>;

    /// Starts a session of the passkey's account, if the use is accepted and the account is not
    /// disabled. With `pending`, ends that pending sign-in of the account, which must be valid. The
    /// session's `created_at` is the time of the call.
    async fn sign_in_with_passkey(
        &self,
        used: PasskeyUse,
        pending: Option<SecretDigest>,
        session: Session,
    ) -> Result<SignInEnd, StoreError>;

    /// Removes the second factor of an account, its recovery codes and all its passkeys, and ends
    /// its sessions and pending sign-ins. Returns `false`, and changes nothing, if it has none of
    /// them.
    async fn remove_all_factors(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError>;
}

#[async_trait]
impl<S: PasskeyStore + ?Sized, H: CallHook> PasskeyStore for Hooked<S, H> {
    async fn passkeys(&self, account: &AccountName) -> Result<Vec<Passkey>, StoreError> {
        self.hook.around("passkeys", self.inner.passkeys(account)).await
    }

    async fn passkey(&self, id: &PasskeyId) -> Result<Option<Passkey>, StoreError> {
        self.hook.around("passkey", self.inner.passkey(id)).await
    }

    async fn add_passkey(
        &self,
        passkey: Passkey,
        challenge: SignedChallenge,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<PasskeyAddition, StoreError> {
        self.hook.around("add_passkey", self.inner.add_passkey(passkey, challenge, renewal, by)).await
    }

    async fn rename_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        label: &str,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("rename_passkey", self.inner.rename_passkey(account, id, label, by)).await
    }

    async fn remove_passkey(
        &self,
        account: &AccountName,
        id: &PasskeyId,
        renewal: Option<SessionRenewal>,
        by: &Principal,
    ) -> Result<bool, StoreError> {
        self.hook.around("remove_passkey", self.inner.remove_passkey(account, id, renewal, by)).await
    }

    async fn use_passkey(&self, used: PasskeyUse) -> Result<bool, StoreError> {
        self.hook.around("use_passkey", self.inner.use_passkey(used)).await
    }

    async fn sign_in_with_passkey(
        &self,
        used: PasskeyUse,
        pending: Option<SecretDigest>,
        session: Session,
    ) -> Result<SignInEnd, StoreError> {
        let signed_in = self.inner.sign_in_with_passkey(used, pending, session);
        self.hook.around("sign_in_with_passkey", signed_in).await
    }

    async fn remove_all_factors(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("remove_all_factors", self.inner.remove_all_factors(account, by)).await
    }
}
