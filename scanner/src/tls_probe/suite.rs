//! A cipher suite and its properties, which follow from its name.

use std::fmt;

use super::suites;

/// A cipher suite, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite(pub u16);

impl Suite {
    /// Returns the name in the IANA registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        suites::TABLE.iter().find(|(code, _)| *code == self.0).map_or("an unknown suite", |(_, name)| name)
    }

    /// Returns true if the suite belongs to TLS 1.3.
    #[must_use]
    pub const fn is_of_tls13(self) -> bool {
        self.0 >> 8 == 0x13
    }

    pub(super) fn needs_tls12(self) -> bool {
        let name = self.name();
        self.is_authenticated() || name.ends_with("SHA256") || name.ends_with("SHA384")
    }

    /// Returns true if a later theft of the server's key does not reveal recorded traffic (forward
    /// secrecy).
    #[must_use]
    pub fn is_forward_secret(self) -> bool {
        self.is_of_tls13() || self.name().starts_with("TLS_ECDHE_") || self.is_dhe()
    }

    /// Returns true if the key exchange is finite-field Diffie-Hellman with an ephemeral key.
    #[must_use]
    pub fn is_dhe(self) -> bool {
        self.name().starts_with("TLS_DHE_")
    }

    /// Returns true if encryption and authentication are one step (AEAD).
    #[must_use]
    pub fn is_authenticated(self) -> bool {
        ["_GCM", "_CCM", "_POLY1305"].iter().any(|mode| self.name().contains(mode))
    }

    /// Returns true if the suite can be broken with current means: no encryption or no certificate,
    /// export keys, DES, 3DES, RC2, RC4 or MD5.
    #[must_use]
    pub fn is_broken(self) -> bool {
        ["_NULL_", "_anon_", "_EXPORT", "_DES_", "_DES40_", "_3DES_", "_RC2_", "_RC4_", "_MD5"]
            .iter()
            .any(|part| self.name().contains(part))
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_are_classified() {
        for (code, forward_secret, authenticated, broken) in [
            (0xC02F, true, true, false),
            (0x009E, true, true, false),
            (0x0033, true, false, false),
            (0x009C, false, true, false),
            (0x002F, false, false, false),
            (0x000A, false, false, true),
            (0x0005, false, false, true),
            (0x0034, false, false, true),
            (0x0002, false, false, true),
            (0x0014, true, false, true),
            (0x1301, true, true, false),
            (0xCCA8, true, true, false),
        ] {
            let suite = Suite(code);
            assert_eq!(
                (suite.is_forward_secret(), suite.is_authenticated(), suite.is_broken()),
                (forward_secret, authenticated, broken),
                "{suite}"
            );
        }
        let codes: Vec<_> = suites::TABLE.iter().map(|(code, _)| code).collect();
        for (at, code) in codes.iter().enumerate() {
            assert!(!codes[at + 1..].contains(code), "{code:#x} is there twice");
        }
    }
}
