//! The public links of scans: the port [`PublicLinkStore`].
//!
//! Each change and its entry of the audit log are one transaction. A call that is repeated after a
//! lost response finds its own change by `made_by`; a revocation whose row was there before the
//! lost response, and is gone after it, was committed. The deletion of a scan (`delete`) and its
//! transfer (`apply`) delete its links, and reads of the scan's row FOR UPDATE keep a link from
//! being created meanwhile.

use std::cmp::Reverse;

use async_trait::async_trait;
use jiff::Timestamp;
use kastrel_actors::model::{DomainEvent, Principal, ProjectId, PublicLink, PublicLinkId, ScanId, SecretDigest};
use kastrel_actors::ports::{PublicLinkStore, StoreError};
use surrealdb::types::{RecordId, SurrealValue};

use super::calls;
use super::event::{EventRows, write_event};
use super::row;
use super::store::SurrealStore;

/// The columns of a public link.
#[derive(Debug, Clone, SurrealValue)]
struct LinkRow {
    name: String,
    digest: String,
    scan: i64,
    label: String,
    created_by: String,
    created_at: i64,
    expires_at: i64,
    password: Option<String>,
    opened: i64,
    opened_at: Option<i64>,
}

#[derive(Debug, Clone, SurrealValue)]
struct OfScan {
    scan: i64,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<LinkRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct LookArguments {
    key: RecordId,
    until: i64,
}

#[derive(Debug, SurrealValue)]
struct OneLink {
    found: Option<LinkRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    key: RecordId,
    of_scan: RecordId,
    project: String,
    row: LinkRow,
    event: EventRows,
}

#[derive(Debug, Clone, SurrealValue)]
struct OpenArguments {
    key: RecordId,
    now: i64,
    is_recorded: bool,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Changed {
    changed: bool,
}

#[derive(Debug, Clone, SurrealValue)]
struct RevokeArguments {
    key: RecordId,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Gone {
    gone: i64,
}

macro_rules! link_columns {
    () => {
        "name, digest, scan, label, created_by, created_at, expires_at, password, opened, opened_at"
    };
}

const OF_SCAN: &str = concat!("RETURN { rows: (SELECT ", link_columns!(), " FROM public_link WHERE scan = $scan) };");

const LINK: &str =
    concat!("RETURN { found: (SELECT ", link_columns!(), " FROM ONLY $key WHERE expires_at > $until) };");

/// The secret of a link is random, so a row with its digest is that of an earlier, equal call. FOR
/// UPDATE makes the commit fail if the scan is deleted or transferred in the meantime.
const CREATE: &str = concat!(
    "
    BEGIN;
    LET $has_scan = (SELECT VALUE project FROM ONLY $of_scan FOR UPDATE) = $project;
    IF $has_scan AND (SELECT VALUE digest FROM ONLY $key) = NONE {
        CREATE $key SET
            name = $row.name, digest = $row.digest, scan = $row.scan, label = $row.label, created_by = $row.created_by,
            created_at = $row.created_at, expires_at = $row.expires_at, password = $row.password, opened = $row.opened,
            opened_at = $row.opened_at, made_by = $event.nonce
            RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { changed: $has_scan };
    COMMIT;"
);

const OPEN: &str = concat!(
    "
    BEGIN;
    LET $maker = SELECT VALUE made_by FROM ONLY $key WHERE expires_at > $now;
    IF $maker != NONE AND $maker != $event.nonce {
        UPDATE $key SET opened += 1, opened_at = $now, made_by = $event.nonce RETURN NONE;
        IF $is_recorded { ",
    write_event!(),
    " };
    };
    RETURN { changed: $maker != NONE };
    COMMIT;"
);

const REVOKE: &str = concat!(
    "
    BEGIN;
    LET $gone = DELETE $key RETURN BEFORE;
    IF array::len($gone) > 0 { ",
    write_event!(),
    " };
    RETURN { gone: array::len($gone) };
    COMMIT;"
);

/// The key of the row of a public link.
fn link_key(key: SecretDigest) -> RecordId {
    row::text_key("public_link", &key.to_string())
}

impl LinkRow {
    fn new(link: PublicLink) -> Result<Self, StoreError> {
        let PublicLink { id, key, scan, label, created_by, created_at, expires_at, password_hash, opened, opened_at } =
            link;
        Ok(Self {
            name: id.to_string(),
            digest: key.to_string(),
            scan: row::signed(scan.0)?,
            label,
            created_by: created_by.to_string(),
            created_at: row::nanoseconds(created_at),
            expires_at: row::nanoseconds(expires_at),
            password: password_hash,
            opened: row::signed(opened)?,
            opened_at: opened_at.map(row::nanoseconds),
        })
    }

    fn into_link(self) -> Result<PublicLink, StoreError> {
        Ok(PublicLink {
            id: self.name.parse().map_err(row::corrupt)?,
            key: self.digest.parse().map_err(row::corrupt)?,
            scan: ScanId(row::unsigned(self.scan)?),
            label: self.label,
            created_by: self.created_by.parse().map_err(row::corrupt)?,
            created_at: row::timestamp(self.created_at)?,
            expires_at: row::timestamp(self.expires_at)?,
            password_hash: self.password,
            opened: row::unsigned(self.opened)?,
            opened_at: self.opened_at.map(row::timestamp).transpose()?,
        })
    }
}

impl SurrealStore {
    /// The rows of an event about a scan, which no consumer gets.
    pub(super) fn audited_about(
        &self,
        event: &DomainEvent,
        by: &Principal,
        scan: ScanId,
    ) -> Result<EventRows, StoreError> {
        EventRows::new(event, by, None, self.inner.offset())?.about(Some(scan))
    }
}

#[async_trait]
impl PublicLinkStore for SurrealStore {
    async fn create_public_link(&self, link: PublicLink, project: &ProjectId) -> Result<bool, StoreError> {
        let Some(of_scan) = row::scan_key(link.scan) else { return Ok(false) };
        let event = DomainEvent::PublicLinkCreated { link: link.id.clone(), expires_at: link.expires_at };
        let arguments = CreateArguments {
            key: link_key(link.key),
            of_scan,
            project: project.to_string(),
            event: self.audited_about(&event, &link.created_by, link.scan)?,
            row: LinkRow::new(link)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, CREATE, arguments).await?;
        Ok(answer.changed)
    }

    async fn public_links(&self, scan: ScanId) -> Result<Vec<PublicLink>, StoreError> {
        let of_scan = OfScan { scan: row::signed(scan.0)? };
        let Rows { rows } = calls::call_again(&self.inner.db, OF_SCAN, of_scan).await?;
        let mut all = rows.into_iter().map(LinkRow::into_link).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|link| (Reverse(link.created_at), link.id.clone()));
        Ok(all)
    }

    async fn public_link(&self, key: SecretDigest, at: Timestamp) -> Result<Option<PublicLink>, StoreError> {
        let arguments = LookArguments { key: link_key(key), until: row::nanoseconds(at) };
        let OneLink { found } = calls::call_again(&self.inner.db, LINK, arguments).await?;
        found.map(LinkRow::into_link).transpose()
    }

    /// A call whose response was lost counts twice if another opening was committed meanwhile. The
    /// number is only for people.
    async fn open_public_link(
        &self,
        link: &PublicLink,
        at: Timestamp,
        address: Option<&str>,
    ) -> Result<bool, StoreError> {
        let event =
            DomainEvent::PublicLinkOpened { link: link.id.clone(), address: address.unwrap_or_default().to_owned() };
        let by = Principal::Link(link.id.clone());
        let arguments = OpenArguments {
            key: link_key(link.key),
            now: row::nanoseconds(at),
            is_recorded: address.is_some(),
            event: self.audited_about(&event, &by, link.scan)?,
        };
        let answer: Changed = calls::call_again(&self.inner.db, OPEN, arguments).await?;
        Ok(answer.changed)
    }

    async fn revoke_public_link(&self, scan: ScanId, id: &PublicLinkId, by: &Principal) -> Result<bool, StoreError> {
        // The link that was there before a revocation whose response was lost. If it is missing
        // afterwards, the revocation was committed.
        let links = self.public_links(scan).await?;
        let Some(link) = links.iter().find(|link| link.id == *id) else { return Ok(false) };
        let event = DomainEvent::PublicLinkRevoked { link: id.clone() };
        let arguments = RevokeArguments { key: link_key(link.key), event: self.audited_about(&event, by, scan)? };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, REVOKE, arguments).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::AuditQuery;
    use kastrel_actors::ports::{AuditLog as _, ScanRepository as _};
    use kastrel_actors::testing::fixtures;

    use super::*;

    /// The same call with the same arguments, as after a lost answer.
    #[tokio::test]
    async fn repeated_opening_is_counted_once() {
        let store = SurrealStore::in_memory().await.unwrap();
        let scan = store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let link = PublicLink {
            id: "a1B2c3D4e5".parse().unwrap(),
            key: SecretDigest::new([1; 32]),
            scan,
            label: String::new(),
            created_by: Principal::System,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::from_second(9).unwrap(),
            password_hash: None,
            opened: 0,
            opened_at: None,
        };
        assert!(store.create_public_link(link.clone(), &ProjectId::default()).await.unwrap());
        let event = DomainEvent::PublicLinkOpened { link: link.id.clone(), address: "::1".into() };
        let arguments = OpenArguments {
            key: link_key(link.key),
            now: row::nanoseconds(Timestamp::from_second(1).unwrap()),
            is_recorded: true,
            event: store.audited_about(&event, &Principal::Link(link.id.clone()), scan).unwrap(),
        };
        for _ in 0..2 {
            let answer: Changed = calls::call_again(&store.inner.db, OPEN, arguments.clone()).await.unwrap();
            assert!(answer.changed);
        }
        assert_eq!(store.public_links(scan).await.unwrap()[0].opened, 1);
        let entries = store.audit(&AuditQuery::of_scan(scan, 9)).await.unwrap().entries;
        assert_eq!(entries.len(), 3, "scan_submitted, public_link_created, public_link_opened");
    }
}
