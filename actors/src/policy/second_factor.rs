//! Second factors: what a sign-in with the right password still needs, and how often a code may be
//! tried.

use crate::model::{Account, AccountKind, ServerRole};

/// How many codes may be tried in one pending sign-in.
pub const MOST_TRIES_OF_SIGN_IN: u32 = 5;

/// How many pending sign-ins an account may have. Each takes a right password; a further one ends
/// the oldest.
pub const MOST_PENDING_SIGN_INS: usize = 10;

/// How many codes of an app may be tried for an account in a row. After them only recovery codes
/// are accepted, and the first one that is right resets the number. The limit is for all sign-ins,
/// addresses and servers together: a code has 6 digits, and three of them are valid at any moment,
/// so who knows the password finds one with a probability of 0.03 %.
pub const MOST_TRIES_IN_A_ROW: u32 = 100;

/// Which accounts must have a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FactorRule {
    /// None must: each user decides.
    #[default]
    Off,
    /// Administrators must.
    Admins,
    /// All users must.
    All,
}

/// What follows the right password of a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SignInStep {
    /// The session starts.
    Session,
    /// The second factor: what [`second_step`] says.
    Code,
    /// The account must add a second factor first.
    Enrolment,
}

/// What the second step of a sign-in takes, and what confirms a change of the factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SecondStep {
    /// A code of the app, or a recovery code.
    Code,
    /// A passkey.
    Passkey,
    /// Either of them.
    CodeOrPasskey,
    /// Nothing: the account has passkeys alone, and this server accepts none. An administrator can
    /// remove them.
    Nothing,
}

impl SecondStep {
    /// Returns true if a code is accepted.
    #[must_use]
    pub const fn takes_code(self) -> bool {
        matches!(self, Self::Code | Self::CodeOrPasskey)
    }

    /// Returns true if a passkey is accepted.
    #[must_use]
    pub const fn takes_passkey(self) -> bool {
        matches!(self, Self::Passkey | Self::CodeOrPasskey)
    }
}

/// Returns what the second step of an account takes. `accepts_passkeys` is about this server. An
/// account with a passkey and without an app gets no set-up of an app in its place: the password
/// alone would then suffice.
pub const fn second_step(has_app: bool, has_passkey: bool, accepts_passkeys: bool) -> SecondStep {
    match (has_app, has_passkey && accepts_passkeys) {
        (true, true) => SecondStep::CodeOrPasskey,
        (true, false) => SecondStep::Code,
        (false, true) => SecondStep::Passkey,
        (false, false) => SecondStep::Nothing,
    }
}

/// Returns what follows the right password of an account. A sign-in with a passkey alone has no
/// second step: the device verified its user, so the passkey is two factors.
pub const fn next_step(rule: FactorRule, account: &Account) -> SignInStep {
    if account.has_second_factor {
        SignInStep::Code
    } else if must_have_factor(rule, account) {
        SignInStep::Enrolment
    } else {
        SignInStep::Session
    }
}

/// Returns true if an account must have a second factor. Accounts of programs have no password, so
/// they need none.
#[must_use]
pub const fn must_have_factor(rule: FactorRule, account: &Account) -> bool {
    let is_admin = matches!(account.server_role, Some(ServerRole::Admin));
    let is_covered = match rule {
        FactorRule::Off => false,
        FactorRule::Admins => is_admin,
        FactorRule::All => true,
    };
    is_covered && matches!(account.kind, AccountKind::User)
}

/// Returns true if a session of the account may exist: it has the factor that it must have. So a
/// rule that is turned on, and a factor that is removed, end the sessions.
#[must_use]
pub const fn may_have_session(rule: FactorRule, account: &Account) -> bool {
    !matches!(next_step(rule, account), SignInStep::Enrolment)
}

/// Returns true if a pending sign-in still takes the code of its try number `tries`.
#[must_use]
pub const fn takes_try(tries: u32) -> bool {
    tries <= MOST_TRIES_OF_SIGN_IN
}

/// Returns true if codes of the app are still accepted after so many tries in a row.
#[must_use]
pub const fn takes_app_code(tries: u32) -> bool {
    tries <= MOST_TRIES_IN_A_ROW
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    fn account(kind: AccountKind, server_role: Option<ServerRole>, has_second_factor: bool) -> Account {
        Account {
            name: "ana".parse().unwrap(),
            kind,
            server_role,
            is_disabled: false,
            has_password: kind == AccountKind::User,
            has_second_factor,
            mail: None,
            created_at: Timestamp::UNIX_EPOCH,
            memberships: BTreeMap::new(),
        }
    }

    #[test]
    fn step_after_the_password_follows_the_rule_the_role_and_the_factor() {
        use FactorRule::{Admins, All, Off};
        use SignInStep::{Code, Enrolment, Session};
        for (role, has_factor, steps) in [
            (None, false, [Session, Session, Enrolment]),
            (Some(ServerRole::Auditor), false, [Session, Session, Enrolment]),
            (Some(ServerRole::Admin), false, [Session, Enrolment, Enrolment]),
            (None, true, [Code; 3]),
            (Some(ServerRole::Auditor), true, [Code; 3]),
            (Some(ServerRole::Admin), true, [Code; 3]),
        ] {
            let user = account(AccountKind::User, role, has_factor);
            assert_eq!([Off, Admins, All].map(|rule| next_step(rule, &user)), steps, "{role:?} {has_factor}");
            let may = [Off, Admins, All].map(|rule| may_have_session(rule, &user));
            assert_eq!(may, steps.map(|step| step != Enrolment), "{role:?} {has_factor}");
        }
    }

    #[test]
    fn second_step_takes_what_the_account_has_and_the_server_accepts() {
        use SecondStep::{Code, CodeOrPasskey, Nothing, Passkey};
        for (has_app, has_passkey, accepts_passkeys, step) in [
            (true, true, true, CodeOrPasskey),
            (true, true, false, Code),
            (true, false, true, Code),
            (true, false, false, Code),
            (false, true, true, Passkey),
            (false, true, false, Nothing),
            (false, false, true, Nothing),
            (false, false, false, Nothing),
        ] {
            assert_eq!(second_step(has_app, has_passkey, accepts_passkeys), step);
            assert_eq!((step.takes_code(), step.takes_passkey()), (has_app, has_passkey && accepts_passkeys));
        }
    }

    #[test]
    fn account_of_a_program_needs_no_factor() {
        for role in [None, Some(ServerRole::Admin)] {
            let robot = account(AccountKind::Service, role, false);
            assert!(!must_have_factor(FactorRule::All, &robot) && !must_have_factor(FactorRule::Admins, &robot));
        }
    }

    #[test]
    fn tries_have_their_limits() {
        assert_eq!([1, 5, 6].map(takes_try), [true, true, false]);
        assert_eq!([1, 100, 101].map(takes_app_code), [true, true, false]);
    }
}
