//! An authenticator in memory, for tests: what a security key and a browser do together.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The flags of the authenticator data: the user is present, was verified, and a credential
/// follows.
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

/// Something that makes an answer wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// A page of another site asked.
    Origin,
    /// The passkey belongs to another relying party.
    RelyingParty,
    /// The authenticator did not verify its user.
    Unverified,
    /// A frame of another site asked.
    Frame,
    /// The answer is to another question.
    Kind,
    /// The signature is wrong.
    Signature,
}

impl Trick {
    pub(crate) const ALL: [Self; 6] =
        [Self::Origin, Self::RelyingParty, Self::Unverified, Self::Frame, Self::Kind, Self::Signature];
}

/// An authenticator with one passkey. A clone is a copy of the device.
#[derive(Clone)]
pub(crate) struct Authenticator {
    pub(crate) key: Vec<u8>,
    pub(crate) credential_id: Vec<u8>,
    pub(crate) handle: Value,
    pub(crate) counter: u32,
    /// Whether it counts its signatures.
    pub(crate) counts: bool,
    /// The origin of the page that asks.
    pub(crate) origin: String,
    /// Whether it names the account.
    pub(crate) tells_handle: bool,
    pub(crate) trick: Option<Trick>,
}

impl Authenticator {
    pub(crate) fn new(origin: &str) -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
        let credential_id = Sha256::digest(key.as_ref()).to_vec();
        Self {
            key: key.as_ref().to_vec(),
            credential_id,
            handle: Value::Null,
            counter: 0,
            counts: true,
            origin: origin.to_owned(),
            tells_handle: true,
            trick: None,
        }
    }

    fn key(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key, &SystemRandom::new()).unwrap()
    }

    /// Answers to `navigator.credentials.create` with these options.
    pub(crate) fn create(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        self.handle = options["user"]["id"].clone();
        let mut data = self.data(options["rp"]["id"].as_str().unwrap(), HAS_CREDENTIAL);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential_id.len()).unwrap().to_be_bytes());
        data.extend(&self.credential_id);
        // The public key: an elliptic curve key for ES256 on P-256, with its two coordinates.
        let key = self.key();
        let (x, y) = key.public_key().as_ref()[1..].split_at(32);
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(x);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(y);
        let mut object = vec![0xa3];
        object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend(data);
        let client_data = self.client_data("webauthn.create", &options["challenge"]);
        json!({
            "id": base64(&self.credential_id),
            "rawId": base64(&self.credential_id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": { "attestationObject": base64(&object), "clientDataJSON": base64(client_data.as_bytes()) },
        })
        .to_string()
    }

    /// Answers to `navigator.credentials.get` with these options.
    pub(crate) fn sign(&mut self, options: &str) -> String {
        let options: Value = serde_json::from_str(options).unwrap();
        if self.counts {
            self.counter += 1;
        }
        let data = self.data(options["rpId"].as_str().unwrap(), 0);
        let client_data = self.client_data("webauthn.get", &options["challenge"]);
        let mut signed = data.clone();
        signed.extend(Sha256::digest(client_data.as_bytes()));
        if self.trick == Some(Trick::Signature) {
            signed.push(0);
        }
        let signature = self.key().sign(&SystemRandom::new(), &signed).unwrap();
        let handle = if self.tells_handle { self.handle.clone() } else { Value::Null };
        json!({
            "id": base64(&self.credential_id),
            "rawId": base64(&self.credential_id),
            "type": "public-key",
            "clientExtensionResults": {},
            "response": {
                "authenticatorData": base64(&data),
                "clientDataJSON": base64(client_data.as_bytes()),
                "signature": base64(signature.as_ref()),
                "userHandle": handle,
            },
        })
        .to_string()
    }

    /// Returns the authenticator data without a credential.
    fn data(&self, relying_party: &str, flags: u8) -> Vec<u8> {
        let of = if self.trick == Some(Trick::RelyingParty) { "evil.example" } else { relying_party };
        let verified = if self.trick == Some(Trick::Unverified) { 0 } else { VERIFIED };
        let mut data = Sha256::digest(of.as_bytes()).to_vec();
        data.push(PRESENT | verified | flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, challenge: &Value) -> String {
        let origin = if self.trick == Some(Trick::Origin) { "https://evil.example" } else { &self.origin };
        let kind = if self.trick == Some(Trick::Kind) { "payment.get" } else { kind };
        let is_framed = self.trick == Some(Trick::Frame);
        json!({ "type": kind, "challenge": challenge, "origin": origin, "crossOrigin": is_framed }).to_string()
    }
}

/// Encodes bytes as browsers do: base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let digit = (number >> (18 - 6 * place)) & 63;
            text.push(char::from(DIGITS[usize::try_from(digit).unwrap()]));
        }
    }
    text
}
