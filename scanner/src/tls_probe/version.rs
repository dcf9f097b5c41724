//! The protocol versions.

use super::suite::Suite;
use super::suites;

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// SSL 3.0 (RFC 6101).
    Ssl30,
    /// TLS 1.0 (RFC 2246).
    Tls10,
    /// TLS 1.1 (RFC 4346).
    Tls11,
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl Version {
    /// All versions, newest first.
    pub const ALL: [Self; 5] = [Self::Tls13, Self::Tls12, Self::Tls11, Self::Tls10, Self::Ssl30];

    pub(super) const fn wire(self) -> [u8; 2] {
        match self {
            Self::Ssl30 => [3, 0],
            Self::Tls10 => [3, 1],
            Self::Tls11 => [3, 2],
            Self::Tls12 => [3, 3],
            Self::Tls13 => [3, 4],
        }
    }

    /// Returns the name for users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ssl30 => "SSL 3.0",
            Self::Tls10 => "TLS 1.0",
            Self::Tls11 => "TLS 1.1",
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }

    /// Returns true if the version is deprecated (RFC 7568, RFC 8996).
    #[must_use]
    pub fn is_withdrawn(self) -> bool {
        self < Self::Tls12
    }

    pub(super) fn named(wire: [u8; 2]) -> String {
        Self::ALL
            .iter()
            .find(|version| version.wire() == wire)
            .map_or_else(|| format!("version {}.{}", wire[0], wire[1]), |version| version.name().to_owned())
    }

    /// Returns the suites that can be negotiated in this version.
    pub(super) fn suites(self) -> Vec<Suite> {
        let fits = |suite: &Suite| match self {
            Self::Tls13 => suite.is_of_tls13(),
            Self::Tls12 => !suite.is_of_tls13(),
            Self::Ssl30 | Self::Tls10 | Self::Tls11 => !suite.is_of_tls13() && !suite.needs_tls12(),
        };
        suites::TABLE.iter().map(|(code, _)| Suite(*code)).filter(fits).collect()
    }
}
