//! The reconciler: finds scans without an owner and pending rows without a signal.
//!
//! - **Owns** one reconciliation at a time.
//! - **Messages**: none. It works at an interval, and at once when the node has a lease again.
//! - **What it handles**: scans of nodes whose lease has ended (taken over with a new token); rows
//!   that run on this node without an owner (requeued); due rows that may have no signal (signalled
//!   again). A takeover depends on the lease, never on age. The nodes of a cluster take turns to
//!   reconcile all scans ([`Coordination::claim_turn`](crate::ports::Coordination::claim_turn)). Each
//!   node reconciles its own rows, and those of earlier runs on its data folder, which are known to
//!   be dead. The result of an attempt whose end no process observed, because its node died or the
//!   store was unavailable, is kept if its files are on this machine and complete
//!   ([`crate::policy::adoption`]).
//! - **When the store does not respond**, it retries later, and at once when the node has a lease
//!   again. **On shutdown** it just stops.
//! - **It never** changes a scan whose node has a valid lease, except those of its own node and of
//!   its dead predecessors.

mod actor;

pub(crate) use actor::Reconciler;
