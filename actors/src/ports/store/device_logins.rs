//! Device logins.

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use super::hooked::{CallHook, Hooked};
use crate::model::{
    AccountName, DeviceDecision, DeviceLogin, DeviceLoginCreated, DeviceLoginLimits, DevicePolls, SecretDigest,
    TokenRecord,
};

/// Keeps device logins. Decisions about them and the token that follows write their entries of the
/// audit log in the same transaction. The callers give the times, as for
/// [`AccessStore`](super::AccessStore), which deletes what has expired.
///
/// A new password, a change of the second factor, and a change of the account that ends its
/// sessions, delete the device logins that the account allowed and that have no token yet.
#[async_trait]
pub trait DeviceLoginStore: Send + Sync + 'static {
    /// Stores a device login, unless there are too many that have not expired at its `created_at`,
    /// or one of them has its user code. Calls that meet on two servers may exceed a limit by their
    /// number.
    async fn create_device_login(
        &self,
        login: DeviceLogin,
        limits: DeviceLoginLimits,
    ) -> Result<DeviceLoginCreated, StoreError>;

    /// Returns a device login that has not expired at `at`.
    async fn device_login(&self, key: SecretDigest, at: Timestamp) -> Result<Option<DeviceLogin>, StoreError>;

    /// Returns the device login with a user code, if nothing was decided about it and it has not
    /// expired at `at`.
    async fn device_login_of_code(
        &self,
        user_code: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<DeviceLogin>, StoreError>;

    /// Notes a poll.
    async fn note_device_poll(&self, key: SecretDigest, polls: DevicePolls) -> Result<(), StoreError>;

    /// Decides about a device login on behalf of an account. Returns `false`, and changes nothing,
    /// if it does not exist, has expired at `at`, or something was decided about it before. Of two
    /// decisions that meet, one is made.
    async fn decide_device_login(
        &self,
        login: &DeviceLogin,
        account: &AccountName,
        decision: DeviceDecision,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Ends a device login with a token, on behalf of the token's account. Returns `false`, and
    /// changes nothing, if the device login does not exist, has expired at the token's
    /// `created_at`, or was not allowed by that account, or if the account is disabled. Of two
    /// calls that meet, one is accepted.
    async fn finish_device_login(&self, key: SecretDigest, token: TokenRecord) -> Result<bool, StoreError>;

    /// Deletes a device login, if it exists.
    async fn end_device_login(&self, key: SecretDigest) -> Result<(), StoreError>;
}

#[async_trait]
impl<S: DeviceLoginStore + ?Sized, H: CallHook> DeviceLoginStore for Hooked<S, H> {
    async fn create_device_login(
        &self,
        login: DeviceLogin,
        limits: DeviceLoginLimits,
    ) -> Result<DeviceLoginCreated, StoreError> {
        self.hook.around("create_device_login", self.inner.create_device_login(login, limits)).await
    }

    async fn device_login(&self, key: SecretDigest, at: Timestamp) -> Result<Option<DeviceLogin>, StoreError> {
        self.hook.around("device_login", self.inner.device_login(key, at)).await
    }

    async fn device_login_of_code(
        &self,
        user_code: SecretDigest,
        at: Timestamp,
    ) -> Result<Option<DeviceLogin>, StoreError> {
        self.hook.around("device_login_of_code", self.inner.device_login_of_code(user_code, at)).await
    }

    async fn note_device_poll(&self, key: SecretDigest, polls: DevicePolls) -> Result<(), StoreError> {
        self.hook.around("note_device_poll", self.inner.note_device_poll(key, polls)).await
    }

    async fn decide_device_login(
        &self,
        login: &DeviceLogin,
        account: &AccountName,
        decision: DeviceDecision,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let decided = self.inner.decide_device_login(login, account, decision, at);
        self.hook.around("decide_device_login", decided).await
    }

    async fn finish_device_login(&self, key: SecretDigest, token: TokenRecord) -> Result<bool, StoreError> {
        self.hook.around("finish_device_login", self.inner.finish_device_login(key, token)).await
    }

    async fn end_device_login(&self, key: SecretDigest) -> Result<(), StoreError> {
        self.hook.around("end_device_login", self.inner.end_device_login(key)).await
    }
}
