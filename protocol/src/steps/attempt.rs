//! An attempt: its scanner, the ways in which the scanner ends, and the write of the end.

use super::{Offers, Step, outbox};
use crate::bounds::MAX_ATTEMPTS;
use crate::protocol::Protocol;
use crate::state::{
    Attempt, End, Lease, Life, NodeIndex, RowState, Scan, ScanIndex, Scanner, Stage, State, Time, Token, Window,
};
use crate::variant::Variant;

pub(super) fn offer(state: &State, index: NodeIndex, offers: &mut Offers) {
    let (node, now) = (&state.nodes[index], state.now);
    for scanner in state.scanners_of(index) {
        // Nothing of its node is needed for it to end.
        offers.add(Step::Exit(index, scanner.scan), now >= scanner.ends_by);
        if state.left.failures > 0 {
            offers.may(Step::Fail(index, scanner.scan));
        }
        let is_stale = !owns(&state.scans[scanner.scan], index, scanner.token);
        if node.is_connected() && is_stale {
            offers.must(Step::RefuseProgress(index, scanner.scan));
        }
    }
    let has_scanners = state.scanners_of(index).next().is_some();
    if node.is_up() && node.lease == Lease::Clearing && has_scanners {
        offers.must(Step::Kill(index));
    }
    let is_over = node.life == Life::Gone || node.watchdog.until.is_some_and(|until| now >= until);
    if node.watchdog.life == Life::Up && is_over && has_scanners {
        offers.must(Step::WatchdogKills(index));
    }
    if !node.is_up() {
        return;
    }
    for attempt in &node.attempts {
        match attempt.stage {
            Stage::Starting { .. } => offers.must(Step::Spawn(index, attempt.scan)),
            Stage::Running => {}
            Stage::Recording(_) if node.cut.is_none() => offers.must(Step::RecordEnd(index, attempt.scan)),
            Stage::Recording(_) if node.lease == Lease::Clearing => offers.must(Step::Abandon(index, attempt.scan)),
            Stage::Recording(_) => {}
        }
    }
    for scan in &node.to_announce {
        offers.must(Step::Announce(index, *scan));
    }
}

/// Returns true if the row of the scan runs under this token on this node.
pub(super) fn owns(scan: &Scan, node: NodeIndex, token: Token) -> bool {
    scan.token == token && matches!(scan.row, RowState::Running { node: of, .. } if of == node)
}

/// Starts the scanner. Between the lease of the row, the look at the node's lease and the start
/// there are the known windows of late and stale launches.
pub(super) fn spawn(protocol: &Protocol, state: &mut State, index: NodeIndex, scan: ScanIndex) {
    let now = state.now;
    let node = &mut state.nodes[index];
    let relies = node.relies_on_lease(now);
    let Some(attempt) = node.attempts.iter_mut().find(|attempt| attempt.scan == scan) else { return };
    let Stage::Starting { is_checked, is_outdated } = attempt.stage else { return };
    attempt.stage = Stage::Running;
    let window = match (is_checked, relies) {
        (true, false) => Some(Window::LateLaunch),
        (true, true) if is_outdated => Some(Window::StaleLaunch),
        _ => None,
    };
    let ends_by = now + protocol.bounds.longest_run;
    state.scanners.push(Scanner { scan, token: attempt.token, node: index, ends_by, window });
    state.scanners.sort_unstable_by_key(|scanner| (scanner.node, scanner.scan));
}

pub(super) fn exit(state: &mut State, index: NodeIndex, scan: ScanIndex) {
    end_scanners(state, index, End::Completed, |scanner| scanner.scan == scan);
}

pub(super) fn fail(state: &mut State, index: NodeIndex, scan: ScanIndex) {
    state.left.failures -= 1;
    end_scanners(state, index, End::Failed, |scanner| scanner.scan == scan);
}

/// Kills scanners of a node. An attempt that ends in this way counts for nothing.
pub(super) fn kill(state: &mut State, index: NodeIndex, which: impl Fn(&Scanner) -> bool) {
    end_scanners(state, index, End::Interrupted, which);
}

fn end_scanners(state: &mut State, index: NodeIndex, end: End, which: impl Fn(&Scanner) -> bool) {
    let State { scanners, nodes, .. } = state;
    scanners.retain(|scanner| {
        let ends = scanner.node == index && which(scanner);
        if ends {
            let running = |attempt: &&mut Attempt| attempt.scan == scanner.scan && attempt.token == scanner.token;
            // A node that is gone knows nothing of it.
            if let Some(attempt) = nodes[index].attempts.iter_mut().find(running) {
                attempt.stage = Stage::Recording(end);
            }
        }
        !ends
    });
}

/// Writes the end, and leaves the signal of the row to the next step.
pub(super) fn record(protocol: &Protocol, state: &mut State, index: NodeIndex, scan: ScanIndex) {
    let Some(attempt) = state.nodes[index].attempts.iter().find(|attempt| attempt.scan == scan).copied() else {
        return;
    };
    let Stage::Recording(end) = attempt.stage else { return };
    forget(state, index, scan);
    finish(protocol, state, scan, attempt.token, end);
    to_announce(state, index, scan);
}

/// One transaction: the row must run under the token. The end of the scan and its event are written
/// together.
pub(super) fn finish(protocol: &Protocol, state: &mut State, scan: ScanIndex, token: Token, end: End) {
    let now = state.now;
    let row = &mut state.scans[scan];
    if !matches!(row.row, RowState::Running { .. }) {
        return;
    }
    if row.token != token {
        if protocol.variant != Variant::NoTokenCheck {
            return;
        }
        row.stale_writes += 1;
    }
    match end {
        End::Completed => {
            row.row = RowState::Completed;
            row.ends += 1;
        }
        End::Interrupted => wait(row, now),
        End::Failed => fail_row(row, now + protocol.timing.backoff),
    }
    if row.has_ended() && protocol.bounds.has_outbox && protocol.variant != Variant::EventAfterCommit {
        outbox::write_event(state, scan);
    }
}

/// Counts a failed attempt of a row. It is retried while attempts are left.
pub(super) fn fail_row(row: &mut Scan, due: Time) {
    row.failures += 1;
    if row.failures < MAX_ATTEMPTS {
        wait(row, due);
    } else {
        row.row = RowState::Failed;
        row.ends += 1;
    }
}

fn wait(row: &mut Scan, due: Time) {
    row.row = RowState::Pending { due };
    row.is_unsignalled = true;
}

/// Notes that a node has to signal the scan if it waits.
pub(super) fn to_announce(state: &mut State, index: NodeIndex, scan: ScanIndex) {
    let to_announce = &mut state.nodes[index].to_announce;
    if matches!(state.scans[scan].row, RowState::Pending { .. }) && !to_announce.contains(&scan) {
        to_announce.push(scan);
        to_announce.sort_unstable();
    }
}

pub(super) fn announce(state: &mut State, index: NodeIndex, scan: ScanIndex) {
    state.nodes[index].to_announce.retain(|one| *one != scan);
    let due = match state.scans[scan].row {
        RowState::Pending { due } => due,
        // Another node was faster; a signal for nothing does no harm.
        _ => state.now,
    };
    state.scans[scan].signal(due);
}

pub(super) fn forget(state: &mut State, index: NodeIndex, scan: ScanIndex) {
    state.nodes[index].attempts.retain(|attempt| attempt.scan != scan);
}
