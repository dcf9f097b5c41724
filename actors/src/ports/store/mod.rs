//! The store of scans, nodes and accounts, one port per entity. An adapter implements the ports
//! directly; a new method needs its port, which also passes it through the decorator
//! [`Hooked`](hooked), the adapter, `testing::MemoryStore` and a case in the port's conformance
//! suite.

mod access;
mod chain;
mod clearances;
mod device_logins;
mod dispatch;
mod error;
mod findings;
mod health;
pub mod hooked;
mod mail;
mod nodes;
mod outbox;
mod passkeys;
mod provider_identities;
mod public_links;
mod queries;
mod queue;
mod scans;
mod second_factors;
mod shares;
mod stores;
mod turns;

/// The methods of all store ports, for callers that hold an adapter.
pub mod prelude {
    pub use super::{
        AccessStore as _, AuditChain as _, AuditLog as _, ClearanceStore as _, Coordination as _,
        DeviceLoginStore as _, DispatchStore as _, FindingStore as _, MailStore as _, NodeRegistry as _, Outbox as _,
        PasskeyStore as _, ProviderIdentityStore as _, PublicLinkStore as _, QueueControl as _, ScanQueries as _,
        ScanRepository as _, SecondFactorStore as _, ShareStore as _, StoreHealth as _,
    };
}

pub use access::AccessStore;
pub use chain::AuditChain;
pub use clearances::ClearanceStore;
pub use device_logins::DeviceLoginStore;
pub use dispatch::DispatchStore;
pub use error::StoreError;
pub use findings::FindingStore;
pub use health::StoreHealth;
pub use hooked::CallHook;
pub use mail::MailStore;
pub use nodes::NodeRegistry;
pub use outbox::{AuditLog, Outbox};
pub use passkeys::PasskeyStore;
pub use provider_identities::ProviderIdentityStore;
pub use public_links::PublicLinkStore;
pub use queries::ScanQueries;
pub use queue::QueueControl;
pub use scans::{Applied, ScanRepository};
pub use second_factors::SecondFactorStore;
pub use shares::ShareStore;
pub use stores::Stores;
pub use turns::Coordination;
