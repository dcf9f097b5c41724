//! The ports: traits for everything outside this crate. The doc comment of each trait is its
//! contract; the module `testing` holds conformance suites for them.

mod clock;
mod control_bus;
mod event_consumer;
mod job_queue;
mod lease_guard;
mod live_feed;
mod local_job_queue;
mod node_health;
mod scan_runner;
mod seal_signer;
pub mod secret_sealer;
pub mod store;

pub use clock::{Clock, SystemClock};
pub use control_bus::{Control, ControlBus, FOLLOWED_FOR, LocalControlBus};
pub use event_consumer::{DeliveryError, EventConsumer};
pub use job_queue::{Delivery, JobQueue, JobSignal, QueueError, Receipt};
pub use lease_guard::{LeaseGuard, NoLeaseGuard};
pub use live_feed::{LiveFeed, NoLiveFeed};
pub use local_job_queue::LocalJobQueue;
pub use node_health::{AlwaysHealthy, CheckDepth, NodeHealth};
pub use scan_runner::{
    AliveGuard, AliveWatch, AttemptControl, AttemptEvent, AttemptJob, EventSink, ScanRunner, StartError, StopMode,
};
pub use seal_signer::SealSigner;
pub use secret_sealer::{NoSealer, SealError, SecretSealer};
pub use store::{
    AccessStore, Applied, AuditChain, AuditLog, CallHook, ClearanceStore, Coordination, DeviceLoginStore,
    DispatchStore, FindingStore, MailStore, NodeRegistry, Outbox, PasskeyStore, ProviderIdentityStore, PublicLinkStore,
    QueueControl, ScanQueries, ScanRepository, SecondFactorStore, ShareStore, StoreError, StoreHealth, Stores,
};
