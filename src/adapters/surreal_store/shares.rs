//! The shares of scans: the port [`ShareStore`].
//!
//! Each change and its entry of the audit log are one transaction. A call that is repeated after a
//! lost response finds its own change by `made_by`; a revocation whose row was there before the
//! lost response, and is gone after it, was committed. The deletion of a scan (`delete`) and its
//! transfer (`apply`) delete its shares, and reads of the scan's row FOR UPDATE keep a share from
//! being created meanwhile.

use std::cmp::Reverse;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use kastrel_actors::model::{DomainEvent, Grantee, Principal, ProjectId, ScanId, Share, ShareCreated};
use kastrel_actors::ports::{ShareStore, StoreError};
use surrealdb::types::{Array, RecordId, SurrealValue, Value};

use super::calls;
use super::event::{EventRows, write_event};
use super::row;
use super::store::SurrealStore;

/// The expiry of a share that never expires.
const NEVER: i64 = i64::MAX;

/// The columns of a share.
#[derive(Debug, Clone, SurrealValue)]
struct ShareRow {
    grantee: String,
    scan: i64,
    right: String,
    created_by: String,
    created_at: i64,
    expires_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct OfScan {
    scan: i64,
}

#[derive(Debug, Clone, SurrealValue)]
struct OfGrantee {
    grantee: String,
    until: i64,
}

#[derive(Debug, SurrealValue)]
struct Rows {
    rows: Vec<ShareRow>,
}

#[derive(Debug, Clone, SurrealValue)]
struct CreateArguments {
    key: RecordId,
    of_scan: RecordId,
    project: String,
    grantee: String,
    scan: i64,
    until: i64,
    most: i64,
    row: ShareRow,
    event: EventRows,
}

#[derive(Debug, SurrealValue)]
struct Created {
    has_scan: bool,
    others: i64,
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

macro_rules! share_columns {
    () => {
        "grantee, scan, right, created_by, created_at, expires_at"
    };
}

const OF_SCAN: &str = concat!("RETURN { rows: (SELECT ", share_columns!(), " FROM share WHERE scan = $scan) };");

/// For several grantees in one condition, the engine would follow the index of the expiry, and read
/// the shares of everybody.
const OF_GRANTEE: &str = concat!(
    "RETURN { rows: (SELECT ",
    share_columns!(),
    " FROM share WHERE grantee = $grantee AND expires_at > $until) };"
);

/// FOR UPDATE makes the commit fail if the scan is deleted or transferred in the meantime. Calls
/// for several scans at one time can exceed the limit by their number.
const CREATE: &str = concat!(
    "
    BEGIN;
    LET $has_scan = (SELECT VALUE project FROM ONLY $of_scan FOR UPDATE) = $project;
    LET $others = array::len((SELECT VALUE scan FROM share WHERE grantee = $grantee AND expires_at > $until AND scan != $scan LIMIT $most));
    IF $has_scan AND $others < $most AND (SELECT VALUE made_by FROM ONLY $key) != $event.nonce {
        UPSERT $key SET
            grantee = $row.grantee, scan = $row.scan, right = $row.right, created_by = $row.created_by, created_at = $row.created_at,
            expires_at = $row.expires_at, made_by = $event.nonce
            RETURN NONE;
        ",
    write_event!(),
    "
    };
    RETURN { has_scan: $has_scan, others: $others };
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

/// The key of a share. Its parts are texts, so that backups read the table in ranges.
fn share_key(grantee: &Grantee, scan: ScanId) -> RecordId {
    let parts = [grantee.to_string(), scan.to_string()].map(Value::String);
    RecordId::new("share", Array::from(Vec::from(parts)))
}

impl ShareRow {
    fn new(share: Share) -> Result<Self, StoreError> {
        let Share { scan, grantee, right, created_by, created_at, expires_at } = share;
        Ok(Self {
            grantee: grantee.to_string(),
            scan: row::signed(scan.0)?,
            right: right.as_str().to_owned(),
            created_by: created_by.to_string(),
            created_at: row::nanoseconds(created_at),
            expires_at: expires_at.map_or(NEVER, row::nanoseconds),
        })
    }

    fn into_share(self) -> Result<Share, StoreError> {
        Ok(Share {
            scan: ScanId(row::unsigned(self.scan)?),
            grantee: self.grantee.parse().map_err(row::corrupt)?,
            right: self.right.parse().map_err(row::corrupt)?,
            created_by: self.created_by.parse().map_err(row::corrupt)?,
            created_at: row::timestamp(self.created_at)?,
            expires_at: Some(self.expires_at).filter(|at| *at != NEVER).map(row::timestamp).transpose()?,
        })
    }
}

impl Rows {
    fn into_shares(self) -> Result<Vec<Share>, StoreError> {
        self.rows.into_iter().map(ShareRow::into_share).collect()
    }
}

#[async_trait]
impl ShareStore for SurrealStore {
    async fn create_share(&self, share: Share, project: &ProjectId, most: usize) -> Result<ShareCreated, StoreError> {
        let Some(of_scan) = row::scan_key(share.scan) else { return Ok(ShareCreated::NoScan) };
        let event = DomainEvent::ScanShared {
            grantee: share.grantee.clone(),
            right: share.right,
            expires_at: share.expires_at,
        };
        let arguments = CreateArguments {
            key: share_key(&share.grantee, share.scan),
            of_scan,
            project: project.to_string(),
            grantee: share.grantee.to_string(),
            scan: row::signed(share.scan.0)?,
            until: row::nanoseconds(share.created_at),
            most: row::at_most(most),
            event: self.audited_about(&event, &share.created_by, share.scan)?,
            row: ShareRow::new(share)?,
        };
        let Created { has_scan, others } = calls::call_again(&self.inner.db, CREATE, arguments).await?;
        Ok(if !has_scan {
            ShareCreated::NoScan
        } else if others >= row::at_most(most) {
            ShareCreated::TooMany
        } else {
            ShareCreated::Created
        })
    }

    async fn shares_of_scan(&self, scan: ScanId) -> Result<Vec<Share>, StoreError> {
        let of_scan = OfScan { scan: row::signed(scan.0)? };
        let mut all = calls::call_again::<Rows>(&self.inner.db, OF_SCAN, of_scan).await?.into_shares()?;
        all.sort_by_key(|share| (Reverse(share.created_at), share.grantee.clone()));
        Ok(all)
    }

    async fn shares_with(&self, grantees: &[Grantee], at: Timestamp) -> Result<Vec<Share>, StoreError> {
        let until = row::nanoseconds(at);
        let grantees: Vec<String> = grantees.iter().map(ToString::to_string).collect();
        let reads = grantees
            .into_iter()
            .map(|grantee| calls::call_again::<Rows>(&self.inner.db, OF_GRANTEE, OfGrantee { grantee, until }));
        let mut all = Vec::new();
        for found in try_join_all(reads).await? {
            all.extend(found.into_shares()?);
        }
        all.sort_by_key(|share| (Reverse(share.scan), share.grantee.clone()));
        Ok(all)
    }

    async fn revoke_share(&self, scan: ScanId, grantee: &Grantee, by: &Principal) -> Result<bool, StoreError> {
        // The share that was there before a revocation whose response was lost. If it is missing
        // afterwards, the revocation was committed.
        if !self.shares_of_scan(scan).await?.iter().any(|share| share.grantee == *grantee) {
            return Ok(false);
        }
        let event = DomainEvent::ShareRevoked { grantee: grantee.clone() };
        let arguments = RevokeArguments { key: share_key(grantee, scan), event: self.audited_about(&event, by, scan)? };
        let (answer, is_unanswered) = calls::call_again_noting_loss::<Gone>(&self.inner.db, REVOKE, arguments).await?;
        Ok(answer.gone > 0 || is_unanswered)
    }
}

#[cfg(test)]
mod tests {
    use super::super::executor::Executor as _;
    use super::*;

    /// The rights of each identity are read with this, so it must not read the shares of others.
    #[tokio::test]
    async fn shares_of_a_grantee_follow_an_index() {
        let store = SurrealStore::in_memory().await.unwrap();
        let query = "EXPLAIN SELECT scan FROM share WHERE grantee = 'user:ana' AND expires_at > 5";
        let nothing = Value::Object(Default::default());
        let plan = format!("{:?}", store.inner.db.query(query.to_owned(), nothing).await.unwrap());
        assert!(plan.contains("index: share_of_grantee"), "{plan}");
        assert!(!plan.contains("share_by_expiry") && !plan.contains("TableScan"), "{plan}");
    }
}
