//! The identities of targets and findings: short names for addresses, and keys of the store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fingerprint::Fingerprint;
use crate::place::Origin;

/// The identity of a target: the first 8 bytes of the SHA-256 of its project and its origin, as 16
/// hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetId([u8; 8]);

/// The identity of a finding: the first 10 bytes of the SHA-256 of its target and its fingerprint,
/// as 20 hex digits. Unlike the fingerprint it is unique among all targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FindingId([u8; 10]);

/// The text is no such identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of a {what} has {digits} hex digits in lower case")]
pub struct IdFault {
    what: &'static str,
    digits: usize,
}

impl TargetId {
    /// Returns the identity of the target with this origin in a project.
    #[must_use]
    pub fn of(project: &str, origin: &Origin) -> Self {
        Self(digest("target", project, &origin.to_string()))
    }
}

impl FindingId {
    /// Returns the identity of the finding with this fingerprint of a target.
    #[must_use]
    pub fn of(target: TargetId, fingerprint: Fingerprint) -> Self {
        Self(digest("finding", &target.to_string(), &fingerprint.to_string()))
    }
}

/// The first bytes of the SHA-256 of length-prefixed texts.
fn digest<const N: usize>(kind: &str, first: &str, second: &str) -> [u8; N] {
    let mut hash = Sha256::new();
    for text in [kind, first, second] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let digest = hash.finalize();
    std::array::from_fn(|at| digest[at])
}

fn parse<const N: usize>(text: &str, what: &'static str) -> Result<[u8; N], IdFault> {
    let fault = IdFault { what, digits: 2 * N };
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(fault);
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| fault)?;
    Ok(bytes)
}

macro_rules! hex_id {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                parse(text, $what).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdFault;

            fn try_from(text: String) -> Result<Self, IdFault> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

hex_id!(TargetId, "target");
hex_id!(FindingId, "finding");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_depend_on_project_origin_and_fingerprint_and_are_read_again() {
        let origin = |text| Origin::of_target(text).unwrap();
        let target = TargetId::of("default", &origin("shop.example"));
        assert_eq!(target, TargetId::of("default", &origin("https://SHOP.example:443/")));
        assert_ne!(target, TargetId::of("team", &origin("shop.example")));
        assert_ne!(target, TargetId::of("default", &origin("shop.example:8443")));
        let print = |digit: &str| format!("kfp1:{}", digit.repeat(64)).parse::<Fingerprint>().unwrap();
        let finding = FindingId::of(target, print("a"));
        assert_ne!(finding, FindingId::of(target, print("b")));
        assert_ne!(finding, FindingId::of(TargetId::of("team", &origin("shop.example")), print("a")));
        assert_eq!(target.to_string().parse::<TargetId>(), Ok(target));
        assert_eq!(finding.to_string().parse::<FindingId>(), Ok(finding));
        assert_eq!((target.to_string().len(), finding.to_string().len()), (16, 20));
        for wrong in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef01"] {
            let fault = wrong.parse::<TargetId>().unwrap_err();
            assert_eq!(fault.to_string(), "an id of a target has 16 hex digits in lower case");
        }
    }
}
