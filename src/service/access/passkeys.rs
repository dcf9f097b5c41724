//! The passkeys of an account: their list, a new one, another label, and the removal.

use kastrel_actors::model::{
    AccountKind, AccountName, Operation, Passkey, PasskeyAddition, PasskeyId, RequestContext, SignedChallenge,
};
use kastrel_actors::policy::access::Denial;
use kastrel_actors::ports::StoreError;

use super::fields::one_line;
use super::mail_texts::Notice;
use super::passwords::no_session;
use super::sealed_ceremony::{CannotSeal, SealedCreation, SealedRequest};
use super::{AccessService, AccountError, Confirmation, NewSession, PasskeyAnswer, SignedIn};
use crate::identity::passkey::{NewCredential, NoPasskeys, PasskeyFault, RelyingParty, new_handle};

/// The longest label, in characters.
const MOST_OF_LABEL: usize = 60;

const EXPIRED: &str = "the time is over: begin again";
const NO_KEY: &str = "this server cannot ask for a passkey: its log has the reason";

/// What a page needs to ask for a passkey.
#[derive(Debug, Clone)]
pub struct PasskeyRequest {
    /// The options for the browser, as JSON.
    pub options: String,
    /// What the page sends back with the answer.
    pub state: String,
}

impl AccessService {
    /// Returns the relying party of this server.
    ///
    /// # Errors
    /// The server accepts no passkeys.
    pub fn relying_party(&self) -> Result<&RelyingParty, NoPasskeys> {
        self.relying_party.as_deref().map_err(|reason| *reason)
    }

    /// Returns the passkeys of an account, oldest first. Everybody may read those of the own
    /// account; others need [`Operation::ReadAccounts`].
    ///
    /// # Errors
    /// The caller may not read them, or a failure of the store.
    pub async fn passkeys(
        &self,
        context: &RequestContext,
        account: &AccountName,
    ) -> Result<Vec<Passkey>, AccountError> {
        self.allow_own(context, account, Operation::ReadAccounts).await?;
        Ok(self.passkeys.passkeys(account).await?)
    }

    /// Asks for a signature of any passkey of this server: for a sign-in, or to confirm a change.
    /// It reads and writes nothing.
    ///
    /// # Errors
    /// The server accepts no passkeys (field `passkey`).
    pub fn passkey_request(&self) -> Result<PasskeyRequest, AccountError> {
        let asked = self.party()?.request().map_err(unusable)?;
        let state = SealedRequest::seal(self, asked.state).map_err(no_key)?;
        Ok(PasskeyRequest { options: asked.options, state })
    }

    /// Begins the addition of a passkey to the caller's account.
    ///
    /// # Errors
    /// The label is empty or too long (field `label`), the change is not confirmed (fields
    /// `current_password`, `code` and `passkey`), the account has as many passkeys as it may have,
    /// or none are possible (field `passkey`), or a failure of the store.
    pub async fn begin_passkey(
        &self,
        who: &SignedIn,
        confirmation: Confirmation,
        label: &str,
    ) -> Result<PasskeyRequest, AccountError> {
        let label = checked_label(label)?;
        let party = self.party()?;
        let account = self.store.account(&who.account).await?.ok_or(AccountError::Denied(Denial::NotVisible))?;
        let Some(session) = who.session.filter(|_| account.kind == AccountKind::User) else {
            return Err(AccountError::field("passkey", "only a person has a passkey"));
        };
        let passkeys = self.passkeys.passkeys(&who.account).await?;
        if passkeys.len() >= Passkey::MOST {
            return Err(refused(PasskeyAddition::TooMany));
        }
        self.confirm(who, confirmation).await?;
        let handle = passkeys.first().map_or_else(new_handle, |passkey| passkey.user_handle.clone());
        let stored: Vec<&str> = passkeys.iter().map(|passkey| passkey.credential.as_str()).collect();
        let asked = party.creation(&handle, who.account.as_str(), &stored).map_err(unusable)?;
        let state = SealedCreation::seal(self, (&who.account, session), asked.state, label, handle).map_err(no_key)?;
        Ok(PasskeyRequest { options: asked.options, state })
    }

    /// Adds the passkey that an authenticator made, and ends the other sessions of the account.
    /// Returns this session with its new secret.
    ///
    /// # Errors
    /// The time is over, the answer is not accepted, the passkey is known, or the account has as
    /// many passkeys as it may have (field `passkey`); or a failure of the store.
    pub async fn finish_passkey(&self, who: &SignedIn, sent: &PasskeyAnswer) -> Result<NewSession, AccountError> {
        let begun = who.session.and_then(|session| SealedCreation::open(self, (&who.account, session), &sent.state));
        let Some(SealedCreation { label, handle, state, digest, expires_at }) = begun else {
            return Err(AccountError::field("passkey", EXPIRED));
        };
        let created = self.party()?.created(&sent.answer, &state);
        let NewCredential { id, credential } = created.map_err(|fault| {
            tracing::debug!(account = %who.account, %fault, "a new passkey is refused");
            AccountError::field("passkey", "this passkey was not accepted: begin again")
        })?;
        let passkey = Passkey {
            id,
            account: who.account.clone(),
            label,
            user_handle: handle,
            credential,
            created_at: self.clock.now(),
            used_at: None,
        };
        let challenge = SignedChallenge { digest, expires_at };
        let renewed = self.renewal(who).await?;
        let (session, renewal) = renewed.ok_or_else(|| AccountError::field("passkey", EXPIRED))?;
        let change = self.cache.change();
        let added = self.passkeys.add_passkey(passkey, challenge, Some(renewal), &who.principal).await?;
        drop(change);
        match added {
            PasskeyAddition::Added => {
                self.notify(&who.account, Notice::FactorAdded).await;
                Ok(session)
            }
            PasskeyAddition::NoAccount => Err(AccountError::Denied(Denial::NotVisible)),
            other => Err(refused(other)),
        }
    }

    /// Gives a passkey of the caller's account another label.
    ///
    /// # Errors
    /// The label is empty or too long (field `label`), there is no such passkey (field `passkey`),
    /// or a failure of the store.
    pub async fn rename_passkey(&self, who: &SignedIn, id: &PasskeyId, label: &str) -> Result<(), AccountError> {
        let label = checked_label(label)?;
        let is_known = self.passkeys.rename_passkey(&who.account, id, &label, &who.principal).await?;
        if is_known { Ok(()) } else { Err(missing()) }
    }

    /// Removes a passkey of the caller's account, and ends the other sessions. Returns this session
    /// with its new secret. If the account must have a second factor and has none left, that
    /// session ends too.
    ///
    /// # Errors
    /// The change is not confirmed (fields `current_password`, `code` and `passkey`), there is no
    /// such passkey (field `passkey`), or a failure of the store.
    pub async fn remove_passkey(
        &self,
        who: &SignedIn,
        id: &PasskeyId,
        confirmation: Confirmation,
    ) -> Result<NewSession, AccountError> {
        if !self.passkeys.passkeys(&who.account).await?.iter().any(|passkey| passkey.id == *id) {
            return Err(missing());
        }
        self.confirm(who, confirmation).await?;
        let (session, renewal) = self.renewal(who).await?.ok_or_else(no_session)?;
        let change = self.cache.change();
        let is_known = self.passkeys.remove_passkey(&who.account, id, Some(renewal), &who.principal).await?;
        drop(change);
        if !is_known {
            return Err(missing());
        }
        self.notify(&who.account, Notice::FactorRemoved).await;
        Ok(session)
    }

    fn party(&self) -> Result<&RelyingParty, AccountError> {
        self.relying_party().map_err(|reason| AccountError::field("passkey", reason.to_string()))
    }
}

fn checked_label(text: &str) -> Result<String, AccountError> {
    let label = one_line(text);
    if (1..=MOST_OF_LABEL).contains(&label.chars().count()) {
        Ok(label)
    } else {
        Err(AccountError::field("label", format!("expected 1 to {MOST_OF_LABEL} characters")))
    }
}

fn missing() -> AccountError {
    AccountError::field("passkey", "this account has no such passkey")
}

fn no_key(_: CannotSeal) -> AccountError {
    AccountError::field("passkey", NO_KEY)
}

fn refused(why: PasskeyAddition) -> AccountError {
    let text = match why {
        PasskeyAddition::Taken => "this passkey was added before".to_owned(),
        PasskeyAddition::TooMany => format!("an account has at most {} passkeys: remove one first", Passkey::MOST),
        PasskeyAddition::Added | PasskeyAddition::NoAccount | PasskeyAddition::Used => EXPIRED.to_owned(),
    };
    AccountError::field("passkey", text)
}

/// The row of a passkey of this account cannot be read.
fn unusable(fault: PasskeyFault) -> AccountError {
    AccountError::Store(StoreError::Corrupt(Box::new(fault)))
}
