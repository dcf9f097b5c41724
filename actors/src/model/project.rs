//! The project that a scan belongs to.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The identity of a project. The project `default` exists in every installation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectId(String);

text_id!(ProjectId);

/// The text is not a valid project id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a project id has 1 to 40 characters of a-z, 0-9 and `-`, not `{0}`")]
pub struct ParseProjectIdError(String);

impl ProjectId {
    /// The error text for a project that does not exist, or that the caller may not see: the same
    /// for both.
    pub const UNKNOWN: &str = "there is no such project";

    /// The largest length, in characters.
    const MAX: usize = 40;

    /// Returns true for the project of scans that name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

impl Default for ProjectId {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for ProjectId {
    type Err = ParseProjectIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(is_valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseProjectIdError(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_ids_are_short_and_plain() {
        for text in ["default", "team-1", "x", &"a".repeat(ProjectId::MAX)] {
            let project: ProjectId = text.parse().unwrap();
            let json = serde_json::to_string(&project).unwrap();
            assert_eq!((project.to_string().as_str(), json.as_str()), (text, format!("\"{text}\"").as_str()));
            assert_eq!(serde_json::from_str::<ProjectId>(&json).unwrap(), project);
        }
        for text in ["", "Team", "a b", "a_b", "é", &"a".repeat(ProjectId::MAX + 1)] {
            assert!(text.parse::<ProjectId>().is_err(), "{text}");
        }
        assert!(ProjectId::default().is_default());
        assert!(!"team-1".parse::<ProjectId>().unwrap().is_default());
    }
}
