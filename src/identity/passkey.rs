//! Passkeys, by WebAuthn Level 3: what an authenticator is asked, and the check of what it
//! answered.
//!
//! A passkey belongs to a relying party, which is the host name under which browsers reach the
//! server. That name and the origin of the pages come from the configuration alone. An
//! authenticator must verify its user (by a fingerprint, a face or a PIN), so the device and the
//! user are two factors. It must keep the passkey with the account (a discoverable credential), so
//! that a sign-in needs no name. There is no attestation: any authenticator will do.

#[cfg(test)]
pub(crate) mod testing;

use std::time::Duration;

use kastrel_actors::model::PasskeyId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use webauthn_rs::prelude::{
    DiscoverableAuthentication, Passkey as Credential, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Url, Uuid, Webauthn, WebauthnBuilder, WebauthnError,
};

/// How long a user has for the answer of the authenticator.
pub const ANSWER_WITHIN: Duration = Duration::from_mins(5);

/// The longest credential id of the standard, in bytes.
const MOST_OF_ID: usize = 1023;
/// The longest credential that is stored, as JSON. Usual ones have 600 bytes.
const MOST_OF_CREDENTIAL: usize = 8192;

/// Why a server accepts no passkeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPasskeys {
    /// The address of the server is not known.
    #[error("passkeys need the setting `server.public_url`: the address under which browsers reach this server")]
    NoAddress,
    /// The address is not one of https.
    #[error("passkeys need an https address in the setting `server.public_url`")]
    NotSecure,
    /// The address has no host name.
    #[error("passkeys need a host name in the setting `server.public_url`, and no IP address")]
    NoName,
}

/// Why an answer of an authenticator is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyFault {
    /// It cannot be read, or is not an answer to what was asked.
    #[error("the answer of the authenticator is not accepted: {0}")]
    Refused(String),
    /// The signature is right, but the counter of the passkey went back: there may be a copy.
    #[error("the counter of the passkey went back")]
    Copied,
}

/// What an authenticator is asked.
#[derive(Debug, Clone)]
pub struct Ceremony {
    /// The options for the browser, as JSON.
    pub options: String,
    /// What the check of the answer needs, as JSON. It has the challenge.
    pub state: String,
}

/// A passkey that an authenticator made.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Its id.
    pub id: PasskeyId,
    /// The credential as the store keeps it.
    pub credential: String,
}

/// The relying party of a server.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    webauthn: Webauthn,
    host: String,
}

impl RelyingParty {
    /// Returns the relying party of the pages at `origin`, such as `https://scans.example.com`.
    ///
    /// # Errors
    /// Browsers offer no passkeys for such an address.
    pub fn new(origin: &str) -> Result<Self, NoPasskeys> {
        Self::build(origin, false)
    }

    /// Returns the relying party of a server on loopback, which browsers reach as `localhost` at
    /// any port.
    ///
    /// # Errors
    /// None is expected.
    pub fn on_loopback(is_https: bool) -> Result<Self, NoPasskeys> {
        Self::build(if is_https { "https://localhost" } else { "http://localhost" }, true)
    }

    fn build(origin: &str, allows_any_port: bool) -> Result<Self, NoPasskeys> {
        let origin = Url::parse(origin).map_err(|_| NoPasskeys::NoAddress)?;
        let host = origin.domain().ok_or(NoPasskeys::NoName)?.to_owned();
        let is_local = host == "localhost" || host.ends_with(".localhost");
        if origin.scheme() != "https" && !is_local {
            return Err(NoPasskeys::NotSecure);
        }
        let webauthn = WebauthnBuilder::new(&host, &origin)
            .map(|builder| builder.rp_name("Kastrel").allow_any_port(allows_any_port).timeout(ANSWER_WITHIN))
            .and_then(WebauthnBuilder::build)
            .map_err(|_| NoPasskeys::NoName)?;
        Ok(Self { webauthn, host })
    }

    /// Returns the host name to which the passkeys belong. Under another one, browsers offer none.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks for a new passkey of an account, which authenticators know by `handle`, and which has
    /// the passkeys `stored`.
    ///
    /// # Errors
    /// A stored credential cannot be read.
    pub fn creation(&self, handle: &str, account: &str, stored: &[&str]) -> Result<Ceremony, PasskeyFault> {
        let handle = Uuid::parse_str(handle).map_err(|error| PasskeyFault::Refused(error.to_string()))?;
        let known: Vec<Vec<u8>> = stored
            .iter()
            .map(|text| read::<Credential>(text).map(|credential| credential.cred_id().clone()))
            .collect::<Result<_, _>>()?;
        let (options, state) =
            self.webauthn.start_passkey_registration(handle, account, account, Some(known)).map_err(refused)?;
        let mut options = value(&options)?;
        // The library leaves it to the authenticator whether the passkey is kept with the account.
        let selection = &mut options["publicKey"]["authenticatorSelection"];
        selection["residentKey"] = json!("required");
        selection["requireResidentKey"] = json!(true);
        Ok(Ceremony { options: options["publicKey"].to_string(), state: text(&state)? })
    }

    /// Checks the answer to a [`creation`](Self::creation).
    ///
    /// # Errors
    /// The answer is not accepted.
    pub fn created(&self, answer: &str, state: &str) -> Result<NewCredential, PasskeyFault> {
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let state: PasskeyRegistration = read(state)?;
        let credential = self.webauthn.finish_passkey_registration(&answer, &state).map_err(refused)?;
        let (id, stored) = (credential.cred_id(), text(&credential)?);
        if id.is_empty() || id.len() > MOST_OF_ID || stored.len() > MOST_OF_CREDENTIAL {
            return Err(PasskeyFault::Refused("the credential is too long".into()));
        }
        Ok(NewCredential { id: id_of(id), credential: stored })
    }

    /// Asks for a signature of any passkey of this server.
    ///
    /// # Errors
    /// None is expected.
    pub fn request(&self) -> Result<Ceremony, PasskeyFault> {
        let (options, state) = self.webauthn.start_discoverable_authentication().map_err(refused)?;
        Ok(Ceremony { options: value(&options)?["publicKey"].to_string(), state: text(&state)? })
    }

    /// Checks the answer to a [`request`](Self::request) with the stored credential that it names.
    /// Returns the credential after this use, for the store.
    ///
    /// # Errors
    /// The answer is not accepted.
    pub fn verify(&self, answer: &Answer, state: &str, stored: &str) -> Result<String, PasskeyFault> {
        let state: DiscoverableAuthentication = read(state)?;
        let mut credential: Credential = read(stored)?;
        let result =
            self.webauthn.finish_discoverable_authentication_v2(&answer.0, state, &credential).map_err(|error| {
                match error {
                    WebauthnError::CredentialPossibleCompromise => PasskeyFault::Copied,
                    error => refused(error),
                }
            })?;
        // A page of another site cannot frame this one, so nothing asks from a frame.
        if answer.is_cross_origin() || !result.user_verified() {
            return Err(PasskeyFault::Refused("it comes from a frame, or the user was not verified".into()));
        }
        match credential.update_credential(&result) {
            Some(true) => text(&credential),
            Some(false) => Ok(stored.to_owned()),
            None => Err(PasskeyFault::Refused("it is of another passkey".into())),
        }
    }
}

/// The answer of an authenticator to a [`request`](RelyingParty::request). Nothing in it is checked
/// yet.
#[derive(Debug, Clone)]
pub struct Answer(PublicKeyCredential);

impl Answer {
    /// Reads the JSON that a browser sends.
    ///
    /// # Errors
    /// The text is no answer.
    pub fn parse(text: &str) -> Result<Self, PasskeyFault> {
        read(text).map(Self)
    }

    /// Returns the id of the passkey that it names.
    #[must_use]
    pub fn id(&self) -> PasskeyId {
        id_of(self.0.get_credential_id())
    }

    /// Returns the text by which the authenticator knows the account, if it says that.
    #[must_use]
    pub fn handle(&self) -> Option<String> {
        self.0.get_user_unique_id().map(|handle| match Uuid::from_slice(handle) {
            Ok(handle) => handle.to_string(),
            Err(_) => String::new(),
        })
    }

    fn is_cross_origin(&self) -> bool {
        #[derive(Deserialize)]
        struct ClientData {
            #[serde(default, rename = "crossOrigin")]
            cross_origin: bool,
        }
        let data = serde_json::from_slice::<ClientData>(&self.0.response.client_data_json);
        data.map_or(true, |data| data.cross_origin)
    }
}

/// Returns a new random text by which authenticators know an account. It does not contain the name.
#[must_use]
pub fn new_handle() -> String {
    Uuid::new_v4().to_string()
}

fn id_of(credential_id: &[u8]) -> PasskeyId {
    let digest = hex::encode(Sha256::digest(credential_id));
    digest[..PasskeyId::LENGTH].parse().unwrap_or_else(|_| unreachable!("these are hexadecimal digits"))
}

fn refused(error: WebauthnError) -> PasskeyFault {
    PasskeyFault::Refused(error.to_string())
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, PasskeyFault> {
    serde_json::from_str(text).map_err(|error| PasskeyFault::Refused(error.to_string()))
}

fn text(value: &impl Serialize) -> Result<String, PasskeyFault> {
    serde_json::to_string(value).map_err(|error| PasskeyFault::Refused(error.to_string()))
}

fn value(value: &impl Serialize) -> Result<Value, PasskeyFault> {
    serde_json::to_value(value).map_err(|error| PasskeyFault::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::testing::{Authenticator, Trick};
    use super::*;

    const ORIGIN: &str = "https://scans.example.com";

    fn party() -> RelyingParty {
        RelyingParty::new(ORIGIN).unwrap()
    }

    fn registered(party: &RelyingParty) -> (Authenticator, NewCredential) {
        let mut device = Authenticator::new(ORIGIN);
        let asked = party.creation(&new_handle(), "ana", &[]).unwrap();
        let created = party.created(&device.create(&asked.options), &asked.state).unwrap();
        (device, created)
    }

    #[test]
    fn passkeys_need_a_host_name_and_a_secure_address() {
        for (origin, host) in [
            ("https://scans.example.com", Ok("scans.example.com")),
            ("https://scans.example.com:8443", Ok("scans.example.com")),
            ("http://localhost:5000", Ok("localhost")),
            ("http://kastrel.localhost", Ok("kastrel.localhost")),
            ("http://scans.example.com", Err(NoPasskeys::NotSecure)),
            ("https://192.0.2.1", Err(NoPasskeys::NoName)),
            ("http://127.0.0.1:5000", Err(NoPasskeys::NoName)),
            ("https://[::1]", Err(NoPasskeys::NoName)),
            ("nothing", Err(NoPasskeys::NoAddress)),
        ] {
            let party = RelyingParty::new(origin);
            assert_eq!(party.as_ref().map(RelyingParty::host), host.as_ref().copied(), "{origin}");
        }
    }

    #[test]
    fn options_ask_for_a_verified_user_and_a_discoverable_credential() {
        let party = party();
        let (_, created) = registered(&party);
        let handle = new_handle();
        let asked = party.creation(&handle, "ana", &[&created.credential]).unwrap();
        let options: Value = serde_json::from_str(&asked.options).unwrap();
        let selection = &options["authenticatorSelection"];
        assert_eq!(
            (&selection["residentKey"], &selection["userVerification"]),
            (&json!("required"), &json!("required"))
        );
        assert_eq!((&options["rp"]["id"], &options["user"]["name"]), (&json!("scans.example.com"), &json!("ana")));
        assert_eq!((&options["attestation"], &options["timeout"]), (&json!("none"), &json!(300_000)));
        assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1);
        let request: Value = serde_json::from_str(&party.request().unwrap().options).unwrap();
        assert_eq!((&request["userVerification"], &request["allowCredentials"]), (&json!("required"), &json!([])));
        assert_ne!(request["challenge"], options["challenge"]);
    }

    #[test]
    fn passkey_is_made_and_signs() {
        let party = party();
        let (mut device, created) = registered(&party);
        let asked = party.request().unwrap();
        let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
        assert_eq!(answer.id(), created.id);
        assert_eq!(answer.handle().unwrap().len(), 36);
        let after = party.verify(&answer, &asked.state, &created.credential).unwrap();
        assert_ne!(after, created.credential, "the counter went on");
        assert_eq!(party.verify(&answer, &asked.state, &after), Err(PasskeyFault::Copied));
    }

    #[test]
    fn passkey_without_a_counter_stays_the_same() {
        let party = party();
        let mut device = Authenticator { counts: false, ..Authenticator::new(ORIGIN) };
        let asked = party.creation(&new_handle(), "ana", &[]).unwrap();
        let created = party.created(&device.create(&asked.options), &asked.state).unwrap();
        let asked = party.request().unwrap();
        let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
        assert_eq!(party.verify(&answer, &asked.state, &created.credential).unwrap(), created.credential);
    }

    #[test]
    fn counter_that_goes_back_is_refused() {
        let party = party();
        let (mut device, created) = registered(&party);
        let mut copy = device.clone();
        let asked = party.request().unwrap();
        device.sign(&asked.options);
        let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
        let after = party.verify(&answer, &asked.state, &created.credential).unwrap();
        let answer = Answer::parse(&copy.sign(&asked.options)).unwrap();
        assert_eq!(party.verify(&answer, &asked.state, &after), Err(PasskeyFault::Copied));
    }

    #[test]
    fn answer_of_another_place_or_without_the_user_is_refused() {
        let party = party();
        let (device, created) = registered(&party);
        for trick in Trick::ALL {
            let mut device = Authenticator { trick: Some(trick), ..device.clone() };
            let asked = party.request().unwrap();
            let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
            let refused = party.verify(&answer, &asked.state, &created.credential);
            assert!(matches!(refused, Err(PasskeyFault::Refused(_))), "{trick:?}: {refused:?}");
            let asked = party.creation(&new_handle(), "ana", &[]).unwrap();
            let refused = party.created(&device.create(&asked.options), &asked.state);
            let is_checked = !matches!(trick, Trick::Signature);
            assert_eq!(refused.is_err(), is_checked, "{trick:?}: a new passkey has no signature");
        }
    }

    #[test]
    fn answer_to_another_request_or_of_another_passkey_is_refused() {
        let party = party();
        let (mut device, created) = registered(&party);
        let (_, other) = registered(&party);
        let (asked, again) = (party.request().unwrap(), party.request().unwrap());
        let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
        for (state, stored) in
            [(&again.state, &created.credential), (&asked.state, &other.credential), (&asked.state, &asked.state)]
        {
            let refused = party.verify(&answer, state, stored);
            assert!(matches!(refused, Err(PasskeyFault::Refused(_))), "{refused:?}");
        }
        let elsewhere = RelyingParty::new("https://other.example.com").unwrap();
        assert!(elsewhere.verify(&answer, &asked.state, &created.credential).is_err());
        for text in ["", "{}", "null", &created.credential] {
            assert!(Answer::parse(text).is_err(), "{text}");
            assert!(party.created(text, &asked.state).is_err(), "{text}");
        }
    }

    #[test]
    fn server_on_loopback_is_localhost_at_any_port() {
        let party = RelyingParty::on_loopback(false).unwrap();
        let mut device = Authenticator::new("http://localhost:5000");
        let asked = party.creation(&new_handle(), "ana", &[]).unwrap();
        let created = party.created(&device.create(&asked.options), &asked.state).unwrap();
        let asked = party.request().unwrap();
        device.origin = "http://localhost:8080".into();
        let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
        assert!(party.verify(&answer, &asked.state, &created.credential).is_ok());
        device.origin = "http://127.0.0.1:5000".into();
        let answer = Answer::parse(&device.sign(&asked.options)).unwrap();
        assert!(party.verify(&answer, &asked.state, &created.credential).is_err());
    }
}
