//! What people decide about a finding.

use jiff::{Timestamp, ToSpan};

use super::decision::Decision;
use super::finding::{Confirmation, Event, Finding, State};
use crate::text::clean;

/// The limit for a reason in characters.
const MOST_REASON_CHARS: usize = 2_000;
/// The limit for a name in characters.
const MOST_NAME_CHARS: usize = 100;
/// The longest acceptance in hours: two years.
const MOST_HOURS: i64 = 2 * 366 * 24;

/// What a person wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Confirm that it is real.
    Confirm,
    /// Mark it as a false positive.
    MarkFalsePositive {
        /// Why.
        reason: String,
    },
    /// Accept the risk.
    Accept {
        /// Why.
        reason: String,
        /// Who answers for the risk.
        owner: String,
        /// Until when.
        until: Timestamp,
    },
    /// Withdraw the decision, or the confirmation where there is no decision.
    Withdraw,
}

/// The reason why an action is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only a scan reopens a fixed finding.
    #[error("the finding is fixed")]
    IsFixed,
    /// The finding is confirmed already.
    #[error("the finding is confirmed already")]
    IsConfirmed,
    /// A decision is in force; it must be withdrawn first.
    #[error("a decision is in force: withdraw it first")]
    IsDecided,
    /// There is nothing to withdraw.
    #[error("there is no decision and no confirmation")]
    NothingToWithdraw,
    /// The reason is missing.
    #[error("reason: it must not be empty")]
    NoReason,
    /// The owner is missing.
    #[error("owner: it must not be empty")]
    NoOwner,
    /// The end is not in the future.
    #[error("until: it must be in the future")]
    EndInThePast,
    /// The end is too far away.
    #[error("until: it must be within two years")]
    EndTooFar,
}

impl Finding {
    /// Applies an action of the person `by` at `now`.
    ///
    /// # Errors
    /// The action does not fit the finding, or a field of it is wrong.
    pub fn act(self, action: &Action, by: &str, now: Timestamp) -> Result<(Self, Vec<Event>), Refusal> {
        // A finding whose acceptance has expired is open again before anybody acts on it.
        let (mut finding, mut events) = self.expire(now);
        let by = clean(by, MOST_NAME_CHARS);
        let is_fixed = matches!(finding.state, State::Fixed { .. });
        match action {
            Action::Withdraw => {
                if finding.decision.take().is_none() && finding.confirmed.take().is_none() {
                    return Err(Refusal::NothingToWithdraw);
                }
                events.push(Event::Withdrawn);
                return Ok((finding, events));
            }
            _ if is_fixed => return Err(Refusal::IsFixed),
            _ if finding.decision.is_some() => return Err(Refusal::IsDecided),
            Action::Confirm => {
                if finding.confirmed.is_some() {
                    return Err(Refusal::IsConfirmed);
                }
                finding.confirmed = Some(Confirmation { by, at: now });
                events.push(Event::Confirmed);
                return Ok((finding, events));
            }
            Action::MarkFalsePositive { reason } => {
                finding.decision = Some(Decision::FalsePositive { reason: reason_of(reason)?, by, at: now });
            }
            Action::Accept { reason, owner, until } => {
                let owner = clean(owner, MOST_NAME_CHARS);
                if owner.is_empty() {
                    return Err(Refusal::NoOwner);
                }
                let reason = reason_of(reason)?;
                check_end(*until, now)?;
                finding.decision = Some(Decision::Accepted { reason, owner, until: *until, by, at: now });
            }
        }
        events.push(Event::Decided);
        Ok((finding, events))
    }
}

fn reason_of(text: &str) -> Result<String, Refusal> {
    let reason = clean(text, MOST_REASON_CHARS);
    if reason.is_empty() { Err(Refusal::NoReason) } else { Ok(reason) }
}

fn check_end(until: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    let latest = now.checked_add(MOST_HOURS.hours()).unwrap_or(Timestamp::MAX);
    match until {
        until if until <= now => Err(Refusal::EndInThePast),
        until if until > latest => Err(Refusal::EndTooFar),
        _ => Ok(()),
    }
}
