//! The keys of the rows of accounts and credentials.

use kastrel_actors::model::{AccountName, PasskeyId, SecretDigest, TokenId};
use surrealdb::types::{Array, RecordId, SurrealValue as _};

use super::super::row;

/// The key of the row of an account.
pub(super) fn account_key(name: &AccountName) -> RecordId {
    row::text_key("account", name.as_str())
}

/// The key of the row of a session.
pub(super) fn session_key(key: SecretDigest) -> RecordId {
    row::text_key("session", &key.to_string())
}

/// The key of the row of a token.
pub(super) fn token_key(id: &TokenId) -> RecordId {
    row::text_key("token", id.as_str())
}

/// The key of the row of a device login.
pub(super) fn device_login_key(key: SecretDigest) -> RecordId {
    row::text_key("device_login", &key.to_string())
}

/// The key of the row of a one-time link.
pub(super) fn link_key(key: SecretDigest) -> RecordId {
    row::text_key("one_time_link", &key.to_string())
}

/// The key of the row of a mail address that waits for its confirmation.
pub(super) fn mail_request_key(key: SecretDigest) -> RecordId {
    row::text_key("mail_request", &key.to_string())
}

/// The key of the row of a second factor.
pub(super) fn factor_key(account: &AccountName) -> RecordId {
    row::text_key("second_factor", account.as_str())
}

/// The key of the row of a recovery code.
pub(super) fn recovery_key(account: &AccountName, code: SecretDigest) -> RecordId {
    let parts = vec![account.to_string().into_value(), code.to_string().into_value()];
    RecordId::new("recovery_code", Array::from(parts))
}

/// The key of the row of a passkey.
pub(super) fn passkey_key(account: &AccountName, id: &PasskeyId) -> RecordId {
    let parts = vec![account.to_string().into_value(), id.to_string().into_value()];
    RecordId::new("passkey", Array::from(parts))
}

/// The key of the row with the account of a passkey.
pub(super) fn passkey_owner_key(id: &PasskeyId) -> RecordId {
    row::text_key("passkey_owner", id.as_str())
}

/// The key of the row of a challenge that was used.
pub(super) fn challenge_key(digest: SecretDigest) -> RecordId {
    row::text_key("signed_challenge", &digest.to_string())
}

/// The key of the row of a pending sign-in.
pub(super) fn pending_key(key: SecretDigest) -> RecordId {
    row::text_key("pending_sign_in", &key.to_string())
}
