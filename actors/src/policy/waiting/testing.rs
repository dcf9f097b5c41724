//! Nodes and holds for the tests of this folder.

use jiff::Timestamp;

use crate::model::{FaultKind, HeldBack, NodeFault, NodeRecord, NodeRegistration, ScannerKind};
use crate::testing::fixtures;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn node(is_alive: bool, draining: bool, plugins: &[&str]) -> NodeRecord {
    let registration =
        NodeRegistration { offer: Some(fixtures::offer(ScannerKind::Kast, plugins)), ..fixtures::registration("a") };
    NodeRecord {
        registration,
        expires_at: Timestamp::UNIX_EPOCH,
        is_alive,
        drain_by: draining.then_some(Timestamp::UNIX_EPOCH),
    }
}

pub(super) fn held(until: i64) -> HeldBack {
    let faults = vec![NodeFault::new(FaultKind::ResultsFolder, "the folder /r is missing", "mount it")];
    HeldBack { since: at(1), until: at(until), faults }
}
