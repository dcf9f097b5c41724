//! The creator of a public link: a link gives at most what its creator may give at the moment of
//! use, as a token has at most the rights of its account.

use std::collections::BTreeMap;

use kastrel_actors::model::{Account, AccountName, Operation, ProjectId, PublicLink};
use kastrel_actors::policy::access::decide;
use kastrel_actors::ports::StoreError;

use super::AccessService;

/// Why a public link opens nothing although it has not expired. It opens again when the reason is
/// gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkPause {
    /// The account of its creator is disabled.
    CreatorDisabled,
    /// Its creator may not share scans of the project any more.
    CreatorLacksRole,
}

impl LinkPause {
    /// Returns the name of the reason in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreatorDisabled => "creator_disabled",
            Self::CreatorLacksRole => "creator_lacks_role",
        }
    }
}

/// A public link, as its list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedLink {
    /// The link.
    pub link: PublicLink,
    /// Why it opens nothing at the moment, if its creator is the reason.
    pub pause: Option<LinkPause>,
}

impl AccessService {
    /// Returns why the creator of a link does not open a scan of this project with it; `None` if
    /// the link opens it. A link of the command line on the data folder has no account behind it.
    pub(super) async fn pause_of(
        &self,
        link: &PublicLink,
        project: &ProjectId,
    ) -> Result<Option<LinkPause>, StoreError> {
        let Some(name) = link.created_by.account() else { return Ok(None) };
        Ok(pause(self.store.account(name).await?.as_ref(), project))
    }

    /// Adds to the links of a scan of this project why they open nothing. Each creator is read
    /// once.
    pub(super) async fn listed(
        &self,
        links: Vec<PublicLink>,
        project: &ProjectId,
    ) -> Result<Vec<ListedLink>, StoreError> {
        let mut known = BTreeMap::<AccountName, Option<LinkPause>>::new();
        let mut listed = Vec::with_capacity(links.len());
        for link in links {
            let pause = match link.created_by.account() {
                None => None,
                Some(name) => match known.get(name) {
                    Some(pause) => *pause,
                    None => {
                        let pause = self.pause_of(&link, project).await?;
                        known.insert(name.clone(), pause);
                        pause
                    }
                },
            };
            listed.push(ListedLink { link, pause });
        }
        Ok(listed)
    }
}

/// Decides about a creator with this account. Accounts are not deleted, so one that is missing
/// counts as disabled.
fn pause(account: Option<&Account>, project: &ProjectId) -> Option<LinkPause> {
    match account {
        None => Some(LinkPause::CreatorDisabled),
        Some(account) if account.is_disabled => Some(LinkPause::CreatorDisabled),
        Some(account) => {
            let may_share = decide(&account.grants(), Operation::ShareScans, Some(project)).is_ok();
            (!may_share).then_some(LinkPause::CreatorLacksRole)
        }
    }
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{
        AccountChange, AccountChanged, CancelledBy, Command, MemberChanged, Principal, ProjectRole, RequestContext,
        ScanId, ServerRole,
    };
    use kastrel_actors::ports::store::prelude::*;
    use kastrel_actors::testing::fixtures;

    use super::super::PublicLinkRequest;
    use super::super::testing::{Fixture, PASSWORD, password};
    use super::*;
    use crate::identity::secret::RandomSecret;

    /// Submits a scan in the default project, and ends it.
    async fn ended(all: &Fixture) -> ScanId {
        let scan = all.store.submit(fixtures::new_scan("example.com")).await.unwrap().into_record().id;
        let cancel = Command::Cancel { by: CancelledBy::User, principal: Principal::System };
        all.store.apply(scan, cancel).await.unwrap();
        scan
    }

    async fn opens(all: &Fixture, secret: &RandomSecret) -> bool {
        all.service.visit(secret, None, fixtures::context().trace).await.unwrap().is_some()
    }

    /// As for a token: at most the rights of the account at the moment of use.
    #[tokio::test(start_paused = true)]
    async fn public_link_opens_nothing_while_its_creator_may_not_share_the_scan() {
        let all = Fixture::new();
        let ana = &all.user("ana", &[("default", ProjectRole::Operator)]).await;
        let (context, scan) = (all.context(ana).await, ended(&all).await);
        let chief = all.context_of("chief", ServerRole::Admin).await;
        let system = RequestContext { principal: Principal::System, ..chief.clone() };
        let request = || PublicLinkRequest { password: Some(password(PASSWORD)), ..PublicLinkRequest::default() };
        let (secret, _) = all.service.create_public_link(&context, scan, PublicLinkRequest::default()).await.unwrap();
        let (locked, _) = all.service.create_public_link(&context, scan, request()).await.unwrap();
        let (of_system, _) = all.service.create_public_link(&system, scan, PublicLinkRequest::default()).await.unwrap();
        let project = &"default".parse().unwrap();
        let change = async |change| {
            let changed = all.store.change_account(ana, change, &Principal::System).await.unwrap();
            assert_eq!(changed, AccountChanged::Changed);
        };
        let role = async |role| {
            let changed = all.store.set_member(project, ana, role, &Principal::System).await.unwrap();
            assert_eq!(changed, MemberChanged::Changed);
        };
        for (expected, step) in [
            (None, 0),
            (Some(LinkPause::CreatorDisabled), 1),
            (None, 2),
            (Some(LinkPause::CreatorLacksRole), 3),
            (Some(LinkPause::CreatorLacksRole), 4),
            (None, 5),
        ] {
            match step {
                1 => change(AccountChange::Disable).await,
                2 => change(AccountChange::Enable).await,
                3 => role(Some(ProjectRole::Scanner)).await,
                4 => role(None).await,
                5 => role(Some(ProjectRole::Owner)).await,
                _ => {}
            }
            assert_eq!(opens(&all, &secret).await, expected.is_none(), "{step}");
            let entered = all
                .service
                .enter_link_password(&locked, &password(PASSWORD), "192.0.2.1".parse().unwrap())
                .await
                .unwrap();
            assert_eq!(entered.is_some(), expected.is_none(), "{step}");
            assert!(opens(&all, &of_system).await, "{step}");
            let listed = all.service.public_links(&chief, scan).await.unwrap();
            let pauses = listed.iter().filter(|listed| listed.link.created_by == context.principal);
            assert_eq!(pauses.map(|listed| listed.pause).collect::<Vec<_>>(), [expected, expected], "{step}");
        }
    }
}
