//! The identities of an identity provider, and sign-ins that wait for the provider.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    AccountName, LinkResult, LinkedIdentity, NewAccount, Principal, ProviderIdentity, ProviderSignIn, SecretDigest,
};

/// Keeps which identity of an identity provider belongs to which account, and the sign-ins that
/// wait for the provider. An account has at most one identity, and an identity at most one account.
/// Each change writes its entries of the audit log in the same transaction. The callers give the
/// times, as for [`AccessStore`](super::AccessStore), which deletes what has expired.
#[async_trait]
pub trait ProviderIdentityStore: Send + Sync + 'static {
    /// Returns the account of an identity.
    async fn account_of_identity(&self, identity: &ProviderIdentity) -> Result<Option<AccountName>, StoreError>;

    /// Returns the identity of an account.
    async fn identity_of(&self, account: &AccountName) -> Result<Option<LinkedIdentity>, StoreError>;

    /// Creates an account with an identity: both, or neither.
    async fn create_with_identity(
        &self,
        account: NewAccount,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError>;

    /// Links an identity to an account of a person.
    async fn link_identity(
        &self,
        account: &AccountName,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError>;

    /// Unlinks the identity of an account, and ends its sessions and pending sign-ins. Returns
    /// `false` if the account has no identity.
    async fn unlink_identity(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError>;

    /// Stores a sign-in that waits for the provider.
    async fn create_provider_sign_in(&self, waiting: ProviderSignIn) -> Result<(), StoreError>;

    /// Deletes a sign-in that waits for the provider, and returns it if it was valid at `at`. Of
    /// two calls with one key, one gets it; after a lost response, none may get it.
    async fn take_provider_sign_in(
        &self,
        key: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<ProviderSignIn>, StoreError>;
}

#[async_trait]
impl<S: ProviderIdentityStore + ?Sized, H: CallHook> ProviderIdentityStore for Hooked<S, H> {
    async fn account_of_identity(&self, identity: &ProviderIdentity) -> Result<Option<AccountName>, StoreError> {
        self.hook.around("account_of_identity", self.inner.account_of_identity(identity)).await
    }

    async fn identity_of(&self, account: &AccountName) -> Result<Option<LinkedIdentity>, StoreError> {
        self.hook.around("identity_of", self.inner.identity_of(account)).await
    }

    async fn create_with_identity(
        &self,
        account: NewAccount,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError> {
        let created = self.inner.create_with_identity(account, identity, at, by);
        self.hook.around("create_with_identity", created).await
    }

    async fn link_identity(
        &self,
        account: &AccountName,
        identity: &ProviderIdentity,
        at: Timestamp,
        by: &Principal,
    ) -> Result<LinkResult, StoreError> {
        self.hook.around("link_identity", self.inner.link_identity(account, identity, at, by)).await
    }

    async fn unlink_identity(&self, account: &AccountName, by: &Principal) -> Result<bool, StoreError> {
        self.hook.around("unlink_identity", self.inner.unlink_identity(account, by)).await
    }

    async fn create_provider_sign_in(&self, waiting: ProviderSignIn) -> Result<(), StoreError> {
        self.hook.around("create_provider_sign_in", self.inner.create_provider_sign_in(waiting)).await
    }

    async fn take_provider_sign_in(
        &self,
        key: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<ProviderSignIn>, StoreError> {
        self.hook.around("take_provider_sign_in", self.inner.take_provider_sign_in(key, at)).await
    }
}
