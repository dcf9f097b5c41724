//! What the claims of an identity provider mean: the name of a new account, and the groups.

use kastrel_actors::model::AccountName;
use serde_json::{Map, Value};

/// The claim from which the name is made if the chosen one is missing.
const EMAIL: &str = "email";
/// The claim that names claims which are too large for a token, and where they are.
const ELSEWHERE: &str = "_claim_names";
/// The most groups that are looked at.
const MOST_GROUPS: usize = 5_000;

/// The claims about a person.
pub type Claims = Map<String, Value>;

/// The groups of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// The claim has these.
    Known(Vec<String>),
    /// There is no such claim, or it is no list of texts.
    Missing,
    /// There are too many for a token: the claim only says where they can be read.
    TooMany,
}

impl Groups {
    /// Returns the groups; none if they are not known.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::Known(names) => names,
            Self::Missing | Self::TooMany => &[],
        }
    }
}

/// Returns the name of the account that is created for a person: the text of `claim`, or else of
/// the mail address, with `-` in place of characters that a name cannot have. `None`: no name
/// remains.
///
/// Two persons may get one name. The name identifies nobody: it must be free.
#[must_use]
pub fn account_name(claims: &Claims, claim: &str) -> Option<AccountName> {
    let text =
        [claim, EMAIL].into_iter().find_map(|name| claims.get(name)?.as_str().filter(|text| !text.is_empty()))?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-@+".contains(c);
    let plain = text.trim().chars().map(|c| if is_allowed(c) { c.to_ascii_lowercase() } else { '-' });
    let name: String = plain.skip_while(|c| !c.is_ascii_alphanumeric()).take(AccountName::MAX).collect();
    name.trim_end_matches('-').parse().ok()
}

/// Returns the groups that a claim has: a list of texts, or one text.
#[must_use]
pub fn groups(claims: &Claims, claim: &str) -> Groups {
    match claims.get(claim) {
        Some(Value::Array(all)) => {
            let names = all.iter().filter_map(Value::as_str).take(MOST_GROUPS).map(str::to_owned);
            Groups::Known(names.collect())
        }
        Some(Value::String(one)) => Groups::Known(vec![one.clone()]),
        _ if claims.get(ELSEWHERE).is_some_and(|names| names.get(claim).is_some()) => Groups::TooMany,
        _ => Groups::Missing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn claims(json: Value) -> Claims {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn name_of_an_account_is_made_of_the_claim() {
        let long = "x".repeat(80);
        for (text, name) in [
            ("ana", Some("ana")),
            (" Ana.Ruiz@Example.com ", Some("ana.ruiz@example.com")),
            ("Ana Ruiz", Some("ana-ruiz")),
            ("CORP\\ana", Some("corp-ana")),
            ("-ana", Some("ana")),
            ("ana\u{202e}\u{0}", Some("ana")),
            ("jos\u{e9}", Some("jos")),
            ("\u{e9}va", Some("va")),
            ("\u{65e5}\u{672c}", None),
            ("--", None),
            (&long, Some(&long[..64])),
        ] {
            let made = account_name(&claims(json!({ "preferred_username": text })), "preferred_username");
            assert_eq!(made.as_ref().map(AccountName::as_str), name, "{text}");
        }
    }

    #[test]
    fn mail_address_is_used_where_the_claim_is_missing() {
        for (json, name) in [
            (json!({ "email": "ana@example.com" }), Some("ana@example.com")),
            (json!({ "preferred_username": "", "email": "ana@example.com" }), Some("ana@example.com")),
            (json!({ "preferred_username": 7, "email": "ana@example.com" }), Some("ana@example.com")),
            (json!({ "preferred_username": "bo", "email": "ana@example.com" }), Some("bo")),
            (json!({ "name": "Ana" }), None),
            (json!({ "preferred_username": ["ana"] }), None),
        ] {
            let made = account_name(&claims(json.clone()), "preferred_username");
            assert_eq!(made.as_ref().map(AccountName::as_str), name, "{json}");
        }
    }

    #[test]
    fn groups_are_texts_and_a_missing_claim_is_told_from_too_many() {
        let known = |names: &[&str]| Groups::Known(names.iter().map(|name| (*name).to_owned()).collect());
        for (json, expected) in [
            (json!({ "groups": ["a", "b"] }), known(&["a", "b"])),
            (json!({ "groups": [] }), known(&[])),
            (json!({ "groups": ["a", 7, null, ["b"]] }), known(&["a"])),
            (json!({ "groups": "a" }), known(&["a"])),
            (json!({ "groups": { "a": true } }), Groups::Missing),
            (json!({ "roles": ["a"] }), Groups::Missing),
            (json!({ "_claim_names": { "groups": "src1" } }), Groups::TooMany),
            (json!({ "_claim_names": { "other": "src1" } }), Groups::Missing),
            (json!({ "_claim_names": "groups" }), Groups::Missing),
            (json!({ "groups": ["a"], "_claim_names": { "groups": "src1" } }), known(&["a"])),
        ] {
            assert_eq!(groups(&claims(json.clone()), "groups"), expected, "{json}");
        }
        assert!(Groups::Missing.names().is_empty() && Groups::TooMany.names().is_empty());
    }

    proptest! {
        #[test]
        fn made_name_is_valid_or_there_is_none(text in "\\PC{0,90}") {
            let claims = claims(json!({ "preferred_username": text }));
            if let Some(name) = account_name(&claims, "preferred_username") {
                prop_assert!(name.as_str().parse::<AccountName>().is_ok());
            }
        }
    }
}
