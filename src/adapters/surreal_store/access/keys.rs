//! The keys of the rows of accounts.

use kastrel_actors::model::AccountName;
use surrealdb::types::RecordId;

use super::super::row;

/// The key of the row of an account.
pub(super) fn account_key(name: &AccountName) -> RecordId {
    row::text_key("account", name.as_str())
}
