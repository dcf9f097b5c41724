//! Joining the histories of findings: aliases after a change of the rules, and drifted places.

use super::check::ScanOrder;
use super::finding::{Finding, Proof, State};

impl Finding {
    /// Joins findings that are one finding under newer rules. `None`: there are none.
    ///
    /// - The first and the newest sighting are those of all.
    /// - It is fixed only if all were, and if enough checks after the newest sighting prove it of
    ///   all of them.
    /// - A decision and a confirmation stay only if all findings have the same one.
    #[must_use]
    pub fn joined(findings: &[Self], needed: usize) -> Option<Self> {
        let (first, others) = findings.split_first()?;
        let mut joined = first.clone();
        for other in others {
            joined.first_seen = joined.first_seen.min(other.first_seen);
            joined.last_seen = joined.last_seen.max(other.last_seen);
            joined.regressed |= other.regressed;
            joined.open_since = joined.open_since.min(other.open_since);
            joined.unchecked = joined.unchecked.max(other.unchecked);
            joined.absences.retain(|proof| other.absences.iter().any(|one| one.order == proof.order));
            joined.decision = joined.decision.filter(|decision| other.decision.as_ref() == Some(decision));
            joined.confirmed = joined.confirmed.filter(|confirmed| other.confirmed.as_ref() == Some(confirmed));
        }
        if !others.is_empty() {
            let last = joined.last_seen.order;
            joined.absences.retain(|proof| is_after(proof, last));
            let all_fixed = findings.iter().all(|finding| matches!(finding.state, State::Fixed { .. }));
            let is_proven = joined.absences.len() >= needed.max(1);
            joined.state =
                if all_fixed && is_proven { State::Fixed { proof: joined.absences.clone() } } else { State::Open };
        }
        Some(joined)
    }

    /// Takes over the dates of the finding that this one was before its place moved. Decisions stay
    /// with the old place: nobody has looked at the new one.
    #[must_use]
    pub fn continuing(mut self, before: &Self) -> Self {
        self.first_seen = self.first_seen.min(before.first_seen);
        if matches!(self.state, State::Open) {
            self.open_since = self.open_since.min(before.open_since);
        }
        self
    }
}

fn is_after(proof: &Proof, last: ScanOrder) -> bool {
    proof.order > last && proof.order.scan != last.scan
}
