//! What is stored of a finding's life.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::check::{Check, ScanOrder};
use super::decision::Decision;
use crate::text::clean;

/// A sighting in the history of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seen {
    /// The attempt.
    pub order: ScanOrder,
}

/// A scan that proves the absence of a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Proof {
    /// The attempt.
    pub order: ScanOrder,
    /// The version of the plugin or of its scanner, as the scan recorded it.
    pub plugin_version: String,
}

impl Proof {
    /// Creates a proof with a bounded version.
    #[must_use]
    pub fn new(order: ScanOrder, plugin_version: &str) -> Self {
        Self { order, plugin_version: clean(plugin_version, 80) }
    }
}

/// What the scans say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It was seen, and not proven fixed.
    Open,
    /// It was not seen by as many complete checks as its plugin needs.
    Fixed {
        /// These checks, the oldest first.
        proof: Vec<Proof>,
    },
}

/// The confirmation of a person that a finding is real.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The person.
    pub by: String,
    /// The time.
    pub at: Timestamp,
}

/// What a person sees: a decision hides the state below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// To be fixed.
    Open,
    /// To be fixed, and confirmed by a person.
    Confirmed,
    /// Proven fixed.
    Fixed,
    /// A person says that it is no problem.
    FalsePositive,
    /// A person accepts the risk until a day.
    Accepted,
}

impl Status {
    /// All of them, in the order in which lists show them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Confirmed, Self::Fixed, Self::FalsePositive, Self::Accepted];

    /// Returns the name in files, in filters and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Confirmed => "confirmed",
            Self::Fixed => "fixed",
            Self::FalsePositive => "false_positive",
            Self::Accepted => "accepted",
        }
    }
}

/// What happened to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It was seen for the first time.
    Found,
    /// It was seen again after it had been fixed.
    Regressed,
    /// It is fixed.
    Fixed {
        /// The checks that prove it.
        proof: Vec<Proof>,
    },
    /// A sighting that arrived late lies between the checks that had proven it fixed.
    ProofLost,
    /// A complete check did not see it, and one more is needed.
    Absent,
    /// It was not checked.
    NotChecked {
        /// The reason.
        check: Check,
    },
    /// It was seen again.
    SeenAgain,
    /// An older scan had seen it earlier than known.
    FirstSeenEarlier,
    /// A person has confirmed it.
    Confirmed,
    /// A person has decided about it.
    Decided,
    /// A person has withdrawn a decision or a confirmation.
    Withdrawn,
    /// The acceptance has expired.
    AcceptanceExpired,
}

/// The life of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What the scans say.
    #[serde(flatten)]
    pub state: State,
    /// The confirmation that it is real.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Confirmation>,
    /// What a person has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// True after the finding came back.
    #[serde(default)]
    pub regressed: bool,
    /// The first sighting.
    pub first_seen: Seen,
    /// The newest sighting.
    pub last_seen: Seen,
    /// When the finding became open: the first sighting, or the one that brought it back.
    pub open_since: Timestamp,
    /// The newest complete checks after the newest sighting, at most one a scan and as many as are
    /// needed, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absences: Vec<Proof>,
    /// The newest scan that did not check the finding. It counts while no newer one did
    /// ([`Self::not_checked_since`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<(ScanOrder, Check)>,
}

impl Finding {
    /// Creates a finding from the scan that saw it.
    #[must_use]
    pub const fn first(order: ScanOrder) -> Self {
        let seen = Seen { order };
        Self {
            state: State::Open,
            confirmed: None,
            decision: None,
            regressed: false,
            first_seen: seen,
            last_seen: seen,
            open_since: order.at,
            absences: Vec::new(),
            unchecked: None,
        }
    }

    /// Returns the newest scan that checked the finding: saw it, or proved it absent.
    #[must_use]
    pub fn last_checked(&self) -> ScanOrder {
        self.absences.last().map_or(self.last_seen.order, |proof| proof.order.max(self.last_seen.order))
    }

    /// Returns since when the finding has not been checked, and why the newest scan did not.
    #[must_use]
    pub fn not_checked_since(&self) -> Option<(Timestamp, Check)> {
        let (order, check) = self.unchecked?;
        (order > self.last_checked()).then(|| (self.last_checked().at, check))
    }

    /// Returns what a person sees at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        match &self.decision {
            Some(Decision::FalsePositive { .. }) => Status::FalsePositive,
            Some(Decision::Accepted { until, .. }) if *until > now => Status::Accepted,
            _ => match self.state {
                State::Open if self.confirmed.is_some() => Status::Confirmed,
                State::Open => Status::Open,
                State::Fixed { .. } => Status::Fixed,
            },
        }
    }

    /// Removes an acceptance that has expired. The finding is what the scans say, then.
    #[must_use]
    pub fn expire(mut self, now: Timestamp) -> (Self, Vec<Event>) {
        match &self.decision {
            Some(Decision::Accepted { until, .. }) if *until <= now => {
                self.decision = None;
                (self, vec![Event::AcceptanceExpired])
            }
            _ => (self, Vec::new()),
        }
    }
}
