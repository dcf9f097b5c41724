//! What goes wrong, and when: drawn from a seed before the run, so that a seed repeats it.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::cluster::harness::LEASE;
use crate::redis_server::Data;

/// How much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) scans: usize,
    pub(super) workers: usize,
    /// Scans come and faults happen for so long; then everything is mended.
    pub(super) during: Duration,
}

/// Something that happens at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: Duration,
    pub(super) event: Event,
}

/// What happens. Where it takes something by chance of what is there only then, a share of 0 to 1
/// chooses.
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
    /// The fault that it is; `None` for what mends one, and for submissions.
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

/// What can be broken once at a time, and the moment from which it may be broken again.
struct Whole {
    workers: Vec<Duration>,
    redis: Duration,
    database: Duration,
}

/// All steps, in the order in which they happen.
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

/// Most scans just take a while; some leave relatives or fail for good.
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

/// Whether no check of a scan of `target` completes: its last plugin fails, and it has only one.
pub(super) fn checks_nothing(target: &str) -> bool {
    target.starts_with("failp-") && target.contains("-1p.")
}

/// A fault that is possible at this moment, with what mends it; nothing where the one that was
/// drawn is not.
fn fault(random: &mut SmallRng, whole: &mut Whole, at: Duration) -> Vec<Step> {
    let worker = random.random_range(0..whole.workers.len());
    let share = random.random();
    // After it is mended, so much time to become whole again.
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
    fn a_seed_repeats_its_plan() {
        assert_eq!(plan(SIZE, 7), plan(SIZE, 7));
        assert_ne!(plan(SIZE, 7), plan(SIZE, 8));
    }

    #[test]
    fn all_scans_are_handed_in_and_what_breaks_is_mended_before_it_breaks_again() {
        for seed in 0..200 {
            let steps = plan(SIZE, seed);
            assert!(steps.is_sorted_by_key(|step| step.at));
            assert_eq!(steps.iter().filter(|step| matches!(step.event, Event::Submit { .. })).count(), SIZE.scans);
            let (mut down, mut frozen, mut others) = (vec![false; SIZE.workers], vec![None; SIZE.workers], [false; 2]);
            for Step { at, event } in steps {
                match event {
                    Event::KillWorker(worker) => {
                        assert!(!std::mem::replace(&mut down[worker], true) && frozen[worker].is_none())
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
    fn every_fault_comes() {
        let mut kinds: Vec<&str> =
            (0..20).flat_map(|seed| plan(SIZE, seed)).filter_map(|step| step.event.fault()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 7, "{kinds:?}");
    }
}
