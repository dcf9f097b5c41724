//! Which code implements each step. `tests/code.rs` verifies that each file still has what is named
//! here.

use crate::steps::Step;

/// A part of the code: a file of the repository, and an identifier that it defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// The path of the file, from the root of the repository.
    pub file: &'static str,
    /// The name of a function, constant, type, macro or variant; of a script, the first word of a
    /// line.
    pub item: &'static str,
}

const fn code(file: &'static str, item: &'static str) -> Code {
    Code { file, item }
}

const LEASE: &str = "actors/src/lease/actor.rs";
const LEASE_POLICY: &str = "actors/src/policy/lease.rs";
const GATE: &str = "actors/src/start_gate.rs";
const DISPATCHER: &str = "actors/src/dispatcher/actor.rs";
const SUPERVISOR: &str = "actors/src/supervisor/actor.rs";
const SCAN: &str = "actors/src/scan/actor.rs";
const SCAN_STATE: &str = "actors/src/scan/state.rs";
const FINISHER: &str = "actors/src/attempt_finisher.rs";
const RECONCILER: &str = "actors/src/reconciler/actor.rs";
const RELAY: &str = "actors/src/relay/deliver.rs";
const TRANSITION: &str = "actors/src/policy/transition.rs";
const NODES: &str = "src/adapters/surreal_store/nodes.rs";
const SCAN_LEASE: &str = "src/adapters/surreal_store/lease.rs";
const APPLY: &str = "src/adapters/surreal_store/apply.rs";
const OUTBOX: &str = "src/adapters/surreal_store/outbox.rs";
const SUBMIT: &str = "src/adapters/surreal_store/submit.rs";
const QUEUE: &str = "src/adapters/redis_queue/queue.rs";
const WATCHDOG: &str = "src/adapters/kast_runner/watchdog/watch.rs";
const ORDERS: &str = "src/adapters/kast_runner/watchdog/order.rs";
const KEEPER: &str = "src/adapters/kast_runner/keeper/serve.rs";
const RUNNER: &str = "src/adapters/kast_runner/runner.rs";

/// Returns the code of a step; nothing for faults, for the clock, and for steps of wrong variants.
#[must_use]
pub fn of(step: Step) -> Vec<Code> {
    match step {
        Step::SendRenewal(_) => vec![code(LEASE, "renew"), code(LEASE_POLICY, "step")],
        Step::AnswerRenewal(_) => vec![code(NODES, "REGISTER"), code(NODES, "RENEW")],
        Step::ReceiveRenewal(_) => {
            vec![code(LEASE, "answered"), code(LEASE_POLICY, "trusted_until"), code(GATE, "trust_lease")]
        }
        Step::TimeOutRenewal(_) => vec![code(LEASE, "renew")],
        Step::LoseLease(_) => vec![
            code(LEASE_POLICY, "KillEverything"),
            code(LEASE, "lose"),
            code(SUPERVISOR, "KillAll"),
            code(SCAN_STATE, "on_stop"),
        ],
        Step::Clear(_) => vec![code(LEASE, "cleared")],
        Step::Deliver(..) => vec![
            code(DISPATCHER, "pull"),
            code(GATE, "allowed"),
            code(QUEUE, "next"),
            code("src/adapters/redis_queue/scripts/take.lua", "offer_all"),
        ],
        Step::Release(_) => vec![
            code(DISPATCHER, "pull"),
            code(QUEUE, "release"),
            code("src/adapters/redis_queue/scripts/release.lua", "enqueue"),
        ],
        Step::LeaseScan(_) => vec![
            code(DISPATCHER, "lease"),
            code("actors/src/dispatcher/decide.rs", "decide"),
            code(SCAN_LEASE, "LEASE"),
            code(TRANSITION, "lease"),
        ],
        Step::LeaseScanUnanswered(_) => vec![code(DISPATCHER, "LEASE_LIMIT")],
        Step::Launch(_) => vec![code(DISPATCHER, "hand_over"), code(SUPERVISOR, "launch"), code(GATE, "lease_is_good")],
        Step::Acknowledge(_) => vec![
            code(DISPATCHER, "pull"),
            code(QUEUE, "acknowledge"),
            code("src/adapters/redis_queue/scripts/acknowledge.lua", "XACK"),
        ],
        Step::Spawn(..) => vec![code(SCAN, "start"), code(RUNNER, "start")],
        Step::Exit(..) | Step::Fail(..) => vec![code(SCAN, "process_ended"), code(SCAN_STATE, "cause_of_end")],
        Step::Kill(_) => vec![code(SCAN, "started"), code(SCAN, "stop_process")],
        Step::RefuseProgress(..) => vec![code(SCAN, "progress_written"), code(TRANSITION, "running_under")],
        Step::WatchdogKills(_) => vec![code(WATCHDOG, "watch"), code(ORDERS, "action"), code(KEEPER, "end")],
        Step::RecordEnd(..) => vec![
            code(FINISHER, "write"),
            code(TRANSITION, "running_under"),
            code(TRANSITION, "resolve"),
            code(APPLY, "WRITE_END"),
        ],
        Step::Abandon(..) => vec![code(SCAN, "give_up_soon"), code(SCAN_STATE, "ShortenDeadline")],
        Step::Announce(..) => vec![code("actors/src/context.rs", "announce"), code(QUEUE, "signal")],
        Step::Look(_) => vec![code(RECONCILER, "look_after_the_cluster"), code(NODES, "ORPHANS")],
        Step::Rescue(_) => vec![code(RECONCILER, "take_over"), code(TRANSITION, "Rescue")],
        Step::HandBack(..) => vec![code(RECONCILER, "hand_back"), code(RECONCILER, "GRACE")],
        Step::Remind(..) => {
            vec![code(RECONCILER, "signal_what_waits"), code("src/adapters/redis_queue/scripts/signal.lua", "enqueue")]
        }
        Step::Reclaim(..) => vec![code("src/adapters/redis_queue/scripts/promote_due.lua", "XAUTOCLAIM")],
        Step::LeaseEntry(..) => vec![code(RELAY, "deliver"), code(OUTBOX, "LEASE")],
        Step::Consume(_) => vec![code("actors/src/relay/outcome_counter.rs", "consume"), code(OUTBOX, "COUNT")],
        Step::Refuse(_) => vec![code(RELAY, "put_back"), code(OUTBOX, "DEFER")],
        Step::Settle(_) => vec![code(RELAY, "deliver"), code(OUTBOX, "SETTLE")],
        Step::FindNoKey(..) => vec![code(SUBMIT, "find_keys")],
        Step::Fire(_) => vec![code(SUBMIT, "WRITE")],
        Step::Tick
        | Step::Mark(_)
        | Step::WriteEvent(_)
        | Step::KillNode(_)
        | Step::Freeze(_)
        | Step::FreezeTogether(_)
        | Step::Thaw(_)
        | Step::ThawWatchdog(_)
        | Step::Cut(_)
        | Step::Heal(_)
        | Step::LoseQueue => vec![],
    }
}

/// One step of each kind that has code.
pub const STEPS: [Step; 32] = [
    Step::SendRenewal(0),
    Step::AnswerRenewal(0),
    Step::ReceiveRenewal(0),
    Step::TimeOutRenewal(0),
    Step::LoseLease(0),
    Step::Clear(0),
    Step::Deliver(0, 0),
    Step::Release(0),
    Step::LeaseScan(0),
    Step::LeaseScanUnanswered(0),
    Step::Launch(0),
    Step::Acknowledge(0),
    Step::Spawn(0, 0),
    Step::Exit(0, 0),
    Step::Fail(0, 0),
    Step::Kill(0),
    Step::RefuseProgress(0, 0),
    Step::WatchdogKills(0),
    Step::RecordEnd(0, 0),
    Step::Abandon(0, 0),
    Step::Announce(0, 0),
    Step::Look(0),
    Step::Rescue(0),
    Step::HandBack(0, 0),
    Step::Remind(0, 0),
    Step::Reclaim(0, 0),
    Step::LeaseEntry(0, 0),
    Step::Consume(0),
    Step::Refuse(0),
    Step::Settle(0),
    Step::FindNoKey(0, 0),
    Step::Fire(0),
];
