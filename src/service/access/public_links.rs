//! Public links of scans: each opens one scan without an account, until it expires or is revoked.
//! A link may have a password. Who entered it has a cookie whose value follows from the secret of
//! the link and the hash of its password, so it ends with the link.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use kastrel_actors::model::{
    DomainEvent, FieldError, Grants, Operation, Principal, ProjectRole, PublicLink, PublicLinkId, RequestContext,
    ScanId, ScanRecord, ScanStatus, TraceContext,
};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::fields::optional_label;
use super::{AccessService, AccountError, LinkPasswordError, ListedLink};
use crate::identity::password::{Password, Verified};
use crate::identity::secret::{RandomSecret, is_same, random_id};

/// The validity of a link, in days.
const DEFAULT_DAYS: u32 = 7;
const MOST_DAYS: u32 = 365;

/// A public link to create.
#[derive(Debug, Default)]
pub struct PublicLinkRequest {
    /// What it is for: up to 100 characters.
    pub label: String,
    /// The days until it expires: 1 to 365, 7 if not given.
    pub days: Option<u32>,
    /// A password of 12 to 256 characters that visitors must enter.
    pub password: Option<Password>,
}

/// What a public link gives to a visitor.
#[derive(Debug)]
pub enum LinkAccess {
    /// The scan.
    Open(Box<LinkVisit>),
    /// Nothing before the password is entered.
    PasswordNeeded,
}

/// A visitor who may see the scan of a public link.
#[derive(Debug)]
pub struct LinkVisit {
    /// The link.
    pub link: PublicLink,
    /// The context of the visitor. Its rights are those of a viewer in the project of the scan:
    /// show nothing but the scan of the link with it.
    pub context: RequestContext,
}

/// What a browser sends in place of the password of a public link, once it was entered.
#[derive(Debug)]
pub struct LinkPass {
    /// The value of the cookie.
    pub secret: RandomSecret,
    /// How long it is valid.
    pub max_age: Duration,
}

impl AccessService {
    /// Returns the public links of a scan, newest first; expired ones until they are deleted.
    ///
    /// # Errors
    /// The caller may not see the scan or it does not exist, the caller lacks
    /// [`Operation::ShareScans`], or a failure of the store.
    pub async fn public_links(&self, context: &RequestContext, scan: ScanId) -> Result<Vec<ListedLink>, AccountError> {
        let record = self.shareable(context, scan).await?;
        let links = self.public_links.public_links(scan).await?;
        Ok(self.listed(links, &record.project).await?)
    }

    /// Creates a public link of a scan that runs or has ended, and returns its secret.
    ///
    /// # Errors
    /// The caller may not see the scan or it does not exist, the caller lacks
    /// [`Operation::ShareScans`], a failure of the store, or fields are invalid: `scan` (it is
    /// queued), `label`, `days`, `password`.
    pub async fn create_public_link(
        &self,
        context: &RequestContext,
        scan: ScanId,
        request: PublicLinkRequest,
    ) -> Result<(RandomSecret, PublicLink), AccountError> {
        let record = self.shareable(context, scan).await?;
        let PublicLinkRequest { label: text, days, password } = request;
        let mut errors = Vec::new();
        if record.status() == ScanStatus::Pending {
            errors.push(FieldError::new("scan", "the scan is queued; create the link when it runs or has ended"));
        }
        let label = optional_label("label", &text, &mut errors);
        let days = days.unwrap_or(DEFAULT_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            errors.push(FieldError::new("days", format!("expected a number from 1 to {MOST_DAYS}")));
        }
        let fault = password.as_ref().and_then(|password| password.check_length().err());
        errors.extend(fault.map(|fault| FieldError::new("password", fault.to_string())));
        if !errors.is_empty() {
            return Err(AccountError::Invalid(errors));
        }
        let password_hash = match &password {
            Some(password) => Some(self.hasher.hash(password).await.as_str().to_owned()),
            None => None,
        };
        let secret = RandomSecret::generate();
        // A link is never older than its scan, also if the clocks of two servers differ.
        let created_at = self.clock.now().max(record.created_at);
        let link = PublicLink {
            id: new_id(),
            key: secret.digest(),
            scan,
            label,
            created_by: context.principal.clone(),
            created_at,
            expires_at: created_at + SignedDuration::from_hours(24 * i64::from(days)),
            password_hash,
            opened: 0,
            opened_at: None,
        };
        if self.public_links.create_public_link(link.clone(), &record.project).await? {
            Ok((secret, link))
        } else {
            Err(AccountError::Denied(Denial::NotVisible))
        }
    }

    /// Revokes a public link of a scan, at once on all servers. Returns `false` if the scan has no
    /// such link.
    ///
    /// # Errors
    /// The caller may not see the scan or it does not exist, the caller lacks
    /// [`Operation::ShareScans`], or a failure of the store.
    pub async fn revoke_public_link(
        &self,
        context: &RequestContext,
        scan: ScanId,
        id: &PublicLinkId,
    ) -> Result<bool, AccountError> {
        self.shareable(context, scan).await?;
        Ok(self.public_links.revoke_public_link(scan, id, &context.principal).await?)
    }

    /// Returns what a public link gives to a visitor with this cookie. `None`: there is no such
    /// link, it has expired or was revoked, its scan was deleted, or its creator may not share the
    /// scan at the moment.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn visit(
        &self,
        secret: &RandomSecret,
        pass: Option<&RandomSecret>,
        trace: TraceContext,
    ) -> Result<Option<LinkAccess>, StoreError> {
        let Some((link, record)) = self.valid_public_link(secret).await? else { return Ok(None) };
        if let Some(hash) = &link.password_hash {
            let expected = secret.bound_to(hash).digest();
            if !pass.is_some_and(|pass| is_same(&pass.digest(), &expected)) {
                return Ok(Some(LinkAccess::PasswordNeeded));
            }
        }
        let grants = Grants::new(None, BTreeMap::from([(record.project, ProjectRole::Viewer)]));
        let principal = Principal::Link(link.id.clone());
        let context = RequestContext { principal, grants: Arc::new(grants), trace };
        Ok(Some(LinkAccess::Open(Box::new(LinkVisit { link, context }))))
    }

    /// Checks the password of a public link. Attempts are throttled by the link and by the network
    /// of the client, like those of a sign-in. A link without a password accepts any. `None`: as
    /// for [`visit`](Self::visit).
    ///
    /// # Errors
    /// The password is wrong, there were too many attempts, or a failure of the store.
    pub async fn enter_link_password(
        &self,
        secret: &RandomSecret,
        password: &Password,
        address: IpAddr,
    ) -> Result<Option<LinkPass>, LinkPasswordError> {
        let Some((link, _)) = self.valid_public_link(secret).await? else { return Ok(None) };
        let by = Principal::Link(link.id.clone());
        let hash = link.password_hash.as_deref().unwrap_or_default();
        if !hash.is_empty() {
            // Nobody can type this name at the sign-in and delay the visitors without the secret.
            let (name, at) = (link.key.to_string(), || Instant::now().into_std());
            self.throttle
                .check(&name, address, at())
                .map_err(|refused| LinkPasswordError::Throttled { retry_after: refused.wait() })?;
            if self.verify(password, Some(hash)).await == Verified::Wrong {
                self.throttle.failed(&name, address, at());
                let event = DomainEvent::PublicLinkRefused { link: link.id, address: address.to_string() };
                self.record_by(&by, event, Some(link.scan)).await;
                return Err(LinkPasswordError::Wrong);
            }
            self.throttle.succeeded(&name, address, at());
        }
        let left = link.expires_at.duration_since(self.clock.now());
        let max_age = Duration::try_from(left).unwrap_or_default();
        Ok(Some(LinkPass { secret: secret.bound_to(hash), max_age }))
    }

    /// Returns a link that opens its scan now, and the scan.
    ///
    /// A backup can have a link without its scan. After its restore, a later scan may get the
    /// number: that one is younger than the link.
    async fn valid_public_link(&self, secret: &RandomSecret) -> Result<Option<(PublicLink, ScanRecord)>, StoreError> {
        let Some(link) = self.public_links.public_link(secret.digest(), self.clock.now()).await? else {
            return Ok(None);
        };
        let record = self.scans.get(link.scan).await?;
        let Some(record) = record.filter(|record| record.created_at <= link.created_at) else { return Ok(None) };
        let pause = self.pause_of(&link, &record.project).await?;
        Ok(pause.is_none().then_some((link, record)))
    }

    /// Returns a scan whose public links and shares the caller manages.
    pub(super) async fn shareable(&self, context: &RequestContext, scan: ScanId) -> Result<ScanRecord, AccountError> {
        let Some(record) = self.scans.get(scan).await? else { return Err(AccountError::Denied(Denial::NotVisible)) };
        self.allow_scan(context, Operation::ShareScans, &record).await?;
        Ok(record)
    }
}

fn new_id() -> PublicLinkId {
    random_id(PublicLinkId::LENGTH).parse().unwrap_or_else(|_| unreachable!("the id has its form"))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{CancelledBy, Command, Deleted, ProjectId};
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;
    use tokio::time::advance;

    use super::super::testing::{Fixture, OTHER_PASSWORD, PASSWORD, fields, password};
    use super::*;

    const ADDRESS: &str = "192.0.2.1";

    fn address() -> IpAddr {
        ADDRESS.parse().unwrap()
    }

    /// Submits a scan in the default project.
    async fn queued(all: &Fixture) -> ScanId {
        all.store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id
    }

    /// The same, and ends it.
    async fn ended(all: &Fixture) -> ScanId {
        let scan = queued(all).await;
        let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::System };
        all.store.apply(scan, cancel).await.unwrap();
        scan
    }

    async fn operator(all: &Fixture) -> RequestContext {
        let ana = all.user("ana", &[("default", ProjectRole::Operator)]).await;
        all.context(&ana).await
    }

    fn with_password(text: &str) -> PublicLinkRequest {
        PublicLinkRequest { password: Some(password(text)), ..PublicLinkRequest::default() }
    }

    async fn visit(all: &Fixture, secret: &RandomSecret, pass: Option<&RandomSecret>) -> Option<LinkAccess> {
        all.service.visit(secret, pass, fixtures::context().trace).await.unwrap()
    }

    /// Opens the scan of a link.
    async fn opened(all: &Fixture, secret: &RandomSecret) -> Option<LinkVisit> {
        match visit(all, secret, None).await? {
            LinkAccess::Open(visit) => Some(*visit),
            LinkAccess::PasswordNeeded => panic!("the link has no password"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn public_link_opens_its_scan_until_it_expires() {
        let all = Fixture::new();
        let (context, scan) = (operator(&all).await, ended(&all).await);
        let request = PublicLinkRequest { label: " For\u{1b}[2J them ".into(), ..PublicLinkRequest::default() };
        let (secret, link) = all.service.create_public_link(&context, scan, request).await.unwrap();
        assert_eq!((link.label.as_str(), &link.created_by), ("For them", &context.principal));
        assert_eq!(link.expires_at, link.created_at + SignedDuration::from_hours(7 * 24));
        let found = opened(&all, &secret).await.unwrap();
        assert_eq!((&found.link, &found.context.principal), (&link, &Principal::Link(link.id.clone())));
        assert_eq!(found.context.grants.server_role(), None);
        assert!(all.service.record_visit(&found, address()).await.unwrap());
        let entries = all.audit().await.len();
        assert!(all.service.record_visit(&found, "192.0.2.9".parse().unwrap()).await.unwrap());
        assert_eq!(all.audit().await.len(), entries, "one entry a minute for each link and network");
        let listed = all.service.public_links(&context, scan).await.unwrap();
        assert_eq!((listed.len(), listed[0].link.opened, listed[0].link.opened_at), (1, 2, Some(link.created_at)));
        let event = DomainEvent::PublicLinkOpened { link: link.id.clone(), address: ADDRESS.into() };
        assert_eq!(all.audit().await.last(), Some(&(Principal::Link(link.id), event)));
        advance(Duration::from_hours(7 * 24) - Duration::from_millis(1)).await;
        assert!(opened(&all, &secret).await.is_some());
        advance(Duration::from_millis(1)).await;
        assert!(opened(&all, &secret).await.is_none());
        assert!(!all.service.record_visit(&found, address()).await.unwrap());
        assert!(opened(&all, &RandomSecret::generate()).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn public_link_ends_with_its_revocation_and_with_its_scan() {
        let all = Fixture::new();
        let (context, scan) = (operator(&all).await, ended(&all).await);
        let create =
            async || all.service.create_public_link(&context, scan, PublicLinkRequest::default()).await.unwrap();
        let ((one, first), (other, _)) = (create().await, create().await);
        assert!(all.service.revoke_public_link(&context, scan, &first.id).await.unwrap());
        assert!(!all.service.revoke_public_link(&context, scan, &first.id).await.unwrap());
        assert!(opened(&all, &one).await.is_none() && opened(&all, &other).await.is_some());
        assert!(matches!(all.store.delete(scan, &Principal::System).await.unwrap(), Deleted::Gone(_)));
        assert!(opened(&all, &other).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_shares_scans_manages_public_links() {
        let all = Fixture::new();
        let (context, scan) = (operator(&all).await, ended(&all).await);
        let (_, link) = all.service.create_public_link(&context, scan, PublicLinkRequest::default()).await.unwrap();
        let bob = all.user("bob", &[("default", ProjectRole::Scanner)]).await;
        let eve = all.user("eve", &[("other", ProjectRole::Owner)]).await;
        for (name, is_visible) in [(&bob, true), (&eve, false)] {
            let context = all.context(name).await;
            let denied = [
                all.service.public_links(&context, scan).await.unwrap_err(),
                all.service.create_public_link(&context, scan, PublicLinkRequest::default()).await.unwrap_err(),
                all.service.revoke_public_link(&context, scan, &link.id).await.unwrap_err(),
            ];
            for error in denied {
                let lacks = matches!(error, AccountError::Denied(Denial::Lacks { .. }));
                let is_hidden = matches!(error, AccountError::Denied(Denial::NotVisible));
                assert_eq!((lacks, is_hidden), (is_visible, !is_visible), "{name}");
            }
        }
        let missing = all.service.public_links(&context, ScanId(99)).await.unwrap_err();
        assert!(matches!(missing, AccountError::Denied(Denial::NotVisible)));
        let expected = ListedLink { link, pause: None };
        assert_eq!(all.service.public_links(&context, scan).await.unwrap(), [expected]);
    }

    #[tokio::test(start_paused = true)]
    async fn invalid_fields_of_a_public_link_are_named() {
        let all = Fixture::new();
        let (context, scan, waiting) = (operator(&all).await, ended(&all).await, queued(&all).await);
        let create = async |scan: ScanId, label: &str, days: Option<u32>, text: Option<&str>| {
            let request = PublicLinkRequest { label: label.into(), days, password: text.map(password) };
            fields(all.service.create_public_link(&context, scan, request).await)
        };
        assert_eq!(create(waiting, "", None, None).await, ["scan"]);
        assert_eq!(create(scan, &"a".repeat(101), Some(0), Some("short")).await, ["label", "days", "password"]);
        assert_eq!(create(scan, "", Some(366), None).await, ["days"]);
        assert_eq!(all.service.public_links(&context, scan).await.unwrap(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn public_link_with_a_password_opens_with_it_alone() {
        let all = Fixture::new();
        let (context, scan) = (operator(&all).await, ended(&all).await);
        let (secret, link) = all.service.create_public_link(&context, scan, with_password(PASSWORD)).await.unwrap();
        let (other, _) = all.service.create_public_link(&context, scan, with_password(PASSWORD)).await.unwrap();
        assert!(matches!(visit(&all, &secret, None).await, Some(LinkAccess::PasswordNeeded)));
        let enter = async |text: &str| all.service.enter_link_password(&secret, &password(text), address()).await;
        assert!(matches!(enter(OTHER_PASSWORD).await, Err(LinkPasswordError::Wrong)));
        let event = DomainEvent::PublicLinkRefused { link: link.id.clone(), address: ADDRESS.into() };
        assert_eq!(all.audit().await.last(), Some(&(Principal::Link(link.id.clone()), event)));
        let pass = enter(PASSWORD).await.unwrap().unwrap();
        assert_eq!(pass.max_age, Duration::from_hours(7 * 24));
        assert!(matches!(visit(&all, &secret, Some(&pass.secret)).await, Some(LinkAccess::Open(_))));
        for wrong in [&secret, &other, &RandomSecret::generate()] {
            assert!(matches!(visit(&all, &secret, Some(wrong)).await, Some(LinkAccess::PasswordNeeded)));
        }
        assert!(matches!(visit(&all, &other, Some(&pass.secret)).await, Some(LinkAccess::PasswordNeeded)));
        for _ in 0..3 {
            assert!(matches!(enter(OTHER_PASSWORD).await, Err(LinkPasswordError::Wrong)));
        }
        assert!(matches!(enter(PASSWORD).await, Err(LinkPasswordError::Throttled { .. })));
        all.service.revoke_public_link(&context, scan, &link.id).await.unwrap();
        assert!(visit(&all, &secret, Some(&pass.secret)).await.is_none());
        assert!(enter(PASSWORD).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn public_link_does_not_open_a_later_scan_with_the_same_number() {
        let all = Fixture::new();
        let (context, scan) = (operator(&all).await, ended(&all).await);
        let (secret, link) =
            all.service.create_public_link(&context, scan, PublicLinkRequest::default()).await.unwrap();
        let restored = Fixture::new();
        operator(&restored).await;
        advance(Duration::from_secs(1)).await;
        assert_eq!(ended(&restored).await, scan);
        assert!(restored.store.create_public_link(link, &ProjectId::default()).await.unwrap());
        assert!(opened(&restored, &secret).await.is_none());
    }
}
