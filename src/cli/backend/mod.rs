//! The backends of the commands: the scans of this process, or of a server.

mod backup;
mod cluster;
mod error;
mod events;
mod local;
pub mod locate;
mod problem;
mod remote;
mod scans;
mod sse;

pub use cluster::{Backend, BlockerView, ClusterBackend, FaultView, HeldView, NodeView, QueueView};
pub use error::BackendError;
pub use events::{AuditView, DeadLetterView, EventBackend};
pub(crate) use local::context;
pub use local::{LocalBackend, PluginSource};
pub use problem::ProblemDetails;
pub use remote::{Holder, Readiness, ReadinessCheck, RemoteBackend};
pub use scans::{CancelAnswer, ListAnswer, ListFilter, PluginList, ScanBackend, SubmitAnswer, Views};
