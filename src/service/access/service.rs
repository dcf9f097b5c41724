//! The service itself: its parts, the decision about an operation, and the audit log.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{
    AccountName, DomainEvent, Operation, Principal, ProjectId, RequestContext, ScanId, ScanRecord,
};
use kastrel_actors::policy::access::{Denial, decide, decide_scan};
use kastrel_actors::policy::second_factor::FactorRule;
use kastrel_actors::ports::{
    AccessStore, ClearanceStore, Clock, DeviceLoginStore, MailStore, PasskeyStore, ProviderIdentityStore,
    PublicLinkStore, ScanRepository, SecondFactorStore, SecretSealer, ShareStore, StoreError, Stores,
};
use tokio::sync::Mutex;

use super::AccountError;
use super::identity_cache::IdentityCache;
use super::mails::Mails;
use super::provider::Provider;
use crate::identity::openings::RecordedOpenings;
use crate::identity::passkey::{NoPasskeys, RelyingParty};
use crate::identity::password::PasswordHasher;
use crate::identity::throttle::LoginThrottle;

/// The limits of sessions and links, and the rule for second factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessSettings {
    /// A session ends when it was not used for this long. Its use is noted once a minute, so the
    /// limit must be longer than that.
    pub session_idle: Duration,
    /// A session ends this long after its sign-in, whatever its use.
    pub session_lifetime: Duration,
    /// How long a one-time link is valid.
    pub link_lifetime: Duration,
    /// Which accounts must have a second factor.
    pub second_factor: FactorRule,
    /// How many password hashes are computed at once. Each takes 19 MiB.
    pub parallel_hashes: usize,
}

impl Default for AccessSettings {
    fn default() -> Self {
        Self {
            session_idle: Duration::from_hours(12),
            session_lifetime: Duration::from_hours(7 * 24),
            link_lifetime: Duration::from_hours(24),
            second_factor: FactorRule::Off,
            parallel_hashes: 2,
        }
    }
}

/// The access service. Clones share everything.
#[derive(Clone)]
pub struct AccessService {
    pub(super) store: Arc<dyn AccessStore>,
    pub(super) clearances: Arc<dyn ClearanceStore>,
    pub(super) factors: Arc<dyn SecondFactorStore>,
    pub(super) mail: Arc<dyn MailStore>,
    pub(super) passkeys: Arc<dyn PasskeyStore>,
    /// To whom the passkeys belong, or why this server accepts none.
    pub(super) relying_party: Result<Arc<RelyingParty>, NoPasskeys>,
    pub(super) identities: Arc<dyn ProviderIdentityStore>,
    pub(super) public_links: Arc<dyn PublicLinkStore>,
    pub(super) device_logins: Arc<dyn DeviceLoginStore>,
    pub(super) shares: Arc<dyn ShareStore>,
    /// The scans of public links and shares.
    pub(super) scans: Arc<dyn ScanRepository>,
    /// Seals the secrets of second factors. All servers of one database have the same key.
    pub(super) sealer: Arc<dyn SecretSealer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: AccessSettings,
    pub(super) hasher: PasswordHasher,
    pub(super) throttle: Arc<LoginThrottle>,
    /// Which openings of public links are in the audit log.
    pub(super) openings: Arc<RecordedOpenings>,
    /// Which downloads with public links are in the audit log.
    pub(super) link_downloads: Arc<RecordedOpenings>,
    /// Held while a visit of a public link is recorded, so that parallel requests have one entry.
    pub(super) records_visit: Arc<Mutex<()>>,
    /// Throttles the codes of device logins. No name that is typed at the sign-in counts here.
    pub(super) device_throttle: Arc<LoginThrottle>,
    /// Held while a device login is created, so that parallel requests cannot exceed the limits.
    pub(super) creates_device_login: Arc<Mutex<()>>,
    pub(super) cache: Arc<IdentityCache>,
    /// The sender of mails; `None` if the server sends none.
    pub(super) mails: Option<Arc<Mails>>,
    /// The identity provider; `None` if people sign in with passwords alone.
    pub(super) provider: Option<Arc<Provider>>,
}

impl AccessService {
    /// Creates the service.
    #[must_use]
    pub fn new(
        stores: &Stores,
        clock: Arc<dyn Clock>,
        sealer: Arc<dyn SecretSealer>,
        settings: AccessSettings,
    ) -> Self {
        Self {
            store: Arc::clone(&stores.access),
            clearances: Arc::clone(&stores.clearances),
            factors: Arc::clone(&stores.second_factors),
            mail: Arc::clone(&stores.mail),
            passkeys: Arc::clone(&stores.passkeys),
            relying_party: Err(NoPasskeys::NoAddress),
            identities: Arc::clone(&stores.identities),
            public_links: Arc::clone(&stores.public_links),
            device_logins: Arc::clone(&stores.device_logins),
            shares: Arc::clone(&stores.shares),
            scans: Arc::clone(&stores.scans),
            sealer,
            clock,
            settings,
            hasher: PasswordHasher::new(settings.parallel_hashes),
            throttle: Arc::default(),
            openings: Arc::default(),
            link_downloads: Arc::default(),
            records_visit: Arc::default(),
            device_throttle: Arc::default(),
            creates_device_login: Arc::default(),
            cache: Arc::default(),
            mails: None,
            provider: None,
        }
    }

    /// Accepts passkeys of this relying party, or says why the server accepts none.
    #[must_use]
    pub fn with_passkeys(self, party: Result<RelyingParty, NoPasskeys>) -> Self {
        Self { relying_party: party.map(Arc::new), ..self }
    }

    /// Returns how long a one-time link is valid.
    #[must_use]
    pub const fn link_lifetime(&self) -> Duration {
        self.settings.link_lifetime
    }

    /// Writes an entry of the audit log for something that changed no row. A failure of the store
    /// is logged.
    pub async fn record(&self, context: &RequestContext, event: DomainEvent, scan: Option<ScanId>) {
        self.record_by(&context.principal, event, scan).await;
    }

    /// Writes the denial of an operation to the audit log. That of a client without an account has
    /// no entry: nobody could tell whose it is.
    pub async fn record_denial(&self, context: &RequestContext, operation: impl Into<String>) {
        if context.principal.account().is_some() {
            let event = DomainEvent::AccessDenied { operation: operation.into(), project: None };
            self.record(context, event, None).await;
        }
    }

    /// Writes the entry of a download or an export to the audit log, before anything is handed out.
    ///
    /// # Errors
    /// The store failed to write the entry. The download must be refused then.
    pub async fn record_download(
        &self,
        context: &RequestContext,
        event: DomainEvent,
        scan: Option<ScanId>,
    ) -> Result<(), StoreError> {
        self.store.record(event, scan, &context.principal).await
    }

    pub(super) async fn record_by(&self, by: &Principal, event: DomainEvent, scan: Option<ScanId>) {
        let action = event.action();
        if let Err(error) = self.store.record(event, scan, by).await {
            tracing::error!(
                action,
                principal = %by,
                error = &error as &dyn std::error::Error,
                "an entry of the audit log could not be written"
            );
        }
    }

    /// Deletes the sessions that ended, and what expired: tokens, links, public links, shares,
    /// pending sign-ins, sign-ins that wait for the identity provider, device logins, waiting mail
    /// addresses and used challenges. Returns how many sessions there were.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn delete_expired(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let idle = SignedDuration::try_from(self.settings.session_idle).unwrap_or(SignedDuration::MAX);
        let idle_since = now.saturating_sub(idle).unwrap_or(Timestamp::MIN);
        self.store.delete_expired(now, idle_since).await
    }

    /// Decides whether the caller may do an operation. A lacking right of a known principal is
    /// recorded; what it may not see is not.
    pub(super) async fn allow(
        &self,
        context: &RequestContext,
        operation: Operation,
        project: Option<&ProjectId>,
    ) -> Result<(), AccountError> {
        self.recorded(context, operation, project, decide(&context.grants, operation, project)).await
    }

    /// The same for an operation on a scan.
    pub(super) async fn allow_scan(
        &self,
        context: &RequestContext,
        operation: Operation,
        scan: &ScanRecord,
    ) -> Result<(), AccountError> {
        self.recorded(context, operation, Some(&scan.project), decide_scan(&context.grants, operation, scan)).await
    }

    /// Records the lack of a right.
    async fn recorded(
        &self,
        context: &RequestContext,
        operation: Operation,
        project: Option<&ProjectId>,
        decision: Result<(), Denial>,
    ) -> Result<(), AccountError> {
        if let Err(Denial::Lacks { .. }) = decision
            && context.principal.account().is_some()
        {
            let event = DomainEvent::AccessDenied { operation: operation.to_string(), project: project.cloned() };
            self.record(context, event, None).await;
        }
        decision.map_err(AccountError::Denied)
    }

    /// Decides about an operation on an account, which everybody may do on the own account.
    pub(super) async fn allow_own(
        &self,
        context: &RequestContext,
        account: &AccountName,
        operation: Operation,
    ) -> Result<(), AccountError> {
        if context.principal.account() == Some(account) { Ok(()) } else { self.allow(context, operation, None).await }
    }
}

impl std::fmt::Debug for AccessService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessService").finish_non_exhaustive()
    }
}

/// Returns the time this long after `at`.
pub(super) fn after(at: Timestamp, time: Duration) -> Timestamp {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    at.saturating_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kastrel_actors::model::{AuditQuery, Grants, ProjectRole};
    use kastrel_actors::ports::AuditLog as _;
    use kastrel_actors::testing::{Fault, Faults, MemoryStore, PausedClock, TestSealer, fixtures};

    use super::super::testing::{Fixture, anonymous, project};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn denial_of_an_account_is_recorded_with_its_operation_and_project() {
        let all = Fixture::new();
        let ana = all.user("ana", &[("default", ProjectRole::Viewer)]).await;
        let context = all.context(&ana).await;
        all.service.allow(&context, Operation::ReadScans, Some(&project("default"))).await.unwrap();
        let before = all.audit().await.len();
        all.service.allow(&context, Operation::DeleteScans, Some(&project("other"))).await.unwrap_err();
        assert_eq!(all.audit().await.len(), before, "what is not visible is not recorded");
        all.service.allow(&context, Operation::DeleteScans, Some(&project("default"))).await.unwrap_err();
        let denied = DomainEvent::AccessDenied { operation: "delete_scans".into(), project: Some(project("default")) };
        assert_eq!(all.audit().await[before..], [(context.principal, denied)]);
        let nobody = anonymous(Grants::new(None, BTreeMap::from([(project("default"), ProjectRole::Viewer)])));
        all.service.allow(&nobody, Operation::DeleteScans, Some(&project("default"))).await.unwrap_err();
        assert_eq!(all.audit().await.len(), before + 1, "a client without an account is not recorded");
    }

    #[tokio::test(start_paused = true)]
    async fn entry_is_recorded_for_the_caller_and_a_failure_of_the_store_is_no_error() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let context = all.context(&ana).await;
        all.service.record(&context, DomainEvent::ScansExported, Some(ScanId(7))).await;
        assert_eq!(all.audit().await.last(), Some(&(Principal::User(ana), DomainEvent::ScansExported)));

        let clock = Arc::new(PausedClock::default());
        let store = Arc::new(MemoryStore::new(Arc::<PausedClock>::clone(&clock)));
        let failing = Stores::of(&store).hooked(&Faults::new(|| Fault::Unreachable));
        let service = AccessService::new(&failing, clock, Arc::new(TestSealer), AccessSettings::default());
        service.record(&fixtures::context(), DomainEvent::ScansExported, None).await;
        let download = service.record_download(&fixtures::context(), DomainEvent::ScansExported, None).await;
        assert!(download.is_err(), "a download without an entry is refused");
    }

    #[tokio::test]
    async fn download_is_recorded_with_its_scan_for_the_caller() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let context = all.context(&ana).await;
        all.service.record_download(&context, DomainEvent::FilesDownloaded, Some(ScanId(7))).await.unwrap();
        assert_eq!(all.audit().await.last(), Some(&(Principal::User(ana), DomainEvent::FilesDownloaded)));
        let of_scan = all.store.audit(&AuditQuery::of_scan(ScanId(7), 9)).await.unwrap();
        assert_eq!(of_scan.entries.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_ended_are_deleted() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        all.session(&ana).await;
        tokio::time::advance(all.service.settings.session_idle).await;
        all.session(&ana).await;
        assert_eq!(all.service.delete_expired().await.unwrap(), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(all.service.delete_expired().await.unwrap(), 1);
        assert_eq!(all.store.sessions(&ana).await.unwrap().len(), 1);
    }
}
