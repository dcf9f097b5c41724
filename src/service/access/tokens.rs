//! API tokens: list, create, revoke.

use jiff::SignedDuration;
use kastrel_actors::model::{
    Account, AccountKind, AccountName, FieldError, Network, Operation, Principal, ProjectId, ProjectRole,
    RequestContext, TokenId, TokenRecord, TokenScope,
};
use kastrel_actors::policy::access::decide;

use super::fields::label;
use super::{AccessService, AccountError};
use crate::identity::token::ApiToken;

/// The validity of a token, in days.
pub(super) const DEFAULT_DAYS: u32 = 90;
pub(super) const MOST_DAYS: u32 = 366;
/// The most networks of a token.
const MOST_NETWORKS: usize = 32;

/// A token to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The account whose rights it has.
    pub account: AccountName,
    /// What it is for: 1 to 100 characters.
    pub label: String,
    /// The highest role in a project. It may exceed the account's own, which counts as well at each
    /// use.
    pub role: ProjectRole,
    /// The only project; `None` means all projects of the account.
    pub project: Option<ProjectId>,
    /// True if the token has the account's role on the server.
    pub has_server_role: bool,
    /// The networks from which it is accepted, up to 32: addresses, and ranges in CIDR notation.
    /// None means from everywhere.
    pub networks: Vec<String>,
    /// The days until it expires: 1 to 366, 90 if not given.
    pub days: Option<u32>,
}

impl AccessService {
    /// Returns the tokens of an account, newest first; expired ones until they are deleted.
    /// Everybody may read those of the own account; others need [`Operation::ReadAccounts`].
    ///
    /// # Errors
    /// The caller may not read them, or a failure of the store.
    pub async fn tokens(
        &self,
        context: &RequestContext,
        account: &AccountName,
    ) -> Result<Vec<TokenRecord>, AccountError> {
        self.allow_own(context, account, Operation::ReadAccounts).await?;
        Ok(self.store.tokens(account).await?)
    }

    /// Creates a token. Persons create tokens for themselves; tokens for a service account need
    /// [`Operation::ManageAccounts`], and Kastrel's own command line creates tokens for every
    /// account. The routes refuse a request that has a token itself: see
    /// [`SignedIn`](super::SignedIn).
    ///
    /// # Errors
    /// The caller may not create it, a failure of the store, or fields are invalid: `account` (it
    /// does not exist, it is disabled, or it is another person's), `label`, `days`, `networks`,
    /// `project` (the caller sees no such project).
    pub async fn create_token(
        &self,
        context: &RequestContext,
        request: TokenRequest,
    ) -> Result<(ApiToken, TokenRecord), AccountError> {
        let TokenRequest { account, label: text, role, project, has_server_role, networks, days } = request;
        let is_own = context.principal == Principal::User(account.clone());
        if !is_own {
            self.allow(context, Operation::ManageAccounts, None).await?;
        }
        let mut errors = Vec::new();
        let is_allowed = is_own || context.principal == Principal::System;
        let found = self.store.account(&account).await?;
        errors.extend(fault_of(found.as_ref(), is_allowed).map(|fault| FieldError::new("account", fault)));
        let label = label("label", &text, &mut errors);
        let days = days.unwrap_or(DEFAULT_DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            errors.push(FieldError::new("days", format!("expected a number from 1 to {MOST_DAYS}")));
        }
        let networks = read_networks(&networks).unwrap_or_else(|fault| {
            errors.push(FieldError::new("networks", fault));
            Vec::new()
        });
        if let Some(id) = &project
            && !self.sees_project(context, id).await?
        {
            errors.push(FieldError::new("project", format!("no such project: `{id}`")));
        }
        if !errors.is_empty() {
            return Err(AccountError::Invalid(errors));
        }
        let (token, now) = (ApiToken::generate(), self.clock.now());
        let record = TokenRecord {
            id: id_of(&token),
            digest: token.digest(),
            account,
            label,
            scope: TokenScope { role, project, has_server_role },
            networks,
            created_at: now,
            expires_at: now + SignedDuration::from_hours(24 * i64::from(days)),
            used_at: None,
        };
        let _change = self.cache.change();
        if self.store.create_token(record.clone(), &context.principal).await? {
            Ok((token, record))
        } else {
            Err(AccountError::field("account", NO_ACCOUNT))
        }
    }

    /// Revokes a token of an account. Returns `false` if the account has no such token. Everybody
    /// may revoke those of the own account; others need [`Operation::ManageAccounts`].
    ///
    /// # Errors
    /// The caller may not revoke it, or a failure of the store.
    pub async fn revoke_token(
        &self,
        context: &RequestContext,
        account: &AccountName,
        id: &TokenId,
    ) -> Result<bool, AccountError> {
        self.allow_own(context, account, Operation::ManageAccounts).await?;
        let _change = self.cache.change();
        Ok(self.store.revoke_token(account, id, &context.principal).await?)
    }

    /// Returns true if the caller sees a project and it exists.
    async fn sees_project(&self, context: &RequestContext, id: &ProjectId) -> Result<bool, AccountError> {
        let is_visible = decide(&context.grants, Operation::ReadMembers, Some(id)).is_ok();
        Ok(is_visible && self.has_project(id).await?)
    }
}

const NO_ACCOUNT: &str = "there is no such account";

/// Why an account gets no token. `is_allowed` is true for callers who create tokens for persons
/// too.
fn fault_of(account: Option<&Account>, is_allowed: bool) -> Option<&'static str> {
    match account {
        None => Some(NO_ACCOUNT),
        Some(account) if account.is_disabled => Some("this account is disabled"),
        Some(account) if account.kind == AccountKind::User && !is_allowed => {
            Some("this account belongs to a person, who creates the tokens")
        }
        Some(_) => None,
    }
}

/// Reads the networks of a new token, or says what is wrong with them.
fn read_networks(texts: &[String]) -> Result<Vec<Network>, String> {
    if texts.len() > MOST_NETWORKS {
        return Err(format!("expected at most {MOST_NETWORKS} networks"));
    }
    texts.iter().map(|text| text.parse::<Network>().map_err(|error| error.to_string())).collect()
}

/// Returns the id of a new token.
pub(super) fn id_of(token: &ApiToken) -> TokenId {
    token.id().parse().unwrap_or_else(|_| unreachable!("a generated token has a valid id"))
}

#[cfg(test)]
mod tests {
    use kastrel_actors::model::{AccountChange, ServerRole};
    use kastrel_actors::ports::{AccessStore as _, Clock as _};
    use kastrel_actors::testing::fixtures;

    use super::super::testing::{Fixture, fields, project};
    use super::*;

    fn request(account: &AccountName) -> TokenRequest {
        TokenRequest {
            account: account.clone(),
            label: " nightly scans ".into(),
            role: ProjectRole::Owner,
            project: None,
            has_server_role: true,
            networks: Vec::new(),
            days: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn created_token_works_with_at_most_the_rights_of_its_account() {
        let all = Fixture::new();
        let ana = all.user("ana", &[("default", ProjectRole::Scanner)]).await;
        let context = all.context(&ana).await;
        let (token, record) = all.service.create_token(&context, request(&ana)).await.unwrap();
        assert_eq!(record.label, "nightly scans");
        assert_eq!(record.created_at, all.clock.now());
        assert_eq!(record.expires_at.duration_since(record.created_at), SignedDuration::from_hours(90 * 24));
        assert_eq!(all.service.tokens(&context, &ana).await.unwrap(), std::slice::from_ref(&record));
        let who = all.service.by_token(token.expose(), None).await.unwrap().unwrap();
        assert_eq!((who.token, who.grants.highest_role()), (Some(record.id), Some(ProjectRole::Scanner)));

        let asked = TokenRequest { project: Some(project("default")), days: Some(366), ..request(&ana) };
        let (_, record) = all.service.create_token(&context, asked).await.unwrap();
        assert_eq!(record.scope.project, Some(project("default")));
        assert_eq!(record.expires_at.duration_since(record.created_at), SignedDuration::from_hours(366 * 24));
    }

    #[tokio::test(start_paused = true)]
    async fn all_wrong_fields_of_a_new_token_are_named_at_once() {
        let all = Fixture::new();
        all.project("web").await;
        let ana = all.user("ana", &[("default", ProjectRole::Owner)]).await;
        let context = all.context(&ana).await;
        let all_wrong =
            TokenRequest { label: " \u{0}".into(), project: Some(project("web")), days: Some(367), ..request(&ana) };
        let create = async |context: &RequestContext, request| fields(all.service.create_token(context, request).await);
        assert_eq!(create(&context, all_wrong).await, ["label", "days", "project"], "`web` is not visible");
        assert_eq!(create(&context, TokenRequest { days: Some(0), ..request(&ana) }).await, ["days"]);
        let long = TokenRequest { label: "x".repeat(101), ..request(&ana) };
        assert_eq!(create(&context, long).await, ["label"]);
        let admin = all.context_of("root", ServerRole::Admin).await;
        let robot = all.account("robot", AccountKind::Service, None, &[]).await;
        let missing = TokenRequest { project: Some(project("missing")), ..request(&robot) };
        assert_eq!(create(&admin, missing).await, ["project"], "an admin sees only projects that exist");
        let nobody = "nobody".parse().unwrap();
        assert_eq!(create(&admin, TokenRequest { days: Some(0), ..request(&nobody) }).await, ["account", "days"]);
        all.store.change_account(&robot, AccountChange::Disable, &Principal::System).await.unwrap();
        assert_eq!(create(&admin, request(&robot)).await, ["account"], "it is disabled");
        assert_eq!(all.calls.of("create_token"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn networks_of_a_token_are_read_and_faults_are_named() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let context = all.context(&ana).await;
        let of = |networks: &[&str]| TokenRequest {
            networks: networks.iter().map(|text| (*text).to_owned()).collect(),
            ..request(&ana)
        };
        let (_, record) = all.service.create_token(&context, of(&["192.0.2.7/32", "2001:db8::/32"])).await.unwrap();
        assert_eq!(record.networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.7", "2001:db8::/32"]);
        for (networks, fault) in [
            (vec!["192.0.2.7", "office"], "`office` is not an address"),
            (vec!["10.0.0.5/8"], "the range is 10.0.0.0/8"),
            (vec!["192.0.2.7"; 33], "at most 32 networks"),
        ] {
            let Err(AccountError::Invalid(errors)) = all.service.create_token(&context, of(&networks)).await else {
                panic!("{networks:?} were accepted")
            };
            assert_eq!((errors.len(), errors[0].field.as_str()), (1, "networks"));
            assert!(errors[0].message.contains(fault), "{}", errors[0].message);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn persons_create_tokens_for_themselves_and_admins_for_service_accounts() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let robot = all.account("robot", AccountKind::Service, None, &[]).await;
        let admin = all.context_of("root", ServerRole::Admin).await;
        let system = fixtures::context();
        let create =
            async |context: &RequestContext, account| all.service.create_token(context, request(account)).await;
        create(&admin, &robot).await.unwrap();
        assert_eq!(fields(create(&admin, &ana).await), ["account"], "an admin does not act as another person");
        create(&system, &ana).await.unwrap();
        create(&system, &robot).await.unwrap();
        let auditor = all.context_of("eve", ServerRole::Auditor).await;
        for context in [all.context(&ana).await, all.context(&robot).await, auditor] {
            let refused = create(&context, &robot).await;
            assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
            assert_eq!(all.denied(&context).await, ["manage_accounts"]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn token_is_listed_and_revoked_at_once_by_its_account_or_with_the_right() {
        let all = Fixture::new();
        let ana = all.user("ana", &[]).await;
        let own = all.context(&ana).await;
        let admin = all.context_of("root", ServerRole::Admin).await;
        let auditor = all.context_of("eve", ServerRole::Auditor).await;
        let bo = all.user("bo", &[]).await;
        let bo = all.context(&bo).await;
        for context in [&own, &admin] {
            let (token, record) = all.service.create_token(&own, request(&ana)).await.unwrap();
            assert!(all.service.by_token(token.expose(), None).await.unwrap().is_some());
            assert_eq!(all.service.tokens(context, &ana).await.unwrap(), std::slice::from_ref(&record));
            let other = "bo".parse().unwrap();
            assert!(!all.service.revoke_token(&admin, &other, &record.id).await.unwrap(), "it is another account's");
            for denied in [&bo, &auditor] {
                let refused = all.service.revoke_token(denied, &ana, &record.id).await;
                assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
            }
            assert!(all.service.revoke_token(context, &ana, &record.id).await.unwrap());
            assert_eq!(all.service.by_token(token.expose(), None).await.unwrap(), None);
        }
        assert!(all.service.tokens(&auditor, &ana).await.unwrap().is_empty());
        let refused = all.service.tokens(&bo, &ana).await;
        assert!(matches!(refused, Err(AccountError::Denied(_))), "{refused:?}");
        assert_eq!(all.denied(&bo).await, ["manage_accounts", "manage_accounts", "read_accounts"]);
    }
}
