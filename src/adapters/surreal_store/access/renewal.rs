//! The end of the sign-ins of an account, with a new secret for the session that stays.

use kastrel_actors::model::SessionRenewal;
use surrealdb::types::{RecordId, SurrealValue};

use super::keys::session_key;

/// A new secret for a session, as `$renewal` of [`end_sign_ins`].
#[derive(Debug, Clone, SurrealValue)]
pub(super) struct RenewalRow {
    old: String,
    new: String,
    key: RecordId,
}

/// Ends the pending sign-ins of the account `$name`, the device logins that it allowed, and its
/// sessions except the one of `$renewal`, which gets its new secret, within a block of a
/// transaction.
macro_rules! end_sign_ins {
    () => {
        "LET $kept = SELECT created_at, used_at, expires_at, address, agent, with_provider FROM session WHERE account = $name AND digest = $renewal.old;
        DELETE session WHERE account = $name RETURN NONE;
        DELETE pending_sign_in WHERE account = $name RETURN NONE;
        DELETE device_login WHERE account = $name RETURN NONE;
        FOR $session_row IN $kept {
            CREATE $renewal.key SET
                digest = $renewal.new, account = $name, created_at = $session_row.created_at, used_at = $session_row.used_at,
                expires_at = $session_row.expires_at, address = $session_row.address, agent = $session_row.agent,
                with_provider = $session_row.with_provider
                RETURN NONE;
        };"
    };
}
pub(super) use end_sign_ins;

impl From<SessionRenewal> for RenewalRow {
    fn from(renewal: SessionRenewal) -> Self {
        let SessionRenewal { old, new } = renewal;
        Self { old: old.to_string(), new: new.to_string(), key: session_key(new) }
    }
}
