//! The plan of faults and submissions. It is drawn from a seed before the run, so a seed repeats
//! its plan.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::cluster::harness::LEASE;
use crate::redis_server::Data;

/// The size of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) scans: usize,
    pub(super) workers: usize,
    /// The duration of submissions and faults; after it, everything is repaired.
    pub(super) during: Duration,
}

/// An event and its time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) event: Event,
}

/// An event. If it selects from objects that exist only at run time, a share from 0 to 1 selects
/// one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    Submit { target: String },
    Cancel { share: f64 },
    KillKast { worker: usize, share: f64 },
    KillWorker(usize),
    StartWorker(usize),
    FreezeWorker(usize),
    ThawWorker(usize),
    StopRedis(Data),
    StartRedis(Data),
    StopDatabase,
    StartDatabase,
}

impl Event {
    /// Returns the name of the fault, or `None` for repairs and submissions.
    pub(super) const fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Cancel { .. } => Some("scan cancelled"),
            Self::KillKast { .. } => Some("KAST killed"),
            Self::KillWorker(_) => Some("worker killed"),
            Self::FreezeWorker(_) => Some("worker frozen for longer than its lease"),
            Self::StopRedis(Data::Kept) => Some("Redis killed, data kept"),
            Self::StopRedis(Data::Lost) => Some("Redis killed, data lost"),
            Self::StopDatabase => Some("database killed"),
            Self::Submit { .. }
            | Self::StartWorker(_)
            | Self::ThawWorker(_)
            | Self::StartRedis(_)
            | Self::StartDatabase => None,
        }
    }
}

/// The time after which each part may be broken again. A part has at most one fault at a time.
struct Whole {
    workers: Vec<Duration>,
    redis: Duration,
    database: Duration,
}

/// Returns all steps in order of time.
pub(super) fn plan(size: Size, seed: u64) -> Vec<Step> {
    let mut random = SmallRng::seed_from_u64(seed);
    let submissions = (0..size.scans).map(|_| Step {
        at: size.during.mul_f64(random.random_range(0.0..0.9)),
        event: Event::Submit { target: target(&mut random) },
    });
    let mut steps: Vec<Step> = submissions.collect();
    let mut whole =
        Whole { workers: vec![Duration::ZERO; size.workers], redis: Duration::ZERO, database: Duration::ZERO };
    let mut at = Duration::from_secs(1);
    while at < size.during {
        steps.extend(fault(&mut random, &mut whole, at));
        at += between(&mut random, 0.2, 1.0);
    }
    steps.sort_by_key(|step| step.at);
    steps
}

fn between(random: &mut SmallRng, least: f64, most: f64) -> Duration {
    Duration::from_secs_f64(random.random_range(least..most))
}

/// Returns a target. Most scans only take time; some leave relatives behind or fail permanently.
fn target(random: &mut SmallRng) -> String {
    let (ms, plugins) = (random.random_range(300..5_000), random.random_range(1..=4));
    let manner = match random.random_range(0..100) {
        0..3 => "crash-",
        3..18 => "family-stubborn-",
        18..28 => "failp-",
        _ => "",
    };
    format!("{manner}{ms}ms-{plugins}p.test")
}

/// Returns true if no check of a scan of `target` completes: its only plugin fails.
pub(super) fn checks_nothing(target: &str) -> bool {
    target.starts_with("failp-") && target.contains("-1p.")
}

/// Returns a fault and its repair, or nothing if the drawn fault is not possible at this time.
fn fault(random: &mut SmallRng, whole: &mut Whole, at: Duration) -> Vec<Step> {
    let worker = random.random_range(0..whole.workers.len());
    let share = random.random();
    // The time to recover after a repair.
    let settle = Duration::from_secs(3);
    let broken = |free: &mut Duration, outage: Duration, breaks: Event, mends: Event| {
        if *free > at {
            return Vec::new();
        }
        *free = at + outage + settle;
        vec![Step { at, event: breaks }, Step { at: at + outage, event: mends }]
    };
    match random.random_range(0..100) {
        0..20 => vec![Step { at, event: Event::Cancel { share } }],
        20..40 => vec![Step { at, event: Event::KillKast { worker, share } }],
        40..60 => broken(
            &mut whole.workers[worker],
            between(random, 0.3, 3.0),
            Event::KillWorker(worker),
            Event::StartWorker(worker),
        ),
        60..75 => {
            let frozen = LEASE + between(random, 0.5, 3.0);
            broken(&mut whole.workers[worker], frozen, Event::FreezeWorker(worker), Event::ThawWorker(worker))
        }
        75..88 => {
            let data = *[Data::Kept, Data::Lost].choose(random).unwrap();
            broken(&mut whole.redis, between(random, 0.1, 3.0), Event::StopRedis(data), Event::StartRedis(data))
        }
        _ => broken(&mut whole.database, between(random, 0.1, 4.0), Event::StopDatabase, Event::StartDatabase),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { scans: 50, workers: 3, during: Duration::from_secs(60) };

    #[test]
    fn chaos_seed_repeats_its_plan() {
        assert_eq!(plan(SIZE, 7), plan(SIZE, 7));
        assert_ne!(plan(SIZE, 7), plan(SIZE, 8));
    }

    #[test]
    fn all_scans_are_submitted_and_each_fault_is_repaired_before_the_next() {
        for seed in 0..200 {
            let steps = plan(SIZE, seed);
            assert!(steps.is_sorted_by_key(|step| step.at));
            assert_eq!(steps.iter().filter(|step| matches!(step.event, Event::Submit { .. })).count(), SIZE.scans);
            let (mut down, mut frozen, mut others) = (vec![false; SIZE.workers], vec![None; SIZE.workers], [false; 2]);
            for Step { at, event } in steps {
                match event {
                    Event::KillWorker(worker) => {
                        assert!(!std::mem::replace(&mut down[worker], true) && frozen[worker].is_none());
                    }
                    Event::StartWorker(worker) => assert!(std::mem::replace(&mut down[worker], false)),
                    Event::FreezeWorker(worker) => assert!(frozen[worker].replace(at).is_none() && !down[worker]),
                    Event::ThawWorker(worker) => assert!(at - frozen[worker].take().unwrap() > LEASE),
                    Event::StopRedis(_) => assert!(!std::mem::replace(&mut others[0], true)),
                    Event::StartRedis(_) => assert!(std::mem::replace(&mut others[0], false)),
                    Event::StopDatabase => assert!(!std::mem::replace(&mut others[1], true)),
                    Event::StartDatabase => assert!(std::mem::replace(&mut others[1], false)),
                    Event::Submit { .. } | Event::Cancel { .. } | Event::KillKast { .. } => {}
                }
            }
            assert!(
                down.iter().all(|down| !down) && frozen.iter().all(Option::is_none) && others == [false; 2],
                "{seed}"
            );
        }
    }

    #[test]
    fn every_fault_occurs() {
        let mut kinds: Vec<&str> =
            (0..20).flat_map(|seed| plan(SIZE, seed)).filter_map(|step| step.event.fault()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 7, "{kinds:?}");
    }
}
