//! The reconciler: finds what nobody cares for.
//!
//! - **Owns** one look-around at a time.
//! - **Messages** come from its own timer and task.
//! - **What it looks for**: scans of nodes whose lease has ended (taken over with a new token);
//!   rows that run on this node without anybody running them (handed back); rows that are due and
//!   that no signal may exist for (signalled again). Rescue goes by lease, never by age. The nodes
//!   of a cluster take turns in looking at all scans
//!   ([`ScanStore::claim_turn`](crate::ports::ScanStore::claim_turn)); each looks after its own
//!   rows, and after those of earlier runs on its data folder, which are known to be dead. An
//!   attempt that came to its end unseen, because its node died or the store was away, is not lost
//!   where its files are here and whole ([`crate::policy::adoption`]): its result is kept.
//! - **When the store does not answer**, it looks again later, and at once when the node has a
//!   lease again; **on shutdown** it just stops.
//! - **It never** touches a scan whose node has a good lease, except its own node's and those of
//!   its dead predecessors.

mod actor;
mod message;

pub(crate) use actor::Reconciler;
