//! What is true right now, in memory: the snapshots of scans, the change log, the status of the
//! node, the state of the queue and of the other nodes. Actors and services write here; nothing
//! here decides or reaches the store.

mod change_log;
mod holds;
mod live_attempt;
mod node_status;
mod offered;
mod queue_gate;
mod queue_state;
mod reads;
mod snapshot_cache;

pub use change_log::{ChangeLog, Changed};
pub use holds::{HeldNode, Holds};
pub(crate) use live_attempt::LiveAttempt;
pub use node_status::NodeStatus;
pub use offered::Offered;
pub use queue_gate::Client;
pub(crate) use queue_gate::{Place, QueueGate};
pub use queue_state::QueueState;
pub(crate) use queue_state::{Known, places};
pub(crate) use reads::Reads;
pub use snapshot_cache::SnapshotCache;
