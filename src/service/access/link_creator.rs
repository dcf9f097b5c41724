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
