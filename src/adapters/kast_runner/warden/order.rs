//! What the warden is told, and what follows from it: no I/O here.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::super::sweep::{self, CLEAN_PASSES};

/// How long the warden looks around after its node is gone: a scan that was just being started gets its marker only when its program is loaded.
const AFTERLIFE: Duration = Duration::from_secs(1);
/// The pause between two passes in that time.
const AFTERLIFE_PAUSE: Duration = Duration::from_millis(25);
/// What SIGKILL does not end within this time hangs in the kernel, and ends with whatever it hangs on.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The pause between two passes while the node is frozen and nothing was left.
const VIGIL: Duration = Duration::from_secs(1);

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
            Some(("trust", when)) => when.parse().map(|when| Self::TrustedUntil(Duration::from_millis(when))).map_err(|_| NoOrder),
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

/// What the warden does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Duty {
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
pub(super) fn duty(node: NodeView, clean: u32, now: Duration) -> Duty {
    match (node.gone, node.order) {
        (Some(_), Order::Disarmed) => Duty::Leave,
        (Some(gone), Order::TrustedUntil(_)) => {
            let over = clean >= CLEAN_PASSES && now >= gone + AFTERLIFE;
            if over || now >= gone + GIVE_UP { Duty::Leave } else { Duty::Kill }
        }
        (None, Order::Disarmed) => Duty::Wait,
        (None, Order::TrustedUntil(when)) if now < when => Duty::WaitUntil(when),
        (None, Order::TrustedUntil(_)) => Duty::Kill,
    }
}

/// The pause before the next pass: none is long as long as something is found.
pub(super) fn pause(node: NodeView, clean: u32) -> Duration {
    match node.gone {
        _ if clean < CLEAN_PASSES => sweep::PAUSE,
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
            (Order::Disarmed, None, 0, 10, Duty::Wait),
            (Order::Disarmed, None, 9, 99, Duty::Wait),
            (trusted, None, 0, 10, Duty::WaitUntil(at(20))),
            (trusted, None, 0, 20, Duty::Kill),
            (trusted, None, 0, 99, Duty::Kill),
            // However often nothing was found: what a frozen node starts when it wakes must not live either.
            (trusted, None, 99, 99, Duty::Kill),
            (trusted, Some(10), 0, 10, Duty::Kill),
            (trusted, Some(10), 0, 15, Duty::Kill),
            (trusted, Some(10), CLEAN_PASSES, 10, Duty::Kill),
            (trusted, Some(10), CLEAN_PASSES - 1, 11, Duty::Kill),
            (trusted, Some(10), CLEAN_PASSES, 11, Duty::Leave),
            (trusted, Some(10), 0, 39, Duty::Kill),
            (trusted, Some(10), 0, 40, Duty::Leave),
            (trusted, Some(30), 0, 30, Duty::Kill),
            (Order::Disarmed, Some(10), 0, 10, Duty::Leave),
        ] {
            let node = NodeView { order, gone: gone.map(at) };
            assert_eq!(duty(node, clean, at(now)), expected, "{order:?} gone {gone:?}, {clean} clean, at {now}");
        }
    }

    #[test]
    fn passes_follow_each_other_fast_until_nothing_is_found() {
        let frozen = NodeView { order: Order::TrustedUntil(at(1)), gone: None };
        let dead = NodeView { gone: Some(at(1)), ..frozen };
        assert_eq!((pause(frozen, 0), pause(frozen, 1), pause(frozen, 2)), (sweep::PAUSE, sweep::PAUSE, VIGIL));
        assert_eq!((pause(dead, 1), pause(dead, 2)), (sweep::PAUSE, AFTERLIFE_PAUSE));
    }

    #[test]
    fn orders_are_read_as_they_are_written() {
        for (order, line) in [(Order::Disarmed, "disarm"), (Order::TrustedUntil(Duration::from_micros(1_234_999)), "trust 1234")] {
            assert_eq!(order.to_string(), line);
            assert_eq!(line.parse::<Order>().unwrap().to_string(), line);
        }
        for line in ["", "trust", "trust ", "trust -1", "trust 1 2", "trust 99999999999999999999", "disarm ", "TRUST 1"] {
            assert_eq!(line.parse::<Order>(), Err(NoOrder), "{line}");
        }
    }
}
