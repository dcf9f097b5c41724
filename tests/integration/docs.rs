//! Promises of the documents that the code can check.

use kastrel_actors::model::{FailureKind, Interruption};
use kastrel_actors::policy::lease::LeasePolicy;
use kastrel_actors::policy::restart::{RetryPolicy, is_worth_another_try};

const SUPERVISION: &str = include_str!("../../docs/supervision.md");

#[test]
fn the_table_of_failures_is_the_codes() {
    let rows: Vec<Vec<&str>> = SUPERVISION.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').map(str::trim).collect()).collect();
    assert_eq!(rows.len(), FailureKind::ALL.len());
    for (row, kind) in rows.iter().zip(FailureKind::ALL) {
        let tried_again = if is_worth_another_try(*kind) { "yes" } else { "no" };
        assert_eq!((row[1], row[3]), (format!("`{kind}`").as_str(), tried_again));
    }
}

#[test]
fn every_interruption_is_named() {
    for why in Interruption::ALL {
        assert!(SUPERVISION.contains(&format!("`{why}`")), "{why}");
    }
}

#[test]
fn the_numbers_are_the_codes() {
    let retry = RetryPolicy::default();
    let lease = LeasePolicy::default();
    for text in [
        format!("`scans.max_attempts` attempts that may fail ({})", retry.max_attempts),
        format!("`scans.backoff_base_seconds` ({} s)", retry.base.as_secs()),
        format!("`scans.backoff_cap_seconds` ({} s)", retry.cap.as_secs()),
        format!("{} s, renewed every {} s", lease.ttl.as_secs(), lease.renew_every.as_secs()),
        format!("until {} s after it was *sent*", (lease.ttl - lease.margin).as_secs()),
    ] {
        assert!(SUPERVISION.contains(&text), "docs/supervision.md does not say: {text}");
    }
}
