//! Tests of the delays, and of what attackers and owners of accounts can do within them.

use proptest::prelude::*;

use super::*;

const OWNER: IpAddr = v4(192, 0, 2, 1);
const ATTACKER: IpAddr = v4(203, 0, 113, 7);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// An address in the network of this number.
fn network(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0001 | (number << 8)).into()
}

fn start() -> Instant {
    tokio::time::Instant::now().into_std()
}

fn after(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

/// The seconds that an attempt must wait; 0 if it was let through.
fn wait(throttle: &LoginThrottle, account: &str, address: IpAddr, now: Instant) -> u64 {
    throttle.check(account, address, now).map_or_else(RetryAfter::seconds, |()| 0)
}

/// Fails once, without a check.
fn fail(throttle: &LoginThrottle, account: &str, addresses: impl IntoIterator<Item = IpAddr>, now: Instant) {
    for address in addresses {
        throttle.failed(account, address, now);
    }
}

#[test]
fn delays_follow_their_tables() {
    let pair = [0, 0, 0, 1, 2, 4, 8, 16, 30, 30];
    for (failures, seconds) in (0..).zip(pair).chain([(u32::MAX, 30)]) {
        assert_eq!(pair_delay(failures), Duration::from_secs(seconds), "{failures}");
    }
    for (failures, seconds) in [(0, 0), (9, 0), (10, 1), (19, 1), (20, 2), (49, 2), (50, 5), (u32::MAX, 5)] {
        assert_eq!(account_delay(failures), Duration::from_secs(seconds), "{failures}");
    }
}

#[test]
fn one_address_waits_longer_after_each_failure_on_one_account() {
    let (throttle, mut now) = (LoginThrottle::new(), start());
    for seconds in [0, 0, 0, 1, 2, 4, 8, 16, 30, 30] {
        if seconds > 0 {
            assert_eq!(wait(&throttle, "anna", ATTACKER, now), seconds);
            let nearly = after(now, seconds) - Duration::from_millis(1);
            assert_eq!(throttle.check("anna", ATTACKER, nearly), Err(RetryAfter(Duration::from_millis(1))));
        }
        now = after(now, seconds);
        assert_eq!(wait(&throttle, "anna", ATTACKER, now), 0, "{seconds}");
        throttle.failed("anna", ATTACKER, now);
    }
    assert_eq!(wait(&throttle, "bob", ATTACKER, now), 0, "another account");
    assert_eq!(wait(&throttle, "anna", ATTACKER, after(now, 29)), 1);
    assert_eq!(wait(&throttle, "anna", ATTACKER, after(now, 600)), 0);
    assert_eq!(wait(&throttle, "anna", ATTACKER, after(now, 600)), 0, "failures are forgotten after 10 minutes");
}

#[test]
fn right_password_before_a_code_is_neither_a_failure_nor_a_success() {
    let (throttle, now) = (LoginThrottle::new(), start());
    for _ in 0..100 {
        assert_eq!(wait(&throttle, "anna", OWNER, now), 0);
        throttle.continued("anna", OWNER, now);
    }
    fail(&throttle, "anna", [OWNER; 2], now);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 0);
    throttle.continued("anna", OWNER, now);
    fail(&throttle, "anna", [OWNER], now);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 1, "the failures before it stay");
    let later = after(now, 1);
    assert_eq!(wait(&throttle, "anna", OWNER, later), 0);
    throttle.continued("anna", OWNER, later);
    assert_eq!(wait(&throttle, "anna", OWNER, later), 0, "the code follows at once");
    throttle.failed("anna", OWNER, later);
    assert_eq!(wait(&throttle, "anna", OWNER, later), 2);
    fail(&throttle, "bob", (0..50).map(network), now);
    assert_eq!(wait(&throttle, "bob", OWNER, now), 5);
    throttle.continued("bob", OWNER, now);
    assert_eq!(wait(&throttle, "bob", OWNER, now), 5, "its address is not known");
}

#[test]
fn success_forgets_the_failures_of_its_address_on_its_account() {
    let (throttle, now) = (LoginThrottle::new(), start());
    fail(&throttle, "anna", [ATTACKER; 5], now);
    fail(&throttle, "anna", [OWNER; 5], now);
    fail(&throttle, "bob", [OWNER; 5], now);
    throttle.succeeded("anna", OWNER, now);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 0);
    assert_eq!(wait(&throttle, "anna", ATTACKER, now), 4);
    assert_eq!(wait(&throttle, "bob", OWNER, now), 4);
}

#[test]
fn parallel_attempts_are_no_free_guesses() {
    let (throttle, now) = (LoginThrottle::new(), start());
    let through = (0..100).filter(|_| throttle.check("anna", ATTACKER, now).is_ok()).count();
    assert_eq!(through, 3);
    // None reported an outcome: they stay failures.
    assert_eq!(wait(&throttle, "anna", ATTACKER, now), 1);
    // An outcome is counted once.
    fail(&throttle, "anna", [ATTACKER; 3], now);
    assert_eq!(wait(&throttle, "anna", ATTACKER, now), 1);
}

#[test]
fn names_that_may_mean_one_account_are_one() {
    let (throttle, now) = (LoginThrottle::new(), start());
    fail(&throttle, "Jos\u{e9}", [ATTACKER; 3], now);
    for name in ["jos\u{e9}", " JOSE\u{301} ", "Jose\u{301}"] {
        assert_eq!(wait(&throttle, name, ATTACKER, now), 1, "{name}");
    }
    assert_eq!(wait(&throttle, "jose", ATTACKER, now), 0);
}

#[test]
fn addresses_of_one_party_are_one() {
    for (first, second, is_one_party, is_one_network) in [
        ("192.0.2.1", "192.0.2.1", true, true),
        ("192.0.2.1", "::ffff:192.0.2.1", true, true),
        ("192.0.2.1", "192.0.2.2", false, true),
        ("192.0.2.1", "192.0.3.1", false, false),
        ("2001:db8:0:100::1", "2001:db8:0:100:ffff::9", true, true),
        ("2001:db8:0:100::1", "2001:db8:0:101::1", false, true),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::1", false, true),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", false, false),
    ] {
        let (a, b) = (address(first.parse().unwrap()), address(second.parse().unwrap()));
        assert_eq!((a == b, network_of(a) == network_of(b)), (is_one_party, is_one_network), "{first} {second}");
    }
}

#[test]
fn network_is_refused_after_60_failures_in_10_minutes() {
    let (throttle, first) = (LoginThrottle::new(), start());
    for number in 0..60_u8 {
        let now = after(first, u64::from(number));
        let address = v4(198, 51, 100, number);
        assert_eq!(wait(&throttle, &format!("user{number}"), address, now), 0, "{number}");
        throttle.failed(&format!("user{number}"), address, now);
    }
    let other = v4(198, 51, 100, 200);
    assert_eq!(wait(&throttle, "anna", other, after(first, 60)), 540);
    assert_eq!(wait(&throttle, "anna", v4(198, 51, 101, 200), after(first, 60)), 0, "another network");
    // The first failure is 10 minutes old, and makes room for one attempt.
    assert_eq!(wait(&throttle, "anna", other, after(first, 600)), 0);
    throttle.failed("anna", other, after(first, 600));
    assert_eq!(wait(&throttle, "bob", other, after(first, 600)), 1);
    assert_eq!(wait(&throttle, "bob", other, after(first, 601)), 0);
}

#[test]
fn successful_logins_of_a_network_do_not_count() {
    let (throttle, now) = (LoginThrottle::new(), start());
    for number in 0..500 {
        let name = format!("user{number}");
        assert_eq!(wait(&throttle, &name, OWNER, now), 0, "{number}");
        throttle.succeeded(&name, OWNER, now);
    }
}

#[test]
fn many_parallel_logins_of_a_network_wait_one_second_and_not_minutes() {
    let (throttle, now) = (LoginThrottle::new(), start());
    for number in 0..60 {
        assert_eq!(wait(&throttle, &format!("user{number}"), OWNER, now), 0, "{number}");
    }
    assert_eq!(wait(&throttle, "user60", OWNER, now), 1);
    throttle.succeeded("user0", OWNER, now);
    assert_eq!(wait(&throttle, "user60", OWNER, now), 0);
}

#[test]
fn attack_from_many_networks_delays_an_unknown_address_by_5_seconds_once() {
    let (throttle, first) = (LoginThrottle::new(), start());
    fail(&throttle, "anna", (0..200).map(network), first);
    assert_eq!(wait(&throttle, "anna", OWNER, first), 5);
    // The attack continues, and does not extend the delay.
    for second in 0..5 {
        let now = after(first, second);
        fail(&throttle, "anna", (0..200).map(network), now);
        assert_eq!(wait(&throttle, "anna", OWNER, now), 5 - second);
    }
    assert_eq!(wait(&throttle, "anna", OWNER, after(first, 5)), 0);
    assert_eq!(wait(&throttle, "anna", OWNER, after(first, 5)), 5, "the next attempt waits again");
    assert_eq!(wait(&throttle, "bob", OWNER, first), 0, "another account");
    assert_eq!(wait(&throttle, "anna", v4(192, 0, 2, 2), after(first, 605)), 0, "the attack is over");
}

#[test]
fn known_address_is_not_delayed_by_others_for_30_days() {
    let (throttle, first) = (LoginThrottle::new(), start());
    throttle.succeeded("anna", OWNER, first);
    let day = 24 * 60 * 60;
    for (seconds, expected) in [(0, 0), (30 * day - 1, 0), (30 * day, 5)] {
        let now = after(first, seconds);
        fail(&throttle, "anna", (0..200).map(network), now);
        assert_eq!(wait(&throttle, "anna", OWNER, now), expected, "{seconds}");
    }
}

#[test]
fn known_address_is_not_delayed_by_its_neighbours_but_by_itself() {
    let (throttle, now) = (LoginThrottle::new(), start());
    throttle.succeeded("anna", OWNER, now);
    for neighbour in 100..160 {
        fail(&throttle, &format!("user{neighbour}"), [v4(192, 0, 2, neighbour)], now);
    }
    assert_eq!(wait(&throttle, "bob", OWNER, now), 600);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 0);
    fail(&throttle, "anna", [OWNER; 3], now);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 1);
    throttle.succeeded("anna", OWNER, now);
    for number in 0..60 {
        fail(&throttle, &format!("user{number}"), [OWNER], now);
    }
    assert_eq!(wait(&throttle, "anna", OWNER, now), 600, "60 failures from the address itself");
}

#[test]
fn account_knows_its_last_16_addresses() {
    let (throttle, now) = (LoginThrottle::new(), start());
    for number in 0..17 {
        throttle.succeeded("anna", network(number), now);
    }
    fail(&throttle, "anna", (100..200).map(network), now);
    assert_eq!(wait(&throttle, "anna", network(0), now), 5);
    for number in 1..17 {
        assert_eq!(wait(&throttle, "anna", network(number), now), 0, "{number}");
    }
}

#[test]
fn failures_never_evict_known_addresses_and_tables_stay_bounded() {
    let (throttle, now) = (LoginThrottle::with_most(10), start());
    throttle.succeeded("anna", OWNER, now);
    fail(&throttle, "anna", (0..100).map(network), now);
    for number in 0..100 {
        let name = format!("user{number}");
        assert_eq!(wait(&throttle, &name, network(number), now), 0, "{number}");
        throttle.failed(&name, network(number), now);
    }
    fail(&throttle, "anna", (0..100).map(network), now);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 0);
    assert_eq!(wait(&throttle, "anna", v4(192, 0, 2, 2), now), 5);
    // The pair of the first failure was evicted long ago.
    fail(&throttle, "user0", [network(0); 2], now);
    assert_eq!(wait(&throttle, "user0", network(0), now), 0);
}

#[test]
fn attempts_of_one_network_are_bounded() {
    let (throttle, now) = (LoginThrottle::new(), start());
    fail(&throttle, "anna", [OWNER; 1000], now);
    assert_eq!(throttle.tables().networks.get(&network_of(OWNER)).unwrap().0.len(), MOST_ATTEMPTS);
    assert_eq!(wait(&throttle, "bob", OWNER, now), 600);
}

#[test]
fn time_that_runs_backwards_between_requests_is_no_panic() {
    let (throttle, now) = (LoginThrottle::new(), start());
    let later = after(now, 100);
    fail(&throttle, "anna", [OWNER; 4], later);
    assert_eq!(wait(&throttle, "anna", OWNER, now), 2);
    throttle.failed("anna", OWNER, now);
    throttle.succeeded("anna", OWNER, now);
}

#[test]
fn text_says_when_to_try_again_in_whole_seconds() {
    for (millis, seconds) in [(1, 1), (1000, 1), (1001, 2), (30_000, 30)] {
        let retry = RetryAfter(Duration::from_millis(millis));
        assert_eq!((retry.seconds(), retry.wait()), (seconds, Duration::from_millis(millis)));
        assert_eq!(retry.to_string(), format!("Too many attempts. Try again in {seconds} s."));
    }
}

/// Moves of other networks: the account, the network, the pause before in seconds, and the outcome.
fn moves() -> impl Strategy<Value = Vec<(u8, u32, u64, bool)>> {
    proptest::collection::vec((0_u8..3, 0_u32..60, 0_u64..3, any::<bool>()), 0..300)
}

/// Plays moves, and returns the time after them.
fn play(throttle: &LoginThrottle, moves: &[(u8, u32, u64, bool)], mut now: Instant) -> Instant {
    for (account, number, pause, is_checked) in moves {
        now = after(now, *pause);
        let account = format!("user{account}");
        if !is_checked || throttle.check(&account, network(*number), now).is_ok() {
            throttle.failed(&account, network(*number), now);
        }
    }
    now
}

proptest! {
    #[test]
    fn others_delay_a_first_attempt_by_at_most_5_seconds(before in moves(), meanwhile in moves()) {
        let throttle = LoginThrottle::new();
        let now = play(&throttle, &before, start());
        if let Err(retry) = throttle.check("user0", OWNER, now) {
            prop_assert!(retry.wait() <= Duration::from_secs(5));
            let later = play(&throttle, &meanwhile, now).max(now + retry.wait());
            prop_assert_eq!(throttle.check("user0", OWNER, later), Ok(()));
        }
    }

    #[test]
    fn others_never_delay_a_known_address(before in moves()) {
        let throttle = LoginThrottle::new();
        let first = start();
        throttle.succeeded("user0", OWNER, first);
        let now = play(&throttle, &before, first);
        prop_assert_eq!(throttle.check("user0", OWNER, now), Ok(()));
    }

    #[test]
    fn network_has_at_most_60_failures_in_any_10_minutes(pauses in proptest::collection::vec(0_u64..40, 0..300)) {
        let throttle = LoginThrottle::new();
        let mut now = start();
        let mut through = Vec::new();
        for (number, pause) in pauses.into_iter().enumerate() {
            now = after(now, pause);
            let (name, host) = (format!("user{number}"), u8::try_from(number % 256).unwrap());
            if throttle.check(&name, v4(198, 51, 100, host), now).is_ok() {
                throttle.failed(&name, v4(198, 51, 100, host), now);
                through.push(now);
            }
        }
        for pair in through.windows(61) {
            prop_assert!(pair[60] - pair[0] >= WINDOW);
        }
    }

    #[test]
    fn delay_that_was_waited_for_lets_the_attempt_through(failures in 0_usize..12) {
        let (throttle, now) = (LoginThrottle::new(), start());
        fail(&throttle, "anna", std::iter::repeat_n(ATTACKER, failures), now);
        if let Err(retry) = throttle.check("anna", ATTACKER, now) {
            prop_assert_eq!(throttle.check("anna", ATTACKER, now + retry.wait()), Ok(()));
        }
    }
}
