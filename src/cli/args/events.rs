//! `audit` and `dead-letters`: what happened, and what could not be delivered.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use kastrel_actors::model::{
    AuditCursor, ChainDigest, DomainEvent, OutboxKey, Principal, ScanId, SealKey, UnknownName,
};

use super::common::{ReadArgs, names};
use super::scans::scan_number;

/// `kastrel audit`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List the entries of the audit log, newest first
    List(AuditArgs),
    /// Export the audit log with its seals to a file
    Export(AuditExportArgs),
    /// Verify that the audit log, or an exported file, is as it was sealed
    Verify(AuditVerifyArgs),
}

/// `kastrel audit list`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AuditArgs {
    /// Only the entries of the scan with this number
    #[arg(long, value_name = "NUMBER", value_parser = scan_number)]
    pub scan: Option<ScanId>,
    /// Only the entries of this principal: user:NAME, service:NAME, link:ID, system or anonymous
    #[arg(long, value_name = "PRINCIPAL", value_parser = principal)]
    pub principal: Option<Principal>,
    /// Only the entries of this action, such as signed_in
    #[arg(
        long,
        value_name = "ACTION",
        value_parser = names(DomainEvent::ACTIONS.into_iter()),
        hide_possible_values = true
    )]
    pub action: Option<String>,
    /// Only the entries since this day in UTC, or time, such as 2026-11-23T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Timestamp>,
    /// Only the entries until this day in UTC, which is included, or before this time
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Option<Timestamp>,
    /// Continue an earlier list: the value that its last line names
    #[arg(long, value_name = "PLACE")]
    pub before: Option<AuditCursor>,
    /// Maximum number of entries
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel audit export`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AuditExportArgs {
    /// The file to write; `-` is the standard output
    pub file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel audit verify`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct AuditVerifyArgs {
    /// A file that `kastrel audit export` wrote, `-` is the standard input; without it, the log of the
    /// server or of the data folder
    #[arg(conflicts_with_all = ["server", "token_file"])]
    pub file: Option<PathBuf>,
    /// Accept only seals of this public key; repeat it for several keys
    #[arg(long, value_name = "HEX", value_parser = key)]
    pub key: Vec<SealKey>,
    /// Require a seal that an earlier verification printed, as its number and digest
    #[arg(long, value_name = "NUMBER:DIGEST", value_parser = known_seal)]
    pub seal: Vec<(u64, ChainDigest)>,
    #[command(flatten)]
    pub common: ReadArgs,
}

/// `kastrel dead-letters`
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// List the dead letters, newest first
    List(ReadArgs),
    /// Deliver a dead letter again, to the consumers that have not accepted it
    Resend(ResendArgs),
}

/// `kastrel dead-letters resend`
#[derive(Debug, Clone, Args)]
#[expect(missing_docs, reason = "the help texts say it")]
pub struct ResendArgs {
    /// The dead letter's id
    #[arg(value_parser = id)]
    pub id: OutboxKey,
    #[command(flatten)]
    pub common: ReadArgs,
}

fn key(text: &str) -> Result<SealKey, String> {
    text.parse().map_err(|_| "expected a public key, which has 64 hexadecimal digits in lower case".into())
}

fn known_seal(text: &str) -> Result<(u64, ChainDigest), String> {
    let parse = || {
        let (number, digest) = text.split_once(':')?;
        Some((number.parse().ok().filter(|number| *number > 0)?, digest.parse().ok()?))
    };
    parse().ok_or_else(|| "expected the number of a seal, `:`, and its digest of 64 hexadecimal digits".into())
}

fn principal(text: &str) -> Result<Principal, String> {
    text.parse().map_err(|error: UnknownName| format!("expected one of {}", error.expected))
}

/// Parses a moment, or a day in UTC as its first moment.
fn since(text: &str) -> Result<Timestamp, String> {
    moment(text, Some)
}

/// Parses a moment, or a day in UTC as the first moment after it.
fn until(text: &str) -> Result<Timestamp, String> {
    moment(text, |day| day.checked_add(1.day()).ok())
}

fn moment(text: &str, first_of: impl Fn(Date) -> Option<Date>) -> Result<Timestamp, String> {
    const DAY: usize = "2026-11-23".len();
    let day = || {
        // A text with a time and without an offset would lose its time.
        let day: Date = text.parse().ok().filter(|_| text.len() == DAY)?;
        first_of(day)?.to_zoned_datetime(TimeZone::UTC).ok().map(|begin| begin.timestamp())
    };
    let moment = text.parse().ok().or_else(day);
    moment.ok_or_else(|| "expected a date such as 2026-11-23 or a time such as 2026-11-23T08:00:00Z".into())
}

fn id(text: &str) -> Result<OutboxKey, String> {
    text.parse().map_err(|_| "expected an id, such as 12-3; `kastrel dead-letters list` shows them".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_in_utc() {
        for (text, begins, ends) in [
            ("2026-11-23", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-11-23T08:00:00Z", "2026-11-23T08:00:00Z", "2026-11-23T08:00:00Z"),
            ("2026-11-23T08:00:00.5+02:00", "2026-11-23T06:00:00.5Z", "2026-11-23T06:00:00.5Z"),
        ] {
            assert_eq!((since(text), until(text)), (Ok(begins.parse().unwrap()), Ok(ends.parse().unwrap())), "{text}");
        }
        for wrong in ["", "yesterday", "2026-13-01", "2026-11-23T08:00:00", "2026-11-23 08:00", "23.11.2026"] {
            assert!(since(wrong).is_err() && until(wrong).is_err(), "{wrong}");
        }
        assert!(until("9999-12-31").is_err());
    }
}
