//! The store ports of a process in one value.

use std::sync::Arc;

use super::hooked::{CallHook, Hooked};
use super::{
    AccessStore, AuditChain, AuditLog, ClearanceStore, Coordination, DeviceLoginStore, DispatchStore, FindingStore,
    MailStore, NodeRegistry, Outbox, PasskeyStore, ProviderIdentityStore, PublicLinkStore, QueueControl, ScanQueries,
    ScanRepository, SecondFactorStore, ShareStore, StoreHealth,
};

/// The store ports. One adapter implements all of them; a caller takes only the port that it needs.
/// The store is the source of truth.
#[derive(Clone)]
pub struct Stores {
    /// The rows of scans.
    pub scans: Arc<dyn ScanRepository>,
    /// The queries of pages.
    pub queries: Arc<dyn ScanQueries>,
    /// The rows that wait or run.
    pub dispatch: Arc<dyn DispatchStore>,
    /// The nodes and their leases.
    pub nodes: Arc<dyn NodeRegistry>,
    /// The pause of the queue.
    pub queue: Arc<dyn QueueControl>,
    /// Turns of nodes.
    pub turns: Arc<dyn Coordination>,
    /// The events that wait for their consumers.
    pub outbox: Arc<dyn Outbox>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The seals of the audit log.
    pub chain: Arc<dyn AuditChain>,
    /// Accounts, projects and credentials.
    pub access: Arc<dyn AccessStore>,
    /// The clearances of targets.
    pub clearances: Arc<dyn ClearanceStore>,
    /// Second factors and the sign-ins that wait for them.
    pub second_factors: Arc<dyn SecondFactorStore>,
    /// The mail addresses of accounts.
    pub mail: Arc<dyn MailStore>,
    /// The passkeys of accounts.
    pub passkeys: Arc<dyn PasskeyStore>,
    /// The identities of an identity provider, and the sign-ins that wait for it.
    pub identities: Arc<dyn ProviderIdentityStore>,
    /// The public links of scans.
    pub public_links: Arc<dyn PublicLinkStore>,
    /// Device logins.
    pub device_logins: Arc<dyn DeviceLoginStore>,
    /// The shares of scans.
    pub shares: Arc<dyn ShareStore>,
    /// Targets and findings.
    pub findings: Arc<dyn FindingStore>,
    /// The health of the store.
    pub health: Arc<dyn StoreHealth>,
}

impl Stores {
    /// Uses `store` for all ports.
    #[must_use]
    pub fn of<S>(store: &Arc<S>) -> Self
    where
        S: ScanRepository
            + ScanQueries
            + DispatchStore
            + NodeRegistry
            + QueueControl
            + Coordination
            + Outbox
            + AuditLog
            + AuditChain
            + AccessStore
            + ClearanceStore
            + SecondFactorStore
            + MailStore
            + PasskeyStore
            + ProviderIdentityStore
            + PublicLinkStore
            + DeviceLoginStore
            + ShareStore
            + FindingStore
            + StoreHealth,
    {
        Self {
            scans: Arc::<S>::clone(store),
            queries: Arc::<S>::clone(store),
            dispatch: Arc::<S>::clone(store),
            nodes: Arc::<S>::clone(store),
            queue: Arc::<S>::clone(store),
            turns: Arc::<S>::clone(store),
            outbox: Arc::<S>::clone(store),
            audit: Arc::<S>::clone(store),
            chain: Arc::<S>::clone(store),
            access: Arc::<S>::clone(store),
            clearances: Arc::<S>::clone(store),
            second_factors: Arc::<S>::clone(store),
            mail: Arc::<S>::clone(store),
            passkeys: Arc::<S>::clone(store),
            identities: Arc::<S>::clone(store),
            public_links: Arc::<S>::clone(store),
            device_logins: Arc::<S>::clone(store),
            shares: Arc::<S>::clone(store),
            findings: Arc::<S>::clone(store),
            health: Arc::<S>::clone(store),
        }
    }

    /// Returns the same ports with `hook` around each call.
    #[must_use]
    pub fn hooked<H: CallHook>(self, hook: &Arc<H>) -> Self {
        Self {
            scans: Arc::new(Hooked::new(self.scans, hook)),
            queries: Arc::new(Hooked::new(self.queries, hook)),
            dispatch: Arc::new(Hooked::new(self.dispatch, hook)),
            nodes: Arc::new(Hooked::new(self.nodes, hook)),
            queue: Arc::new(Hooked::new(self.queue, hook)),
            turns: Arc::new(Hooked::new(self.turns, hook)),
            outbox: Arc::new(Hooked::new(self.outbox, hook)),
            audit: Arc::new(Hooked::new(self.audit, hook)),
            chain: Arc::new(Hooked::new(self.chain, hook)),
            access: Arc::new(Hooked::new(self.access, hook)),
            clearances: Arc::new(Hooked::new(self.clearances, hook)),
            second_factors: Arc::new(Hooked::new(self.second_factors, hook)),
            mail: Arc::new(Hooked::new(self.mail, hook)),
            passkeys: Arc::new(Hooked::new(self.passkeys, hook)),
            identities: Arc::new(Hooked::new(self.identities, hook)),
            public_links: Arc::new(Hooked::new(self.public_links, hook)),
            device_logins: Arc::new(Hooked::new(self.device_logins, hook)),
            shares: Arc::new(Hooked::new(self.shares, hook)),
            findings: Arc::new(Hooked::new(self.findings, hook)),
            health: Arc::new(Hooked::new(self.health, hook)),
        }
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").finish_non_exhaustive()
    }
}
