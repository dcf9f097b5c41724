//! The fingerprint `kfp1`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rules::{Rule, RuleSet};
use crate::place::{Part, Place};
use crate::sighting::Sighting;

/// The name of the algorithm, which is a part of what is hashed.
const ALGORITHM: &str = "kfp1";

/// The fingerprint of a finding within its target, written `kfp1:` and 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// The text is no fingerprint: it is not `kfp1:` and 64 hex digits in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is `kfp1:` and 64 hex digits in lower case")]
pub struct FingerprintFault;

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:{}", hex::encode(self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintFault;

    fn from_str(text: &str) -> Result<Self, FingerprintFault> {
        let digits = text.strip_prefix(ALGORITHM).and_then(|rest| rest.strip_prefix(':')).ok_or(FingerprintFault)?;
        if digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(FingerprintFault);
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| FingerprintFault)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintFault;

    fn try_from(text: String) -> Result<Self, FingerprintFault> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// Returns the parts of a place that a rule puts into the place key, in the order of
/// [`Part::ALL`]. Parts that the place does not have are not in it.
#[must_use]
pub fn place_key(place: &Place, rule: &Rule) -> Vec<(Part, String)> {
    Part::ALL
        .into_iter()
        .filter(|part| rule.parts.contains(part))
        .filter_map(|part| place.part(part).map(|value| (part, value)))
        .collect()
}

/// Computes the fingerprint of a sighting by a rule set.
#[must_use]
pub fn fingerprint(sighting: &Sighting, rules: &RuleSet) -> Fingerprint {
    let rule = rules.rule_for(sighting);
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(ALGORITHM);
    add(&sighting.plugin);
    add(rule.issue_of(sighting));
    for (part, value) in place_key(&sighting.place, rule) {
        add(part.name());
        add(&value);
    }
    Fingerprint(hash.finalize().into())
}
