//! Values that are one word of a fixed set.

use std::str::FromStr;

use toml::Value;

use super::setting::Setting;

/// Declares an enum of words as a setting.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident, $expected:literal { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_meta])* $variant,)+ }

        impl $name {
            /// All choices, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word of the choice.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text).ok_or_else(|| concat!("expected ", $expected).to_owned())
            }
        }

        impl Setting for $name {
            const EXPECTED: &'static str = $expected;

            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn to_toml(&self) -> Value {
                self.as_str().into()
            }
        }
    };
}

choice! {
    /// The scanner that runs scans.
    ScannerChoice, "auto, kast or builtin" {
        /// KAST if it is found, otherwise the built-in scanner.
        Auto = "auto",
        /// KAST only.
        Kast = "kast",
        /// The built-in scanner.
        Builtin = "builtin",
    }
}

choice! {
    /// The format of log lines.
    LogFormat, "auto, text or json" {
        /// Text on a terminal, otherwise JSON.
        Auto = "auto",
        /// Text for people.
        Text = "text",
        /// JSON for machines.
        Json = "json",
    }
}

choice! {
    /// How clients say who they are.
    AuthMode, "off, local or oidc" {
        /// Not at all: every client has all rights.
        Off = "off",
        /// Accounts of this server: passwords, sessions and API tokens.
        Local = "local",
        /// Accounts of this server, to which people also sign in with an identity provider.
        Oidc = "oidc",
    }
}

choice! {
    /// The accounts that must have a second factor.
    RequiredFactor, "off, admins or all" {
        /// None.
        Off = "off",
        /// Those with the server role `admin`.
        Admins = "admins",
        /// All users.
        All = "all",
    }
}

#[cfg(test)]
mod tests {
    use super::super::setting::testing::read;
    use super::*;

    #[test]
    fn every_choice_parses_what_it_writes() {
        for choice in ScannerChoice::ALL {
            assert_eq!(read(choice.as_str()), Some(*choice));
        }
        for choice in LogFormat::ALL {
            assert_eq!(read(choice.as_str()), Some(*choice));
        }
        for choice in AuthMode::ALL {
            assert_eq!(read(choice.as_str()), Some(*choice));
        }
        for choice in RequiredFactor::ALL {
            assert_eq!(read(choice.as_str()), Some(*choice));
        }
    }
}
