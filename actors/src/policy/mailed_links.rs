//! Links that are sent by mail: to whom, how many, and how long they are valid.

use std::time::Duration;

use crate::model::{Account, AccountKind, MailAddress};

/// How long a link for a new password is valid that somebody requested on the login page.
pub const RESET_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How long the link is valid that confirms a new mail address.
pub const CONFIRM_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How many links for a new password an account may have that were mailed and are still valid. A
/// reset link is valid for an hour, so nobody gets more mails an hour than this, however many
/// people and servers request them.
pub const MOST_MAILED_LINKS: u32 = 3;

/// Returns the address to which a link for a new password may be sent when somebody requests it
/// without signing in. `None`: the account gets no mail. It is disabled or belongs to a program, it
/// has no address, or its user signs in without a password of this server.
#[must_use]
pub const fn reset_address(account: &Account) -> Option<&MailAddress> {
    if account.is_disabled || !account.has_password || !matches!(account.kind, AccountKind::User) {
        return None;
    }
    account.mail.as_ref()
}

/// Returns true if an account that has so many valid mailed links may get another one.
#[must_use]
pub const fn may_mail_link(valid: u32) -> bool {
    valid < MOST_MAILED_LINKS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn only_a_user_with_a_password_and_an_address_gets_a_link() {
        use AccountKind::{Service, User};
        for (kind, is_disabled, has_password, has_mail, gets_it) in [
            (User, false, true, true, true),
            (User, false, true, false, false),
            (User, false, false, true, false),
            (User, true, true, true, false),
            (Service, false, true, true, false),
            (Service, true, false, false, false),
        ] {
            let account = Account {
                name: "ana".parse().unwrap(),
                kind,
                server_role: None,
                is_disabled,
                has_password,
                has_second_factor: false,
                mail: has_mail.then(|| "ana@example.com".parse().unwrap()),
                created_at: Timestamp::UNIX_EPOCH,
                memberships: BTreeMap::new(),
            };
            assert_eq!(reset_address(&account).is_some(), gets_it, "{account:?}");
        }
    }

    #[test]
    fn an_account_has_three_valid_mailed_links_at_most() {
        assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(may_mail_link), [true, true, true, false, false, false]);
    }
}
