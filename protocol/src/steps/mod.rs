//! The steps of the protocol. Each file has the steps of one part: when a step is possible, when it
//! must happen before the clock moves on, and what it does.

pub(crate) mod attempt;
pub(crate) mod dispatch;
pub(crate) mod fault;
pub(crate) mod outbox;
pub(crate) mod renewal;
pub(crate) mod rescue;
pub(crate) mod schedule;

use crate::protocol::Protocol;
use crate::state::{Dispatcher, Node, NodeIndex, Relay, Scan, ScanIndex, State, Time};

/// One step. A step that names a node is one of that node, of its watchdog, or of the database for
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The clock moves on by one unit.
    Tick,

    /// The lease actor sends a renewal or a registration.
    SendRenewal(NodeIndex),
    /// The database grants or refuses it.
    AnswerRenewal(NodeIndex),
    /// The node receives the answer.
    ReceiveRenewal(NodeIndex),
    /// The node stops waiting for the answer.
    TimeOutRenewal(NodeIndex),
    /// The node does not rely on its lease any more, and kills its scanners.
    LoseLease(NodeIndex),
    /// Nothing runs any more; the node requests a new lease.
    Clear(NodeIndex),

    /// The queue delivers the signal of a scan to the dispatcher.
    Deliver(NodeIndex, ScanIndex),
    /// The dispatcher returns its delivery to the queue.
    Release(NodeIndex),
    /// The database leases the row of the delivered signal, or refuses it.
    LeaseScan(NodeIndex),
    /// The same, and the answer is lost.
    LeaseScanUnanswered(NodeIndex),
    /// The supervisor takes the attempt.
    Launch(NodeIndex),
    /// The dispatcher acknowledges its delivery.
    Acknowledge(NodeIndex),

    /// The scanner of an attempt is started.
    Spawn(NodeIndex, ScanIndex),
    /// The scanner of an attempt ends by itself.
    Exit(NodeIndex, ScanIndex),
    /// The scanner of an attempt fails.
    Fail(NodeIndex, ScanIndex),
    /// The node kills a scanner that was started without a lease.
    Kill(NodeIndex),
    /// The progress of an attempt is refused, and the node kills its scanner.
    RefuseProgress(NodeIndex, ScanIndex),
    /// The watchdog kills the scanners of its node.
    WatchdogKills(NodeIndex),
    /// The end of an attempt is written.
    RecordEnd(NodeIndex, ScanIndex),
    /// The node gives up the write of an end.
    Abandon(NodeIndex, ScanIndex),
    /// The node signals a scan that it has changed.
    Announce(NodeIndex, ScanIndex),

    /// The reconciler ends the leases that are over, and finds their running rows.
    Look(NodeIndex),
    /// The reconciler takes over the first row that it has found.
    Rescue(NodeIndex),
    /// The reconciler hands back a row of its node that has no owner.
    HandBack(NodeIndex, ScanIndex),
    /// The reconciler repeats the signal of a row that waits.
    Remind(NodeIndex, ScanIndex),
    /// The queue takes a delivery away from a reader that does not answer.
    Reclaim(NodeIndex, ScanIndex),

    /// The relay leases the entry of a scan.
    LeaseEntry(NodeIndex, ScanIndex),
    /// The consumer accepts the entry.
    Consume(NodeIndex),
    /// The consumer refuses the entry, which is tried again.
    Refuse(NodeIndex),
    /// The entry is marked as accepted. Only a wrong variant has this step.
    Mark(NodeIndex),
    /// The relay removes the entry.
    Settle(NodeIndex),
    /// The event of an end is written. Only a wrong variant has this step.
    WriteEvent(ScanIndex),

    /// The node finds no scan of a nominal time.
    FindNoKey(NodeIndex, Time),
    /// The node submits the scan of the nominal time.
    Fire(NodeIndex),

    /// The node is killed.
    KillNode(NodeIndex),
    /// The node is frozen.
    Freeze(NodeIndex),
    /// The node and its watchdog are frozen.
    FreezeTogether(NodeIndex),
    /// The node, or its watchdog, continues.
    Thaw(NodeIndex),
    /// The watchdog of a frozen node continues.
    ThawWatchdog(NodeIndex),
    /// The node is cut off from the database.
    Cut(NodeIndex),
    /// The node reaches the database again.
    Heal(NodeIndex),
    /// The queue loses everything that it holds.
    LoseQueue,
}

/// The steps that are possible in a state.
#[derive(Debug, Default)]
pub struct Offers {
    /// The steps.
    pub steps: Vec<Step>,
    /// True if one of them must happen before the clock moves on.
    pub is_urgent: bool,
}

impl Offers {
    /// Adds a step that may happen at any time.
    pub(crate) fn may(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Adds a step that must happen before the clock moves on.
    pub(crate) fn must(&mut self, step: Step) {
        self.steps.push(step);
        self.is_urgent = true;
    }

    /// Adds a step that must happen before the clock moves on if `is_urgent`.
    pub(crate) fn add(&mut self, step: Step, is_urgent: bool) {
        self.steps.push(step);
        self.is_urgent |= is_urgent;
    }
}

/// Returns what is possible. The clock moves on when nothing is urgent, so a living part of the
/// system takes less than one unit for each step that it can take.
pub(crate) fn offers(protocol: &Protocol, state: &State) -> Offers {
    let mut offers = Offers::default();
    if is_done(protocol, state) {
        return offers;
    }
    for node in 0..state.nodes.len() {
        renewal::offer(protocol, state, node, &mut offers);
        dispatch::offer(state, node, &mut offers);
        attempt::offer(state, node, &mut offers);
        rescue::offer(protocol, state, node, &mut offers);
        if protocol.bounds.has_outbox {
            outbox::offer(state, node, &mut offers);
        }
        schedule::offer(protocol, state, node, &mut offers);
        fault::offer(protocol, state, node, &mut offers);
    }
    fault::offer_of_queue(state, &mut offers);
    if protocol.bounds.has_outbox {
        outbox::offer_of_database(protocol, state, &mut offers);
    }
    if !offers.is_urgent && state.now < protocol.bounds.horizon {
        offers.steps.push(Step::Tick);
    }
    offers
}

/// Returns true if nothing is left to do. From there on the nodes only renew their leases.
fn is_done(protocol: &Protocol, state: &State) -> bool {
    let is_idle = |node: &Node| {
        node.dispatcher == Dispatcher::Idle
            && node.relay == Relay::Idle
            && node.attempts.is_empty()
            && node.orphans.is_empty()
            && node.to_fire.is_none()
    };
    state.keys.len() == protocol.bounds.nominal_times.len()
        && state.scans.iter().all(Scan::has_ended)
        && state.scanners.is_empty()
        && state.outbox.is_empty()
        && state.nodes.iter().all(is_idle)
}

/// Takes a step.
pub(crate) fn take(protocol: &Protocol, state: &mut State, step: Step) {
    match step {
        Step::Tick => fault::tick(state),
        Step::SendRenewal(node) => renewal::send(state, node),
        Step::AnswerRenewal(node) => renewal::answer(protocol, state, node),
        Step::ReceiveRenewal(node) => renewal::receive(protocol, state, node),
        Step::TimeOutRenewal(node) => state.nodes[node].request = None,
        Step::LoseLease(node) => renewal::lose(state, node),
        Step::Clear(node) => renewal::clear(state, node),
        Step::Deliver(node, scan) => dispatch::deliver(protocol, state, node, scan),
        Step::Release(node) => dispatch::release(state, node, state.now),
        Step::LeaseScan(node) => dispatch::lease(state, node),
        Step::LeaseScanUnanswered(node) => dispatch::lease_unanswered(state, node),
        Step::Launch(node) => dispatch::launch(protocol, state, node),
        Step::Acknowledge(node) => dispatch::acknowledge(state, node),
        Step::Spawn(node, scan) => attempt::spawn(protocol, state, node, scan),
        Step::Exit(node, scan) => attempt::exit(state, node, scan),
        Step::Fail(node, scan) => attempt::fail(state, node, scan),
        Step::Kill(node) | Step::WatchdogKills(node) => attempt::kill(state, node, |_| true),
        Step::RefuseProgress(node, scan) => attempt::kill(state, node, |scanner| scanner.scan == scan),
        Step::RecordEnd(node, scan) => attempt::record(protocol, state, node, scan),
        Step::Abandon(node, scan) => attempt::forget(state, node, scan),
        Step::Announce(node, scan) => attempt::announce(state, node, scan),
        Step::Look(node) => rescue::look(state, node),
        Step::Rescue(node) => rescue::rescue(state, node),
        Step::HandBack(node, scan) => rescue::hand_back(protocol, state, node, scan),
        Step::Remind(_, scan) => rescue::remind(state, scan),
        Step::Reclaim(node, scan) => rescue::reclaim(state, node, scan),
        Step::LeaseEntry(node, scan) => outbox::lease(protocol, state, node, scan),
        Step::Consume(node) => outbox::consume(protocol, state, node),
        Step::Refuse(node) => outbox::refuse(protocol, state, node),
        Step::Mark(node) => outbox::mark(state, node),
        Step::Settle(node) => outbox::settle(state, node),
        Step::WriteEvent(scan) => outbox::write_event(state, scan),
        Step::FindNoKey(node, nominal) => state.nodes[node].to_fire = Some(nominal),
        Step::Fire(node) => schedule::fire(protocol, state, node),
        Step::KillNode(node) => fault::kill_node(state, node),
        Step::Freeze(node) => fault::freeze(state, node),
        Step::FreezeTogether(node) => fault::freeze_together(state, node),
        Step::Thaw(node) => fault::thaw(state, node),
        Step::ThawWatchdog(node) => fault::thaw_watchdog(state, node),
        Step::Cut(node) => fault::cut(state, node),
        Step::Heal(node) => state.nodes[node].cut = None,
        Step::LoseQueue => fault::lose_queue(state),
    }
}
