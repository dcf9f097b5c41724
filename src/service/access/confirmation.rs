//! How a user confirms a change of the own factors: with the current password, and with a code or a
//! passkey if the account has one.

use std::fmt;
use std::net::IpAddr;

use kastrel_actors::model::{AccountName, DomainEvent, FactorChange, PasskeyUse, Principal, SignedChallenge};
use kastrel_actors::policy::second_factor::{SecondStep, second_step};
use kastrel_actors::ports::StoreError;
use tokio::time::Instant;

use super::sealed_ceremony::SealedRequest;
use super::{AccessService, AccountError, SignedIn};
use crate::identity::passkey::{Answer, PasskeyFault};
use crate::identity::password::Password;

/// The answer of an authenticator, as a page sends it. `Debug` does not show it.
#[derive(Clone)]
pub struct PasskeyAnswer {
    /// The sealed state of the request.
    pub state: String,
    /// The answer, as JSON.
    pub answer: String,
}

impl fmt::Debug for PasskeyAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasskeyAnswer(..)")
    }
}

/// What confirms a change. A code or a passkey is looked at if the account has a second factor.
#[derive(Debug)]
pub struct Confirmation {
    /// The current password.
    pub current: Password,
    /// A code of the app, or a recovery code, as it was typed; empty if none was.
    pub code: String,
    /// The answer of a passkey.
    pub passkey: Option<PasskeyAnswer>,
}

impl From<Password> for Confirmation {
    fn from(current: Password) -> Self {
        Self { current, code: String::new(), passkey: None }
    }
}

/// A use of a passkey that was verified, or whose it was.
pub(super) enum Verified {
    Right(PasskeyUse),
    /// The account of the passkey that was named; none if there is no such passkey.
    Wrong(Option<AccountName>),
}

impl AccessService {
    /// Returns what the second step of an account takes.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn second_step(&self, account: &AccountName) -> Result<SecondStep, StoreError> {
        let (factor, passkeys) =
            tokio::try_join!(self.factors.second_factor(account), self.passkeys.passkeys(account))?;
        Ok(second_step(factor.is_some(), !passkeys.is_empty(), self.relying_party.is_ok()))
    }

    /// Checks what confirms a change of the caller's account. A code and a passkey are used up.
    ///
    /// # Errors
    /// The caller has no session, the current password is wrong or there were too many attempts
    /// (field `current_password`), the code is wrong or missing (field `code`), the passkey is not
    /// accepted or missing (field `passkey`), or a failure of the store.
    pub(super) async fn confirm(&self, who: &SignedIn, confirmation: Confirmation) -> Result<(), AccountError> {
        let Confirmation { current, code, passkey } = confirmation;
        let address = self.check_current(who, &current).await?;
        let account = self.store.account(&who.account).await?;
        if !account.is_some_and(|account| account.has_second_factor) {
            self.throttle.succeeded(who.account.as_str(), address, Instant::now().into_std());
            return Ok(());
        }
        let step = self.second_step(&who.account).await?;
        if let Some(answer) = passkey.filter(|_| step.takes_passkey()) {
            return self.confirm_with_passkey(who, address, &answer).await;
        }
        if step.takes_code() && !code.is_empty() {
            return self.confirm_with_code(who, address, &code).await;
        }
        self.throttle.continued(who.account.as_str(), address, Instant::now().into_std());
        let (field, why) = match step {
            SecondStep::Code => ("code", "enter a code"),
            SecondStep::CodeOrPasskey => ("code", "enter a code, or confirm with a passkey"),
            SecondStep::Passkey => ("passkey", "confirm with a passkey"),
            SecondStep::Nothing => ("passkey", "this server accepts no passkeys: ask an administrator to remove them"),
        };
        Err(AccountError::field(field, why))
    }

    async fn confirm_with_code(&self, who: &SignedIn, address: IpAddr, code: &str) -> Result<(), AccountError> {
        let used = match self.read_use(&who.account, code).await? {
            Ok(used) => used,
            Err(fault) => return Err(self.wrong_code(who, address, fault).await),
        };
        let change = self.factors.use_second_factor(&who.account, used, &who.principal).await?;
        self.changed(change, who, address).await
    }

    async fn confirm_with_passkey(
        &self,
        who: &SignedIn,
        address: IpAddr,
        answer: &PasskeyAnswer,
    ) -> Result<(), AccountError> {
        let is_accepted = match self.verified(answer, Some(&who.account), &who.principal).await? {
            Verified::Right(used) => self.passkeys.use_passkey(used).await?,
            Verified::Wrong(_) => false,
        };
        if is_accepted {
            return self.changed(FactorChange::Changed, who, address).await;
        }
        self.reauthentication_failed(who, address).await;
        Err(AccountError::field("passkey", "this passkey was not accepted: try again"))
    }

    /// Verifies the answer of an authenticator to a request of this server. With `account`, the
    /// passkey must be of that account; without, the authenticator must name the account, too. A
    /// counter that went back is recorded for `by`.
    pub(super) async fn verified(
        &self,
        sent: &PasskeyAnswer,
        account: Option<&AccountName>,
        by: &Principal,
    ) -> Result<Verified, StoreError> {
        let (Ok(party), Ok(answer)) = (&self.relying_party, Answer::parse(&sent.answer)) else {
            return Ok(Verified::Wrong(None));
        };
        let Some(request) = SealedRequest::open(self, &sent.state) else { return Ok(Verified::Wrong(None)) };
        let Some(passkey) = self.passkeys.passkey(&answer.id()).await? else { return Ok(Verified::Wrong(None)) };
        let is_meant = account.is_none_or(|account| *account == passkey.account)
            && answer.handle().map_or(account.is_some(), |handle| handle == passkey.user_handle);
        if !is_meant {
            return Ok(Verified::Wrong(Some(passkey.account)));
        }
        match party.verify(&answer, &request.state, &passkey.credential) {
            Ok(after) => Ok(Verified::Right(PasskeyUse {
                id: passkey.id,
                account: passkey.account,
                challenge: SignedChallenge { digest: request.digest, expires_at: request.expires_at },
                before: passkey.credential,
                after,
                at: self.clock.now(),
            })),
            Err(fault) => {
                tracing::debug!(account = %passkey.account, %fault, "the answer of a passkey is refused");
                if fault == PasskeyFault::Copied {
                    let event = DomainEvent::PasskeyRefused { account: passkey.account.clone(), passkey: passkey.id };
                    self.record_by(by, event, None).await;
                }
                Ok(Verified::Wrong(Some(passkey.account)))
            }
        }
    }
}
