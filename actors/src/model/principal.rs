//! The party for whom an operation runs.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{AccountName, PublicLinkId, UnknownName};

/// The party for whom an operation runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Principal {
    /// Kastrel itself: the command line on its own data folder, and the tasks of a process.
    System,
    /// A client that did not say who it is.
    Anonymous,
    /// A person.
    User(AccountName),
    /// A program with an account of its own.
    Service(AccountName),
    /// A visitor who opened a public link of a scan.
    Link(PublicLinkId),
}

impl Principal {
    /// Returns the name of the account.
    #[must_use]
    pub const fn account(&self) -> Option<&AccountName> {
        match self {
            Self::System | Self::Anonymous | Self::Link(_) => None,
            Self::User(name) | Self::Service(name) => Some(name),
        }
    }
}

/// The stable name, which is stored and shown. It has no blank, and no two principals have the same
/// one: idempotency keys are separated by it.
impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.pad("system"),
            Self::Anonymous => f.pad("anonymous"),
            Self::User(name) => f.pad(&format!("user:{name}")),
            Self::Service(name) => f.pad(&format!("service:{name}")),
            Self::Link(id) => f.pad(&format!("link:{id}")),
        }
    }
}

impl FromStr for Principal {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownName {
            given: text.to_owned(),
            expected: "system, anonymous, user:NAME, service:NAME, link:ID".to_owned(),
        };
        match text.split_once(':') {
            None if text == "system" => Ok(Self::System),
            None if text == "anonymous" => Ok(Self::Anonymous),
            Some(("user", name)) => name.parse().map(Self::User).map_err(|_| unknown()),
            Some(("service", name)) => name.parse().map(Self::Service).map_err(|_| unknown()),
            Some(("link", id)) => id.parse().map(Self::Link).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
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
        principal.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn principal_is_read_as_it_is_written() {
        let name: AccountName = "ana".parse().unwrap();
        for (principal, text) in [
            (Principal::System, "system"),
            (Principal::Anonymous, "anonymous"),
            (Principal::User(name.clone()), "user:ana"),
            (Principal::Service(name), "service:ana"),
            (Principal::Link("a1B2c3D4e5".parse().unwrap()), "link:a1B2c3D4e5"),
        ] {
            assert_eq!((principal.to_string().as_str(), text.parse::<Principal>().as_ref()), (text, Ok(&principal)));
            let json = serde_json::to_string(&principal).unwrap();
            assert_eq!(json, format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<Principal>(&json).unwrap(), principal);
        }
        let error = "somebody".parse::<Principal>().unwrap_err().to_string();
        assert_eq!(error, "`somebody` is not one of system, anonymous, user:NAME, service:NAME, link:ID");
        for other in ["", "user:", "user:A", "user", "system:ana", "group:ana", "link:ana"] {
            assert!(other.parse::<Principal>().is_err(), "{other}");
        }
    }
}
