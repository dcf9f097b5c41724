//! Admission to the queue: whether a submission is accepted, and when to retry if not.

use std::time::Duration;

/// The shortest and the longest delay that a refused client gets.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The limits for waiting scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// The maximum of all waiting scans; 0 means no limit.
    pub max_waiting: u64,
    /// The maximum of one client's waiting scans, in percent of `max_waiting`; 100 means no
    /// separate limit.
    pub client_percent: u64,
}

impl QueueLimits {
    /// No limits.
    pub const NONE: Self = Self { max_waiting: 0, client_percent: 100 };

    /// Returns the maximum number of one client's waiting scans; at least one.
    #[must_use]
    pub const fn of_client(self) -> u64 {
        let share = self.max_waiting.saturating_mul(self.client_percent) / 100;
        if share == 0 { 1 } else { share }
    }
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_waiting: 10_000, client_percent: 50 }
    }
}

/// A limit that has been reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueLimit {
    /// The limit of all scans.
    Full {
        /// The maximum number of waiting scans.
        most: u64,
    },
    /// The limit of one client.
    ClientShare {
        /// The maximum number of one client's waiting scans.
        most: u64,
    },
}

/// A submission was refused because a limit is reached. Nothing was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again in {} s", limit_text(limit), retry_after.as_secs())]
pub struct QueueRefusal {
    /// The limit.
    pub limit: QueueLimit,
    /// The delay after which a retry may succeed, in whole seconds.
    pub retry_after: Duration,
}

fn limit_text(limit: &QueueLimit) -> String {
    match limit {
        QueueLimit::Full { most } => format!("the queue is full: {most} scans may wait (queue.max_waiting)"),
        QueueLimit::ClientShare { most } => format!("{most} scans of one client may wait (queue.client_share)"),
    }
}

/// The decision about a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// Accept the submission.
    Accept,
    /// Refuse the submission.
    Refuse(QueueRefusal),
}

/// Decides about one more scan. `interval` is the mean time between two scans that recently left
/// the queue; `None` if none did.
pub fn admit(waiting: u64, of_client: u64, limits: QueueLimits, interval: Option<Duration>) -> Admission {
    let most_of_client = limits.of_client();
    let (limit, excess) = if limits.max_waiting == 0 {
        return Admission::Accept;
    } else if waiting >= limits.max_waiting {
        (QueueLimit::Full { most: limits.max_waiting }, waiting - limits.max_waiting)
    } else if limits.client_percent < 100 && of_client >= most_of_client {
        (QueueLimit::ClientShare { most: most_of_client }, of_client - most_of_client)
    } else {
        return Admission::Accept;
    };
    Admission::Refuse(QueueRefusal { limit, retry_after: retry_after(excess + 1, interval) })
}

/// Returns the expected time until this many scans have left the queue.
fn retry_after(scans: u64, interval: Option<Duration>) -> Duration {
    let wait = interval.map_or(RETRY.1, |interval| interval.saturating_mul(u32::try_from(scans).unwrap_or(u32::MAX)));
    Duration::from_secs(wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)).clamp(RETRY.0, RETRY.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_refused_exactly_at_a_limit() {
        const FULL: QueueLimit = QueueLimit::Full { most: 10 };
        const SHARE: QueueLimit = QueueLimit::ClientShare { most: 4 };
        let second = Some(Duration::from_millis(1_000));
        for (waiting, of_client, max_waiting, client_percent, interval, expected) in [
            (0, 0, 10, 40, None, None),
            (9, 3, 10, 40, None, None),
            (10, 0, 10, 40, second, Some((FULL, 1))),
            (14, 9, 10, 40, second, Some((FULL, 5))),
            (9, 4, 10, 40, second, Some((SHARE, 1))),
            (9, 6, 10, 40, Some(Duration::from_millis(700)), Some((SHARE, 3))),
            (9, 9, 10, 100, None, None),
            (1_000_000, 1_000_000, 0, 1, None, None),
            // Each client may have one waiting scan, however small its share.
            (0, 0, 10, 1, None, None),
            (1, 1, 10, 1, second, Some((QueueLimit::ClientShare { most: 1 }, 1))),
            // Nothing leaves the queue; it leaves fast; it leaves slowly.
            (10, 0, 10, 40, None, Some((FULL, 300))),
            (10, 0, 10, 40, Some(Duration::from_micros(10)), Some((FULL, 1))),
            (10, 0, 10, 40, Some(Duration::from_secs(7_000)), Some((FULL, 300))),
            (u64::MAX, 0, 10, 40, Some(Duration::MAX), Some((FULL, 300))),
        ] {
            let limits = QueueLimits { max_waiting, client_percent };
            let expected = match expected {
                None => Admission::Accept,
                Some((limit, seconds)) => {
                    Admission::Refuse(QueueRefusal { limit, retry_after: Duration::from_secs(seconds) })
                }
            };
            assert_eq!(
                admit(waiting, of_client, limits, interval),
                expected,
                "{waiting} waiting, {of_client} of the client, {limits:?}"
            );
        }
    }

    #[test]
    fn queue_refusal_names_its_limit() {
        let refusal = |limit| QueueRefusal { limit, retry_after: Duration::from_secs(30) }.to_string();
        assert_eq!(
            refusal(QueueLimit::Full { most: 10 }),
            "the queue is full: 10 scans may wait (queue.max_waiting); try again in 30 s"
        );
        assert_eq!(
            refusal(QueueLimit::ClientShare { most: 4 }),
            "4 scans of one client may wait (queue.client_share); try again in 30 s"
        );
    }
}
