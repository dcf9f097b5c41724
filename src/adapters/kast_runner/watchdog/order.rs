//! The orders to the watchdog, and the decisions that follow from them. This module does no I/O.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::super::hunt::CleanStreak;

/// How long the watchdog searches after its node is gone. A scan that is just starting gets its
/// marker only when its program is loaded.
const LINGER: Duration = Duration::from_secs(1);
/// The pause between two passes while processes are found.
const PAUSE: Duration = Duration::from_millis(5);
/// The pause between two passes during [`LINGER`].
const AFTERLIFE_PAUSE: Duration = Duration::from_millis(25);
/// How long the watchdog tries to kill processes after its node is gone. A process that SIGKILL
/// does not end within this time hangs in the kernel. It ends when the operation on which it hangs
/// ends.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The pause between two passes while the node is frozen and nothing is left. It is also the
/// longest pause while processes are left that do not die.
const VIGIL: Duration = Duration::from_secs(1);
/// After this number of passes that found only processes already killed, the pause doubles.
const PATIENT_PASSES: u32 = 8;

/// The last order of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing runs.
    Disarmed,
    /// The scans may live until this time of `CLOCK_BOOTTIME`.
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

/// The error for a line that violates the protocol.
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

/// The watchdog's state of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeView {
    /// The node's last order.
    pub(super) order: Order,
    /// The time at which the watchdog found that the node is gone.
    pub(super) gone: Option<Duration>,
}

/// The next action of the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum WatchdogAction {
    /// Wait for an order.
    Wait,
    /// Wait for an order, at most until this time.
    WaitUntil(Duration),
    /// Kill every scan of the node.
    Kill,
    /// End the watchdog.
    Leave,
}

/// Decides on the action at `now`. `is_clean` is true if the last passes found nothing.
pub(super) fn action(node: NodeView, is_clean: bool, now: Duration) -> WatchdogAction {
    match (node.gone, node.order) {
        (Some(_), Order::Disarmed) => WatchdogAction::Leave,
        (Some(gone), Order::TrustedUntil(_)) => {
            let over = is_clean && now >= gone + LINGER;
            if over || now >= gone + GIVE_UP { WatchdogAction::Leave } else { WatchdogAction::Kill }
        }
        (None, Order::Disarmed) => WatchdogAction::Wait,
        (None, Order::TrustedUntil(when)) if now < when => WatchdogAction::WaitUntil(when),
        (None, Order::TrustedUntil(_)) => WatchdogAction::Kill,
    }
}

/// The pause before the next pass. It is short while new processes are found. A process that
/// SIGKILL does not end hangs in the kernel, for example on a disk or a file server that does not
/// respond. To read all processes of the machine 200 times a second would only add load there.
pub(super) fn pause(node: NodeView, streak: &CleanStreak) -> Duration {
    match node.gone {
        _ if !streak.is_clean() => PAUSE.saturating_mul(1 << (streak.stuck() / PATIENT_PASSES).min(16)).min(VIGIL),
        Some(_) => AFTERLIFE_PAUSE,
        None => VIGIL,
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::Pid;

    use super::super::super::proc_table::Process;
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn process(pid: i32, started: u64) -> Process {
        Process {
            pid: Pid::from_raw(pid).unwrap(),
            parent: 1,
            group: pid,
            session: pid,
            started,
            is_zombie: false,
            name: String::new(),
        }
    }

    #[test]
    fn scans_live_while_the_node_is_present_and_trusted() {
        let trusted = Order::TrustedUntil(at(20));
        for (order, gone, is_clean, now, expected) in [
            (Order::Disarmed, None, false, 10, WatchdogAction::Wait),
            (Order::Disarmed, None, true, 99, WatchdogAction::Wait),
            (trusted, None, false, 10, WatchdogAction::WaitUntil(at(20))),
            (trusted, None, false, 20, WatchdogAction::Kill),
            (trusted, None, false, 99, WatchdogAction::Kill),
            // The action does not depend on the number of clean passes: a scan that a frozen node
            // starts when it resumes must be killed too.
            (trusted, None, true, 99, WatchdogAction::Kill),
            (trusted, Some(10), false, 10, WatchdogAction::Kill),
            (trusted, Some(10), false, 15, WatchdogAction::Kill),
            (trusted, Some(10), true, 10, WatchdogAction::Kill),
            (trusted, Some(10), false, 11, WatchdogAction::Kill),
            (trusted, Some(10), true, 11, WatchdogAction::Leave),
            (trusted, Some(10), false, 39, WatchdogAction::Kill),
            (trusted, Some(10), false, 40, WatchdogAction::Leave),
            (trusted, Some(30), false, 30, WatchdogAction::Kill),
            (Order::Disarmed, Some(10), false, 10, WatchdogAction::Leave),
        ] {
            let node = NodeView { order, gone: gone.map(at) };
            assert_eq!(action(node, is_clean, at(now)), expected, "{order:?} gone {gone:?}, {is_clean}, at {now}");
        }
    }

    #[test]
    fn pause_between_passes_is_short_until_nothing_is_found() {
        let frozen = NodeView { order: Order::TrustedUntil(at(1)), gone: None };
        let dead = NodeView { gone: Some(at(1)), ..frozen };
        let mut streak = CleanStreak::default();
        for (of_frozen, of_dead) in [(PAUSE, PAUSE), (PAUSE, PAUSE), (VIGIL, AFTERLIFE_PAUSE)] {
            assert_eq!((pause(frozen, &streak), pause(dead, &streak)), (of_frozen, of_dead), "{streak:?}");
            streak.count(&[]);
        }
    }

    #[test]
    fn pause_doubles_for_stuck_processes_and_resets_for_new_ones() {
        let frozen = NodeView { order: Order::TrustedUntil(at(1)), gone: None };
        let mut streak = CleanStreak::default();
        let mut took = Duration::ZERO;
        for (upto, longest) in [(9, PAUSE), (17, 2 * PAUSE), (33, 8 * PAUSE), (66, VIGIL), (10_000, VIGIL)] {
            for _ in 0..upto {
                streak.count(&[process(7, 1)]);
                took += pause(frozen, &streak);
            }
            assert!(pause(frozen, &streak) >= longest, "{streak:?}");
        }
        assert!(took >= Duration::from_secs(9_000), "some 10,000 passes take {took:?}");
        for found in [vec![process(7, 1), process(8, 1)], vec![process(7, 2)]] {
            streak.count(&found);
            assert_eq!(pause(frozen, &streak), PAUSE, "another process, or another one of that number");
        }
    }

    #[test]
    fn watchdog_orders_round_trip() {
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
