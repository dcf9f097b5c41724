//! Who acts, and in which trace: the context that every operation of a service takes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{TraceContext, UnknownName};

/// The party for whom an operation runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// Kastrel itself: the command line on its own data folder, and the tasks of a process.
    System,
    /// A client that did not say who it is.
    Anonymous,
}

impl Principal {
    /// The principals that exist in every installation.
    const FIXED: [Self; 2] = [Self::System, Self::Anonymous];

    /// Returns the stable name, which is stored and shown. It has no blank, and no two principals
    /// have the same one: idempotency keys are separated by it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::System => "system",
            Self::Anonymous => "anonymous",
        }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Principal {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::FIXED.into_iter().find(|one| one.as_str() == text).ok_or_else(|| UnknownName {
            given: text.to_owned(),
            expected: Self::FIXED.iter().map(Self::as_str).collect::<Vec<_>>().join(", "),
        })
    }
}

impl TryFrom<String> for Principal {
    type Error = UnknownName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> Self {
        principal.as_str().to_owned()
    }
}

/// Who acts, and the trace that the operation belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// Who acts.
    pub principal: Principal,
    /// The trace of the request or of the command.
    pub trace: TraceContext,
}

impl RequestContext {
    /// Returns the context of Kastrel itself.
    #[must_use]
    pub const fn system(trace: TraceContext) -> Self {
        Self { principal: Principal::System, trace }
    }

    /// Returns the context of a client that did not say who it is.
    #[must_use]
    pub const fn anonymous(trace: TraceContext) -> Self {
        Self { principal: Principal::Anonymous, trace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_is_read_as_it_is_written() {
        for principal in Principal::FIXED {
            assert_eq!(principal.to_string().parse::<Principal>().as_ref(), Ok(&principal));
            let json = serde_json::to_string(&principal).unwrap();
            assert_eq!(json, format!("\"{principal}\""));
            assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), principal);
        }
        let error = "somebody".parse::<Principal>().unwrap_err().to_string();
        assert_eq!(error, "`somebody` is not one of system, anonymous");
        assert!(serde_json::from_str::<Principal>("\"somebody\"").is_err());
    }
}
