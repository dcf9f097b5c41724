//! The throttle of logins: delays after failures, without a lock-out that others can cause. It is
//! the control against credential stuffing and password guessing of ASVS 5.0, 6.3.1.
//!
//! Three rules decide, and the longest delay counts:
//!
//! 1. **One account from one address** (IPv4 /32, IPv6 /64). The first three attempts are free,
//!    then each failure doubles the delay, up to 30 seconds. A guess costs 30 seconds, so one
//!    address makes less than 3,000 guesses a day for an account.
//! 2. **One network** (IPv4 /24, IPv6 /56). At most 60 failures in 10 minutes, over all accounts.
//!    This stops one network that tries a common password on many accounts.
//! 3. **One account from everywhere.** A distributed attack has many networks, so only the account
//!    is common to its attempts. But a delay that the account's failures extend would let anybody
//!    keep its owner out. So this delay is at most 5 seconds, and belongs to the attempt: it begins
//!    with the first refusal of the address, and failures of others do not extend it.
//!
//! An address from which somebody logged in to the account within the last 30 days is known. An
//! attempt from there is delayed by failures from that address alone: rule 3 does not apply, and
//! rule 2 counts only the address's own failures. Persons who share an address, behind one NAT, can
//! still delay each other by rules 1 and 2. The way out is the one-time link of an admin.
//!
//! An attempt counts as failed from [`LoginThrottle::check`] on, until
//! [`LoginThrottle::succeeded`] says otherwise. A password that a code must follow is neither: see
//! [`LoginThrottle::continued`]. So a hundred parallel requests are no hundred free
//! guesses, and an attempt whose caller went away is not free either.
//!
//! Everything is in memory and bounded. A restart forgets the failures and the known addresses: for
//! the owner of an account under attack that means 5 seconds. The known addresses have a table of
//! their own, with one entry for each account, so that failures never evict them. Behind a proxy,
//! the caller must pass the address of the client; with the address of the proxy, all clients are
//! one.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use unicode_normalization::UnicodeNormalization as _;

use super::recent::Recent;

/// The most entries of each table.
const MOST_ENTRIES: usize = 10_000;
/// How long failures count. A pair that waits this long starts anew, which is slower than the
/// delays.
const WINDOW: Duration = Duration::from_secs(600);
/// The failures of a network within [`WINDOW`] after which it is refused.
const MOST_OF_NETWORK: usize = 60;
/// The most attempts that are kept for a network: known addresses may exceed the limit of the
/// others.
const MOST_ATTEMPTS: usize = 2 * MOST_OF_NETWORK;
/// The delay while the attempts of a network that may still succeed fill its limit.
const WAIT_FOR_OPEN: Duration = Duration::from_secs(1);
/// How long a successful login makes an address known.
const REMEMBERED: Duration = Duration::from_hours(30 * 24);
/// The most known addresses of an account.
const MOST_KNOWN: usize = 16;

/// An attempt that must wait. The text is for a page or a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(Duration);

impl RetryAfter {
    pub(super) const fn new(wait: Duration) -> Self {
        Self(wait)
    }

    /// Returns the time from now until the attempt may be repeated; never zero.
    #[must_use]
    pub const fn wait(self) -> Duration {
        self.0
    }

    /// Returns that time in whole seconds, rounded up, for the header `Retry-After`.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        let seconds = self.0.as_secs();
        if self.0.subsec_nanos() > 0 { seconds + 1 } else { seconds }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Too many attempts. Try again in {} s.", self.seconds())
    }
}

impl std::error::Error for RetryAfter {}

/// Counts the failed logins of a process and says which attempt must wait. It is shared by all
/// requests. The account is the name as it was typed; names that differ in case, in their Unicode
/// form or in spaces at the ends are one account. It need not exist.
pub struct LoginThrottle {
    /// Accounts are kept as numbers, so that a long name takes no memory.
    names: RandomState,
    tables: Mutex<Tables>,
}

struct Tables {
    pairs: Recent<(u64, IpAddr), Pair>,
    networks: Recent<IpAddr, Network>,
    accounts: Recent<u64, Failures>,
    /// The addresses that logged in to an account, with the time of the last login.
    known: Recent<u64, Vec<(IpAddr, Instant)>>,
}

/// The attempts of one address on one account.
struct Pair {
    /// The attempts that failed.
    failures: u32,
    /// The attempts that were let through and have no outcome yet.
    open: u32,
    last: Instant,
    /// The last attempt before it.
    before: Instant,
    /// The end of the delay for the failures of the account, fixed at the first refusal.
    waits_until: Option<Instant>,
}

/// The failures of one account.
struct Failures {
    count: u32,
    last: Instant,
}

/// The attempts of a network within [`WINDOW`], the oldest first.
#[derive(Default)]
struct Network(VecDeque<Attempt>);

struct Attempt {
    at: Instant,
    address: IpAddr,
    /// It was let through and has no outcome yet.
    is_open: bool,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LoginThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginThrottle")
    }
}

impl LoginThrottle {
    /// Creates a throttle that knows no failure and no address.
    #[must_use]
    pub fn new() -> Self {
        Self::with_most(MOST_ENTRIES)
    }

    fn with_most(most: usize) -> Self {
        let tables = Tables {
            pairs: Recent::new(most),
            networks: Recent::new(most),
            accounts: Recent::new(most),
            known: Recent::new(most),
        };
        Self { names: RandomState::new(), tables: Mutex::new(tables) }
    }

    /// Lets an attempt through, or refuses it. An attempt that is let through counts as failed
    /// until [`Self::succeeded`]; the caller reports the outcome with that or [`Self::failed`].
    ///
    /// # Errors
    /// The attempt must wait. A refused attempt is not a failure, and its password is not looked
    /// at.
    pub fn check(&self, account: &str, network: IpAddr, now: Instant) -> Result<(), RetryAfter> {
        let (account, address) = (self.account(account), address(network));
        let mut tables = self.tables();
        let is_known = tables.is_known(account, address, now);
        let of_account = tables.account_delay(account, now);
        let Tables { pairs, networks, .. } = &mut *tables;
        let pair = pairs.entry(&(account, address), || Pair::new(now));
        pair.forget(now);
        let of_account = if is_known || of_account.is_zero() {
            pair.waits_until = None;
            Duration::ZERO
        } else {
            pair.waits_until.get_or_insert(now + of_account).saturating_duration_since(now)
        };
        let of_pair = rest(pair_delay(pair.failures.saturating_add(pair.open)), pair.last, now);
        let network = networks.entry(&network_of(address), Network::default);
        let of_network = network.delay(is_known.then_some(address), now);
        let wait = of_account.max(of_pair).max(of_network);
        if !wait.is_zero() {
            return Err(RetryAfter(wait));
        }
        pair.open = pair.open.saturating_add(1);
        pair.before = std::mem::replace(&mut pair.last, now);
        pair.waits_until = None;
        network.push(Attempt { at: now, address, is_open: true });
        Ok(())
    }

    /// Reports that the password or the second factor of an attempt was wrong, or that the account
    /// does not exist.
    pub fn failed(&self, account: &str, network: IpAddr, now: Instant) {
        let (account, address) = (self.account(account), address(network));
        let mut tables = self.tables();
        let pair = tables.pairs.entry(&(account, address), || Pair::new(now));
        pair.forget(now);
        pair.open = pair.open.saturating_sub(1);
        pair.failures = pair.failures.saturating_add(1);
        pair.last = pair.last.max(now);
        let network = tables.networks.entry(&network_of(address), Network::default);
        match network.open(address) {
            Some(at) => network.0[at].is_open = false,
            None => network.push(Attempt { at: now, address, is_open: false }),
        }
        let failures = tables.accounts.entry(&account, || Failures { count: 0, last: now });
        if now.saturating_duration_since(failures.last) >= WINDOW {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = failures.last.max(now);
    }

    /// Reports that an attempt succeeded, with all factors: the failures of its address on the
    /// account are forgotten, and the address is known for 30 days.
    pub fn succeeded(&self, account: &str, network: IpAddr, now: Instant) {
        let (account, address) = (self.account(account), address(network));
        let mut tables = self.tables();
        tables.pairs.remove(&(account, address));
        let network = tables.networks.entry(&network_of(address), Network::default);
        if let Some(at) = network.open(address) {
            network.0.remove(at);
        }
        let known = tables.known.entry(&account, Vec::new);
        known.retain(|(other, at)| *other != address && now.saturating_duration_since(*at) < REMEMBERED);
        if known.len() >= MOST_KNOWN {
            known.remove(0);
        }
        known.push((address, now));
    }

    /// Reports that the password of an attempt was right and that a second factor must follow,
    /// which is an attempt of its own and may follow at once. The failures stay, and the address
    /// does not become known.
    pub fn continued(&self, account: &str, network: IpAddr, now: Instant) {
        let (account, address) = (self.account(account), address(network));
        let mut tables = self.tables();
        let pair = tables.pairs.entry(&(account, address), || Pair::new(now));
        pair.open = pair.open.saturating_sub(1);
        if pair.open == 0 {
            pair.last = pair.before;
        }
        let network = tables.networks.entry(&network_of(address), Network::default);
        if let Some(at) = network.open(address) {
            network.0.remove(at);
        }
    }

    /// Returns the number of an account. Nobody outside knows the key, so nobody can choose names
    /// with the same number.
    fn account(&self, name: &str) -> u64 {
        let folded: String = name.trim().to_lowercase().nfc().collect();
        self.names.hash_one(folded)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn is_known(&self, account: u64, address: IpAddr, now: Instant) -> bool {
        self.known.get(&account).is_some_and(|known| {
            known.iter().any(|(other, at)| *other == address && now.saturating_duration_since(*at) < REMEMBERED)
        })
    }

    fn account_delay(&self, account: u64, now: Instant) -> Duration {
        self.accounts
            .get(&account)
            .filter(|failures| now.saturating_duration_since(failures.last) < WINDOW)
            .map_or(Duration::ZERO, |failures| account_delay(failures.count))
    }
}

impl Pair {
    const fn new(now: Instant) -> Self {
        Self { failures: 0, open: 0, last: now, before: now, waits_until: None }
    }

    /// Starts anew when the last attempt is old.
    fn forget(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) >= WINDOW {
            (self.failures, self.open) = (0, 0);
        }
    }
}

impl Network {
    /// Returns how long an attempt must wait. Only the attempts from one address count if one is
    /// given.
    fn delay(&mut self, only: Option<IpAddr>, now: Instant) -> Duration {
        self.0.retain(|attempt| now.saturating_duration_since(attempt.at) < WINDOW);
        let counted = || self.0.iter().filter(move |attempt| only.is_none_or(|address| attempt.address == address));
        if counted().count() < MOST_OF_NETWORK {
            return Duration::ZERO;
        }
        let failed = counted().filter(|attempt| !attempt.is_open);
        match failed.clone().count().checked_sub(MOST_OF_NETWORK) {
            // The attempt after which fewer than the limit are left.
            Some(surplus) => failed.clone().nth(surplus).map_or(Duration::ZERO, |last| rest(WINDOW, last.at, now)),
            None => WAIT_FOR_OPEN,
        }
    }

    /// Returns the index of an attempt from an address that has no outcome yet.
    fn open(&self, address: IpAddr) -> Option<usize> {
        self.0.iter().position(|attempt| attempt.is_open && attempt.address == address)
    }

    fn push(&mut self, attempt: Attempt) {
        if self.0.len() >= MOST_ATTEMPTS {
            self.0.pop_front();
        }
        self.0.push_back(attempt);
    }
}

/// The delay after the failures of one address on one account.
const fn pair_delay(failures: u32) -> Duration {
    Duration::from_secs(match failures {
        0..=2 => 0,
        3 => 1,
        4 => 2,
        5 => 4,
        6 => 8,
        7 => 16,
        _ => 30,
    })
}

/// The delay of an attempt from an unknown address after the failures of its account everywhere.
const fn account_delay(failures: u32) -> Duration {
    Duration::from_secs(match failures {
        0..=9 => 0,
        10..=19 => 1,
        20..=49 => 2,
        _ => 5,
    })
}

/// The rest of a delay that began at `since`.
fn rest(delay: Duration, since: Instant, now: Instant) -> Duration {
    delay.saturating_sub(now.saturating_duration_since(since))
}

/// The address that counts as one party: an IPv4 address, or the /64 of an IPv6 address, which one
/// machine has for itself.
fn address(network: IpAddr) -> IpAddr {
    masked(network, 32, 64)
}

/// Returns the network of an address that one owner often has: a /24 of IPv4, or a /56 of IPv6.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    masked(address, 24, 56)
}

fn masked(address: IpAddr, bits_of_4: u32, bits_of_6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - bits_of_4))).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits_of_6))).into(),
    }
}

#[cfg(test)]
mod tests;
