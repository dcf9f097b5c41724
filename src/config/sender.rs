//! The sender of mails.

use kastrel_actors::model::MailAddress;
use toml::Value;

use super::values::Setting;

/// The longest name of a sender, in characters.
const MOST_OF_NAME: usize = 64;

/// The sender of mails, such as `kastrel@example.com` or `Kastrel <kastrel@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    name: String,
    address: MailAddress,
}

impl Sender {
    /// Returns the name; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address.
    #[must_use]
    pub const fn address(&self) -> &MailAddress {
        &self.address
    }
}

impl std::fmt::Display for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.is_empty() { write!(f, "{}", self.address) } else { write!(f, "{} <{}>", self.name, self.address) }
    }
}

impl Setting for Sender {
    const EXPECTED: &'static str = "a mail address, such as kastrel@example.com or Kastrel <kastrel@example.com>";

    fn from_text(text: &str) -> Option<Self> {
        let (name, address) = match text.strip_suffix('>') {
            Some(rest) => rest.split_once('<')?,
            None => ("", text),
        };
        let name = name.trim();
        let is_name = name.chars().count() <= MOST_OF_NAME
            && !name.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | '"' | '\\'));
        let address = address.parse().ok()?;
        is_name.then(|| Self { name: name.to_owned(), address })
    }

    fn to_toml(&self) -> Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_is_an_address_that_may_have_a_name() {
        for (text, name) in [
            ("kastrel@example.com", ""),
            ("Kastrel <kastrel@example.com>", "Kastrel"),
            ("Kästrel, der Scanner <kastrel@example.com>", "Kästrel, der Scanner"),
        ] {
            let sender = Sender::from_text(text).unwrap();
            assert_eq!((sender.name(), sender.address().as_str()), (name, "kastrel@example.com"), "{text}");
            assert_eq!(sender.to_string(), text);
            assert_eq!(Sender::from_toml(&sender.to_toml()).as_ref(), Some(&sender));
        }
        for text in [
            "",
            "Kastrel",
            "Kastrel <>",
            "Kastrel <kastrel@example.com",
            "kastrel@example.com>",
            "a@example.com, b@example.com",
            "Kastrel\r\nBcc: x <kastrel@example.com>",
            "\"Kastrel\" <kastrel@example.com>",
        ] {
            assert_eq!(Sender::from_text(text), None, "{text}");
        }
    }
}
