//! What a typed code of the second factor is: a step of the app, or a recovery code.

use kastrel_actors::model::{AccountName, FactorUse};
use kastrel_actors::policy::second_factor::takes_app_code;
use kastrel_actors::ports::StoreError;
use zeroize::Zeroizing;

use super::AccessService;
use super::error::CodeFault;
use crate::identity::recovery_code::RecoveryCode;
use crate::identity::totp::{self, TotpSecret, step_at};

impl AccessService {
    /// Returns the use of the second factor that a typed code is. The store decides whether it
    /// accepts it. A code of the app counts as a try until the store accepts one. A recovery code
    /// does not: nobody can guess it.
    ///
    /// # Errors
    /// A failure of the store.
    pub(super) async fn read_use(
        &self,
        account: &AccountName,
        typed: &str,
    ) -> Result<Result<FactorUse, CodeFault>, StoreError> {
        if let Ok(code) = RecoveryCode::parse(typed) {
            return Ok(Ok(FactorUse::RecoveryCode(code.digest())));
        }
        if totp::digits(typed).is_none() {
            return Ok(Err(CodeFault::Wrong));
        }
        let Some(factor) = self.factors.try_second_factor(account).await? else { return Ok(Err(CodeFault::Wrong)) };
        if !takes_app_code(factor.tries) {
            return Ok(Err(CodeFault::TooMany));
        }
        let Some(secret) = self.open_secret(account, &factor.sealed_secret) else {
            return Ok(Err(CodeFault::Unreadable));
        };
        let step = secret.verify(typed, step_at(self.clock.now()), factor.last_step);
        Ok(step.map(FactorUse::Step).ok_or(CodeFault::Wrong))
    }

    /// Seals the secret of an account's app, as the store keeps it. A failure is logged.
    pub(super) fn seal_secret(&self, account: &AccountName, secret: &TotpSecret) -> Result<String, CodeFault> {
        self.sealer.seal(&purpose(account), &secret.base32()).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the secret of a second factor was not sealed");
            CodeFault::NoKey
        })
    }

    /// Opens the secret of an account's app. A failure is logged.
    fn open_secret(&self, account: &AccountName, sealed: &str) -> Option<TotpSecret> {
        let opened = self.sealer.open(&purpose(account), sealed);
        let clear = opened
            .map(Zeroizing::new)
            .inspect_err(|error| {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    account = %account,
                    "the secret of a second factor cannot be opened"
                );
            })
            .ok()?;
        TotpSecret::parse(&clear).ok()
    }
}

/// The purpose of a sealed secret: it belongs to one account.
fn purpose(account: &AccountName) -> String {
    format!("second factor\n{account}")
}
