//! Random faults on several nodes, and the promises that must hold under all of them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kastrel_actors::model::{CancelledBy, ProjectFilter, ScanId};
use kastrel_actors::node::{self, NodeHandle};
use kastrel_actors::policy::deadline::Limits;
use kastrel_actors::ports::store::prelude::*;
use kastrel_actors::ports::{EventConsumer, JobSignal};
use kastrel_actors::relay::OutcomeCounter;
use kastrel_actors::testing::{Cluster, Fault, Faults, Script, ScriptedRunner, fixtures};
use kastrel_actors::{NodeConfig, NodePorts};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const NODES: usize = 3;

/// One event during a run.
#[derive(Debug, Clone)]
enum Event {
    Submit,
    Cancel { scan: usize },
    CrashScan { node: usize },
    CrashActor { node: usize, child: usize },
    CrashNode { node: usize },
    StopNode { node: usize },
    CutOff { node: usize, seconds: u64 },
    DuplicateSignal { scan: usize },
    Pass { milliseconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Submit),
        2 => (0..20_usize).prop_map(|scan| Event::Cancel { scan }),
        2 => (0..NODES).prop_map(|node| Event::CrashScan { node }),
        1 => (0..NODES, 0..4_usize).prop_map(|(node, child)| Event::CrashActor { node, child }),
        1 => (0..NODES).prop_map(|node| Event::CrashNode { node }),
        1 => (0..NODES).prop_map(|node| Event::StopNode { node }),
        1 => (0..NODES, 1..90_u64).prop_map(|(node, seconds)| Event::CutOff { node, seconds }),
        2 => (0..20_usize).prop_map(|scan| Event::DuplicateSignal { scan }),
        6 => (1..30_000_u64).prop_map(|milliseconds| Event::Pass { milliseconds }),
    ]
}

/// A node that is restarted under another identity each time it stops.
struct Slot {
    handle: Option<NodeHandle>,
    cut_off: Arc<AtomicBool>,
}

struct World {
    cluster: Cluster,
    slots: Vec<Slot>,
    faults: Arc<AtomicU64>,
    seed: u64,
    started: usize,
}

impl World {
    fn ports(&self, cut_off: &Arc<AtomicBool>) -> NodePorts {
        let cut_off = Arc::clone(cut_off);
        let faults = Arc::clone(&self.faults);
        let random = Mutex::new(SmallRng::seed_from_u64(self.seed ^ self.started as u64));
        let faults_of_calls = Faults::new(move || {
            if cut_off.load(Ordering::Relaxed) {
                return Fault::Unreachable;
            }
            if faults.load(Ordering::Relaxed) == 0 {
                return Fault::None;
            }
            let mut random = random.lock().unwrap();
            match random.random_range(0..100) {
                0..3 => Fault::Unreachable,
                3..8 => Fault::LostAnswer,
                8..15 => Fault::Slow(Duration::from_millis(random.random_range(1..9_000))),
                15..17 => Fault::Silent(Duration::from_millis(random.random_range(1..9_000))),
                _ => Fault::None,
            }
        });
        let ports = self.cluster.ports();
        let store = ports.store.clone().hooked(&faults_of_calls);
        let consumers: Vec<Arc<dyn EventConsumer>> = vec![Arc::new(OutcomeCounter::new(Arc::clone(&store.outbox)))];
        NodePorts { store, consumers, ..ports }
    }

    async fn start(&mut self, slot: usize) {
        self.started += 1;
        let cut_off = Arc::new(AtomicBool::new(false));
        let ports = self.ports(&cut_off);
        let limits = Limits { wall_clock: Duration::from_secs(300), no_progress: Duration::from_secs(60) };
        let config =
            NodeConfig { limits, ..NodeConfig::new(format!("node-{slot}-{}", self.started).parse().unwrap(), 2) };
        let handle = node::start(config, ports).await.unwrap();
        self.slots[slot] = Slot { handle: Some(handle), cut_off };
    }

    async fn happen(&mut self, event: &Event, accepted: &mut Vec<ScanId>) {
        match *event {
            Event::Submit => accepted.push(self.cluster.submit().await),
            Event::Cancel { scan } => {
                if let Some(id) = accepted.get(scan) {
                    self.cluster.service.cancel(&fixtures::context(), *id, CancelledBy::User).await.unwrap();
                }
            }
            Event::DuplicateSignal { scan } => {
                if let Some(id) = accepted.get(scan) {
                    let row = self.cluster.row(*id).await;
                    let signal = JobSignal {
                        id: *id,
                        priority: row.request.options.priority,
                        due: row.created_at,
                        trace: fixtures::trace(),
                    };
                    self.cluster.queue().signal(signal, Duration::ZERO).await.unwrap();
                }
            }
            Event::CrashScan { node } => {
                let scan = self.slots[node]
                    .handle
                    .as_ref()
                    .and_then(|handle| handle.children().iter().flat_map(ractor::ActorCell::get_children).next());
                if let Some(scan) = scan {
                    scan.kill();
                }
            }
            Event::CrashActor { node, child } => {
                if let Some(child) =
                    self.slots[node].handle.as_ref().and_then(|handle| handle.children().get(child).cloned())
                {
                    child.kill();
                }
            }
            Event::CrashNode { node } => {
                if let Some(handle) = self.slots[node].handle.take() {
                    handle.crash().await;
                }
                self.start(node).await;
            }
            Event::StopNode { node } => {
                if let Some(handle) = self.slots[node].handle.take() {
                    handle.shutdown(Duration::ZERO, Duration::from_secs(5)).await;
                }
                self.start(node).await;
            }
            Event::CutOff { node, seconds } => {
                let cut_off = Arc::clone(&self.slots[node].cut_off);
                cut_off.store(true, Ordering::Relaxed);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    cut_off.store(false, Ordering::Relaxed);
                });
            }
            Event::Pass { milliseconds } => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
        }
    }
}

/// Creates a runner in which each attempt plays a random script, but always the same one for the
/// same scan, token and seed.
fn runner(seed: u64) -> ScriptedRunner {
    ScriptedRunner::new(move |job| {
        let mut random = SmallRng::seed_from_u64(seed ^ (job.scan.0 << 32) ^ job.token.0);
        let after = Duration::from_millis(random.random_range(1..20_000));
        match random.random_range(0..10) {
            0 => Script::Crash(after),
            1 => Script::Hang,
            2 => Script::NoRoom,
            3 => Script::Stubborn(after.min(Duration::from_secs(4))),
            _ => Script::Complete(after),
        }
    })
}

async fn run(seed: u64, events: &[Event]) {
    let cluster = Cluster::new(runner(seed));
    let slots = (0..NODES).map(|_| Slot { handle: None, cut_off: Arc::default() }).collect();
    let mut world = World { cluster, slots, faults: Arc::new(AtomicU64::new(1)), seed, started: 0 };
    let mut accepted = Vec::new();
    for slot in 0..NODES {
        world.start(slot).await;
    }
    for event in events {
        world.happen(event, &mut accepted).await;
    }
    // The faults end. Nodes that have failed are replaced, like a service manager would do.
    world.faults.store(0, Ordering::Relaxed);
    for slot in 0..NODES {
        if let Some(handle) = world.slots[slot].handle.take() {
            handle.crash().await;
        }
        world.start(slot).await;
    }
    for id in &accepted {
        world.cluster.until(*id, |row| row.status().is_terminal()).await;
    }
    for slot in &mut world.slots {
        if let Some(handle) = slot.handle.take() {
            handle.shutdown(Duration::ZERO, Duration::from_secs(30)).await;
        }
    }
    world.cluster.check();
    assert_eq!(world.cluster.runner.alive(), 0, "a process outlived its scan");
    assert_eq!(world.cluster.store.stats(&ProjectFilter::All).await.unwrap().running, 0);
    for id in &accepted {
        let row = world.cluster.row(*id).await;
        assert!(row.attempts.iter().all(|attempt| attempt.end.is_some()), "an attempt without an end: {row:#?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn accepted_scan_ends_exactly_once_under_random_faults(seed in any::<u64>(), events in proptest::collection::vec(event(), 5..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(seed, &events));
    }
}
