//! Device logins: their limits, and what a poll of the command line gets.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::model::{AccountName, DeviceLogin, DeviceLoginLimits, DeviceLoginState, DevicePolls};

/// How long a device login is valid.
pub const LIFETIME: Duration = Duration::from_mins(10);

/// The least time between two polls, in seconds, until one comes too early.
pub const INTERVAL: u32 = 5;

/// By how much a poll that comes too early extends that time, in seconds (RFC 8628, 3.5).
const SLOWER_BY: u32 = 5;

/// The longest time between two polls that is required, in seconds.
const MOST_INTERVAL: u32 = 60;

/// How many device logins may exist. Anybody can create one, so without limits anybody could fill
/// the database.
pub const LIMITS: DeviceLoginLimits = DeviceLoginLimits { of_network: 20, total: 500 };

/// What a poll gets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum PollStep {
    /// The device login does not exist, was used or has expired.
    Gone,
    /// Nothing was decided. Note the poll.
    Pending(DevicePolls),
    /// The poll came too early, and does not count as the last one. Note the new interval, if it
    /// changed: the next poll must wait for longer.
    TooEarly(DevicePolls),
    /// An account denied it.
    Denied,
    /// An account allowed it: create the token.
    Allowed(AccountName),
}

/// Returns what a poll at `now` gets. The clocks of two servers differ, so a last poll that seems
/// to be in the future counts by its distance.
pub fn poll_step(login: Option<&DeviceLogin>, now: Timestamp) -> PollStep {
    let Some(login) = login.filter(|login| now < login.expires_at) else { return PollStep::Gone };
    let DevicePolls { last_at, interval } = login.polls;
    let least = SignedDuration::from_secs(interval.into());
    if last_at.is_some_and(|last| now.duration_since(last).abs() < least) {
        let interval = interval.saturating_add(SLOWER_BY).min(MOST_INTERVAL);
        return PollStep::TooEarly(DevicePolls { last_at, interval });
    }
    match &login.state {
        DeviceLoginState::Pending => PollStep::Pending(DevicePolls { last_at: Some(now), interval }),
        DeviceLoginState::Denied => PollStep::Denied,
        DeviceLoginState::Allowed(account) => PollStep::Allowed(account.clone()),
    }
}

/// Returns how long a client that must wait for room should wait: at least a second.
#[must_use]
pub fn wait_for_room(free_at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(free_at.duration_since(now)).unwrap_or_default().clamp(Duration::from_secs(1), LIFETIME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DeviceTokenRequest, ProjectRole, SecretDigest};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn login(state: DeviceLoginState, last: Option<i64>, interval: u32) -> DeviceLogin {
        DeviceLogin {
            key: SecretDigest::new([1; 32]),
            user_code: SecretDigest::new([2; 32]),
            label: "ana@laptop".into(),
            address: "192.0.2.1".into(),
            network: "192.0.2.0".into(),
            request: DeviceTokenRequest { role: ProjectRole::Operator, has_server_role: false, days: 90 },
            created_at: at(0),
            expires_at: at(600),
            state,
            polls: DevicePolls { last_at: last.map(at), interval },
        }
    }

    fn allowed() -> DeviceLoginState {
        DeviceLoginState::Allowed("ana".parse().unwrap())
    }

    #[test]
    fn poll_follows_its_table() {
        use DeviceLoginState::{Denied, Pending};
        let polls = |second, interval| DevicePolls { last_at: Some(at(second)), interval };
        for (state, last, interval, now, expected) in [
            (Pending, None, 5, 0, PollStep::Pending(polls(0, 5))),
            (Pending, Some(10), 5, 15, PollStep::Pending(polls(15, 5))),
            (Pending, Some(10), 5, 14, PollStep::TooEarly(polls(10, 10))),
            (Pending, Some(10), 10, 19, PollStep::TooEarly(polls(10, 15))),
            (Pending, Some(10), 10, 20, PollStep::Pending(polls(20, 10))),
            (Pending, Some(10), 60, 11, PollStep::TooEarly(polls(10, 60))),
            // The clock of another server is ahead.
            (Pending, Some(12), 5, 10, PollStep::TooEarly(polls(12, 10))),
            (Pending, Some(40), 5, 10, PollStep::Pending(polls(10, 5))),
            (Denied, None, 5, 0, PollStep::Denied),
            (Denied, Some(10), 5, 12, PollStep::TooEarly(polls(10, 10))),
            (allowed(), None, 5, 599, PollStep::Allowed("ana".parse().unwrap())),
            (allowed(), Some(10), 5, 12, PollStep::TooEarly(polls(10, 10))),
            (allowed(), None, 5, 600, PollStep::Gone),
            (Pending, None, 5, 600, PollStep::Gone),
            (Denied, None, 5, 601, PollStep::Gone),
        ] {
            let login = login(state, last, interval);
            assert_eq!(poll_step(Some(&login), at(now)), expected, "{login:?} at {now}");
        }
        assert_eq!(poll_step(None, at(0)), PollStep::Gone);
    }

    #[test]
    fn only_an_allowed_login_leads_to_a_token() {
        for state in [DeviceLoginState::Pending, DeviceLoginState::Denied] {
            for now in [0, 5, 599, 600] {
                let step = poll_step(Some(&login(state.clone(), None, INTERVAL)), at(now));
                assert!(!matches!(step, PollStep::Allowed(_)), "{step:?}");
            }
        }
    }

    #[test]
    fn wait_for_room_is_at_least_a_second_and_at_most_the_lifetime() {
        for (free, now, seconds) in [(100, 0, 100), (100, 100, 1), (0, 50, 1), (9_000, 0, 600)] {
            assert_eq!(wait_for_room(at(free), at(now)), Duration::from_secs(seconds));
        }
    }
}
