//! What the index keeps of a finding.

use jiff::Timestamp;
use kastrel_actors::model::{FindingEntry, FindingRecord, LogChange};
use kastrel_findings::Severity;
use kastrel_findings::identity::FindingId;
use kastrel_findings::lifecycle::{
    Check, Confirmation, Decision, Finding, ScanOrder, Seen, Sla, SlaPolicy, State, Status,
};

use super::names::{Name, Text};

/// The decision of a person, without its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    Nothing,
    FalsePositive,
    Accepted { until: Timestamp },
}

/// The parts of a finding that a pass reads for each row. The others are behind `rest`, so that a
/// pass reads few lines of memory.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: FindingId,
    pub(super) severity: Severity,
    pub(super) is_fixed: bool,
    pub(super) is_confirmed: bool,
    pub(super) is_regressed: bool,
    /// True if the newest scan of the target did not check it.
    pub(super) is_unchecked: bool,
    pub(super) decided: Decided,
    pub(super) open_since: Timestamp,
    pub(super) plugin: Name,
    /// Plugin and issue together.
    pub(super) group: Name,
    pub(super) issue: Name,
    pub(super) title: Name,
    pub(super) category: Option<Name>,
    pub(super) owner: Option<Name>,
    pub(super) rest: Box<Rest>,
}

/// The parts of a finding that only rows of an answer need.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) first_seen: ScanOrder,
    pub(super) last_seen: ScanOrder,
    pub(super) not_checked_since: Option<(Timestamp, Check)>,
    /// The scan that completed the proof that it is fixed.
    pub(super) fixed_by: Option<u64>,
    /// The findings that it continues at another place; almost always none.
    pub(super) continues: Box<[FindingId]>,
    pub(super) members_count: u64,
    pub(super) place: Text,
}

/// The numbers of a finding's texts.
pub(super) struct RowNames {
    pub(super) plugin: Name,
    pub(super) group: Name,
    pub(super) issue: Name,
    pub(super) title: Name,
    pub(super) category: Option<Name>,
    pub(super) owner: Option<Name>,
}

impl Row {
    pub(super) fn new(record: &FindingRecord, names: &RowNames) -> Self {
        let life = &record.life;
        let not_checked_since = life.not_checked_since();
        let fixed_by = match &life.state {
            State::Open => None,
            State::Fixed { proof } => proof.last().map(|proof| proof.order.scan),
        };
        let decided = match &life.decision {
            None => Decided::Nothing,
            Some(Decision::FalsePositive { .. }) => Decided::FalsePositive,
            Some(Decision::Accepted { until, .. }) => Decided::Accepted { until: *until },
        };
        Self {
            id: record.id,
            severity: record.severity,
            is_fixed: matches!(life.state, State::Fixed { .. }),
            is_confirmed: life.confirmed.is_some(),
            is_regressed: life.regressed,
            is_unchecked: not_checked_since.is_some(),
            decided,
            open_since: life.open_since,
            plugin: names.plugin,
            group: names.group,
            issue: names.issue,
            title: names.title,
            category: names.category,
            owner: names.owner,
            rest: Box::new(Rest {
                first_seen: life.first_seen.order,
                last_seen: life.last_seen.order,
                not_checked_since,
                fixed_by,
                continues: record.log.iter().filter_map(continued).collect(),
                members_count: record.members_count,
                place: Text::new(&record.place.to_string()),
            }),
        }
    }

    /// Returns true if the scan saw it first, or if it came back in it.
    pub(super) fn is_new_in(&self, scan: ScanOrder) -> bool {
        // What an earlier attempt of the scan saw has the time of that attempt.
        let rest = &self.rest;
        let came_back =
            self.open_since == scan.at || (rest.last_seen.scan == scan.scan && self.open_since == rest.last_seen.at);
        rest.first_seen.scan == scan.scan || (self.is_regressed && came_back)
    }

    /// Returns what a person sees at `now`, like [`Finding::status`].
    pub(super) fn status(&self, now: Timestamp) -> Status {
        match self.decided {
            Decided::FalsePositive => Status::FalsePositive,
            Decided::Accepted { until } if until > now => Status::Accepted,
            _ if self.is_fixed => Status::Fixed,
            _ if self.is_confirmed => Status::Confirmed,
            _ => Status::Open,
        }
    }

    /// Returns when it is due.
    pub(super) fn sla(&self, policy: &SlaPolicy, now: Timestamp) -> Sla {
        self.life().sla(self.severity, policy, now)
    }

    /// Returns its life without texts and proofs.
    fn life(&self) -> Finding {
        let mut life = Finding::first(self.rest.first_seen);
        let text = String::new;
        life.last_seen = Seen { order: self.rest.last_seen };
        life.open_since = self.open_since;
        life.regressed = self.is_regressed;
        life.confirmed = self.is_confirmed.then(|| Confirmation { by: text(), at: self.open_since });
        life.decision = match self.decided {
            Decided::Nothing => None,
            Decided::FalsePositive => Some(Decision::FalsePositive { reason: text(), by: text(), at: self.open_since }),
            Decided::Accepted { until } => {
                let at = self.open_since;
                Some(Decision::Accepted { reason: text(), owner: text(), until, by: text(), at })
            }
        };
        if self.is_fixed {
            life.state = State::Fixed { proof: Vec::new() };
        }
        life
    }
}

fn continued(entry: &FindingEntry) -> Option<FindingId> {
    let LogChange::Continues { finding } = entry.change else { return None };
    Some(finding)
}
