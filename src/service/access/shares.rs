//! Shares of scans: each gives a user, or the members of a project, a right on one scan. The rights
//! of shares are read with the identity of a request, so a change takes effect as one of a role.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kastrel_actors::model::{
    Account, AccountKind, FieldError, Grantee, Grants, Operation, ProjectId, RequestContext, ScanId, Share,
    ShareCreated, ShareRight, TokenScope,
};
use kastrel_actors::policy::access::{Denial, decide};
use kastrel_actors::policy::shares::{MOST_OF_GRANTEE, grantees, right_of, shared_scans};
use kastrel_actors::ports::StoreError;

use super::{AccessService, AccountError, SignedIn};

/// The longest validity of a share, in days.
const MOST_DAYS: u32 = 365;

/// A share to create, as it was entered.
#[derive(Debug, Clone, Default)]
pub struct ShareRequest {
    /// Who gets the right: `user:NAME` or `project:ID`.
    pub grantee: String,
    /// The right: `view` or `edit`.
    pub right: String,
    /// The days until it expires: 1 to 365; `None` means that it does not expire.
    pub days: Option<u32>,
}

/// A scan that is shared with an account, and the share that gives most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedShare {
    /// The share.
    pub share: Share,
    /// The right that the account has by it.
    pub right: ShareRight,
}

impl AccessService {
    /// Returns the shares of a scan that have not expired, newest first.
    ///
    /// # Errors
    /// The caller may not see the scan or it does not exist, the caller lacks
    /// [`Operation::ShareScans`], or a failure of the store.
    pub async fn shares(&self, context: &RequestContext, scan: ScanId) -> Result<Vec<Share>, AccountError> {
        self.shareable(context, scan).await?;
        let mut shares = self.shares.shares_of_scan(scan).await?;
        shares.retain(|share| share.is_current(self.clock.now()));
        Ok(shares)
    }

    /// Shares a scan. A second share with the same grantee replaces the first one. Who may share
    /// learns whether a user with a name exists: names are no secret. A project must be one that
    /// the caller may see.
    ///
    /// # Errors
    /// The caller may not see the scan or it does not exist, the caller lacks
    /// [`Operation::ShareScans`], a failure of the store, or fields are invalid: `grantee` (its
    /// form, there is no active user or no such project, or it has too many shares), `right`,
    /// `days`.
    pub async fn create_share(
        &self,
        context: &RequestContext,
        scan: ScanId,
        request: ShareRequest,
    ) -> Result<Share, AccountError> {
        let record = self.shareable(context, scan).await?;
        let mut errors = Vec::new();
        let grantee = self.grantee(context, &record.project, &request.grantee).await?;
        let grantee = grantee.map_err(|message| errors.push(FieldError::new("grantee", message))).ok();
        let right = request.right.trim().parse::<ShareRight>();
        let right = right.map_err(|_| errors.push(FieldError::new("right", "expected view or edit"))).ok();
        if request.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
            errors.push(FieldError::new("days", format!("expected a number from 1 to {MOST_DAYS}")));
        }
        let (Some(grantee), Some(right), true) = (grantee, right, errors.is_empty()) else {
            return Err(AccountError::Invalid(errors));
        };
        // A share is never older than its scan, also if the clocks of two servers differ.
        let created_at = self.clock.now().max(record.created_at);
        let expires_at = request.days.map(|days| created_at + SignedDuration::from_hours(24 * i64::from(days)));
        let share = Share { scan, grantee, right, created_by: context.principal.clone(), created_at, expires_at };
        let _change = self.cache.change();
        match self.shares.create_share(share.clone(), &record.project, MOST_OF_GRANTEE).await? {
            ShareCreated::Created => Ok(share),
            ShareCreated::NoScan => Err(AccountError::Denied(Denial::NotVisible)),
            ShareCreated::TooMany => Err(AccountError::field(
                "grantee",
                format!("{} scans are shared with {}, the most that are possible", MOST_OF_GRANTEE, share.grantee),
            )),
        }
    }

    /// Revokes the share of a scan with a grantee (`user:NAME` or `project:ID`). Returns `false` if
    /// there is no such share.
    ///
    /// # Errors
    /// The caller may not see the scan or it does not exist, the caller lacks
    /// [`Operation::ShareScans`], or a failure of the store.
    pub async fn revoke_share(
        &self,
        context: &RequestContext,
        scan: ScanId,
        grantee: &str,
    ) -> Result<bool, AccountError> {
        self.shareable(context, scan).await?;
        let Ok(grantee) = grantee.parse::<Grantee>() else { return Ok(false) };
        let _change = self.cache.change();
        Ok(self.shares.revoke_share(scan, &grantee, &context.principal).await?)
    }

    /// Returns the scans that are shared with an account now, the newest scan first, each with the
    /// share that gives most. A request with a token gets those within the limits of the token.
    ///
    /// A backup can have a share without its scan, so a scan may be missing: show only those that
    /// the scan service returns.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn received_shares(&self, who: &SignedIn) -> Result<Vec<ReceivedShare>, StoreError> {
        let (account, scope) = match &who.token {
            None => (self.store.account(&who.account).await?, None),
            Some(id) => match self.store.token(id).await? {
                Some((record, account)) => (Some(account), Some(record.scope)),
                None => return Ok(Vec::new()),
            },
        };
        let Some(account) = account else { return Ok(Vec::new()) };
        let now = self.clock.now();
        let (grants, shares) = self.read_shares(&account, scope.as_ref(), now).await?;
        let mut best: BTreeMap<Reverse<ScanId>, ReceivedShare> = BTreeMap::new();
        for share in shares {
            let Some(right) = right_of(&account, &grants, scope.as_ref(), &share, now) else { continue };
            let lasts = |share: &Share| share.expires_at.unwrap_or(Timestamp::MAX);
            let gives_more = |known: &ReceivedShare| (right, lasts(&share)) > (known.right, lasts(&known.share));
            if best.get(&Reverse(share.scan)).is_none_or(gives_more) {
                best.insert(Reverse(share.scan), ReceivedShare { share, right });
            }
        }
        Ok(best.into_values().collect())
    }

    /// Returns the rights of an account, or of a token with these limits, with those of shares.
    pub(super) async fn rights(&self, account: &Account, scope: Option<&TokenScope>) -> Result<Grants, StoreError> {
        let now = self.clock.now();
        let (grants, shares) = self.read_shares(account, scope, now).await?;
        let shared = shared_scans(account, &grants, scope, &shares, now);
        Ok(grants.with_shares(shared))
    }

    /// Reads the shares of an account, and returns them with its rights in projects.
    async fn read_shares(
        &self,
        account: &Account,
        scope: Option<&TokenScope>,
        now: Timestamp,
    ) -> Result<(Grants, Vec<Share>), StoreError> {
        let grants = scope.map_or_else(|| account.grants(), |scope| account.grants().within(scope));
        let shares = self.shares.shares_with(&grantees(account, scope), now).await?;
        Ok((grants, shares))
    }

    /// Returns the grantee of a new share of a scan in the project `home`, or why it is not accepted.
    async fn grantee(
        &self,
        context: &RequestContext,
        home: &ProjectId,
        text: &str,
    ) -> Result<Result<Grantee, &'static str>, StoreError> {
        let Ok(grantee) = text.trim().parse::<Grantee>() else {
            return Ok(Err("expected user:NAME or project:ID"));
        };
        let fault = match &grantee {
            Grantee::User(name) if context.principal.account() == Some(name) => Some("you may see the scan already"),
            Grantee::User(name) => {
                // One error also for a name that was never given out: nobody learns who is
                // disabled.
                let account = self.store.account(name).await?;
                let is_active = account.is_some_and(|one| one.kind == AccountKind::User && !one.is_disabled);
                (!is_active).then_some("there is no active user with this name")
            }
            Grantee::Project(id) if id == home => Some("the members of this project may see the scan already"),
            Grantee::Project(id) => {
                let is_visible = decide(&context.grants, Operation::ReadMembers, Some(id)).is_ok();
                (!is_visible || !self.has_project(id).await?).then_some("there is no such project")
            }
        };
        Ok(fault.map_or(Ok(grantee), Err))
    }
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
