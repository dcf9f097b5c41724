//! The identities of accounts at the identity provider, for administrators.

use kastrel_actors::model::{
    AccountName, LinkResult, LinkedIdentity, Operation, ProviderIdentity, ProviderIdentityError, RequestContext,
};

use super::{AccessService, AccountError};

impl AccessService {
    /// Returns the identity of an account. Everybody may read the own one; others need
    /// [`Operation::ReadAccounts`].
    ///
    /// # Errors
    /// The caller may not read it, or a failure of the store.
    pub async fn identity(
        &self,
        context: &RequestContext,
        name: &AccountName,
    ) -> Result<Option<LinkedIdentity>, AccountError> {
        self.allow_own(context, name, Operation::ReadAccounts).await?;
        Ok(self.identities.identity_of(name).await?)
    }

    /// Links a person of the identity provider to an account. Without `issuer`, it is that of the
    /// configured provider. `None`: there is no such account.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], a failure of the store, or fields are
    /// invalid: `subject` (its form, or the person has another account), `issuer` (its form, or
    /// there is no provider), `name` (it is a service account, or it has another identity).
    pub async fn link_identity(
        &self,
        context: &RequestContext,
        name: &AccountName,
        issuer: Option<&str>,
        subject: &str,
    ) -> Result<Option<LinkedIdentity>, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        let own = self.provider.as_ref().map(|provider| provider.adapter.issuer());
        let Some(issuer) = issuer.or(own) else {
            let why = "there is no identity provider (auth.mode is not oidc): name the issuer";
            return Err(AccountError::field("issuer", why));
        };
        let identity = ProviderIdentity::new(issuer, subject).map_err(|error| {
            let field = match error {
                ProviderIdentityError::Issuer => "issuer",
                ProviderIdentityError::Subject => "subject",
            };
            AccountError::field(field, error.to_string())
        })?;
        match self.identities.link_identity(name, &identity, self.clock.now(), &context.principal).await? {
            LinkResult::Linked => Ok(self.identities.identity_of(name).await?),
            LinkResult::NoAccount if self.store.account(name).await?.is_some() => {
                Err(AccountError::field("name", "a service account has no identity, it uses tokens"))
            }
            LinkResult::NoAccount => Ok(None),
            LinkResult::AccountTaken => {
                Err(AccountError::field("name", "the account has another identity: unlink that first"))
            }
            LinkResult::IdentityTaken => {
                Err(AccountError::field("subject", "this person is linked to another account"))
            }
        }
    }

    /// Unlinks the identity of an account, and ends its sessions. Returns `false` if it has none.
    ///
    /// # Errors
    /// The caller lacks [`Operation::ManageAccounts`], or a failure of the store.
    pub async fn unlink_identity(&self, context: &RequestContext, name: &AccountName) -> Result<bool, AccountError> {
        self.allow(context, Operation::ManageAccounts, None).await?;
        let _change = self.cache.change();
        Ok(self.identities.unlink_identity(name, &context.principal).await?)
    }
}
