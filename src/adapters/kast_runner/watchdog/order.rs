//! What the watchdog is told, and what follows from it: no I/O here.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::super::sweep::{self, CLEAN_PASSES};

/// How long the watchdog looks around after its node is gone: a scan that was just being started
/// gets its marker only when its program is loaded.
const LINGER: Duration = Duration::from_secs(1);
/// The pause between two passes in that time.
const AFTERLIFE_PAUSE: Duration = Duration::from_millis(25);
/// What SIGKILL does not end within this time hangs in the kernel, and ends with whatever it hangs
/// on.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The pause between two passes while the node is frozen and nothing was left; and the longest
/// while something is left that does not die.
const VIGIL: Duration = Duration::from_secs(1);
/// After so many passes that met nothing but what was killed before, the pause between two of them
/// doubles.
const PATIENT_PASSES: u32 = 8;

/// The last word of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing runs.
    Disarmed,
    /// The scans may live until this moment of `CLOCK_BOOTTIME`.
    TrustedUntil(Duration),
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disarmed => f.write_str("disarm"),
            Self::TrustedUntil(when) => write!(f, "trust {}", when.as_millis()),
        }
    }
}

/// The line is none of the protocol's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoOrder;

impl FromStr for Order {
    type Err = NoOrder;

    fn from_str(line: &str) -> Result<Self, NoOrder> {
        match line.split_once(' ') {
            None if line == "disarm" => Ok(Self::Disarmed),
            Some(("trust", when)) => {
                when.parse().map(|when| Self::TrustedUntil(Duration::from_millis(when))).map_err(|_| NoOrder)
            }
            _ => Err(NoOrder),
        }
    }
}

/// What is known of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeView {
    /// Its last word.
    pub(super) order: Order,
    /// When it was found to be gone.
    pub(super) gone: Option<Duration>,
}

/// What the watchdog does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum WatchdogAction {
    /// Wait for news.
    Wait,
    /// Wait for news, at most until this moment.
    WaitUntil(Duration),
    /// Kill every scan of the node that is found.
    Kill,
    /// End.
    Leave,
}

/// Decides at `now`, after `clean` passes in a row without a find.
pub(super) fn action(node: NodeView, clean: u32, now: Duration) -> WatchdogAction {
    match (node.gone, node.order) {
        (Some(_), Order::Disarmed) => WatchdogAction::Leave,
        (Some(gone), Order::TrustedUntil(_)) => {
            let over = clean >= CLEAN_PASSES && now >= gone + LINGER;
            if over || now >= gone + GIVE_UP { WatchdogAction::Leave } else { WatchdogAction::Kill }
        }
        (None, Order::Disarmed) => WatchdogAction::Wait,
        (None, Order::TrustedUntil(when)) if now < when => WatchdogAction::WaitUntil(when),
        (None, Order::TrustedUntil(_)) => WatchdogAction::Kill,
    }
}

/// What the passes of a search have come to.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// So many in a row found nothing.
    pub(super) clean: u32,
    /// So many in a row found nothing but what the one before had found, and killed.
    stuck: u32,
    last: HashSet<(i32, u64)>,
}

impl Passes {
    /// Counts a pass that found these processes.
    pub(super) fn count(&mut self, found: HashSet<(i32, u64)>) {
        self.clean = if found.is_empty() { self.clean.saturating_add(1) } else { 0 };
        self.stuck = if !found.is_empty() && found.is_subset(&self.last) { self.stuck.saturating_add(1) } else { 0 };
        self.last = found;
    }
}

/// The pause before the next pass: none is long as long as something new is found. What SIGKILL
/// does not end hangs in the kernel (a disk or a file server that does not answer), where looking
/// at all processes of the machine 200 times a second would only add to its trouble.
pub(super) fn pause(node: NodeView, passes: &Passes) -> Duration {
    match node.gone {
        _ if passes.clean < CLEAN_PASSES => {
            sweep::PAUSE.saturating_mul(1 << (passes.stuck / PATIENT_PASSES).min(16)).min(VIGIL)
        }
        Some(_) => AFTERLIFE_PAUSE,
        None => VIGIL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_scans_live_as_long_as_the_node_is_there_and_trusted() {
        let trusted = Order::TrustedUntil(at(20));
        for (order, gone, clean, now, expected) in [
            (Order::Disarmed, None, 0, 10, WatchdogAction::Wait),
            (Order::Disarmed, None, 9, 99, WatchdogAction::Wait),
            (trusted, None, 0, 10, WatchdogAction::WaitUntil(at(20))),
            (trusted, None, 0, 20, WatchdogAction::Kill),
            (trusted, None, 0, 99, WatchdogAction::Kill),
            // However often nothing was found: what a frozen node starts when it wakes must not
            // live either.
            (trusted, None, 99, 99, WatchdogAction::Kill),
            (trusted, Some(10), 0, 10, WatchdogAction::Kill),
            (trusted, Some(10), 0, 15, WatchdogAction::Kill),
            (trusted, Some(10), CLEAN_PASSES, 10, WatchdogAction::Kill),
            (trusted, Some(10), CLEAN_PASSES - 1, 11, WatchdogAction::Kill),
            (trusted, Some(10), CLEAN_PASSES, 11, WatchdogAction::Leave),
            (trusted, Some(10), 0, 39, WatchdogAction::Kill),
            (trusted, Some(10), 0, 40, WatchdogAction::Leave),
            (trusted, Some(30), 0, 30, WatchdogAction::Kill),
            (Order::Disarmed, Some(10), 0, 10, WatchdogAction::Leave),
        ] {
            let node = NodeView { order, gone: gone.map(at) };
            assert_eq!(action(node, clean, at(now)), expected, "{order:?} gone {gone:?}, {clean} clean, at {now}");
        }
    }

    #[test]
    fn passes_follow_each_other_fast_until_nothing_is_found() {
        let frozen = NodeView { order: Order::TrustedUntil(at(1)), gone: None };
        let dead = NodeView { gone: Some(at(1)), ..frozen };
        let clean = |clean| Passes { clean, ..Passes::default() };
        assert_eq!(
            (pause(frozen, &clean(0)), pause(frozen, &clean(1)), pause(frozen, &clean(2))),
            (sweep::PAUSE, sweep::PAUSE, VIGIL)
        );
        assert_eq!((pause(dead, &clean(1)), pause(dead, &clean(2))), (sweep::PAUSE, AFTERLIFE_PAUSE));
    }

    #[test]
    fn what_hangs_in_the_kernel_is_looked_at_ever_more_seldom_until_something_new_turns_up() {
        let frozen = NodeView { order: Order::TrustedUntil(at(1)), gone: None };
        let mut passes = Passes::default();
        let mut took = Duration::ZERO;
        for (upto, longest) in
            [(9, sweep::PAUSE), (17, 2 * sweep::PAUSE), (33, 8 * sweep::PAUSE), (66, VIGIL), (10_000, VIGIL)]
        {
            for _ in 0..upto {
                passes.count([(7, 1)].into());
                took += pause(frozen, &passes);
            }
            assert!(pause(frozen, &passes) >= longest, "{passes:?}");
        }
        assert!(took >= Duration::from_secs(9_000), "some 10,000 passes take {took:?}");
        for found in [HashSet::from([(7, 1), (8, 1)]), HashSet::from([(7, 2)])] {
            passes.count(found);
            assert_eq!(pause(frozen, &passes), sweep::PAUSE, "another process, or another one of that number");
        }
        for (found, clean) in [(HashSet::new(), 1), (HashSet::new(), 2), (HashSet::from([(9, 1)]), 0)] {
            passes.count(found);
            assert_eq!(passes.clean, clean);
        }
    }

    #[test]
    fn orders_are_read_as_they_are_written() {
        for (order, line) in
            [(Order::Disarmed, "disarm"), (Order::TrustedUntil(Duration::from_micros(1_234_999)), "trust 1234")]
        {
            assert_eq!(order.to_string(), line);
            assert_eq!(line.parse::<Order>().unwrap().to_string(), line);
        }
        for line in ["", "trust", "trust ", "trust -1", "trust 1 2", "trust 99999999999999999999", "disarm ", "TRUST 1"]
        {
            assert_eq!(line.parse::<Order>(), Err(NoOrder), "{line}");
        }
    }
}
