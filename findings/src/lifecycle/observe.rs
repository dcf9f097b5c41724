//! What a scan does to a finding.

use super::check::{Check, ScanOrder};
use super::finding::{Event, Finding, Proof, Seen, State};

/// What one scan says about one finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The attempt.
    pub order: ScanOrder,
    /// How the check of the finding's plugin ended.
    pub check: Check,
    /// True if the finding was seen.
    pub seen: bool,
    /// The version of the plugin, for the proof.
    pub plugin_version: &'a str,
}

impl Finding {
    /// Applies a scan. `needed` is the number of complete checks without a sighting that prove the
    /// finding fixed ([`scans_to_fix`](super::scans_to_fix)); 0 counts as 1.
    ///
    /// A finding that is created from a scan which arrives late must also be given the complete
    /// checks of its plugin after that scan, as observations in which it was not seen.
    #[must_use]
    pub fn observe(self, seen_by: &Observation<'_>, needed: usize) -> (Self, Vec<Event>) {
        let needed = needed.max(1);
        match (seen_by.seen, seen_by.check) {
            (_, check) if !check.counts_sightings() => (self, Vec::new()),
            (true, _) => self.see(seen_by.order, needed),
            (false, check) if check.proves_absence() => self.miss(seen_by, needed),
            (false, check) => self.leave_unchecked(seen_by.order, check),
        }
    }

    /// The finding was seen.
    fn see(mut self, order: ScanOrder, needed: usize) -> (Self, Vec<Event>) {
        let mut events = Vec::new();
        if order < self.first_seen.order {
            if self.open_since == self.first_seen.order.at {
                self.open_since = order.at;
            }
            self.first_seen = Seen { order };
            events.push(Event::FirstSeenEarlier);
        }
        if order <= self.last_seen.order {
            return (self, events);
        }
        self.last_seen = Seen { order };
        // Checks before this sighting prove nothing any more. Of one scan, the sighting counts.
        self.absences.retain(|proof| proof.order > order && proof.order.scan != order.scan);
        let State::Fixed { proof } = &self.state else {
            events.push(Event::SeenAgain);
            return (self, events);
        };
        // It was fixed before this sighting, and not by checks after it or by its own scan.
        let came_back = proof.iter().all(|proof| proof.order < order && proof.order.scan != order.scan);
        let is_fixed = self.absences.len() >= needed;
        if came_back {
            self.regressed = true;
            self.open_since = order.at;
            events.push(Event::Regressed);
        } else if !is_fixed {
            events.push(Event::ProofLost);
        }
        // The checks after a sighting that arrived late may still be enough.
        if is_fixed && came_back {
            events.push(Event::Fixed { proof: self.absences.clone() });
        }
        self.state = if is_fixed { State::Fixed { proof: self.absences.clone() } } else { State::Open };
        (self, events)
    }

    /// A complete check did not see the finding.
    fn miss(mut self, by: &Observation<'_>, needed: usize) -> (Self, Vec<Event>) {
        let order = by.order;
        let is_new = order > self.last_seen.order && order.scan != self.last_seen.order.scan;
        // Several attempts of one scan are one check, and the last of them counts.
        let has_newer = self.absences.iter().any(|proof| proof.order.scan == order.scan && proof.order >= order);
        if !is_new || has_newer {
            return (self, Vec::new());
        }
        let before = self.absences.clone();
        self.absences.retain(|proof| proof.order.scan != order.scan);
        let proof = Proof::new(order, by.plugin_version);
        let at = self.absences.partition_point(|other| other.order < order);
        self.absences.insert(at, proof);
        // The newest stay: a sighting that arrives late takes the oldest first.
        let spare = self.absences.len().saturating_sub(needed);
        self.absences.drain(..spare);
        if self.absences == before {
            return (self, Vec::new());
        }
        match &self.state {
            State::Fixed { .. } => (self, vec![Event::Absent]),
            _ if self.absences.len() >= needed => {
                let proof = self.absences.clone();
                self.state = State::Fixed { proof: proof.clone() };
                (self, vec![Event::Fixed { proof }])
            }
            _ => (self, vec![Event::Absent]),
        }
    }

    /// The finding was not checked.
    fn leave_unchecked(mut self, order: ScanOrder, check: Check) -> (Self, Vec<Event>) {
        let is_newest = self.unchecked.is_none_or(|(other, _)| order > other);
        if !is_newest || order <= self.last_checked() {
            return (self, Vec::new());
        }
        self.unchecked = Some((order, check));
        (self, vec![Event::NotChecked { check }])
    }
}
