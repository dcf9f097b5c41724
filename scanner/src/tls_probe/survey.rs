//! The result of a probe for one version.

use rustls::pki_types::CertificateDer;

use super::answer::Answer;
use super::suite::Suite;
use super::version::Version;

/// The way in which the list of a version's suites ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server accepts no more suites: it answered with an alert or another version, or no
    /// suites are left to offer.
    Complete,
    /// The last answer may be a refusal or a fault, such as a closed connection. The text describes
    /// it.
    Open(String),
    /// The limit of suites was reached.
    Limit,
    /// The last hello got no answer. The text describes the fault.
    Lost(String),
}

/// The results for one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The version.
    pub version: Version,
    /// The suites that the server accepts; empty if it does not offer the version.
    pub suites: Vec<Suite>,
    /// The certificates in the order in which the server sent them.
    pub chain: Vec<CertificateDer<'static>>,
    /// The length of the server's Diffie-Hellman prime, in bits.
    pub dh_bits: Option<usize>,
    /// The refusal, if the server accepts no suite.
    pub refusal: Option<Answer>,
    /// The end of the list of suites.
    pub end: End,
}

impl Survey {
    /// Returns true if the list of suites is complete. Some servers refuse by closing the
    /// connection, so `End::Open` counts as complete.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self.end, End::Complete | End::Open(_))
    }

    /// Returns true if the server offers the version.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        !self.suites.is_empty()
    }

    /// Returns true if the answer shows that the server speaks TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.is_offered() || matches!(self.refusal, Some(Answer::Refused(_) | Answer::Unclear(_)))
    }
}
