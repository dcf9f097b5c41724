//! An identity provider that says what a test wants.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kastrel_actors::model::ProviderIdentity;
use serde_json::Value;

use super::ProviderSettings;
use crate::ports::{IdentityProvider, ProviderError, ProviderPerson, ProviderRequest};

/// The issuer of the provider.
pub(crate) const ISSUER: &str = "https://id.example";
/// The address of a sign-out at the provider.
pub(crate) const END: &str = "https://id.example/end?client_id=kastrel";

/// The provider.
pub(crate) struct ScriptedProvider {
    person: Mutex<Result<ProviderPerson, ProviderError>>,
    is_down: Mutex<bool>,
    /// The codes that were redeemed, with their nonce and verifier.
    redeemed: Mutex<Vec<[String; 3]>>,
}

/// Returns the identity with a subject.
pub(crate) fn identity(subject: &str) -> ProviderIdentity {
    ProviderIdentity::new(ISSUER, subject).unwrap()
}

/// Returns settings without rules for groups.
pub(crate) fn settings() -> ProviderSettings {
    ProviderSettings {
        name: "Team".into(),
        account_claim: "preferred_username".into(),
        groups_claim: "groups".into(),
        rules: Vec::new(),
        creates_accounts: true,
        allows_passwords: true,
    }
}

/// Returns the state in the address of a sign-in.
pub(crate) fn state_of(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned()
}

impl ScriptedProvider {
    /// A provider of the person `7`, who is called ana.
    pub(crate) fn new() -> Arc<Self> {
        let provider = Self {
            person: Mutex::new(Err(ProviderError::Invalid("nobody".into()))),
            is_down: Mutex::default(),
            redeemed: Mutex::default(),
        };
        provider.says("7", serde_json::json!({ "preferred_username": "ana" }));
        Arc::new(provider)
    }

    /// Sets the person who signs in.
    pub(crate) fn says(&self, subject: &str, claims: Value) {
        let Value::Object(claims) = claims else { panic!("{claims}") };
        *self.person.lock().unwrap() = Ok(ProviderPerson { identity: identity(subject), claims });
    }

    /// Sets why no code is redeemed.
    pub(crate) fn fails(&self, error: ProviderError) {
        *self.person.lock().unwrap() = Err(error);
    }

    /// The provider does not respond any more.
    pub(crate) fn goes_down(&self) {
        *self.is_down.lock().unwrap() = true;
    }

    /// Returns the codes that were redeemed, with their nonce and verifier.
    pub(crate) fn redeemed(&self) -> Vec<[String; 3]> {
        self.redeemed.lock().unwrap().clone()
    }

    fn responds(&self) -> Result<(), ProviderError> {
        if *self.is_down.lock().unwrap() { Err(ProviderError::NoResponse("it is down".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl IdentityProvider for ScriptedProvider {
    fn issuer(&self) -> &str {
        ISSUER
    }

    async fn sign_in_url(&self, request: &ProviderRequest) -> Result<String, ProviderError> {
        self.responds()?;
        Ok(format!("{ISSUER}/authorize?state={}", request.state))
    }

    async fn redeem(
        &self,
        code: &str,
        request: &ProviderRequest,
        _wanted: &[&str],
    ) -> Result<ProviderPerson, ProviderError> {
        self.responds()?;
        self.redeemed.lock().unwrap().push([code.to_owned(), request.nonce.clone(), request.verifier.clone()]);
        self.person.lock().unwrap().clone()
    }

    async fn sign_out_url(&self) -> Result<Option<String>, ProviderError> {
        self.responds()?;
        Ok(Some(END.to_owned()))
    }
}
