//! A slow model: it keeps every result and computes everything anew from all of them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    order: ScanOrder,
    check: Check,
    seen: bool,
}

impl Fact {
    fn observation(&self) -> Observation<'static> {
        Observation { order: self.order, check: self.check, seen: self.seen, plugin_version: "1" }
    }
}

/// All that was delivered.
#[derive(Debug, Default)]
struct Model {
    facts: BTreeSet<Fact>,
}

impl Model {
    fn sightings(&self) -> impl Iterator<Item = ScanOrder> {
        self.facts.iter().filter(|fact| fact.seen && fact.check.counts_sightings()).map(|fact| fact.order)
    }

    fn last_seen(&self) -> ScanOrder {
        self.sightings().max().unwrap()
    }

    /// The complete checks after the newest sighting, one a scan.
    fn absences(&self) -> BTreeMap<u64, ScanOrder> {
        let last = self.last_seen();
        let mut found = BTreeMap::new();
        for fact in &self.facts {
            let counts =
                !fact.seen && fact.check == Check::Completed && fact.order > last && fact.order.scan != last.scan;
            if counts {
                found.insert(fact.order.scan, fact.order);
            }
        }
        found
    }

    fn is_fixed(&self, needed: usize) -> bool {
        self.absences().len() >= needed
    }

    fn last_checked(&self) -> ScanOrder {
        self.absences().values().copied().chain([self.last_seen()]).max().unwrap()
    }

    fn not_checked_since(&self) -> Option<(Timestamp, Check)> {
        let unchecked = self
            .facts
            .iter()
            .rev()
            .find(|fact| !fact.seen && !fact.check.proves_absence() && fact.check.counts_sightings())?;
        (unchecked.order > self.last_checked()).then(|| (self.last_checked().at, unchecked.check))
    }
}

/// Scans with one or two attempts, each with any check.
fn scans() -> impl Strategy<Value = Vec<Fact>> {
    let bad = proptest::sample::select(Check::ALL[1..].to_vec());
    let check = prop_oneof![3 => Just(Check::Completed), 2 => bad];
    let scan = (check.clone(), any::<bool>(), proptest::option::weighted(0.3, (check, any::<bool>())));
    proptest::collection::vec(scan, 1..9).prop_map(|scans| {
        let mut facts = Vec::new();
        for (number, (check, seen, earlier)) in scans.into_iter().enumerate() {
            let number = number as u64;
            let at = |minute: i64| {
                Timestamp::from_second(1_800_000_000 + i64::try_from(number).unwrap() * 600 + minute * 60).unwrap()
            };
            if let Some((check, seen)) = earlier {
                facts.push(Fact { order: ScanOrder { at: at(0), scan: number, token: 1 }, check, seen });
            }
            facts.push(Fact { order: ScanOrder { at: at(5), scan: number, token: 2 }, check, seen });
        }
        facts
    })
}

/// What is delivered, and when: any order, with repetitions.
fn deliveries() -> impl Strategy<Value = (Vec<Fact>, usize)> {
    (scans(), 1_usize..4)
        .prop_flat_map(|(facts, needed)| {
            let repeated = proptest::collection::vec(proptest::sample::select(facts.clone()), 0..6);
            (Just(facts), repeated, Just(needed))
        })
        .prop_flat_map(|(facts, repeated, needed)| {
            let all = [facts, repeated].concat();
            (Just(all).prop_shuffle(), Just(needed))
        })
}

fn check_state(finding: &Finding, model: &Model, needed: usize) -> Result<(), TestCaseError> {
    prop_assert_eq!(finding.first_seen.order, model.sightings().min().unwrap());
    prop_assert_eq!(finding.last_seen.order, model.last_seen());
    prop_assert_eq!(matches!(finding.state, State::Fixed { .. }), model.is_fixed(needed));
    prop_assert_eq!(finding.last_checked(), model.last_checked());
    prop_assert_eq!(finding.not_checked_since(), model.not_checked_since());
    if let State::Fixed { proof } = &finding.state {
        // No finding is closed without proof: complete checks of different scans, without a newer
        // sighting.
        let scans: BTreeSet<u64> = proof.iter().map(|proof| proof.order.scan).collect();
        prop_assert!(scans.len() >= needed, "{:?}", proof);
        for proof in proof {
            let fact = model.facts.iter().find(|fact| fact.order == proof.order).unwrap();
            prop_assert!(fact.check == Check::Completed && !fact.seen);
            prop_assert!(model.sightings().all(|seen| seen < proof.order));
        }
    }
    Ok(())
}

/// Delivers facts as ingestion does: the first sighting creates the finding, and what was delivered
/// before is applied to it.
fn deliver(finding: Option<Finding>, fact: &Fact, before: &BTreeSet<Fact>, needed: usize) -> Option<Finding> {
    match finding {
        Some(finding) => Some(finding.observe(&fact.observation(), needed).0),
        None if fact.seen && fact.check.counts_sightings() => {
            let first = Finding::first(fact.order);
            Some(before.iter().fold(first, |finding, old| finding.observe(&old.observation(), needed).0))
        }
        None => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_order_and_repetition_gives_what_the_model_says((facts, needed) in deliveries()) {
        let mut model = Model::default();
        let mut finding = None;
        for fact in &facts {
            finding = deliver(finding, fact, &model.facts, needed);
            model.facts.insert(*fact);
            if let Some(finding) = &finding {
                check_state(finding, &model, needed)?;
            }
        }
    }

    #[test]
    fn a_repeated_result_changes_nothing((facts, needed) in deliveries(), at in any::<prop::sample::Index>()) {
        let mut before = BTreeSet::new();
        let mut finding = None;
        for fact in &facts {
            finding = deliver(finding, fact, &before, needed);
            before.insert(*fact);
        }
        if let Some(finding) = finding {
            let again = facts[at.index(facts.len())];
            let (same, events) = finding.clone().observe(&again.observation(), needed);
            prop_assert_eq!(&same, &finding, "{:?}", again);
            prop_assert!(events.is_empty(), "{:?}", events);
        }
    }

    #[test]
    fn in_order_a_finding_regresses_when_it_is_seen_after_it_was_fixed(facts in scans(), needed in 1_usize..4) {
        let mut model = Model::default();
        let (mut finding, mut has_regressed) = (None, false);
        for fact in &facts {
            let is_seen = fact.seen && fact.check.counts_sightings();
            let absent_in_others =
                |model: &Model| model.absences().keys().filter(|scan| **scan != fact.order.scan).count();
            has_regressed |= is_seen && finding.is_some() && absent_in_others(&model) >= needed;
            finding = deliver(finding, fact, &model.facts, needed);
            model.facts.insert(*fact);
            if let Some(finding) = &finding {
                prop_assert_eq!(finding.regressed, has_regressed);
            }
        }
    }

    #[test]
    fn scans_leave_decisions_and_decisions_leave_scans(
        (facts, needed) in deliveries(), actions in proptest::collection::vec((0_usize..12, 0_u8..4), 0..5),
    ) {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let (mut plain, mut decided): (Option<Finding>, Option<Finding>) = (None, None);
        let mut before = BTreeSet::new();
        for (position, fact) in facts.iter().enumerate() {
            plain = deliver(plain, fact, &before, needed);
            let people = decided.as_ref().map(|finding| (finding.decision.clone(), finding.confirmed.clone()));
            decided = deliver(decided, fact, &before, needed);
            before.insert(*fact);
            if let (Some(people), Some(finding)) = (people, &decided) {
                prop_assert_eq!(people, (finding.decision.clone(), finding.confirmed.clone()));
            }
            for (_, action) in actions.iter().filter(|(at, _)| *at == position) {
                let until = Timestamp::from_second(1_800_100_000).unwrap();
                let action = match action {
                    0 => Action::Confirm,
                    1 => Action::MarkFalsePositive { reason: "r".into() },
                    2 => Action::Accept { reason: "r".into(), owner: "ana".into(), until },
                    _ => Action::Withdraw,
                };
                decided = decided.map(|finding| finding.clone().act(&action, "ben", now).map_or(finding, |(changed, _)| changed));
            }
        }
        if let (Some(plain), Some(decided)) = (plain, decided) {
            prop_assert_eq!(plain, Finding { decision: None, confirmed: None, ..decided });
        }
    }
}
