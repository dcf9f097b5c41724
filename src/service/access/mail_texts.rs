//! The texts of mails, in plain words: what happened, what to do, and what to do if somebody else
//! did it.

use std::time::Duration;

use jiff::Timestamp;
use kastrel_actors::model::{AccountName, MailAddress};

use crate::identity::secret::RandomSecret;
use crate::ports::Mail;

/// A change of an account about which its user gets a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// The password was changed.
    PasswordChanged,
    /// A second factor was added.
    FactorAdded,
    /// The second factor was removed.
    FactorRemoved,
    /// This new mail address was entered, and waits for its confirmation.
    MailRequested(MailAddress),
    /// The recipient is not the address of the account any more.
    MailChanged,
}

/// Returns the mail with the link that somebody requested on the login page. `address` is that of
/// the client.
pub(super) fn reset(
    url: &str,
    to: MailAddress,
    account: &AccountName,
    secret: &RandomSecret,
    (lifetime, address, at): (Duration, &str, Timestamp),
) -> Mail {
    let text = format!(
        "Somebody requested a new password for the account {account} on Kastrel.\n\
         \n\
         Set it within {} with this link, which works once:\n\
         {}\n\
         \n\
         The request came from the network address {address} at {}.\n\
         If you did not send it, ignore this mail: your password stays as it is.\n\
         {}",
        minutes(lifetime),
        set_password(url, secret),
        time(at),
        signature(url)
    );
    Mail { to, subject: "Kastrel: set a new password", text }
}

/// Returns the mail with the first link of a new account.
pub(super) fn first_link(
    url: &str,
    to: MailAddress,
    account: &AccountName,
    secret: &RandomSecret,
    lifetime: Duration,
) -> Mail {
    let text = format!(
        "An administrator created the account {account} for you on Kastrel.\n\
         \n\
         Set your password within {} with this link, which works once:\n\
         {}\n\
         \n\
         If you do not expect this mail, ignore it.\n\
         {}",
        hours(lifetime),
        set_password(url, secret),
        signature(url)
    );
    Mail { to, subject: "Kastrel: your new account", text }
}

/// Returns the mail that a new address gets, with the link that confirms it.
pub(super) fn confirmation(
    url: &str,
    to: MailAddress,
    account: &AccountName,
    secret: &RandomSecret,
    (lifetime, at): (Duration, Timestamp),
) -> Mail {
    let text = format!(
        "This mail address was entered for the account {account} on Kastrel, at {}.\n\
         \n\
         Confirm it within {} with this link, which works once:\n\
         {url}/confirm-mail?link={}\n\
         \n\
         If this is not your account, ignore this mail: without the confirmation nothing changes.\n\
         {}",
        time(at),
        hours(lifetime),
        secret.expose(),
        signature(url)
    );
    Mail { to, subject: "Kastrel: confirm your mail address", text }
}

/// Returns the mail about a change of an account.
pub(super) fn notice(url: &str, to: MailAddress, account: &AccountName, what: &Notice, at: Timestamp) -> Mail {
    let (subject, happened, otherwise) = match what {
        Notice::PasswordChanged => (
            "Kastrel: your password was changed",
            format!("The password of the account {account} on Kastrel was changed"),
            "If this was not you, request a new password on the login page at once, or ask an administrator.",
        ),
        Notice::FactorAdded => (
            "Kastrel: a second factor was added",
            format!("A second factor was added to the account {account} on Kastrel"),
            "If this was not you, change your password at once, and ask an administrator to remove the factor.",
        ),
        Notice::FactorRemoved => (
            "Kastrel: your second factor was removed",
            format!("The second factor of the account {account} on Kastrel was removed"),
            "If neither you nor an administrator at your request did this, change your password at once.",
        ),
        Notice::MailRequested(new) => (
            "Kastrel: a new mail address was entered",
            format!(
                "The mail address {new} was entered for the account {account} on Kastrel, and waits for its confirmation"
            ),
            "If this was not you, change your password at once: that ends the change of the address.",
        ),
        Notice::MailChanged => (
            "Kastrel: your mail address was changed",
            format!("This is not the mail address of the account {account} on Kastrel any more. It was changed"),
            "If neither you nor an administrator at your request did this, ask an administrator at once.",
        ),
    };
    let text = format!("{happened}, at {}.\n\n{otherwise}\n{}", time(at), signature(url));
    Mail { to, subject, text }
}

fn set_password(url: &str, secret: &RandomSecret) -> String {
    format!("{url}/set-password?link={}", secret.expose())
}

fn minutes(time: Duration) -> String {
    format!("{} minutes", time.as_secs() / 60)
}

fn hours(time: Duration) -> String {
    format!("{} hours", time.as_secs() / 3600)
}

fn time(at: Timestamp) -> String {
    format!("{} UTC", at.strftime("%Y-%m-%d %H:%M:%S"))
}

fn signature(url: &str) -> String {
    format!("\n-- \nKastrel, {url}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://scans.example.com/kastrel";

    fn to() -> MailAddress {
        "ana@example.com".parse().unwrap()
    }

    fn ana() -> AccountName {
        "ana".parse().unwrap()
    }

    #[test]
    fn link_mail_says_who_asked_and_how_long_it_is_valid() {
        let secret = RandomSecret::generate();
        let of_client = (Duration::from_secs(3600), "192.0.2.1", Timestamp::UNIX_EPOCH);
        let mail = reset(URL, to(), &ana(), &secret, of_client);
        for part in [
            "account ana",
            "within 60 minutes",
            &format!("\n{URL}/set-password?link={}\n", secret.expose()),
            "192.0.2.1 at 1970-01-01 00:00:00 UTC",
            "ignore this mail",
        ] {
            assert!(mail.text.contains(part), "{part}: {}", mail.text);
        }
        assert!(!format!("{mail:?}").contains(secret.expose()));
        let first = first_link(URL, to(), &ana(), &secret, Duration::from_secs(86_400));
        assert!(first.text.contains("within 24 hours") && first.text.contains("/set-password?link="));
        let confirm = confirmation(URL, to(), &ana(), &secret, (Duration::from_secs(86_400), Timestamp::UNIX_EPOCH));
        assert!(confirm.text.contains(&format!("\n{URL}/confirm-mail?link={}\n", secret.expose())));
    }

    #[test]
    fn lines_of_mails_are_short_except_links_and_each_mail_names_the_server() {
        let secret = RandomSecret::generate();
        let now = Timestamp::UNIX_EPOCH;
        let notices = [
            Notice::PasswordChanged,
            Notice::FactorAdded,
            Notice::FactorRemoved,
            Notice::MailRequested(to()),
            Notice::MailChanged,
        ];
        let mails = notices.iter().map(|what| notice(URL, to(), &ana(), what, now)).chain([
            reset(URL, to(), &ana(), &secret, (Duration::from_secs(60), "::1", now)),
            first_link(URL, to(), &ana(), &secret, Duration::from_secs(3600)),
            confirmation(URL, to(), &ana(), &secret, (Duration::from_secs(3600), now)),
        ]);
        for mail in mails {
            assert!(mail.text.ends_with(&format!("-- \nKastrel, {URL}\n")), "{}", mail.text);
            assert!(mail.subject.starts_with("Kastrel: ") && mail.subject.is_ascii() && mail.subject.len() < 60);
            assert!(mail.text.is_ascii() && mail.text.lines().all(|line| line.len() < 200), "{}", mail.text);
        }
    }
}
