//! The backends of the commands: the scans of this process, or of a server.

mod access;
mod audit;
mod backup;
mod clearances;
mod cluster;
mod device;
mod error;
mod events;
mod identities;
mod links;
mod local;
pub mod locate;
mod problem;
mod remote;
mod scans;
mod shares;
mod sse;

pub use access::AccessBackend;
pub use audit::AuditLines;
pub use clearances::ClearanceBackend;
pub use cluster::{Backend, ClusterBackend};
pub use device::DeviceAnswer;
pub use error::{BackendError, SentCredential};
pub use events::EventBackend;
pub use identities::IdentityBackend;
pub use links::LinkBackend;
pub(crate) use local::context;
pub use local::{LocalBackend, PluginSource};
pub use remote::{Holder, RemoteBackend};
pub use scans::{CancelAnswer, ListAnswer, ListFilter, PluginList, ScanBackend, SubmitAnswer, Views};
pub use shares::ShareBackend;
