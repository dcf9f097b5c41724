//! The schedule of automatic backups: when one is due, when a failed one is retried, and which old
//! ones are removed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The wait after the first failure; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// The longest wait after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// The data of a backup that is available without reading its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupMark {
    /// The sequence number of the backup. It orders backups by creation, whatever the clock showed.
    pub sequence: u64,
    /// The time of creation, by the machine's clock.
    pub made_at: Timestamp,
    /// The schema version of the database, if the backup was made because a newer version was about
    /// to migrate it.
    pub before_migration_of: Option<i64>,
    /// The number of scans that could not be read and are missing.
    pub missing: u64,
}

/// Returns the time until the next backup is due; zero if it is due now.
///
/// A backup with a time in the future means that the clock was set back. It does not count, so a
/// clock change cannot delay the next backup by more than `every`.
#[must_use]
pub fn until_due(backups: &[BackupMark], every: Duration, now: Timestamp) -> Duration {
    let Some(last) = backups.iter().map(|backup| backup.made_at).filter(|made_at| *made_at <= now).max() else {
        return Duration::ZERO;
    };
    let age = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    every.saturating_sub(age)
}

/// Returns the wait after this many failures in a row.
#[must_use]
pub fn retry_after(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_RETRY)
}

/// Returns true if the newest backup is older than an interval plus the longest retry wait, which
/// indicates a fault.
#[must_use]
pub fn is_overdue(backups: &[BackupMark], every: Duration, now: Timestamp) -> bool {
    let limit = SignedDuration::try_from(every + LONGEST_RETRY).unwrap_or(SignedDuration::MAX);
    let newest = backups.iter().map(|backup| backup.made_at).max();
    newest.is_some_and(|newest| now.duration_since(newest) > limit)
}

/// Returns the sequence numbers of the backups to remove, so that `keep` are left.
///
/// - Of several in a row before the migration of the same schema, only the last is kept: a program
///   that fails to migrate restarts again and again, and its backups must not displace the daily
///   ones.
/// - The newest one without missing scans is kept in addition to `keep`, until there is another
///   one.
#[must_use]
pub fn surplus(backups: &[BackupMark], keep: usize) -> Vec<u64> {
    let mut newest_first = backups.to_vec();
    newest_first.sort_unstable_by_key(|backup| std::cmp::Reverse(backup.sequence));
    let newest_complete = newest_first.iter().find(|backup| backup.missing == 0).map(|backup| backup.sequence);
    let (mut kept, mut newer_schema) = (0, None);
    let mut is_surplus = |backup: &BackupMark| {
        let is_repeated = backup.before_migration_of.is_some() && backup.before_migration_of == newer_schema;
        newer_schema = backup.before_migration_of;
        if is_repeated || kept >= keep {
            return Some(backup.sequence) != newest_complete;
        }
        kept += 1;
        false
    };
    newest_first.iter().filter(|backup| is_surplus(backup)).map(|backup| backup.sequence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const HOUR: i64 = 3600;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * HOUR).unwrap()
    }

    fn made(sequence: u64, hour: i64) -> BackupMark {
        BackupMark { sequence, made_at: at(hour), before_migration_of: None, missing: 0 }
    }

    #[test]
    fn a_backup_is_due_a_day_after_the_last_one() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        for (made_at, now, expected) in [
            (&[][..], 0, hours(0)),
            (&[0], 0, hours(24)),
            (&[0], 1, hours(23)),
            (&[0, 20], 21, hours(23)),
            (&[20, 0], 21, hours(23)),
            (&[0], 24, hours(0)),
            (&[0], 1000, hours(0)),
            // The clock was set back by two hours, then by a year.
            (&[0, 24], 22, hours(2)),
            (&[10_000], 0, hours(0)),
            (&[10_000, 0], 1, hours(23)),
        ] {
            let backups: Vec<_> = made_at.iter().zip(1..).map(|(hour, sequence)| made(sequence, *hour)).collect();
            assert_eq!(until_due(&backups, DAY, at(now)), expected, "{made_at:?} at {now}");
        }
    }

    #[test]
    fn failed_backup_is_retried_at_growing_intervals() {
        let seconds: Vec<u64> =
            [1, 2, 3, 6, 7, 8, 1000, u32::MAX].map(|failures| retry_after(failures).as_secs()).into();
        assert_eq!(seconds, [60, 120, 240, 1920, 3600, 3600, 3600, 3600]);
    }

    #[test]
    fn a_backup_is_overdue_when_a_retry_could_have_made_it() {
        for (made_at, now, expected) in [
            (&[][..], 0, false),
            (&[0], 24, false),
            (&[0], 25, false),
            (&[0], 26, true),
            (&[0, 30], 40, false),
            (&[50], 0, false),
        ] {
            let backups: Vec<_> = made_at.iter().zip(1..).map(|(hour, sequence)| made(sequence, *hour)).collect();
            assert_eq!(is_overdue(&backups, DAY, at(now)), expected, "{made_at:?} at {now}");
        }
    }

    #[test]
    fn surplus_keeps_the_newest_backups() {
        // `12` is an ordinary backup, `12s4` one before the migration of schema 4, `12-` one with
        // missing scans.
        let parse = |text: &str| {
            let (text, missing) = text.strip_suffix('-').map_or((text, 0), |text| (text, 3));
            let (sequence, schema) = text
                .split_once('s')
                .map_or((text, None), |(sequence, schema)| (sequence, Some(schema.parse().unwrap())));
            BackupMark { sequence: sequence.parse().unwrap(), made_at: at(0), before_migration_of: schema, missing }
        };
        for (backups, keep, expected) in [
            ("", 3, &[][..]),
            ("1 2 3", 3, &[]),
            ("3 1 4 2", 3, &[1]),
            ("1 2 3 4 5", 1, &[4, 3, 2, 1]),
            ("1 2 3s4", 3, &[]),
            ("1 2 3s4 4s4 5s4", 3, &[4, 3]),
            ("1 2s4 3s5 4", 3, &[1]),
            ("1s4 2 3s4", 3, &[]),
            ("1s4 2s4", 1, &[1]),
            ("1 2 3- 4- 5-", 3, &[1]),
            ("1 2- 3- 4 5- 6- 7-", 3, &[3, 2, 1]),
            ("1- 2- 3- 4-", 3, &[1]),
        ] {
            let backups: Vec<_> = backups.split_whitespace().map(parse).collect();
            assert_eq!(surplus(&backups, keep), expected, "{backups:?}");
        }
    }
}
