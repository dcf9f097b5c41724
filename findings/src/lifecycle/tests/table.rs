use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};

use super::super::*;
use crate::identity::current;
use crate::notes::NoteKind;
use crate::place::Origin;
use crate::readers::Reading;
use crate::scope::CheckScope;
use crate::severity::Severity;
use crate::sighting::IssueKey;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn order(scan: u64) -> ScanOrder {
    ScanOrder { at: at(i64::try_from(scan).unwrap() * 3600), scan, token: scan }
}

fn scan(scan: u64, check: Check, seen: bool) -> Observation<'static> {
    Observation { order: order(scan), check, seen, plugin_version: "3.2" }
}

fn apply(finding: Finding, observations: &[Observation<'_>], needed: usize) -> (Finding, Vec<Event>) {
    observations.iter().fold((finding, Vec::new()), |(finding, mut events), one| {
        let (finding, more) = finding.observe(one, needed);
        events.extend(more);
        (finding, events)
    })
}

const SEEN: bool = true;
const ABSENT: bool = false;

#[test]
fn every_check_does_what_the_table_says() {
    use Check::{Cancelled, Completed, DryRun, Failed, NarrowerScope, ReadInPart, Skipped, TimedOut, Unavailable};
    let first = Finding::first(order(1));
    for check in [Failed, TimedOut, Skipped, Unavailable, Cancelled, NarrowerScope, ReadInPart] {
        let (finding, events) = first.clone().observe(&scan(2, check, ABSENT), 1);
        assert_eq!(finding.state, State::Open, "{check:?}");
        assert_eq!(events, [Event::NotChecked { check }], "{check:?}");
        assert_eq!(finding.not_checked_since(), Some((order(1).at, check)), "{check:?}");
        let (finding, events) = first.clone().observe(&scan(2, check, SEEN), 1);
        assert_eq!((finding.last_seen.order, events), (order(2), vec![Event::SeenAgain]), "{check:?}");
    }
    for seen in [SEEN, ABSENT] {
        assert_eq!(first.clone().observe(&scan(2, DryRun, seen), 1), (first.clone(), vec![]));
    }
    let (finding, events) = first.clone().observe(&scan(2, Completed, ABSENT), 1);
    let proof = vec![Proof::new(order(2), "3.2")];
    assert_eq!(events, [Event::Fixed { proof: proof.clone() }]);
    assert_eq!(finding.state, State::Fixed { proof });
    let only: Vec<Check> = Check::ALL.into_iter().filter(|check| check.proves_absence()).collect();
    assert_eq!(only, [Completed]);
}

#[test]
fn a_crawler_needs_two_scans_and_two_attempts_are_one() {
    let first = Finding::first(order(1));
    let (finding, events) = first.observe(&scan(2, Check::Completed, ABSENT), 2);
    assert_eq!((finding.state.clone(), events), (State::Open, vec![Event::Absent]));
    let attempt = Observation { order: ScanOrder { token: 99, ..order(2) }, ..scan(2, Check::Completed, ABSENT) };
    let (finding, _) = finding.observe(&attempt, 2);
    assert_eq!(finding.state, State::Open);
    // A scan without a complete check in between takes nothing back.
    let (finding, events) = apply(finding, &[scan(3, Check::Failed, ABSENT), scan(4, Check::Completed, ABSENT)], 2);
    assert!(matches!(&finding.state, State::Fixed { proof } if proof.len() == 2), "{events:?}");
    assert_eq!(finding.not_checked_since(), None);
    assert_eq!([scans_to_fix("testssl"), scans_to_fix("zap"), scans_to_fix("unknown")], [1, 2, 2]);
}

#[test]
fn a_fixed_finding_that_is_seen_again_has_regressed() {
    let first = Finding::first(order(1));
    let (finding, events) = apply(first, &[scan(2, Check::Completed, ABSENT), scan(3, Check::Failed, SEEN)], 1);
    assert!(events.contains(&Event::Regressed));
    assert_eq!((finding.state, finding.regressed, finding.open_since), (State::Open, true, order(3).at));
    assert_eq!(finding.first_seen.order, order(1));
}

#[test]
fn late_results_change_nothing_that_newer_ones_decided() {
    let first = Finding::first(order(5));
    // An older scan that did not see it, or that had seen it.
    let (finding, events) = first.clone().observe(&scan(4, Check::Completed, ABSENT), 1);
    assert_eq!((finding, events), (first.clone(), vec![]));
    let (finding, events) = first.clone().observe(&scan(3, Check::Completed, SEEN), 1);
    assert_eq!(events, [Event::FirstSeenEarlier]);
    assert_eq!(
        (finding.first_seen.order, finding.last_seen.order, finding.open_since),
        (order(3), order(5), order(3).at)
    );
    // A late failure says nothing about a newer check.
    let (fixed, _) = first.observe(&scan(8, Check::Completed, ABSENT), 1);
    assert_eq!(fixed.clone().observe(&scan(7, Check::Failed, ABSENT), 1), (fixed.clone(), vec![]));
    // A late sighting before the proof leaves the proof.
    let (finding, events) = fixed.observe(&scan(7, Check::Completed, SEEN), 1);
    assert!(matches!(finding.state, State::Fixed { .. }) && !finding.regressed && events.is_empty(), "{events:?}");
}

#[test]
fn a_late_sighting_between_two_proofs_takes_the_proof_away() {
    let first = Finding::first(order(1));
    let (fixed, _) = apply(first, &[scan(2, Check::Completed, ABSENT), scan(4, Check::Completed, ABSENT)], 2);
    let (finding, events) = fixed.observe(&scan(3, Check::Completed, SEEN), 2);
    assert_eq!((finding.state.clone(), events, finding.regressed), (State::Open, vec![Event::ProofLost], false));
    let (finding, _) = finding.observe(&scan(5, Check::Completed, ABSENT), 2);
    assert!(matches!(&finding.state, State::Fixed { proof } if proof[0].order == order(4)));
}

#[test]
fn a_late_return_that_is_fixed_again_ends_fixed() {
    let first = Finding::first(order(1));
    let (fixed, _) = apply(first, &[scan(2, Check::Completed, ABSENT), scan(4, Check::Completed, ABSENT)], 1);
    let (finding, events) = fixed.observe(&scan(3, Check::Completed, SEEN), 1);
    assert!(matches!(&finding.state, State::Fixed { proof } if proof[0].order == order(4)), "{events:?}");
    assert!(finding.regressed);
}

fn accept(until: Timestamp) -> Action {
    Action::Accept { reason: "behind a VPN".into(), owner: "ana".into(), until }
}

#[test]
fn a_scan_never_undoes_what_a_person_decided() {
    let now = order(1).at;
    let first = Finding::first(order(1));
    let (confirmed, _) = first.act(&Action::Confirm, "ana", now).unwrap();
    let (decided, _) = confirmed.act(&Action::MarkFalsePositive { reason: "test page".into() }, "ben", now).unwrap();
    let rounds = [
        scan(2, Check::Completed, ABSENT),
        scan(3, Check::Completed, SEEN),
        scan(4, Check::Failed, SEEN),
        scan(5, Check::Completed, ABSENT),
        scan(6, Check::Completed, SEEN),
    ];
    let mut finding = decided.clone();
    for round in rounds {
        finding = finding.observe(&round, 1).0;
        assert_eq!((&finding.decision, &finding.confirmed), (&decided.decision, &decided.confirmed));
        assert_eq!(finding.status(round.order.at), Status::FalsePositive);
    }
    let (finding, _) = finding.act(&Action::Withdraw, "ben", now).unwrap();
    assert_eq!(finding.status(now), Status::Confirmed);
    let (finding, _) = finding.act(&Action::Withdraw, "ben", now).unwrap();
    assert_eq!(finding.status(now), Status::Open);
    assert_eq!(finding.act(&Action::Withdraw, "ben", now), Err(Refusal::NothingToWithdraw));
}

#[test]
fn an_expired_acceptance_reopens() {
    let now = order(1).at;
    let until = now.checked_add(48.hours()).unwrap();
    let (accepted, events) = Finding::first(order(1)).act(&accept(until), "ana", now).unwrap();
    assert_eq!((accepted.status(now), events), (Status::Accepted, vec![Event::Decided]));
    assert_eq!(accepted.status(until), Status::Open);
    assert_eq!(accepted.clone().expire(now).1, []);
    let (open, events) = accepted.clone().expire(until);
    assert_eq!((open.decision.clone(), events), (None, vec![Event::AcceptanceExpired]));
    assert_eq!(open.clone().expire(until), (open, vec![]));
    // If a scan has proven it fixed in the meantime, it stays fixed.
    let (fixed, _) = accepted.clone().observe(&scan(2, Check::Completed, ABSENT), 1);
    assert_eq!((fixed.status(now), fixed.expire(until).0.status(until)), (Status::Accepted, Status::Fixed));
    // A new decision after the end needs no withdrawal.
    let (_, events) = accepted.act(&Action::MarkFalsePositive { reason: "x".into() }, "ana", until).unwrap();
    assert_eq!(events, [Event::AcceptanceExpired, Event::Decided]);
}

#[test]
fn wrong_actions_are_refused_with_the_field() {
    let now = order(1).at;
    let finding = Finding::first(order(1));
    let cases = [
        (accept(now), "until: it must be in the future"),
        (accept(Timestamp::MAX), "until: it must be within two years"),
        (Action::Accept { reason: " ".into(), owner: "a".into(), until: at(9_000) }, "reason: it must not be empty"),
        (Action::Accept { reason: "r".into(), owner: "\u{7}".into(), until: at(9_000) }, "owner: it must not be empty"),
        (Action::MarkFalsePositive { reason: String::new() }, "reason: it must not be empty"),
    ];
    for (action, message) in cases {
        assert_eq!(finding.clone().act(&action, "ana", now).unwrap_err().to_string(), message, "{action:?}");
    }
    let (fixed, _) = finding.clone().observe(&scan(2, Check::Completed, ABSENT), 1);
    assert_eq!(fixed.act(&Action::Confirm, "ana", now), Err(Refusal::IsFixed));
    let (confirmed, _) = finding.act(&Action::Confirm, "ana", now).unwrap();
    assert_eq!(confirmed.clone().act(&Action::Confirm, "ana", now), Err(Refusal::IsConfirmed));
    let (decided, _) = confirmed.act(&accept(at(9_000)), "ana", now).unwrap();
    assert_eq!(decided.act(&accept(at(9_000)), "ana", now), Err(Refusal::IsDecided));
}

#[test]
fn findings_are_due_by_their_severity() {
    let policy = SlaPolicy { days: [(Severity::High, 2), (Severity::Low, u32::MAX)].into_iter().collect() };
    let finding = Finding::first(order(0));
    let due = at(2 * 86_400);
    assert_eq!(finding.sla(Severity::High, &policy, at(0)), Sla::Due { at: due });
    assert_eq!(finding.sla(Severity::High, &policy, due), Sla::Overdue { at: due });
    assert_eq!(finding.sla(Severity::Medium, &policy, at(0)), Sla::None);
    assert!(matches!(finding.sla(Severity::Low, &policy, at(0)), Sla::Due { .. }));
    let until = at(4 * 86_400);
    let (accepted, _) = finding.clone().act(&accept(until), "ana", at(0)).unwrap();
    assert_eq!(accepted.sla(Severity::High, &policy, at(3 * 86_400)), Sla::Paused { until });
    assert_eq!(accepted.sla(Severity::High, &policy, until), Sla::Overdue { at: due });
    let observations = [scan(1, Check::Completed, ABSENT)];
    let (fixed, _) = apply(finding, &observations, 1);
    assert_eq!(fixed.sla(Severity::High, &policy, at(9 * 86_400)), Sla::None);
    // The time runs anew when it comes back.
    let (back, _) = fixed.observe(&scan(100, Check::Completed, SEEN), 1);
    assert_eq!(back.sla(Severity::High, &policy, order(100).at), Sla::Due { at: order(148).at });
}

#[test]
fn a_finding_is_stored_and_read_without_change() {
    let now = order(1).at;
    let (finding, _) = Finding::first(order(1)).act(&accept(at(9_000)), "ana", now).unwrap();
    let (finding, _) = apply(finding, &[scan(2, Check::Completed, ABSENT), scan(3, Check::Skipped, ABSENT)], 1);
    let stored = serde_json::to_string(&finding).unwrap();
    assert_eq!(serde_json::from_str::<Finding>(&stored).unwrap(), finding, "{stored}");
}

#[test]
fn joined_findings_are_fixed_only_with_proof_for_all_and_keep_only_a_common_decision() {
    let now = order(1).at;
    let absent = scan(4, Check::Completed, ABSENT);
    let (one, _) = Finding::first(order(1)).observe(&absent, 1);
    let (other, _) = Finding::first(order(3)).observe(&absent, 1);
    let joined = Finding::joined(&[one.clone(), other.clone()], 1).unwrap();
    assert!(matches!(&joined.state, State::Fixed { proof } if proof[0].order == order(4)));
    assert_eq!((joined.first_seen.order, joined.last_seen.order), (order(1), order(3)));
    // One that was seen after the other was fixed.
    let open = Finding::first(order(5));
    assert_eq!(Finding::joined(&[one.clone(), open.clone()], 1).unwrap().state, State::Open);
    // Each fixed by a scan of its own: no scan proves both.
    let (late, _) = Finding::first(order(3)).observe(&scan(6, Check::Completed, ABSENT), 1);
    assert_eq!(Finding::joined(&[one.clone(), late], 1).unwrap().state, State::Open);
    let decide = |finding: Finding, reason: &str| {
        finding.act(&Action::MarkFalsePositive { reason: reason.into() }, "ana", now).unwrap().0
    };
    let (a, b) = (decide(open.clone(), "x"), decide(open.clone(), "y"));
    assert_eq!(Finding::joined(&[a.clone(), b], 1).unwrap().decision, None);
    assert_eq!(Finding::joined(&[a.clone(), open.clone()], 1).unwrap().decision, None);
    assert_eq!(Finding::joined(&[a.clone(), a.clone()], 1).unwrap().decision, a.decision);
    assert_eq!(Finding::joined(std::slice::from_ref(&one), 2), Some(one));
    assert_eq!(Finding::joined(&[], 1), None);
    let moved = open.continuing(&a);
    assert_eq!((moved.decision, moved.first_seen.order), (None, order(5)));
    let moved = Finding::first(order(7)).continuing(&other);
    assert_eq!((moved.first_seen.order, moved.open_since), (order(3), order(3).at));
}

#[test]
fn a_cipher_suite_without_a_result_keeps_the_finding_of_all_suites_unchecked() {
    let scope = CheckScope {
        plugin: "testssl".into(),
        target: Origin::of_target("shop.example").ok(),
        settings: BTreeMap::new(),
    };
    let mut reading = Reading { plugin: "testssl".into(), ..Reading::default() };
    let check = |end, reading: Option<&Reading>, issue: &str| {
        let check = PluginCheck::new(end, "3.2", scope.clone(), reading, current());
        check.check_for(&IssueKey::new(issue), &scope)
    };
    assert_eq!(check(PluginEnd::Completed, Some(&reading), "weak-cipher-suites"), Check::Completed);
    reading.inconclusive.insert(IssueKey::new("cipher-tls1_2_xc028"));
    assert_eq!(check(PluginEnd::Completed, Some(&reading), "weak-cipher-suites"), Check::ReadInPart);
    assert_eq!(check(PluginEnd::Completed, Some(&reading), "SWEET32"), Check::Completed);
    assert_eq!(check(PluginEnd::Failed, Some(&reading), "SWEET32"), Check::Failed);
    // A plugin that completed and left no result.
    assert_eq!(check(PluginEnd::Completed, None, "SWEET32"), Check::ReadInPart);
    reading.notes.add(NoteKind::ValuesCut, "x");
    assert_eq!(check(PluginEnd::Completed, Some(&reading), "SWEET32"), Check::ReadInPart);
}
